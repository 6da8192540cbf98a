//! `ringfence halt`: stops everything, an account, a strategy or a symbol. Asks the daemon; decides nothing.

use clap::Args;

use super::client::{ScopeArguments, Signature, Target, command};
use super::failure::Failure;

/// Stop opening orders and cancel the open ones; latched until a named person resumes
#[derive(Debug, Args)]
#[command(after_help = "Example: ringfence halt --account alpha --by ann --reason \"fills look wrong\"")]
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
    command(&target, "/admin/halt", Some(&scope), &signature.complete("halt"), json)
}
