//! The limits of what may be lost and of how much may be sent, as `[risk]` has them: which keys there are, their ranges, and the
//! values that stand where a file says nothing, so that no such limit is ever missing. How they are layered is `shape`'s.

use std::time::Duration;

use rust_decimal::Decimal;
use strum::{Display, EnumString, VariantNames};

use crate::domain::money::{Money, Ratio};
use crate::domain::risk::limits::{AbnormalMarket, Halts, HardLimits, MessageRate, OrderToTrade, PeriodCollar};

use super::reader::Section;
use super::shape::Rate;

/// What a drawdown halts.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, EnumString, VariantNames, Display)]
#[strum(serialize_all = "snake_case")]
pub enum DrawdownHalts {
    #[default]
    Account,
    Everything,
}

/// One layer of them: the defaults have all, an account's or a symbol's own only what differs.
#[derive(Debug, Clone, Copy, PartialEq, Default)]
pub struct Hard {
    pub price_collar_over_period: Option<Ratio>,
    pub max_spread: Option<Ratio>,
    pub max_jump: Option<Ratio>,
    pub min_liquidation_distance: Option<Ratio>,
    pub margin_floor: Option<Ratio>,
    pub max_risk_per_trade: Option<Ratio>,
    pub max_risk_total: Option<Ratio>,
    pub max_day_drawdown: Option<Ratio>,
    pub max_drawdown: Option<Ratio>,
    pub max_consecutive_rejects: Option<u32>,
    pub max_consecutive_losses: Option<u32>,
}

/// What stands once in `[risk]`.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct HardOnce {
    pub price_collar_period: Duration,
    pub jump_period: Duration,
    /// So many abnormal moments halt the symbol.
    pub abnormal_limit: Rate,
    pub order_to_trade: OrderToTrade,
    pub drawdown_halts: DrawdownHalts,
    pub max_firm_messages: Rate,
    /// Of each strategy without a value of its own.
    pub max_strategy_messages: Rate,
    pub max_executions: Rate,
    pub max_repeated_executions: u64,
}

/// A strategy's own.
#[derive(Debug, Clone, Copy, PartialEq, Default)]
pub struct StrategyOwn {
    pub max_order_value: Option<Money>,
    pub max_messages: Option<Rate>,
    pub max_executions: Option<Rate>,
    pub max_repeated_executions: Option<u64>,
}

const SHARE: &str = "a ratio above \"0\" and up to \"1\", in quotes";
const FLOOR: &str = "a ratio from \"0\" to \"1\", in quotes";
const COUNT: &str = "a whole number of at least 1";
const SOME_TIME: &str = "a time above zero such as \"500ms\" or \"15s\"";

fn percent(hundredths: i64) -> Ratio {
    Ratio(Decimal::new(hundredths, 2))
}

const fn rate(count: u32, seconds: u64) -> Rate {
    Rate { count, period: Duration::from_secs(seconds) }
}

fn is_share(ratio: &Ratio) -> bool {
    ratio.is_positive() && ratio.0 <= Decimal::ONE
}

fn is_floor(ratio: &Ratio) -> bool {
    !ratio.is_negative() && ratio.0 <= Decimal::ONE
}

/// The layer for everything: each key that is not there has its value all the same.
pub fn defaults(section: &mut Section<'_>) -> Hard {
    let mut share = |name: &'static str, hundredths: i64| Some(section.key(name).that(SHARE, is_share).or(percent(hundredths)));
    let mut hard = Hard {
        price_collar_over_period: share("price_collar_over_period", 5),
        max_spread: share("max_spread", 2),
        max_jump: share("max_jump", 5),
        min_liquidation_distance: share("min_liquidation_distance", 3),
        max_risk_per_trade: share("max_risk_per_trade", 3),
        max_risk_total: share("max_risk_total", 20),
        max_day_drawdown: share("max_day_drawdown", 10),
        max_drawdown: share("max_drawdown", 30),
        ..Hard::default()
    };
    hard.margin_floor = Some(section.key("margin_floor").that(FLOOR, is_floor).or(percent(5)));
    hard.max_consecutive_rejects = Some(section.key("max_consecutive_rejects").that(COUNT, |count: &u32| *count > 0).or(10));
    hard.max_consecutive_losses = Some(section.key("max_consecutive_losses").that(COUNT, |count: &u32| *count > 0).or(100));
    hard
}

/// What differs on a symbol.
pub fn of_symbol(section: &mut Section<'_>) -> Hard {
    let mut share = |name: &'static str| section.key(name).that(SHARE, is_share).optional();
    Hard {
        price_collar_over_period: share("price_collar_over_period"),
        max_spread: share("max_spread"),
        max_jump: share("max_jump"),
        min_liquidation_distance: share("min_liquidation_distance"),
        ..Hard::default()
    }
}

/// What differs on an account.
pub fn of_account(section: &mut Section<'_>) -> Hard {
    let mut share = |name: &'static str| section.key(name).that(SHARE, is_share).optional();
    let mut hard = Hard {
        min_liquidation_distance: share("min_liquidation_distance"),
        max_risk_per_trade: share("max_risk_per_trade"),
        max_risk_total: share("max_risk_total"),
        max_day_drawdown: share("max_day_drawdown"),
        max_drawdown: share("max_drawdown"),
        ..Hard::default()
    };
    hard.margin_floor = section.key("margin_floor").that(FLOOR, is_floor).optional();
    hard.max_consecutive_rejects = section.key("max_consecutive_rejects").that(COUNT, |count: &u32| *count > 0).optional();
    hard.max_consecutive_losses = section.key("max_consecutive_losses").that(COUNT, |count: &u32| *count > 0).optional();
    hard
}

/// What stands once.
pub fn once(section: &mut Section<'_>, rated: fn(Section<'_>) -> Option<Rate>) -> HardOnce {
    let mut limit = |name: &'static str, default: Rate| rated(section.section(name)).unwrap_or(default);
    let abnormal_limit = limit("abnormal_limit", rate(5, 600));
    let max_firm_messages = limit("max_firm_messages", rate(500, 1));
    let max_strategy_messages = limit("max_strategy_messages", rate(150, 1));
    let max_executions = limit("max_executions", rate(600, 60));
    HardOnce {
        price_collar_period: section
            .key("price_collar_period")
            .that(SOME_TIME, |time: &Duration| !time.is_zero())
            .or(Duration::from_secs(300)),
        jump_period: section.key("jump_period").that(SOME_TIME, |time: &Duration| !time.is_zero()).or(Duration::from_secs(10)),
        abnormal_limit,
        order_to_trade: OrderToTrade {
            max_ratio: section.key("max_order_to_trade").that(COUNT, |ratio: &u32| *ratio > 0).or(500),
            free_messages: section.key("order_to_trade_free").or(10_000),
        },
        drawdown_halts: section.key("drawdown_halts").or(DrawdownHalts::Account),
        max_firm_messages,
        max_strategy_messages,
        max_executions,
        max_repeated_executions: section.key("max_repeated_executions").that(COUNT, |count: &u64| *count > 0).or(1_000_000),
    }
}

/// What differs for a strategy.
pub fn of_strategy(section: &mut Section<'_>, rated: fn(Section<'_>) -> Option<Rate>) -> StrategyOwn {
    let amount = "an amount above zero in quotes such as \"1000\"";
    StrategyOwn {
        max_order_value: section.key("max_order_value").that(amount, |most: &Money| most.is_positive()).optional(),
        max_messages: rated(section.section("max_messages")),
        max_executions: rated(section.section("max_executions")),
        max_repeated_executions: section.key("max_repeated_executions").that(COUNT, |count: &u64| *count > 0).optional(),
    }
}

impl From<DrawdownHalts> for Halts {
    fn from(halts: DrawdownHalts) -> Self {
        match halts {
            DrawdownHalts::Account => Self::Account,
            DrawdownHalts::Everything => Self::Everything,
        }
    }
}

pub fn message_rate(rate: Rate) -> MessageRate {
    MessageRate { count: rate.count, period: rate.period }
}

impl Hard {
    /// Its own values before those of `other`.
    #[must_use]
    pub fn over(self, other: Self) -> Self {
        Self {
            price_collar_over_period: self.price_collar_over_period.or(other.price_collar_over_period),
            max_spread: self.max_spread.or(other.max_spread),
            max_jump: self.max_jump.or(other.max_jump),
            min_liquidation_distance: self.min_liquidation_distance.or(other.min_liquidation_distance),
            margin_floor: self.margin_floor.or(other.margin_floor),
            max_risk_per_trade: self.max_risk_per_trade.or(other.max_risk_per_trade),
            max_risk_total: self.max_risk_total.or(other.max_risk_total),
            max_day_drawdown: self.max_day_drawdown.or(other.max_day_drawdown),
            max_drawdown: self.max_drawdown.or(other.max_drawdown),
            max_consecutive_rejects: self.max_consecutive_rejects.or(other.max_consecutive_rejects),
            max_consecutive_losses: self.max_consecutive_losses.or(other.max_consecutive_losses),
        }
    }

    #[must_use]
    pub fn of_losses(&self) -> HardLimits {
        HardLimits {
            margin_floor: self.margin_floor,
            max_risk_per_trade: self.max_risk_per_trade,
            max_risk_total: self.max_risk_total,
            max_drawdown_day: self.max_day_drawdown,
            max_drawdown: self.max_drawdown,
            max_consecutive_rejects: self.max_consecutive_rejects,
            max_consecutive_losses: self.max_consecutive_losses,
        }
    }

    #[must_use]
    pub fn collar(&self, once: &HardOnce) -> Option<PeriodCollar> {
        self.price_collar_over_period.map(|distance| PeriodCollar { distance, period: once.price_collar_period })
    }

    #[must_use]
    pub fn abnormal(&self, once: &HardOnce) -> Option<AbnormalMarket> {
        let (max_spread, max_jump) = (self.max_spread?, self.max_jump?);
        Some(AbnormalMarket { max_spread, max_jump, jump_period: once.jump_period, halt_after: message_rate(once.abnormal_limit) })
    }
}
