//! One client's socket: writes what the hub gives it, hears its commands, pings it, and ends it when it is cut, silent, too loud,
//! a day old, or the server ends. It decides nothing about the market.

use std::collections::VecDeque;
use std::time::Duration;

use axum::extract::ws::{CloseFrame, Message, Utf8Bytes, WebSocket};
use futures_util::SinkExt as _;
use serde_json::{Value, json};
use tokio::time::{Instant, interval_at, sleep_until, timeout};

use super::commands::{self, Ask, Request};
use super::hub::{CutReason, Subscription, Wrapping};
use super::microseconds;
use super::names::{Naming, Route, STREAMS_MAX};
use crate::domain::instrument::InstrumentKind;

/// No connection lives longer.
const AGE_MAX: Duration = Duration::from_secs(24 * 3_600);
/// Clients send control frames and small commands only; a subscription of 1,024 long names is 40 KB.
pub(super) const MESSAGE_BYTES_MAX: usize = 64 << 10;
/// Texts in one write to the socket: one system call for a burst, and still a look at the clock now and then.
const BATCH_MAX: usize = 256;
/// A write that does not end by then has nobody at its other end.
const WRITE_MAX: Duration = Duration::from_secs(30);
/// The close frame is a courtesy; a client that does not take its frames will not take this one.
const CLOSE_MAX: Duration = Duration::from_secs(1);
/// Pings that may be unanswered at once; by then the client is gone.
const PINGS_MAX: usize = 8;
const SECOND: Duration = Duration::from_secs(1);

/// A venue's rhythm.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct SessionRules {
    pub ping_every: Duration,
    /// Who has answered no ping for so long is gone.
    pub pong_max: Duration,
    /// Messages of a client in a second: pings, pongs and commands.
    pub messages_max: usize,
    /// A command without an id is refused.
    pub ids_required: bool,
}

impl SessionRules {
    #[must_use]
    pub const fn of(product: InstrumentKind) -> Self {
        match product {
            InstrumentKind::Spot => {
                Self { ping_every: Duration::from_secs(20), pong_max: Duration::from_secs(60), messages_max: 5, ids_required: true }
            }
            InstrumentKind::Perpetual => {
                Self { ping_every: Duration::from_secs(180), pong_max: Duration::from_secs(600), messages_max: 10, ids_required: true }
            }
        }
    }

    /// Aster's, where it differs from USD-M's.
    #[must_use]
    pub const fn aster() -> Self {
        Self { ping_every: Duration::from_secs(300), pong_max: Duration::from_secs(900), messages_max: 10, ids_required: false }
    }
}

/// Why a socket ends.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum End {
    /// The client closed it.
    Gone,
    /// It broke, or sent what is no frame.
    Malformed,
    NoPong,
    TooLoud,
    TooOld,
    Cut(CutReason),
    ServerStops,
}

/// What a session is made with.
pub(super) struct Session {
    pub(super) subscription: Subscription,
    pub(super) naming: Naming,
    pub(super) route: Route,
    pub(super) rules: SessionRules,
    /// Times are told in microseconds.
    pub(super) microseconds: bool,
}

pub(super) async fn run(mut socket: WebSocket, mut session: Session) {
    let cut = session.subscription.cut();
    let end = tokio::select! {
        // A client that is cut while it takes nothing hangs in a write: the cut goes before.
        biased;
        () = cut.cancelled() => session.subscription.cut_reason().map_or(End::ServerStops, End::Cut),
        end = session.pump(&mut socket) => end,
    };
    if end == End::ServerStops {
        // The word that the server stops is among what waits.
        let mut last = Vec::new();
        session.subscription.take_waiting(&mut last);
        let _ = timeout(CLOSE_MAX, write(&mut socket, &mut last)).await;
    }
    // Its frames are nobody's now; the hub must not fill them further.
    drop(session);
    // Whether it hears it or not, it is gone.
    let _ = if let Some(frame) = end.close_frame() {
        // One that broke is no news.
        if end != End::Malformed {
            tracing::info!(code = frame.code, reason = frame.reason.as_str(), "market stream client cut");
        }
        timeout(CLOSE_MAX, socket.send(Message::Close(Some(frame)))).await
    } else {
        // A client's close is answered: the library has the frame ready, but sends it only with the next write.
        timeout(CLOSE_MAX, socket.flush()).await
    };
}

/// The pings of one connection and their answers.
struct Pulse {
    heard_at: Instant,
    waiting: VecDeque<u64>,
    sent: u64,
}

impl Pulse {
    fn ping(&mut self) -> Message {
        self.sent += 1;
        if self.waiting.len() == PINGS_MAX {
            self.waiting.pop_front();
        }
        self.waiting.push_back(self.sent);
        Message::Ping(self.sent.to_string().into())
    }

    /// A pong that answers no ping of ours proves nothing. One without a payload answers them all: old clients send that.
    fn pong(&mut self, payload: &[u8]) {
        let answered = std::str::from_utf8(payload).ok().and_then(|text| text.parse().ok());
        let at = match payload {
            [] => self.waiting.len().checked_sub(1),
            _ => self.waiting.iter().position(|sent| Some(*sent) == answered),
        };
        if let Some(at) = at {
            self.waiting.drain(..=at);
            self.heard_at = Instant::now();
        }
    }
}

/// The moments at which the newest messages came.
struct Loudness {
    max: usize,
    heard: VecDeque<Instant>,
}

impl Loudness {
    /// Says whether one more message is one too many.
    fn is_exceeded(&mut self) -> bool {
        let now = Instant::now();
        while self.heard.front().is_some_and(|at| now.duration_since(*at) >= SECOND) {
            self.heard.pop_front();
        }
        self.heard.push_back(now);
        self.heard.len() > self.max
    }
}

impl Session {
    async fn pump(&mut self, socket: &mut WebSocket) -> End {
        let start = Instant::now();
        let mut ping = interval_at(start + self.rules.ping_every, self.rules.ping_every);
        let mut pulse = Pulse { heard_at: start, waiting: VecDeque::new(), sent: 0 };
        let mut loudness = Loudness { max: self.rules.messages_max, heard: VecDeque::new() };
        let mut batch: Vec<Utf8Bytes> = Vec::with_capacity(BATCH_MAX);
        loop {
            let written = tokio::select! {
                () = self.subscription.take(&mut batch, BATCH_MAX) => {
                    if self.microseconds {
                        batch.iter_mut().for_each(|text| *text = microseconds::event(text).into());
                    }
                    timeout(WRITE_MAX, write(socket, &mut batch)).await
                }
                message = socket.recv() => {
                    let answer = match message {
                        Some(Ok(Message::Close(_))) | None => return End::Gone,
                        Some(Err(_)) => return End::Malformed,
                        Some(Ok(_)) if loudness.is_exceeded() => return End::TooLoud,
                        Some(Ok(Message::Text(text))) => Some(self.answer(&text)),
                        Some(Ok(Message::Binary(bytes))) => Some(self.answer(&String::from_utf8_lossy(&bytes))),
                        Some(Ok(Message::Pong(payload))) => {
                            pulse.pong(&payload);
                            None
                        }
                        // The library answers pings by itself.
                        Some(Ok(Message::Ping(_))) => None,
                    };
                    let Some(answer) = answer else { continue };
                    timeout(WRITE_MAX, socket.send(Message::Text(answer.into()))).await
                }
                _ = ping.tick() => timeout(WRITE_MAX, socket.send(pulse.ping())).await,
                () = sleep_until(pulse.heard_at + self.rules.pong_max) => return End::NoPong,
                () = sleep_until(start + AGE_MAX) => return End::TooOld,
            };
            match written {
                Ok(Ok(())) => {}
                Ok(Err(_)) => return End::Gone,
                Err(_) => return End::Cut(CutReason::TooSlow),
            }
        }
    }

    /// Does what a command asks, and says the answer, which is written before anything that it brings.
    fn answer(&mut self, text: &str) -> String {
        let Request { ask, id } = match commands::read(text, self.rules.ids_required) {
            Ok(request) => request,
            Err(refused) => return refused.text(),
        };
        let subscription = &mut self.subscription;
        let result = match ask {
            Ask::Subscribe(names) => {
                if subscription.count_with(&names) > STREAMS_MAX {
                    return commands::too_many_streams(id).text();
                }
                self.subscribe(&names);
                Value::Null
            }
            Ask::Unsubscribe(names) => {
                names.iter().for_each(|name| subscription.remove(name));
                Value::Null
            }
            Ask::List => json!(subscription.names().collect::<Vec<_>>()),
            Ask::SetCombined(combined) => {
                subscription.wrap(if combined { Wrapping::Combined } else { Wrapping::Raw });
                Value::Null
            }
            Ask::IsCombined => json!(subscription.wrapping() == Wrapping::Combined),
        };
        commands::answer(&result, &id)
    }

    /// A stream of another address, or of none, is accepted and silent.
    pub(super) fn subscribe(&mut self, names: &[String]) {
        for name in names {
            let topic = self.naming.topic(name);
            match topic {
                Some(topic) if !self.route.carries(topic.kind) => self.subscription.add_silent(name),
                topic => self.subscription.add(name, topic, &[]),
            }
        }
    }
}

async fn write(socket: &mut WebSocket, batch: &mut Vec<Utf8Bytes>) -> Result<(), axum::Error> {
    for text in batch.drain(..) {
        socket.feed(Message::Text(text)).await?;
    }
    socket.flush().await
}

impl End {
    /// Codes of RFC 6455 and its registry: 1001 going away, 1002 protocol, 1008 policy, 1012 service restart.
    fn close_frame(self) -> Option<CloseFrame> {
        let (code, reason) = match self {
            Self::Gone => return None,
            Self::Malformed => (1002, "expected a frame of RFC 6455 and of at most 64 KB, found none"),
            Self::NoPong => (1008, "expected a pong to our pings, found none"),
            Self::TooLoud => (1008, "Too many requests"),
            Self::TooOld => (1001, "a connection lives for 24 hours; reconnect"),
            Self::Cut(CutReason::TooSlow) => (1008, "the client is too slow: its backlog is full; read faster or ask for fewer streams"),
            Self::Cut(CutReason::MarketLost) => (1012, "frames were lost at the exchange; reconnect and take a new snapshot"),
            Self::Cut(CutReason::OnPurpose) => (1001, "the connection was cut; reconnect"),
            Self::ServerStops => (1001, "the exchange is stopping"),
        };
        Some(CloseFrame { code, reason: Utf8Bytes::from_static(reason) })
    }
}
