//! One product's server, in the daemon or alone: everything that listens on its port, and what has to run beside it for as long
//! as it does. It binds nothing and spawns nothing: it is given a listener, and lives in the future that it returns.

use std::io;
use std::sync::Arc;
use std::time::Duration;

use axum::Router;
use axum::extract::{OriginalUri, Request};
use axum::response::{IntoResponse as _, Response};
use tokio::net::TcpListener;
use tokio::sync::broadcast::error::RecvError;
use tokio_util::sync::CancellationToken;

use crate::exchange::shell::ExchangeStopped;
use crate::exchange::stream::{MarketWire, StreamFault};
use crate::net::{BoundedListener, Bounds, Peer};

use super::faults::{Action, FaultDesk, Kind, Sockets, Word};
use super::http::{self, Door};
use super::problem::Problem;
use super::usdm::UserSockets;
use super::users::UserHub;
use super::venue::Venue;
use super::ws_api::{EncodeEvent, Sessions};

/// A hundred clients with some sockets each, of which each costs some tens of KB; and longer than the longest silence that is allowed: a
/// WebSocket's pong within ten minutes.
const BOUNDS: Bounds = Bounds { connections_max: 1_024, idle_max: Duration::from_secs(740) };
/// Requests and sockets under way when the server is told to stop have this long to end.
const DRAIN: Duration = Duration::from_secs(2);

/// Why serving ended before it was told to.
#[derive(Debug, thiserror::Error)]
pub enum ServeError {
    #[error("the exchange's listener failed: {0}")]
    Listener(#[from] io::Error),
    #[error(transparent)]
    Stopped(#[from] ExchangeStopped),
}

/// What a product's server is made of.
pub struct WireServer {
    pub venue: Arc<Venue>,
    /// Market streams, and the answers to the table's rows of public data.
    pub market: MarketWire,
    /// USD-M's user streams, which come on the market's sockets.
    pub users: Option<Arc<UserSockets>>,
    /// How spot's user events are written.
    pub encode: EncodeEvent,
    /// Whether `/faults` is there.
    pub faults: bool,
}

impl WireServer {
    /// Serves until `stop`, then tells the sockets, and waits at most `DRAIN` for them. Dropping the future ends all of it.
    ///
    /// # Errors
    /// When the listener fails for good or the exchange is gone.
    pub async fn run(self, listener: TcpListener, stop: CancellationToken) -> Result<(), ServeError> {
        let stopping = CancellationToken::new();
        let _sockets_end_with_us = (stopping.clone().drop_guard(), self.market.guard());
        let sessions = Sessions::new(self.encode);
        let venue = Arc::clone(&self.venue);
        let door = Door {
            venue: self.venue,
            inner: self.market.router().fallback(unknown_path),
            sessions: sessions.clone(),
            faults: self.faults,
            stopping: stopping.clone(),
        };
        let app = Router::new().fallback(http::enter).with_state(door);
        let app = app.into_make_service_with_connect_info::<Peer>();
        let graceful = axum::serve(BoundedListener::new(listener, BOUNDS), app).with_graceful_shutdown(stopping.clone().cancelled_owned());
        let mut graceful = std::pin::pin!(graceful.into_future());
        let ended = tokio::select! {
            () = stop.cancelled() => Ok(()),
            served = &mut graceful => return served.map_err(ServeError::Listener),
            stopped = UserHub::run(&venue) => Err(ServeError::Stopped(stopped)),
            () = FaultDesk::run(&venue) => Err(ServeError::Stopped(ExchangeStopped)),
            _ = self.market.publish() => Err(ServeError::Stopped(ExchangeStopped)),
            () = watch(self.users.as_deref()) => Err(ServeError::Stopped(ExchangeStopped)),
            () = spoil(&venue, &self.market, self.users.as_deref()) => Err(ServeError::Stopped(ExchangeStopped)),
        };
        stopping.cancel();
        self.market.end();
        let all_gone = async {
            let _ = graceful.await;
            sessions.gone().await;
            self.market.drained().await;
        };
        // What hangs on after that is cut off by dropping it.
        let _ = tokio::time::timeout(DRAIN, all_gone).await;
        ended
    }
}

async fn watch(users: Option<&UserSockets>) {
    match users {
        Some(users) => users.watch().await,
        None => std::future::pending().await,
    }
}

/// Carries faults to the market's sockets, for ever.
async fn spoil(venue: &Venue, market: &MarketWire, users: Option<&UserSockets>) {
    let mut words = venue.faults().words();
    loop {
        match words.recv().await {
            Ok(Word::Do(action)) => spoil_one(venue, market, users, action),
            Ok(Word::Mend) => market.inject(StreamFault::Mend),
            Err(RecvError::Lagged(_)) => {}
            Err(RecvError::Closed) => return std::future::pending().await,
        }
    }
}

/// The market's sockets are nobody's: what is done to one account leaves them alone, unless they are named. USD-M's user streams
/// come on sockets like them, and are their account's.
fn spoil_one(venue: &Venue, market: &MarketWire, users: Option<&UserSockets>, action: Action) {
    let Action { kind, account, symbol, duration_ms } = action;
    let meets_market = |sockets| sockets == Sockets::Market || (sockets == Sockets::All && account.is_none());
    match kind {
        Kind::Zombie { sockets } if meets_market(sockets) => {
            market.inject(StreamFault::Silence(duration_ms.map_or(Duration::MAX, Duration::from_millis)));
        }
        Kind::Cut { sockets } => {
            if meets_market(sockets) {
                market.inject(StreamFault::Cut);
            }
            match (users, account) {
                (Some(users), Some(account)) if matches!(sockets, Sockets::All | Sockets::User) => users.cut(account),
                (Some(_), None) if matches!(sockets, Sockets::All | Sockets::User) => market.inject(StreamFault::CutAccounts),
                _ => {}
            }
        }
        Kind::Shutdown => {
            market.inject(StreamFault::AnnounceShutdown);
            market.inject(StreamFault::Cut);
            market.inject(StreamFault::CutAccounts);
        }
        Kind::ExpireListenKeys { told } => {
            let Some(users) = users else { return };
            let accounts = account.map_or_else(|| venue.keys().accounts(), |account| vec![account]);
            accounts.into_iter().for_each(|account| users.expire_early(account, told));
        }
        Kind::CorruptFrames { frames } => market.inject(StreamFault::CorruptTexts(symbol, frames)),
        Kind::DropDiffs { diffs } => market.inject(StreamFault::DropDiffs(symbol, diffs)),
        _ => {}
    }
}

/// The last page: a path that nobody has.
async fn unknown_path(OriginalUri(uri): OriginalUri, request: Request) -> Response {
    let problem = Problem::unknown_path(uri.path(), request.method().as_str());
    (axum::http::StatusCode::NOT_FOUND, [(axum::http::header::CONTENT_TYPE, "application/json;charset=UTF-8")], problem.body())
        .into_response()
}
