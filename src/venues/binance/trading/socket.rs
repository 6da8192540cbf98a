//! One socket of an account's user stream, opened the product's way: with a listen key on the stream host, or by a signed
//! subscription over the WebSocket API. It hands out frames as they come; when to open one and what to do when it ends, the user
//! stream's machine says.

use std::task::{Context, Poll, ready};
use std::time::Duration;

use futures_util::future::BoxFuture;
use futures_util::{FutureExt as _, SinkExt as _, StreamExt as _};
use tokio::net::TcpStream;
use tokio::time::timeout;
use tokio_tungstenite::tungstenite::protocol::WebSocketConfig;
use tokio_tungstenite::tungstenite::{Message, Utf8Bytes};
use tokio_tungstenite::{MaybeTlsStream, WebSocketStream, connect_async_with_config};

use super::caller::{Caller, read};
use super::network::{Frames, within};
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
pub struct UserSocket {
    socket: Box<dyn Frames>,
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
        let network = &caller.host.network;
        match caller.product().capabilities().user_stream {
            UserStream::ListenKey { routed } => {
                let key = listen_key(caller).await.map_err(|failure| format!("no listen key: {failure}"))?;
                let route = if routed { "private/ws" } else { "ws" };
                let socket = network.socket(&format!("{}/{route}/{key}", bases.ws.trim_end_matches('/'))).await?;
                Ok(Self { socket })
            }
            UserStream::Subscription => {
                let mut socket = Self { socket: network.socket(&bases.ws_api).await? };
                socket.subscribe(caller).await?;
                Ok(socket)
            }
        }
    }

    async fn subscribe(&mut self, caller: &Caller) -> Result<(), String> {
        let request = subscribe_frame(SUBSCRIPTION, caller.credentials(), caller.timing());
        self.socket.send(request).await.map_err(|error| format!("the subscription broke off: {error}"))?;
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
        let late = || Err(format!("no answer to the subscription within {HANDSHAKE_MAX:?}"));
        within(&*caller.host.network, HANDSHAKE_MAX, answered).await.unwrap_or_else(late)
    }

    /// The next text. `None` when it was closed.
    pub async fn next(&mut self) -> Option<Result<Utf8Bytes, String>> {
        std::future::poll_fn(|context| self.socket.poll_text(context)).await
    }
}

/// A socket of this machine's. Pings are answered here.
struct WebSocket(WebSocketStream<MaybeTlsStream<TcpStream>>);

impl Frames for WebSocket {
    fn poll_text(&mut self, context: &mut Context<'_>) -> Poll<Option<Result<Utf8Bytes, String>>> {
        loop {
            let message = ready!(self.0.poll_next_unpin(context));
            return Poll::Ready(match message {
                None => None,
                Some(Ok(Message::Text(text))) => Some(Ok(text)),
                Some(Ok(Message::Ping(_) | Message::Pong(_) | Message::Frame(_))) => continue,
                Some(Ok(Message::Binary(bytes))) => Some(Err(format!("expected text frames, found {} binary bytes", bytes.len()))),
                Some(Ok(Message::Close(frame))) => {
                    let words = frame.map(|frame| format!(" (code {}: {})", frame.code, frame.reason)).unwrap_or_default();
                    Some(Err(format!("the venue closed the user stream{words}")))
                }
                Some(Err(error)) => Some(Err(format!("the user stream broke off: {error}"))),
            });
        }
    }

    fn send(&mut self, text: String) -> BoxFuture<'_, Result<(), String>> {
        async move { self.0.send(Message::text(text)).await.map_err(|error| error.to_string()) }.boxed()
    }
}

/// Opens one from here.
///
/// # Errors
/// In words, when the venue cannot be reached or refuses.
pub async fn connect(url: &str) -> Result<Box<dyn Frames>, String> {
    let config = WebSocketConfig::default().max_message_size(Some(FRAME_BYTES_MAX)).max_frame_size(Some(FRAME_BYTES_MAX));
    match timeout(HANDSHAKE_MAX, connect_async_with_config(url, Some(config), true)).await {
        Ok(Ok((socket, _))) => Ok(Box::new(WebSocket(socket))),
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
