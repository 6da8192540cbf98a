//! Where accounts trade: each venue's addresses, its instruments, what its accounts share, and the adapter that trades there. It
//! makes accounts out of settings and keys; what they do is the adapter's.

use std::collections::BTreeMap;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use arc_swap::ArcSwap;
use secrecy::SecretString;
use tokio::time::timeout;

use super::embedded::Embedded;
use super::{keys, listing};
use crate::actors::feed::FeedSpec;
use crate::cli::Failure;
use crate::domain::ids::{AccountId, Symbol, VenueId};
use crate::domain::instrument::Instrument;
use crate::domain::order::NewOrder;
use crate::domain::time::Timestamp;
use crate::exchange::instruments;
use crate::messages::gate::Passage;
use crate::messages::{Clock, HaltGate, ModeBoard};
use crate::settings::{AccountSpec, Bases, Environment, MarginType, Settings, VenueKind, VenueSpec};
use crate::telemetry::metrics;
use crate::venues::binance::codec::exchange_info::SymbolRules;
use crate::venues::binance::codec::product::Product;
use crate::venues::binance::codec::snapshot::{check_holdings, check_purse};
use crate::venues::binance::sign::Credentials;
use crate::venues::binance::trading::account::{Account, AccountParts};
use crate::venues::binance::trading::caller::{Host, Times};
use crate::venues::binance::trading::lane::Origin;
use crate::venues::binance::trading::setup::Wanted;
use crate::venues::binance::trading::socket::StreamBases;
use crate::venues::binance::trading::venue::BinanceVenue;
use crate::venues::port::Gate;

/// The exchange inside refuses nobody for asking too much: its budget is never met.
pub(super) const EMBEDDED_WEIGHT: u32 = 10_000_000;

/// How long the start waits for what a venue lists: a megabyte, from the other side of the world. The other venues' accounts wait with it.
const START_WITHIN: Duration = Duration::from_secs(3);

/// Where Binance answers about keys, also those that trade elsewhere.
const SPOT_HOST: &str = "https://api.binance.com";
/// One question a minute needs no reserve.
const RESERVED_PERMILLE: u32 = 0;

/// The halt gate as an adapter asks it.
struct Door(Passage);

impl Gate for Door {
    fn enter(&self, order: &NewOrder) -> Option<Box<dyn Send>> {
        self.0.enter(order.reduce_only, order.rests()).map(|leaving| Box::new(leaving) as Box<dyn Send>)
    }
}

/// One venue as it is reached.
pub struct Place {
    pub spec: VenueSpec,
    pub bases: Bases,
    pub instruments: Arc<ArcSwap<Vec<Instrument>>>,
    /// The same on the grid that market data are told on: of rules that changed, both grids'.
    pub told: Arc<ArcSwap<Vec<Instrument>>>,
    host: Arc<Host>,
}

/// All of them, and the adapter.
pub struct Places {
    places: Mutex<BTreeMap<VenueId, Arc<Place>>>,
    pub venue: Arc<BinanceVenue>,
    embedded: Arc<Embedded>,
    times: Times,
    gate: HaltGate,
    modes: ModeBoard,
    /// Symbols that could not be traded at the start, and why.
    held: Mutex<Vec<(Symbol, String)>>,
    /// Up to when each account's books have its venue's ledger.
    ledgers: BTreeMap<AccountId, Timestamp>,
}

/// The product that a kind of venue is.
pub(super) const fn product_of(kind: VenueKind) -> Product {
    match kind {
        VenueKind::BinanceSpot => Product::BinanceSpot,
        VenueKind::BinanceUsdm => Product::BinanceUsdm,
        VenueKind::Aster => Product::AsterV1,
    }
}

/// The symbols of a venue as far as they are known without asking it.
pub(super) fn described(settings: &Settings, venue: &VenueSpec) -> Vec<Instrument> {
    let kind = venue.kind.instruments();
    let here = settings.enabled_symbols().filter(|symbol| symbol.venue == Some(venue.id));
    let instrument = |name| instruments::bundled(kind, name).unwrap_or_else(|| instruments::inferred(kind, name, 2, 2));
    here.map(|symbol| symbol.instrument.apply(instrument(symbol.name))).collect()
}

/// What a venue says of the symbols that it is to trade.
struct Listed {
    instruments: Vec<Instrument>,
    /// What cannot be traded as things are, and why. Nobody else waits for it.
    held: Vec<(Symbol, String)>,
}

/// The symbols by the venue's own rules. A venue that does not answer in time is no reason for the others not to start: its symbols
/// stay as they are known here, and its accounts open nothing until `listing` has read its rules.
async fn listed(venue: &VenueSpec, host: &Arc<Host>, wanted: &[Instrument]) -> Listed {
    let read = timeout(START_WITHIN, listing::rules(host)).await;
    match read.unwrap_or_else(|_| Err(format!("no answer within {START_WITHIN:?}"))) {
        Ok(rules) => by_rules(venue.id, &rules, wanted),
        Err(why) => {
            tracing::warn!(target: "ringfence::venues", venue = %venue.id, why, "what is listed could not be read: its accounts open nothing until it is");
            host.set_unlisted(true);
            Listed { instruments: wanted.to_vec(), held: Vec::new() }
        }
    }
}

fn by_rules(venue: VenueId, rules: &BTreeMap<Symbol, SymbolRules>, wanted: &[Instrument]) -> Listed {
    let mut held = Vec::new();
    let instrument = |wanted: &Instrument| {
        let found = rules.get(&wanted.symbol);
        let what = match found {
            None => Some("not listed"),
            Some(rules) => (!rules.trading).then_some(rules.status.as_str()),
        };
        held.extend(what.map(|what| (wanted.symbol, format!("venue {venue} says of {}: {what}", wanted.symbol))));
        found.map_or_else(|| wanted.clone(), |rules| listing::renewed(wanted, rules))
    };
    let instruments = wanted.iter().map(instrument).collect();
    Listed { instruments, held }
}

impl Place {
    #[must_use]
    pub const fn host(&self) -> &Arc<Host> {
        &self.host
    }
}

impl Places {
    /// # Errors
    /// When a venue's address is none, or a key cannot be read.
    #[allow(clippy::disallowed_methods, reason = "the steady clock is the machine's own time")]
    pub async fn open(
        settings: &Settings,
        embedded: Arc<Embedded>,
        clock: &Clock,
        gate: HaltGate,
        modes: ModeBoard,
        ledgers: BTreeMap<AccountId, Timestamp>,
    ) -> Result<Arc<Self>, Failure> {
        let (clock, origin) = (clock.clone(), std::time::Instant::now());
        let times = Times { now: Arc::new(move || clock.now()), steady: Arc::new(move || origin.elapsed()) };
        let (places, held) = (Mutex::default(), Mutex::default());
        let places = Arc::new(Self { places, venue: Arc::default(), embedded, times, gate, modes, held, ledgers });
        for account in settings.enabled_accounts() {
            places.reach(settings, account.venue).await?;
            places.add_account(account)?;
        }
        Ok(places)
    }

    fn lock(&self) -> MutexGuard<'_, BTreeMap<VenueId, Arc<Place>>> {
        self.places.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// The venues that are reached.
    #[must_use]
    pub fn all(&self) -> Vec<Arc<Place>> {
        self.lock().values().cloned().collect()
    }

    /// Takes an account in: at the exchange inside with a key of its own making, elsewhere with the one that the settings name.
    ///
    /// # Errors
    /// When its venue's address is none, or its key cannot be read.
    pub fn add_account(&self, account: &AccountSpec) -> Result<(), Failure> {
        let place = self.lock().get(&account.venue).cloned();
        let place = place.ok_or_else(|| Failure::failed(format!("venue {} is reached at the next start", account.venue)))?;
        let credentials = self.credentials(&place.spec, account)?;
        let VenueSpec { orders_per_second, recv_window, clock_offset_max, .. } = place.spec;
        let account_there = Account::new(AccountParts {
            id: account.id,
            host: Arc::clone(&place.host),
            streams: StreamBases { ws: place.bases.ws.clone(), ws_api: place.bases.ws_api.clone() },
            credentials,
            instruments: Arc::clone(&place.instruments),
            orders_per_second,
            recv_window,
            clock_offset_max,
            wanted: Wanted {
                hedge: account.hedge_mode,
                leverage: account.leverage,
                isolated: account.margin_type.map(|margin| margin == MarginType::Isolated),
            },
            key_host: self.key_host(&place)?,
            gate: Arc::new(Door(self.gate.passage(account.id, &self.modes.get()))),
        });
        if let Some(until) = self.ledgers.get(&account.id) {
            account_there.ledger_is_booked(*until);
        }
        self.venue.add(account_there);
        Ok(())
    }

    /// Where it is asked what a key may do: at the spot host of the venue's family. Keys of our own making need no look, testnets and
    /// Aster have no such question.
    fn key_host(&self, place: &Place) -> Result<Option<Arc<Host>>, Failure> {
        let spec = &place.spec;
        if spec.is_embedded() || spec.kind == VenueKind::Aster || (spec.rest.is_none() && spec.environment != Environment::Live) {
            return Ok(None);
        }
        if spec.kind == VenueKind::BinanceSpot || spec.rest.is_some() {
            return Ok(Some(Arc::clone(&place.host)));
        }
        let origin = Origin::parse(SPOT_HOST).map_err(Failure::usage)?;
        Ok(Some(Host::new(origin, Product::BinanceSpot, self.times.clone(), RESERVED_PERMILLE)))
    }

    fn credentials(&self, venue: &VenueSpec, account: &AccountSpec) -> Result<Credentials, Failure> {
        if venue.is_embedded() {
            let key = self.embedded.key(account.id)?;
            return Ok(Credentials::hmac(key.api_key, SecretString::from(key.secret)));
        }
        // Invariant: the settings' check wants a key for every account of such a venue.
        let source = account.key.as_ref().ok_or_else(|| Failure::usage(format!("account {} expected a key, found none", account.id)))?;
        keys::load(source).map_err(|why| Failure::usage(format!("the key of account {}: {why}", account.id)))
    }

    /// Finds a venue and asks what it lists.
    async fn reach(&self, settings: &Settings, id: VenueId) -> Result<(), Failure> {
        if self.lock().contains_key(&id) {
            return Ok(());
        }
        let unknown = || Failure::usage(format!("venue {id} expected an address that can be reached, found none"));
        let spec = settings.venue(id).cloned().ok_or_else(unknown)?;
        let (bases, instruments) = match spec.is_embedded() {
            true => self.embedded.side(spec.kind).map(|side| (side.bases(), side.instruments.clone())).ok_or_else(unknown)?,
            false => (spec.bases().ok_or_else(unknown)?, described(settings, &spec)),
        };
        let origin = Origin::parse(&bases.rest).map_err(Failure::usage)?;
        // One budget for each address, whichever venues go by it.
        let same = self.lock().values().find(|place| place.host.origin == origin).map(|place| Arc::clone(&place.host));
        let permille = u32::try_from(spec.reserved_weight.0.saturating_mul(1_000.into()).trunc().mantissa()).unwrap_or_default();
        let host = same.unwrap_or_else(|| Host::new(origin, product_of(spec.kind), self.times.clone(), permille));
        if spec.is_embedded() {
            host.fix_weight_limit(EMBEDDED_WEIGHT);
        }
        // The exchange inside lists what it was made with.
        let instruments = if spec.is_embedded() {
            instruments
        } else {
            let Listed { instruments, held } = listed(&spec, &host, &instruments).await;
            self.held.lock().unwrap_or_else(PoisonError::into_inner).extend(held);
            instruments
        };
        if spec.kind == VenueKind::BinanceSpot {
            check_holdings(&instruments).map_err(Failure::usage)?;
        }
        if !spec.is_embedded() || spec.kind == VenueKind::BinanceSpot {
            check_purse(&instruments).map_err(Failure::usage)?;
        }
        let told = Arc::new(ArcSwap::from_pointee(instruments.clone()));
        let place = Arc::new(Place { spec, bases, instruments: Arc::new(ArcSwap::from_pointee(instruments)), told, host });
        self.lock().insert(id, place);
        Ok(())
    }

    /// Symbols that could not be traded at the start, and why, told once.
    #[must_use]
    pub fn take_held(&self) -> Vec<(Symbol, String)> {
        std::mem::take(&mut self.held.lock().unwrap_or_else(PoisonError::into_inner))
    }

    /// Shows how far the venues' clocks are off and how much was asked of each.
    pub fn measure(&self) {
        for place in self.all() {
            metrics::venue(place.spec.id.as_str(), place.host.offset_millis(), place.host.used_weight());
        }
    }

    /// Every instrument of every venue; of a symbol that two list, the first one's.
    #[must_use]
    pub fn instruments(&self) -> Vec<Instrument> {
        let mut all: Vec<Instrument> = Vec::new();
        for place in self.all() {
            let new = |instrument: &&Instrument| !all.iter().any(|known| known.symbol == instrument.symbol);
            let more: Vec<Instrument> = place.instruments.load().iter().filter(new).cloned().collect();
            all.extend(more);
        }
        all
    }

    /// The streams that the feeds read, over as many connections as each venue needs.
    #[must_use]
    pub fn feeds(&self) -> Vec<FeedSpec> {
        let places = self.all();
        places.iter().flat_map(|place| FeedSpec::of(&place.bases.ws, &place.told.load())).collect()
    }

    /// Where an account is, if it is at the exchange inside.
    #[must_use]
    pub fn embedded_kind(settings: &Settings, account: &AccountSpec) -> Option<VenueKind> {
        settings.venue(account.venue).filter(|venue| venue.is_embedded()).map(|venue| venue.kind)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::domain::instrument::InstrumentKind;
    use crate::venues::binance::codec::exchange_info::exchange_info;
    use crate::venues::binance::codec::outcome::Answer;

    #[test]
    fn what_a_venue_does_not_trade_is_held_and_the_rest_is_as_it_says() {
        let row = |symbol: &str, status: &str| {
            format!(
                r#"{{"symbol":"{symbol}","status":"{status}","baseAsset":"BTC","quoteAsset":"USDT","marginAsset":"USDT","filters":[
                {{"filterType":"PRICE_FILTER","minPrice":"0.5","maxPrice":"1000000","tickSize":"0.5"}},
                {{"filterType":"LOT_SIZE","minQty":"0.001","maxQty":"1000","stepSize":"0.001"}},
                {{"filterType":"MIN_NOTIONAL","notional":"100"}},
                {{"filterType":"PERCENT_PRICE","multiplierUp":"1.05","multiplierDown":"0.95","multiplierDecimal":"4"}}]}}"#
            )
        };
        let body = format!(r#"{{"symbols":[{},{}]}}"#, row("BTCUSDT", "TRADING"), row("ETHUSDT", "SETTLING"));
        let info = exchange_info(Product::BinanceUsdm, Answer { status: 200, retry_after: None, body: body.as_bytes() }).unwrap();
        let rules = info.symbols.into_iter().map(|rules| (rules.symbol(), rules)).collect();
        let wanted = ["BTCUSDT", "ETHUSDT", "SOLUSDT"]
            .map(|name| instruments::inferred(InstrumentKind::Perpetual, Symbol::new(name).unwrap(), 2, 2));
        let Listed { instruments, held } = by_rules(VenueId::new("there").unwrap(), &rules, &wanted);
        assert_eq!(instruments.len(), 3, "the others are traded as if nothing were");
        assert_eq!(instruments[0].price_step, "0.5".parse().unwrap());
        let told: Vec<_> = held.iter().map(|(symbol, why)| format!("{symbol}: {why}")).collect();
        assert_eq!(told, ["ETHUSDT: venue there says of ETHUSDT: SETTLING", "SOLUSDT: venue there says of SOLUSDT: not listed"]);
    }
}
