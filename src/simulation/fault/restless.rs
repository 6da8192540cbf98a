//! A strategy for the simulation: it opens, rests, cancels and closes without a reason, out of a seed of its own, so that every
//! path of an order is walked often. It behaves, as a strategy should; those that do not are the fault plan's.

use std::time::Duration;

use rust_decimal::Decimal;
use serde::{Deserialize, Serialize};

use super::Random;
use crate::domain::ids::{AccountId, Symbol};
use crate::domain::money::{Price, Quantity};
use crate::domain::order::{OrderKind, Side, TimeInForce};
use crate::domain::time::Timestamp;
use crate::strategies::{Configured, Desk, Draft, Interest, Problem, Strategy, StrategyInput};

/// Of one account's orders on a symbol: more would wait for their turn only.
const WORKING_MAX: usize = 3;

#[derive(Debug, Clone, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct RestlessSettings {
    pub seed: u64,
    /// Between two whims, on average.
    pub every_ms: u64,
}

impl Default for RestlessSettings {
    fn default() -> Self {
        Self { seed: 1, every_ms: 800 }
    }
}

pub struct Restless {
    random: Random,
    every_ms: u64,
    next: Timestamp,
}

impl Configured for Restless {
    const KIND: &'static str = "restless";
    const DESCRIPTION: &'static str = "opens, rests, cancels and closes out of a seed (for the fault simulation)";
    type Settings = RestlessSettings;

    fn validate(settings: &RestlessSettings) -> Vec<Problem> {
        let wrong = (settings.every_ms == 0).then(|| ("every_ms".to_owned(), "expected at least 1, found 0".to_owned()));
        wrong.into_iter().collect()
    }

    fn new(settings: RestlessSettings) -> Self {
        Self { random: Random::new(settings.seed), every_ms: settings.every_ms, next: Timestamp::ZERO }
    }
}

impl Strategy for Restless {
    fn interest(&self) -> Interest {
        Interest { market_updates: true, warm_up_bars: 5 }
    }

    fn on(&mut self, input: StrategyInput<'_>, desk: &mut Desk<'_>) {
        if !matches!(input, StrategyInput::Market(_) | StrategyInput::Wake) || desk.now() < self.next {
            return;
        }
        let wait = self.random.between(self.every_ms / 2, self.every_ms * 3 / 2);
        self.next = desk.now() + Duration::from_millis(wait);
        let (accounts, symbols) = (desk.accounts(), desk.symbols());
        let (Some(account), Some(symbol)) = (self.random.pick(&accounts).copied(), self.random.pick(&symbols).copied()) else { return };
        self.whim(account, symbol, desk);
    }
}

impl Restless {
    fn whim(&mut self, account: AccountId, symbol: Symbol, desk: &mut Desk<'_>) {
        let working: Vec<_> = desk.working(account, symbol).iter().map(|order| order.intent).collect();
        if working.len() >= WORKING_MAX || (!working.is_empty() && self.random.chance(300_000)) {
            if let Some(intent) = self.random.pick(&working) {
                desk.cancel(account, symbol, *intent, "a whim");
            }
            return;
        }
        let held = desk.position(account, symbol);
        if !held.is_zero() && self.random.chance(350_000) {
            let side = if held.is_positive() { Side::Sell } else { Side::Buy };
            desk.propose(Draft::market(account, symbol, side, held.abs(), "away").reducing());
            return;
        }
        if self.random.chance(50_000) {
            let leverage = u8::try_from(self.random.between(3, 10)).unwrap_or(5);
            return desk.set_leverage(account, symbol, leverage);
        }
        if let Some(draft) = self.entry(account, symbol, desk) {
            desk.propose(draft);
        }
    }

    /// Worth some hundred USD, at the market or some ticks from the touch.
    fn entry(&mut self, account: AccountId, symbol: Symbol, desk: &Desk<'_>) -> Option<Draft> {
        let (instrument, view) = (desk.instrument(symbol)?, desk.market(symbol)?);
        let side = if self.random.below(2) == 0 { Side::Buy } else { Side::Sell };
        let (touch, _) = if side == Side::Buy { view.bid? } else { view.ask? };
        let worth = crate::domain::money::Money(Decimal::from(self.random.between(200, 1_500)));
        let quantity: Quantity = instrument.quantity_worth(worth, touch);
        if quantity < instrument.min_quantity || quantity.is_zero() {
            return None;
        }
        let draft = Draft::market(account, symbol, side, quantity, "a whim");
        if self.random.chance(300_000) {
            return Some(draft);
        }
        let away = instrument.price_step.0 * Decimal::from(self.random.between(0, 6));
        let price = Price(if side == Side::Buy { touch.0 - away } else { touch.0 + away });
        let time_in_force = if self.random.chance(200_000) { TimeInForce::ImmediateOrCancel } else { TimeInForce::GoodTilCanceled };
        Some(Draft { time_in_force, ..draft.of_kind(OrderKind::Limit { price }) })
    }
}
