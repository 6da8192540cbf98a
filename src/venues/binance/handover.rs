//! A market connection that outlives its sockets: before the venue cuts one, or when the server says that it will stop, a second one
//! is opened, both are heard for a while, and then the second is the first. It only carries texts and counts time; what of the
//! two is new is the relay's to say (`feeds`), and a socket that breaks with no other beside it is its end.

use std::time::Duration;

use futures_util::FutureExt as _;
use futures_util::future::BoxFuture;
use tokio::runtime::Handle;
use tokio::time::{Interval, MissedTickBehavior, interval};

use super::connection::{ConnectError, ConnectionError, MarketConnection, Utf8Bytes, connect_beside};
use super::feeds::Side;

/// How often it looks after itself, as a rule; what follows is counted in looks. Monotonic time, which a suspended machine does
/// not spend.
pub const LOOK_EVERY: Duration = Duration::from_secs(1);
/// A socket that is silent for so long is dead, whatever its pings say (F12): one with marks, which come once a second to every
/// three whatever the market does.
const DATA_AGE_MAX: u32 = 15;
/// And one without: the touch of the quietest symbol changes once in some ten seconds.
const QUIET_AGE_MAX: u32 = 60;
/// A venue cuts a connection after 24 hours. The next one is opened this long before, with room for a venue that is slow to let
/// us in (F07).
const RENEW_AFTER: u32 = 24 * 3_600 - 600;
/// Both connections are heard for this long: then a stream that has not spoken on both has had nothing to say.
const OVERLAP: u32 = 30;
/// After an attempt at a second connection that failed.
const TRY_AGAIN: u32 = 20;

/// What happens on a pair.
#[derive(Debug)]
pub enum PairEvent {
    Text(Side, Utf8Bytes),
    /// The second connection is open.
    Began,
    /// The second connection is the first now.
    TookOver,
    /// There is no second connection yet, and it is tried again.
    NotYet(String),
    /// The second connection ended before the first did.
    Abandoned(String),
    /// Some time has passed.
    Look,
    /// Both are gone, or the only one; nothing comes after it.
    Lost(String),
}

type Frame = Option<Result<Utf8Bytes, ConnectionError>>;

/// The second connection.
enum Successor {
    None,
    Opening(BoxFuture<'static, Result<MarketConnection, ConnectError>>),
    Open { connection: Box<MarketConnection>, looks_left: u32 },
}

enum News {
    Opened(Result<MarketConnection, ConnectError>),
    Frame(Frame),
}

/// One connection, or two while the second takes over from the first.
pub struct Pair {
    runtime: Handle,
    base: String,
    streams: Vec<String>,
    first: MarketConnection,
    second: Successor,
    look: Interval,
    /// Until a second connection is wanted.
    looks_left: u32,
    silent_looks: u32,
    silent_max: u32,
}

impl Pair {
    /// Connects, with handshakes on `runtime`; it looks after itself every `look_every`.
    ///
    /// # Errors
    /// As [`connect_beside`].
    pub async fn open(runtime: &Handle, base: &str, streams: Vec<String>, look_every: Duration) -> Result<Self, ConnectError> {
        let first = connect_beside(runtime, base, &streams).await?;
        let mut look = interval(look_every);
        look.set_missed_tick_behavior(MissedTickBehavior::Delay);
        let (runtime, base) = (runtime.clone(), base.to_owned());
        let has_marks = streams.iter().any(|stream| stream.contains("@markPrice"));
        let silent_max = if has_marks { DATA_AGE_MAX } else { QUIET_AGE_MAX };
        Ok(Self { runtime, base, streams, first, second: Successor::None, look, looks_left: RENEW_AFTER, silent_looks: 0, silent_max })
    }

    /// The first connection is about to be cut: a second one is wanted now.
    pub fn renew(&mut self) {
        self.looks_left = 0;
    }

    /// What happens next. Giving up waiting loses nothing.
    pub async fn next(&mut self) -> PairEvent {
        tokio::select! {
            next = self.first.next() => self.on_first(next),
            news = self.second.news() => self.on_second(news),
            _ = self.look.tick() => self.on_look(),
        }
    }

    fn on_first(&mut self, next: Frame) -> PairEvent {
        match (next, std::mem::replace(&mut self.second, Successor::None)) {
            (Some(Ok(text)), second) => {
                (self.second, self.silent_looks) = (second, 0);
                PairEvent::Text(Side::First, text)
            }
            // What the second connection has is all there is.
            (_, Successor::Open { connection, .. }) => self.take_over(*connection),
            (ended, _) => PairEvent::Lost(why_ended(ended)),
        }
    }

    fn on_second(&mut self, news: News) -> PairEvent {
        match news {
            News::Frame(Some(Ok(text))) => PairEvent::Text(Side::Second, text),
            News::Opened(Ok(connection)) => {
                self.second = Successor::Open { connection: Box::new(connection), looks_left: OVERLAP };
                PairEvent::Began
            }
            News::Opened(Err(error)) => {
                (self.second, self.looks_left) = (Successor::None, TRY_AGAIN);
                PairEvent::NotYet(error.to_string())
            }
            News::Frame(ended) => {
                (self.second, self.looks_left) = (Successor::None, TRY_AGAIN);
                PairEvent::Abandoned(why_ended(ended))
            }
        }
    }

    fn on_look(&mut self) -> PairEvent {
        self.silent_looks += 1;
        if self.silent_looks > self.silent_max {
            return PairEvent::Lost(format!("expected data within {:?}, found silence", self.look.period() * self.silent_max));
        }
        self.looks_left = self.looks_left.saturating_sub(1);
        match std::mem::replace(&mut self.second, Successor::None) {
            Successor::Open { connection, looks_left: 0 } => return self.take_over(*connection),
            Successor::Open { connection, looks_left } => self.second = Successor::Open { connection, looks_left: looks_left - 1 },
            Successor::None if self.looks_left == 0 => {
                let (runtime, base, streams) = (self.runtime.clone(), self.base.clone(), self.streams.clone());
                self.second = Successor::Opening(async move { connect_beside(&runtime, &base, &streams).await }.boxed());
            }
            other => self.second = other,
        }
        PairEvent::Look
    }

    fn take_over(&mut self, second: MarketConnection) -> PairEvent {
        self.first = second;
        (self.looks_left, self.silent_looks) = (RENEW_AFTER, 0);
        PairEvent::TookOver
    }
}

impl Successor {
    /// For ever nothing while there is none.
    async fn news(&mut self) -> News {
        match self {
            Self::None => std::future::pending().await,
            Self::Opening(opening) => News::Opened(opening.await),
            Self::Open { connection, .. } => News::Frame(connection.next().await),
        }
    }
}

fn why_ended(ended: Frame) -> String {
    match ended {
        Some(Err(error)) => error.to_string(),
        _ => "the connection ended".to_owned(),
    }
}
