//! The ordered stop: not ready, no new intents, open orders as configured, trees down in reverse, journal closed. Each step
//! has its share of the deadline; one that misses it is named and the next one goes on.

use std::sync::Arc;
use std::time::Duration;

use tokio::time::{Instant, timeout};

use super::control::DaemonControl;
use super::tree::Plan;
use crate::actors::names;
use crate::domain::ids::AccountId;
use crate::domain::order::{VenueCommand, VenueEvent};
use crate::settings::OpenOrders;
use crate::supervision::{SupervisorHandle, shutdown};

/// How long one question to the venue may take while stopping.
const ANSWER: Duration = Duration::from_secs(1);
/// Between two looks at what an account still has open.
const LOOK_AGAIN: Duration = Duration::from_millis(50);

/// Stops the trees. Says what did not go in order.
pub async fn stop(plan: &Arc<Plan>, control: &DaemonControl, roots: Vec<SupervisorHandle>) -> Vec<String> {
    let settings = plan.settings.load_full();
    let deadline = Instant::now() + settings.daemon.shutdown_deadline;
    control.stopping();
    let mut complaints = Vec::new();
    stop_strategies(plan, &roots, deadline).await;
    if settings.daemon.on_shutdown == OpenOrders::Cancel {
        for account in plan.around.roster.get().accounts.clone() {
            if let Err(why) = cancel_all(plan, account, deadline).await {
                complaints.push(format!("open orders of {account}: {why}"));
            }
        }
    }
    let left = deadline.saturating_duration_since(Instant::now()).max(ANSWER);
    for report in shutdown::stop_roots(&plan.around.directory, roots, left).await {
        if !report.is_clean() {
            complaints.push(format!("{} expected to stop in order, found {:?}", report.root, report.outcome));
        }
    }
    complaints
}

/// With the strategies' level gone there is nobody left who could propose.
async fn stop_strategies(plan: &Arc<Plan>, roots: &[SupervisorHandle], deadline: Instant) {
    let strategies = names::plain("strategies");
    for root in roots.iter().filter(|root| *root.name() == names::plain("trading")) {
        // A root that is gone has no strategies either.
        let _ = root.actor().remove(&strategies);
    }
    while plan.around.directory.lookup(strategies.as_str()).is_some() && Instant::now() < deadline {
        tokio::time::sleep(LOOK_AGAIN).await;
    }
}

/// Until the venue shows none and the executor has booked their ends, or time is up.
async fn cancel_all(plan: &Arc<Plan>, account: AccountId, deadline: Instant) -> Result<(), String> {
    let ask = |command| {
        let answer = plan.venue.ask(account, command);
        async { timeout(ANSWER, answer).await.map_err(|_| "no answer from the venue".to_owned())?.map_err(|error| error.to_string()) }
    };
    loop {
        ask(VenueCommand::CancelAll { symbol: None }).await?;
        let events = ask(VenueCommand::Snapshot { trades_after: u64::MAX }).await?;
        let open = events.iter().find_map(|event| match event {
            VenueEvent::SnapshotIs(snapshot) => Some(snapshot.open_orders.len()),
            _ => None,
        });
        let booked = plan.around.views.accounts().get(&account).is_none_or(|standing| standing.open.is_empty());
        match open {
            Some(0) if booked => return Ok(()),
            Some(count) if Instant::now() >= deadline => return Err(format!("the venue still shows {count}, or their ends are not booked")),
            None => return Err("the venue gave no snapshot".to_owned()),
            Some(_) => tokio::time::sleep(LOOK_AGAIN).await,
        }
    }
}
