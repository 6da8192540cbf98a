//! The ordered stop: not ready, no new intents, open orders as configured, trees down in reverse, journal closed. Each step
//! has its share of the deadline; one that misses it is named and the next one goes on. Accounts stop side by side: a slow venue
//! takes its own accounts' time.

use std::sync::Arc;
use std::time::Duration;

use futures_util::future::join_all;
use tokio::time::{Instant, timeout};

use super::control::DaemonControl;
use super::tree::Plan;
use crate::actors::names;
use crate::domain::ids::AccountId;
use crate::domain::order::{OrderStatus, TradesWanted, VenueCommand, VenueEvent};
use crate::domain::restart::ChildName;
use crate::domain::time::Timestamp;
use crate::messages::boards::AccountStanding;
use crate::settings::OpenOrders;
use crate::supervision::{SupervisorHandle, shutdown};
use crate::venues::port::Venue;

/// What the trees have at least to go down in, whatever the venues took.
const TREES: Duration = Duration::from_secs(1);
/// The shortest time that one question to a venue may take. A question is several requests, one after another in part.
const ANSWER_MIN: Duration = Duration::from_secs(1);
/// Between two looks at what an account still has open here.
const LOOK_AGAIN: Duration = Duration::from_millis(50);
/// Between two questions to the venue, which weigh much: from the one to the other.
const ASK_AGAIN: [Duration; 2] = [Duration::from_millis(50), Duration::from_secs(1)];
/// How far an executor may be behind its mailbox when it publishes its standing: a beat, and far more than it ever is.
const EXECUTOR_LAG: Duration = Duration::from_millis(100);

/// How long a venue is waited for: until then in all, and so long for one question.
#[derive(Debug, Clone, Copy)]
pub struct Patience {
    deadline: Instant,
    answer: Duration,
}

impl Patience {
    /// A venue that answers a question in a third of the time can be asked to cancel, and asked whether it did; one that does not is
    /// asked again before the time is over.
    #[must_use]
    pub fn within(time: Duration) -> Self {
        Self { deadline: Instant::now() + time, answer: (time / 3).max(ANSWER_MIN) }
    }

    fn is_over(&self) -> bool {
        Instant::now() >= self.deadline
    }
}

/// Stops the trees. Says what did not go in order.
pub async fn stop(plan: &Arc<Plan>, control: &DaemonControl, roots: Vec<SupervisorHandle>) -> Vec<String> {
    let settings = plan.settings.load_full();
    let patience = Patience::within(settings.daemon.shutdown_deadline);
    let deadline = patience.deadline;
    control.stopping();
    let mut complaints = Vec::new();
    // With the strategies gone nobody proposes; with risk gone nothing is approved that is still on its way.
    take_down(plan, &roots, names::plain("strategies"), deadline).await;
    take_down(plan, &roots, names::risk_manager(), deadline).await;
    let since = plan.around.clock.now();
    let accounts = plan.around.roster.get().accounts.clone();
    let each = accounts.into_iter().map(async |account| {
        let done = match settings.daemon.on_shutdown {
            OpenOrders::Cancel => cancel_all(plan, account, since, patience).await,
            OpenOrders::Keep => answered(plan, account, since, patience).await,
        };
        done.err().map(|why| format!("open orders of {account}: {why}"))
    });
    complaints.extend(join_all(each).await.into_iter().flatten());
    let left = deadline.saturating_duration_since(Instant::now()).max(TREES);
    for report in shutdown::stop_roots(&plan.around.directory, roots, left).await {
        if !report.is_clean() {
            complaints.push(format!("{} expected to stop in order, found {:?}", report.root, report.outcome));
        }
    }
    complaints
}

/// Takes one of the trading root's children out, with everything below it.
async fn take_down(plan: &Arc<Plan>, roots: &[SupervisorHandle], name: ChildName, deadline: Instant) {
    for root in roots.iter().filter(|root| *root.name() == names::plain("trading")) {
        // A root that is gone has no children either.
        let _ = root.actor().remove(&name);
    }
    while plan.around.directory.lookup(name.as_str()).is_some() && Instant::now() < deadline {
        tokio::time::sleep(LOOK_AGAIN).await;
    }
}

/// Whether the account's executor has no order of that kind left, after it has seen everything that risk approved until
/// `since`. One that is down has nothing to say.
fn settled(plan: &Plan, account: AccountId, since: Timestamp, unsettled: fn(OrderStatus) -> bool) -> bool {
    if plan.around.directory.lookup(names::executor(account).as_str()).is_none() {
        return true;
    }
    let standings = plan.around.views.accounts();
    let seen = |standing: &&Arc<AccountStanding>| standing.view.at > since + EXECUTOR_LAG;
    standings.get(&account).filter(seen).is_some_and(|standing| !standing.open.iter().any(|order| unsettled(order.status)))
}

/// Until no order of the account is on its way, or time is up: what is kept stands at the venue and in the journal.
async fn answered(plan: &Plan, account: AccountId, since: Timestamp, patience: Patience) -> Result<(), String> {
    let on_its_way = |status| matches!(status, OrderStatus::Persisting | OrderStatus::Submitted);
    while !settled(plan, account, since, on_its_way) {
        if patience.is_over() {
            return Err("the venue has not answered about every one of them".to_owned());
        }
        tokio::time::sleep(LOOK_AGAIN).await;
    }
    Ok(())
}

/// Until the venue shows none and the executor has booked their ends, or time is up.
async fn cancel_all(plan: &Arc<Plan>, account: AccountId, since: Timestamp, patience: Patience) -> Result<(), String> {
    // An order whose outcome the venue does not tell yet is no order that it shows: the next start asks on.
    let booked = || settled(plan, account, since, |status| !status.is_terminal() && status != OrderStatus::Unknown);
    cancel_at_venue(plan.venue.as_ref(), account, patience, booked).await
}

/// Until the venue shows no open order and `booked` holds, or time is up. A venue that does not answer is asked again: it
/// may be overloaded or on its way back, and the orders are open meanwhile.
pub async fn cancel_at_venue(venue: &dyn Venue, account: AccountId, patience: Patience, booked: impl Fn() -> bool) -> Result<(), String> {
    let mut wait = ASK_AGAIN[0];
    loop {
        let why = match cancel_and_look(venue, account, patience.answer).await {
            Ok(0) if booked() => return Ok(()),
            Ok(0) => "the venue shows none, and their ends are not booked".to_owned(),
            Ok(count) => format!("the venue still shows {count}"),
            Err(why) => why,
        };
        if patience.is_over() {
            return Err(why);
        }
        tokio::time::sleep(wait).await;
        wait = (wait * 2).min(ASK_AGAIN[1]);
    }
}

/// How many orders the venue shows after they were to be cancelled, or may show yet.
async fn cancel_and_look(venue: &dyn Venue, account: AccountId, within: Duration) -> Result<usize, String> {
    let ask = |command| {
        let answer = venue.ask(account, command);
        async { timeout(within, answer).await.map_err(|_| "no answer from the venue".to_owned())?.map_err(|error| error.to_string()) }
    };
    ask(VenueCommand::CancelAll { symbol: None }).await?;
    let events = ask(VenueCommand::Snapshot { trades: TradesWanted::new() }).await?;
    let open = events.iter().find_map(|event| match event {
        VenueEvent::SnapshotIs(snapshot) => Some(snapshot.open_orders.len() + snapshot.on_their_way),
        _ => None,
    });
    open.ok_or_else(|| "the venue gave no snapshot".to_owned())
}

#[cfg(test)]
mod tests {
    use std::collections::VecDeque;
    use std::sync::Mutex;

    use futures_util::FutureExt;
    use futures_util::future::BoxFuture;
    use futures_util::stream::BoxStream;

    use super::*;
    use crate::domain::order::VenueSnapshot;
    use crate::venues::port::NotTaken;

    /// What the venue does with one command.
    #[derive(Clone, Copy)]
    enum Answer {
        Refuse,
        Never,
        WithoutSnapshot,
        Well,
    }

    /// Does as it is told, then well.
    struct Script(Mutex<VecDeque<Answer>>);

    impl Venue for Script {
        fn send(&self, _: AccountId, _: VenueCommand) -> Result<(), NotTaken> {
            Ok(())
        }

        fn listen(&self, _: AccountId) -> Result<BoxStream<'static, crate::venues::port::Heard>, NotTaken> {
            Err(NotTaken { found: "no stream".to_owned() })
        }

        fn ask(&self, _: AccountId, command: VenueCommand) -> BoxFuture<'static, Result<Vec<VenueEvent>, NotTaken>> {
            let answer = self.0.lock().unwrap().pop_front().unwrap_or(Answer::Well);
            async move {
                match (answer, command) {
                    (Answer::Refuse, _) => Err(NotTaken { found: "a closed connection".to_owned() }),
                    (Answer::Never, _) => std::future::pending().await,
                    (Answer::Well, VenueCommand::Snapshot { .. }) => Ok(vec![VenueEvent::SnapshotIs(VenueSnapshot::default())]),
                    _ => Ok(Vec::new()),
                }
            }
            .boxed()
        }
    }

    async fn cancel(answers: &[Answer], within: Duration) -> Result<(), String> {
        let venue = Script(Mutex::new(answers.iter().copied().collect()));
        cancel_at_venue(&venue, AccountId::new("main").unwrap(), Patience::within(within), || true).await
    }

    #[tokio::test(start_paused = true)]
    async fn a_venue_that_misses_an_answer_is_asked_again_until_the_deadline() {
        use Answer::{Never, Refuse, Well, WithoutSnapshot};
        let long = Duration::from_secs(5);
        assert_eq!(cancel(&[], long).await, Ok(()));
        assert_eq!(cancel(&[Refuse, Never, Well, WithoutSnapshot, Well, Refuse], long).await, Ok(()));
        let began = Instant::now();
        assert_eq!(cancel(&[Never; 100], long).await, Err("no answer from the venue".to_owned()));
        assert!(began.elapsed() >= long && began.elapsed() < long * 2, "{:?}", began.elapsed());
        let refused = cancel(&[Refuse; 1_000], long).await.unwrap_err();
        assert!(refused.contains("a closed connection"), "{refused}");
    }
}
