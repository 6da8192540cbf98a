//! What every server of this program puts under its protocol: connections under bounds, so many at once and none that is silent for
//! long, each with its peer's address and a way to cut it without an answer. It knows no protocol and reads no byte of what is sent.

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

/// How many connections a server has, and how long one may be silent.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Bounds {
    pub connections_max: usize,
    /// Kept to a tenth: moving a timer at each byte costs more than reading a small request.
    pub idle_max: Duration,
}

/// A listener that hands out at most `connections_max` connections at a time; further ones wait in the kernel's queue.
pub struct BoundedListener {
    inner: TcpListener,
    slots: Arc<Semaphore>,
    idle_max: Duration,
}

impl BoundedListener {
    #[must_use]
    pub fn new(inner: TcpListener, bounds: Bounds) -> Self {
        Self { inner, slots: Arc::new(Semaphore::new(bounds.connections_max)), idle_max: bounds.idle_max }
    }
}

impl Listener for BoundedListener {
    type Io = Connection;
    type Addr = SocketAddr;

    async fn accept(&mut self) -> (Connection, SocketAddr) {
        // Invariant: the semaphore is never closed; were it, an unbounded connection is better than a deaf server.
        let slot = Arc::clone(&self.slots).acquire_owned().await.ok();
        let (stream, peer) = Listener::accept(&mut self.inner).await;
        // An answer is small and must not wait for the next one.
        let _ = stream.set_nodelay(true);
        let cut = CancellationToken::new();
        let cutting = Box::pin(cut.clone().cancelled_owned());
        let (idle_max, idle) = (self.idle_max, Box::pin(sleep(self.idle_max)));
        (Connection { stream, idle_max, idle, cut, cutting, _slot: slot }, peer)
    }

    fn local_addr(&self) -> io::Result<SocketAddr> {
        self.inner.local_addr()
    }
}

/// A connection that fails when it is cut, or when no byte moves for `idle_max` while somebody waits for one.
pub struct Connection {
    stream: TcpStream,
    idle_max: Duration,
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
                let now = Instant::now();
                if self.idle.deadline().saturating_duration_since(now) < self.idle_max - self.idle_max / 10 {
                    self.idle.as_mut().reset(now + self.idle_max);
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

#[cfg(test)]
mod tests {
    use tokio::io::AsyncReadExt as _;

    use super::*;

    async fn listener(connections_max: usize, idle_max: Duration) -> (BoundedListener, SocketAddr) {
        let inner = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let address = inner.local_addr().unwrap();
        (BoundedListener::new(inner, Bounds { connections_max, idle_max }), address)
    }

    #[tokio::test]
    async fn a_connection_more_than_there_may_be_waits_until_another_has_gone() {
        let (mut listener, address) = listener(1, Duration::from_secs(60)).await;
        let (_one, _other) = (TcpStream::connect(address).await.unwrap(), TcpStream::connect(address).await.unwrap());
        let (first, _) = listener.accept().await;
        assert!(futures_util::FutureExt::now_or_never(listener.accept()).is_none());
        drop(first);
        listener.accept().await;
    }

    #[tokio::test(start_paused = true)]
    async fn who_is_silent_for_too_long_is_cut() {
        let (mut listener, address) = listener(2, Duration::from_secs(60)).await;
        let _client = TcpStream::connect(address).await.unwrap();
        let (mut server, _) = listener.accept().await;
        let began = Instant::now();
        assert_eq!(server.read_u8().await.unwrap_err().kind(), io::ErrorKind::TimedOut);
        assert!(began.elapsed() >= Duration::from_secs(54), "{:?}", began.elapsed());
    }

    #[tokio::test]
    async fn a_connection_may_be_cut_while_it_is_waited_for() {
        let (mut listener, address) = listener(2, Duration::from_secs(60)).await;
        let _client = TcpStream::connect(address).await.unwrap();
        let (mut server, _) = listener.accept().await;
        let cut = server.cut.clone();
        let (read, ()) = tokio::join!(server.read_u8(), async { cut.cancel() });
        assert_eq!(read.unwrap_err().kind(), io::ErrorKind::ConnectionAborted);
    }
}
