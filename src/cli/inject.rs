//! `ringfence inject NAME FAULT`: breaks a supervised child on purpose, for drills. The daemon refuses unless its
//! configuration has `daemon.fault_injection = true`; the command is not in the overview.

use clap::{Args, ValueEnum};
use serde_json::json;

use crate::api::{CommandOutcome, InjectedFault};

use super::client::{Asking, Client, report};
use super::failure::Failure;

/// Break a supervised child on purpose; only where `daemon.fault_injection` is true
#[derive(Debug, Args)]
#[command(hide = true, after_help = "Example: ringfence inject strategy/trend panic")]
pub(super) struct Arguments {
    /// The child's name, as `ringfence status` shows it
    #[arg(value_name = "NAME")]
    child: String,
    fault: Fault,
    #[command(flatten)]
    asking: Asking,
}

#[derive(Debug, Clone, Copy, ValueEnum)]
enum Fault {
    /// Panic in a handler
    Panic,
    /// Wait for ever at an `.await`
    Wedge,
    /// Never come back from a handler
    Spin,
    /// Put a million messages into its mailbox
    Flood,
    /// Refuse the next commit, as a broken disk does; the journal only
    Fail,
    /// Have the exchange carried inside refuse every cancel (`inject exchange refuse-cancels`)
    RefuseCancels,
    /// And take them again
    TakeCancels,
}

impl From<Fault> for InjectedFault {
    fn from(fault: Fault) -> Self {
        match fault {
            Fault::Panic => Self::Panic,
            Fault::Wedge => Self::Wedge,
            Fault::Spin => Self::Spin,
            Fault::Flood => Self::Flood,
            Fault::Fail => Self::Fail,
            Fault::RefuseCancels => Self::RefuseCancels,
            Fault::TakeCancels => Self::TakeCancels,
        }
    }
}

pub(super) fn execute(arguments: Arguments) -> Result<(), Failure> {
    let Arguments { child, fault, asking: Asking { signature, target, json } } = arguments;
    let signature = signature.complete("inject");
    let body = json!({ "by": signature.by, "reason": signature.reason, "fault": InjectedFault::from(fault) });
    let outcome: CommandOutcome = Client::to(&target)?.post(&format!("/admin/inject/{child}"), &body)?;
    report(&outcome, json)
}
