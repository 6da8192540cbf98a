//! A cursor over a frame's bytes that reads numbers eight digits at a time. It knows the subset of JSON that Binance writes
//! (no blanks, no escapes); anything else is `None`, and the JSON parser looks at the frame instead.

use crate::venues::grid::Step;

const ZEROS: u64 = u64::from_le_bytes([b'0'; 8]);
const HIGH_BITS: u64 = u64::from_le_bytes([0x80; 8]);
/// The scanner keeps the fraction in one word of eight digits; a finer grid is left to the parser.
const SCALE_MAX: u32 = 8;
/// A decimal with eight digits on each side of its point, and room for a word that begins behind the point.
const WINDOW: usize = 17;
const POWERS: [i64; SCALE_MAX as usize + 1] = [1, 10, 100, 1_000, 10_000, 100_000, 1_000_000, 10_000_000, 100_000_000];

#[derive(Debug, Clone, Copy)]
pub(super) struct Cursor<'a> {
    text: &'a [u8],
    at: usize,
}

impl<'a> Cursor<'a> {
    pub(super) fn new(text: &'a [u8]) -> Self {
        Self { text, at: 0 }
    }

    #[inline]
    pub(super) fn peek(&self) -> Option<u8> {
        self.text.get(self.at).copied()
    }

    #[inline]
    pub(super) fn byte(&mut self) -> Option<u8> {
        let byte = self.peek()?;
        self.at += 1;
        Some(byte)
    }

    #[inline]
    pub(super) fn expect<const N: usize>(&mut self, literal: &[u8; N]) -> Option<()> {
        if self.text.get(self.at..)?.first_chunk::<N>()? != literal {
            return None;
        }
        self.at += N;
        Some(())
    }

    pub(super) fn starts_with(&self, literal: &[u8]) -> bool {
        self.text.get(self.at..).is_some_and(|rest| rest.starts_with(literal))
    }

    /// Whether the byte read last is this one.
    pub(super) fn ends_with(&self, byte: u8) -> bool {
        self.text[..self.at].last() == Some(&byte)
    }

    pub(super) fn is_at_end(&self) -> bool {
        self.at == self.text.len()
    }

    /// The rest of a string after its opening quote; the closing one is passed. Plain ASCII only.
    #[inline]
    pub(super) fn string(&mut self) -> Option<&'a [u8]> {
        let rest = self.text.get(self.at..)?;
        let length = rest.iter().position(|b| !matches!(b, b' ' | b'!' | b'#'..=b'[' | b']'..=b'~'))?;
        if rest[length] != b'"' {
            return None;
        }
        self.at += length + 1;
        Some(&rest[..length])
    }

    /// A JSON number that is a whole, not negative one.
    #[inline]
    pub(super) fn integer(&mut self) -> Option<u64> {
        let start = self.at;
        let value = self.digits()?;
        let leading_zero = self.text[start] == b'0' && self.at - start > 1;
        let goes_on = matches!(self.peek(), Some(b'.' | b'e' | b'E'));
        (!leading_zero && !goes_on).then_some(value)
    }

    /// A decimal up to its closing quote, as whole steps. `None` when it is off the grid too: the parser says so in words.
    #[inline]
    pub(super) fn decimal(&mut self, step: Step) -> Option<i64> {
        // By value, so that a cursor that lives in registers stays there.
        let (steps, after) = match self.short_decimal(step) {
            Some(found) => found,
            None => self.long_decimal(step)?,
        };
        self.at = after;
        Some(steps)
    }

    /// A decimal of at most eight digits on each side of its point, which nearly all are. Both ends are found with one look at
    /// sixteen bytes, so that the next number can be begun while this one is still being put together.
    #[inline(always)]
    fn short_decimal(self, step: Step) -> Option<(i64, usize)> {
        let scale = step.scale;
        let window = self.text.get(self.at..)?.first_chunk::<WINDOW>()?;
        let (whole, behind) = (word_in(window, 0), word_in(window, 8));
        let ends = u128::from(not_digits(whole)) | u128::from(not_digits(behind)) << 64;
        let point = ends.trailing_zeros() / 8;
        let quote = (ends & ends.wrapping_sub(1)).trailing_zeros() / 8;
        let digits = quote.wrapping_sub(point).wrapping_sub(1);
        let is_plain = matches!(point, 1..=8) && quote < 16 && matches!(digits, 1..=8) && scale <= SCALE_MAX;
        if !is_plain || window[point as usize] != b'.' || window[quote as usize] != b'"' {
            return None;
        }
        let fraction = fraction_of(word_in(window, point as usize + 1), digits, scale)?;
        let units = number_of(whole << (64 - 8 * point)) as i64 * POWERS[scale as usize] + fraction;
        Some((step.steps_of(units)?, self.at + quote as usize + 1))
    }

    #[cold]
    fn long_decimal(mut self, step: Step) -> Option<(i64, usize)> {
        let scale = step.scale;
        if scale > SCALE_MAX {
            return None;
        }
        let whole = i64::try_from(self.digits()?).ok()?;
        let mut units = whole.checked_mul(POWERS[scale as usize])?;
        if self.peek()? == b'.' {
            self.at += 1;
            let word = self.word_at(self.at);
            let digits = digit_count(word);
            self.at += digits as usize;
            units = units.checked_add(fraction_of(word, digits, scale)?)?;
        }
        self.expect(b"\"")?;
        Some((step.steps_of(units)?, self.at))
    }

    pub(super) fn boolean(&mut self) -> Option<bool> {
        match self.peek()? {
            b't' => self.expect(b"true").map(|()| true),
            _ => self.expect(b"false").map(|()| false),
        }
    }

    /// A run of at least one digit.
    #[inline]
    fn digits(&mut self) -> Option<u64> {
        let mut value = 0_u64;
        let mut count = 0;
        loop {
            let word = self.word_at(self.at);
            let digits = digit_count(word);
            if digits > 0 {
                let power = POWERS[digits as usize].unsigned_abs();
                value = value.checked_mul(power)?.checked_add(number_of(word << (64 - 8 * digits)))?;
            }
            count += digits;
            self.at += digits as usize;
            if digits < 8 {
                return (count > 0).then_some(value);
            }
        }
    }

    /// Eight bytes with `'0'` taken off each; past the end they are not digits.
    #[inline]
    fn word_at(&self, at: usize) -> u64 {
        let rest = self.text.get(at..).unwrap_or_default();
        let bytes = rest.first_chunk::<8>().copied().unwrap_or_else(|| {
            let mut padded = [0; 8];
            padded[..rest.len()].copy_from_slice(rest);
            padded
        });
        u64::from_le_bytes(bytes) ^ ZEROS
    }
}

/// The first `digits` (at most eight) of a word as a fraction in units of `10^-scale`; those below the grid must be zeros.
#[inline]
fn fraction_of(word: u64, digits: u32, scale: u32) -> Option<i64> {
    if digits == 0 {
        return None;
    }
    // What follows the digits is cut off, so that a short fraction is padded with zeros.
    let word = word << (64 - 8 * digits) >> (64 - 8 * digits);
    if scale < 8 && word >> (8 * scale) != 0 {
        return None;
    }
    // The value is below 10^8.
    Some(if scale == 0 { 0 } else { number_of(word << (64 - 8 * scale)) as i64 })
}

/// Eight bytes of a window with `'0'` taken off each.
#[inline(always)]
fn word_in(window: &[u8; WINDOW], at: usize) -> u64 {
    window.get(at..).and_then(|rest| rest.first_chunk::<8>()).map_or(u64::MAX, |bytes| u64::from_le_bytes(*bytes) ^ ZEROS)
}

/// How many of the first bytes are 0 to 9.
#[inline]
fn digit_count(word: u64) -> u32 {
    not_digits(word).trailing_zeros() / 8
}

/// The highest bit of each byte above 9.
#[inline]
fn not_digits(word: u64) -> u64 {
    (((word & !HIGH_BITS) + u64::from_le_bytes([0x76; 8])) | word) & HIGH_BITS
}

/// Eight bytes of 0 to 9, the first the most significant, as a number: pairs, then fours, then all.
#[inline]
fn number_of(word: u64) -> u64 {
    const MASK: u64 = 0x0000_00FF_0000_00FF;
    const HUNDREDS: u64 = 100 + (1_000_000 << 32);
    const ONES: u64 = 1 + (10_000 << 32);
    let pairs = word.wrapping_mul(10).wrapping_add(word >> 8);
    (pairs & MASK).wrapping_mul(HUNDREDS).wrapping_add((pairs >> 16 & MASK).wrapping_mul(ONES)) >> 32
}
