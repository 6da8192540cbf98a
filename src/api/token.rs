//! The bearer token: made on first start, kept in the data directory for its owner alone, compared in constant time.
//! Whoever has it operates the daemon, so a file that others can read is refused, not repaired: it may be known already.

use std::fs::{self, File, OpenOptions};
use std::io::{self, Write as _};
use std::os::unix::fs::{OpenOptionsExt as _, PermissionsExt as _};
use std::path::{Path, PathBuf};

use sha2::{Digest as _, Sha256};
use subtle::ConstantTimeEq as _;

/// 256 bits: beyond guessing, so failed attempts need no limit.
const TOKEN_BYTES: usize = 32;
const FILE_NAME: &str = "token";

/// Why there is no usable token.
#[derive(Debug, thiserror::Error)]
pub enum TokenError {
    #[error(
        "token file {path} expected mode 0600, found {mode:04o}: others may know it; delete it to have a new one made, or chmod 600 it if you are sure"
    )]
    Mode { path: PathBuf, mode: u32 },
    #[error("token file {path} expected 64 hexadecimal characters, found something else; delete it to have a new one made")]
    Content { path: PathBuf },
    #[error("token file {path} expected to be readable and, on first start, writable, found: {source}")]
    Io { path: PathBuf, source: io::Error },
    #[error("a new token expected random bytes from the operating system, found: {0}")]
    Random(getrandom::Error),
}

/// The token's hash: the text itself is not kept, so that it cannot leak from memory into a log or a dump.
#[derive(Clone)]
pub struct Token {
    digest: [u8; 32],
}

impl std::fmt::Debug for Token {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("Token")
    }
}

impl Token {
    /// Reads the data directory's token, or makes one on first start.
    ///
    /// # Errors
    /// When the file cannot be used.
    pub fn load_or_create(data_dir: &Path) -> Result<Self, TokenError> {
        let path = data_dir.join(FILE_NAME);
        match read(&path) {
            Err(TokenError::Io { source, .. }) if source.kind() == io::ErrorKind::NotFound => {
                let text = random_text()?;
                write_owner_only(&path, text.as_bytes()).map_err(|source| TokenError::Io { path, source })?;
                Ok(Self::of(&text))
            }
            found => Ok(Self::of(&found?)),
        }
    }

    fn of(text: &str) -> Self {
        Self { digest: Sha256::digest(text.as_bytes()).into() }
    }

    /// Takes the same time whatever is presented: hashes of equal length are compared, each to its end.
    #[must_use]
    pub fn matches(&self, presented: &str) -> bool {
        let presented: [u8; 32] = Sha256::digest(presented.as_bytes()).into();
        self.digest.ct_eq(&presented).into()
    }
}

/// The text in the token file, for a command that will present it.
pub(super) fn read_text(data_dir: &Path) -> Result<String, TokenError> {
    read(&data_dir.join(FILE_NAME))
}

fn read(path: &Path) -> Result<String, TokenError> {
    let failed = |source| TokenError::Io { path: path.to_owned(), source };
    let file = File::open(path).map_err(failed)?;
    let mode = file.metadata().map_err(failed)?.permissions().mode() & 0o7777;
    if mode & 0o077 != 0 {
        return Err(TokenError::Mode { path: path.to_owned(), mode });
    }
    let text = io::read_to_string(file).map_err(failed)?;
    let text = text.trim();
    if text.len() != TOKEN_BYTES * 2 || !text.bytes().all(|byte| byte.is_ascii_hexdigit()) {
        return Err(TokenError::Content { path: path.to_owned() });
    }
    Ok(text.to_owned())
}

fn random_text() -> Result<String, TokenError> {
    let mut bytes = [0_u8; TOKEN_BYTES];
    getrandom::fill(&mut bytes).map_err(TokenError::Random)?;
    Ok(bytes.iter().map(|byte| format!("{byte:02x}")).collect())
}

/// Whole or not at all, and never readable by others, not even for a moment.
pub(super) fn write_owner_only(path: &Path, content: &[u8]) -> io::Result<()> {
    let temporary = path.with_extension("new");
    match fs::remove_file(&temporary) {
        Err(error) if error.kind() != io::ErrorKind::NotFound => return Err(error),
        _ => {}
    }
    let mut file = OpenOptions::new().write(true).create_new(true).mode(0o600).open(&temporary)?;
    file.write_all(content)?;
    file.write_all(b"\n")?;
    file.sync_all()?;
    fs::rename(&temporary, path)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_token_is_made_once_for_its_owner_alone() {
        let dir = tempfile::tempdir().unwrap();
        let made = Token::load_or_create(dir.path()).unwrap();
        let text = read_text(dir.path()).unwrap();
        assert_eq!(fs::metadata(dir.path().join("token")).unwrap().permissions().mode() & 0o777, 0o600);
        assert!(made.matches(&text) && Token::load_or_create(dir.path()).unwrap().matches(&text));
        assert!(!made.matches("") && !made.matches(&text[1..]) && !made.matches(&text.replace(|_| true, "0")));
    }

    #[test]
    fn a_token_that_others_can_read_is_refused_with_the_way_out() {
        let dir = tempfile::tempdir().unwrap();
        Token::load_or_create(dir.path()).unwrap();
        fs::set_permissions(dir.path().join("token"), fs::Permissions::from_mode(0o644)).unwrap();
        let error = Token::load_or_create(dir.path()).unwrap_err().to_string();
        assert!(error.contains("0600") && error.contains("0644") && error.contains("delete it"), "{error}");
    }

    #[test]
    fn a_broken_token_file_is_refused_and_left_alone() {
        let dir = tempfile::tempdir().unwrap();
        write_owner_only(&dir.path().join("token"), b"short").unwrap();
        assert!(matches!(Token::load_or_create(dir.path()), Err(TokenError::Content { .. })));
        assert_eq!(fs::read_to_string(dir.path().join("token")).unwrap(), "short\n");
    }
}
