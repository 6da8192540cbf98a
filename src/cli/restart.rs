//! `ringfence restart NAME`: has a supervised child stopped and started again. Asks the daemon; decides nothing.

use clap::Args;

use super::client::{Asking, command};
use super::failure::Failure;

/// Stop a supervised child and start it again; `ringfence status` shows the names
#[derive(Debug, Args)]
#[command(after_help = "Example: ringfence restart executor/alpha --by ann --reason \"drill\"")]
pub(super) struct Arguments {
    /// The child's name
    #[arg(value_name = "NAME")]
    child: String,
    #[command(flatten)]
    asking: Asking,
}

pub(super) fn execute(arguments: Arguments) -> Result<(), Failure> {
    let Arguments { child, asking: Asking { signature, target, json } } = arguments;
    command(&target, &format!("/admin/restart/{child}"), None, &signature.complete("restart"), json)
}
