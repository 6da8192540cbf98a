//! `ringfence flatten`: closes positions. Asks the daemon; decides nothing.

use clap::Args;

use super::client::{ScopeArguments, Signature, Target, command};
use super::failure::Failure;

/// Cancel every open order, close every position at market, and stop opening
#[derive(Debug, Args)]
#[command(after_help = "Example: ringfence flatten --account alpha --by ann --reason \"out before the news\"")]
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
    command(&target, "/admin/flatten", Some(&scope), &signature.complete("flatten"), json)
}
