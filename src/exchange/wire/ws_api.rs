//! The WebSocket API: one client's socket, on which requests come as frames `{id, method, params}` and are answered in whatever
//! order they finish, and on which spot's user events come. It serves the rows of the same table as HTTP; what is the socket's
//! own (logging on, subscribing) is `session`'s to decide.
//!
//! Nothing waits in here without a bound: so many requests are under way and no more are read meanwhile; events wait in a
//! bounded queue, and a client that does not keep up is cut.

pub mod frame;
mod session;

use std::net::IpAddr;
use std::sync::Arc;
use std::time::Duration;

use axum::extract::WebSocketUpgrade;
use axum::extract::ws::{CloseFrame, Message, Utf8Bytes, WebSocket};
use axum::response::Response;
use futures_util::future::BoxFuture;
use futures_util::stream::FuturesUnordered;
use futures_util::{SinkExt as _, StreamExt as _};
use tokio::sync::Semaphore;
use tokio::sync::broadcast::Receiver;
use tokio::sync::broadcast::error::RecvError;
use tokio::time::{Instant, interval_at, sleep, sleep_until, timeout};
use tokio_util::sync::CancellationToken;

use crate::exchange::core::report::UserReport;

use super::faults::{Kind, Sockets, Word};
use super::http;
use super::problem::Problem;
use super::users::Heard;
use super::venue::{Product, Venue};

pub(super) use session::own_methods;
use session::{Done, Session};

/// Sockets at once.
const SOCKETS_MAX: usize = 512;
/// Requests of one socket under way. A client that has more is not read from.
const UNDER_WAY_MAX: usize = 128;
/// A frame is one request.
const FRAME_MAX: usize = http::BODY_MAX;
/// Texts in one write to the socket: one system call for a burst.
const BATCH_MAX: usize = 64;
/// A write that does not end by then has nobody at its other end.
const WRITE_MAX: Duration = Duration::from_secs(10);
/// "Only valid for 24 hours."
const LIFE: Duration = Duration::from_secs(24 * 3_600);
/// How often a dead socket looks whether it lives again.
const ZOMBIE_LOOK: Duration = Duration::from_millis(50);

/// How user events are written: the JSON of each inner event.
pub type EncodeEvent = fn(&UserReport, bool) -> Vec<String>;

/// All sockets of a product.
#[derive(Clone)]
pub struct Sessions {
    slots: Arc<Semaphore>,
    encode: EncodeEvent,
}

/// What a socket begins with.
pub struct Opening {
    pub venue: Arc<Venue>,
    pub peer: IpAddr,
    pub microseconds: bool,
    /// Whether answers carry `rateLimits` unless they are told otherwise.
    pub rate_limits: bool,
    pub stopping: CancellationToken,
}

impl Sessions {
    #[must_use]
    pub fn new(encode: EncodeEvent) -> Self {
        Self { slots: Arc::new(Semaphore::new(SOCKETS_MAX)), encode }
    }

    pub(super) fn open(&self, upgrade: WebSocketUpgrade, opening: Opening) -> Response {
        let Ok(slot) = Arc::clone(&self.slots).try_acquire_owned() else {
            return http::problem(&opening.venue, &Problem::too_many_connections(SOCKETS_MAX));
        };
        let encode = self.encode;
        upgrade.max_message_size(FRAME_MAX).max_frame_size(FRAME_MAX).on_upgrade(move |socket| async move {
            let stopping = opening.stopping.clone();
            Connected::new(socket, Session::new(opening, encode), stopping).run().await;
            drop(slot);
        })
    }

    /// Waits until every socket is closed.
    pub(super) async fn gone(&self) {
        // Each socket holds one permit until it is closed. Invariant: nobody closes the semaphore.
        let _ = self.slots.acquire_many(SOCKETS_MAX as u32).await;
    }
}

/// How often a product pings, and how long it waits for the pong.
const fn rhythm(product: Product) -> (Duration, Duration) {
    match product.kind {
        crate::domain::instrument::InstrumentKind::Spot => (Duration::from_secs(20), Duration::from_secs(60)),
        crate::domain::instrument::InstrumentKind::Perpetual => (Duration::from_secs(180), Duration::from_secs(600)),
    }
}

/// Why a socket ends.
enum End {
    /// The client closed it, or it broke.
    Gone,
    /// Said with a close frame.
    Closed(u16, &'static str),
}

struct Connected {
    socket: WebSocket,
    session: Session,
    stopping: CancellationToken,
    faults: Receiver<Word>,
    under_way: FuturesUnordered<BoxFuture<'static, Done>>,
}

impl Connected {
    fn new(socket: WebSocket, session: Session, stopping: CancellationToken) -> Self {
        let faults = session.venue().faults().words();
        Self { socket, session, stopping, faults, under_way: FuturesUnordered::new() }
    }

    async fn run(mut self) {
        let end = match self.pump().await {
            Ok(never) => match never {},
            Err(end) => end,
        };
        // Whether it hears it or not, it is gone.
        let _ = match end {
            End::Closed(code, reason) => {
                let frame = CloseFrame { code, reason: Utf8Bytes::from_static(reason) };
                timeout(WRITE_MAX, self.socket.send(Message::Close(Some(frame)))).await
            }
            // A client's close is answered: the library has the frame ready, but sends it only with the next write.
            End::Gone => timeout(WRITE_MAX, self.socket.flush()).await,
        };
    }

    async fn pump(&mut self) -> Result<std::convert::Infallible, End> {
        let (ping_every, pong_max) = rhythm(self.session.venue().product());
        let born = Instant::now();
        let mut ping = interval_at(born + ping_every, ping_every);
        let mut heard_at = born;
        loop {
            while self.session.is_zombie() {
                sleep(ZOMBIE_LOOK).await;
            }
            tokio::select! {
                () = self.stopping.cancelled() => return Err(self.shut_down().await),
                word = self.faults.recv() => self.act(word).await?,
                message = self.socket.recv(), if self.under_way.len() < UNDER_WAY_MAX => match message {
                    Some(Ok(Message::Text(text))) => self.begin(text.as_str()).await?,
                    Some(Ok(Message::Binary(bytes))) => self.begin(&String::from_utf8_lossy(&bytes)).await?,
                    Some(Ok(Message::Pong(_))) => heard_at = Instant::now(),
                    // The library answers pings and the close by itself.
                    Some(Ok(Message::Ping(_))) => {}
                    Some(Ok(Message::Close(_))) | None => return Err(End::Gone),
                    Some(Err(_)) => return Err(End::Closed(1002, "expected a frame of RFC 6455 and of at most 64 KB, found none")),
                },
                Some(done) = self.under_way.next() => self.finish(done).await?,
                heard = self.session.events.next() => match heard {
                    Some(heard) => self.tell(heard).await?,
                    None => return Err(End::Closed(1008, "the client is too slow: its events do not fit; reconnect and take a snapshot")),
                },
                _ = ping.tick() => self.write(Message::Ping(Default::default())).await?,
                () = sleep_until(heard_at + pong_max) => return Err(End::Closed(1008, "expected a pong, found none")),
                () = sleep_until(born + LIFE) => return Err(self.shut_down().await),
            }
        }
    }

    async fn begin(&mut self, text: &str) -> Result<(), End> {
        match self.session.begin(text) {
            Ok(request) => {
                self.under_way.push(request);
                Ok(())
            }
            Err(refused) => self.say(refused).await,
        }
    }

    /// Answers this one and those that are ready with it.
    async fn finish(&mut self, done: Done) -> Result<(), End> {
        let mut texts = self.session.finish(done)?;
        while texts.len() < BATCH_MAX
            && let Some(Some(done)) = futures_util::FutureExt::now_or_never(self.under_way.next())
        {
            texts.append(&mut self.session.finish(done)?);
        }
        self.say_all(texts).await
    }

    async fn tell(&mut self, heard: (u32, Heard)) -> Result<(), End> {
        let mut texts = self.session.event(&heard);
        while texts.len() < BATCH_MAX
            && let Some(heard) = self.session.events.try_next()
        {
            texts.append(&mut self.session.event(&heard));
        }
        self.say_all(texts).await
    }

    async fn act(&mut self, word: Result<Word, RecvError>) -> Result<(), End> {
        let kind = match word {
            Ok(Word::Do(action)) if action.account.is_none_or(|account| self.session.hears(account)) => action.kind,
            Ok(_) | Err(RecvError::Lagged(_)) => return Ok(()),
            // The desk lives as long as the venue.
            Err(RecvError::Closed) => return std::future::pending().await,
        };
        match kind {
            Kind::Cut { sockets: Sockets::All | Sockets::WsApi | Sockets::User } => Err(End::Gone),
            Kind::Shutdown => Err(self.shut_down().await),
            _ => Ok(()),
        }
    }

    /// The notice, then the end.
    async fn shut_down(&mut self) -> End {
        let notice = self.session.shutdown_notice();
        match self.say(notice).await {
            Ok(()) => End::Closed(1001, "the exchange is stopping; reconnect"),
            Err(end) => end,
        }
    }

    async fn say(&mut self, text: String) -> Result<(), End> {
        self.write(Message::Text(text.into())).await
    }

    async fn say_all(&mut self, texts: Vec<String>) -> Result<(), End> {
        let write = async {
            for text in texts {
                self.socket.feed(Message::Text(text.into())).await?;
            }
            self.socket.flush().await
        };
        written(timeout(WRITE_MAX, write).await)
    }

    async fn write(&mut self, message: Message) -> Result<(), End> {
        written(timeout(WRITE_MAX, self.socket.send(message)).await)
    }
}

fn written(write: Result<Result<(), axum::Error>, tokio::time::error::Elapsed>) -> Result<(), End> {
    match write {
        Ok(Ok(())) => Ok(()),
        Ok(Err(_)) => Err(End::Gone),
        Err(_) => Err(End::Closed(1008, "the client is too slow")),
    }
}
