//! `ringfence cancel`: cancels open orders and leaves modes as they are. Asks the daemon; decides nothing.

use clap::Args;

use super::client::Verb;
use super::failure::Failure;

/// Cancel every open order, or those of one account, strategy or symbol
#[derive(Debug, Args)]
#[command(after_help = "Example: ringfence cancel --symbol BTCUSDT")]
pub(super) struct Arguments {
    #[command(flatten)]
    verb: Verb,
}

pub(super) fn execute(arguments: Arguments) -> Result<(), Failure> {
    arguments.verb.ask("cancel")
}
