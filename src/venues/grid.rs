//! A venue's decimal texts as whole steps of an instrument's grid, and back. Exact: a text with a digit below the step is
//! refused and never rounded. No allocation and no `Decimal` on the way, because every level of every diff passes here.

use std::fmt::Write;

use crate::domain::instrument::{Instrument, Lots, Ticks};
use rust_decimal::Decimal;

/// Digits after the point that a step may have: Binance writes at most 8, and 10^9 steps of one still leave nine digits
/// before the point in an `i64`.
pub const SCALE_MAX: u32 = 9;

const POWERS: [i64; SCALE_MAX as usize + 1] = [1, 10, 100, 1_000, 10_000, 100_000, 1_000_000, 10_000_000, 100_000_000, 1_000_000_000];

/// One step: `mantissa × 10^-scale`, without trailing zeros in the fraction.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Step {
    pub(crate) scale: u32,
    pub(crate) mantissa: i64,
}

/// Why a step cannot be a grid.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("a grid step expected a positive decimal with at most {SCALE_MAX} digits after the point, found {found}")]
pub struct StepError {
    pub found: Decimal,
}

/// Why a text is not a whole number of steps.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum StepMiss {
    /// Not plain digits with at most one point between digits.
    NotDecimal,
    /// A digit below the step, or a value between two steps.
    OffGrid,
    /// More steps than an `i64` counts.
    TooLarge,
}

impl Step {
    /// # Errors
    /// When the step is not positive or finer than any venue's.
    pub fn new(step: Decimal) -> Result<Self, StepError> {
        let normal = step.normalize();
        let mantissa = i64::try_from(normal.mantissa()).unwrap_or(0);
        if mantissa <= 0 || normal.scale() > SCALE_MAX {
            return Err(StepError { found: step });
        }
        Ok(Self { scale: normal.scale(), mantissa })
    }

    /// Reads a decimal text as whole steps.
    ///
    /// # Errors
    /// When the text is no decimal, lies off the grid or is too large.
    pub fn parse(self, text: &[u8]) -> Result<i64, StepMiss> {
        match self.parse_down(text)? {
            (steps, false) => Ok(steps),
            (_, true) => Err(StepMiss::OffGrid),
        }
    }

    /// Reads a decimal text as the whole steps in it, and whether something is left over.
    ///
    /// # Errors
    /// When the text is no decimal or too large.
    pub fn parse_down(self, text: &[u8]) -> Result<(i64, bool), StepMiss> {
        let point = text.iter().position(|b| *b == b'.').unwrap_or(text.len());
        let (whole, fraction) = (&text[..point], text.get(point + 1..).unwrap_or_default());
        let digits = |part: &[u8]| !part.is_empty() && part.iter().all(u8::is_ascii_digit);
        if !digits(whole) || (point < text.len() && !digits(fraction)) {
            return Err(StepMiss::NotDecimal);
        }
        let scale = self.scale as usize;
        let (kept, rest) = fraction.split_at(scale.min(fraction.len()));
        let padding = std::iter::repeat_n(&b'0', scale - kept.len());
        let mut units = 0_i64;
        for digit in whole.iter().chain(kept).chain(padding) {
            let next = units.checked_mul(10).and_then(|units| units.checked_add(i64::from(digit - b'0')));
            units = next.ok_or(StepMiss::TooLarge)?;
        }
        let left_over = units % self.mantissa != 0 || rest.iter().any(|b| *b != b'0');
        Ok((units / self.mantissa, left_over))
    }

    /// Whole steps of a value that is counted in `10^-scale`.
    #[inline]
    pub(crate) fn steps_of(self, units: i64) -> Option<i64> {
        // Nearly every real step is a power of ten: no division then.
        if self.mantissa == 1 {
            return Some(units);
        }
        (units % self.mantissa == 0).then(|| units / self.mantissa)
    }

    /// Writes `steps` of this step with `digits` digits after the point, or as many as the step has if that is more.
    pub fn write(self, steps: i64, digits: u32, out: &mut String) {
        let units = i128::from(steps) * i128::from(self.mantissa);
        let power = i128::from(POWERS[self.scale as usize]);
        let (whole, fraction) = (units.unsigned_abs() / power.unsigned_abs(), units.unsigned_abs() % power.unsigned_abs());
        let sign = if units < 0 { "-" } else { "" };
        // Writing to a String cannot fail.
        let _ = write!(out, "{sign}{whole}");
        if self.scale > 0 {
            let _ = write!(out, ".{fraction:0width$}", width = self.scale as usize);
        } else if digits > 0 {
            out.push('.');
        }
        out.extend(std::iter::repeat_n('0', digits.saturating_sub(self.scale) as usize));
    }
}

/// The price and quantity steps of one instrument.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Grid {
    pub price: Step,
    pub quantity: Step,
}

impl Grid {
    /// # Errors
    /// When a step of the instrument is not a step.
    pub fn of(instrument: &Instrument) -> Result<Self, StepError> {
        Ok(Self { price: Step::new(instrument.price_step.0)?, quantity: Step::new(instrument.quantity_step.0)? })
    }

    /// # Errors
    /// As [`Step::parse`].
    pub fn ticks(&self, text: &str) -> Result<Ticks, StepMiss> {
        self.price.parse(text.as_bytes()).map(Ticks)
    }

    /// # Errors
    /// As [`Step::parse`].
    pub fn lots(&self, text: &str) -> Result<Lots, StepMiss> {
        self.quantity.parse(text.as_bytes()).map(Lots)
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn step(text: &str) -> Step {
        Step::new(text.parse().unwrap()).unwrap()
    }

    #[test]
    fn a_text_is_read_exactly_or_refused() {
        let tenth = step("0.10");
        assert_eq!(tenth.parse(b"61800.20"), Ok(618_002));
        assert_eq!(tenth.parse(b"61800"), Ok(618_000));
        assert_eq!(tenth.parse(b"61800.25"), Err(StepMiss::OffGrid));
        for bad in [&b""[..], b".", b"1.", b".5", b"-1", b"1e5", b"1.2.3", b" 1", b"+1"] {
            assert_eq!(tenth.parse(bad), Err(StepMiss::NotDecimal), "{}", String::from_utf8_lossy(bad));
        }
        assert_eq!(tenth.parse(b"99999999999999999999"), Err(StepMiss::TooLarge));
    }

    #[test]
    fn what_is_below_a_step_is_told_apart() {
        assert_eq!(step("0.00001").parse_down(b"25.42618900"), Ok((2_542_618, true)));
        assert_eq!(step("0.00001").parse_down(b"25.42618000"), Ok((2_542_618, false)));
        assert_eq!(step("0.00001").parse_down(b"0.000009"), Ok((0, true)));
        assert_eq!(step("0.25").parse_down(b"1.80"), Ok((7, true)));
    }

    #[test]
    fn steps_that_are_no_power_of_ten_keep_their_grid() {
        assert_eq!(step("0.25").parse(b"1.75"), Ok(7));
        assert_eq!(step("0.25").parse(b"1.70"), Err(StepMiss::OffGrid));
        assert_eq!(step("100").parse(b"1200"), Ok(12));
        assert_eq!(step("100").parse(b"1250"), Err(StepMiss::OffGrid));
        assert!(Step::new(Decimal::ZERO).is_err());
    }

    proptest! {
        #[test]
        fn what_is_written_is_read_back(steps in 0_i64..i64::MAX / 1_000, scale in 0_u32..=SCALE_MAX, digits in 0_u32..=8, mantissa in 1_i64..30) {
            let step = Step::new(Decimal::new(mantissa, scale)).unwrap();
            let steps = steps / mantissa;
            let mut text = String::new();
            step.write(steps, digits, &mut text);
            prop_assert_eq!(step.parse(text.as_bytes()), Ok(steps), "{}", text);
        }
    }
}
