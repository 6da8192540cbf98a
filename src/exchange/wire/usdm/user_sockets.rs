//! User data on the sockets of the market's side: whoever names a listen key there gets its account's events, until the key runs
//! out, is ended, or the socket is gone. Every socket has a queue of its own with a bound; one that does not keep up is cut.
//! What an event looks like is `events`' business, whose a key is `listen_keys`'.

use std::any::Any;
use std::collections::BTreeMap;
use std::sync::{Arc, OnceLock, Weak};
use std::time::Duration;

use tokio::time::{MissedTickBehavior, interval};
use tokio_util::sync::CancellationToken;

use crate::domain::ids::{AccountId, Asset, Symbol};
use crate::domain::instrument::Instrument;
use crate::domain::time::Timestamp;
use crate::exchange::stream::{Outlet, PrivateStreams};
use crate::exchange::wire::{Dialect, Ear, Heard, UserTicket, Venue};

use super::Usdm;
use super::events::{self, Digits, Event};
use super::text::Scales;

/// How exact the end of a listen key is.
const EXPIRY_EVERY: Duration = Duration::from_millis(250);

/// The sockets of each key, each with the way to end its part in it.
#[derive(Debug, Default)]
pub(super) struct Listeners {
    by_key: BTreeMap<String, Vec<(Outlet, CancellationToken)>>,
}

impl Listeners {
    fn add(&mut self, key: &str, outlet: Outlet, ended: CancellationToken) {
        self.by_key.entry(key.to_owned()).or_default().push((outlet, ended));
    }

    /// Forgets sockets that are gone.
    fn sweep(&mut self) {
        self.by_key.retain(|_, sockets| {
            sockets.retain(|(_, ended)| !ended.is_cancelled());
            !sockets.is_empty()
        });
    }

    /// Cuts everybody who listens by a key.
    fn cut(&self, key: &str) {
        let there = self.by_key.get(key).into_iter().flatten().filter(|(_, ended)| !ended.is_cancelled());
        there.for_each(|(outlet, _)| outlet.cut());
    }

    /// Ends a key for everybody who listens by it, with a last word where there is one.
    pub(super) fn end(&mut self, key: &str, last: Option<&str>) {
        for (outlet, ended) in self.by_key.remove(key).unwrap_or_default() {
            if !ended.is_cancelled() {
                // One that does not take it is cut, which is an end as well.
                let _taken = last.is_none_or(|last| outlet.send(last));
                ended.cancel();
            }
        }
    }
}

/// What is known of each symbol where its events are written.
#[derive(Debug)]
struct KnownDigits {
    symbols: BTreeMap<Symbol, (Scales, Asset)>,
    otherwise: (Scales, Asset),
}

impl KnownDigits {
    fn of(instruments: &[Instrument]) -> Option<Self> {
        let of = |instrument: &Instrument| Some((instrument.symbol, (Scales::of(instrument), Asset::new(&instrument.quote).ok()?)));
        let symbols: BTreeMap<_, _> = instruments.iter().filter_map(of).collect();
        let otherwise = *symbols.values().next()?;
        Some(Self { symbols, otherwise })
    }
}

impl Digits for KnownDigits {
    fn of(&self, symbol: Symbol) -> (Scales, Asset) {
        self.symbols.get(&symbol).copied().unwrap_or(self.otherwise)
    }
}

/// The private streams of one product.
pub struct UserSockets {
    usdm: Arc<Usdm>,
    /// Weak, as it is the venue whose questions lead here.
    venue: OnceLock<Weak<Venue>>,
    /// `None` where nothing is listed: then nothing happens either.
    digits: Option<Arc<KnownDigits>>,
}

impl UserSockets {
    /// Nobody can listen before `attach`.
    #[must_use]
    pub fn new(usdm: Arc<Usdm>, instruments: &[Instrument]) -> Self {
        Self { usdm, venue: OnceLock::new(), digits: KnownDigits::of(instruments).map(Arc::new) }
    }

    /// Says whose events these are; the first word stands.
    pub fn attach(&self, venue: &Arc<Venue>) {
        let _first = self.venue.set(Arc::downgrade(venue));
    }

    /// Watches the keys until the venue is gone.
    pub async fn watch(&self) {
        let mut expiry = interval(EXPIRY_EVERY);
        expiry.set_missed_tick_behavior(MissedTickBehavior::Delay);
        loop {
            expiry.tick().await;
            let Some(venue) = self.venue() else { return };
            self.expire(venue.true_now());
        }
    }

    /// Whose listen key it is, while it is good.
    #[must_use]
    pub fn owner(&self, key: &str) -> Option<AccountId> {
        self.usdm.listen_keys().owner(self.venue()?.true_now(), key)
    }

    /// A fault: the account's listen key is over, and its sockets are told, or hear nothing more.
    pub fn expire_early(&self, account: AccountId, told: bool) {
        if told {
            return self.usdm.expire_listen_key(account);
        }
        let Some(venue) = self.venue() else { return };
        let closed = self.usdm.listen_keys().close(venue.true_now(), account);
        // Without a key there is nobody to fall silent for.
        if let Ok(key) = closed {
            self.usdm.leave(&key);
        }
    }

    /// A fault: the account's sockets end, and nobody else's.
    pub fn cut(&self, account: AccountId) {
        let key = self.usdm.listen_keys().of(account).map(str::to_owned);
        if let Some(key) = key {
            self.usdm.listeners().cut(&key);
        }
    }

    fn venue(&self) -> Option<Arc<Venue>> {
        self.venue.get()?.upgrade()
    }

    /// Tells the sockets of keys that have run out, which stay open and hear no more.
    pub fn expire(&self, now: Timestamp) {
        let over = self.usdm.listen_keys().expire(now);
        let mut listeners = self.usdm.listeners();
        for expired in over {
            listeners.end(&expired.key, Some(&events::listen_key_expired(&expired.key, now)));
        }
        listeners.sweep();
    }
}

impl PrivateStreams for UserSockets {
    fn join(&self, name: &str, events: &[String], outlet: Outlet) -> Option<Box<dyn Any + Send>> {
        let venue = self.venue()?;
        let account = self.usdm.listen_keys().owner(venue.true_now(), name)?;
        let ended = CancellationToken::new();
        let digits = self.digits.clone()?;
        self.usdm.listeners().add(name, outlet.clone(), ended.clone());
        // A key that ran out meanwhile was ended for those who were there.
        if self.usdm.listen_keys().owner(venue.true_now(), name) != Some(account) {
            ended.cancel();
            return None;
        }
        let socket = Socket {
            venue: Arc::downgrade(&venue),
            dialect: self.usdm.dialect,
            digits,
            wanted: events.to_vec(),
            outlet,
            ended: ended.clone(),
        };
        let ticket = venue.users().join(account, Arc::new(socket));
        Some(Box::new(Place { ended, _ticket: ticket }))
    }
}

/// Leaves when the socket unsubscribes or is gone.
struct Place {
    ended: CancellationToken,
    _ticket: UserTicket,
}

impl Drop for Place {
    fn drop(&mut self) {
        self.ended.cancel();
    }
}

/// One socket that listens by one key.
struct Socket {
    /// Weak, as it is the venue that keeps its ears.
    venue: Weak<Venue>,
    dialect: Dialect,
    digits: Arc<KnownDigits>,
    /// Event types that are wanted; none named are all.
    wanted: Vec<String>,
    outlet: Outlet,
    ended: CancellationToken,
}

impl Socket {
    fn wants(&self, event: &Event) -> bool {
        self.wanted.is_empty() || self.wanted.iter().any(|word| *word == <&str>::from(event.kind))
    }
}

impl Ear for Socket {
    fn hear(&self, heard: &Heard) -> bool {
        let Some(venue) = self.venue.upgrade().filter(|_| !self.ended.is_cancelled()) else { return false };
        match heard {
            Heard::Report(report) => {
                let events = events::write(report, venue.true_now(), self.dialect, &*self.digits);
                events.iter().filter(|event| self.wants(event)).all(|event| self.outlet.send(&event.text))
            }
            Heard::Corrupt => self.outlet.send(r#"{"e":"ORDER_TRADE_UPDATE","E":17"#),
            Heard::Unknown => {
                let now = venue.true_now().as_millis();
                self.outlet.send(&format!(r#"{{"e":"SOMETHING_NEW","E":{now},"T":{now},"x":{{}}}}"#))
            }
        }
    }

    fn deafen(&self) {
        self.outlet.cut();
    }
}
