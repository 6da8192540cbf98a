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
