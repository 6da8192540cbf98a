//! The services root: the API, the embedded exchange's market server and the watch over its thread. None of them is needed
//! to halt.

use std::net::SocketAddr;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use futures_util::FutureExt;
use futures_util::future::BoxFuture;

use super::control::DaemonControl;
use super::embedded::EmbeddedExchange;
use crate::actors::{History, names};
use crate::api::{ApiConfig, ApiServer, Control};
use crate::domain::ids::Symbol;
use crate::domain::instrument::{Instrument, InstrumentKind};
use crate::domain::market_data::{Candle, DepthSnapshot};
use crate::domain::mode::FaultClass;
use crate::domain::restart::{RuntimeKind, SupervisorPolicy};
use crate::exchange::stream::{ExchangeFloor, MarketFloor, serve};
use crate::supervision::{Child, ChildFault, SupervisorSpec};
use crate::venues::binance::rest::MarketRest;

/// Levels of a book snapshot: what the synthetic market shows, and enough for any touch.
const DEPTH_LIMIT: usize = 1_000;

/// A server beats while it waits for clients: without that for so long it is stuck.
const SILENCE_MAX: Duration = Duration::from_secs(2);

/// The exchange's public side.
#[must_use]
pub fn floor(exchange: &EmbeddedExchange) -> Arc<dyn MarketFloor> {
    let (handle, instruments) = (exchange.running.handle(), exchange.instruments.clone());
    Arc::new(ExchangeFloor { handle, instruments, clock: exchange.clock.clone() })
}

/// The services, in no order that matters.
pub fn root(
    control: &Arc<DaemonControl>,
    server: ApiServer,
    api: ApiConfig,
    floor: Arc<dyn MarketFloor>,
    listener: std::net::TcpListener,
) -> SupervisorSpec {
    let api = ApiConfig { bind: server.address(), ..api };
    let first = Arc::new(Mutex::new(Some(server)));
    let control = Arc::clone(control);
    let listener = Arc::new(listener);
    SupervisorSpec::new(SupervisorPolicy::new(names::plain("services")), RuntimeKind::Services, move || {
        vec![market_server(Arc::clone(&floor), Arc::clone(&listener)), api_server(&control, &api, &first)]
    })
}

fn market_server(floor: Arc<dyn MarketFloor>, listener: Arc<std::net::TcpListener>) -> Child {
    Child::task(names::plain("market_server"), RuntimeKind::Services, move |context| {
        let (floor, listener) = (Arc::clone(&floor), Arc::clone(&listener));
        async move {
            let fault = |error: String| ChildFault::new(FaultClass::Transport, error);
            let listener = listener.try_clone().and_then(tokio::net::TcpListener::from_std).map_err(|error| fault(error.to_string()))?;
            context.reporter.ready();
            context.reporter.attend(serve(listener, floor, context.stop.clone())).await.map_err(|error| fault(error.to_string()))
        }
    })
    .heartbeat(SILENCE_MAX)
}

/// The first incarnation serves on what was bound at the start; a later one binds the same address again, also where the
/// first one's port was chosen by the system: whoever knew the way still does.
fn api_server(control: &Arc<DaemonControl>, api: &ApiConfig, first: &Arc<Mutex<Option<ApiServer>>>) -> Child {
    let (control, api, first) = (Arc::clone(control), api.clone(), Arc::clone(first));
    Child::task(names::plain("api"), RuntimeKind::Services, move |context| {
        let (control, api) = (Arc::clone(&control) as Arc<dyn Control>, api.clone());
        let bound = first.lock().unwrap_or_else(PoisonError::into_inner).take();
        async move {
            let fault = |error: String| ChildFault::new(FaultClass::Transport, error);
            let server = match bound {
                Some(server) => server,
                None => ApiServer::bind(api, control).await.map_err(|error| fault(error.to_string()))?,
            };
            context.reporter.ready();
            context.reporter.attend(server.run(context.stop.clone())).await.map_err(|error| fault(error.to_string()))
        }
    })
    .heartbeat(SILENCE_MAX)
}

/// History over the venue's own REST.
pub struct WireHistory {
    /// Spot and USD-M have paths and texts of their own.
    spot: Arc<MarketRest>,
    usdm: Arc<MarketRest>,
    instruments: Arc<[Instrument]>,
}

impl WireHistory {
    /// # Errors
    /// When no HTTP client can be made.
    pub fn new(address: &SocketAddr, instruments: &[Instrument]) -> Result<Self, String> {
        let rest = |kind| MarketRest::new(&format!("http://{address}"), kind).map(Arc::new).map_err(|error| error.to_string());
        Ok(Self { spot: rest(InstrumentKind::Spot)?, usdm: rest(InstrumentKind::Perpetual)?, instruments: instruments.into() })
    }

    /// A symbol with the side of the venue that lists it.
    fn listed(&self, symbol: Symbol) -> Result<(Arc<MarketRest>, Instrument), String> {
        let listed = self.instruments.iter().find(|instrument| instrument.symbol == symbol);
        let instrument = listed.ok_or_else(|| format!("expected a listed symbol, found {symbol}"))?;
        let rest = match instrument.kind {
            InstrumentKind::Spot => &self.spot,
            InstrumentKind::Perpetual => &self.usdm,
        };
        Ok((Arc::clone(rest), instrument.clone()))
    }
}

impl History for WireHistory {
    fn depth(&self, symbol: Symbol) -> BoxFuture<'static, Result<DepthSnapshot, String>> {
        let listed = self.listed(symbol);
        async move {
            let (rest, instrument) = listed?;
            rest.depth(&instrument, DEPTH_LIMIT).await.map_err(|error| error.to_string())
        }
        .boxed()
    }

    fn candles(&self, symbol: Symbol, interval: Duration, limit: usize) -> BoxFuture<'static, Result<Vec<Candle>, String>> {
        let listed = self.listed(symbol);
        async move {
            let (rest, _) = listed?;
            rest.klines(symbol, interval, limit).await.map_err(|error| error.to_string())
        }
        .boxed()
    }
}
