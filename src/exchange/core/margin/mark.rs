//! A perpetual's mark price, index price and funding rate. Where the market source shows a mark price, that is it; where it
//! shows none, the mark is the median of bid, ask and last trade, taken once a second. The index is the mark's moving average:
//! the premium that funding is made of is how far the mark runs ahead of it.

use std::collections::VecDeque;

use rust_decimal::Decimal;

use super::super::{Exchange, Market};
use super::PerpetualRules;
use crate::domain::ids::Symbol;
use crate::domain::instrument::{Instrument, Ticks};
use crate::domain::money::{Price, Ratio};
use crate::domain::order::Side;
use crate::domain::time::Timestamp;

/// The index moves a sixtieth of the way to the mark each second: an average over about a minute.
const INDEX_WEIGHT: i64 = 60;
const INDEX_PLACES: u32 = 8;
/// Funding points that `GET /fapi/v1/fundingRate` can list: the venue's page limit, a third of a year.
const FUNDING_KEPT: usize = 1_000;

/// What a market has as a perpetual.
#[derive(Debug, Clone)]
pub struct Perpetual {
    pub rules: PerpetualRules,
    /// The source shows marks: none is made up.
    pub shown: bool,
    pub index: Option<Price>,
    /// Sum and count of the premiums sampled since the last funding.
    pub premium: (Decimal, u32),
    /// Set by hand: the next funding's rate.
    pub forced_rate: Option<Ratio>,
    pub next_funding: Option<Timestamp>,
    pub history: VecDeque<FundingPoint>,
}

/// One funding of a symbol.
#[derive(Debug, Clone, Copy, PartialEq, Eq, serde::Serialize, serde::Deserialize)]
pub struct FundingPoint {
    pub symbol: Symbol,
    pub at: Timestamp,
    pub rate: Ratio,
    pub mark: Price,
}

/// `GET /fapi/v1/premiumIndex`.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct PremiumIndex {
    pub symbol: Symbol,
    pub mark: Price,
    pub index: Price,
    /// What the next funding would be now.
    pub funding_rate: Ratio,
    pub interest_rate: Ratio,
    pub next_funding: Timestamp,
}

impl Perpetual {
    #[must_use]
    pub fn of(instrument: &Instrument) -> Self {
        Self {
            rules: PerpetualRules::of(instrument),
            shown: false,
            index: None,
            premium: (Decimal::ZERO, 0),
            forced_rate: None,
            next_funding: None,
            history: VecDeque::new(),
        }
    }

    pub(in super::super) fn remember(&mut self, point: FundingPoint) {
        if self.history.len() >= FUNDING_KEPT {
            self.history.pop_front();
        }
        self.history.push_back(point);
    }

    /// The venue's formula: the average premium, pulled towards the interest rate by no more than 0.05 %, and never above 2 %
    /// either way.
    #[must_use]
    pub fn funding_rate(&self) -> Ratio {
        if let Some(rate) = self.forced_rate {
            return rate;
        }
        let (sum, count) = self.premium;
        let premium = if count == 0 { Decimal::ZERO } else { sum / Decimal::from(count) };
        let pull = (interest_rate().0 - premium).clamp(-Decimal::new(5, 4), Decimal::new(5, 4));
        Ratio((premium + pull).clamp(-Decimal::new(2, 2), Decimal::new(2, 2)).round_dp(INDEX_PLACES))
    }
}

/// 0.01 % each funding.
fn interest_rate() -> Ratio {
    Ratio(Decimal::new(1, 4))
}

impl Exchange {
    /// A symbol's mark, index and funding; `None` while there is no price.
    #[must_use]
    pub fn premium_index(&self, symbol: Symbol) -> Option<PremiumIndex> {
        let market = &self.markets[self.symbol_index(symbol)?];
        market.reference()?;
        let mark = self.mark_of(market);
        Some(PremiumIndex {
            symbol,
            mark,
            index: market.perpetual.index.unwrap_or(mark),
            funding_rate: market.perpetual.funding_rate(),
            interest_rate: interest_rate(),
            next_funding: market.perpetual.next_funding.unwrap_or_default(),
        })
    }

    /// Past fundings of a symbol, oldest first.
    pub fn funding_history(&self, symbol: Symbol) -> impl Iterator<Item = &FundingPoint> {
        let index = self.symbol_index(symbol);
        index.into_iter().flat_map(|index| &self.markets[index].perpetual.history)
    }

    /// What all accounts hold long of a symbol, in lots of its instrument: the open interest that is known here.
    #[must_use]
    pub fn open_interest(&self, symbol: Symbol) -> Option<crate::domain::money::Quantity> {
        let index = self.symbol_index(symbol)?;
        let long = |slot: &super::super::account::Slot| slot.net.lots.max(0) + slot.long.lots;
        let lots: i64 = self.accounts.iter().filter_map(|account| account.slots.get(&index)).map(long).sum();
        Some(self.markets[index].instrument.quantity(crate::domain::instrument::Lots(lots)))
    }

    pub(in super::super) fn mark_of(&self, market: &Market) -> Price {
        market.reference().map(|mark| market.instrument.price(mark)).unwrap_or_default()
    }

    /// Once a second: a mark for a source that shows none, the index, the premium.
    pub(super) fn sample_mark(&mut self, symbol: usize) {
        let market = &mut self.markets[symbol];
        if !market.perpetual.shown {
            market.mark = market.median_price().or(market.mark);
        }
        let Some(mark) = market.mark else { return };
        let price = market.instrument.price(mark);
        let index = market.perpetual.index.unwrap_or(price);
        let moved = index.0 + (price.0 - index.0) / Decimal::from(INDEX_WEIGHT);
        market.perpetual.index = Some(Price(moved.round_dp(INDEX_PLACES)));
        if moved > Decimal::ZERO {
            let (sum, count) = &mut market.perpetual.premium;
            *sum += ((price.0 - moved) / moved).round_dp(INDEX_PLACES);
            *count += 1;
        }
    }
}

impl Market {
    fn median_price(&self) -> Option<Ticks> {
        let (bid, ask) = (self.external.touch(Side::Buy)?.price, self.external.touch(Side::Sell)?.price);
        let last = self.last.unwrap_or(bid);
        Some(last.clamp(bid.min(ask), ask.max(bid)))
    }
}
