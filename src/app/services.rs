//! The services root: the API and the doors of the exchange inside. Neither is needed to halt at another venue.

use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use arc_swap::ArcSwap;
use futures_util::FutureExt;
use futures_util::future::BoxFuture;
use tokio_util::sync::CancellationToken;

use super::control::DaemonControl;
use super::embedded::Embedded;
use super::places::{Place, Places};
use crate::actors::{History, names};
use crate::api::{ApiConfig, ApiServer, Control};
use crate::domain::ids::Symbol;
use crate::domain::instrument::Instrument;
use crate::domain::market_data::{Candle, DepthSnapshot};
use crate::domain::mode::FaultClass;
use crate::domain::restart::{RuntimeKind, SupervisorPolicy};
use crate::supervision::{Child, ChildFault, SupervisorSpec};
use crate::venues::binance::rest::MarketRest;

/// Levels of a book snapshot: what the synthetic market shows, and enough for any touch.
const DEPTH_LIMIT: usize = 1_000;

/// A server beats while it waits for clients: without that for so long it is stuck.
const SILENCE_MAX: Duration = Duration::from_secs(2);

/// The services, in no order that matters.
pub fn root(
    control: &Arc<DaemonControl>,
    server: ApiServer,
    api: ApiConfig,
    exchange: &Arc<Embedded>,
    listing: impl Fn() -> Child + Send + Sync + 'static,
) -> SupervisorSpec {
    let api = ApiConfig { bind: server.address(), ..api };
    let first = Arc::new(Mutex::new(Some(server)));
    let (control, exchange) = (Arc::clone(control), Arc::clone(exchange));
    SupervisorSpec::new(SupervisorPolicy::new(names::plain("services")), RuntimeKind::Services, move || {
        // Where every account trades elsewhere there is nothing to serve, and a server that ends at once would be a fault.
        let exchange = exchange.is_open().then(|| exchange_server(&exchange));
        exchange.into_iter().chain([api_server(&control, &api, &first), listing()]).collect()
    })
}

/// The doors of the exchange inside, on a thread of their own: the venue stays alive and honest while everybody else stalls.
fn exchange_server(exchange: &Arc<Embedded>) -> Child {
    let exchange = Arc::clone(exchange);
    let running: Arc<Mutex<CancellationToken>> = Arc::default();
    let ended = Arc::clone(&running);
    let child = Child::thread(names::plain("exchange_server"), move |context| {
        let fault = |error: String| ChildFault::new(FaultClass::Transport, error);
        let stop = CancellationToken::new();
        running.lock().unwrap_or_else(PoisonError::into_inner).clone_from(&stop);
        let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().map_err(|error| fault(error.to_string()))?;
        let served = async {
            let servers = exchange.servers()?;
            context.reporter.ready();
            let all = servers.into_iter().map(|(server, listener)| server.run(listener, context.stop.clone()));
            let all = futures_util::future::try_join_all(all);
            context.reporter.attend(all).await.map(drop).map_err(|error| error.to_string())
        };
        runtime.block_on(async {
            tokio::select! {
                served = served => served.map_err(fault),
                // Asked to stop, or killed while something in there is stuck: it is dropped with the runtime.
                () = stop.cancelled() => Ok(()),
            }
        })
    });
    child.on_stop(move || ended.lock().unwrap_or_else(PoisonError::into_inner).cancel()).heartbeat(SILENCE_MAX)
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

/// A venue's REST and what it lists now.
type Listed = (Arc<MarketRest>, Arc<ArcSwap<Vec<Instrument>>>);

/// History over each venue's own REST.
pub struct WireHistory {
    venues: Vec<Listed>,
}

impl WireHistory {
    /// # Errors
    /// When no HTTP client can be made.
    pub fn new(places: &Places) -> Result<Self, String> {
        let venue = |place: Arc<Place>| {
            let rest = MarketRest::new(&place.bases.rest, place.spec.kind.instruments()).map_err(|error| error.to_string())?;
            Ok((Arc::new(rest), Arc::clone(&place.instruments)))
        };
        Ok(Self { venues: places.all().into_iter().map(venue).collect::<Result<_, String>>()? })
    }

    /// A symbol with the venue that lists it.
    fn listed(&self, symbol: Symbol) -> Result<(Arc<MarketRest>, Instrument), String> {
        let found = self.venues.iter().find_map(|(rest, instruments)| {
            let instruments = instruments.load();
            let instrument = instruments.iter().find(|instrument| instrument.symbol == symbol)?;
            Some((Arc::clone(rest), instrument.clone()))
        });
        found.ok_or_else(|| format!("expected a listed symbol, found {symbol}"))
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
