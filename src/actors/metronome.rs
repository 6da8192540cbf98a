//! The beat of the trading thread: one supervised task posts a tick to everybody that wants one, instead of a timer for
//! each, and leads the daemon's clock after the wall's. It decides nothing; who gets a tick is in the roster.

use std::time::Duration;

use tokio::time::MissedTickBehavior;

use super::{Surroundings, names};
use crate::domain::restart::{ChildName, ChildView};
use crate::messages::clock::WallStep;
use crate::messages::{ExecutorMessage, MarketMessage, Post, RiskMessage, StrategyMessage};
use crate::supervision::{ChildContext, ChildFault, Directory};
use crate::telemetry::events::ClockStepped;
use crate::telemetry::metrics;

/// Bars close and silence shows within this: a tenth of the shortest bar that strategies use.
const BEAT: Duration = Duration::from_millis(100);
/// Executors, risk and strategies hear every how many-th beat: their deadlines are seconds.
const SLOW_BEATS: u32 = 5;
/// Whoever hears ticks tells how full its tables are with every so many-th: every two seconds, which is as often as anybody looks.
const TABLES_EVERY: u32 = 4;

/// Counts an actor's ticks until it is time to tell of its tables.
#[derive(Debug, Clone, Copy, Default)]
pub struct TellTables(u32);

impl TellTables {
    pub fn is_time(&mut self) -> bool {
        self.0 = (self.0 + 1) % TABLES_EVERY;
        self.0 == 0
    }
}

/// A wall clock further away than this was set, or the machine slept.
const STEP_TOLD: Duration = Duration::from_secs(1);

/// # Errors
/// Never by itself; it ends when it is asked to.
pub async fn beat(context: ChildContext, around: Surroundings) -> Result<(), ChildFault> {
    let mut beats = tokio::time::interval(BEAT);
    // After a stall one tick is as good as ten.
    beats.set_missed_tick_behavior(MissedTickBehavior::Delay);
    context.reporter.ready();
    for count in 0u32.. {
        tokio::select! {
            _ = beats.tick() => {}
            () = context.stop.cancelled() => break,
        }
        context.reporter.obey_injection().await;
        context.reporter.heartbeat();
        follow_wall(&around);
        let roster = around.roster.get();
        for symbol in &roster.symbols {
            tell(&around, &names::market(*symbol), MarketMessage::Tick);
        }
        if count.is_multiple_of(SLOW_BEATS) {
            for account in &roster.accounts {
                tell(&around, &names::executor(*account), ExecutorMessage::Tick);
            }
            tell(&around, &names::risk_manager(), RiskMessage::Tick);
            for strategy in roster.strategies.keys() {
                tell(&around, &names::strategy(*strategy), StrategyMessage::Tick);
            }
        }
    }
    Ok(())
}

/// Small corrections are the time server's daily work; what is told is a step.
fn follow_wall(around: &Surroundings) {
    let (ahead, by) = match around.clock.follow_wall() {
        Some(WallStep::Ahead(by)) => (true, by),
        Some(WallStep::Behind(by)) => (false, by),
        None => return,
    };
    if by >= STEP_TOLD {
        ClockStepped { ahead, by }.emit();
    }
}

fn tell<M: std::fmt::Debug + Send + 'static>(around: &Surroundings, name: &ChildName, message: M) {
    // A full mailbox is behind already: ticks on top would only make it deeper.
    let behind = around.directory.gauge(name.as_str()).is_some_and(|gauge| !gauge.has_room());
    if !behind {
        Post::new(&around.directory, name).tell(message);
    }
}

/// Depths and alarms of every mailbox, for metrics and the event stream.
pub fn watch_mailboxes(directory: &Directory, mut alarm: impl FnMut(&ChildView, usize, usize)) {
    for child in directory.children() {
        let Some(gauge) = directory.gauge(child.name.as_str()) else { continue };
        metrics::mailbox_depth(child.name.as_str(), gauge.depth());
        if gauge.take_alarm() {
            alarm(&child, gauge.high_water(), gauge.bound());
        }
    }
}
