//! Rules of a symbol that are not what they were: coarser steps, larger minima, no trading. New orders are held against them
//! before the engine sees them, and exchangeInfo shows them; the engine's own grid stays, so that open orders and the market do.
//! Pure; what is not changed is the engine's to judge.

use rust_decimal::Decimal;
use serde_json::Value;

use crate::exchange::core::Reject;
use crate::exchange::wire::parameters::Parameters;
use crate::exchange::wire::problem::Problem;

use super::rule::Kind;

/// What has changed of one symbol.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Listing {
    price_step: Option<Decimal>,
    quantity_step: Option<Decimal>,
    min_quantity: Option<Decimal>,
    min_notional: Option<Decimal>,
    closed: bool,
}

impl Listing {
    /// Takes over what a fault changes; what it does not name stays.
    pub fn change(&mut self, kind: &Kind) {
        match kind {
            Kind::Filters { price_step, quantity_step, min_quantity, min_notional } => {
                self.price_step = price_step.map(|step| step.0).or(self.price_step);
                self.quantity_step = quantity_step.map(|step| step.0).or(self.quantity_step);
                self.min_quantity = min_quantity.map(|least| least.0).or(self.min_quantity);
                self.min_notional = min_notional.map(|least| least.0).or(self.min_notional);
            }
            Kind::Trading { open } => self.closed = !open,
            _ => {}
        }
    }

    /// Holds a new order against the rules.
    ///
    /// # Errors
    /// The venue's, for the first rule that it breaks.
    pub fn check(&self, order: &Parameters, spot: bool) -> Result<(), Problem> {
        if self.closed {
            let closed = if spot {
                Problem::of(-2010, "Market is closed.")
            } else {
                Problem::of(-4140, "Invalid symbol status for opening position.")
            };
            return Err(closed);
        }
        // What is no number is the handler's to refuse.
        let number = |name| order.decimal(name).ok().flatten();
        let price = number("price");
        let (quantity, step) = (number("quantity"), self.quantity_step);
        for price in [price, number("stopPrice"), number("triggerPrice")] {
            hold(price, self.price_step, Reject::PriceOffGrid, spot)?;
        }
        hold(quantity, step, Reject::QuantityOffGrid, spot)?;
        if quantity.zip(self.min_quantity).is_some_and(|(quantity, least)| quantity < least) {
            return Err(Problem::rejected(Reject::QuantityTooSmall, spot));
        }
        let worth = price.zip(quantity).and_then(|(price, quantity)| price.checked_mul(quantity));
        if worth.zip(self.min_notional).is_some_and(|(worth, least)| worth < least) {
            return Err(Problem::rejected(Reject::NotionalTooSmall, spot));
        }
        Ok(())
    }

    /// Shows the rules in a symbol of exchangeInfo.
    pub fn show(&self, symbol: &mut Value) {
        if self.closed {
            symbol["status"] = "BREAK".into();
        }
        let Some(filters) = symbol["filters"].as_array_mut() else { return };
        for filter in filters {
            let changes = match filter["filterType"].as_str().unwrap_or_default() {
                "PRICE_FILTER" => [("tickSize", self.price_step), ("", None)],
                "LOT_SIZE" | "MARKET_LOT_SIZE" => [("stepSize", self.quantity_step), ("minQty", self.min_quantity)],
                "NOTIONAL" => [("minNotional", self.min_notional), ("", None)],
                "MIN_NOTIONAL" => [("notional", self.min_notional), ("", None)],
                _ => continue,
            };
            for (name, value) in changes {
                if let Some(value) = value {
                    filter[name] = value.to_string().into();
                }
            }
        }
    }
}

fn hold(value: Option<Decimal>, step: Option<Decimal>, reject: Reject, spot: bool) -> Result<(), Problem> {
    match value.zip(step.filter(|step| !step.is_zero())) {
        Some((value, step)) if !(value % step).is_zero() => Err(Problem::rejected(reject, spot)),
        _ => Ok(()),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::exchange::wire::parameters::Manners;

    fn listing(kinds: &[&str]) -> Listing {
        let mut listing = Listing::default();
        kinds.iter().for_each(|json| listing.change(&serde_json::from_str(json).unwrap()));
        listing
    }

    fn code(listing: &Listing, order: &str, spot: bool) -> i32 {
        let order = Parameters::parse(Manners::Lenient, order.as_bytes(), b"").unwrap();
        listing.check(&order, spot).err().map_or(0, |problem| problem.code)
    }

    #[test]
    fn orders_are_held_against_what_has_changed_and_nothing_else() {
        let coarse = listing(&[r#"{"filters":{"price_step":"1","quantity_step":"0.01"}}"#, r#"{"filters":{"min_notional":"1000"}}"#]);
        assert_eq!(code(&coarse, "price=60000&quantity=0.02", false), 0);
        assert_eq!(code(&coarse, "price=60000.5&quantity=0.02", false), -4014);
        assert_eq!(code(&coarse, "price=60000.5&quantity=0.02", true), -1013);
        assert_eq!(code(&coarse, "price=60000&quantity=0.021", false), -4023);
        assert_eq!(code(&coarse, "price=60000&quantity=0.01", false), -4164);
        assert_eq!(code(&coarse, "price=what&quantity=0.01", false), 0);
        let closed = listing(&[r#"{"trading":{"open":false}}"#]);
        assert_eq!((code(&closed, "price=1", false), code(&closed, "price=1", true)), (-4140, -2010));
        assert_eq!(code(&listing(&[r#"{"trading":{"open":false}}"#, r#"{"trading":{"open":true}}"#]), "price=1", true), 0);
    }

    #[test]
    fn exchange_info_shows_what_has_changed() {
        let mut symbol = serde_json::json!({ "status": "TRADING", "filters": [
            { "filterType": "PRICE_FILTER", "tickSize": "0.10" },
            { "filterType": "LOT_SIZE", "stepSize": "0.001", "minQty": "0.001" },
        ] });
        listing(&[r#"{"filters":{"price_step":"0.50","min_quantity":"0.010"}}"#, r#"{"trading":{"open":false}}"#]).show(&mut symbol);
        assert_eq!((&symbol["status"], &symbol["filters"][0]["tickSize"]), (&"BREAK".into(), &"0.50".into()));
        assert_eq!((&symbol["filters"][1]["stepSize"], &symbol["filters"][1]["minQty"]), (&"0.001".into(), &"0.010".into()));
    }
}
