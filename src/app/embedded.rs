//! The exchange carried inside, as the daemon runs it: its market from the settings, its record in the data directory, its
//! market server on a loopback port of its own.

use std::net::{Ipv4Addr, SocketAddr, TcpListener};
use std::path::Path;
use std::sync::Arc;

use crate::cli::Failure;
use crate::domain::ids::AccountId;
use crate::domain::instrument::{Instrument, InstrumentKind};
use crate::exchange::shell::{self as exchange, OpenMarket};
use crate::exchange::sources::MarketSource;
use crate::exchange::sources::replay::ReplayMarket;
use crate::exchange::sources::synthetic::{Synthetic, SyntheticConfig, SyntheticSymbol};
use crate::exchange::{AccountSetup, ExchangeConfig, RunningExchange, ShellConfig};
use crate::messages::Clock;
use crate::settings::{AccountSpec, MarketSource as Source, Settings, SymbolSpec};

/// The running exchange with what the daemon must know of it.
pub struct EmbeddedExchange {
    pub running: RunningExchange,
    pub instruments: Vec<Instrument>,
    /// Bound before anything starts, so that the feeds know where to go; the server may be restarted on it.
    pub listener: TcpListener,
    pub address: SocketAddr,
    /// The exchange's time.
    pub clock: exchange::Clock,
}

/// How an account is opened at the exchange.
#[must_use]
pub fn setup(account: &AccountSpec) -> (AccountId, AccountSetup) {
    (account.id, AccountSetup { deposit: account.starting_funds, owner: 0, hedge: account.hedge_mode })
}

/// The exchange's time is the daemon's: a wall clock that is set back would have its market wait until it is there again.
///
/// # Errors
/// When the record cannot be read, a recording cannot be opened or no port is free.
pub fn start(settings: &Settings, data_dir: &Path, clock: &Clock) -> Result<EmbeddedExchange, Failure> {
    let clock = clock.clone();
    let clock: exchange::Clock = Arc::new(move || clock.now());
    let (open, instruments) = market(settings, clock())?;
    let config = ShellConfig {
        exchange: ExchangeConfig::default(),
        accounts: settings.enabled_accounts().map(setup).collect(),
        record: Some(data_dir.join("exchange.db")),
        clock: Arc::clone(&clock),
    };
    let running = RunningExchange::start(config, open).map_err(Failure::usage)?;
    let bound = TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).and_then(|listener| {
        listener.set_nonblocking(true)?;
        Ok((listener.local_addr()?, listener))
    });
    let (address, listener) =
        bound.map_err(|error| Failure::failed(format!("the exchange's market server expected a free loopback port, found: {error}")))?;
    Ok(EmbeddedExchange { running, instruments, listener, address, clock })
}

fn market(settings: &Settings, now: crate::domain::time::Timestamp) -> Result<(OpenMarket, Vec<Instrument>), Failure> {
    match settings.exchange.market {
        Source::Synthetic => {
            let symbols: Vec<SyntheticSymbol> = settings.enabled_symbols().map(synthetic).collect();
            let listed = symbols.iter().map(|symbol| symbol.instrument.clone()).collect();
            let config = SyntheticConfig { seed: settings.exchange.seed, symbols };
            let open: OpenMarket = Box::new(move |start, resume| Box::new(Synthetic::new(&config, start, resume)));
            Ok((open, listed))
        }
        Source::Recording => {
            let market = ReplayMarket::open(&settings.exchange.files, now).map_err(Failure::usage)?;
            for warning in market.warnings() {
                tracing::warn!(target: "ringfence::market", warning, "recording");
            }
            let listed = market.instruments();
            Ok((Box::new(move |_, _| Box::new(market)), listed))
        }
    }
}

/// One generated symbol, with the settings' deviations.
fn synthetic(spec: &SymbolSpec) -> SyntheticSymbol {
    let mut symbol = SyntheticSymbol::named(InstrumentKind::Perpetual, spec.name);
    symbol.instrument = spec.instrument.apply(symbol.instrument);
    let wish = &spec.synthetic;
    symbol.opens_at = wish.opens_at.unwrap_or(symbol.opens_at);
    symbol.volatility_millionths = wish.volatility_millionths.unwrap_or(symbol.volatility_millionths);
    symbol.touch = wish.touch.unwrap_or(symbol.touch);
    symbol.trade = wish.trade.unwrap_or(symbol.trade);
    symbol.trades_per_second = wish.trades_per_second.unwrap_or(symbol.trades_per_second);
    symbol
}
