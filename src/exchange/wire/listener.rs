//! Connections under bounds: so many at once, none that is silent for long, each with its peer's address and a way to cut it
//! without an answer. It reads no byte of what is sent.

use std::io;
use std::net::{IpAddr, SocketAddr};
use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context, Poll, ready};
use std::time::Duration;

use axum::extract::connect_info::Connected;
use axum::serve::{IncomingStream, Listener};
use tokio::io::{AsyncRead, AsyncWrite, ReadBuf};
use tokio::net::{TcpListener, TcpStream};
use tokio::sync::{OwnedSemaphorePermit, Semaphore};
use tokio::time::{Instant, Sleep, sleep};
use tokio_util::sync::{CancellationToken, WaitForCancellationFutureOwned};

/// A hundred clients with some sockets each; a connection costs some tens of KB.
const CONNECTIONS_MAX: usize = 1_024;
/// Longer than the longest silence that is allowed: a WebSocket's pong within ten minutes.
const IDLE_MAX: Duration = Duration::from_secs(660);

/// A listener that hands out at most `CONNECTIONS_MAX` connections at a time; further ones wait in the kernel's queue.
pub struct BoundedListener {
    inner: TcpListener,
    slots: Arc<Semaphore>,
}

impl BoundedListener {
    #[must_use]
    pub fn new(inner: TcpListener) -> Self {
        Self { inner, slots: Arc::new(Semaphore::new(CONNECTIONS_MAX)) }
    }
}

impl Listener for BoundedListener {
    type Io = Connection;
    type Addr = SocketAddr;

    async fn accept(&mut self) -> (Connection, SocketAddr) {
        // Invariant: the semaphore is never closed; were it, an unbounded connection is better than a deaf exchange.
        let slot = Arc::clone(&self.slots).acquire_owned().await.ok();
        let (stream, peer) = Listener::accept(&mut self.inner).await;
        // An answer is small and must not wait for the next one.
        let _ = stream.set_nodelay(true);
        let cut = CancellationToken::new();
        let cutting = Box::pin(cut.clone().cancelled_owned());
        (Connection { stream, idle: Box::pin(sleep(IDLE_MAX)), cut, cutting, _slot: slot }, peer)
    }

    fn local_addr(&self) -> io::Result<SocketAddr> {
        self.inner.local_addr()
    }
}

/// A connection that fails when it is cut, or when no byte moves for `IDLE_MAX` while somebody waits for one.
pub struct Connection {
    stream: TcpStream,
    idle: Pin<Box<Sleep>>,
    cut: CancellationToken,
    cutting: Pin<Box<WaitForCancellationFutureOwned>>,
    _slot: Option<OwnedSemaphorePermit>,
}

/// Who is at the other end.
#[derive(Debug, Clone)]
pub struct Peer {
    pub address: IpAddr,
    /// Ends the connection without a word.
    pub cut: CancellationToken,
}

impl Connected<IncomingStream<'_, BoundedListener>> for Peer {
    fn connect_info(stream: IncomingStream<'_, BoundedListener>) -> Self {
        Self { address: stream.remote_addr().ip().to_canonical(), cut: stream.io().cut.clone() }
    }
}

impl Connection {
    fn is_cut(&mut self, context: &mut Context<'_>) -> bool {
        self.cutting.as_mut().poll(context).is_ready()
    }

    fn moved<T>(&mut self, context: &mut Context<'_>, polled: Poll<io::Result<T>>) -> Poll<io::Result<T>> {
        match polled {
            Poll::Pending => {
                ready!(self.idle.as_mut().poll(context));
                Poll::Ready(Err(io::ErrorKind::TimedOut.into()))
            }
            Poll::Ready(result) => {
                // Only now and then: moving a timer costs more than reading a small request.
                if self.idle.deadline().saturating_duration_since(Instant::now()) < IDLE_MAX / 2 {
                    self.idle.as_mut().reset(Instant::now() + IDLE_MAX);
                }
                Poll::Ready(result)
            }
        }
    }
}

impl AsyncRead for Connection {
    fn poll_read(mut self: Pin<&mut Self>, context: &mut Context<'_>, buffer: &mut ReadBuf<'_>) -> Poll<io::Result<()>> {
        if self.is_cut(context) {
            return Poll::Ready(Err(io::ErrorKind::ConnectionAborted.into()));
        }
        let polled = Pin::new(&mut self.stream).poll_read(context, buffer);
        self.moved(context, polled)
    }
}

impl AsyncWrite for Connection {
    fn poll_write(mut self: Pin<&mut Self>, context: &mut Context<'_>, bytes: &[u8]) -> Poll<io::Result<usize>> {
        let polled = Pin::new(&mut self.stream).poll_write(context, bytes);
        self.moved(context, polled)
    }

    fn poll_write_vectored(mut self: Pin<&mut Self>, context: &mut Context<'_>, bytes: &[io::IoSlice<'_>]) -> Poll<io::Result<usize>> {
        let polled = Pin::new(&mut self.stream).poll_write_vectored(context, bytes);
        self.moved(context, polled)
    }

    fn is_write_vectored(&self) -> bool {
        self.stream.is_write_vectored()
    }

    fn poll_flush(mut self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.stream).poll_flush(context)
    }

    fn poll_shutdown(mut self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.stream).poll_shutdown(context)
    }
}
