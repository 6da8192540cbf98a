//! User data on the sockets of the market's side: whoever names a listen key there gets its account's events, until the key runs
//! out, is ended, or the socket is gone. Every socket has a queue of its own with a bound; one that does not keep up is cut.
//! What an event looks like is `events`' business, whose a key is `listen_keys`'.

use std::any::Any;
use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::Duration;

use futures_util::StreamExt as _;
use futures_util::stream::FuturesUnordered;
use tokio::sync::mpsc;
use tokio::time::{MissedTickBehavior, interval};
use tokio_util::sync::CancellationToken;

use crate::domain::ids::{AccountId, Asset, Symbol};
use crate::domain::instrument::Instrument;
use crate::domain::time::Timestamp;
use crate::exchange::stream::{Outlet, PrivateStreams};
use crate::exchange::wire::Venue;
use crate::exchange::wire::users::{Heard, UserStream};

use super::Usdm;
use super::events::{self, Digits};
use super::text::Scales;

/// How exact the end of a listen key is.
const EXPIRY_EVERY: Duration = Duration::from_millis(250);

/// One socket that listens by one key.
struct Joined {
    outlet: Outlet,
    stream: UserStream,
    /// Event types that are wanted; none named are all.
    wanted: Vec<String>,
    ended: CancellationToken,
}

/// The sockets of one key, each with the way to end its part in it.
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
    venue: Arc<Venue>,
    digits: Option<KnownDigits>,
    joins: mpsc::UnboundedSender<Joined>,
}

/// Carries what the sockets hear.
pub struct UserSocketsPump {
    sockets: Arc<UserSockets>,
    // As many as there are sockets, which are bounded.
    joined: mpsc::UnboundedReceiver<Joined>,
}

impl UserSockets {
    /// The streams, and what has to run for them.
    #[must_use]
    pub fn new(usdm: Arc<Usdm>, venue: Arc<Venue>, instruments: &[Instrument]) -> (Arc<Self>, UserSocketsPump) {
        let (joins, joined) = mpsc::unbounded_channel();
        let sockets = Arc::new(Self { usdm, venue, digits: KnownDigits::of(instruments), joins });
        let pump = UserSocketsPump { sockets: Arc::clone(&sockets), joined };
        (sockets, pump)
    }

    /// Carries one socket's events until either side ends.
    async fn carry(self: Arc<Self>, mut joined: Joined) {
        loop {
            let heard = tokio::select! {
                () = joined.ended.cancelled() => return,
                heard = joined.stream.next() => heard,
            };
            match heard {
                // A stream with a hole must end.
                None => return joined.outlet.cut(),
                Some(heard) => {
                    if !self.tell(&joined, &heard) {
                        joined.ended.cancel();
                        return;
                    }
                }
            }
        }
    }

    /// Says whether the socket is still there.
    fn tell(&self, joined: &Joined, heard: &Heard) -> bool {
        match heard {
            Heard::Report(report) => {
                let Some(digits) = &self.digits else { return true };
                let events = events::write(report, self.venue.true_now(), self.usdm.dialect, digits);
                let wanted = |event: &events::Event| {
                    joined.wanted.is_empty() || joined.wanted.iter().any(|word| *word == <&str>::from(event.kind))
                };
                events.iter().filter(|event| wanted(event)).all(|event| joined.outlet.send(&event.text))
            }
            Heard::Corrupt => joined.outlet.send(r#"{"e":"ORDER_TRADE_UPDATE","E":17"#),
            Heard::Unknown => {
                let now = self.venue.true_now().as_millis();
                joined.outlet.send(&format!(r#"{{"e":"SOMETHING_NEW","E":{now},"T":{now},"x":{{}}}}"#))
            }
        }
    }

    /// Tells the sockets of keys that have run out, which stay open and hear no more.
    fn expire(&self, now: Timestamp) {
        let over = self.usdm.listen_keys().expire(now);
        let mut listeners = self.usdm.listeners();
        for expired in over {
            listeners.end(&expired.key, Some(&events::listen_key_expired(&expired.key, now)));
        }
        listeners.sweep();
    }
}

/// Leaves when the socket unsubscribes or is gone.
struct Leaves(CancellationToken);

impl Drop for Leaves {
    fn drop(&mut self) {
        self.0.cancel();
    }
}

impl PrivateStreams for UserSockets {
    fn join(&self, name: &str, events: &[String], outlet: Outlet) -> Option<Box<dyn Any + Send>> {
        let account: AccountId = self.usdm.listen_keys().owner(self.venue.true_now(), name)?;
        let ended = CancellationToken::new();
        // Listened to from here on: a client that sees its socket open misses nothing.
        let stream = self.venue.users().listen(account);
        self.usdm.listeners().add(name, outlet.clone(), ended.clone());
        let joined = Joined { outlet, stream, wanted: events.to_vec(), ended: ended.clone() };
        self.joins.send(joined).ok()?;
        Some(Box::new(Leaves(ended)))
    }
}

impl UserSocketsPump {
    /// Carries events and watches the keys until it is dropped.
    pub async fn run(mut self) {
        let mut carried = FuturesUnordered::new();
        let mut expiry = interval(EXPIRY_EVERY);
        expiry.set_missed_tick_behavior(MissedTickBehavior::Delay);
        loop {
            tokio::select! {
                Some(joined) = self.joined.recv() => carried.push(Arc::clone(&self.sockets).carry(joined)),
                Some(()) = carried.next() => {}
                _ = expiry.tick() => self.sockets.expire(self.sockets.venue.true_now()),
            }
        }
    }
}
