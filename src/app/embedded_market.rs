//! What the exchange carried inside shows: for each product in use the symbols of its venue, made from a seed, played from
//! recordings, or heard from a venue as they come. It says which engines there are; it starts none.

use std::collections::BTreeSet;

use crate::cli::Failure;
use crate::domain::ids::Symbol;
use crate::domain::instrument::{Instrument, InstrumentKind};
use crate::domain::market_data::{Candle, DepthSnapshot, MarketFrame};
use crate::domain::time::Timestamp;
use crate::exchange::shell::OpenMarket;
use crate::exchange::sources::MarketSource;
use crate::exchange::sources::live::{LiveMarket, LiveVenue};
use crate::exchange::sources::replay::ReplayMarket;
use crate::exchange::sources::synthetic::{Synthetic, SyntheticConfig, SyntheticSymbol};
use crate::settings::{MarketSource as Source, Settings, SymbolSpec, VenueKind};

/// The market of one product.
pub struct Market {
    pub kind: VenueKind,
    pub open: OpenMarket,
    pub instruments: Vec<Instrument>,
}

/// What is in use, after accounts that go by the data have been given their venue.
///
/// # Errors
/// When a recording cannot be opened, or a venue cannot be asked.
pub fn open(settings: &mut Settings, now: Timestamp) -> Result<Vec<Market>, Failure> {
    match settings.exchange.market {
        Source::Synthetic => Ok(kinds_in_use(settings).into_iter().map(|kind| synthetic_market(settings, kind)).collect()),
        Source::Recording => recorded(settings, now),
        Source::Live => live(settings, now),
    }
}

/// Each product's symbols from its venue, which is asked before anything else runs.
fn live(settings: &Settings, now: Timestamp) -> Result<Vec<Market>, Failure> {
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build();
    let runtime = runtime.map_err(|error| Failure::failed(format!("no runtime can be made: {error}")))?;
    let open = |kind: VenueKind| {
        let symbols: Vec<Symbol> = symbols_of(settings, kind).map(|spec| spec.name).collect();
        let venue = match &settings.exchange.live {
            Some((rest, ws)) => LiveVenue { kind: kind.instruments(), rest: rest.clone(), ws: ws.clone() },
            None if kind == VenueKind::Aster => LiveVenue::aster(),
            None => LiveVenue::binance(kind.instruments()),
        };
        let market = runtime.block_on(LiveMarket::open(&venue, &symbols, now));
        let market = market.map_err(|error| Failure::failed(format!("a live market of {kind} expected to open, found: {error}")))?;
        let instruments = market.instruments();
        let open: OpenMarket = Box::new(move |_, _| Box::new(market));
        Ok(Market { kind, open, instruments })
    };
    kinds_in_use(settings).into_iter().map(open).collect()
}

/// The symbols of one product.
fn symbols_of(settings: &Settings, kind: VenueKind) -> impl Iterator<Item = &SymbolSpec> {
    let here = move |spec: &&SymbolSpec| {
        spec.venue.and_then(|id| settings.venue(id)).is_some_and(|venue| venue.is_embedded() && venue.kind == kind)
    };
    settings.enabled_symbols().filter(here)
}

/// The sides that an account or a symbol needs.
fn kinds_in_use(settings: &Settings) -> BTreeSet<VenueKind> {
    let kind = |id| settings.venue(id).filter(|venue| venue.is_embedded()).map(|venue| venue.kind);
    let accounts = settings.enabled_accounts().filter_map(|account| kind(account.venue));
    let symbols = settings.enabled_symbols().filter_map(|symbol| symbol.venue).filter_map(kind);
    accounts.chain(symbols).collect()
}

fn synthetic_market(settings: &Settings, kind: VenueKind) -> Market {
    let symbols: Vec<SyntheticSymbol> = symbols_of(settings, kind).map(|spec| synthetic(spec, kind.instruments())).collect();
    let instruments = symbols.iter().map(|symbol| symbol.instrument.clone()).collect();
    let config = SyntheticConfig { seed: settings.exchange.seed, symbols };
    let open: OpenMarket = Box::new(move |start, resume| Box::new(Synthetic::new(&config, start, resume)));
    Market { kind, open, instruments }
}

/// The files are opened once for each product that is in them: each shows its own symbols.
fn recorded(settings: &mut Settings, now: Timestamp) -> Result<Vec<Market>, Failure> {
    let files = settings.exchange.files.clone();
    let play = || ReplayMarket::open(&files, now).map_err(Failure::usage);
    let first = play()?;
    for warning in first.warnings() {
        tracing::warn!(target: "ringfence::market", warning, "recording");
    }
    let listed = first.instruments();
    settings.trade_where_listed(&listed);
    let settings = &*settings;
    let mut kinds: BTreeSet<VenueKind> = listed.iter().map(|instrument| kind_of(settings, instrument)).collect();
    kinds.extend(kinds_in_use(settings));
    let (mut markets, mut first) = (Vec::new(), Some(first));
    for kind in kinds {
        let here: Vec<Instrument> = listed.iter().filter(|instrument| kind_of(settings, instrument) == kind).cloned().collect();
        let (symbols, replay) = (here.iter().map(|instrument| instrument.symbol).collect(), first.take().map_or_else(play, Ok)?);
        let open: OpenMarket = Box::new(move |_, _| Box::new(Part { whole: replay, symbols, frames: Vec::new() }));
        markets.push(Market { kind, open, instruments: here });
    }
    Ok(markets)
}

fn kind_of(settings: &Settings, instrument: &Instrument) -> VenueKind {
    let standard = if instrument.kind == InstrumentKind::Spot { VenueKind::BinanceSpot } else { VenueKind::BinanceUsdm };
    settings.venue(settings.venue_of(instrument.symbol, instrument.kind)).map_or(standard, |venue| venue.kind)
}

/// The symbols of one product out of a market of several.
struct Part {
    whole: ReplayMarket,
    symbols: BTreeSet<Symbol>,
    frames: Vec<MarketFrame>,
}

impl MarketSource for Part {
    fn instruments(&self) -> Vec<Instrument> {
        self.whole.instruments().into_iter().filter(|instrument| self.symbols.contains(&instrument.symbol)).collect()
    }

    fn poll(&mut self, now: Timestamp, out: &mut Vec<MarketFrame>) {
        self.whole.poll(now, &mut self.frames);
        out.extend(self.frames.drain(..).filter(|frame| self.symbols.contains(&frame.symbol)));
    }

    fn book(&self, symbol: Symbol, limit: usize) -> Option<DepthSnapshot> {
        if self.symbols.contains(&symbol) { self.whole.book(symbol, limit) } else { None }
    }

    fn candles(&self, symbol: Symbol, interval: std::time::Duration, limit: usize) -> Vec<Candle> {
        if self.symbols.contains(&symbol) { self.whole.candles(symbol, interval, limit) } else { Vec::new() }
    }
}

/// One generated symbol: the standard one of that name, else one made from its instrument, with the settings' deviations.
fn synthetic(spec: &SymbolSpec, kind: InstrumentKind) -> SyntheticSymbol {
    let mut symbol = SyntheticSymbol::named(kind, spec.name);
    symbol.instrument = spec.instrument.apply(symbol.instrument);
    symbol.instrument.kind = kind;
    let wish = &spec.synthetic;
    symbol.opens_at = wish.opens_at.unwrap_or(symbol.opens_at);
    symbol.volatility_millionths = wish.volatility_millionths.unwrap_or(symbol.volatility_millionths);
    symbol.touch = wish.touch.unwrap_or(symbol.touch);
    symbol.trade = wish.trade.unwrap_or(symbol.trade);
    symbol.trades_per_second = wish.trades_per_second.unwrap_or(symbol.trades_per_second);
    symbol
}
