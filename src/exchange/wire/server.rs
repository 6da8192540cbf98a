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

use super::faults::{FaultDesk, Kind, Sockets};
use super::http::{self, Door};
use super::listener::{BoundedListener, Peer};
use super::problem::Problem;
use super::usdm::UserSockets;
use super::users::UserHub;
use super::venue::Venue;
use super::ws_api::{EncodeEvent, Sessions};

/// Requests and sockets under way when the server is told to stop have this long to end.
const DRAIN: Duration = Duration::from_secs(2);

/// A market stream that is to be dead without a word for how long.
const ZOMBIE_DEFAULT: Duration = Duration::from_secs(60);

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
        let _sockets_end_with_us = stopping.clone().drop_guard();
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
        let graceful = axum::serve(BoundedListener::new(listener), app).with_graceful_shutdown(stopping.clone().cancelled_owned());
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
    let mut actions = venue.faults().actions();
    loop {
        let action = match actions.recv().await {
            Ok(action) => action,
            Err(RecvError::Lagged(_)) => continue,
            Err(RecvError::Closed) => return std::future::pending().await,
        };
        // USD-M's user streams come on the market's sockets.
        let theirs =
            |sockets| sockets == Sockets::All || sockets == Sockets::Market || (sockets == Sockets::User && !venue.product().is_spot());
        match action.kind {
            Kind::Zombie { sockets: Sockets::All | Sockets::Market } => {
                let length = action.duration_ms.map_or(ZOMBIE_DEFAULT, Duration::from_millis);
                market.inject(StreamFault::Silence(length));
            }
            Kind::Cut { sockets } if theirs(sockets) => market.inject(StreamFault::Cut),
            Kind::Shutdown => {
                market.inject(StreamFault::AnnounceShutdown);
                market.inject(StreamFault::Cut);
            }
            Kind::ExpireListenKeys { told } => {
                let Some(users) = users else { continue };
                let accounts = action.account.map_or_else(|| venue.keys().accounts(), |account| vec![account]);
                accounts.into_iter().for_each(|account| users.expire_early(account, told));
            }
            Kind::CorruptFrames { frames } => market.inject(StreamFault::CorruptTexts(frames)),
            Kind::DropDiffs { diffs } => market.inject(StreamFault::DropDiffs(diffs)),
            _ => {}
        }
    }
}

/// The last page: a path that nobody has.
async fn unknown_path(OriginalUri(uri): OriginalUri, request: Request) -> Response {
    let problem = Problem::unknown_path(uri.path(), request.method().as_str());
    (axum::http::StatusCode::NOT_FOUND, [(axum::http::header::CONTENT_TYPE, "application/json;charset=UTF-8")], problem.body())
        .into_response()
}
