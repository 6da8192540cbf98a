//! `ringfence cancel`: cancels open orders and leaves modes as they are. Asks the daemon; decides nothing.

use clap::Args;

use super::client::{ScopeArguments, Signature, Target, command};
use super::failure::Failure;

/// Cancel every open order, or those of one account, strategy or symbol
#[derive(Debug, Args)]
#[command(after_help = "Example: ringfence cancel --symbol BTCUSDT")]
pub(super) struct Arguments {
    #[command(flatten)]
    scope: ScopeArguments,
    #[command(flatten)]
    signature: Signature,
    #[command(flatten)]
    target: Target,
    /// Print the outcome as JSON
    #[arg(long)]
    json: bool,
}

pub(super) fn execute(arguments: Arguments) -> Result<(), Failure> {
    let Arguments { scope, signature, target, json } = arguments;
    command(&target, "/admin/cancel", Some(&scope), &signature.complete("cancel"), json)
}
