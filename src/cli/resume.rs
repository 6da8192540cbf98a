//! `ringfence resume`: lets trading go on after a halt. Always by a named person with a reason; asks the daemon, decides
//! nothing.

use clap::Args;

use super::client::{RequiredSignature, ScopeArguments, Target, command};
use super::failure::Failure;

/// Let trading go on after a halt, as a named person with a reason
#[derive(Debug, Args)]
#[command(after_help = "Example: ringfence resume --account alpha --by ann --reason \"positions checked at the venue\"")]
pub(super) struct Arguments {
    #[command(flatten)]
    scope: ScopeArguments,
    #[command(flatten)]
    signature: RequiredSignature,
    #[command(flatten)]
    target: Target,
    /// Print the outcome as JSON
    #[arg(long)]
    json: bool,
}

pub(super) fn execute(arguments: Arguments) -> Result<(), Failure> {
    let Arguments { scope, signature, target, json } = arguments;
    command(&target, "/admin/resume", Some(&scope), &signature, json)
}
