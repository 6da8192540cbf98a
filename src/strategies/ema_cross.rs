//! Two exponential averages of the closes: long while the fast one is above the slow one, short while it is below; on spot,
//! flat instead of short. It flips at market with **one** order of the position plus the new target. It holds no opinion on
//! price and knows no stop.
//!
//! It acts on where the averages stand, not on the moment of the cross, so a refused flip is tried again with a later bar,
//! and a restart neither doubles a position nor misses a cross that happened while it was away.

use std::collections::{BTreeMap, BTreeSet};

use serde::{Deserialize, Serialize};

use crate::domain::ids::{AccountId, Symbol};
use crate::domain::indicators::{Bar, Ema, Indicator};
use crate::domain::instrument::{Instrument, InstrumentKind};
use crate::domain::market_data::Candle;
use crate::domain::money::{Money, Price, Quantity};
use crate::domain::order::Side;

use super::patience::Patience;
use super::{Configured, Desk, Draft, Interest, Problem, Recovered, Strategy, StrategyInput};

/// History for the averages: after four spans the seed weighs e⁻⁸, 0.03 %.
const WARM_UP_SPANS: usize = 4;

/// The longest span: a warm-up of 4,000 bars is about what venues give as history in a few requests.
const SPAN_MAX: usize = 1_000;

#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct Settings {
    /// Spans in bars.
    pub fast: usize,
    pub slow: usize,
    /// What a position is worth when it is opened, in quote currency. A value below one lot buys nothing.
    pub order_value: Money,
    /// Take the averages' side with the first live bar, instead of waiting for the first cross.
    pub open_at_start: bool,
}

impl Default for Settings {
    fn default() -> Self {
        Self { fast: 12, slow: 26, order_value: Money(rust_decimal::Decimal::ONE_THOUSAND), open_at_start: false }
    }
}

/// One symbol's averages.
#[derive(Debug, Clone)]
struct Averages {
    fast: Ema,
    slow: Ema,
    /// Where the fast one stands; kept while they are equal, `None` before both are warm.
    side: Option<Side>,
    /// Whether a flat account may open: from the first live cross on.
    armed: bool,
}

impl Averages {
    fn push(&mut self, candle: &Candle) -> Option<Side> {
        let close = Bar::from(candle).close;
        let (fast, slow) = (self.fast.push(close), self.slow.push(close));
        match (fast?, slow?) {
            (fast, slow) if fast > slow => Some(Side::Buy),
            (fast, slow) if fast < slow => Some(Side::Sell),
            _ => self.side,
        }
    }
}

#[derive(Debug)]
pub struct EmaCross {
    settings: Settings,
    symbols: BTreeMap<Symbol, Averages>,
    /// Where risk refused a flip: the next order there only closes, which is admitted in more modes than opening is.
    close_first: BTreeSet<(AccountId, Symbol)>,
    patience: Patience,
}

impl Configured for EmaCross {
    const KIND: &'static str = "ema_cross";
    const DESCRIPTION: &'static str = "flips the position at market whenever a fast and a slow exponential average cross";
    type Settings = Settings;

    fn validate(settings: &Settings) -> Vec<Problem> {
        let mut problems = Vec::new();
        let mut check = |path: &str, holds: bool, expected: &str, found: String| {
            if !holds {
                problems.push((path.to_owned(), format!("expected {expected}, found {found}")));
            }
        };
        let Settings { fast, slow, order_value, .. } = settings;
        check("fast", (1..=SPAN_MAX).contains(fast), "a span of 1 to 1000 bars", fast.to_string());
        check("slow", (2..=SPAN_MAX).contains(slow), "a span of 2 to 1000 bars", slow.to_string());
        check("slow", slow > fast, &format!("a span longer than fast ({fast})"), slow.to_string());
        check("order_value", order_value.is_positive(), "an amount above \"0\"", order_value.to_string());
        problems
    }

    fn new(settings: Settings) -> Self {
        Self { settings, symbols: BTreeMap::new(), close_first: BTreeSet::new(), patience: Patience::default() }
    }
}

impl Strategy for EmaCross {
    fn interest(&self) -> Interest {
        Interest { market_updates: false, warm_up_bars: self.settings.slow * WARM_UP_SPANS }
    }

    fn on(&mut self, input: StrategyInput<'_>, desk: &mut Desk<'_>) {
        match input {
            StrategyInput::Bar { symbol, candle, warming } => self.on_bar(symbol, candle, warming, desk),
            StrategyInput::Refused(refusal) => {
                self.close_first.insert((refusal.account, refusal.symbol));
                self.patience.refused(refusal.account, refusal.symbol, desk.now());
            }
            StrategyInput::Report(report) => self.patience.reported(report, desk.now()),
            _ => {}
        }
    }

    /// What was refused while the account was held back is no reason to wait, nor to close before opening.
    fn recovered(&mut self, recovered: &Recovered<'_>, _desk: &mut Desk<'_>) {
        self.patience.recovered(recovered.account);
        self.close_first.retain(|(account, _)| *account != recovered.account);
    }
}

impl EmaCross {
    fn on_bar(&mut self, symbol: Symbol, candle: &Candle, warming: bool, desk: &mut Desk<'_>) {
        let Settings { fast, slow, open_at_start, .. } = self.settings;
        let averages = self.symbols.entry(symbol).or_insert_with(|| Averages {
            fast: Ema::new(fast),
            slow: Ema::new(slow),
            side: None,
            armed: open_at_start,
        });
        let Some(side) = averages.push(candle) else { return };
        let crossed = averages.side.replace(side).is_some_and(|before| before != side);
        if warming {
            return;
        }
        averages.armed |= crossed;
        let armed = averages.armed;
        for account in desk.accounts().iter() {
            self.align(*account, symbol, side, armed, candle.close, desk);
        }
    }

    /// Brings one account onto the averages' side, if it is not there, nothing is on its way and no refusal is fresh.
    fn align(&mut self, account: AccountId, symbol: Symbol, side: Side, armed: bool, close: Price, desk: &mut Desk<'_>) {
        let position = desk.position(account, symbol);
        let aligned = side.signed(position).is_positive() || (position.is_zero() && !armed);
        let busy = !desk.working(account, symbol).is_empty() || !self.patience.is_over(account, symbol, desk.now());
        if aligned || busy {
            return;
        }
        let Some(instrument) = desk.instrument(symbol) else { return };
        let price = desk.market(symbol).and_then(|market| market.reference()).unwrap_or(close);
        let close_only = self.close_first.remove(&(account, symbol)) && !position.is_zero();
        let target = if close_only { Quantity::ZERO } else { target(instrument, side, self.settings.order_value, price) };
        // A position from before the venue's steps became coarser stands between two of them.
        let quantity = instrument.quantity_down(position.abs() + target);
        if quantity.is_zero() {
            return;
        }
        let reason = if side == Side::Buy { "cross_up" } else { "cross_down" };
        let draft = Draft::market(account, symbol, side, quantity, reason);
        desk.propose(if target.is_zero() { draft.reducing() } else { draft });
    }
}

/// The unsigned size to hold on that side: never short on spot.
fn target(instrument: &Instrument, side: Side, value: Money, price: Price) -> Quantity {
    if instrument.kind == InstrumentKind::Spot && side == Side::Sell {
        return Quantity::ZERO;
    }
    instrument.quantity_worth(value, price)
}

#[cfg(test)]
mod tests;
