//! Where the daemon is and how a command may speak to it: `api.json` and `token` in the data directory, written by the
//! daemon and read by the commands.

use std::path::{Path, PathBuf};

use serde::{Deserialize, Serialize};

use super::token::{self, TokenError};

const FILE_NAME: &str = "api.json";

/// Why a command cannot find the daemon.
#[derive(Debug, thiserror::Error)]
pub enum EndpointError {
    #[error("{path} expected the address of a running daemon, found: {why}; start one with `ringfence run`, or name its --data-dir")]
    Address { path: PathBuf, why: String },
    #[error(transparent)]
    Token(#[from] TokenError),
}

#[derive(Serialize, Deserialize)]
struct Address {
    url: String,
}

/// A daemon's address and the token that it takes.
#[derive(Clone)]
pub struct Endpoint {
    /// Without a slash at the end: `http://127.0.0.1:8080`.
    pub url: String,
    pub token: String,
}

impl Endpoint {
    /// What the daemon of that data directory left for its commands. The daemon may be gone by now.
    ///
    /// # Errors
    /// When no daemon ever ran there, or its files cannot be read.
    pub fn read(data_dir: &Path) -> Result<Self, EndpointError> {
        let path = data_dir.join(FILE_NAME);
        let refuse = |why: String| EndpointError::Address { path: path.clone(), why };
        let text = std::fs::read_to_string(&path).map_err(|error| refuse(error.to_string()))?;
        let Address { url } = serde_json::from_str(&text).map_err(|error| refuse(error.to_string()))?;
        Self::at(url, data_dir)
    }

    /// A daemon at a known address, with the token of that data directory.
    ///
    /// # Errors
    /// When the token cannot be read.
    pub fn at(url: String, data_dir: &Path) -> Result<Self, EndpointError> {
        Ok(Self { url: url.trim_end_matches('/').to_owned(), token: token::read_text(data_dir)? })
    }
}

pub(super) fn write_address(data_dir: &Path, url: &str) -> Result<(), EndpointError> {
    let path = data_dir.join(FILE_NAME);
    let refuse = |why: String| EndpointError::Address { path: path.clone(), why };
    let text = serde_json::to_string(&Address { url: url.to_owned() }).map_err(|error| refuse(error.to_string()))?;
    token::write_owner_only(&path, text.as_bytes()).map_err(|error| refuse(error.to_string()))
}
