//! The degrade ladder: which mode each scope is in, which faults move it, and who may move it back. Down goes by itself
//! and at once; up only with a named person's reason. It decides and remembers; it sends nothing and stops nothing.

use super::mutants::{self, Mutant};
use std::collections::{BTreeMap, BTreeSet, VecDeque};
use std::time::Duration;

use serde::{Deserialize, Serialize};

use super::ids::{AccountId, StrategyId, Symbol};
use super::mode::{FaultClass, Mode, Scope, ScopeKind};
use super::order::Side;
use super::time::Timestamp;

/// The mode of every scope that is not `Normal`. Small, copied to whoever must obey it.
#[derive(Debug, Clone, PartialEq, Eq, Default, Serialize, Deserialize)]
pub struct ModeTable {
    entries: BTreeMap<String, ScopeMode>,
    /// Orders that must not rest while the kill switch closes a position of the same owner: of that account, on that symbol, of
    /// that side. Whoever closes names them anew after a restart.
    #[serde(skip)]
    barred: BTreeSet<(AccountId, Symbol, Side)>,
}

/// A scope's mode, why and since when.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct ScopeMode {
    pub scope: Scope,
    pub mode: Mode,
    pub cause: String,
    pub since: Timestamp,
}

impl ModeTable {
    #[must_use]
    pub fn of(&self, scope: Scope) -> Mode {
        if self.entries.is_empty() {
            return Mode::Normal;
        }
        self.entries.get(&scope.to_string()).map_or(Mode::Normal, |entry| entry.mode)
    }

    /// The strictest of the global mode and the three scopes that an order falls under, with the scope that says so.
    #[must_use]
    pub fn effective(&self, account: AccountId, strategy: Option<StrategyId>, symbol: Symbol) -> (Mode, Scope) {
        if self.entries.is_empty() {
            return (Mode::Normal, Scope::Global);
        }
        let scopes = [Some(Scope::Global), Some(Scope::Account(account)), strategy.map(Scope::Strategy), Some(Scope::Symbol(symbol))];
        let modes = scopes.into_iter().flatten().map(|scope| (self.of(scope), scope));
        modes.fold((Mode::Normal, Scope::Global), |strictest, next| if next.0 > strictest.0 { next } else { strictest })
    }

    /// The mode of an account as a whole: its own or the global one, whichever is stricter.
    #[must_use]
    pub fn account(&self, account: AccountId) -> Mode {
        self.of(Scope::Global).max(self.of(Scope::Account(account)))
    }

    /// Whether an order of that account and side must not rest on the symbol: one of the owner's positions is being closed
    /// against it.
    #[must_use]
    pub fn is_barred(&self, account: AccountId, symbol: Symbol, side: Side) -> bool {
        !self.barred.is_empty() && self.barred.contains(&(account, symbol, side))
    }

    /// Everything that is barred now.
    #[must_use]
    pub fn barred(&self) -> &BTreeSet<(AccountId, Symbol, Side)> {
        &self.barred
    }

    pub(crate) fn set_barred(&mut self, barred: BTreeSet<(AccountId, Symbol, Side)>) {
        self.barred = barred;
    }

    /// Since when the scope is in the mode that it is in; `None` in Normal.
    #[must_use]
    pub fn since(&self, scope: Scope) -> Option<Timestamp> {
        self.entries.get(&scope.to_string()).map(|entry| entry.since)
    }

    pub fn iter(&self) -> impl Iterator<Item = &ScopeMode> {
        self.entries.values()
    }

    /// Takes a halt over that an earlier life left behind.
    pub fn latch(&mut self, scope: Scope, cause: &str, since: Timestamp) {
        self.set(scope, Mode::Halted, cause, since);
    }

    /// Takes a mode over that an earlier life left behind, if the scope is freer than that.
    pub fn restrict(&mut self, scope: Scope, mode: Mode, cause: &str, since: Timestamp) {
        if self.of(scope) < mode {
            self.set(scope, mode, cause, since);
        }
    }

    pub(crate) fn set(&mut self, scope: Scope, mode: Mode, cause: &str, since: Timestamp) {
        if mode == Mode::Normal {
            self.entries.remove(&scope.to_string());
        } else {
            self.entries.insert(scope.to_string(), ScopeMode { scope, mode, cause: cause.to_owned(), since });
        }
    }
}

/// How many faults of one class a scope may have within a period, and what it is held to when it has more. Used up again while it is
/// held so already, it goes a rung further down.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub struct FaultBudget {
    pub intensity: u32,
    pub period: Duration,
    pub then: Mode,
}

/// Budgets by class, and by kind of scope where that has one of its own.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct FaultBudgets {
    pub of_class: BTreeMap<FaultClass, FaultBudget>,
    pub of_scope: BTreeMap<(ScopeKind, FaultClass), FaultBudget>,
}

impl FaultBudgets {
    /// A class without a budget, because none was configured, counts as used up: nothing runs unbounded.
    fn of(&self, scope: Scope, class: FaultClass) -> FaultBudget {
        let own = self.of_scope.get(&(scope.kind(), class)).or_else(|| self.of_class.get(&class));
        own.copied().unwrap_or(FaultBudget { intensity: 0, period: Duration::ZERO, then: Mode::Halted })
    }
}

impl From<BTreeMap<FaultClass, FaultBudget>> for FaultBudgets {
    fn from(of_class: BTreeMap<FaultClass, FaultBudget>) -> Self {
        Self { of_class, of_scope: BTreeMap::new() }
    }
}

/// A mode that changed.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Transition {
    pub scope: Scope,
    pub from: Mode,
    pub to: Mode,
    pub cause: String,
}

/// Why a mode may not be changed as asked.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum RaiseError {
    #[error("raising {scope} expected the name of a person and a reason, found {found}; give both")]
    Unnamed { scope: Scope, found: &'static str },
    #[error("{scope} is {mode}, expected a mode stricter than the one asked for; nothing to raise")]
    NotLower { scope: Scope, mode: Mode },
    #[error("{scope} expected a completed reconciliation before it is raised, found {what}; try again when it is done")]
    NotReconciled { scope: Scope, what: String },
    #[error("{scope} is being raised already: wait until that is in the journal")]
    UnderWay { scope: Scope },
    #[error("flatten expected an account or everything, found {scope}: halt it, which cancels its orders, and flatten its accounts")]
    NotOfAccount { scope: Scope },
}

/// A raise that was granted and is not in force yet: its row is on the way to the disk.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Raise {
    serial: u64,
    pub transition: Transition,
}

/// The machine: modes, fault windows, budgets.
#[derive(Debug, Clone)]
pub struct Ladder {
    modes: ModeTable,
    budgets: FaultBudgets,
    faults: BTreeMap<(Scope, FaultClass), VecDeque<Timestamp>>,
    /// Scopes whose raise is being written, with the number of the raise.
    raising: BTreeMap<Scope, u64>,
    raises: u64,
}

impl Ladder {
    /// `latched` is what an earlier life left behind.
    #[must_use]
    pub fn new(budgets: impl Into<FaultBudgets>, latched: ModeTable) -> Self {
        let latched = if mutants::on(Mutant::LatchNotRestored) { ModeTable::default() } else { latched };
        Self { modes: latched, budgets: budgets.into(), faults: BTreeMap::new(), raising: BTreeMap::new(), raises: 0 }
    }

    #[must_use]
    pub fn modes(&self) -> &ModeTable {
        &self.modes
    }

    /// Counts a fault. One of a class that cannot have a budget halts everything; a budget that is used up holds `scope` to what the
    /// budget says, and to the next rung when it is held to that already.
    pub fn fault(&mut self, now: Timestamp, scope: Scope, class: FaultClass, detail: &str) -> Option<Transition> {
        if class.has_no_budget() {
            return self.lower(now, Scope::Global, Mode::Halted, &format!("{class} fault: {detail}"));
        }
        let budget = self.budgets.of(scope, class);
        let window = self.faults.entry((scope, class)).or_default();
        while window.front().is_some_and(|first| now.since(*first) > budget.period) {
            window.pop_front();
        }
        window.push_back(now);
        let count = window.len();
        if count <= budget.intensity as usize {
            return None;
        }
        window.clear();
        let scope = if mutants::on(Mutant::OneFaultHaltsAll) { Scope::Global } else { scope };
        let cause = format!("{count} {class} faults within {:?}, budget {}: {detail}", budget.period, budget.intensity);
        let held = self.modes.of(scope);
        self.lower(now, scope, if held >= budget.then { held.stricter() } else { budget.then }, &cause)
    }

    /// Makes a scope stricter. `None` when it already is as strict. A raise that is being written is off: the scope stays as
    /// strict as it was at least, and that is a transition, because the raise's row says otherwise.
    pub fn lower(&mut self, now: Timestamp, scope: Scope, mode: Mode, cause: &str) -> Option<Transition> {
        let from = self.modes.of(scope);
        let overtaken = self.raising.remove(&scope).is_some();
        if mode <= from && !overtaken {
            return None;
        }
        let to = mode.max(from);
        self.modes.set(scope, to, cause, now);
        Some(Transition { scope, from: if overtaken { Mode::Normal } else { from }, to, cause: cause.to_owned() })
    }

    /// Grants that a scope becomes Normal again. Only a named person with a reason may. Nothing changes before
    /// `finish_raise`, because a raise is durable first.
    ///
    /// # Errors
    /// When the person or the reason is missing, there is nothing to raise, or it is being raised already.
    pub fn begin_raise(&mut self, scope: Scope, by: &str, reason: &str) -> Result<Raise, RaiseError> {
        let from = self.may_raise(scope, by, reason)?;
        self.raises += 1;
        self.raising.insert(scope, self.raises);
        let cause = format!("raised by {by}: {reason}");
        Ok(Raise { serial: self.raises, transition: Transition { scope, from, to: Mode::Normal, cause } })
    }

    /// Whether that person may raise it; gives the mode that it is in.
    ///
    /// # Errors
    /// As [`Self::begin_raise`].
    pub fn may_raise(&self, scope: Scope, by: &str, reason: &str) -> Result<Mode, RaiseError> {
        let missing = if by.trim().is_empty() { Some("no name") } else { reason.trim().is_empty().then_some("no reason") };
        if let Some(found) = missing.filter(|_| !mutants::on(Mutant::RaisedByNobody)) {
            return Err(RaiseError::Unnamed { scope, found });
        }
        let from = self.modes.of(scope);
        if from == Mode::Normal {
            return Err(RaiseError::NotLower { scope, mode: from });
        }
        if self.raising.contains_key(&scope) {
            return Err(RaiseError::UnderWay { scope });
        }
        Ok(from)
    }

    /// The row of a raise is durable. False when the scope was lowered meanwhile: that stands.
    pub fn finish_raise(&mut self, now: Timestamp, raise: &Raise) -> bool {
        let Transition { scope, to, cause, .. } = &raise.transition;
        if !self.drop_raise(raise) {
            return false;
        }
        self.modes.set(*scope, *to, cause, now);
        self.faults.retain(|(faulty, _), _| faulty != scope);
        true
    }

    /// The row of a raise was not taken: everything stays as it is. False when the scope was lowered meanwhile.
    pub fn drop_raise(&mut self, raise: &Raise) -> bool {
        let scope = raise.transition.scope;
        let written = self.raising.get(&scope) == Some(&raise.serial);
        if written {
            self.raising.remove(&scope);
        }
        written
    }
}

#[cfg(test)]
pub(crate) mod tests {
    use super::*;

    fn at(seconds: i64) -> Timestamp {
        Timestamp::from_millis(seconds * 1000)
    }

    fn account(name: &str) -> AccountId {
        AccountId::new(name).unwrap()
    }

    fn ladder() -> Ladder {
        let budget = FaultBudget { intensity: 2, period: Duration::from_secs(60), then: Mode::Halted };
        Ladder::new(BTreeMap::from([(FaultClass::Panic, budget)]), ModeTable::default())
    }

    #[test]
    fn a_budget_that_is_used_up_again_goes_a_rung_further_down_and_each_kind_of_scope_has_its_own() {
        let budget = |then| FaultBudget { intensity: 1, period: Duration::from_secs(60), then };
        let mut budgets = FaultBudgets::from(BTreeMap::from([(FaultClass::VenueReject, budget(Mode::ReduceOnly))]));
        budgets.of_scope.insert((ScopeKind::Account, FaultClass::VenueReject), budget(Mode::CancelOnly));
        let mut ladder = Ladder::new(budgets, ModeTable::default());
        let (strategy, a) = (Scope::Strategy(StrategyId::new("s").unwrap()), Scope::Account(account("a")));
        let mut modes = |scope, second| ladder.fault(at(second), scope, FaultClass::VenueReject, "x").map(|transition| transition.to);
        let found: Vec<_> = (0..8).map(|second| modes(strategy, second)).collect();
        let rungs = [Mode::ReduceOnly, Mode::CancelOnly, Mode::Halted].map(Some);
        assert_eq!(found, [None, rungs[0], None, rungs[1], None, rungs[2], None, None], "and no further");
        assert_eq!([modes(a, 10), modes(a, 11)], [None, Some(Mode::CancelOnly)]);
    }

    #[test]
    pub(crate) fn a_budget_halts_its_scope_one_past_the_limit_and_no_other() {
        let mut ladder = ladder();
        let a = Scope::Account(account("a"));
        assert_eq!(ladder.fault(at(0), a, FaultClass::Panic, "x"), None);
        assert_eq!(ladder.fault(at(1), a, FaultClass::Panic, "x"), None);
        let transition = ladder.fault(at(2), a, FaultClass::Panic, "x").unwrap();
        assert_eq!((transition.scope, transition.to), (a, Mode::Halted));
        assert_eq!(ladder.modes().account(account("a")), Mode::Halted);
        assert_eq!(ladder.modes().account(account("b")), Mode::Normal);
    }

    #[test]
    fn faults_older_than_the_period_are_forgiven() {
        let mut ladder = ladder();
        for second in [0, 61, 122, 183] {
            assert_eq!(ladder.fault(at(second), Scope::Global, FaultClass::Panic, "x"), None);
        }
    }

    #[test]
    fn one_invariant_or_storage_fault_halts_everything() {
        for class in [FaultClass::Invariant, FaultClass::Storage] {
            let mut ladder = ladder();
            let transition = ladder.fault(at(0), Scope::Account(account("a")), class, "x").unwrap();
            assert_eq!((transition.scope, transition.to), (Scope::Global, Mode::Halted));
        }
    }

    #[test]
    fn a_class_without_a_configured_budget_has_none() {
        assert!(ladder().fault(at(0), Scope::Global, FaultClass::Data, "x").is_some());
    }

    #[test]
    pub(crate) fn down_is_automatic_and_up_needs_a_name_and_a_reason() {
        let mut ladder = ladder();
        assert!(ladder.lower(at(0), Scope::Global, Mode::CancelOnly, "why").is_some());
        assert_eq!(ladder.lower(at(0), Scope::Global, Mode::ReduceOnly, "why"), None);
        assert!(ladder.begin_raise(Scope::Global, " ", "fixed").is_err());
        assert!(ladder.begin_raise(Scope::Global, "ada", "").is_err());
        let raise = ladder.begin_raise(Scope::Global, "ada", "fixed").unwrap();
        assert_eq!(ladder.modes().of(Scope::Global), Mode::CancelOnly, "not before it is durable");
        assert_eq!(ladder.begin_raise(Scope::Global, "ada", "fixed"), Err(RaiseError::UnderWay { scope: Scope::Global }));
        assert!(ladder.finish_raise(at(1), &raise));
        assert!(ladder.begin_raise(Scope::Global, "ada", "fixed").is_err());
        assert_eq!(ladder.modes(), &ModeTable::default());
    }

    #[test]
    fn whatever_lowers_a_scope_while_its_raise_is_written_overtakes_it() {
        let mut ladder = ladder();
        ladder.lower(at(0), Scope::Global, Mode::Halted, "why");
        let first = ladder.begin_raise(Scope::Global, "ada", "fixed").unwrap();
        let again = ladder.lower(at(1), Scope::Global, Mode::ReduceOnly, "again").unwrap();
        assert_eq!((again.from, again.to), (Mode::Normal, Mode::Halted), "the raise's row is answered by one of its own");
        let second = ladder.begin_raise(Scope::Global, "ada", "fixed").unwrap();
        assert!(!ladder.finish_raise(at(2), &first), "the second one's row is not durable yet");
        assert_eq!(ladder.modes().of(Scope::Global), Mode::Halted);
        assert!(ladder.drop_raise(&second) && !ladder.finish_raise(at(3), &second));
        assert_eq!(ladder.modes().of(Scope::Global), Mode::Halted, "a row that was refused raises nothing");
    }

    #[test]
    fn the_strictest_scope_of_an_order_counts() {
        let mut ladder = ladder();
        let symbol = Symbol::new("BTCUSDT").unwrap();
        let strategy = StrategyId::new("s").unwrap();
        ladder.lower(at(0), Scope::Symbol(symbol), Mode::ReduceOnly, "x");
        ladder.lower(at(0), Scope::Strategy(strategy), Mode::CancelOnly, "x");
        let effective = ladder.modes().effective(account("a"), Some(strategy), symbol);
        assert_eq!(effective, (Mode::CancelOnly, Scope::Strategy(strategy)));
        assert_eq!(ladder.modes().effective(account("a"), None, symbol).0, Mode::ReduceOnly);
    }
}
