//! The names of children, as they stand in the tree, in status pages and in operators' commands.

use crate::domain::ids::{AccountId, StrategyId, Symbol};
use crate::domain::mode::Scope;
use crate::domain::restart::ChildName;
use crate::messages::boards::Feeds;

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

/// The same for a child that serves several scopes: a feed its symbols. A venue whose market cannot be heard is nobody else's matter.
#[must_use]
pub fn scopes_of(child: &str, feeds: &Feeds) -> Vec<Scope> {
    let inner = child.strip_prefix("guard/").unwrap_or(child);
    let number = inner.strip_prefix("feed/").and_then(|rest| rest.rsplit('/').next()).and_then(|number| number.parse().ok());
    let symbols = number.map(|number| feeds.symbols(number)).unwrap_or_default();
    if symbols.is_empty() { vec![scope_of(child)] } else { symbols.into_iter().map(Scope::Symbol).collect() }
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

    #[test]
    fn a_fault_of_a_feed_covers_the_symbols_that_it_brings_and_no_other_venues() {
        let [btc, eth, sol] = ["BTCUSDT", "ETHUSDT", "SOLUSDT"].map(|name| Symbol::new(name).unwrap());
        let feeds = Feeds::default();
        feeds.set(vec![vec![btc, eth], vec![sol]]);
        let of = |child: &str| scopes_of(child, &feeds);
        assert_eq!(of(feed(0).as_str()), [Scope::Symbol(btc), Scope::Symbol(eth)]);
        assert_eq!(of(guard(&feed(1)).as_str()), [Scope::Symbol(sol)]);
        assert_eq!(of(feed(2).as_str()), [Scope::Global], "whatever it brings");
        assert_eq!(of("risk_manager"), [Scope::Global]);
    }
}
