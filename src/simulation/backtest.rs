//! A backtest: a recording through the whole system in virtual time. It reads the files and steps the world; it knows no
//! wall clock, so that the same recording gives the same bytes.

use std::collections::BTreeMap;
use std::path::PathBuf;

use serde::Serialize;

use crate::domain::ids::{Epoch, Incarnation, Symbol};
use crate::domain::instrument::Instrument;
use crate::domain::kill_switch::KillSwitch;
use crate::domain::ladder::{Ladder, ModeTable};
use crate::domain::market::MarketMachine;
use crate::domain::money::{Money, Quantity};
use crate::domain::order_manager::OrderManager;
use crate::domain::recovery::{AccountState, DaemonState};
use crate::domain::risk::RiskMachine;
use crate::domain::time::Timestamp;
use crate::exchange::sources::recording::{Options, Recording, RecordingError, Undecodable};
use crate::exchange::{AccountSetup, Exchange, ExchangeConfig};
use crate::settings::{Settings, Symbols};
use crate::strategies::Registry;

use super::assemble::{self, AssembleError};
use super::report::{FillPoint, ReportData, SymbolReport};
use super::tally::Tally;
use super::world::{Finished, Parts, RISK_INCARNATION, World};

/// Bad lines that are kept to be shown; all are counted.
const SHOWN_MAX: usize = 20;

#[derive(Debug, thiserror::Error)]
pub enum BacktestError {
    #[error(transparent)]
    Recording(#[from] RecordingError),
    #[error(transparent)]
    Line(#[from] Undecodable),
    #[error(transparent)]
    Assemble(#[from] AssembleError),
    #[error("expected one of the configured symbols {configured} in the recording, found {found}; use symbols = \"from-data\"")]
    NoSymbols { configured: String, found: String },
    #[error("expected at least one frame or candle, found none in {files} file(s)")]
    Empty { files: usize },
    #[error("{0}")]
    Bars(#[from] crate::domain::bars::BarError),
}

/// The figures, as `--json` prints them.
#[derive(Debug, Clone, Serialize)]
pub struct Summary {
    /// Frames and candles.
    pub events: u64,
    pub orders: u64,
    pub fills: u64,
    /// Orders that the venue refused.
    pub rejected: u64,
    /// Intents that risk refused; they were never orders.
    pub refused: u64,
    pub fees: Money,
    /// Before fees.
    pub realized_pnl: Money,
    pub final_equity: Money,
    pub max_drawdown: Money,
    pub undecodable: u64,
    /// Scopes that ended in a mode other than Normal.
    pub restrictions: Vec<String>,
    pub warnings: Vec<String>,
    pub symbols: Vec<SymbolSummary>,
    pub trace_hash: String,
}

#[derive(Debug, Clone, Serialize)]
pub struct SymbolSummary {
    pub symbol: Symbol,
    pub orders: u64,
    pub fills: u64,
    pub rejected: u64,
    pub refused: u64,
    pub volume: Money,
    pub fees: Money,
    pub realized_pnl: Money,
    pub max_position: Quantity,
}

/// A finished run.
pub struct Outcome {
    pub summary: Summary,
    pub undecodable: Vec<Undecodable>,
    pub tally: Tally,
    pub span: Option<(Timestamp, Timestamp)>,
}

/// Runs `files` through the system that `settings` describe. `progress` hears the events so far, now and then.
///
/// # Errors
/// When a file cannot be read, a strategy cannot be built, or, with `strict`, a line cannot be decoded.
pub fn run(
    settings: &Settings,
    registry: &Registry,
    files: &[PathBuf],
    strict: bool,
    mut progress: impl FnMut(u64),
) -> Result<Outcome, BacktestError> {
    let mut recording = Recording::open(files, &Options::default())?;
    let instruments = available(settings, recording.instruments())?;
    let index: BTreeMap<Symbol, usize> = instruments.iter().enumerate().map(|(index, one)| (one.symbol, index)).collect();
    let mut world: Option<World> = None;
    let mut bad = Vec::new();
    let mut undecodable = 0;
    let mut span: Option<(Timestamp, Timestamp)> = None;
    let mut events = 0u64;
    while let Some(frame) = recording.next_frame() {
        let frame = match frame {
            Ok(frame) => frame,
            Err(error) if strict => return Err(error.into()),
            Err(error) => {
                undecodable += 1;
                if bad.len() < SHOWN_MAX {
                    bad.push(error);
                }
                continue;
            }
        };
        let Some(symbol) = index.get(&frame.symbol) else { continue };
        let world = match &mut world {
            Some(world) => world,
            None => world.insert(World::new(parts(settings, registry, &instruments)?, frame.received_at)),
        };
        span = Some((span.map_or(frame.received_at, |(first, _)| first), frame.received_at));
        world.frame(*symbol, frame.received_at, frame.venue_time, frame.event);
        events += 1;
        // Every 65,536th event: often enough for a bar on a screen, too seldom to be felt.
        if events.is_multiple_of(1 << 16) {
            progress(events);
        }
    }
    let Some(world) = world else { return Err(BacktestError::Empty { files: files.len() }) };
    progress(events);
    let mut finished = world.finish();
    finished.trace_hash = with_input(&finished.trace_hash, recording.checksums());
    let warnings = recording.warnings().to_vec();
    Ok(Outcome { summary: summary(&finished, undecodable, warnings), undecodable: bad, tally: finished.tally, span })
}

/// The hash of the run over the run's own trace and every byte of its input, so that a changed digit changes it wherever it
/// stands: also in a line that could not be read, or in a field that no event has.
fn with_input(trace: &str, checksums: impl Iterator<Item = (u32, u32)>) -> String {
    let mut hasher = blake3::Hasher::new();
    hasher.update(trace.as_bytes());
    for (checksum, length) in checksums {
        hasher.update(&checksum.to_le_bytes());
        hasher.update(&length.to_le_bytes());
    }
    hasher.finalize().to_hex().to_string()
}

/// The recording's symbols that the settings allow.
fn available(settings: &Settings, recorded: &[Instrument]) -> Result<Vec<Instrument>, BacktestError> {
    let Symbols::Listed(_) = &settings.symbols else { return Ok(recorded.to_vec()) };
    let listed = recorded.iter().filter_map(|instrument| {
        let spec = settings.enabled_symbols().find(|spec| spec.name == instrument.symbol)?;
        Some(spec.instrument.apply(instrument.clone()))
    });
    let instruments: Vec<Instrument> = listed.collect();
    if instruments.is_empty() {
        let names = |symbols: Vec<Symbol>| format!("{symbols:?}");
        return Err(BacktestError::NoSymbols {
            configured: names(settings.enabled_symbols().map(|spec| spec.name).collect()),
            found: names(recorded.iter().map(|instrument| instrument.symbol).collect()),
        });
    }
    Ok(instruments)
}

/// Every machine of the run, in its first state.
///
/// # Errors
/// When a strategy cannot be built.
pub fn parts(settings: &Settings, registry: &Registry, instruments: &[Instrument]) -> Result<Parts, BacktestError> {
    let epoch = Epoch(1);
    let mut exchange = Exchange::new(ExchangeConfig::default());
    for instrument in instruments {
        exchange.add_symbol(instrument.clone());
    }
    for account in settings.enabled_accounts() {
        exchange.open_account(account.id, AccountSetup { deposit: account.starting_funds, owner: 0, hedge: account.hedge_mode });
    }
    let intervals = assemble::intervals(settings, instruments);
    let market = |instrument: &Instrument| {
        let wanted = intervals.get(&instrument.symbol).map_or(&[][..], Vec::as_slice);
        MarketMachine::new(instrument.clone(), wanted, settings.risk.stale_after)
    };
    let state = DaemonState::default();
    let hosts = settings.strategies.iter().enumerate().filter(|(_, spec)| spec.enabled).map(|(place, spec)| {
        let host = assemble::host(settings, spec, registry, instruments, &state, assemble::Proposer::first(epoch, place))?;
        Ok((spec.id, host))
    });
    let executors = settings
        .enabled_accounts()
        .map(|account| OrderManager::new(account.id, epoch, ModeTable::default(), AccountState::new(account.id)));
    let ladder = Ladder::new(settings.fault_budgets(), ModeTable::default());
    Ok(Parts {
        exchange,
        markets: instruments.iter().map(market).collect::<Result<_, _>>()?,
        hosts: hosts.collect::<Result<_, AssembleError>>()?,
        risk: RiskMachine::new(RISK_INCARNATION, assemble::risk_limits(settings, instruments), ModeTable::default()),
        executors: executors.collect(),
        kill_switch: KillSwitch::new(ladder, settings.on_kill(), epoch, Incarnation(1)),
        order_latency: settings.backtest.order_latency,
    })
}

fn summary(finished: &Finished, undecodable: u64, warnings: Vec<String>) -> Summary {
    let tally = &finished.tally;
    let symbols = tally.symbols.iter().map(|(symbol, one)| SymbolSummary {
        symbol: *symbol,
        orders: one.orders,
        fills: one.fills,
        rejected: one.rejected,
        refused: one.refused,
        volume: one.volume,
        fees: one.fees,
        realized_pnl: one.realized,
        max_position: one.max_position,
    });
    Summary {
        events: tally.frames,
        orders: tally.total(|symbol| symbol.orders),
        fills: tally.fills_total,
        rejected: tally.total(|symbol| symbol.rejected),
        refused: tally.total(|symbol| symbol.refused),
        fees: tally.total(|symbol| symbol.fees),
        realized_pnl: finished.realized,
        final_equity: finished.equity,
        max_drawdown: tally.max_drawdown,
        undecodable,
        restrictions: finished.modes.iter().map(|mode| format!("{} {}: {}", mode.scope, mode.mode, mode.cause)).collect(),
        warnings,
        symbols: symbols.collect(),
        trace_hash: finished.trace_hash.clone(),
    }
}

/// The page's data.
#[must_use]
pub fn report(outcome: &Outcome, title: String) -> ReportData {
    let summary = &outcome.summary;
    let rows = [
        ("Events", summary.events.to_string()),
        ("Orders", summary.orders.to_string()),
        ("Fills", summary.fills.to_string()),
        ("Rejected", summary.rejected.to_string()),
        ("Refused by risk", summary.refused.to_string()),
        ("Fees", summary.fees.to_string()),
        ("Realised P&L", summary.realized_pnl.to_string()),
        ("Final equity", summary.final_equity.to_string()),
        ("Max drawdown", summary.max_drawdown.to_string()),
        ("Trace hash", summary.trace_hash.clone()),
    ];
    let symbols = outcome.tally.symbols.iter().map(|(symbol, one)| SymbolReport {
        symbol: *symbol,
        prices: one.prices.points().to_vec(),
        orders: one.orders,
        fills: one.fills,
        volume: one.quantity,
        fees: one.fees,
        realized_pnl: one.realized,
        max_position: one.max_position,
    });
    let fills = outcome.tally.fills.iter().map(|fill| FillPoint {
        at: fill.at,
        symbol: fill.symbol,
        side: fill.side,
        price: fill.price,
        quantity: fill.quantity,
    });
    ReportData {
        title,
        subtitle: outcome.span.map_or_else(String::new, |(first, last)| format!("{first} to {last}")),
        summary: rows.into_iter().map(|(name, value)| (name.to_owned(), value)).collect(),
        equity: outcome.tally.equity.points().to_vec(),
        symbols: symbols.collect(),
        fills: fills.collect(),
    }
}
