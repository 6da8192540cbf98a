//! An account's key, from where the settings say it is: variables, a systemd credential, a file that nobody else may read. What is
//! read here goes to the signer and nowhere else.

use std::path::{Path, PathBuf};

use secrecy::SecretString;
use zeroize::Zeroizing;

use crate::settings::KeySource;
use crate::venues::binance::sign::Credentials;

/// A key and a secret are some hundred bytes, a PEM block some two hundred.
const FILE_BYTES_MAX: u64 = 16 << 10;

/// # Errors
/// What was expected where, without the secret.
pub fn load(source: &KeySource) -> Result<Credentials, String> {
    let (key, secret) = match source {
        KeySource::Environment(name) => {
            let variable = |kind: &str| {
                let name = format!("RINGFENCE_{kind}_{name}");
                std::env::var(&name).map_err(|_| format!("expected the variable {name}, found none; set it for the daemon"))
            };
            (variable("KEY")?, Zeroizing::new(variable("SECRET")?))
        }
        KeySource::Credential(name) => {
            let directory = std::env::var_os("CREDENTIALS_DIRECTORY").map(PathBuf::from);
            let directory = directory.ok_or_else(|| {
                format!(
                    "expected the systemd credential {name:?}, found no $CREDENTIALS_DIRECTORY; add LoadCredential={name}:… to the unit"
                )
            })?;
            two_lines(&directory.join(name), false)?
        }
        KeySource::File(path) => two_lines(path, true)?,
    };
    if key.trim().is_empty() || secret.trim().is_empty() {
        return Err("expected a key and a secret, found one of them empty".to_owned());
    }
    Credentials::of(key.trim(), SecretString::from(secret.trim().to_owned())).map_err(|error| error.to_string())
}

/// The key in the first line, the secret in what follows, which is one line or a PEM block.
fn two_lines(path: &Path, own: bool) -> Result<(String, Zeroizing<String>), String> {
    let shown = path.display();
    let unreadable = |error: std::io::Error| format!("{shown}: expected a file with a key and a secret, found: {error}");
    let about = std::fs::metadata(path).map_err(unreadable)?;
    if own {
        check_owner(path, &about)?;
    }
    if about.len() > FILE_BYTES_MAX {
        return Err(format!("{shown}: expected a key and a secret in at most {FILE_BYTES_MAX} bytes, found {}", about.len()));
    }
    let text = Zeroizing::new(std::fs::read_to_string(path).map_err(unreadable)?);
    let (key, secret) =
        text.trim().split_once('\n').ok_or_else(|| format!("{shown}: expected the key in one line and the secret in the next"))?;
    Ok((key.trim().to_owned(), Zeroizing::new(secret.trim().to_owned())))
}

#[cfg(unix)]
fn check_owner(path: &Path, about: &std::fs::Metadata) -> Result<(), String> {
    use std::os::unix::fs::PermissionsExt as _;
    let mode = about.permissions().mode() & 0o777;
    if mode & 0o077 == 0 {
        return Ok(());
    }
    let shown = path.display();
    Err(format!("{shown}: expected a file that its owner alone may read (0600), found {mode:04o}; run: chmod 600 {shown}"))
}

#[cfg(test)]
mod tests {
    use std::os::unix::fs::PermissionsExt as _;

    use super::*;

    fn file(text: &str, mode: u32) -> (tempfile::TempDir, KeySource) {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("key");
        std::fs::write(&path, text).unwrap();
        std::fs::set_permissions(&path, std::fs::Permissions::from_mode(mode)).unwrap();
        (folder, KeySource::File(path))
    }

    #[test]
    fn a_file_that_others_may_read_is_refused_and_its_secret_is_never_shown() {
        let (_folder, source) = file("the-key\nthe-secret\n", 0o640);
        let refused = load(&source).unwrap_err();
        assert!(refused.contains("0640") && refused.contains("chmod 600") && !refused.contains("the-"), "{refused}");
        let (_folder, source) = file("the-key\nthe-secret\n", 0o600);
        let credentials = load(&source).unwrap();
        assert_eq!(credentials.api_key(), "the-key");
        assert!(!format!("{credentials:?}").contains("the-"));
    }

    #[test]
    fn what_is_no_key_says_what_was_expected() {
        for (text, expected) in [("only-one-line", "in the next"), ("key\n\n", "in the next"), ("", "in the next")] {
            let (_folder, source) = file(text, 0o600);
            let error = load(&source).unwrap_err();
            assert!(error.contains(expected), "{error}");
        }
        let error = load(&KeySource::Environment("NOT_SET_ANYWHERE".to_owned())).unwrap_err();
        assert!(error.contains("RINGFENCE_KEY_NOT_SET_ANYWHERE"), "{error}");
        let error = load(&KeySource::File("/nowhere/key".into())).unwrap_err();
        assert!(error.contains("/nowhere/key"), "{error}");
    }
}
