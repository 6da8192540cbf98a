//! From settings to machines: the same for the daemon, which hands them to actors, and for the backtest, which steps them
//! itself. It builds; nothing runs here.

use std::collections::BTreeMap;

use crate::domain::ids::{AccountId, Epoch, StrategyId, Symbol};
use crate::domain::instrument::{Instrument, InstrumentKind};
use crate::domain::recovery::DaemonState;
use crate::domain::risk::limits::RiskLimits;
use crate::domain::risk::margin::{Bracket, Brackets};
use crate::exchange::core::margin::{self, PerpetualRules};
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

/// What makes the ids of a strategy's intents unique.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Proposer {
    pub epoch: Epoch,
    /// Its own among all that propose in this epoch, also among those that are gone.
    pub slot: u16,
    /// Goes on where an earlier host of the same epoch was.
    pub first_intent: u32,
}

impl Proposer {
    /// The strategy in that place, from its first intent on.
    #[must_use]
    pub fn first(epoch: Epoch, place: usize) -> Self {
        // The kill switch has the last slot; nobody configures as many strategies as there are slots.
        let slot = u16::try_from(place).unwrap_or(u16::MAX).min(crate::domain::kill_switch::SLOT - 1);
        Self { epoch, slot, first_intent: 0 }
    }
}

/// The limits of the settings, with the venue's maintenance brackets of every perpetual: the bundled ones, and careful ones for a
/// symbol that they do not have.
#[must_use]
pub fn risk_limits(settings: &Settings, available: &[Instrument]) -> RiskLimits {
    let perpetuals = available.iter().filter(|instrument| instrument.kind == InstrumentKind::Perpetual);
    let brackets = perpetuals.map(|instrument| {
        let steps = PerpetualRules::of(instrument).brackets;
        let step =
            |step: &margin::Bracket| Bracket { notional_cap: step.notional_cap, rate: step.maintenance, cumulative: step.cumulative };
        (instrument.symbol, Brackets::new(steps.iter().map(step).collect()))
    });
    RiskLimits { brackets: brackets.collect(), ..settings.risk_limits(available) }
}

/// The enabled strategies that have something to trade: an account, and a symbol among those available.
pub fn runnable<'a>(settings: &'a Settings, available: &'a [Instrument]) -> impl Iterator<Item = &'a StrategySpec> {
    settings.enabled_strategies().filter(|spec| !spec.accounts.is_empty() && instruments_of(spec, available).is_ok())
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

/// A strategy's host.
///
/// # Errors
/// When the settings or the symbols do not fit.
pub fn host(
    settings: &Settings,
    spec: &StrategySpec,
    registry: &Registry,
    available: &[Instrument],
    state: &DaemonState,
    proposer: Proposer,
) -> Result<StrategyHost, AssembleError> {
    let instruments = instruments_of(spec, available)?;
    let config = HostConfig {
        id: spec.id,
        slot: proposer.slot,
        epoch: proposer.epoch,
        first_intent: proposer.first_intent,
        accounts: spec.accounts.clone(),
        holdings: holdings(settings, spec, &instruments, available, state),
        instruments,
        bar_interval: spec.interval,
    };
    Ok(StrategyHost::new(config, strategy(spec, registry)?))
}

/// A strategy that is alone on all its symbols and accounts owns their positions; one that shares any counts its own fills.
fn holdings(
    settings: &Settings,
    spec: &StrategySpec,
    instruments: &[Instrument],
    available: &[Instrument],
    state: &DaemonState,
) -> Holdings {
    if !shares(settings, spec, instruments, available) {
        return Holdings::Whole;
    }
    let own = state.accounts.iter().flat_map(|(account, state)| {
        let mine = state.own.iter().filter(|(strategy, _, _)| *strategy == spec.id);
        mine.map(|(_, symbol, position)| (*account, *symbol, *position))
    });
    Holdings::Own(own.collect())
}

/// Whether another enabled strategy trades one of its symbols on one of its accounts.
#[must_use]
pub fn shares(settings: &Settings, spec: &StrategySpec, instruments: &[Instrument], available: &[Instrument]) -> bool {
    settings.enabled_strategies().filter(|other| other.id != spec.id).any(|other| {
        let accounts = other.accounts.iter().any(|account| spec.accounts.contains(account));
        let theirs = instruments_of(other, available).unwrap_or_default();
        accounts && theirs.iter().any(|instrument| instruments.iter().any(|ours| ours.symbol == instrument.symbol))
    })
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

/// Which accounts each strategy that can run trades.
#[must_use]
pub fn roster(settings: &Settings, available: &[Instrument]) -> BTreeMap<StrategyId, Vec<AccountId>> {
    runnable(settings, available).map(|spec| (spec.id, spec.accounts.clone())).collect()
}
