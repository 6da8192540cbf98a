//! What the shell needs of the world outside: connections that requests go over, sockets that frames come on, and time that passes.
//! The daemon has the machine's own (`Machine`); the fault simulation brings one in virtual time, so that it steps this very shell.
//! It decides nothing.

use std::future::Future;
use std::pin::pin;
use std::sync::Arc;
use std::task::{Context, Poll};
use std::time::Duration;

use futures_util::FutureExt as _;
use futures_util::future::{BoxFuture, Either, select};
pub use tokio_tungstenite::tungstenite::Utf8Bytes as Text;

use super::lane::{Lane, LaneError, Origin, Reply};
use super::socket;

/// One connection for requests, one request at a time.
pub trait Line: Send {
    /// Whether it can be asked again from here.
    fn is_usable(&mut self) -> bool;

    /// Whether the last answer left it as it should be.
    fn is_alive(&self) -> bool;

    /// Sends a whole request: its bytes leave when this is first polled.
    fn send<'a>(&'a mut self, request: &'a [u8]) -> BoxFuture<'a, Result<(), LaneError>>;

    /// Waits for the answer to what was sent.
    fn receive(&mut self) -> BoxFuture<'_, Result<Reply, LaneError>>;
}

/// One socket that texts come on.
pub trait Frames: Send {
    /// The next text; `None` when it was closed.
    fn poll_text(&mut self, context: &mut Context<'_>) -> Poll<Option<Result<Text, String>>>;

    fn send(&mut self, text: String) -> BoxFuture<'_, Result<(), String>>;
}

/// The world outside.
pub trait Network: Send + Sync {
    fn line(&self, origin: &Origin) -> BoxFuture<'static, Result<Box<dyn Line>, LaneError>>;

    fn socket(&self, url: &str) -> BoxFuture<'static, Result<Box<dyn Frames>, String>>;

    fn sleep(&self, time: Duration) -> BoxFuture<'static, ()>;
}

/// The machine that we run on.
#[derive(Debug, Clone, Copy, Default)]
pub struct Machine;

impl Machine {
    #[must_use]
    pub fn shared() -> Arc<dyn Network> {
        Arc::new(Self)
    }
}

impl Network for Machine {
    fn line(&self, origin: &Origin) -> BoxFuture<'static, Result<Box<dyn Line>, LaneError>> {
        let origin = origin.clone();
        async move { Lane::open(&origin).await.map(|lane| Box::new(lane) as Box<dyn Line>) }.boxed()
    }

    fn socket(&self, url: &str) -> BoxFuture<'static, Result<Box<dyn Frames>, String>> {
        let url = url.to_owned();
        async move { socket::connect(&url).await }.boxed()
    }

    fn sleep(&self, time: Duration) -> BoxFuture<'static, ()> {
        tokio::time::sleep(time).boxed()
    }
}

/// What the work comes to; `None` when that takes longer.
pub async fn within<T>(network: &dyn Network, longest: Duration, work: impl Future<Output = T>) -> Option<T> {
    match select(pin!(work), network.sleep(longest)).await {
        Either::Left((done, _)) => Some(done),
        Either::Right(((), _)) => None,
    }
}

/// Sends a whole request and waits for the answer.
///
/// # Errors
/// When no whole answer came.
pub async fn exchange(line: &mut dyn Line, request: &[u8]) -> Result<Reply, LaneError> {
    line.send(request).await?;
    line.receive().await
}
