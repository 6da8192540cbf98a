//! Binding and serving. `bind` fails early and clearly; `run` is a future for a supervised child to live in, and ends when
//! it is told to, whatever its clients do.

use std::io;
use std::net::SocketAddr;
use std::path::PathBuf;
use std::sync::Arc;
use std::time::Duration;

use axum::Router;
use tokio::net::TcpListener;
use tokio_util::sync::CancellationToken;

use crate::net::{BoundedListener, Bounds};

use super::guard::Guard;
use super::{Control, EndpointError, Token, TokenError, endpoint, routes};

/// A client that hangs must cost a slot for a minute and no more, because the same port takes the emergency stop. A person's tabs, a
/// scraper and some commands are ten; each costs some tens of KB. A minute is longer than the pause between two polls of a dashboard
/// or a scraper, and four times the event stream's heartbeat.
const BOUNDS: Bounds = Bounds { connections_max: 128, idle_max: Duration::from_secs(60) };
/// Requests under way when the server is told to stop have this long to end; the daemon's exit waits for it.
const DRAIN: Duration = Duration::from_secs(2);

/// How to serve.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ApiConfig {
    pub bind: SocketAddr,
    /// Where `token` and `api.json` are.
    pub data_dir: PathBuf,
    /// Further names that the daemon is called by (a reverse proxy's, a scraper's), with or without a port.
    pub allowed_hosts: Vec<String>,
    /// Whether `/admin/inject` exists.
    pub fault_injection: bool,
}

/// Why the API cannot be served. Each is one line; `run` ends with exit code 2.
#[derive(Debug, thiserror::Error)]
pub enum BindError {
    #[error("daemon.http_bind expected a free port, found {0} in use: is another daemon running? Stop it or choose another port")]
    InUse(SocketAddr),
    #[error("daemon.http_bind expected an address of this machine that may be listened on, found {address}: {source}")]
    Refused { address: SocketAddr, source: io::Error },
    #[error(transparent)]
    Token(#[from] TokenError),
    #[error(transparent)]
    Endpoint(#[from] EndpointError),
}

/// A bound server that does not serve yet.
pub struct ApiServer {
    listener: BoundedListener,
    router: Router,
    address: SocketAddr,
    stopping: CancellationToken,
}

impl ApiServer {
    /// Makes or reads the token, binds, and leaves `api.json` for the commands.
    ///
    /// # Errors
    /// When the port is taken or the data directory cannot be used.
    pub async fn bind(config: ApiConfig, control: Arc<dyn Control>) -> Result<Self, BindError> {
        let token = Token::load_or_create(&config.data_dir)?;
        let refuse = |source: io::Error| match source.kind() {
            io::ErrorKind::AddrInUse => BindError::InUse(config.bind),
            _ => BindError::Refused { address: config.bind, source },
        };
        let listener = TcpListener::bind(config.bind).await.map_err(refuse)?;
        let address = listener.local_addr().map_err(refuse)?;
        endpoint::write_address(&config.data_dir, &url(address))?;
        let stopping = CancellationToken::new();
        let guard = Guard::new(address, &config.allowed_hosts, token);
        let router = routes::router(control, guard, config.fault_injection, stopping.clone());
        Ok(Self { listener: BoundedListener::new(listener, BOUNDS), router, address, stopping })
    }

    /// Where it listens; the port is the real one where 0 was configured.
    #[must_use]
    pub fn address(&self) -> SocketAddr {
        self.address
    }

    /// What a browser on this machine opens: `http://127.0.0.1:8080`.
    #[must_use]
    pub fn url(&self) -> String {
        url(self.address)
    }

    /// Serves until `stop` is cancelled, then for at most `DRAIN` longer. Event streams end at once.
    ///
    /// # Errors
    /// When the listener fails for good.
    pub async fn run(self, stop: CancellationToken) -> io::Result<()> {
        let Self { listener, router, stopping, .. } = self;
        // Streams end on `stopping`, which also ends when this future is dropped half-way.
        let _streams_end_with_us = stopping.clone().drop_guard();
        let graceful = axum::serve(listener, router).with_graceful_shutdown({
            let (stop, stopping) = (stop.clone(), stopping);
            async move {
                stop.cancelled().await;
                stopping.cancel();
            }
        });
        let deadline = async {
            stop.cancelled().await;
            tokio::time::sleep(DRAIN).await;
        };
        tokio::select! {
            served = graceful => served,
            () = deadline => Ok(()),
        }
    }
}

/// A wildcard address is not one that can be called; the loopback of its family is.
fn url(address: SocketAddr) -> String {
    let mut address = address;
    if address.ip().is_unspecified() {
        address.set_ip(if address.is_ipv4() { std::net::Ipv4Addr::LOCALHOST.into() } else { std::net::Ipv6Addr::LOCALHOST.into() });
    }
    format!("http://{address}")
}
