//! The shell of the dead-man's switch: looks at every account's standing, and tells the venues what the machine says. It lives on
//! the safety side, so that it beats only while that does, and looks at the trading thread from outside.

use std::collections::BTreeSet;
use std::sync::Arc;
use std::time::Duration;

use futures_util::future::join_all;
use tokio::time::{MissedTickBehavior, interval, timeout};

use super::safety::Safety;
use crate::actors::names;
use crate::domain::dead_man::{Countdown, DeadMan, Watched};
use crate::domain::restart::RuntimeKind;
use crate::settings::OpenOrders;
use crate::supervision::{Child, ChildContext, ChildFault, ThreadHeartbeat};

/// The shortest switch is 5 s, and its third more than one look.
const LOOK_EVERY: Duration = Duration::from_secs(1);
/// A word that takes longer counts as not heard.
const ANSWER: Duration = Duration::from_secs(3);
/// A look and its words are over by then.
const SILENCE_MAX: Duration = Duration::from_secs(10);
/// An executor publishes its standing with every other beat of the trading thread, twice a second. One that has not for so long
/// stands still, whatever its thread and its supervisor say: it may have longer than the venue's shortest switch before those
/// find it. A busy machine's executor is late by less, and loses no more than one word of three.
const STANDING_FRESH: Duration = Duration::from_secs(3);

#[must_use]
pub fn child(safety: &Arc<Safety>, trading: ThreadHeartbeat) -> Child {
    let safety = Arc::clone(safety);
    let child =
        Child::task(names::plain("dead_man"), RuntimeKind::Services, move |context| watch(context, Arc::clone(&safety), trading.clone()));
    child.heartbeat(SILENCE_MAX)
}

async fn watch(context: ChildContext, safety: Arc<Safety>, trading: ThreadHeartbeat) -> Result<(), ChildFault> {
    let (mut machine, mut beats) = (DeadMan::default(), trading.beats());
    let mut look = interval(LOOK_EVERY);
    look.set_missed_tick_behavior(MissedTickBehavior::Delay);
    context.reporter.ready();
    loop {
        tokio::select! {
            _ = look.tick() => {}
            () = context.stop.cancelled() => break,
        }
        context.reporter.obey_injection().await;
        context.reporter.heartbeat();
        let before = std::mem::replace(&mut beats, trading.beats());
        let accounts = standings(&safety, before != beats);
        for word in tell(&safety, machine.look(safety.plan().around.clock.now(), &accounts)).await {
            machine.unheard(word);
        }
    }
    if safety.plan().settings.load().daemon.on_shutdown == OpenOrders::Keep {
        tell(&safety, machine.stand_down()).await;
    }
    Ok(())
}

fn standings(safety: &Safety, thread_beats: bool) -> Vec<Watched> {
    let (plan, settings) = (safety.plan(), safety.plan().settings.load());
    let (standings, now) = (plan.around.views.accounts(), plan.around.clock.now());
    let accounts = settings.enabled_accounts().map(|account| {
        let standing = standings.get(&account.id);
        let runs = plan.around.directory.lookup(names::executor(account.id).as_str()).is_some();
        let open = standing.iter().flat_map(|standing| &standing.open).map(|report| report.symbol);
        Watched {
            account: account.id,
            after: settings.venue(account.venue).map_or(Duration::ZERO, |venue| venue.dead_mans_switch),
            well: thread_beats && runs && standing.is_some_and(|standing| standing.ready && now.since(standing.view.at) < STANDING_FRESH),
            open_on: open.collect::<BTreeSet<_>>(),
        }
    });
    accounts.collect()
}

/// Says them side by side; those that were not heard.
async fn tell(safety: &Safety, words: Vec<Countdown>) -> Vec<Countdown> {
    let each = words.into_iter().map(async |word| {
        let said = timeout(ANSWER, safety.plan().venue.count_down(word)).await;
        let why = match said {
            Ok(Ok(())) => return None,
            Ok(Err(error)) => error.to_string(),
            Err(_) => format!("no answer within {ANSWER:?}"),
        };
        tracing::warn!(target: "ringfence::venues", account = %word.account, symbol = %word.symbol, why, "the dead-man's switch was not heard");
        Some(word)
    });
    join_all(each).await.into_iter().flatten().collect()
}
