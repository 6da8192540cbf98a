//! Klines of every interval, in any client's time zone: what the floor remembers, and of the tape's own time with what takers
//! bought. The newest one is open. Marks and indices have no history of their own here: theirs is the trades' without volumes.

use std::fmt::Write as _;
use std::time::Duration;

use crate::domain::ids::Symbol;
use crate::exchange::stream::payload;
use crate::exchange::stream::problem::Problem;
use crate::exchange::stream::tape::{Bar, HOUR_MS, Interval, MINUTE_MS};

use super::{Desk, list};

const DEFAULT: usize = 500;
const MAX: usize = 1_500;
const SPOT_MAX: usize = 1_000;
/// More than any market keeps of an interval.
const PAST_MAX: i64 = 20_000;
/// Time zones are from -12:00 to +14:00.
const ZONE_MIN: i64 = -12 * HOUR_MS;
const ZONE_MAX: i64 = 14 * HOUR_MS;

/// Of which price.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Of {
    Trades,
    /// The same by pair and kind of contract.
    Contract,
    Mark,
    Index,
    /// How far the mark is from the index.
    Premium,
}

/// The bars that are asked for.
#[derive(Debug, Clone, Copy)]
struct Asked {
    interval: Interval,
    offset: i64,
    start: Option<i64>,
    end: Option<i64>,
    limit: usize,
}

impl Desk {
    pub(super) async fn klines(mut self, of: Of) -> Result<String, Problem> {
        let symbol = self.named(if matches!(of, Of::Contract | Of::Index) { "pair" } else { "symbol" })?;
        let has_contract = of != Of::Contract || matches!(&*self.parameters.text("contractType")?, "PERPETUAL" | "TRADIFI_PERPETUAL");
        let asked = self.asked(of)?;
        self.parameters.finish()?;
        // Quarterly contracts are none of these.
        if !has_contract {
            return Ok("[]".to_owned());
        }
        let mut bars = self.past(symbol, &asked).await?;
        let state = self.shared.state();
        let encoder = state.tape.encoder(symbol).ok_or(Problem::INVALID_SYMBOL)?;
        if !matches!(of, Of::Trades | Of::Contract) {
            bars.iter_mut().for_each(|bar| *bar = without_volume(bar));
        }
        Ok(list(bars, |bar, out| {
            let closes = asked.interval.next(bar.opens, asked.offset) - 1;
            match of {
                Of::Premium => premium_row(&bar, closes, out),
                _ => payload::kline_row(encoder, &bar, closes, out),
            }
        }))
    }

    fn asked(&mut self, of: Of) -> Result<Asked, Problem> {
        let naming = self.shared.naming;
        let name = self.parameters.text("interval")?;
        let interval = Interval::of(&name, self.is_spot() || of == Of::Contract, naming.extended).ok_or(Problem::INVALID_INTERVAL)?;
        let max = if self.is_spot() { SPOT_MAX } else { MAX };
        let offset = if self.is_spot() { self.zone()? } else { 0 };
        let (start, end) = (self.parameters.number("startTime")?, self.parameters.number("endTime")?);
        Ok(Asked { interval, offset, start, end, limit: self.limit(DEFAULT, max)? })
    }

    pub(super) fn zone(&mut self) -> Result<i64, Problem> {
        let Some(text) = self.parameters.optional("timeZone")? else { return Ok(0) };
        zone_of(text).ok_or_else(|| Problem::invalid("timeZone"))
    }

    /// The bars in order, each with the best that is known of it.
    async fn past(&self, symbol: Symbol, asked: &Asked) -> Result<Vec<Bar>, Problem> {
        let Asked { interval, offset, .. } = *asked;
        let now = self.now();
        let newest = interval.opens(now, offset);
        let last = asked.end.map_or(newest, |end| interval.opens(end, offset)).min(newest);
        let first = asked.start.map(|start| {
            let opens = interval.opens(start, offset);
            if opens < start { interval.next(opens, offset) } else { opens }
        });
        let closed = self.closed(symbol, asked, now - first.unwrap_or(last)).await?;
        let state = self.shared.state();
        let mut bars: Vec<Bar> = closed
            .into_iter()
            .filter(|bar| bar.opens <= last && first.is_none_or(|first| bar.opens >= first))
            .map(|bar| state.tape.bar(symbol, interval, offset, bar.opens).unwrap_or(bar))
            .collect();
        // What has closed since the floor was asked, and the open one.
        let mut opens = bars.last().map_or(newest, |bar| interval.next(bar.opens, offset));
        while opens <= last && first.is_none_or(|first| opens >= first) {
            bars.extend(state.tape.bar(symbol, interval, offset, opens));
            opens = interval.next(opens, offset);
        }
        if first.is_some() {
            bars.truncate(asked.limit);
        } else {
            bars.drain(..bars.len().saturating_sub(asked.limit));
        }
        Ok(bars)
    }

    /// Closed bars from the floor: of the interval itself where it is one of the floor's, else added up from hours or minutes.
    async fn closed(&self, symbol: Symbol, asked: &Asked, back: i64) -> Result<Vec<Bar>, Problem> {
        let Asked { interval, offset, limit, .. } = *asked;
        let floors = match interval {
            Interval::Seconds(seconds) if offset.rem_euclid(i64::from(seconds) * 1_000) == 0 => Some(i64::from(seconds) * 1_000),
            _ => None,
        };
        let base = floors.unwrap_or(if offset.rem_euclid(HOUR_MS) == 0 { HOUR_MS } else { MINUTE_MS });
        let wanted = back.max(0) / base + i64::try_from(limit).unwrap_or(PAST_MAX) * (interval.longest_ms() / base).max(1) + 1;
        let wanted = usize::try_from(wanted.clamp(1, PAST_MAX)).unwrap_or(limit);
        let length = Duration::from_millis(base.unsigned_abs());
        let candles = self.shared.floor.candles(symbol, length, wanted).await?;
        let state = self.shared.state();
        let instrument = state.tape.instrument(symbol).ok_or(Problem::INVALID_SYMBOL)?;
        let bars = candles.iter().filter_map(|candle| Bar::of_candle(instrument, candle));
        if floors.is_some() {
            return Ok(bars.collect());
        }
        let newest = interval.opens(state.tape.now(), offset);
        let mut whole: Vec<Bar> = Vec::new();
        for bar in bars {
            let opens = interval.opens(bar.opens, offset);
            match whole.last_mut() {
                Some(last) if last.opens == opens => last.add(&bar),
                // The first may be cut by the floor's memory.
                None if opens < bar.opens => {}
                _ if opens >= newest => break,
                _ => whole.push(Bar { opens, ..bar }),
            }
        }
        Ok(whole)
    }
}

/// `8`, `-1:00`, `05:45`
fn zone_of(text: &str) -> Option<i64> {
    let (sign, digits) = match text.as_bytes().first()? {
        b'-' => (-1, &text[1..]),
        b'+' => (1, &text[1..]),
        _ => (1, text),
    };
    let (hours, minutes) = digits.split_once(':').unwrap_or((digits, "0"));
    let number = |text: &str| Some(text).filter(|text| text.len() <= 2 && text.bytes().all(|b| b.is_ascii_digit()))?.parse::<i64>().ok();
    let offset = sign * (number(hours)? * HOUR_MS + number(minutes).filter(|minutes| *minutes < 60)? * MINUTE_MS);
    (ZONE_MIN..=ZONE_MAX).contains(&offset).then_some(offset)
}

fn without_volume(bar: &Bar) -> Bar {
    Bar { lots: 0, turnover: 0, bought: 0, bought_turnover: 0, ..*bar }
}

/// The mark is the index here, so that there is no premium.
fn premium_row(bar: &Bar, closes: i64, out: &mut String) {
    // Writing to a String cannot fail.
    let _ = write!(
        out,
        "[{},\"0.00000000\",\"0.00000000\",\"0.00000000\",\"0.00000000\",\"0\",{closes},\"0\",{},\"0\",\"0\",\"0\"]",
        bar.opens, bar.trades
    );
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn time_zones_are_hours_or_hours_and_minutes() {
        assert_eq!(zone_of("0"), Some(0));
        assert_eq!(zone_of("8"), Some(8 * HOUR_MS));
        assert_eq!(zone_of("-1:00"), Some(-HOUR_MS));
        assert_eq!(zone_of("05:45"), Some(5 * HOUR_MS + 45 * MINUTE_MS));
        for bad in ["", "15", "-13", "14:01", "a", "1:60", "1:2:3", "--1", "+"] {
            assert_eq!(zone_of(bad), None, "{bad}");
        }
    }
}
