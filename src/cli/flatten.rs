//! `ringfence flatten`: closes positions. Asks the daemon; decides nothing.

use clap::Args;

use super::client::Verb;
use super::failure::Failure;

/// Cancel every open order, close every position at market, and stop opening
#[derive(Debug, Args)]
#[command(after_help = "Example: ringfence flatten --account alpha --by ann --reason \"out before the news\"")]
pub(super) struct Arguments {
    #[command(flatten)]
    verb: Verb,
}

pub(super) fn execute(arguments: Arguments) -> Result<(), Failure> {
    arguments.verb.ask("flatten")
}
