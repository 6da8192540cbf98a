//! The past of a synthetic symbol, made by the same process that makes its future.

use crate::domain::time::Timestamp;

use super::process::{Dice, Process};
use crate::exchange::sources::history::{Bar, HOUR, History, MINUTE, SECOND};

/// Price points inside a generated bar.
const POINTS: usize = 4;

/// A bar before it is put on the grid.
struct RawBar {
    opens: i64,
    length: i64,
    prices: [f64; POINTS],
    lots: i64,
}

/// Makes the past up to `start` and leaves `process` where it ends: at `price` (in ticks).
pub(super) fn generate(process: &mut Process, dice: &mut Dice, start: Timestamp, price: f64, lots_per_second: f64) -> History {
    let now = start.0.div_euclid(1_000_000_000);
    let hour = |seconds: i64| seconds.div_euclid(3_600) * 3_600;
    let from_hours = hour(now) - HOUR.0 * HOUR.1 as i64;
    let from_minutes = hour(now - MINUTE.0 * MINUTE.1 as i64);
    let from_seconds = hour(now - SECOND.0 * SECOND.1 as i64);
    let mut raw = Vec::new();
    for (from, to, length) in [(from_hours, from_minutes, 3_600), (from_minutes, from_seconds, 60), (from_seconds, now, 1)] {
        let mut opens = from;
        while opens < to {
            raw.push(raw_bar(process, dice, opens, length, lots_per_second));
            opens += length;
        }
    }
    // The past is scaled so that it ends at the price that the market opens with. The anchor stays where it was.
    let scale = price / process.price;
    process.price = price;
    let mut history = History::new();
    raw.iter().for_each(|bar| history.add(&on_grid(bar, scale), bar.length));
    history
}

fn on_grid(raw: &RawBar, scale: f64) -> Bar {
    // A price is at least one tick.
    let ticks = raw.prices.map(|price| ((price * scale) as i64).max(1));
    Bar {
        opens: raw.opens,
        open: ticks[0],
        high: ticks.into_iter().max().unwrap_or(ticks[0]),
        low: ticks.into_iter().min().unwrap_or(ticks[0]),
        close: ticks[POINTS - 1],
        lots: raw.lots,
        trades: u32::try_from(raw.length).unwrap_or(u32::MAX).saturating_mul(8),
    }
}

fn raw_bar(process: &mut Process, dice: &mut Dice, opens: i64, length: i64, lots_per_second: f64) -> RawBar {
    let mut prices = [process.price; POINTS];
    for price in prices.iter_mut().skip(1) {
        process.step(length as f64 / (POINTS - 1) as f64, dice);
        *price = process.price;
    }
    let busy = process.activity() * (0.5 + dice.unit());
    RawBar { opens, length, prices, lots: (lots_per_second * length as f64 * busy) as i64 + 1 }
}
