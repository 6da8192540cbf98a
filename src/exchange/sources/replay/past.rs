//! The bars before a replayed market opened: what was read of the recording, laid end to end, as if the market had played it
//! in rounds before too.

use crate::domain::instrument::Instrument;
use crate::domain::market_data::{MarketEvent, MarketFrame};
use crate::exchange::sources::history::{Bar, HOUR, History};

use super::track::{bar_of, detail, length_of};

const SECOND_NANOS: i64 = 1_000_000_000;
/// No bar before these is asked for: the history keeps no more days.
const PAST_SECONDS: i64 = HOUR.0 * HOUR.1 as i64;
/// One-second bars for 300 quarter hours; some milliseconds to lay.
const BARS_MAX: usize = 300 * 900;

/// The bars of one pass over a recording, at recorded times.
#[derive(Debug, Default)]
pub(super) struct Tile {
    bars: Vec<Bar>,
    /// Seconds of a candle; of trades, zero.
    candle: i64,
}

impl Tile {
    pub(super) fn add(&mut self, frame: &MarketFrame, instrument: &Instrument) {
        let bar = match &frame.event {
            MarketEvent::Trade(trade) => {
                let opens = frame.received_at.0.div_euclid(SECOND_NANOS);
                Some(Bar { lots: trade.quantity.0, trades: 1, ..Bar::flat(opens, trade.price.0) })
            }
            MarketEvent::Candle(candle) => {
                self.candle = self.candle.max(length_of(candle));
                bar_of(instrument, candle)
            }
            _ => None,
        };
        let Some(bar) = bar else { return };
        match self.bars.last_mut() {
            Some(last) if self.candle == 0 && last.opens >= bar.opens => last.add(&bar),
            _ => self.bars.push(bar),
        }
    }

    /// Rounds of the tile, one each `period`, the newest of them `newest` after the recorded times (both in nanoseconds).
    pub(super) fn laid_end_to_end(&self, newest: i64, period: i64) -> History {
        let mut history = History::new();
        if self.bars.is_empty() {
            return history;
        }
        let fit_time = PAST_SECONDS.saturating_mul(SECOND_NANOS) / period.max(SECOND_NANOS);
        let fit_size = i64::try_from(BARS_MAX / self.bars.len()).unwrap_or(i64::MAX);
        for round in (0..=fit_time.min(fit_size)).rev() {
            let shift = newest.saturating_sub(round.saturating_mul(period)).div_euclid(SECOND_NANOS);
            for bar in &self.bars {
                history
                    .add(&Bar { opens: bar.opens.saturating_add(shift), ..*bar }, if self.candle == 0 { 1 } else { detail(self.candle) });
            }
        }
        history
    }
}
