//! The faults of a running product: the machine behind a lock, a flag that says whether there is anything to ask it, the engine
//! as it was for stale answers, and the word to the sockets. Arming what is done at once is `actions`'s matter.

use std::collections::BTreeMap;
use std::net::IpAddr;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use arc_swap::ArcSwap;
use serde::Serialize;
use tokio::sync::{Notify, broadcast};

use crate::domain::ids::{AccountId, Symbol};
use crate::domain::time::Timestamp;
use crate::exchange::core::Exchange;
use crate::exchange::shell::{ExchangeStopped, Fault};

use super::super::venue::Venue;
use super::{Action, Arming, EventFate, Faults, Kind, Listing, RequestFate, Rule, Schedule, Scope, Sockets, Word, actions, checks};

/// Words to the sockets that one may be behind by. Who misses one misses a cut, and is cut by the next.
const WORDS_BACKLOG: usize = 64;
/// How often rules run out and schedules come due, while there are any.
const TICK: Duration = Duration::from_millis(20);

/// Why a fault cannot be armed.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum FaultError {
    #[error("the fault expected {expected}, found none; add it to the request")]
    Missing { expected: &'static str },
    #[error("the fault expected {expected}, found {found}")]
    Unfit { expected: &'static str, found: String },
    #[error(transparent)]
    Stopped(#[from] ExchangeStopped),
}

/// An armed fault as `GET /faults` shows it.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct Listed {
    pub id: u64,
    #[serde(flatten)]
    pub rule: Rule,
    /// How often it will hit still; none: until it ends.
    pub left: Option<u32>,
}

/// The faults of one product.
#[derive(Debug)]
pub struct FaultDesk {
    armed: AtomicBool,
    machine: Mutex<Faults>,
    changed: Notify,
    words: broadcast::Sender<Word>,
    /// The engine as it was when stale answers were asked for.
    past: Mutex<Option<Arc<Mutex<Exchange>>>>,
    /// Symbols whose rules are not the engine's any more.
    listings: ArcSwap<BTreeMap<Symbol, Listing>>,
}

impl FaultDesk {
    #[must_use]
    pub fn new(spot: bool) -> Self {
        Self {
            armed: AtomicBool::new(false),
            machine: Mutex::new(Faults::new(spot)),
            changed: Notify::new(),
            words: broadcast::channel(WORDS_BACKLOG).0,
            past: Mutex::new(None),
            listings: ArcSwap::default(),
        }
    }

    /// Arms a fault, or does at once what is done at once. The number of an armed one.
    ///
    /// # Errors
    /// When something that it needs is missing, what it names is not there, or the engine is gone.
    pub async fn arm(venue: &Arc<Venue>, rule: Rule) -> Result<Option<u64>, FaultError> {
        let desk = venue.faults();
        checks::rule(venue, &rule).await?;
        if rule.fault == Kind::Stale {
            desk.remember(venue).await?;
        }
        let word = rule.word_to_sockets();
        let armed = desk.change(|machine| machine.arm(venue.true_now(), rule));
        word.into_iter().for_each(|word| desk.tell(word));
        match armed {
            Arming::Waits(number) => Ok(Some(number)),
            Arming::Now(action) => actions::carry_out(venue, action).await.map(|()| None),
        }
    }

    /// Faults at random from now on.
    ///
    /// # Errors
    /// When one of its faults lacks what it is to be done to, or what it names is not there.
    pub async fn follow(venue: &Arc<Venue>, schedule: Schedule) -> Result<(), FaultError> {
        checks::schedule(venue, &schedule).await?;
        venue.faults().change(|machine| machine.follow(venue.true_now(), schedule));
        Ok(())
    }

    /// Nothing is wrong any more, and nothing will be: neither what was armed nor what went on without being asked for.
    pub fn disarm(venue: &Venue) {
        let desk = venue.faults();
        desk.change(Faults::disarm);
        *desk.past() = None;
        desk.listings.store(Arc::default());
        venue.limits().lift_bans();
        // With nobody connected there is nobody to tell, and an exchange that has stopped is not frozen.
        let _ = desk.words.send(Word::Mend);
        let _ = venue.exchange().inject(Fault::Freeze(Duration::ZERO));
    }

    #[must_use]
    pub fn listed(&self) -> (Vec<Listed>, Option<Schedule>) {
        let machine = self.machine();
        let listed =
            machine.armed().map(|(id, rule, left)| Listed { id, rule: rule.clone(), left: Some(left).filter(|left| *left < u32::MAX) });
        (listed.collect(), machine.schedule().cloned())
    }

    /// Cuts, shutdowns and expiries, from now on.
    #[must_use]
    pub fn words(&self) -> broadcast::Receiver<Word> {
        self.words.subscribe()
    }

    pub(super) fn tell(&self, action: Action) {
        // With nobody connected there is nobody to tell.
        let _ = self.words.send(Word::Do(action));
    }

    /// Symbols whose rules have changed, with how.
    #[must_use]
    pub fn listings(&self) -> Arc<BTreeMap<Symbol, Listing>> {
        self.listings.load_full()
    }

    pub(super) fn relist(&self, symbol: Symbol, kind: &Kind) {
        self.listings.rcu(|listings| {
            let mut listings = BTreeMap::clone(listings);
            listings.entry(symbol).or_default().change(kind);
            listings
        });
    }

    #[must_use]
    pub fn request(&self, now: Timestamp, scope: &Scope<'_>) -> RequestFate {
        self.ask(RequestFate::default(), |machine| machine.request(now, scope))
    }

    #[must_use]
    pub fn event(&self, now: Timestamp, account: AccountId) -> EventFate {
        self.ask(EventFate::Pass, |machine| machine.event(now, account))
    }

    #[must_use]
    pub fn is_zombie(&self, now: Timestamp, sockets: Sockets, account: Option<AccountId>) -> bool {
        self.ask(false, |machine| machine.is_zombie(now, sockets, account))
    }

    #[must_use]
    pub fn in_maintenance(&self, now: Timestamp) -> bool {
        self.ask(false, |machine| machine.in_maintenance(now))
    }

    /// The time as the wire tells it.
    #[must_use]
    pub fn skewed(&self, now: Timestamp) -> Timestamp {
        let skew = self.ask(0, |machine| machine.skew_ms(now));
        Timestamp(now.0.saturating_add(skew.saturating_mul(1_000_000)))
    }

    pub(in super::super) fn stale(&self) -> Option<Arc<Mutex<Exchange>>> {
        self.past().clone()
    }

    /// Keeps rules and schedules going. Never ends by itself.
    pub(in super::super) async fn run(venue: &Arc<Venue>) {
        let desk = venue.faults();
        loop {
            if !desk.armed.load(Ordering::Relaxed) {
                *desk.past() = None;
                desk.changed.notified().await;
            }
            tokio::time::sleep(TICK).await;
            for action in desk.change(|machine| machine.tick(venue.true_now())) {
                if let Err(error) = actions::carry_out(venue, action).await {
                    tracing::warn!(%error, "a scheduled fault was not carried out");
                }
            }
            let stale = desk.machine().armed().any(|(_, rule, _)| rule.fault == Kind::Stale);
            if !stale {
                // The next one is asked of the engine as it is by then.
                *desk.past() = None;
            } else if desk.past().is_none() && desk.remember(venue).await.is_err() {
                return;
            }
        }
    }

    async fn remember(&self, venue: &Venue) -> Result<(), ExchangeStopped> {
        let past = venue.exchange().call(|desk| desk.exchange.clone()).await?;
        *self.past() = Some(Arc::new(Mutex::new(past)));
        Ok(())
    }

    fn ask<T>(&self, quiet: T, question: impl FnOnce(&mut Faults) -> T) -> T {
        if self.armed.load(Ordering::Relaxed) { self.change(question) } else { quiet }
    }

    fn change<T>(&self, change: impl FnOnce(&mut Faults) -> T) -> T {
        let mut machine = self.machine();
        let changed = change(&mut machine);
        self.armed.store(!machine.is_quiet(), Ordering::Relaxed);
        drop(machine);
        self.changed.notify_one();
        changed
    }

    /// Held for one question, never across an await; a panic while it was held spoils no more than a fault.
    fn machine(&self) -> MutexGuard<'_, Faults> {
        self.machine.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn past(&self) -> MutexGuard<'_, Option<Arc<Mutex<Exchange>>>> {
        self.past.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// Whether an address is this machine's own: faults are armed from nowhere else.
#[must_use]
pub fn is_own(peer: IpAddr) -> bool {
    peer.to_canonical().is_loopback()
}
