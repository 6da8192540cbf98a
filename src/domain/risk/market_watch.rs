//! One symbol's market as risk watches it: the range of its prices over the collar's and the jump's period, its spread, and how
//! often it became abnormal. It measures; refusing and halting are the caller's.

use super::super::market::MarketView;
use super::super::money::Price;
use super::super::time::Timestamp;
use super::limits::{AbnormalMarket, PeriodCollar};
use super::window::{Range, Window};

/// What was found and what was allowed, for people.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Abnormal {
    pub(super) limit: String,
    pub(super) found: String,
}

#[derive(Debug)]
pub(super) struct MarketWatch {
    collar: Option<(PeriodCollar, Range)>,
    jump: Option<(AbnormalMarket, Range)>,
    /// The market is abnormal right now.
    is_abnormal: bool,
    episodes: Window,
}

impl MarketWatch {
    pub(super) fn new() -> Self {
        Self { collar: None, jump: None, is_abnormal: false, episodes: Window::default() }
    }

    /// Follows the limits: ranges begin anew where a period changed.
    pub(super) fn obey(&mut self, collar: Option<PeriodCollar>, abnormal: Option<AbnormalMarket>) {
        if self.collar.as_ref().map(|(limit, _)| limit.period) != collar.map(|limit| limit.period) {
            self.collar = None;
        }
        self.collar = collar.map(|limit| (limit, self.collar.take().map_or_else(|| Range::over(limit.period), |(_, range)| range)));
        if self.jump.as_ref().map(|(limit, _)| limit.jump_period) != abnormal.map(|limit| limit.jump_period) {
            self.jump = None;
        }
        self.jump = abnormal.map(|limit| (limit, self.jump.take().map_or_else(|| Range::over(limit.jump_period), |(_, range)| range)));
    }

    /// Takes a view in. Whether it made the market abnormal once too often.
    pub(super) fn look(&mut self, now: Timestamp, view: &MarketView) -> Option<Abnormal> {
        if let Some(reference) = view.reference().filter(|price| price.is_positive()) {
            if let Some((_, range)) = &mut self.collar {
                range.note(now, reference);
            }
            if let Some((_, range)) = &mut self.jump {
                range.note(now, reference);
            }
        }
        let limits = self.jump.as_ref().map(|(limits, _)| *limits)?;
        let is_abnormal = self.abnormal(view).is_some();
        let before = std::mem::replace(&mut self.is_abnormal, is_abnormal);
        // What is stale is refused for that, and says nothing about the market.
        if !self.is_abnormal || before || view.stale {
            return None;
        }
        let too_often = self.episodes.is_full(now, limits.halt_after);
        self.episodes.note(now, limits.halt_after.period);
        if !too_often {
            return None;
        }
        self.episodes.clear();
        self.abnormal(view)
    }

    /// What is abnormal about a market, if anything is.
    pub(super) fn abnormal(&self, view: &MarketView) -> Option<Abnormal> {
        let (limits, range) = self.jump.as_ref()?;
        let (bid, ask) = match (view.bid, view.ask) {
            (Some((bid, _)), Some((ask, _))) if bid.is_positive() && ask.is_positive() => (bid, ask),
            // A market without a book at all is one of trades or candles alone: its prices are judged by their jumps.
            (None, None) => return jumped(limits, range),
            _ => return Some(Abnormal { limit: "a book of two sides".to_owned(), found: "one side is empty".to_owned() }),
        };
        let reference = view.reference().filter(|price| price.is_positive()).unwrap_or(bid);
        if ask - bid > reference * limits.max_spread {
            return Some(Abnormal { limit: format!("a spread of {} of the price", limits.max_spread), found: format!("{bid} to {ask}") });
        }
        jumped(limits, range)
    }

    /// The lowest and the highest reference of the collar's period.
    pub(super) fn collar_ends(&self) -> Option<(Price, Price)> {
        self.collar.as_ref().and_then(|(_, range)| range.ends())
    }
}

fn jumped(limits: &AbnormalMarket, range: &Range) -> Option<Abnormal> {
    let (low, high) = range.ends()?;
    (high - low > low * limits.max_jump).then(|| Abnormal {
        limit: format!("a move of {} within {:?}", limits.max_jump, limits.jump_period),
        found: format!("{low} to {high}"),
    })
}
