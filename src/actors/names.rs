//! The names of children, as they stand in the tree, in status pages and in operators' commands.

use crate::domain::ids::{AccountId, StrategyId, Symbol};
use crate::domain::mode::Scope;
use crate::domain::restart::ChildName;

fn name(text: &str) -> ChildName {
    // Invariant: ids have only characters that a child name allows, and stay within its length.
    ChildName::new(text).expect("a name made of ids is a child name")
}

#[must_use]
pub fn risk_manager() -> ChildName {
    name("risk_manager")
}

#[must_use]
pub fn kill_switch() -> ChildName {
    name("kill_switch")
}

#[must_use]
pub fn executor(account: AccountId) -> ChildName {
    name(&format!("executor/{account}"))
}

/// An account's stream of the venue's words.
#[must_use]
pub fn stream(account: AccountId) -> ChildName {
    name(&format!("stream/{account}"))
}

#[must_use]
pub fn market(symbol: Symbol) -> ChildName {
    name(&format!("market/{symbol}"))
}

#[must_use]
pub fn feed(number: usize) -> ChildName {
    name(&format!("feed/embedded/{number}"))
}

#[must_use]
pub fn strategy(strategy: StrategyId) -> ChildName {
    name(&format!("strategy/{strategy}"))
}

/// A child with a plain name: a service or a supervisor.
#[must_use]
pub fn plain(text: &'static str) -> ChildName {
    name(text)
}

/// The supervisor that stands around one child, so that its faults are charged to it alone.
#[must_use]
pub fn guard(child: &ChildName) -> ChildName {
    name(&format!("guard/{child}"))
}

/// What a fault of that child or of its guard covers: an executor its account, a strategy itself, a market its symbol,
/// anything else everything.
#[must_use]
pub fn scope_of(child: &str) -> Scope {
    let child = child.strip_prefix("guard/").unwrap_or(child);
    let scope = match child.split_once('/') {
        Some(("executor" | "stream", account)) => account.parse().ok().map(Scope::Account),
        Some(("strategy", strategy)) => strategy.parse().ok().map(Scope::Strategy),
        Some(("market", symbol)) => symbol.parse().ok().map(Scope::Symbol),
        _ => None,
    };
    scope.unwrap_or(Scope::Global)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_fault_covers_what_its_child_serves_and_everything_when_that_is_unknown() {
        let account = AccountId::new("alpha").unwrap();
        assert_eq!(scope_of("executor/alpha"), Scope::Account(account));
        assert_eq!(scope_of(guard(&executor(account)).as_str()), Scope::Account(account));
        assert_eq!(scope_of("market/BTCUSDT"), Scope::Symbol(Symbol::new("BTCUSDT").unwrap()));
        assert_eq!(scope_of("risk_manager"), Scope::Global);
        assert_eq!(scope_of("executor/NOT AN ID"), Scope::Global);
    }
}
