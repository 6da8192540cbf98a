//! The touch of a market whose source shows only its trades. Every print says that a price stood, not that anything is left
//! of it; so a taker never gets what traded, but the tick behind it: after a buyer's print at p the ask is p + 1 tick, and
//! the bid is what the last seller's print left, p − 1 tick at best (and the mirror image after a seller's). A side that
//! nobody hits stays where it is, however long ago that was. A side displays what traded on it within the current second,
//! less what our own orders rested for or took of it, and nothing behind it: what a market order wants beyond expires.
//! Nothing is said of queues: a resting order waits for a print through its price.

use crate::domain::instrument::{Lots, Ticks};
use crate::domain::market_data::{Level, TradePrint};
use crate::domain::order::Side;
use crate::domain::time::Timestamp;

/// What trades within it counts as one offer: takers split their orders over milliseconds, and a second later the market
/// may be another.
const OFFER_NS: i64 = 1_000_000_000;

#[derive(Debug, Clone, Copy)]
struct Offer {
    price: i64,
    lots: i64,
    /// The second that the lots traded in.
    second: i64,
}

/// Both sides as inferred so far; none before the first print.
#[derive(Debug, Clone, Copy, Default)]
pub struct Inferred {
    bid: Option<Offer>,
    ask: Option<Offer>,
}

impl Inferred {
    /// A print of which `lots` were nobody's of ours.
    pub fn print(&mut self, now: Timestamp, print: &TradePrint, lots: i64) {
        let (price, second) = (print.price.0, now.0.div_euclid(OFFER_NS));
        let fresh = |price: i64| Offer { price, lots, second };
        let hit = |before: Option<Offer>, price: i64| match before {
            Some(offer) if offer.second == second => Offer { price, lots: offer.lots.saturating_add(lots), second },
            _ => fresh(price),
        };
        if print.buyer_is_maker {
            self.bid = Some(hit(self.bid, price - 1));
            self.ask = Some(self.ask.map_or_else(|| fresh(price + 1), |ask| Offer { price: ask.price.max(price + 1), ..ask }));
        } else {
            self.ask = Some(hit(self.ask, price + 1));
            self.bid = Some(self.bid.map_or_else(|| fresh(price - 1), |bid| Offer { price: bid.price.min(price - 1), ..bid }));
        }
    }

    /// Our order took some.
    pub fn take(&mut self, side: Side, lots: i64) {
        let offer = match side {
            Side::Buy => &mut self.bid,
            Side::Sell => &mut self.ask,
        };
        if let Some(offer) = offer {
            offer.lots = (offer.lots - lots).max(0);
        }
    }

    #[must_use]
    pub fn touch(&self, side: Side) -> Option<Level> {
        let offer = match side {
            Side::Buy => self.bid,
            Side::Sell => self.ask,
        };
        offer.map(|offer| Level { price: Ticks(offer.price), quantity: Lots(offer.lots) })
    }
}
