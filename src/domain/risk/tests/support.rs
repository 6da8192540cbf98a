//! For tests of machines that need a real approval.

use super::*;

pub(crate) fn equity() -> Money {
    "1000000".parse().unwrap()
}

pub(crate) fn peaks() -> EquityPeaks {
    EquityPeaks { utc_day: 0, day: equity(), ever: equity() }
}

/// Limits that stop nothing of strategy `s` at prices around 100.
pub(crate) fn wide_limits(account: AccountId, symbol: Symbol) -> RiskLimits {
    let (wide, often): (Option<Money>, _) =
        (Some("1000000".parse().unwrap()), MessageRate { count: 1_000_000, period: Duration::from_secs(10) });
    let symbol_limits = SymbolLimits {
        max_order_value: wide,
        max_order_quantity: Some("1000".parse().unwrap()),
        max_position_value: wide,
        ..symbol_limits()
    };
    let account_limits = AccountLimits {
        max_messages: Some(often),
        max_daily_loss: wide,
        order_to_trade: Some(OrderToTrade { max_ratio: 1_000_000, free_messages: 1_000_000 }),
        hard: hard(),
        symbols: BTreeMap::from([(symbol, symbol_limits)]),
        ..AccountLimits::default()
    };
    let strategy_limits = StrategyLimits {
        accounts: BTreeSet::from([account]),
        symbols: BTreeSet::from([symbol]),
        max_messages: Some(often),
        max_executions: Some(often),
        max_repeated_executions: Some(1_000_000),
        ..StrategyLimits::default()
    };
    let instrument = Instrument { symbol, ..instrument() };
    RiskLimits {
        max_capital: wide,
        max_messages: Some(often),
        accounts: BTreeMap::from([(account, account_limits)]),
        strategies: BTreeMap::from([(strategy(), strategy_limits)]),
        instruments: BTreeMap::from([(symbol, instrument)]),
        ..RiskLimits::default()
    }
}
