//! Bars from trades: by time, by number of trades, by volume. Pure and cheap: a trade costs a few integer comparisons and
//! additions in ticks and lots; decimals appear only when a closed bar becomes a `Candle`. A closed bar is final: a trade
//! that belongs before it is counted as late and changes nothing.

use std::num::NonZeroU32;
use std::time::Duration;

use rust_decimal::Decimal;

use super::instrument::{Instrument, Lots, Ticks};
use super::market_data::Candle;
use super::money::Money;
use super::time::Timestamp;

/// The longest silence that is filled with flat bars, in bars: a day of minutes. After a longer one the bars before it say
/// nothing about the market any more, and filling it could take unbounded time (a week of 1 ms bars is 600 million).
pub const FILLED_GAP_MAX: i64 = 1_440;

/// Why a bar cannot be built as asked.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum BarError {
    #[error("bar interval expected from 1 ms to 30 days, found {found:?}")]
    Interval { found: Duration },
    #[error("volume of a bar expected to be positive, found {found} lots")]
    Volume { found: i64 },
}

/// A bar on the instrument's grid. `close_time` is the last instant that belongs to it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct GridBar {
    pub open_time: Timestamp,
    pub close_time: Timestamp,
    pub open: Ticks,
    pub high: Ticks,
    pub low: Ticks,
    pub close: Ticks,
    pub volume: Lots,
    /// The sum of price times quantity, in ticks times lots.
    pub turnover: i128,
    pub trades: u32,
}

impl GridBar {
    /// A bar in which nothing has traded: every price is the one before it.
    fn flat(open_time: Timestamp, close_time: Timestamp, price: Ticks) -> Self {
        Self { open_time, close_time, open: price, high: price, low: price, close: price, volume: Lots(0), turnover: 0, trades: 0 }
    }

    fn add(&mut self, price: Ticks, quantity: Lots) {
        if self.trades == 0 {
            (self.open, self.high, self.low) = (price, price, price);
        }
        self.high = self.high.max(price);
        self.low = self.low.min(price);
        self.close = price;
        // Saturating: a feed with absurd quantities may spoil a bar but not the process.
        self.volume.0 = self.volume.0.saturating_add(quantity.0);
        self.turnover = self.turnover.saturating_add(i128::from(price.0) * i128::from(quantity.0));
        self.trades = self.trades.saturating_add(1);
    }

    /// The same bar in decimals.
    #[must_use]
    pub fn candle(&self, instrument: &Instrument) -> Candle {
        Candle {
            open_time: self.open_time,
            close_time: self.close_time,
            open: instrument.price(self.open),
            high: instrument.price(self.high),
            low: instrument.price(self.low),
            close: instrument.price(self.close),
            volume: instrument.quantity(self.volume),
            quote_volume: self.quote_volume(instrument),
            trades: self.trades,
        }
    }

    /// Saturates where the sum leaves a Decimal's 28 digits, which no real market's does.
    fn quote_volume(&self, instrument: &Instrument) -> Money {
        let step = instrument.price_step * instrument.quantity_step;
        let value = Decimal::try_from_i128_with_scale(self.turnover, 0).ok().and_then(|turnover| turnover.checked_mul(step.0));
        Money(value.unwrap_or(Decimal::MAX))
    }
}

/// Bars of equal time, aligned to the epoch: a 1 h bar opens on the hour, UTC. An interval without a trade gives a flat
/// bar at the close before it, with no volume, so that indicators see even time; there is none before the first trade,
/// and a silence longer than `FILLED_GAP_MAX` bars is not filled: the next trade starts anew.
#[derive(Debug, Clone)]
pub struct TimeBars {
    interval: Duration,
    interval_ns: i64,
    /// Half-open bounds of the open bar, in ns; an empty range before the first trade.
    start: i64,
    end: i64,
    bar: Option<GridBar>,
    late: u64,
}

impl TimeBars {
    /// # Errors
    /// When the interval is shorter than a millisecond, the resolution of venues' times, or longer than 30 days.
    pub fn new(interval: Duration) -> Result<Self, BarError> {
        let bounds = Duration::from_millis(1)..=Duration::from_secs(30 * 86_400);
        let interval_ns = i64::try_from(interval.as_nanos()).unwrap_or(i64::MAX);
        if !bounds.contains(&interval) {
            return Err(BarError::Interval { found: interval });
        }
        Ok(Self { interval, interval_ns, start: i64::MIN, end: i64::MIN, bar: None, late: 0 })
    }

    #[must_use]
    pub fn interval(&self) -> Duration {
        self.interval
    }

    /// Takes a trade; what closes because of it goes to `closed`, oldest first.
    #[inline]
    pub fn on_trade(&mut self, at: Timestamp, price: Ticks, quantity: Lots, closed: &mut impl Extend<GridBar>) {
        if at.0 < self.start {
            self.late += 1;
            return;
        }
        if at.0 >= self.end {
            self.on_time(at, closed);
        }
        let bar = match &mut self.bar {
            Some(bar) => bar,
            None => self.open_at(at, price),
        };
        bar.add(price, quantity);
    }

    /// Closes every bar that ended at or before `now`. An earlier `now` than the last changes nothing.
    pub fn on_time(&mut self, now: Timestamp, closed: &mut impl Extend<GridBar>) {
        let Some(mut bar) = self.bar.filter(|_| now.0 >= self.end) else { return };
        let silent = now.0.saturating_sub(self.end) / self.interval_ns;
        closed.extend(Some(bar));
        if silent > FILLED_GAP_MAX {
            self.bar = None;
            // What belongs before the gap's end is late from here on.
            (self.start, self.end) = self.bounds(now);
            return;
        }
        for _ in 0..silent {
            bar = self.advance(bar.close);
            closed.extend(Some(bar));
        }
        self.bar = Some(self.advance(bar.close));
    }

    /// Moves on by one interval, to an empty bar at `price`.
    fn advance(&mut self, price: Ticks) -> GridBar {
        self.start = self.end;
        self.end = self.end.saturating_add(self.interval_ns);
        GridBar::flat(Timestamp(self.start), Timestamp(self.end - 1), price)
    }

    fn open_at(&mut self, at: Timestamp, price: Ticks) -> &mut GridBar {
        (self.start, self.end) = self.bounds(at);
        self.bar.insert(GridBar::flat(Timestamp(self.start), Timestamp(self.end - 1), price))
    }

    fn bounds(&self, at: Timestamp) -> (i64, i64) {
        let start = at.0.saturating_sub(at.0.rem_euclid(self.interval_ns));
        (start, start.saturating_add(self.interval_ns))
    }

    /// The bar that is still open. It may change.
    #[must_use]
    pub fn open(&self) -> Option<&GridBar> {
        self.bar.as_ref()
    }

    /// Trades that came after their bar had closed, and were left out.
    #[must_use]
    pub fn late(&self) -> u64 {
        self.late
    }
}

/// What closes a bar that is not made by the clock.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Full {
    Trades(NonZeroU32),
    Volume(Lots),
}

/// Bars of equal activity: every N trades, or once a volume has traded. A trade is never split over two bars, so a volume
/// bar may hold more than its threshold. Times are those of its first and last trade.
#[derive(Debug, Clone)]
pub struct TradeBars {
    full: Full,
    bar: Option<GridBar>,
    /// The newest time seen: an earlier trade is late.
    newest: Timestamp,
    late: u64,
}

impl TradeBars {
    #[must_use]
    pub fn by_trades(count: NonZeroU32) -> Self {
        Self::new(Full::Trades(count))
    }

    /// # Errors
    /// When the volume is not positive.
    pub fn by_volume(volume: Lots) -> Result<Self, BarError> {
        if volume.0 <= 0 {
            return Err(BarError::Volume { found: volume.0 });
        }
        Ok(Self::new(Full::Volume(volume)))
    }

    fn new(full: Full) -> Self {
        Self { full, bar: None, newest: Timestamp(i64::MIN), late: 0 }
    }

    /// Takes a trade and gives the bar that it completed.
    #[inline]
    pub fn on_trade(&mut self, at: Timestamp, price: Ticks, quantity: Lots) -> Option<GridBar> {
        if at < self.newest {
            self.late += 1;
            return None;
        }
        self.newest = at;
        let bar = self.bar.get_or_insert_with(|| GridBar::flat(at, at, price));
        bar.close_time = at;
        bar.add(price, quantity);
        let full = match self.full {
            Full::Trades(count) => bar.trades >= count.get(),
            Full::Volume(volume) => bar.volume >= volume,
        };
        if full { self.bar.take() } else { None }
    }

    /// The bar that is still open. It may change.
    #[must_use]
    pub fn open(&self) -> Option<&GridBar> {
        self.bar.as_ref()
    }

    /// Trades older than one already taken, and left out.
    #[must_use]
    pub fn late(&self) -> u64 {
        self.late
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;
    use crate::domain::ids::Symbol;
    use crate::domain::instrument::InstrumentKind;
    use crate::domain::money::{Price, Quantity, Ratio};

    const MINUTE: i64 = 60_000;

    fn at(millis: i64) -> Timestamp {
        Timestamp::from_millis(millis)
    }

    fn minutes() -> TimeBars {
        TimeBars::new(Duration::from_secs(60)).unwrap()
    }

    /// Feeds (milliseconds, price, quantity) and gives what closed.
    fn feed(bars: &mut TimeBars, trades: &[(i64, i64, i64)]) -> Vec<GridBar> {
        let mut closed = Vec::new();
        for (millis, price, quantity) in trades {
            bars.on_trade(at(*millis), Ticks(*price), Lots(*quantity), &mut closed);
        }
        closed
    }

    #[test]
    fn a_minute_bar_opens_on_the_minute_and_ends_at_its_last_nanosecond() {
        let closed = feed(&mut minutes(), &[(90_000, 10, 1), (100_000, 14, 2), (110_000, 8, 3), (119_999, 9, 4), (120_000, 11, 1)]);
        let [bar] = closed[..] else { panic!("one bar expected, found {closed:?}") };
        assert_eq!((bar.open_time, bar.close_time), (at(MINUTE), Timestamp(120_000_000_000 - 1)));
        assert_eq!((bar.open.0, bar.high.0, bar.low.0, bar.close.0), (10, 14, 8, 9));
        assert_eq!((bar.volume.0, bar.turnover, bar.trades), (10, 10 + 28 + 24 + 36, 4));
    }

    #[test]
    fn silence_gives_flat_bars_at_the_close_before_it() {
        let mut bars = minutes();
        let closed = feed(&mut bars, &[(0, 10, 5), (3 * MINUTE, 20, 1)]);
        let shape: Vec<_> =
            closed.iter().map(|bar| (bar.open_time.as_millis(), bar.open.0, bar.close.0, bar.volume.0, bar.trades)).collect();
        assert_eq!(shape, [(0, 10, 10, 5, 1), (MINUTE, 10, 10, 0, 0), (2 * MINUTE, 10, 10, 0, 0)]);
        assert_eq!(bars.open().unwrap().low, Ticks(20), "the price before does not leak into a bar that has traded");
    }

    #[test]
    fn the_clock_closes_a_bar_without_a_trade_and_a_trade_after_it_opens_the_next() {
        let mut bars = minutes();
        let mut closed = feed(&mut bars, &[(10, 10, 1)]);
        bars.on_time(at(MINUTE - 1), &mut closed);
        assert_eq!(closed.len(), 0);
        bars.on_time(at(MINUTE), &mut closed);
        bars.on_time(at(MINUTE), &mut closed);
        assert_eq!(closed.len(), 1);
        bars.on_trade(at(MINUTE + 5), Ticks(13), Lots(1), &mut closed);
        bars.on_time(at(2 * MINUTE), &mut closed);
        assert_eq!((closed.len(), closed[1].open, closed[1].trades), (2, Ticks(13), 1));
    }

    #[test]
    fn a_late_trade_is_counted_and_changes_nothing() {
        let mut bars = minutes();
        let mut closed = feed(&mut bars, &[(10, 10, 1), (MINUTE, 11, 1)]);
        let before = bars.open().copied();
        bars.on_trade(at(MINUTE - 1), Ticks(99), Lots(9), &mut closed);
        assert_eq!((bars.late(), bars.open().copied(), closed.len()), (1, before, 1));
        bars.on_trade(at(MINUTE + 500), Ticks(12), Lots(1), &mut closed);
        bars.on_trade(at(MINUTE + 400), Ticks(13), Lots(1), &mut closed);
        assert_eq!((bars.late(), bars.open().unwrap().close), (1, Ticks(13)), "order inside the open bar is order of arrival");
    }

    #[test]
    fn a_gap_longer_than_the_bound_is_not_filled() {
        let mut bars = minutes();
        let after = (FILLED_GAP_MAX + 2) * MINUTE;
        let closed = feed(&mut bars, &[(0, 10, 1), (after, 20, 1), (after - 1, 15, 1)]);
        assert_eq!((closed.len(), bars.late()), (1, 1));
        assert_eq!(bars.open().unwrap().open_time, at(after));
        let filled = feed(&mut minutes(), &[(0, 10, 1), (after - MINUTE, 20, 1)]);
        assert_eq!(filled.len() as i64, FILLED_GAP_MAX + 1);
    }

    #[test]
    fn times_at_both_ends_do_not_overflow() {
        let mut bars = minutes();
        let mut closed = Vec::new();
        for time in [i64::MIN, 0, i64::MAX] {
            bars.on_time(Timestamp(time), &mut closed);
            bars.on_trade(Timestamp(time), Ticks(i64::MAX), Lots(i64::MAX), &mut closed);
        }
    }

    #[test]
    fn an_interval_of_nothing_is_refused_with_what_was_expected() {
        let error = TimeBars::new(Duration::ZERO).unwrap_err();
        assert_eq!(error.to_string(), "bar interval expected from 1 ms to 30 days, found 0ns");
        assert_eq!(TradeBars::by_volume(Lots(0)).unwrap_err(), BarError::Volume { found: 0 });
    }

    #[test]
    fn trade_bars_close_on_count_or_volume_and_never_split_a_trade() {
        let mut count = TradeBars::by_trades(NonZeroU32::new(2).unwrap());
        assert_eq!(count.on_trade(at(1), Ticks(10), Lots(1)), None);
        let bar = count.on_trade(at(4), Ticks(12), Lots(1)).unwrap();
        assert_eq!((bar.open_time, bar.close_time, bar.trades), (at(1), at(4), 2));
        assert_eq!(count.on_trade(at(3), Ticks(50), Lots(1)), None);
        assert_eq!((count.late(), count.open()), (1, None));

        let mut volume = TradeBars::by_volume(Lots(10)).unwrap();
        assert_eq!(volume.on_trade(at(1), Ticks(10), Lots(9)), None);
        assert_eq!(volume.on_trade(at(1), Ticks(11), Lots(30)).unwrap().volume, Lots(39));
    }

    fn instrument() -> Instrument {
        let decimal = |text: &str| text.parse::<Decimal>().unwrap();
        Instrument {
            symbol: Symbol::new("BTCUSDT").unwrap(),
            kind: InstrumentKind::Perpetual,
            base: "BTC".to_owned(),
            quote: "USDT".to_owned(),
            price_step: Price(decimal("0.1")),
            quantity_step: Quantity(decimal("0.001")),
            min_quantity: Quantity(decimal("0.001")),
            max_quantity: Quantity(decimal("1000")),
            min_notional: Money(decimal("5")),
            price_band: Ratio(decimal("0.05")),
            maker_fee: Ratio::ZERO,
            taker_fee: Ratio::ZERO,
            max_leverage: 20,
        }
    }

    #[test]
    fn a_candle_has_the_instruments_decimals() {
        let closed = feed(&mut minutes(), &[(0, 618_001, 3), (1, 617_995, 2), (MINUTE, 1, 1)]);
        let candle = closed[0].candle(&instrument());
        let texts = [candle.open.to_string(), candle.low.to_string(), candle.volume.to_string(), candle.quote_volume.to_string()];
        assert_eq!(texts, ["61800.1", "61799.5", "0.005", "308.9993"]);
    }

    proptest! {
        /// Whatever arrives in whatever order: bars follow each other without gap or overlap (but for the bounded silence),
        /// and every trade is in exactly one bar or counted as late.
        #[test]
        fn bars_tile_time_and_lose_no_trade(trades in proptest::collection::vec((0_i64..20 * MINUTE, 1_i64..100, 1_i64..10), 1..200)) {
            let mut bars = minutes();
            let mut closed = feed(&mut bars, &trades);
            closed.extend(bars.open().copied());
            for pair in closed.windows(2) {
                prop_assert_eq!(pair[0].close_time.0 + 1, pair[1].open_time.0);
                prop_assert!(pair[1].trades > 0 || pair[1].close == pair[0].close);
            }
            for bar in &closed {
                prop_assert!(bar.low <= bar.open.min(bar.close) && bar.high >= bar.open.max(bar.close));
            }
            let kept: u64 = closed.iter().map(|bar| u64::from(bar.trades)).sum();
            prop_assert_eq!(kept + bars.late(), trades.len() as u64);
        }
    }
}
