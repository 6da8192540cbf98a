//! A candle as a market: where a source has nothing finer, each candle becomes a path of prices, and each price a print and a
//! touch. The path is open → low → high → close when the candle rose, else open → high → low → close, so that a rising candle
//! first meets the buyer's stop. Each of the four points prints a quarter of the volume. The touch stands one tick on either
//! side of the price, so that a taker always pays a tick, and displays a quarter of the volume. A resting order fills only
//! when the path goes through its price (a touch is no fill), and only by the prints. A stop between two points meets the
//! market at its trigger.

use crate::domain::instrument::{Instrument, Lots, Ticks};
use crate::domain::market_data::{Candle, Level, TradePrint};
use crate::domain::money::Price;
use crate::domain::time::Timestamp;

use super::market::Reach;
use super::{Exchange, ExchangeOutput};

/// The path has four points; each gets its share of the volume.
const POINTS: i64 = 4;

impl Exchange {
    pub(super) fn apply_candle(&mut self, now: Timestamp, symbol: usize, candle: &Candle, out: &mut Vec<ExchangeOutput>) {
        let instrument = &self.markets[symbol].instrument;
        let Some(volume) = instrument.lots(instrument.quantity_down(candle.volume)) else { return };
        let Some(path) = path_of(instrument, candle) else { return };
        let share = volume.0 / POINTS;
        for point in path {
            self.walk_to(now, symbol, point, share, out);
            self.arrive(now, symbol, point, share, share, out);
        }
    }

    /// Stops on the way to `point`, one after another, each with the touch at its trigger.
    fn walk_to(&mut self, now: Timestamp, symbol: usize, point: Ticks, displayed: i64, out: &mut Vec<ExchangeOutput>) {
        let mut at = self.markets[symbol].last.unwrap_or(point);
        while let Some(trigger) = self.markets[symbol].trigger_between(at, point) {
            self.arrive(now, symbol, trigger, displayed, 0, out);
            at = trigger;
        }
    }

    fn arrive(&mut self, now: Timestamp, symbol: usize, price: Ticks, displayed: i64, printed: i64, out: &mut Vec<ExchangeOutput>) {
        let market = &mut self.markets[symbol];
        let touch = |price| Level { price: Ticks(price), quantity: Lots(displayed) };
        market.external.show_only(touch(price.0 - 1), touch(price.0 + 1));
        market.last = Some(price);
        for buyer_is_maker in [true, false] {
            let print = TradePrint { id: 0, price, quantity: Lots(printed), buyer_is_maker };
            self.fill_from_print(now, symbol, &print, Reach::Through, out);
        }
        self.fire_triggers(now, symbol, out);
    }
}

fn path_of(instrument: &Instrument, candle: &Candle) -> Option<[Ticks; 4]> {
    let ticks = |price: Price| instrument.ticks(instrument.price_down(price)).filter(|ticks| ticks.0 > 0);
    let (open, high, low, close) = (ticks(candle.open)?, ticks(candle.high)?, ticks(candle.low)?, ticks(candle.close)?);
    Some(if close >= open { [open, low, high, close] } else { [open, high, low, close] })
}
