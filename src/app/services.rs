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
use crate::domain::time::Timestamp;
use crate::supervision::{Child, ChildFault, SupervisorSpec};
use crate::venues::binance::codec::product::Unsupported;
use crate::venues::binance::codec::request::Request;
use crate::venues::binance::interval::interval_name;
use crate::venues::binance::rest::{read_depth, read_klines};
use crate::venues::binance::trading::caller::Caller;
use crate::venues::binance::trading::weight::Purpose;

/// Levels of a book snapshot: what the synthetic market shows, and enough for any touch.
const DEPTH_LIMIT: u16 = 1_000;
/// What USD-M gives at once; spot gives fewer.
const KLINES_MAX: u16 = 1_500;

/// A server beats while it waits for clients: without that for so long it is stuck.
const SILENCE_MAX: Duration = Duration::from_secs(2);

/// The services, in no order that matters.
pub fn root(
    control: &Arc<DaemonControl>,
    server: ApiServer,
    api: ApiConfig,
    exchange: &Arc<Embedded>,
    others: impl Fn() -> Vec<Child> + Send + Sync + 'static,
) -> SupervisorSpec {
    let api = ApiConfig { bind: server.address(), ..api };
    let first = Arc::new(Mutex::new(Some(server)));
    let (control, exchange) = (Arc::clone(control), Arc::clone(exchange));
    SupervisorSpec::new(SupervisorPolicy::new(names::plain("services")), RuntimeKind::Services, move || {
        // Where every account trades elsewhere there is nothing to serve, and a server that ends at once would be a fault.
        let exchange = exchange.is_open().then(|| exchange_server(&exchange));
        exchange.into_iter().chain([api_server(&control, &api, &first)]).chain(others()).collect()
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

/// A venue's REST and what it lists now, on the grid that its market is told on.
type Listed = (Arc<Caller>, Arc<ArcSwap<Vec<Instrument>>>);

/// History over each venue's own REST, out of the budget that its accounts have: a ban is of the address, and whoever goes on asking
/// makes it longer for all.
pub struct WireHistory {
    venues: Vec<Listed>,
}

impl WireHistory {
    #[must_use]
    pub fn new(places: &Places) -> Self {
        let venue = |place: Arc<Place>| (Arc::new(Caller::public(Arc::clone(place.host()))), Arc::clone(&place.told));
        Self { venues: places.all().into_iter().map(venue).collect() }
    }

    /// A symbol with the venue that lists it.
    fn listed(&self, symbol: Symbol) -> Result<(Arc<Caller>, Instrument), String> {
        let found = self.venues.iter().find_map(|(caller, instruments)| {
            let instruments = instruments.load();
            let instrument = instruments.iter().find(|instrument| instrument.symbol == symbol)?;
            Some((Arc::clone(caller), instrument.clone()))
        });
        found.ok_or_else(|| format!("expected a listed symbol, found {symbol}"))
    }
}

async fn ask(caller: &Caller, request: Result<Request, Unsupported>) -> Result<Vec<u8>, String> {
    let request = request.map_err(|error| error.to_string())?;
    caller.body(Purpose::Market, &request).await.map_err(|failure| format!("{}: {failure}", request.path))
}

/// The newest candles that have closed by then: a venue's last one is open as a rule.
fn closed(mut candles: Vec<Candle>, now: Timestamp, limit: usize) -> Vec<Candle> {
    candles.retain(|candle| candle.close_time < now);
    candles.drain(..candles.len().saturating_sub(limit));
    candles
}

impl History for WireHistory {
    fn depth(&self, symbol: Symbol) -> BoxFuture<'static, Result<DepthSnapshot, String>> {
        let listed = self.listed(symbol);
        async move {
            let (caller, instrument) = listed?;
            let body = ask(&caller, caller.product().depth(symbol, DEPTH_LIMIT)).await?;
            read_depth(&instrument, &body).map_err(|found| format!("expected a book of {symbol}, found {found}"))
        }
        .boxed()
    }

    fn candles(&self, symbol: Symbol, interval: Duration, limit: usize) -> BoxFuture<'static, Result<Vec<Candle>, String>> {
        let listed = self.listed(symbol);
        async move {
            let (caller, _) = listed?;
            let name = interval_name(interval).ok_or_else(|| format!("expected an interval that venues have, found {interval:?}"))?;
            // One more for the open one, and not more than any venue gives at once.
            let wanted = u16::try_from(limit + 1).unwrap_or(u16::MAX).min(KLINES_MAX);
            let body = ask(&caller, caller.product().klines(symbol, &name, None, wanted)).await?;
            let candles = read_klines(&body, interval).map_err(|found| format!("expected klines of {symbol}, found {found}"))?;
            Ok(closed(candles, caller.host.venue_time(), limit))
        }
        .boxed()
    }
}
