//! Sliding windows without subtraction. The last `n` values are held as two blocks: the older one as aggregates of its
//! suffixes, the newer one as one running aggregate; the window is always one suffix joined with the running one. When
//! the newer block is full it becomes the older one, so each value is aggregated twice: O(1) per push, amortised.
//!
//! Nothing is ever taken out of a sum, so an outlier that has left the window has left no rounding error behind. Sums
//! are of differences from an anchor that is itself a member of the window (the newest value of the older block). Then
//! `(mean − anchor)² ≤ (n − 1) × variance`, so the textbook formula for the variance loses at most a factor `n` of the
//! machine's precision, whatever the offset of the series; on a constant window every difference is exactly zero.

use super::Indicator;

/// What a window keeps of a run of values.
pub(super) trait Aggregate: Copy {
    const EMPTY: Self;
    fn of(value: f64, anchor: f64) -> Self;
    fn join(self, other: Self) -> Self;
}

/// The last `n` values under one aggregate.
#[derive(Debug, Clone)]
pub(super) struct Window<A> {
    /// The newest block in order of arrival, then what is left of the block before it.
    values: Box<[f64]>,
    /// `suffixes[i]` aggregates the older block from its i-th value on.
    suffixes: Box<[A]>,
    running: A,
    anchor: f64,
    /// How many values the newer block has.
    filled: usize,
    /// Whether there is an older block, that is, whether `n` values were seen.
    warm: bool,
}

impl<A: Aggregate> Window<A> {
    /// # Panics
    /// On an empty window: a programming error, no window in the crate has a length that is not a constant or a checked
    /// setting.
    pub fn new(length: usize) -> Self {
        assert!(length > 0, "a window holds at least one value");
        Self {
            values: vec![0.0; length].into_boxed_slice(),
            suffixes: vec![A::EMPTY; length].into_boxed_slice(),
            running: A::EMPTY,
            anchor: 0.0,
            filled: 0,
            warm: false,
        }
    }

    pub fn push(&mut self, value: f64) {
        self.values[self.filled] = value;
        self.running = self.running.join(A::of(value, self.anchor));
        self.filled += 1;
        if self.filled == self.values.len() {
            self.turn(value);
        }
    }

    /// The newer block becomes the older one, anchored at its newest value.
    fn turn(&mut self, newest: f64) {
        self.anchor = newest;
        let mut suffix = A::EMPTY;
        for (slot, value) in self.suffixes.iter_mut().zip(self.values.iter()).rev() {
            suffix = A::of(*value, newest).join(suffix);
            *slot = suffix;
        }
        self.running = A::EMPTY;
        self.filled = 0;
        self.warm = true;
    }

    /// The aggregate of the last `n` values, relative to the anchor, once `n` were seen.
    pub fn aggregate(&self) -> Option<(A, f64)> {
        self.warm.then(|| (self.suffixes[self.filled].join(self.running), self.anchor))
    }

    pub fn len(&self) -> usize {
        self.values.len()
    }
}

/// Sum of differences from the anchor.
#[derive(Debug, Clone, Copy)]
pub(super) struct Sum(f64);

impl Aggregate for Sum {
    const EMPTY: Self = Self(0.0);
    fn of(value: f64, anchor: f64) -> Self {
        Self(value - anchor)
    }
    fn join(self, other: Self) -> Self {
        Self(self.0 + other.0)
    }
}

impl Window<Sum> {
    pub fn mean(&self) -> Option<f64> {
        self.aggregate().map(|(Sum(sum), anchor)| anchor + sum / self.len() as f64)
    }
}

/// Sums of differences from the anchor and of their squares.
#[derive(Debug, Clone, Copy)]
pub(super) struct Moments {
    sum: f64,
    squares: f64,
}

impl Aggregate for Moments {
    const EMPTY: Self = Self { sum: 0.0, squares: 0.0 };
    fn of(value: f64, anchor: f64) -> Self {
        let difference = value - anchor;
        Self { sum: difference, squares: difference * difference }
    }
    fn join(self, other: Self) -> Self {
        Self { sum: self.sum + other.sum, squares: self.squares + other.squares }
    }
}

impl Window<Moments> {
    /// Mean and population standard deviation.
    pub fn mean_and_deviation(&self) -> Option<(f64, f64)> {
        let (moments, anchor) = self.aggregate()?;
        let length = self.len() as f64;
        let offset = moments.sum / length;
        let variance = moments.squares / length - offset * offset;
        // Rounding may leave a hair below zero where all but one value are equal.
        Some((anchor + offset, variance.max(0.0).sqrt()))
    }
}

#[derive(Debug, Clone, Copy)]
struct Highest(f64);

impl Aggregate for Highest {
    const EMPTY: Self = Self(f64::NEG_INFINITY);
    fn of(value: f64, _: f64) -> Self {
        Self(value)
    }
    fn join(self, other: Self) -> Self {
        Self(self.0.max(other.0))
    }
}

#[derive(Debug, Clone, Copy)]
struct Lowest(f64);

impl Aggregate for Lowest {
    const EMPTY: Self = Self(f64::INFINITY);
    fn of(value: f64, _: f64) -> Self {
        Self(value)
    }
    fn join(self, other: Self) -> Self {
        Self(self.0.min(other.0))
    }
}

/// The highest of the last `n` values.
#[derive(Debug, Clone)]
pub struct RollingHigh(Window<Highest>);

impl RollingHigh {
    #[must_use]
    pub fn new(length: usize) -> Self {
        Self(Window::new(length))
    }
}

impl Indicator for RollingHigh {
    type Input = f64;
    type Output = f64;

    fn push(&mut self, value: f64) -> Option<f64> {
        self.0.push(value);
        self.value()
    }

    fn value(&self) -> Option<f64> {
        self.0.aggregate().map(|(highest, _)| highest.0)
    }
}

/// The lowest of the last `n` values.
#[derive(Debug, Clone)]
pub struct RollingLow(Window<Lowest>);

impl RollingLow {
    #[must_use]
    pub fn new(length: usize) -> Self {
        Self(Window::new(length))
    }
}

impl Indicator for RollingLow {
    type Input = f64;
    type Output = f64;

    fn push(&mut self, value: f64) -> Option<f64> {
        self.0.push(value);
        self.value()
    }

    fn value(&self) -> Option<f64> {
        self.0.aggregate().map(|(lowest, _)| lowest.0)
    }
}
