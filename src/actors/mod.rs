//! Thin shells around machines. An actor owns one machine, turns messages into inputs and effects into messages, and does
//! nothing else: no rule of trading is in here. Hot actors live on the trading thread; the kill switch does not.

pub mod alerts;
pub mod executor;
pub mod feed;
pub mod flood;
pub mod journal;
pub mod kill_switch;
pub mod latch_writer;
pub mod market;
pub mod metronome;
pub mod names;
mod order_traces;
mod ports;
pub mod risk_manager;
pub mod rules;
pub mod strategy;

use std::sync::Arc;
use std::time::Duration;

use futures_util::future::BoxFuture;
use tokio::runtime::Handle;

use crate::domain::alerts::Alarm;
use crate::domain::ids::Symbol;
use crate::domain::market_data::{Candle, DepthSnapshot};
use crate::messages::{Board, Clock, HaltGate, KillInbox, KillPost, ModeBoard, Views, Wires, boards::Feeds, boards::Roster};
use crate::supervision::Directory;
use alerts::AlertDesk;
use journal::JournalPort;

/// What every actor may know of the daemon around it. Cheap to clone; nothing in it dies with an actor.
#[derive(Clone)]
pub struct Surroundings {
    pub directory: Directory,
    pub clock: Clock,
    pub board: Board,
    pub modes: ModeBoard,
    pub views: Arc<Views>,
    pub wires: Arc<Wires>,
    pub roster: Roster,
    pub feeds: Feeds,
    pub gate: HaltGate,
    pub inbox: KillInbox,
    pub journal: JournalPort,
    pub alerts: AlertDesk,
    pub history: Arc<dyn History>,
    /// For requests that may take their time; never for anything that trades.
    pub services: Handle,
}

impl Surroundings {
    /// The way to the kill switch for what must be heard.
    #[must_use]
    pub fn kill_switch(&self) -> KillPost {
        KillPost::new(self.inbox.clone(), &self.directory, &names::kill_switch())
    }

    /// Something happened just now that a person must hear of.
    pub fn alarm(&self, alarm: Alarm) {
        self.alerts.raise(&self.journal, self.clock.now(), alarm);
    }
}

/// A venue's past: what a market and a strategy begin with.
pub trait History: Send + Sync {
    fn depth(&self, symbol: Symbol) -> BoxFuture<'static, Result<DepthSnapshot, String>>;

    /// Closed candles, oldest first.
    fn candles(&self, symbol: Symbol, interval: Duration, limit: usize) -> BoxFuture<'static, Result<Vec<Candle>, String>>;
}

/// How long a request for history may take before it counts as failed: venues answer within a second.
const HISTORY_DEADLINE: Duration = Duration::from_secs(5);

/// Asks on the services runtime and hands the answer to `then`. Not a child of anybody because it ends by itself, at the
/// deadline at the latest, and its answer goes to a mailbox that may be gone by then.
fn ask<T: Send + 'static>(
    services: &Handle,
    request: BoxFuture<'static, Result<T, String>>,
    then: impl FnOnce(Result<T, String>) + Send + 'static,
) {
    services.spawn(async move {
        let answer = tokio::time::timeout(HISTORY_DEADLINE, request).await;
        then(answer.unwrap_or_else(|_| Err(format!("expected an answer within {HISTORY_DEADLINE:?}, found none"))));
    });
}
