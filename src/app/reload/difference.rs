//! What a reload comes to, decided before anything is done: which settings are in force from now on, who goes, who comes, and
//! what must wait for a restart. Pure: it reads settings and the roster and touches nobody.

use crate::domain::ids::{AccountId, StrategyId, Symbol};
use crate::domain::instrument::Instrument;
use crate::messages::boards::RosterEntries;
use crate::settings::{Change, Settings, StrategySpec};
use crate::simulation::assemble;

use super::super::tree::traded;

/// Who goes and who comes. One that is replaced is in both.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Moves<Id> {
    pub gone: Vec<Id>,
    pub new: Vec<Id>,
}

impl<Id: Copy + PartialEq> Moves<Id> {
    fn between(before: &[Id], after: &[Id]) -> Self {
        let without = |these: &[Id], those: &[Id]| these.iter().copied().filter(|one| !those.contains(one)).collect();
        Self { gone: without(before, after), new: without(after, before) }
    }
}

/// The whole difference.
#[derive(Debug)]
pub struct Difference {
    /// In force from now on: what was read, less what needs a restart.
    pub settings: Settings,
    /// Who trades what once everything that goes is gone.
    pub roster: RosterEntries,
    /// In the order of the settings' own diff.
    pub changes: Vec<Change>,
    /// Named at every reload until the daemon was restarted.
    pub needs_restart: Vec<Change>,
    pub accounts: Moves<AccountId>,
    pub symbols: Moves<Symbol>,
    pub strategies: Moves<StrategyId>,
}

impl Difference {
    /// Nothing differs, and nothing waits for a restart.
    pub fn is_empty(&self) -> bool {
        self.changes.is_empty() && self.needs_restart.is_empty()
    }
}

pub fn texts<'a>(changes: impl IntoIterator<Item = &'a Change>) -> Vec<String> {
    changes.into_iter().map(ToString::to_string).collect()
}

/// From what runs to what was read. `listed` is what the exchange lists; `roster` knows what operators started and stopped.
pub fn between(running: &Settings, read: Settings, listed: &[Instrument], roster: &RosterEntries) -> Difference {
    let names: Vec<Symbol> = listed.iter().map(|instrument| instrument.symbol).collect();
    let all = Settings::diff(running, &read).into_iter().map(|change| match change {
        // The embedded exchange lists its symbols once, when it starts.
        Change::SymbolAdded(symbol) if !names.contains(&symbol) => {
            Change::NeedsRestart { key: format!("symbols[{symbol}]"), from: String::new(), to: "enabled".to_owned() }
        }
        change => change,
    });
    let (needs_restart, changes): (Vec<Change>, Vec<Change>) = all.partition(Change::needs_restart);
    let settings = read.within(running, &names);
    let scene = Scene { before: running, after: &settings, was: traded(running, listed), is: traded(&settings, listed) };
    let strategies = scene.strategies(roster);
    let changes = scene.complete(changes);
    let symbols = |instruments: &[Instrument]| instruments.iter().map(|instrument| instrument.symbol).collect::<Vec<_>>();
    let accounts = |settings: &Settings| settings.enabled_accounts().map(|account| account.id).collect::<Vec<_>>();
    let after = RosterEntries { accounts: accounts(&settings), symbols: symbols(&scene.is), strategies: scene.trading(roster) };
    Difference {
        roster: after,
        changes,
        needs_restart,
        accounts: Moves::between(&accounts(running), &accounts(&settings)),
        symbols: Moves::between(&symbols(&scene.was), &symbols(&scene.is)),
        strategies,
        settings,
    }
}

/// Both settings and what can be traded under them.
struct Scene<'a> {
    before: &'a Settings,
    after: &'a Settings,
    was: Vec<Instrument>,
    is: Vec<Instrument>,
}

type Trading = std::collections::BTreeMap<StrategyId, Vec<AccountId>>;

impl Scene<'_> {
    /// The strategies that run afterwards. What an operator has stopped stays stopped, and what he has started although it
    /// is disabled runs on while nothing about it changes.
    fn trading(&self, roster: &RosterEntries) -> Trading {
        let ran = |id: StrategyId| assemble::runnable(self.before, &self.was).any(|spec| spec.id == id);
        let mut trading: Trading = assemble::runnable(self.after, &self.is)
            .filter(|spec| roster.strategies.contains_key(&spec.id) || !ran(spec.id))
            .map(|spec| (spec.id, spec.accounts.clone()))
            .collect();
        for (id, accounts) in &roster.strategies {
            let by_hand = |settings: &Settings| settings.strategies.iter().find(|spec| spec.id == *id && !spec.enabled).cloned();
            let before = by_hand(self.before);
            if before.is_some() && before == by_hand(self.after) {
                trading.insert(*id, accounts.clone());
            }
        }
        trading
    }

    fn strategies(&self, roster: &RosterEntries) -> Moves<StrategyId> {
        let before: Vec<StrategyId> = roster.strategies.keys().copied().collect();
        let after: Vec<StrategyId> = self.trading(roster).into_keys().collect();
        let mut moves = Moves::between(&before, &after);
        let replaced = before.iter().copied().filter(|id| after.contains(id) && self.differs(*id).is_some());
        let replaced: Vec<StrategyId> = replaced.collect();
        moves.gone.extend(&replaced);
        moves.new.extend(&replaced);
        moves
    }

    /// Why a strategy that runs before and after must be made anew, if it must.
    fn differs(&self, id: StrategyId) -> Option<&'static str> {
        let find = |settings: &Settings| settings.strategies.iter().find(|spec| spec.id == id).cloned();
        let (before, after) = (find(self.before)?, find(self.after)?);
        let instruments = |spec: &StrategySpec, available: &[Instrument]| assemble::instruments_of(spec, available).unwrap_or_default();
        let (were, are) = (instruments(&before, &self.was), instruments(&after, &self.is));
        let shared = assemble::shares(self.before, &before, &were, &self.was);
        if before != after {
            Some("settings")
        } else if were != are {
            Some("symbols")
        } else if shared != assemble::shares(self.after, &after, &are, &self.is) {
            // Alone it owns whole positions; beside another it counts its own fills.
            Some("shared positions")
        } else {
            None
        }
    }

    /// The settings' own changes, and those that only show when they are resolved.
    fn complete(&self, mut changes: Vec<Change>) -> Vec<Change> {
        let told = |changes: &[Change], id: StrategyId| {
            changes.iter().any(|change| match change {
                Change::StrategyAdded(other) | Change::StrategyRemoved(other) | Change::StrategyChanged { id: other, .. } => *other == id,
                _ => false,
            })
        };
        let ran = |id: StrategyId| assemble::runnable(self.before, &self.was).any(|spec| spec.id == id);
        let runs = |id: StrategyId| assemble::runnable(self.after, &self.is).any(|spec| spec.id == id);
        for spec in self.after.enabled_strategies().filter(|spec| self.before.enabled_strategies().any(|before| before.id == spec.id)) {
            if told(&changes, spec.id) {
                continue;
            }
            match (ran(spec.id), runs(spec.id)) {
                (true, false) => changes.push(Change::StrategyRemoved(spec.id)),
                (false, true) => changes.push(Change::StrategyAdded(spec.id)),
                _ => changes.extend(self.differs(spec.id).map(|why| Change::StrategyChanged { id: spec.id, keys: vec![why.to_owned()] })),
            }
        }
        changes
    }
}

#[cfg(test)]
#[path = "difference_tests.rs"]
mod tests;
