//! `ringfence halt`: stops everything, an account, a strategy or a symbol. Asks the daemon; decides nothing.

use clap::Args;

use super::client::Verb;
use super::failure::Failure;

/// Stop opening orders and cancel the open ones; latched until a named person resumes
#[derive(Debug, Args)]
#[command(after_help = "Example: ringfence halt --account alpha --by ann --reason \"fills look wrong\"")]
pub(super) struct Arguments {
    #[command(flatten)]
    verb: Verb,
}

pub(super) fn execute(arguments: Arguments) -> Result<(), Failure> {
    arguments.verb.ask("halt")
}
