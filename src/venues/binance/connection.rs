//! One market-data WebSocket to Binance or to what speaks like it: connects, answers pings, hands out the text frames as they
//! came. It decodes nothing, subscribes to nothing after the start, never reconnects and judges no silence: the feed that owns
//! it does.

use std::time::Duration;

use futures_util::StreamExt as _;
use tokio::net::TcpStream;
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
}

/// An open market stream.
#[derive(Debug)]
pub struct MarketConnection {
    socket: WebSocketStream<MaybeTlsStream<TcpStream>>,
    ended: bool,
}

/// Connects to the combined streams of that name under `base`, such as `ws://127.0.0.1:9443`. Names are Binance's:
/// `btcusdt@depth@100ms`. Frames come as `{"stream":…,"data":…}`.
///
/// # Errors
/// When the names or the address are no such, the venue refuses them, cannot be reached or stays silent.
pub async fn connect(base: &str, streams: &[String]) -> Result<MarketConnection, ConnectError> {
    let url = stream_url(base, streams)?;
    let config = WebSocketConfig::default().max_message_size(Some(FRAME_BYTES_MAX)).max_frame_size(Some(FRAME_BYTES_MAX));
    // Pongs and the close frame are all that we send: none may wait for more bytes.
    let nodelay = true;
    match tokio::time::timeout(HANDSHAKE_MAX, connect_async_with_config(&url, Some(config), nodelay)).await {
        Ok(Ok((socket, _))) => Ok(MarketConnection { socket, ended: false }),
        Ok(Err(error)) => Err(refused(url, error)),
        Err(_) => Err(ConnectError::TimedOut { url }),
    }
}

impl MarketConnection {
    /// The next text frame; after an error, `None`. Pings are answered here, so keep asking. How long silence may last is the
    /// caller's to say; giving up waiting loses nothing.
    pub async fn next(&mut self) -> Option<Result<Utf8Bytes, ConnectionError>> {
        while !self.ended {
            let failure = match self.socket.next().await {
                Some(Ok(Message::Text(text))) => return Some(Ok(text)),
                // The library has queued the pong, and sends it as it reads on.
                Some(Ok(Message::Ping(_) | Message::Pong(_) | Message::Frame(_))) => continue,
                Some(Ok(Message::Binary(bytes))) => ConnectionError::NotText { found: bytes.len() },
                Some(Ok(Message::Close(frame))) => {
                    let (code, reason) = frame.map_or((1005, String::new()), |frame| (frame.code.into(), frame.reason.to_string()));
                    ConnectionError::Closed { code, reason }
                }
                Some(Err(error)) => ConnectionError::Broken(Box::new(error)),
                // The socket ended without a close frame; 1006 is the protocol's number for that.
                None => ConnectionError::Closed { code: 1006, reason: String::new() },
            };
            self.ended = true;
            return Some(Err(failure));
        }
        None
    }
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
    Ok(format!("{}/stream?streams={}", base.trim_end_matches('/'), streams.join("/")))
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

    #[tokio::test]
    async fn an_address_that_is_none_says_what_was_expected() {
        for base in ["127.0.0.1:1", "http://127.0.0.1:1", "ws://", ""] {
            let error = connect(base, &names(&["btcusdt@trade"])).await.unwrap_err();
            assert!(matches!(error, ConnectError::Address { .. }), "{base}: {error:?}");
        }
    }
}
