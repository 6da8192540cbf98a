//! `ringfence run`: the daemon.

use crate::cli::{Failure, RunOptions};
use crate::strategies::Registry;

/// # Errors
/// When the daemon cannot be started, or ended in a halt.
pub fn run(_options: RunOptions, _registry: &Registry) -> Result<(), Failure> {
    Err(Failure::failed("run is being assembled"))
}
