//! One product of the exchange with everything around it, from a few wishes: its market, its engine on a thread, its accounts
//! with their keys and money, its server. `ringfence exchange` and the tests start it; it binds no port itself.

use std::collections::BTreeMap;
use std::path::PathBuf;
use std::sync::Arc;

use crate::domain::ids::{AccountId, Asset, Symbol};
use crate::domain::instrument::{Instrument, InstrumentKind};
use crate::domain::money::Money;
use crate::domain::time::Timestamp;
use crate::venues::grid::StepError;

use super::core::{AccountSetup, ExchangeConfig, Reject};
use super::shell::{Clock, ExchangeHandle, ExchangeStopped, OpenMarket, RunningExchange, ShellConfig, ShellError};
use super::sources::MarketSource;
use super::sources::live::{LiveError, LiveMarket, LiveVenue};
use super::sources::recording::files_of;
use super::sources::replay::{self, ReplayError, ReplayMarket};
use super::sources::synthetic::{Synthetic, SyntheticConfig, SyntheticSymbol};
use super::stream::{ExchangeFloor, MarketWire, MarketWireConfig, PrivateStreams};
use super::wire::limits::LimitRules;
use super::wire::usdm::{self, Usdm, UserSockets};
use super::wire::{Dialect, Key, KeyError, Keys, Product, Routes, Venue, VenueConfig, WireServer, market, spot};

/// Which market is shown.
#[derive(Debug, Clone)]
pub enum Show {
    /// Out of a seed.
    Synthetic { seed: u64, symbols: Vec<Symbol> },
    /// Files, round after round.
    Recording { files: Vec<PathBuf> },
    /// A real venue's, heard live.
    Live { venue: LiveVenue, symbols: Vec<Symbol> },
}

/// What one product is to be.
pub struct Wishes {
    pub product: Product,
    pub show: Show,
    pub keys: Vec<Key>,
    /// What every account begins with, in each of its wallets.
    pub funds: Vec<(Asset, Money)>,
    /// Where it remembers; without it nothing outlives it.
    pub record: Option<PathBuf>,
    pub clock: Clock,
    /// Whether limits are enforced, or only counted.
    pub limits: bool,
    /// What an address may ask a minute, in place of what the venue has.
    pub weight: Option<u32>,
    /// Whether `/faults` is there.
    pub faults: bool,
    /// Whether intervals are served that Binance does not have, for the daemon's own bars.
    pub extended: bool,
    /// What listen keys and order ids are drawn from.
    pub seed: [u8; 32],
}

/// A product that runs, and its server that does not listen yet.
pub struct Standalone {
    pub running: RunningExchange,
    pub instruments: Vec<Instrument>,
    pub server: WireServer,
}

#[derive(Debug, thiserror::Error)]
pub enum OpenError {
    #[error(transparent)]
    Replay(#[from] ReplayError),
    #[error(transparent)]
    Live(#[from] LiveError),
    #[error("expected a recording of {expected} to play, found none among {}; give one, or leave the product out", replay::names(files))]
    NoFiles { expected: &'static str, files: Vec<PathBuf> },
    #[error(transparent)]
    Shell(#[from] ShellError),
    #[error(transparent)]
    Stopped(#[from] ExchangeStopped),
    #[error(transparent)]
    Step(#[from] StepError),
    #[error(transparent)]
    Key(#[from] KeyError),
    #[error("an account's funds expected an amount above zero of an asset, found {0}")]
    Funds(String),
}

impl Standalone {
    /// # Errors
    /// When the market cannot be opened, the record cannot be read, or two keys are the same.
    pub async fn open(wishes: Wishes) -> Result<Self, OpenError> {
        let keys = Keys::new(wishes.keys)?;
        let (open, instruments) = open_market(&wishes.show, wishes.product.kind, &wishes.clock).await?;
        let exchange = ExchangeConfig { log_reports: true, ..memory(wishes.record.is_some()) };
        let config = ShellConfig { exchange, accounts: Vec::new(), record: wishes.record, clock: Arc::clone(&wishes.clock) };
        let running = RunningExchange::start(config, open)?;
        let accounts = keys.accounts();
        open_accounts(&running.handle(), wishes.product.kind, &accounts, &wishes.funds).await?;
        let server = server_of(ServerWishes {
            product: wishes.product,
            exchange: running.handle(),
            instruments: instruments.clone(),
            keys,
            clock: wishes.clock,
            limits: wishes.limits,
            weight: wishes.weight,
            faults: wishes.faults,
            extended: wishes.extended,
            seed: wishes.seed,
        })?;
        Ok(Self { running, instruments, server })
    }
}

/// What the doors of a running product are to be.
pub struct ServerWishes {
    pub product: Product,
    pub exchange: ExchangeHandle,
    pub instruments: Vec<Instrument>,
    pub keys: Keys,
    pub clock: Clock,
    /// Whether limits are enforced, or only counted.
    pub limits: bool,
    /// What an address may ask a minute, in place of what the venue has.
    pub weight: Option<u32>,
    /// Whether `/faults` is there.
    pub faults: bool,
    /// Whether intervals are served that Binance does not have, for the daemon's own bars.
    pub extended: bool,
    /// What listen keys and order ids are drawn from.
    pub seed: [u8; 32],
}

/// The server of a product whose engine runs already. May be made anew when one has ended.
///
/// # Errors
/// When an instrument has no grid.
pub fn server_of(wishes: ServerWishes) -> Result<WireServer, OpenError> {
    let ServerWishes { product, exchange, instruments, keys, clock, limits, weight, faults, extended, seed } = wishes;
    let floor = ExchangeFloor { handle: exchange.clone(), instruments: instruments.clone(), clock: Arc::clone(&clock) };
    let usdm = (!product.is_spot()).then(|| Arc::new(Usdm::new(product.dialect, names_from(&seed, clock()))));
    let users = usdm.as_ref().map(|usdm| Arc::new(UserSockets::new(Arc::clone(usdm), &instruments)));
    let mut config = market_config(product, users.as_ref());
    config.naming.extended = extended;
    let rules = product.limits();
    let weight_per_minute = weight.unwrap_or(rules.weight_per_minute);
    config.weight_per_minute = weight_per_minute;
    let market = MarketWire::new(Arc::new(floor), config)?;
    // Clients ask spot's own routes about keys and coins, also where they trade USD-M alone.
    let private = match &usdm {
        Some(usdm) => usdm::routes(usdm).into_iter().chain(spot::sapi::routes()).collect(),
        None => spot::routes(),
    };
    let venue = Arc::new(Venue::new(VenueConfig {
        product,
        exchange,
        clock,
        keys,
        limits: LimitRules { enforced: limits, weight_per_minute, ..rules },
        routes: Routes::new(market::routes(product, &market.router()).into_iter().chain(private)),
    }));
    if let Some(users) = &users {
        users.attach(&venue);
    }
    Ok(WireServer { venue, market, users, encode: spot::encode, faults })
}

/// USD-M's private side without its market on the wire, for whoever carries requests and frames himself.
#[must_use]
pub fn private_usdm(
    exchange: ExchangeHandle,
    instruments: &[Instrument],
    keys: Keys,
    clock: Clock,
    seed: &[u8; 32],
) -> (Arc<Venue>, Arc<UserSockets>) {
    let product = Product::USDM;
    let usdm = Arc::new(Usdm::new(product.dialect, names_from(seed, clock())));
    let users = Arc::new(UserSockets::new(Arc::clone(&usdm), instruments));
    let rows = market::routes(product, &axum::Router::new()).into_iter().chain(usdm::routes(&usdm));
    let limits = product.limits();
    let venue = Arc::new(Venue::new(VenueConfig { product, exchange, clock, keys, limits, routes: Routes::new(rows) }));
    users.attach(&venue);
    (venue, users)
}

/// How much of the past the engine keeps itself. Without a record there is nobody else to ask: then as many trades as a record has, some
/// 30 MB an account, and ten pages of ended orders.
fn memory(has_record: bool) -> ExchangeConfig {
    let usual = ExchangeConfig::default();
    if has_record { usual } else { ExchangeConfig { trades_kept: 100_000, closed_kept: 10_000, ..usual } }
}

/// What one server draws names from: never what another of the same seed does, as orders and sockets of the time before still
/// go by the names that they got then.
fn names_from(seed: &[u8; 32], start: Timestamp) -> [u8; 32] {
    *blake3::keyed_hash(seed, &start.0.to_le_bytes()).as_bytes()
}

fn market_config(product: Product, users: Option<&Arc<UserSockets>>) -> MarketWireConfig {
    let config = match product.dialect {
        Dialect::Aster => MarketWireConfig::aster(),
        Dialect::Binance => MarketWireConfig::of(product.kind),
    };
    let private = users.map(|users| Arc::clone(users) as Arc<dyn PrivateStreams>);
    MarketWireConfig { private, ..config }
}

async fn open_market(show: &Show, kind: InstrumentKind, clock: &Clock) -> Result<(OpenMarket, Vec<Instrument>), OpenError> {
    match show {
        Show::Synthetic { seed, symbols } => {
            let symbols: Vec<SyntheticSymbol> = symbols.iter().map(|symbol| SyntheticSymbol::named(kind, *symbol)).collect();
            let listed = symbols.iter().map(|symbol| symbol.instrument.clone()).collect();
            let config = SyntheticConfig { seed: *seed, symbols };
            let open: OpenMarket = Box::new(move |start, resume: &BTreeMap<_, _>| Box::new(Synthetic::new(&config, start, resume)));
            Ok((open, listed))
        }
        Show::Recording { files } => {
            // The other product's files may show the same symbols: they are the other engine's.
            let own = files_of(kind, files).map_err(ReplayError::from)?;
            if own.is_empty() && !files.is_empty() {
                let expected = if kind == InstrumentKind::Spot { "spot" } else { "USD-M" };
                return Err(OpenError::NoFiles { expected, files: files.clone() });
            }
            let market = ReplayMarket::open(&own, clock())?;
            for warning in market.warnings() {
                tracing::warn!(target: "ringfence::market", warning, "recording");
            }
            let listed = market.instruments();
            Ok((Box::new(move |_, _| Box::new(market)), listed))
        }
        Show::Live { venue, symbols } => {
            let market = LiveMarket::open(venue, symbols, clock()).await?;
            let listed = market.instruments();
            Ok((Box::new(move |_, _| Box::new(market)), listed))
        }
    }
}

/// Opens accounts that the record does not have, with their money.
async fn open_accounts(
    handle: &ExchangeHandle,
    kind: InstrumentKind,
    accounts: &[AccountId],
    funds: &[(Asset, Money)],
) -> Result<(), OpenError> {
    for account in accounts.iter().copied() {
        let (known, owner) = handle.call(move |desk| (desk.exchange.equity(account).is_some(), desk.exchange.new_owner())).await?;
        if known {
            continue;
        }
        // Each account is a person of its own, also beside those that a record has from a start with other keys: they may trade with
        // each other.
        let setup = AccountSetup { deposit: Money::ZERO, owner, hedge: false };
        handle.open_account(account, setup)?;
        for (asset, amount) in funds.iter().copied() {
            let funded = handle.call(move |desk| match kind {
                InstrumentKind::Spot => desk.exchange.deposit(desk.now, account, asset, amount),
                InstrumentKind::Perpetual => desk.exchange.transfer(desk.now, account, asset, amount),
            });
            let refused = |reject: Reject| OpenError::Funds(format!("{amount} {asset}: {}", reject.words(false).1));
            funded.await?.map_err(refused)?;
        }
    }
    Ok(())
}
