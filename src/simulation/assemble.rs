//! From settings to machines: the same for the daemon, which hands them to actors, and for the backtest, which steps them
//! itself. It builds; nothing runs here.

use std::collections::BTreeMap;

use crate::domain::ids::{AccountId, Epoch, StrategyId, Symbol};
use crate::domain::instrument::Instrument;
use crate::domain::recovery::DaemonState;
use crate::settings::{Settings, StrategySpec};
use crate::strategies::{Holdings, HostConfig, Registry, Strategy, StrategyHost};

/// Why a strategy could not be built.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum AssembleError {
    #[error("strategy {id}: settings.{path}: {problem}")]
    Settings { id: StrategyId, path: String, problem: String },
    #[error("strategy {id}: expected one of the symbols {wanted:?} among those available, found {available:?}; correct `symbols`")]
    NoSymbol { id: StrategyId, wanted: String, available: String },
}

/// The slot of a strategy among all proposers: its place in the configuration, which with the epoch makes its intent ids
/// unique. A reload that reorders the list is a change of those strategies, which then get new hosts.
#[must_use]
pub fn slot_of(settings: &Settings, id: StrategyId) -> u16 {
    let place = settings.strategies.iter().position(|strategy| strategy.id == id).unwrap_or(settings.strategies.len());
    // The kill switch has the last slot; settings admit far fewer strategies than there are slots.
    u16::try_from(place).unwrap_or(u16::MAX).min(crate::domain::kill_switch::SLOT - 1)
}

/// The instruments that a strategy trades, out of those available.
///
/// # Errors
/// When none of its symbols is available.
pub fn instruments_of(spec: &StrategySpec, available: &[Instrument]) -> Result<Vec<Instrument>, AssembleError> {
    let symbols: Vec<Symbol> = available.iter().map(|instrument| instrument.symbol).collect();
    let wanted = spec.symbols.resolve(&symbols);
    let instruments: Vec<Instrument> = available.iter().filter(|instrument| wanted.contains(&instrument.symbol)).cloned().collect();
    if instruments.is_empty() {
        let (wanted, available) = (format!("{:?}", spec.symbols), format!("{symbols:?}"));
        return Err(AssembleError::NoSymbol { id: spec.id, wanted, available });
    }
    Ok(instruments)
}

/// # Errors
/// The first mistake in its settings; `check` has found them all before.
pub fn strategy(spec: &StrategySpec, registry: &Registry) -> Result<Box<dyn Strategy>, AssembleError> {
    registry.build(&spec.kind, &spec.settings).map_err(|problems| {
        let (path, problem) = problems.into_iter().next().unwrap_or_default();
        AssembleError::Settings { id: spec.id, path, problem }
    })
}

/// A strategy's host. `first_intent` goes on where an earlier incarnation of the same epoch was.
///
/// # Errors
/// When the settings or the symbols do not fit.
pub fn host(
    settings: &Settings,
    spec: &StrategySpec,
    registry: &Registry,
    available: &[Instrument],
    state: &DaemonState,
    first_intent: u32,
    epoch: Epoch,
) -> Result<StrategyHost, AssembleError> {
    let instruments = instruments_of(spec, available)?;
    let config = HostConfig {
        id: spec.id,
        slot: slot_of(settings, spec.id),
        epoch,
        first_intent,
        accounts: spec.accounts.clone(),
        holdings: holdings(settings, spec, &instruments, available, state),
        instruments,
        bar_interval: spec.interval,
    };
    Ok(StrategyHost::new(config, strategy(spec, registry)?))
}

/// A strategy that is alone on all its symbols and accounts owns their positions; one that shares any counts its own fills.
fn holdings(settings: &Settings, spec: &StrategySpec, instruments: &[Instrument], available: &[Instrument], state: &DaemonState) -> Holdings {
    let shares = settings.enabled_strategies().filter(|other| other.id != spec.id).any(|other| {
        let accounts = other.accounts.iter().any(|account| spec.accounts.contains(account));
        let theirs = instruments_of(other, available).unwrap_or_default();
        accounts && theirs.iter().any(|instrument| instruments.iter().any(|ours| ours.symbol == instrument.symbol))
    });
    if !shares {
        return Holdings::Whole;
    }
    let own = state.accounts.iter().flat_map(|(account, state)| {
        let mine = state.own.iter().filter(|(strategy, _, _)| *strategy == spec.id);
        mine.map(|(_, symbol, position)| (*account, *symbol, *position))
    });
    Holdings::Own(own.collect())
}

/// The bar lengths that each symbol's market must build.
#[must_use]
pub fn intervals(settings: &Settings, available: &[Instrument]) -> BTreeMap<Symbol, Vec<std::time::Duration>> {
    let mut intervals: BTreeMap<Symbol, Vec<std::time::Duration>> = BTreeMap::new();
    for spec in settings.enabled_strategies() {
        for instrument in instruments_of(spec, available).unwrap_or_default() {
            let wanted = intervals.entry(instrument.symbol).or_default();
            if !wanted.contains(&spec.interval) {
                wanted.push(spec.interval);
            }
        }
    }
    intervals
}

/// Which accounts each enabled strategy trades.
#[must_use]
pub fn roster(settings: &Settings) -> BTreeMap<StrategyId, Vec<AccountId>> {
    settings.enabled_strategies().map(|spec| (spec.id, spec.accounts.clone())).collect()
}
