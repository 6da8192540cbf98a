//! What a position ties up and where it would be liquidated, by the venue's maintenance brackets. Arithmetic only: what it means
//! for an order, `hard` says. Everything that is not known is taken at its worst: no leverage is leverage one, no brackets are
//! the careful ones.

use rust_decimal::Decimal;

use super::super::money::{Money, Price, Quantity, Ratio};
use super::super::order::Side;

/// One step of a venue's maintenance margin: up to `notional_cap` it is `notional × rate − cumulative`.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Bracket {
    pub notional_cap: Money,
    pub rate: Ratio,
    pub cumulative: Money,
}

/// Ascending by cap; what is beyond the last counts as the last.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Brackets(Vec<Bracket>);

/// Of a symbol whose brackets nobody told: what venues ask of their smallest symbols in the second step.
const CAREFUL: Bracket =
    Bracket { notional_cap: Money(Decimal::MAX), rate: Ratio(Decimal::from_parts(5, 0, 0, false, 2)), cumulative: Money::ZERO };

impl Brackets {
    /// In the order of their caps.
    #[must_use]
    pub fn new(mut steps: Vec<Bracket>) -> Self {
        steps.sort_by_key(|step| step.notional_cap);
        Self(steps)
    }

    fn of(&self, notional: Money) -> Bracket {
        let found = self.0.iter().find(|step| notional <= step.notional_cap).or(self.0.last());
        found.copied().unwrap_or(CAREFUL)
    }
}

/// The margin that the venue keeps back for a position of that worth; never below zero.
pub(super) fn maintenance(brackets: Option<&Brackets>, notional: Money) -> Money {
    let step = brackets.map_or(CAREFUL, |brackets| brackets.of(notional));
    (notional * step.rate - step.cumulative).max(Money::ZERO)
}

/// A position as it would be with every order of one side filled, and what stands behind it.
#[derive(Debug, Clone, Copy)]
pub(super) struct Stressed {
    pub(super) side: Side,
    /// Unsigned.
    pub(super) quantity: Quantity,
    /// The market's price, at which `equity` is true.
    pub(super) price: Price,
    /// What can be lost before the venue steps in: the account's, less what its other positions need, or the position's own.
    pub(super) equity: Money,
}

impl Stressed {
    /// What is left above the maintenance margin if the price moves against the position by that share.
    pub(super) fn left_after(&self, brackets: Option<&Brackets>, distance: Ratio) -> Money {
        let moved = self.price * distance;
        let there = match self.side {
            Side::Buy => self.price - moved,
            Side::Sell => self.price + moved,
        };
        let there = there.max(Price::ZERO);
        let lost = (self.price - there).abs() * self.quantity;
        self.equity - lost - maintenance(brackets, there * self.quantity)
    }

    /// The price at which nothing is left, for people: by the bracket that the position is in now.
    pub(super) fn liquidation_price(&self, brackets: Option<&Brackets>) -> Option<Price> {
        let step = brackets.map_or(CAREFUL, |brackets| brackets.of(self.price * self.quantity));
        let free = self.equity + step.cumulative;
        let worth = self.price * self.quantity;
        let (owed, each) = match self.side {
            Side::Buy => (worth - free, Decimal::ONE - step.rate.0),
            Side::Sell => (worth + free, Decimal::ONE + step.rate.0),
        };
        let price = owed.0.checked_div(self.quantity.0.checked_mul(each)?)?;
        Some(Price(price.max(Decimal::ZERO).round_dp(8)))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn brackets() -> Brackets {
        let step = |cap: &str, rate: &str, cumulative: &str| Bracket {
            notional_cap: cap.parse().unwrap(),
            rate: rate.parse().unwrap(),
            cumulative: cumulative.parse().unwrap(),
        };
        Brackets::new(vec![step("100000", "0.05", "1000"), step("50000", "0.03", "0")])
    }

    #[test]
    fn maintenance_is_the_bracketss_and_continuous_over_its_steps() {
        let of = |notional: &str| maintenance(Some(&brackets()), notional.parse().unwrap());
        assert_eq!(of("50000"), "1500".parse().unwrap());
        assert_eq!(of("50000.01"), "1500.0005".parse().unwrap());
        assert_eq!(of("200000"), "9000".parse().unwrap(), "beyond the last step counts as the last");
        assert_eq!(maintenance(None, "1000".parse().unwrap()), "50".parse().unwrap(), "careful without brackets");
    }

    #[test]
    fn nothing_is_left_at_the_liquidation_price_on_both_sides() {
        for (side, price) in [(Side::Buy, "92.78350515"), (Side::Sell, "106.7961165")] {
            let stressed =
                Stressed { side, quantity: "100".parse().unwrap(), price: "100".parse().unwrap(), equity: "1000".parse().unwrap() };
            assert_eq!(stressed.liquidation_price(Some(&brackets())), Some(price.parse().unwrap()), "{side}");
            let distance = |text: &str| stressed.left_after(Some(&brackets()), text.parse().unwrap());
            assert!(distance("0.067").is_positive() && distance("0.073").is_negative(), "{side}");
        }
    }
}
