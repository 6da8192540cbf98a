//! `ringfence override`: lets one order of an account past named limits, by a named person, for a while. Asks the daemon, which
//! grants it or says why not; decides nothing.

use std::time::Duration;

use clap::Args;
use serde_json::json;

use super::client::{Client, RequiredSignature, Target, report};
use super::failure::Failure;
use crate::api::CommandOutcome;
use crate::domain::ids::{AccountId, Symbol};
use crate::domain::mode::Scope;
use crate::settings::parse_duration;

/// Let one order past named limits, as a named person with a reason
#[derive(Debug, Args)]
#[command(
    after_help = "Example: ringfence override --account alpha --symbol BTCUSDT --control price_collar --for 60s --by ann --reason \"auction print\""
)]
pub(super) struct Arguments {
    /// The account whose next order may pass
    #[arg(long, value_name = "ID")]
    account: AccountId,
    /// The symbol of that order
    #[arg(long, value_name = "NAME")]
    symbol: Symbol,
    /// A control that may be passed, as refusals name it; give it again for another
    #[arg(long = "control", value_name = "NAME", required = true)]
    controls: Vec<String>,
    /// How long it waits for its order
    #[arg(long = "for", value_name = "TIME", value_parser = time, default_value = "60s")]
    lasts: Duration,
    #[command(flatten)]
    signature: RequiredSignature,
    #[command(flatten)]
    target: Target,
    /// Print the outcome as JSON
    #[arg(long)]
    json: bool,
}

fn time(text: &str) -> Result<Duration, String> {
    let whole = parse_duration(text).filter(|time| time.subsec_nanos() == 0 && !time.is_zero());
    whole.ok_or_else(|| format!("expected whole seconds, minutes or hours such as \"60s\", found {text:?}"))
}

pub(super) fn execute(arguments: Arguments) -> Result<(), Failure> {
    let Arguments { account, symbol, controls, lasts, signature: RequiredSignature { by, reason }, target, json } = arguments;
    let (scope, seconds) = (Scope::Account(account), lasts.as_secs());
    let body = json!({ "scope": scope, "symbol": symbol, "controls": controls, "seconds": seconds, "by": by, "reason": reason });
    let outcome: CommandOutcome = Client::to(&target)?.post("/admin/override", &body)?;
    report(&outcome, json)
}
