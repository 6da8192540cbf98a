//! One market-data WebSocket to Binance or to what speaks like it: connects, subscribes, answers pings, hands out the text frames
//! as they came. It decodes nothing, never reconnects and judges no silence: the feed that owns it does.

use std::time::Duration;

use futures_util::{SinkExt as _, StreamExt as _};
use rustls::crypto::aws_lc_rs;
use serde_json::json;
use tokio::net::TcpStream;
use tokio::runtime::Handle;
use tokio::sync::mpsc;
use tokio_tungstenite::tungstenite::protocol::WebSocketConfig;
use tokio_tungstenite::tungstenite::{Error, Message};
use tokio_tungstenite::{MaybeTlsStream, WebSocketStream, connect_async_with_config};

pub use tokio_tungstenite::tungstenite::Utf8Bytes;

/// A venue that has not answered the handshake by then is not there; the feed tries again.
const HANDSHAKE_MAX: Duration = Duration::from_secs(10);
/// Binance's own limit for one connection.
pub const STREAMS_MAX: usize = 1_024;
/// A diff of a whole book is some 100 KB, the largest array stream 1 MB. More is not market data.
const FRAME_BYTES_MAX: usize = 4 << 20;
/// Streams that are named in the address; more are subscribed to by commands, as an address must stay short.
const NAMED_MAX: usize = 50;
/// Streams in one command, and the pause between two: the venue hears five in a second.
const COMMAND_STREAMS_MAX: usize = 200;
const COMMAND_EVERY: Duration = Duration::from_millis(250);
/// Frames that may wait for the trading thread, where another thread reads the socket: a feed that is further behind begins anew.
const CARRIED_MAX: usize = 8_192;
/// What of a refusal is shown: enough for `{code,msg}`, little enough for a log line.
const EXCERPT_MAX: usize = 200;

/// Why there is no connection.
#[derive(Debug, thiserror::Error)]
pub enum ConnectError {
    #[error("a market connection expected 1 to {STREAMS_MAX} streams, found {found}; spread them over more connections")]
    StreamCount { found: usize },
    #[error("a stream name expected only a-z, A-Z, 0-9 and @ _ - ! . as in \"btcusdt@trade\", found {found:?}")]
    StreamName { found: String },
    #[error("the stream address expected the form ws://host:port or wss://host, found {found:?}: {why}")]
    Address { found: String, why: String },
    /// The venue answered, and did not take the streams: trying again with the same ones is of no use.
    #[error("{url} expected to become a WebSocket, found HTTP status {status}: {answer}")]
    Refused { url: String, status: u16, answer: String },
    #[error("{url} cannot be reached: {source}")]
    Unreachable { url: String, source: Box<Error> },
    #[error("{url} expected to answer the handshake within {HANDSHAKE_MAX:?}, found silence")]
    TimedOut { url: String },
}

/// Why a connection ended. Whatever it says, the connection is over.
#[derive(Debug, thiserror::Error)]
pub enum ConnectionError {
    #[error("the venue closed the market stream (code {code}): {reason:?}; reconnect")]
    Closed { code: u16, reason: String },
    #[error("the market stream expected text frames, found {found} binary bytes")]
    NotText { found: usize },
    #[error("the market stream broke off: {0}")]
    Broken(Box<Error>),
    #[error("the market stream expected its reader to keep up, found it {CARRIED_MAX} frames behind")]
    Behind,
}

/// An open market stream.
#[derive(Debug)]
pub struct MarketConnection {
    frames: Frames,
    ended: bool,
}

#[derive(Debug)]
enum Frames {
    /// Read where it is asked for.
    Own(Box<WebSocketStream<MaybeTlsStream<TcpStream>>>),
    /// Read, and decrypted, on another runtime.
    Carried(mpsc::Receiver<Result<Utf8Bytes, ConnectionError>>),
}

/// Connects to the combined streams of that name under `base`, such as `ws://127.0.0.1:9443`. Names are Binance's:
/// `btcusdt@depth@100ms`. Frames come as `{"stream":…,"data":…}`.
///
/// # Errors
/// When the names or the address are no such, the venue refuses them, cannot be reached or stays silent.
pub async fn connect(base: &str, streams: &[String]) -> Result<MarketConnection, ConnectError> {
    // One provider for everybody; whoever was first has installed the same one.
    let _ = aws_lc_rs::default_provider().install_default();
    let url = stream_url(base, streams)?;
    let config = WebSocketConfig::default().max_message_size(Some(FRAME_BYTES_MAX)).max_frame_size(Some(FRAME_BYTES_MAX));
    // Pongs, commands and the close frame are all that we send: none may wait for more bytes.
    let nodelay = true;
    let opened = tokio::time::timeout(HANDSHAKE_MAX, connect_async_with_config(&url, Some(config), nodelay)).await;
    let mut socket = match opened {
        Ok(Ok((socket, _))) => socket,
        Ok(Err(error)) => return Err(refused(url, error)),
        Err(_) => return Err(ConnectError::TimedOut { url }),
    };
    for (number, command) in commands(streams).into_iter().enumerate() {
        if number > 0 {
            tokio::time::sleep(COMMAND_EVERY).await;
        }
        socket.send(Message::text(command)).await.map_err(|error| refused(url.clone(), error))?;
    }
    Ok(MarketConnection { frames: Frames::Own(Box::new(socket)), ended: false })
}

/// As [`connect`], with the handshake on `runtime`. With TLS the socket stays there, and its frames come over a channel: the
/// caller's thread neither shakes hands nor decrypts. Without, the socket is opened where it is read.
///
/// # Errors
/// As [`connect`].
pub async fn connect_beside(runtime: &Handle, base: &str, streams: &[String]) -> Result<MarketConnection, ConnectError> {
    if !base.starts_with("wss://") {
        return connect(base, streams).await;
    }
    let (to, frames) = mpsc::channel(CARRIED_MAX);
    let (opened, is_open) = tokio::sync::oneshot::channel();
    let (base, streams) = (base.to_owned(), streams.to_vec());
    // It ends by itself when its socket does or nobody listens any more.
    runtime.spawn(async move {
        let mut connection = match connect(&base, &streams).await {
            Ok(connection) => connection,
            Err(error) => return drop(opened.send(Err(error))),
        };
        if opened.send(Ok(())).is_ok() {
            carry(&mut connection, &to).await;
        }
    });
    match is_open.await {
        Ok(opened) => opened.map(|()| MarketConnection { frames: Frames::Carried(frames), ended: false }),
        // The runtime is going down.
        Err(_) => Err(ConnectError::TimedOut { url: String::new() }),
    }
}

async fn carry(connection: &mut MarketConnection, to: &mpsc::Sender<Result<Utf8Bytes, ConnectionError>>) {
    loop {
        let next = tokio::select! {
            next = connection.next() => next,
            () = to.closed() => return,
        };
        let Some(next) = next else { return };
        // A reader that is so far behind finds the channel's end, which is its word.
        if to.try_send(next).is_err() {
            return;
        }
    }
}

impl MarketConnection {
    /// The next text frame; after an error, `None`. Pings are answered here, so keep asking. How long silence may last is the
    /// caller's to say; giving up waiting loses nothing.
    pub async fn next(&mut self) -> Option<Result<Utf8Bytes, ConnectionError>> {
        if self.ended {
            return None;
        }
        let next = match &mut self.frames {
            Frames::Own(socket) => next_text(socket).await,
            Frames::Carried(frames) => frames.recv().await.unwrap_or(Err(ConnectionError::Behind)),
        };
        self.ended = next.is_err();
        Some(next)
    }
}

async fn next_text(socket: &mut WebSocketStream<MaybeTlsStream<TcpStream>>) -> Result<Utf8Bytes, ConnectionError> {
    loop {
        return match socket.next().await {
            Some(Ok(Message::Text(text))) => Ok(text),
            // The library has queued the pong, and sends it as it reads on.
            Some(Ok(Message::Ping(_) | Message::Pong(_) | Message::Frame(_))) => continue,
            Some(Ok(Message::Binary(bytes))) => Err(ConnectionError::NotText { found: bytes.len() }),
            Some(Ok(Message::Close(frame))) => {
                let (code, reason) = frame.map_or((1005, String::new()), |frame| (frame.code.into(), frame.reason.to_string()));
                Err(ConnectionError::Closed { code, reason })
            }
            Some(Err(error)) => Err(ConnectionError::Broken(Box::new(error))),
            // The socket ended without a close frame; 1006 is the protocol's number for that.
            None => Err(ConnectionError::Closed { code: 1006, reason: String::new() }),
        };
    }
}

/// The commands that subscribe to what the address does not name.
fn commands(streams: &[String]) -> Vec<String> {
    let left = streams.get(NAMED_MAX..).unwrap_or_default();
    let command = |(number, streams): (usize, &[String])| json!({ "method": "SUBSCRIBE", "params": streams, "id": number + 1 }).to_string();
    left.chunks(COMMAND_STREAMS_MAX).enumerate().map(command).collect()
}

fn stream_url(base: &str, streams: &[String]) -> Result<String, ConnectError> {
    if !(1..=STREAMS_MAX).contains(&streams.len()) {
        return Err(ConnectError::StreamCount { found: streams.len() });
    }
    if !base.starts_with("ws://") && !base.starts_with("wss://") {
        return Err(ConnectError::Address { found: base.to_owned(), why: "the scheme is another".to_owned() });
    }
    let valid = |name: &&String| !name.is_empty() && name.bytes().all(|b| b.is_ascii_alphanumeric() || b"@_-!.".contains(&b));
    if let Some(bad) = streams.iter().find(|name| !valid(name)) {
        return Err(ConnectError::StreamName { found: bad.clone() });
    }
    Ok(format!("{}/stream?streams={}", base.trim_end_matches('/'), streams[..streams.len().min(NAMED_MAX)].join("/")))
}

fn refused(url: String, error: Error) -> ConnectError {
    match error {
        Error::Http(response) => {
            let body = response.body().as_deref().unwrap_or_default();
            let answer = String::from_utf8_lossy(body).chars().take(EXCERPT_MAX).collect();
            ConnectError::Refused { url, status: response.status().as_u16(), answer }
        }
        Error::Url(why) => ConnectError::Address { found: url, why: why.to_string() },
        Error::HttpFormat(why) => ConnectError::Address { found: url, why: why.to_string() },
        other => ConnectError::Unreachable { url, source: Box::new(other) },
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn names(names: &[&str]) -> Vec<String> {
        names.iter().map(|name| (*name).to_owned()).collect()
    }

    #[test]
    fn the_streams_are_joined_under_the_base() {
        let url = stream_url("ws://127.0.0.1:1/", &names(&["btcusdt@depth@100ms", "btcusdt@trade"])).unwrap();
        assert_eq!(url, "ws://127.0.0.1:1/stream?streams=btcusdt@depth@100ms/btcusdt@trade");
    }

    #[test]
    fn a_name_that_would_change_the_address_is_refused() {
        for bad in ["", "a/b", "a&b", "a b", "a?b", "a#b", "ä"] {
            let error = stream_url("ws://x", &names(&[bad])).unwrap_err();
            assert!(matches!(&error, ConnectError::StreamName { found } if found == bad), "{error}");
        }
        assert!(matches!(stream_url("ws://x", &[]), Err(ConnectError::StreamCount { found: 0 })));
    }

    #[test]
    fn many_streams_are_subscribed_to_by_commands() {
        let streams: Vec<String> = (0..500).map(|n| format!("c{n}usdt@trade")).collect();
        assert!(stream_url("ws://x", &streams).unwrap().len() < 2_000);
        let commands = commands(&streams);
        assert_eq!(commands.len(), 3);
        assert!(commands[0].contains("\"c50usdt@trade\"") && commands[2].contains("\"id\":3") && commands[2].contains("c499usdt"));
        assert_eq!(super::commands(&streams[..50]), Vec::<String>::new());
    }

    #[tokio::test]
    async fn a_tls_handshake_with_who_speaks_none_is_an_error() {
        let listener = tokio::net::TcpListener::bind("127.0.0.1:0").await.unwrap();
        let base = format!("wss://{}", listener.local_addr().unwrap());
        let hang_up = async { drop(listener.accept().await.unwrap()) };
        let (streams, runtime) = (names(&["btcusdt@trade"]), Handle::current());
        let (connected, ()) = tokio::join!(connect_beside(&runtime, &base, &streams), hang_up);
        assert!(matches!(connected.unwrap_err(), ConnectError::Unreachable { .. }));
    }

    #[tokio::test]
    async fn an_address_that_is_none_says_what_was_expected() {
        for base in ["127.0.0.1:1", "http://127.0.0.1:1", "ws://", ""] {
            let error = connect(base, &names(&["btcusdt@trade"])).await.unwrap_err();
            assert!(matches!(error, ConnectError::Address { .. }), "{base}: {error:?}");
        }
    }
}
