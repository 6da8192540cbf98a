//! One client's socket: writes what the hub gives it, pings it, and ends it when it is cut, silent, or the server ends. It
//! decides nothing about the market.

use std::time::Duration;

use axum::extract::ws::{CloseFrame, Message, Utf8Bytes, WebSocket};
use futures_util::SinkExt as _;
use tokio::time::{Instant, interval_at, sleep_until, timeout};

use super::hub::{CutReason, Subscription};

/// USD-M's rhythm: a ping every three minutes, and who has not answered for ten is gone.
const PING_EVERY: Duration = Duration::from_secs(180);
const PONG_MAX: Duration = Duration::from_secs(600);
/// Clients send control frames and small commands only.
pub(super) const MESSAGE_BYTES_MAX: usize = 64 << 10;
/// Texts in one write to the socket: one system call for a burst, and still a look at the clock now and then.
const BATCH_MAX: usize = 64;
/// A write that does not end by then has nobody at its other end.
const WRITE_MAX: Duration = Duration::from_secs(30);
/// The close frame is a courtesy; a client that does not take its frames will not take this one.
const CLOSE_MAX: Duration = Duration::from_secs(1);

/// Why a socket ends.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum End {
    /// The client closed it, or it broke.
    Gone,
    NoPong,
    Cut(CutReason),
    ServerStops,
}

pub(super) async fn run(mut socket: WebSocket, mut subscription: Subscription) {
    let cut = subscription.cut();
    let end = tokio::select! {
        // A client that is cut while it takes nothing hangs in a write: the cut goes before.
        biased;
        () = cut.cancelled() => subscription.cut_reason().map_or(End::ServerStops, End::Cut),
        end = pump(&mut socket, &mut subscription) => end,
    };
    // Its frames are nobody's now; the hub must not fill them further.
    drop(subscription);
    if let Some(frame) = end.close_frame() {
        tracing::info!(code = frame.code, reason = frame.reason.as_str(), "market stream client cut");
        // Whether it hears it or not, it is gone.
        let _ = timeout(CLOSE_MAX, socket.send(Message::Close(Some(frame)))).await;
    }
}

async fn pump(socket: &mut WebSocket, subscription: &mut Subscription) -> End {
    let start = Instant::now();
    let mut ping = interval_at(start + PING_EVERY, PING_EVERY);
    let mut heard_at = start;
    let mut batch: Vec<Utf8Bytes> = Vec::with_capacity(BATCH_MAX);
    loop {
        let written = tokio::select! {
            () = subscription.take(&mut batch, BATCH_MAX) => timeout(WRITE_MAX, write(socket, &mut batch)).await,
            message = socket.recv() => match message {
                Some(Ok(Message::Pong(_))) => {
                    heard_at = Instant::now();
                    continue;
                }
                // The library answers pings and the close by itself.
                Some(Ok(Message::Ping(_) | Message::Binary(_))) => continue,
                Some(Ok(Message::Text(_))) => timeout(WRITE_MAX, socket.send(Message::Text(NO_COMMANDS))).await,
                Some(Ok(Message::Close(_)) | Err(_)) | None => return End::Gone,
            },
            _ = ping.tick() => timeout(WRITE_MAX, socket.send(Message::Ping(Default::default()))).await,
            () = sleep_until(heard_at + PONG_MAX) => return End::NoPong,
        };
        match written {
            Ok(Ok(())) => {}
            Ok(Err(_)) => return End::Gone,
            Err(_) => return End::Cut(CutReason::TooSlow),
        }
    }
}

/// Binance's answer to a command that it does not have.
const NO_COMMANDS: Utf8Bytes =
    Utf8Bytes::from_static(r#"{"error":{"code":2,"msg":"Invalid request: streams are chosen in the address of the connection"}}"#);

async fn write(socket: &mut WebSocket, batch: &mut Vec<Utf8Bytes>) -> Result<(), axum::Error> {
    for text in batch.drain(..) {
        socket.feed(Message::Text(text)).await?;
    }
    socket.flush().await
}

impl End {
    /// Codes of RFC 6455 and its registry: 1001 going away, 1008 policy, 1012 service restart.
    fn close_frame(self) -> Option<CloseFrame> {
        let (code, reason) = match self {
            Self::Gone => return None,
            Self::NoPong => (1008, "expected a pong within 10 minutes, found none"),
            Self::Cut(CutReason::TooSlow) => (1008, "the client is too slow: its backlog is full; read faster or ask for fewer streams"),
            Self::Cut(CutReason::MarketLost) => (1012, "frames were lost at the exchange; reconnect and take a new snapshot"),
            Self::ServerStops => (1001, "the exchange is stopping"),
        };
        Some(CloseFrame { code, reason: Utf8Bytes::from_static(reason) })
    }
}
