//! `ringfence restart NAME`: has a supervised child stopped and started again. Asks the daemon; decides nothing.

use clap::Args;

use super::client::{Signature, Target, command};
use super::failure::Failure;

/// Stop a supervised child and start it again; `ringfence status` shows the names
#[derive(Debug, Args)]
#[command(after_help = "Example: ringfence restart executor/alpha --by ann --reason \"drill\"")]
pub(super) struct Arguments {
    /// The child's name
    #[arg(value_name = "NAME")]
    child: String,
    #[command(flatten)]
    signature: Signature,
    #[command(flatten)]
    target: Target,
    /// Print the outcome as JSON
    #[arg(long)]
    json: bool,
}

pub(super) fn execute(arguments: Arguments) -> Result<(), Failure> {
    let Arguments { child, signature, target, json } = arguments;
    command(&target, &format!("/admin/restart/{child}"), None, &signature.complete("restart"), json)
}
