//! Moving averages of one series: simple, exponential, and the MACD that is made of them. Each recursion is written with
//! TA-Lib's order of operations, down to the fused multiply-add: the MACD is a small difference of large numbers, and
//! near its zero crossings another order of rounding would show.

use super::Indicator;
use super::window::{Sum, Window};

/// Simple moving average of the last `n` values.
#[derive(Debug, Clone)]
pub struct Sma(Window<Sum>);

impl Sma {
    #[must_use]
    pub fn new(length: usize) -> Self {
        Self(Window::new(length))
    }
}

impl Indicator for Sma {
    type Input = f64;
    type Output = f64;

    fn push(&mut self, value: f64) -> Option<f64> {
        self.0.push(value);
        self.value()
    }

    fn value(&self) -> Option<f64> {
        self.0.mean()
    }
}

/// Exponential moving average with weight `2 / (n + 1)`, seeded with the simple average of its first `n` values.
#[derive(Debug, Clone)]
pub struct Ema {
    length: usize,
    weight: f64,
    seen: usize,
    /// The sum of the seed until `n` values were seen, the average from then on.
    state: f64,
}

impl Ema {
    /// # Panics
    /// On a length of zero: a programming error.
    #[must_use]
    pub fn new(length: usize) -> Self {
        assert!(length > 0, "an average is of at least one value");
        Self { length, weight: 2.0 / (length as f64 + 1.0), seen: 0, state: 0.0 }
    }
}

impl Indicator for Ema {
    type Input = f64;
    type Output = f64;

    fn push(&mut self, value: f64) -> Option<f64> {
        if self.seen >= self.length {
            self.state = (value - self.state).mul_add(self.weight, self.state);
            return Some(self.state);
        }
        self.state += value;
        self.seen += 1;
        if self.seen == self.length {
            self.state /= self.length as f64;
        }
        self.value()
    }

    fn value(&self) -> Option<f64> {
        (self.seen >= self.length).then_some(self.state)
    }
}

#[derive(Debug, Clone, Copy, PartialEq, Default)]
pub struct MacdValue {
    pub macd: f64,
    pub signal: f64,
    pub histogram: f64,
}

/// Moving average convergence/divergence. Both averages are seeded at the same bar, the slow one's first, so the early
/// line is not the difference of two averages that started on their own. Nothing is given before the signal stands.
#[derive(Debug, Clone)]
pub struct Macd {
    fast: Ema,
    slow: Ema,
    signal: Ema,
    /// How many values the slow average takes before the fast one begins.
    head_start: usize,
    value: Option<MacdValue>,
}

impl Macd {
    /// # Panics
    /// When `fast` is not shorter than `slow`, or a length is zero: a programming error.
    #[must_use]
    pub fn new(fast: usize, slow: usize, signal: usize) -> Self {
        assert!(fast < slow, "the fast average is shorter than the slow one");
        Self { fast: Ema::new(fast), slow: Ema::new(slow), signal: Ema::new(signal), head_start: slow - fast, value: None }
    }
}

impl Indicator for Macd {
    type Input = f64;
    type Output = MacdValue;

    fn push(&mut self, value: f64) -> Option<MacdValue> {
        let slow = self.slow.push(value);
        if self.head_start > 0 {
            self.head_start -= 1;
            return None;
        }
        let macd = self.fast.push(value)? - slow?;
        let signal = self.signal.push(macd)?;
        self.value = Some(MacdValue { macd, signal, histogram: macd - signal });
        self.value
    }

    fn value(&self) -> Option<MacdValue> {
        self.value
    }
}
