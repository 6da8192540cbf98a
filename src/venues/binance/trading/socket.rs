//! One socket of an account's user stream, opened the product's way: with a listen key on the stream host, or by a signed
//! subscription over the WebSocket API. It hands out frames as they come; when to open one and what to do when it ends, the user
//! stream's machine says.

use std::time::Duration;

use futures_util::{SinkExt as _, StreamExt as _};
use tokio::net::TcpStream;
use tokio::time::timeout;
use tokio_tungstenite::tungstenite::protocol::WebSocketConfig;
use tokio_tungstenite::tungstenite::{Message, Utf8Bytes};
use tokio_tungstenite::{MaybeTlsStream, WebSocketStream, connect_async_with_config};

use super::caller::{Caller, read};
use super::weight::Purpose;
use crate::venues::binance::codec::answers::ListenKeyAnswer;
use crate::venues::binance::codec::events::{Frame, read_frame};
use crate::venues::binance::codec::frames::subscribe_frame;
use crate::venues::binance::codec::outcome::{Failure, is_listen_key_gone};
use crate::venues::binance::codec::product::UserStream;

const HANDSHAKE_MAX: Duration = Duration::from_secs(10);
/// One event is some 2 KB; an account of a thousand assets is 100.
const FRAME_BYTES_MAX: usize = 1 << 20;
/// Our one request on such a socket.
const SUBSCRIPTION: u64 = 1;

/// An open socket that will tell the account's events.
#[derive(Debug)]
pub struct UserSocket {
    socket: WebSocketStream<MaybeTlsStream<TcpStream>>,
}

/// Where an account's events are heard.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct StreamBases {
    pub ws: String,
    pub ws_api: String,
}

impl UserSocket {
    /// # Errors
    /// In words, when the venue cannot be reached or refuses.
    pub async fn open(caller: &Caller, bases: &StreamBases) -> Result<Self, String> {
        match caller.product().capabilities().user_stream {
            UserStream::ListenKey { routed } => {
                let key = listen_key(caller).await.map_err(|failure| format!("no listen key: {failure}"))?;
                let route = if routed { "private/ws" } else { "ws" };
                connect(&format!("{}/{route}/{key}", bases.ws.trim_end_matches('/'))).await
            }
            UserStream::Subscription => {
                let mut socket = connect(&bases.ws_api).await?;
                socket.subscribe(caller).await?;
                Ok(socket)
            }
        }
    }

    async fn subscribe(&mut self, caller: &Caller) -> Result<(), String> {
        let request = subscribe_frame(SUBSCRIPTION, caller.credentials(), caller.timing());
        self.socket.send(Message::text(request)).await.map_err(|error| format!("the subscription broke off: {error}"))?;
        let answered = async {
            while let Some(text) = self.next().await {
                let text = text?;
                if let Ok(Frame::Answer(answer)) = read_frame(&text) {
                    let done = answer.read::<serde::de::IgnoredAny>(caller.product());
                    if let Err(Failure::ClockSkew { .. }) = &done {
                        // The next try is in time.
                        let _ = caller.measure_clock().await;
                    }
                    return done.map(drop).map_err(|failure| format!("the subscription expected to be taken: {failure}"));
                }
            }
            Err("the venue closed the connection instead of an answer".to_owned())
        };
        timeout(HANDSHAKE_MAX, answered).await.map_err(|_| format!("no answer to the subscription within {HANDSHAKE_MAX:?}"))?
    }

    /// The next text. `None` when it was closed. Pings are answered here.
    pub async fn next(&mut self) -> Option<Result<Utf8Bytes, String>> {
        loop {
            return match self.socket.next().await? {
                Ok(Message::Text(text)) => Some(Ok(text)),
                Ok(Message::Ping(_) | Message::Pong(_) | Message::Frame(_)) => continue,
                Ok(Message::Binary(bytes)) => Some(Err(format!("expected text frames, found {} binary bytes", bytes.len()))),
                Ok(Message::Close(frame)) => {
                    let words = frame.map(|frame| format!(" (code {}: {})", frame.code, frame.reason)).unwrap_or_default();
                    Some(Err(format!("the venue closed the user stream{words}")))
                }
                Err(error) => Some(Err(format!("the user stream broke off: {error}"))),
            };
        }
    }
}

async fn connect(url: &str) -> Result<UserSocket, String> {
    let config = WebSocketConfig::default().max_message_size(Some(FRAME_BYTES_MAX)).max_frame_size(Some(FRAME_BYTES_MAX));
    match timeout(HANDSHAKE_MAX, connect_async_with_config(url, Some(config), true)).await {
        Ok(Ok((socket, _))) => Ok(UserSocket { socket }),
        // The address has the listen key in it, which is a secret while it lives.
        Ok(Err(error)) => Err(format!("the user stream cannot be opened: {error}")),
        Err(_) => Err(format!("the user stream expected to open within {HANDSHAKE_MAX:?}, found silence")),
    }
}

async fn listen_key(caller: &Caller) -> Result<String, Failure> {
    let request = caller.product().create_listen_key().map_err(|error| Failure::silence(error.to_string()))?;
    let body = caller.body(Purpose::Order, &request).await?;
    let answer: ListenKeyAnswer<'_> = read(caller.product(), &body)?;
    Ok(answer.listen_key.as_str().to_owned())
}

/// What became of keeping a listen key.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Kept {
    Yes,
    No,
    /// The venue does not know it any more.
    Gone,
}

/// Extends the life of the account's listen key.
pub async fn keep_listen_key(caller: &Caller) -> Kept {
    let Ok(request) = caller.product().keep_listen_key() else { return Kept::Yes };
    match caller.body(Purpose::Order, &request).await {
        Ok(_) => Kept::Yes,
        Err(failure) if is_listen_key_gone(caller.product(), failure.words().0) => Kept::Gone,
        Err(failure) => {
            tracing::warn!(target: "ringfence::venues", %failure, "the listen key could not be kept; tried again");
            Kept::No
        }
    }
}
