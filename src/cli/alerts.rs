//! `ringfence alerts`: what a person must hear of, and the word that one has. Asks the daemon; decides nothing.

use clap::{Args, Subcommand};

use crate::api::AlertsView;
use crate::api::view::AlertView;

use super::client::{Client, RequiredSignature, Target, command};
use super::failure::Failure;
use super::output;

/// Show the alerts that nobody has acknowledged, or acknowledge one as a named person with a reason
#[derive(Debug, Args)]
#[command(
    after_help = "Example: ringfence alerts ack 12 --by ann --reason \"restarted the relay\"",
    args_conflicts_with_subcommands = true
)]
pub(super) struct Arguments {
    #[command(subcommand)]
    act: Option<Act>,
    #[command(flatten)]
    listing: Listing,
}

#[derive(Debug, Args)]
struct Listing {
    /// Those that were acknowledged last, too
    #[arg(long)]
    all: bool,
    #[command(flatten)]
    target: Target,
    /// Print the alerts as JSON
    #[arg(long)]
    json: bool,
}

#[derive(Debug, Subcommand)]
enum Act {
    /// You have heard of it; what happens again is a new alert
    #[command(after_help = "Example: ringfence alerts ack 12 --by ann --reason \"restarted the relay\"")]
    Ack {
        /// The alert's number
        #[arg(value_name = "ID")]
        id: u64,
        #[command(flatten)]
        signature: RequiredSignature,
        #[command(flatten)]
        target: Target,
        /// Print the outcome as JSON
        #[arg(long)]
        json: bool,
    },
}

pub(super) fn execute(arguments: Arguments) -> Result<(), Failure> {
    match arguments.act {
        Some(Act::Ack { id, signature, target, json }) => command(&target, &format!("/admin/alerts/{id}/ack"), None, &signature, json),
        None => list(&arguments.listing),
    }
}

fn list(listing: &Listing) -> Result<(), Failure> {
    let answer = Client::to(&listing.target)?.get("/alerts")?;
    if listing.json {
        return output::print_json(&answer);
    }
    let alerts: AlertsView = serde_json::from_value(answer)
        .map_err(|error| Failure::failed(format!("/alerts expected to be as this version's daemon makes it, found: {error}")))?;
    if alerts.open.is_empty() && !listing.all {
        return output::print("no alert waits for anybody\n");
    }
    let mut table = output::table(["alert", "raised", "severity", "kind", "times", "heard by", "what"]);
    let heard = alerts.acknowledged.iter().filter(|_| listing.all).map(|known| (&known.alert, format!("{}: {}", known.by, known.reason)));
    let open = alerts.open.iter().map(|alert| (alert, louder(alert)));
    for (alert, by) in heard.chain(open) {
        table.add_row([
            alert.id.to_string(),
            alert.raised_at.to_string(),
            alert.severity.to_string(),
            alert.kind.to_string(),
            alert.times.to_string(),
            by,
            alert.text.clone(),
        ]);
    }
    output::print(&format!("{table}\n"))
}

fn louder(alert: &AlertView) -> String {
    if alert.level == 0 { "nobody".to_owned() } else { format!("nobody, told {} times louder", alert.level) }
}
