//! What compares a bar with the bars around it: Bollinger bands, the squeeze between two kinds of bands, and volume
//! against its mean.

use super::window::{Moments, Sum, Window};
use super::{Atr, Bar, Ema, Indicator};

#[derive(Debug, Clone, Copy, PartialEq, Default)]
pub struct Bands {
    pub upper: f64,
    pub middle: f64,
    pub lower: f64,
}

/// Bollinger bands: the simple average, and that many population standard deviations to either side.
#[derive(Debug, Clone)]
pub struct Bollinger {
    window: Window<Moments>,
    deviations: f64,
}

impl Bollinger {
    /// # Panics
    /// On a length of zero: a programming error.
    #[must_use]
    pub fn new(length: usize, deviations: f64) -> Self {
        Self { window: Window::new(length), deviations }
    }
}

impl Indicator for Bollinger {
    type Input = f64;
    type Output = Bands;

    fn push(&mut self, value: f64) -> Option<Bands> {
        self.window.push(value);
        self.value()
    }

    fn value(&self) -> Option<Bands> {
        let (middle, deviation) = self.window.mean_and_deviation()?;
        let width = deviation * self.deviations;
        Some(Bands { upper: middle + width, middle, lower: middle - width })
    }
}

/// Whether the Bollinger bands (20, 2) lie inside EMA(20) ± 1.5 × ATR(20): a market that holds its breath. Inside is
/// strict, so a market that does not move at all, where both bands have no width, is not squeezed.
#[derive(Debug, Clone)]
pub struct Squeeze {
    bollinger: Bollinger,
    middle: Ema,
    range: Atr,
}

impl Squeeze {
    const LENGTH: usize = 20;
    const DEVIATIONS: f64 = 2.0;
    const RANGES: f64 = 1.5;
}

impl Default for Squeeze {
    fn default() -> Self {
        Self { bollinger: Bollinger::new(Self::LENGTH, Self::DEVIATIONS), middle: Ema::new(Self::LENGTH), range: Atr::new(Self::LENGTH) }
    }
}

impl Squeeze {
    /// The bands (20, 2) that the squeeze is judged by, for those who need both.
    #[must_use]
    pub fn bands(&self) -> Option<Bands> {
        self.bollinger.value()
    }
}

impl Indicator for Squeeze {
    type Input = Bar;
    type Output = bool;

    fn push(&mut self, bar: Bar) -> Option<bool> {
        self.bollinger.push(bar.close);
        self.middle.push(bar.close);
        self.range.push(bar);
        self.value()
    }

    fn value(&self) -> Option<bool> {
        let (bands, middle, range) = (self.bollinger.value()?, self.middle.value()?, self.range.value()?);
        let reach = Self::RANGES * range;
        Some(bands.upper < middle + reach && bands.lower > middle - reach)
    }
}

/// Volume over the mean of the last `n` bars' volume, this bar included. `None` also where nothing traded in all of
/// them: nothing over nothing has no value.
#[derive(Debug, Clone)]
pub struct VolumeRatio {
    mean: Window<Sum>,
    last: f64,
}

impl VolumeRatio {
    /// # Panics
    /// On a length of zero: a programming error.
    #[must_use]
    pub fn new(length: usize) -> Self {
        Self { mean: Window::new(length), last: 0.0 }
    }
}

impl Indicator for VolumeRatio {
    type Input = f64;
    type Output = f64;

    fn push(&mut self, volume: f64) -> Option<f64> {
        self.mean.push(volume);
        self.last = volume;
        self.value()
    }

    fn value(&self) -> Option<f64> {
        let mean = self.mean.mean()?;
        (mean != 0.0).then(|| self.last / mean)
    }
}
