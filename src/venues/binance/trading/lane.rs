//! HTTP/1.1 by hand, one request at a time on a connection that is kept: an order's bytes leave in the call that is made, with no
//! other task in between. It says whether bytes left before it failed, which is what a failed order's outcome hangs on. It knows
//! nothing of what is asked and follows no redirects.

use std::sync::{Arc, OnceLock};
use std::time::Duration;

use futures_util::FutureExt as _;
use futures_util::future::BoxFuture;
use rustls::pki_types::ServerName;
use tokio::io::{AsyncRead, AsyncReadExt as _, AsyncWrite, AsyncWriteExt as _};
use tokio::net::TcpStream;
use tokio::time::timeout;
use tokio_rustls::TlsConnector;

use super::network::Line;
use crate::venues::binance::codec::outcome::Used;

/// A venue that cannot accept by then is not there.
const CONNECT_MAX: Duration = Duration::from_secs(5);
/// The venues' own engines give up after ten seconds.
const ANSWER_MAX: Duration = Duration::from_secs(12);
/// Binance's heads are below 2 KB.
const HEAD_BYTES_MAX: usize = 64 << 10;
/// The largest answer is a list of every symbol, 20 MB on spot.
const BODY_BYTES_MAX: usize = 64 << 20;
/// Read at once; most answers are smaller.
const READ_BYTES: usize = 8 << 10;

/// Where requests go.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Origin {
    tls: bool,
    host: String,
    port: u16,
    /// As the header `Host` wants it.
    authority: String,
}

/// Why an address is none.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("an address for requests expected the form https://host or http://host:port, found {found:?}")]
pub struct BadOrigin {
    found: String,
}

impl Origin {
    /// # Errors
    /// When it is no such address.
    pub fn parse(base: &str) -> Result<Self, BadOrigin> {
        let bad = || BadOrigin { found: base.to_owned() };
        let url = reqwest::Url::parse(base).map_err(|_| bad())?;
        let tls = match url.scheme() {
            "https" => true,
            "http" => false,
            _ => return Err(bad()),
        };
        let shown = url.host_str().ok_or_else(bad)?;
        let port = url.port_or_known_default().ok_or_else(bad)?;
        let authority = if url.port().is_some() { format!("{shown}:{port}") } else { shown.to_owned() };
        Ok(Self { tls, host: shown.trim_matches(['[', ']']).to_owned(), port, authority })
    }

    #[must_use]
    pub fn authority(&self) -> &str {
        &self.authority
    }
}

impl std::fmt::Display for Origin {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "{}://{}", if self.tls { "https" } else { "http" }, self.authority)
    }
}

/// What came back.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Reply {
    pub status: u16,
    pub used: Used,
    pub body: Vec<u8>,
}

/// What did not come back.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum LaneError {
    /// Nothing left: it surely had no effect.
    #[error("{0}")]
    NotSent(String),
    /// Bytes left, and no whole answer came.
    #[error("{0}")]
    Lost(String),
}

trait Wire: AsyncRead + AsyncWrite + Send + Unpin {}
impl<W: AsyncRead + AsyncWrite + Send + Unpin> Wire for W {}

/// One open connection.
pub struct Lane {
    wire: Box<dyn Wire>,
    /// Bytes that were read and not used.
    buffer: Vec<u8>,
    /// The connection may be used again.
    alive: bool,
    /// The runtime whose thread watches the socket: on another one it would never wake.
    home: tokio::runtime::Id,
}

impl std::fmt::Debug for Lane {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Lane").field("alive", &self.alive).finish_non_exhaustive()
    }
}

impl Line for Lane {
    fn is_usable(&mut self) -> bool {
        self.can_be_asked()
    }

    fn is_alive(&self) -> bool {
        self.alive
    }

    fn send<'a>(&'a mut self, request: &'a [u8]) -> BoxFuture<'a, Result<(), LaneError>> {
        self.write(request).boxed()
    }

    fn receive(&mut self) -> BoxFuture<'_, Result<Reply, LaneError>> {
        self.answer().boxed()
    }
}

impl Lane {
    /// # Errors
    /// When nobody is there.
    pub async fn open(origin: &Origin) -> Result<Self, LaneError> {
        let gone = |why: String| LaneError::NotSent(format!("{origin} cannot be reached: {why}"));
        let connect = async {
            let tcp = TcpStream::connect((origin.host.as_str(), origin.port)).await.map_err(|error| gone(error.to_string()))?;
            // A request is one write: nothing is gained by waiting for more.
            tcp.set_nodelay(true).map_err(|error| gone(error.to_string()))?;
            if !origin.tls {
                return Ok(Box::new(tcp) as Box<dyn Wire>);
            }
            let name = ServerName::try_from(origin.host.clone()).map_err(|error| gone(error.to_string()))?;
            let tls = tls().connect(name, tcp).await.map_err(|error| gone(error.to_string()))?;
            Ok(Box::new(tls) as Box<dyn Wire>)
        };
        let wire = timeout(CONNECT_MAX, connect).await.map_err(|_| gone(format!("no connection within {CONNECT_MAX:?}")))??;
        let home = tokio::runtime::Handle::current().id();
        Ok(Self { wire, buffer: Vec::with_capacity(READ_BYTES), alive: true, home })
    }

    /// Whether it can be asked again from here. Looks for the end that a server has put to an idle connection: an order that were
    /// written behind it would be one of unknown outcome.
    fn can_be_asked(&mut self) -> bool {
        if !self.alive || self.home != tokio::runtime::Handle::current().id() {
            return false;
        }
        let mut byte = [0];
        let mut read = tokio::io::ReadBuf::new(&mut byte);
        let mut context = std::task::Context::from_waker(std::task::Waker::noop());
        // Nothing is due: whatever there is to read, an end or bytes, ends it.
        std::pin::Pin::new(&mut self.wire).poll_read(&mut context, &mut read).is_pending()
    }

    /// Sends a whole request: some of it may have left, and perhaps not all.
    async fn write(&mut self, request: &[u8]) -> Result<(), LaneError> {
        // Until the whole answer has been read the connection is of no use to the next one; also when this is given up half way.
        self.alive = false;
        let written = async {
            self.wire.write_all(request).await?;
            self.wire.flush().await
        };
        let lost = |why: String| LaneError::Lost(format!("the request broke off: {why}"));
        let written = timeout(ANSWER_MAX, written).await.map_err(|_| lost(format!("not taken within {ANSWER_MAX:?}")))?;
        written.map_err(|error| lost(error.to_string()))
    }

    async fn answer(&mut self) -> Result<Reply, LaneError> {
        let silence = || LaneError::Lost(format!("no answer within {ANSWER_MAX:?}"));
        let read = timeout(ANSWER_MAX, self.read()).await.map_err(|_| silence())?;
        let (reply, keep) = read.map_err(LaneError::Lost)?;
        self.alive = keep && self.buffer.is_empty();
        Ok(reply)
    }

    async fn read(&mut self) -> Result<(Reply, bool), String> {
        let end = loop {
            if let Some(end) = self.buffer.windows(4).position(|bytes| bytes == b"\r\n\r\n") {
                break end + 4;
            }
            if self.buffer.len() > HEAD_BYTES_MAX {
                return Err(format!("expected a head of at most {HEAD_BYTES_MAX} bytes, found more"));
            }
            self.more().await?;
        };
        let head = Head::read(&self.buffer[..end])?;
        self.buffer.drain(..end);
        let body = match head.body {
            Body::Sized(length) => self.sized(length).await?,
            Body::Chunked => self.chunked().await?,
            Body::ToTheEnd => self.read_to_the_end().await?,
        };
        Ok((Reply { status: head.status, used: head.used, body }, head.keep))
    }

    async fn more(&mut self) -> Result<(), String> {
        self.buffer.reserve(READ_BYTES);
        match self.wire.read_buf(&mut self.buffer).await {
            Ok(0) => Err("the venue closed the connection before its answer was whole".to_owned()),
            Ok(_) => Ok(()),
            Err(error) => Err(format!("the answer broke off: {error}")),
        }
    }

    async fn sized(&mut self, length: usize) -> Result<Vec<u8>, String> {
        if length > BODY_BYTES_MAX {
            return Err(format!("expected an answer of at most {BODY_BYTES_MAX} bytes, found {length}"));
        }
        while self.buffer.len() < length {
            self.more().await?;
        }
        let rest = self.buffer.split_off(length);
        Ok(std::mem::replace(&mut self.buffer, rest))
    }

    async fn chunked(&mut self) -> Result<Vec<u8>, String> {
        let mut body = Vec::new();
        loop {
            let line = self.line().await?;
            let size = line.split(';').next().unwrap_or_default().trim();
            let size = usize::from_str_radix(size, 16).map_err(|_| format!("expected the size of a chunk, found {size:?}"))?;
            if size == 0 {
                // Trailers, then an empty line.
                while !self.line().await?.is_empty() {}
                return Ok(body);
            }
            if body.len().saturating_add(size) > BODY_BYTES_MAX {
                return Err(format!("expected an answer of at most {BODY_BYTES_MAX} bytes, found more"));
            }
            body.extend(self.sized(size).await?);
            self.line().await?;
        }
    }

    async fn line(&mut self) -> Result<String, String> {
        loop {
            if let Some(end) = self.buffer.windows(2).position(|bytes| bytes == b"\r\n") {
                let line = String::from_utf8_lossy(&self.buffer[..end]).into_owned();
                self.buffer.drain(..end + 2);
                return Ok(line);
            }
            if self.buffer.len() > HEAD_BYTES_MAX {
                return Err("expected the end of a line, found none".to_owned());
            }
            self.more().await?;
        }
    }

    async fn read_to_the_end(&mut self) -> Result<Vec<u8>, String> {
        loop {
            if self.buffer.len() > BODY_BYTES_MAX {
                return Err(format!("expected an answer of at most {BODY_BYTES_MAX} bytes, found more"));
            }
            self.buffer.reserve(READ_BYTES);
            match self.wire.read_buf(&mut self.buffer).await {
                Ok(0) => return Ok(std::mem::take(&mut self.buffer)),
                Ok(_) => {}
                Err(error) => return Err(format!("the answer broke off: {error}")),
            }
        }
    }
}

fn tls() -> &'static TlsConnector {
    static TLS: OnceLock<TlsConnector> = OnceLock::new();
    TLS.get_or_init(|| {
        let mut roots = rustls::RootCertStore::empty();
        roots.extend(webpki_roots::TLS_SERVER_ROOTS.iter().cloned());
        let provider = Arc::new(rustls::crypto::aws_lc_rs::default_provider());
        let versions = rustls::ClientConfig::builder_with_provider(provider).with_safe_default_protocol_versions();
        // Invariant: the provider speaks TLS 1.2 and 1.3.
        let config = versions.expect("invariant: the provider has the versions").with_root_certificates(roots).with_no_client_auth();
        TlsConnector::from(Arc::new(config))
    })
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Body {
    Sized(usize),
    Chunked,
    ToTheEnd,
}

#[derive(Debug, PartialEq, Eq)]
struct Head {
    status: u16,
    used: Used,
    body: Body,
    keep: bool,
}

impl Head {
    fn read(bytes: &[u8]) -> Result<Self, String> {
        let text = std::str::from_utf8(bytes).map_err(|_| "expected a head in ASCII, found other bytes".to_owned())?;
        let mut lines = text.split("\r\n");
        let first = lines.next().unwrap_or_default();
        let mut words = first.split(' ');
        let version = words.next().unwrap_or_default();
        let status = words.next().and_then(|status| status.parse().ok()).filter(|_| version.starts_with("HTTP/1."));
        let status =
            status.ok_or_else(|| format!("expected HTTP/1.1 and a status, found {:?}", first.chars().take(80).collect::<String>()))?;
        let headers: Vec<(&str, &str)> = lines.filter_map(|line| line.split_once(':')).map(|(name, value)| (name, value.trim())).collect();
        let find = |wanted: &str| headers.iter().find(|(name, _)| name.eq_ignore_ascii_case(wanted)).map(|(_, value)| *value);
        let body = match (find("content-length"), find("transfer-encoding")) {
            (_, Some(encoding)) if encoding.eq_ignore_ascii_case("chunked") => Body::Chunked,
            (Some(length), _) => Body::Sized(length.parse().map_err(|_| format!("expected the length of the answer, found {length:?}"))?),
            _ if status == 204 || status == 304 => Body::Sized(0),
            _ => Body::ToTheEnd,
        };
        let closes = find("connection").is_some_and(|value| value.eq_ignore_ascii_case("close"));
        let used = Used::read(headers.iter().map(|(name, value)| (*name, value.as_bytes())));
        Ok(Self { status, used, body, keep: !closes && version == "HTTP/1.1" && body != Body::ToTheEnd })
    }
}

#[cfg(test)]
#[path = "lane_tests.rs"]
mod tests;
