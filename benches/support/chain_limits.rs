//! Limits for the bench of the decision chain: every control is asked, and none of them says no.

use std::collections::BTreeMap;
use std::time::Duration;

use ringfence::domain::ids::{AccountId, StrategyId};
use ringfence::domain::instrument::Instrument;
use ringfence::domain::money::{Money, Quantity, Ratio};
use ringfence::domain::risk::limits::{
    AbnormalMarket, AccountLimits, HardLimits, MessageRate, OrderToTrade, PeriodCollar, RiskLimits, StrategyLimits, SymbolLimits,
};

/// Every limit there is, with room for a thousand orders a second.
pub fn limits(instruments: &[Instrument], accounts: &[AccountId], strategy_id: StrategyId) -> RiskLimits {
    let much = Some(Money(10_000_000.into()));
    let symbol = SymbolLimits {
        price_collar: Some(Ratio("0.05".parse().expect("a number"))),
        max_order_value: much,
        max_order_quantity: Some(Quantity(1_000.into())),
        max_position_value: much,
        duplicate_window: Some(Duration::from_micros(1)),
        stale_after: Some(Duration::from_secs(5)),
        period_collar: Some(PeriodCollar { distance: Ratio("0.2".parse().expect("a number")), period: Duration::from_secs(300) }),
        abnormal: Some(AbnormalMarket {
            max_spread: Ratio("0.05".parse().expect("a number")),
            max_jump: Ratio("0.2".parse().expect("a number")),
            jump_period: Duration::from_secs(10),
            halt_after: MessageRate { count: 5, period: Duration::from_secs(600) },
        }),
        min_liquidation_distance: Some(Ratio("0.03".parse().expect("a number"))),
    };
    let share = |text: &str| Some(Ratio(text.parse().expect("a number")));
    let often = MessageRate { count: 15_000, period: Duration::from_secs(1) };
    let account = AccountLimits {
        max_messages: Some(MessageRate { count: 5_000, period: Duration::from_secs(1) }),
        max_daily_loss: much,
        order_to_trade: Some(OrderToTrade { max_ratio: 1_000_000, free_messages: 1_000_000 }),
        hard: HardLimits {
            margin_floor: share("0.01"),
            max_risk_per_trade: share("0.5"),
            max_risk_total: share("0.9"),
            max_drawdown_day: share("0.9"),
            max_drawdown: share("0.9"),
            max_consecutive_rejects: Some(10),
            max_consecutive_losses: Some(1_000_000),
        },
        leverage: Some(10),
        symbols: instruments.iter().map(|instrument| (instrument.symbol, symbol)).collect(),
        ..AccountLimits::default()
    };
    let strategy = StrategyLimits {
        accounts: accounts.iter().copied().collect(),
        symbols: instruments.iter().map(|instrument| instrument.symbol).collect(),
        max_messages: Some(often),
        max_executions: Some(often),
        max_repeated_executions: Some(1 << 40),
        ..StrategyLimits::default()
    };
    RiskLimits {
        max_capital: much,
        max_messages: Some(often),
        strategies: BTreeMap::from([(strategy_id, strategy)]),
        accounts: accounts.iter().map(|id| (*id, account.clone())).collect(),
        instruments: instruments.iter().map(|instrument| (instrument.symbol, instrument.clone())).collect(),
        ..RiskLimits::default()
    }
}
