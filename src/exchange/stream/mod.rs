//! The exchange's market on the wire, as Binance publishes it: raw and combined WebSocket streams with SUBSCRIBE and its like, and
//! the public questions over HTTP, for one product. It shows what a [`MarketFloor`] gives and nothing else, takes no orders and
//! keeps no market of its own beyond a bounded tape. What is shown on which stream, and when, is the tape's to say (`tape`, a
//! machine); a text is written once for each stream, whoever many listen (`hub`); a client that does not keep up is cut, and so is
//! everybody when the floor itself has cut us, since a stream with a hole must end.
//!
//! Where it is not Binance: at the daemon's own server any whole number of seconds is a kline interval (`5s`); times in microseconds
//! end in three zeros.

mod commands;
mod floor;
mod hub;
mod microseconds;
mod names;
mod parameters;
mod payload;
mod problem;
mod rest;
mod session;
pub mod tape;

use std::collections::BTreeSet;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use axum::Router;
use axum::extract::ws::rejection::WebSocketUpgradeRejection;
use axum::extract::{OriginalUri, Path, RawQuery, State as Held, WebSocketUpgrade};
use axum::http::Method;
use axum::response::Response;
use axum::routing::get;
use futures_util::FutureExt as _;
use futures_util::future::BoxFuture;
use tokio::sync::{Semaphore, mpsc};
use tokio::time::{Instant, MissedTickBehavior, interval};
use tokio_util::sync::{CancellationToken, DropGuard};

use crate::domain::ids::Symbol;
use crate::domain::instrument::{Instrument, InstrumentKind};
use crate::domain::market_data::{Candle, DepthSnapshot, MarketEvent, MarketFrame};
use crate::domain::time::Timestamp;
use crate::venues::grid::StepError;

pub use axum::extract::ws::Utf8Bytes as Text;
pub use floor::ExchangeFloor;
use hub::{CutReason, Hub, Owed, Subscription};
pub use hub::{Outlet, PrivateStreams, Taker, Wrapping};
pub use names::{Naming, Route, StreamKind, Topic};
use problem::Problem;
use session::Session;
pub use session::SessionRules;
use tape::{ForcedOrder, Funding, HOURS_KEPT, MINUTES_KEPT, SECONDS_KEPT, Tape};

/// WebSocket clients at once: some hundred programs of a user, each costs two buffers of some 100 KB.
const CLIENTS_MAX: usize = 512;
/// The fastest pace of a stream is twice as long.
const TICK: Duration = Duration::from_millis(50);
/// Frames that are carried before anybody else may look at the tape.
const FRAMES_MAX: usize = 256;
/// A book that cannot be joined is asked for again after so long.
const SNAPSHOT_EVERY: Duration = Duration::from_millis(500);
/// What partial books show, and some more for levels that go.
const SNAPSHOT_LEVELS: usize = 1_000;
const FUNDING_EVERY: Duration = Duration::from_secs(1);
/// A market opens within a tenth of a second; so much of it may be lost by looking.
const OPENED_EVERY: Duration = Duration::from_millis(10);

/// Where the market comes from.
pub trait MarketFloor: Send + Sync + 'static {
    /// All that is listed; the list does not change while the floor lives.
    fn instruments(&self) -> Vec<Instrument>;

    /// The exchange's clock.
    fn now(&self) -> Timestamp;

    /// The frames of these symbols from now on. The channel is bounded by the floor; it ends when the reader lags too far.
    ///
    /// # Errors
    /// When there is no market any more.
    fn subscribe(&self, symbols: &[Symbol]) -> Result<mpsc::Receiver<Arc<MarketFrame>>, FloorGone>;

    /// The book as of now, at most `limit` levels a side, best first. `None` where the symbol has no book.
    fn depth_snapshot(&self, symbol: Symbol, limit: usize) -> BoxFuture<'_, Result<Option<DepthSnapshot>, FloorGone>>;

    /// The newest closed candles, at most `limit`, oldest first.
    fn candles(&self, symbol: Symbol, interval: Duration, limit: usize) -> BoxFuture<'_, Result<Vec<Candle>, FloorGone>>;

    /// What is known of the next funding of each symbol; nothing where there is none.
    fn fundings(&self) -> BoxFuture<'_, Result<Vec<Funding>, FloorGone>> {
        async { Ok(Vec::new()) }.boxed()
    }

    /// Fundings that were paid, oldest first.
    fn paid_fundings(&self, _symbol: Option<Symbol>) -> BoxFuture<'_, Result<Vec<PaidFunding>, FloorGone>> {
        async { Ok(Vec::new()) }.boxed()
    }

    /// The contracts that are open in a symbol, one side counted.
    fn open_interest(&self, _symbol: Symbol) -> BoxFuture<'_, Result<crate::domain::money::Quantity, FloorGone>> {
        async { Ok(crate::domain::money::Quantity::ZERO) }.boxed()
    }

    /// Liquidations from now on. `None` where there are none.
    fn forced_orders(&self) -> Option<mpsc::Receiver<(Symbol, ForcedOrder)>> {
        None
    }
}

/// A funding that was paid.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct PaidFunding {
    pub symbol: Symbol,
    pub rate: crate::domain::money::Ratio,
    pub at: Timestamp,
    pub mark: crate::domain::money::Price,
}

/// The exchange behind the wire has ended.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error("the market stream expected a running exchange, found none; the exchange's own error says why")]
pub struct FloorGone;

/// Something that goes wrong with streams on purpose.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum StreamFault {
    /// Sockets stay open, pings are answered, and no data comes for so long.
    Silence(Duration),
    /// The next diffs of books (of one symbol's) are lost.
    DropDiffs(Option<Symbol>, u32),
    /// The next texts on streams (on one symbol's) come by half.
    CorruptTexts(Option<Symbol>, u32),
    /// Every socket is cut that hears more than an account.
    Cut,
    /// Every socket is cut that hears an account.
    CutAccounts,
    /// The word that the server is about to stop, which it then does not.
    AnnounceShutdown,
    /// What was to go on, or still to come, does not.
    Mend,
}

/// How one product's market is served.
#[derive(Clone)]
pub struct MarketWireConfig {
    pub naming: Naming,
    pub rules: SessionRules,
    /// Without the fields that USD-M has taken on since 2025.
    pub plain: bool,
    /// The request weight a minute that `exchangeInfo` tells of.
    pub weight_per_minute: u32,
    /// Streams that are not the market's, by name: USD-M's user data, by listen key.
    pub private: Option<Arc<dyn PrivateStreams>>,
}

impl MarketWireConfig {
    /// As Binance serves it.
    #[must_use]
    pub fn of(product: InstrumentKind) -> Self {
        let naming = Naming { product, extended: false };
        let weight_per_minute = if product == InstrumentKind::Spot { 6_000 } else { 2_400 };
        Self { naming, rules: SessionRules::of(product), plain: false, weight_per_minute, private: None }
    }

    /// USD-M as Aster serves it.
    #[must_use]
    pub fn aster() -> Self {
        Self { rules: SessionRules::aster(), plain: true, ..Self::of(InstrumentKind::Perpetual) }
    }
}

/// What frames go through: the machine, and who listens.
struct State {
    tape: Tape,
    hub: Hub,
    /// Diffs that are still to be lost.
    drop_diffs: Owed,
    silent_until: Option<Timestamp>,
}

struct Shared {
    floor: Arc<dyn MarketFloor>,
    naming: Naming,
    rules: SessionRules,
    plain: bool,
    weight_per_minute: u32,
    private: Option<Arc<dyn PrivateStreams>>,
    symbols: Vec<Symbol>,
    state: Mutex<State>,
    clients: Arc<Semaphore>,
    /// Cancelled: all sockets end.
    ending: CancellationToken,
}

/// One product's market on the wire. Cloning it is cheap.
#[derive(Clone)]
pub struct MarketWire(Arc<Shared>);

impl Shared {
    /// Held for a batch of frames, one client's coming and going or one answer, never across an await. A panic while it was held
    /// leaves whole entries only, so poison is no news.
    fn state(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl MarketWire {
    /// # Errors
    /// When an instrument cannot be encoded.
    pub fn new(floor: Arc<dyn MarketFloor>, config: MarketWireConfig) -> Result<Self, StepError> {
        let mut instruments = floor.instruments();
        // The daemon's own server has one address for all that its settings list.
        instruments.retain(|instrument| config.naming.extended || instrument.kind == config.naming.product);
        let tape = Tape::new(&instruments, config.naming, config.plain, floor.now())?;
        let state = State { tape, hub: Hub::default(), drop_diffs: Owed::default(), silent_until: None };
        Ok(Self(Arc::new(Shared {
            naming: config.naming,
            rules: config.rules,
            plain: config.plain,
            weight_per_minute: config.weight_per_minute,
            private: config.private,
            symbols: instruments.iter().map(|instrument| instrument.symbol).collect(),
            state: Mutex::new(state),
            clients: Arc::new(Semaphore::new(CLIENTS_MAX)),
            ending: CancellationToken::new(),
            floor,
        })))
    }

    /// The sockets and the public questions under the product's own paths. What is asked for and is neither is not answered here:
    /// give the router a fallback.
    pub fn router(&self) -> Router {
        let listed = |kind| self.0.naming.product == kind || self.0.state().tape.instruments().any(|instrument| instrument.kind == kind);
        let products = [InstrumentKind::Spot, InstrumentKind::Perpetual].into_iter().filter(|kind| listed(*kind));
        products.fold(self.streams(), |router, product| router.merge(rest::router(self, product)))
    }

    /// The sockets alone.
    pub fn streams(&self) -> Router {
        let on = |route: Route| {
            let handle = move |wire: Held<MarketWire>, path: Option<Path<String>>, query: RawQuery, uri: OriginalUri, upgrade| async move {
                wire.0.open(route, path.map(|Path(path)| path), query.0.unwrap_or_default(), uri.path(), upgrade)
            };
            Router::new()
                .route("/ws", get(handle))
                .route("/ws/", get(handle))
                .route("/ws/{*streams}", get(handle))
                .route("/stream", get(handle))
                .route("/stream/", get(handle))
        };
        // Clients that choose their streams by command alone leave the path out.
        let root = |wire: Held<MarketWire>, query: RawQuery, upgrade: Result<WebSocketUpgrade, WebSocketUpgradeRejection>| async move {
            let upgrade = upgrade.map_err(|_| Problem::unknown_path("/", &Method::GET))?;
            wire.0.open(Route::Plain, None, query.0.unwrap_or_default(), "/", upgrade)
        };
        let mut router = on(Route::Plain).route("/", get(root));
        if self.0.naming.product == InstrumentKind::Perpetual {
            for (path, route) in [("/public", Route::Public), ("/market", Route::Market), ("/private", Route::Private)] {
                router = router.nest(path, on(route));
            }
        }
        router.with_state(self.clone())
    }

    fn open(
        &self,
        route: Route,
        path: Option<String>,
        query: String,
        full_path: &str,
        upgrade: WebSocketUpgrade,
    ) -> Result<Response, Problem> {
        let wrapping =
            if path.is_none() && full_path.trim_end_matches('/').ends_with("/stream") { Wrapping::Combined } else { Wrapping::Raw };
        let asked = Asked::read(&path.unwrap_or_default(), &query);
        if asked.names.len() > names::STREAMS_MAX {
            return Err(Problem::too_many_streams(asked.names.len(), names::STREAMS_MAX));
        }
        let slot = Arc::clone(&self.0.clients).try_acquire_owned().map_err(|_| Problem::too_many_clients(CLIENTS_MAX))?;
        // Subscribed before the handshake ends: a client that sees the socket open misses nothing from then on.
        let subscription = Subscription::new(&self.0, wrapping);
        let microseconds = asked.microseconds && self.0.naming.product == InstrumentKind::Spot;
        let mut session = Session { subscription, naming: self.0.naming, route, rules: self.0.rules, microseconds };
        session.subscribe(&asked.names);
        for (key, events) in asked.keys.iter().filter(|_| matches!(route, Route::Private | Route::Plain)) {
            session.subscription.add(key, None, events);
        }
        let upgrade = upgrade.max_message_size(session::MESSAGE_BYTES_MAX).max_frame_size(session::MESSAGE_BYTES_MAX);
        Ok(upgrade.on_upgrade(move |socket| async move {
            session::run(socket, session).await;
            drop(slot);
        }))
    }

    /// Carries frames until the floor is gone. When the floor cut us off, all clients are cut too, and it begins anew.
    pub async fn publish(&self) -> FloorGone {
        let mut seeded = false;
        loop {
            let mut frames = match self.0.floor.subscribe(&self.0.symbols) {
                Ok(frames) => frames,
                Err(gone) => return gone,
            };
            if !seeded && let Err(gone) = self.seed().await {
                return gone;
            }
            seeded = true;
            let carried = self.carry(&mut frames).await;
            tracing::warn!("market stream fell behind the exchange: all its clients are cut");
            self.0.state().hub.cut_all(CutReason::MarketLost);
            if !carried {
                // A floor that gives nothing and hangs up will do so again.
                return FloorGone;
            }
        }
    }

    /// Waits until every symbol has a price and a touch, as far as the market shows them. Clients ask for both before anything
    /// else, and none is ready for a symbol that is listed and has never traded.
    pub async fn opened(&self) {
        let mut look = interval(OPENED_EVERY);
        loop {
            look.tick().await;
            let state = self.0.state();
            if self.0.symbols.iter().all(|symbol| state.tape.has_traded(*symbol) && state.tape.ticker(*symbol).is_some()) {
                return;
            }
        }
    }

    /// Gives the tape what was before it.
    async fn seed(&self) -> Result<(), FloorGone> {
        const LENGTHS: [(u64, usize); 3] = [(1, SECONDS_KEPT), (60, MINUTES_KEPT), (3_600, HOURS_KEPT)];
        for symbol in &self.0.symbols {
            let mut past: [Vec<Candle>; 3] = Default::default();
            for (candles, (seconds, kept)) in past.iter_mut().zip(LENGTHS) {
                *candles = self.0.floor.candles(*symbol, Duration::from_secs(seconds), kept).await?;
            }
            let [seconds, minutes, hours] = &past;
            self.0.state().tape.seed(*symbol, [seconds, minutes, hours]);
        }
        Ok(())
    }

    /// Says whether anything came.
    async fn carry(&self, frames: &mut mpsc::Receiver<Arc<MarketFrame>>) -> bool {
        let mut batch = Vec::with_capacity(FRAMES_MAX);
        let mut tick = interval(TICK);
        tick.set_missed_tick_behavior(MissedTickBehavior::Delay);
        let mut forced = self.0.floor.forced_orders();
        let (mut snapshot_at, mut funding_at) = (Instant::now(), Instant::now());
        let mut carried = false;
        loop {
            tokio::select! {
                count = frames.recv_many(&mut batch, FRAMES_MAX) => {
                    if count == 0 {
                        return carried;
                    }
                    carried = true;
                    self.take(&batch);
                    batch.clear();
                }
                Some((symbol, order)) = next_forced(&mut forced) => {
                    let State { tape, hub, .. } = &mut *self.0.state();
                    tape.force(symbol, order, hub);
                }
                _ = tick.tick() => {
                    self.tick();
                    let now = Instant::now();
                    if now >= snapshot_at && self.fetch_snapshots().await {
                        snapshot_at = now + SNAPSHOT_EVERY;
                    }
                    if now >= funding_at && self.0.naming.product == InstrumentKind::Perpetual {
                        funding_at = now + FUNDING_EVERY;
                        // A floor that is gone is noticed by its frames' end.
                        let fundings = self.0.floor.fundings().await.unwrap_or_default();
                        let mut state = self.0.state();
                        fundings.into_iter().for_each(|funding| state.tape.fund(funding));
                    }
                }
            }
        }
    }

    fn take(&self, batch: &[Arc<MarketFrame>]) {
        let State { tape, hub, drop_diffs, .. } = &mut *self.0.state();
        for frame in batch {
            if matches!(frame.event, MarketEvent::Depth(_)) && drop_diffs.take(Some(frame.symbol)) {
                continue;
            }
            tape.frame(frame, hub);
        }
        let touched: BTreeSet<Symbol> = batch.iter().map(|frame| frame.symbol).collect();
        touched.into_iter().for_each(|symbol| tape.settle(symbol, hub));
    }

    fn tick(&self) {
        let now = self.0.floor.now();
        let State { tape, hub, silent_until, .. } = &mut *self.0.state();
        if silent_until.is_some_and(|until| now >= until) {
            (*silent_until, hub.silent) = (None, false);
        }
        tape.tick(now, hub);
    }

    /// Says whether there was anything to fetch.
    async fn fetch_snapshots(&self) -> bool {
        let wanted: Vec<Symbol> = self.0.state().tape.snapshots_needed().collect();
        for symbol in &wanted {
            if let Ok(Some(snapshot)) = self.0.floor.depth_snapshot(*symbol, SNAPSHOT_LEVELS).await {
                self.0.state().tape.snapshot(*symbol, &snapshot);
            }
        }
        !wanted.is_empty()
    }

    /// Makes something go wrong.
    pub fn inject(&self, fault: StreamFault) {
        let now = self.0.floor.now();
        let mut state = self.0.state();
        match fault {
            StreamFault::Silence(length) => {
                state.silent_until = state.silent_until.max(Some(now + length));
                state.hub.silent = true;
            }
            StreamFault::DropDiffs(symbol, count) => state.drop_diffs.add(symbol, count),
            StreamFault::CorruptTexts(symbol, count) => state.hub.corrupt.add(symbol, count),
            StreamFault::Cut => state.hub.cut_public(),
            StreamFault::CutAccounts => state.hub.cut_private(),
            StreamFault::Mend => {
                (state.silent_until, state.hub.silent) = (None, false);
                state.drop_diffs.clear();
                state.hub.corrupt.clear();
            }
            StreamFault::AnnounceShutdown => state.hub.tell_all("!serverShutdown", &shutdown_text(now)),
        }
    }

    /// Says goodbye to all clients (`serverShutdown`, then a close frame) and ends their sockets.
    pub fn end(&self) {
        self.inject(StreamFault::AnnounceShutdown);
        self.0.ending.cancel();
    }

    /// Ends all sockets when it is dropped, without a word: they must not outlive whoever publishes, and be open and silent.
    #[must_use]
    pub fn guard(&self) -> DropGuard {
        self.0.ending.clone().drop_guard()
    }

    /// Waits until every socket is gone.
    pub async fn drained(&self) {
        // Each socket holds one permit until it is closed. Invariant: nobody closes the semaphore.
        let _ = self.0.clients.acquire_many(CLIENTS_MAX as u32).await;
    }
}

fn shutdown_text(now: Timestamp) -> String {
    format!("{{\"e\":\"serverShutdown\",\"E\":{}}}", now.as_millis())
}

/// Nothing, for ever, where there are none.
async fn next_forced(forced: &mut Option<mpsc::Receiver<(Symbol, ForcedOrder)>>) -> Option<(Symbol, ForcedOrder)> {
    match forced {
        Some(orders) => match orders.recv().await {
            Some(order) => Some(order),
            None => {
                *forced = None;
                std::future::pending().await
            }
        },
        None => std::future::pending().await,
    }
}

/// What a socket's address asks for.
#[derive(Debug, Default, PartialEq, Eq)]
struct Asked {
    names: Vec<String>,
    /// Listen keys, each with the events that it wants.
    keys: Vec<(String, Vec<String>)>,
    /// Times are wanted in microseconds.
    microseconds: bool,
}

impl Asked {
    fn read(path: &str, query: &str) -> Self {
        let mut asked = Self::default();
        asked.add_names(path);
        // In a stream's name a plus is a plus: `kline_1d@+08:00`.
        for (key, value) in form_urlencoded::parse(query.replace('+', "%2B").as_bytes()) {
            match &*key {
                "streams" => asked.add_names(&value),
                "timeUnit" => asked.microseconds = value.eq_ignore_ascii_case("microsecond"),
                "listenKey" => asked.keys.push((value.into_owned(), Vec::new())),
                "events" => {
                    if let Some((_, events)) = asked.keys.last_mut() {
                        events.extend(value.split(['/', ',']).filter(|event| !event.is_empty()).map(str::to_owned));
                    }
                }
                _ => {}
            }
        }
        asked.keys.retain(|(key, _)| names::is_well_formed(key));
        asked
    }

    /// `a/b/c`; what can be no name brings nothing, as a name that means nothing does.
    fn add_names(&mut self, text: &str) {
        for name in text.split('/').filter(|name| names::is_well_formed(name)) {
            if !self.names.iter().any(|known| known == name) {
                self.names.push(name.to_owned());
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn addresses_name_streams_and_listen_keys() {
        let asked = Asked::read("btcusdt@trade/0/btcusdt@trade", "streams=a@b/c@d&timeUnit=MICROSECOND");
        assert_eq!((asked.names.join(" "), asked.microseconds), ("btcusdt@trade 0 a@b c@d".to_owned(), true));
        let asked = Asked::read("", "listenKey=K1&events=ORDER_TRADE_UPDATE/ACCOUNT_UPDATE&listenKey=K2");
        let events = vec!["ORDER_TRADE_UPDATE".to_owned(), "ACCOUNT_UPDATE".to_owned()];
        assert_eq!(asked.keys, [("K1".to_owned(), events), ("K2".to_owned(), vec![])]);
        let zoned = vec!["btcusdt@kline_1d@+08:00".to_owned()];
        assert_eq!(Asked::read("", "streams=btcusdt@kline_1d@+08:00").names, zoned);
        assert_eq!(Asked::read("", "streams=btcusdt@kline_1d@%2B08:00").names, zoned);
        assert_eq!(Asked::read("", ""), Asked::default());
    }
}
