//! Welles Wilder's indicators: true range, ATR, RSI, ADX. His average moves by one n-th of the way, `(previous × (n − 1) +
//! new) / n`. The first bar has no predecessor, so it has no true range, no gain and no directional movement. A quotient
//! whose divisor is zero (a market that has not moved at all) is zero, as TA-Lib has it.

use super::{Bar, Indicator};

/// The bar's range, widened to the close before it.
#[derive(Debug, Clone, Default)]
pub struct TrueRange {
    previous_close: Option<f64>,
    value: Option<f64>,
}

impl Indicator for TrueRange {
    type Input = Bar;
    type Output = f64;

    fn push(&mut self, bar: Bar) -> Option<f64> {
        let widen = |close: f64| (bar.high - bar.low).max((bar.high - close).abs()).max((bar.low - close).abs());
        self.value = self.previous_close.replace(bar.close).map(widen);
        self.value
    }

    fn value(&self) -> Option<f64> {
        self.value
    }
}

/// Wilder's average: seeded with the mean of the first `n` values.
#[derive(Debug, Clone)]
struct WilderAverage {
    length: f64,
    /// How many values are still missing from the seed.
    missing: usize,
    state: f64,
}

impl WilderAverage {
    fn new(length: usize) -> Self {
        assert!(length > 0, "an average is of at least one value");
        Self { length: length as f64, missing: length, state: 0.0 }
    }

    fn push(&mut self, value: f64) -> Option<f64> {
        if self.missing == 0 {
            self.state = (self.state * (self.length - 1.0) + value) / self.length;
            return Some(self.state);
        }
        self.state += value;
        self.missing -= 1;
        if self.missing == 0 {
            self.state /= self.length;
        }
        self.value()
    }

    fn value(&self) -> Option<f64> {
        (self.missing == 0).then_some(self.state)
    }
}

/// Average true range; the first value stands at the n-th bar after the first.
#[derive(Debug, Clone)]
pub struct Atr {
    range: TrueRange,
    average: WilderAverage,
}

impl Atr {
    /// # Panics
    /// On a length of zero: a programming error.
    #[must_use]
    pub fn new(length: usize) -> Self {
        Self { range: TrueRange::default(), average: WilderAverage::new(length) }
    }
}

impl Indicator for Atr {
    type Input = Bar;
    type Output = f64;

    fn push(&mut self, bar: Bar) -> Option<f64> {
        let range = self.range.push(bar)?;
        self.average.push(range)
    }

    fn value(&self) -> Option<f64> {
        self.average.value()
    }
}

/// Relative strength: the share of gains in all movement, 0 to 100.
#[derive(Debug, Clone)]
pub struct Rsi {
    previous: Option<f64>,
    gains: WilderAverage,
    losses: WilderAverage,
}

impl Rsi {
    /// # Panics
    /// On a length of zero: a programming error.
    #[must_use]
    pub fn new(length: usize) -> Self {
        Self { previous: None, gains: WilderAverage::new(length), losses: WilderAverage::new(length) }
    }
}

impl Indicator for Rsi {
    type Input = f64;
    type Output = f64;

    fn push(&mut self, value: f64) -> Option<f64> {
        let change = value - self.previous.replace(value)?;
        self.gains.push(change.max(0.0));
        self.losses.push((-change).max(0.0));
        self.value()
    }

    fn value(&self) -> Option<f64> {
        let (gain, loss) = (self.gains.value()?, self.losses.value()?);
        let movement = gain + loss;
        Some(if movement > 0.0 { 100.0 * (gain / movement) } else { 0.0 })
    }
}

#[derive(Debug, Clone, Copy, PartialEq, Default)]
pub struct AdxValue {
    pub adx: f64,
    pub plus_di: f64,
    pub minus_di: f64,
}

/// Average directional index. The directional sums take `n − 1` bars, their index another `n`: the first value stands at
/// bar `2n − 1`, counted from zero.
#[derive(Debug, Clone)]
pub struct Adx {
    length: f64,
    range: TrueRange,
    previous: Option<Bar>,
    /// Bars that only add to the directional sums, before any smoothing.
    to_gather: usize,
    plus_movement: f64,
    minus_movement: f64,
    range_sum: f64,
    plus_di: f64,
    minus_di: f64,
    /// Bars whose index still goes into the seed of the average.
    to_seed: usize,
    /// The sum of the seed, then the average.
    average: f64,
}

impl Adx {
    /// # Panics
    /// On a length of less than two: a programming error.
    #[must_use]
    pub fn new(length: usize) -> Self {
        assert!(length > 1, "directional movement is averaged over at least two bars");
        Self {
            length: length as f64,
            range: TrueRange::default(),
            previous: None,
            to_gather: length - 1,
            plus_movement: 0.0,
            minus_movement: 0.0,
            range_sum: 0.0,
            plus_di: 0.0,
            minus_di: 0.0,
            to_seed: length,
            average: 0.0,
        }
    }

    /// Adds a bar's movement to the sums; from the n-th on, an n-th of each sum leaves first.
    fn gather(&mut self, plus: f64, minus: f64, range: f64) {
        if self.to_gather == 0 {
            self.plus_movement -= self.plus_movement / self.length;
            self.minus_movement -= self.minus_movement / self.length;
            self.range_sum -= self.range_sum / self.length;
        }
        self.plus_movement += plus;
        self.minus_movement += minus;
        self.range_sum += range;
    }

    /// The directional index of the sums as they stand, `None` when nothing moved.
    fn directional_index(&mut self) -> Option<f64> {
        if self.range_sum <= 0.0 {
            return None;
        }
        self.plus_di = 100.0 * (self.plus_movement / self.range_sum);
        self.minus_di = 100.0 * (self.minus_movement / self.range_sum);
        let total = self.minus_di + self.plus_di;
        (total > 0.0).then(|| 100.0 * ((self.minus_di - self.plus_di).abs() / total))
    }

    fn average(&mut self, index: Option<f64>) {
        if self.to_seed == 0 {
            // A bar without an index leaves the average where it was.
            if let Some(index) = index {
                self.average = (self.average * (self.length - 1.0) + index) / self.length;
            }
            return;
        }
        self.average += index.unwrap_or(0.0);
        self.to_seed -= 1;
        if self.to_seed == 0 {
            self.average /= self.length;
        }
    }
}

/// The part of today's range outside yesterday's, on the side where there is more of it: (+DM, −DM).
fn directional_movement(previous: &Bar, bar: &Bar) -> (f64, f64) {
    let (up, down) = (bar.high - previous.high, previous.low - bar.low);
    if down > 0.0 && up < down {
        (0.0, down)
    } else if up > 0.0 && up > down {
        (up, 0.0)
    } else {
        (0.0, 0.0)
    }
}

impl Indicator for Adx {
    type Input = Bar;
    type Output = AdxValue;

    fn push(&mut self, bar: Bar) -> Option<AdxValue> {
        let range = self.range.push(bar);
        let previous = self.previous.replace(bar)?;
        let (plus, minus) = directional_movement(&previous, &bar);
        self.gather(plus, minus, range?);
        if self.to_gather > 0 {
            self.to_gather -= 1;
            return None;
        }
        let index = self.directional_index();
        self.average(index);
        self.value()
    }

    fn value(&self) -> Option<AdxValue> {
        (self.to_seed == 0).then_some(AdxValue { adx: self.average, plus_di: self.plus_di, minus_di: self.minus_di })
    }
}
