//! The exchange's market on the wire, as Binance publishes it: combined and raw WebSocket streams, depth, klines, time and
//! exchangeInfo over HTTP. It shows what a [`MarketFloor`] gives and nothing else, takes no orders and keeps no market of its
//! own. A frame is encoded once for each stream's name, whoever many listen; a client that does not keep up is cut, and so is
//! everybody when the floor itself has cut us, since a stream with a hole must end.
//!
//! Where it is not Binance: any whole number of seconds is a kline interval (`5s`); klines are closed ones only; streams are
//! chosen in the address and not by `SUBSCRIBE`; an unknown stream is refused, where Binance stays silent; a stream has the pace
//! of its source, whatever its name promises (`@100ms`, `@1s`).

mod floor;
mod hub;
mod names;
mod parameters;
mod problem;
mod rest;
mod session;

use std::io;
use std::sync::Arc;
use std::time::Duration;

use axum::Router;
use axum::extract::{OriginalUri, Path, State, WebSocketUpgrade};
use axum::http::Method;
use axum::response::Response;
use axum::routing::get;
use axum::serve::ListenerExt as _;
use futures_util::future::BoxFuture;
use tokio::net::TcpListener;
use tokio::sync::{Semaphore, mpsc};
use tokio_util::sync::CancellationToken;

use crate::domain::ids::Symbol;
use crate::domain::instrument::{Instrument, InstrumentKind};
use crate::domain::market_data::{Candle, DepthSnapshot, MarketFrame};
use crate::domain::time::Timestamp;
use crate::venues::grid::StepError;

pub use floor::ExchangeFloor;
use hub::{Hub, Wrapping};
use names::StreamName;
use parameters::Parameters;
use problem::Problem;

/// WebSocket clients at once. The daemon's own feeds are a handful; each costs two buffers of some 100 KB.
const CLIENTS_MAX: usize = 256;
/// Requests and sockets under way when the server is told to stop have this long to end; the daemon's exit waits for it.
const DRAIN: Duration = Duration::from_secs(2);

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
}

/// The exchange behind the wire has ended.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error("the market stream expected a running exchange, found none; the exchange's own error says why")]
pub struct FloorGone;

/// Why serving ended before it was told to.
#[derive(Debug, thiserror::Error)]
pub enum ServeError {
    #[error(transparent)]
    Floor(#[from] FloorGone),
    #[error(transparent)]
    Grid(#[from] StepError),
    #[error("the market stream's listener failed: {0}")]
    Listener(#[from] io::Error),
}

/// Serves the floor on `listener` until `stop`, then says goodbye to the clients and waits at most `DRAIN` for them. Dropping
/// the future ends all sockets too.
///
/// # Errors
/// When an instrument cannot be encoded, the floor ends, or the listener fails for good.
pub async fn serve(listener: TcpListener, floor: Arc<dyn MarketFloor>, stop: CancellationToken) -> Result<(), ServeError> {
    let ending = CancellationToken::new();
    let _sockets_end_with_us = ending.clone().drop_guard();
    let hub = Arc::new(Hub::new(&floor.instruments(), ending.clone())?);
    let clients = Arc::new(Semaphore::new(CLIENTS_MAX));
    let wire = Wire { hub: Arc::clone(&hub), clients: Arc::clone(&clients) };
    // A frame is small and must not wait for the next one.
    let listener = listener.tap_io(|stream| drop(stream.set_nodelay(true)));
    let graceful = axum::serve(listener, router(&wire, &floor)).with_graceful_shutdown(ending.clone().cancelled_owned());
    let mut graceful = std::pin::pin!(graceful.into_future());
    let ended = tokio::select! {
        () = stop.cancelled() => Ok(()),
        served = &mut graceful => return served.map_err(ServeError::Listener),
        gone = hub.publish_all(&*floor) => Err(ServeError::Floor(gone)),
    };
    ending.cancel();
    let all_gone = async {
        let _ = graceful.await;
        // Each socket holds one permit until it is closed. Invariant: nobody closes the semaphore.
        let _ = clients.acquire_many(CLIENTS_MAX as u32).await;
    };
    // What hangs on after that is cut off by dropping it.
    let _ = tokio::time::timeout(DRAIN, all_gone).await;
    ended
}

/// What a socket's handler needs.
#[derive(Clone)]
struct Wire {
    hub: Arc<Hub>,
    clients: Arc<Semaphore>,
}

fn router(wire: &Wire, floor: &Arc<dyn MarketFloor>) -> Router {
    let streams = Router::new().route("/stream", get(combined)).route("/ws/{*streams}", get(raw)).with_state(wire.clone());
    let product = |kind| rest::router(kind, Arc::clone(&wire.hub), Arc::clone(floor));
    Router::new()
        // USD-M's routed addresses, beside the plain ones of spot.
        .nest("/public", streams.clone())
        .nest("/market", streams.clone())
        .merge(streams)
        .nest("/fapi/v1", product(InstrumentKind::Perpetual))
        .nest("/api/v3", product(InstrumentKind::Spot))
        .fallback(unknown_path)
}

async fn combined(State(wire): State<Wire>, mut parameters: Parameters, upgrade: WebSocketUpgrade) -> Result<Response, Problem> {
    let streams = parameters.text("streams")?;
    parameters.finish()?;
    wire.open(&streams, Wrapping::Combined, upgrade)
}

async fn raw(State(wire): State<Wire>, Path(streams): Path<String>, upgrade: WebSocketUpgrade) -> Result<Response, Problem> {
    wire.open(&streams, Wrapping::Raw, upgrade)
}

async fn unknown_path(method: Method, OriginalUri(uri): OriginalUri) -> Problem {
    Problem::unknown_path(uri.path(), &method)
}

impl Wire {
    fn open(&self, streams: &str, wrapping: Wrapping, upgrade: WebSocketUpgrade) -> Result<Response, Problem> {
        let names = StreamName::parse_all(streams, |symbol| self.hub.lists(symbol))?;
        let slot = Arc::clone(&self.clients).try_acquire_owned().map_err(|_| Problem::too_many_clients(CLIENTS_MAX))?;
        // Subscribed before the handshake ends: a client that sees the socket open misses nothing from then on.
        let subscription = self.hub.join(&names, wrapping);
        let upgrade = upgrade.max_message_size(session::MESSAGE_BYTES_MAX).max_frame_size(session::MESSAGE_BYTES_MAX);
        Ok(upgrade.on_upgrade(move |socket| async move {
            session::run(socket, subscription).await;
            drop(slot);
        }))
    }
}
