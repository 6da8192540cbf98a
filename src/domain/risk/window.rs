//! Counting within a period, and the range of a price within one. Both are bounded: a window by what its period holds, a range
//! by a fixed number of buckets. Nothing here decides.

use std::collections::VecDeque;
use std::time::Duration;

use super::super::money::Price;
use super::super::time::Timestamp;
use super::limits::MessageRate;

/// When things happened, as far back as a period.
#[derive(Debug, Clone, Default)]
pub(super) struct Window(VecDeque<Timestamp>);

impl Window {
    pub(super) fn note(&mut self, now: Timestamp, horizon: Duration) {
        self.0.push_back(now);
        while self.0.front().is_some_and(|first| now.since(*first) >= horizon) {
            self.0.pop_front();
        }
    }

    /// Whether one more would be one too many: the one that is `count` back must be out of the period.
    pub(super) fn is_full(&self, now: Timestamp, rate: MessageRate) -> bool {
        let nth_last = self.0.len().checked_sub(rate.count as usize).and_then(|index| self.0.get(index));
        rate.count == 0 || nth_last.is_some_and(|at| now.since(*at) < rate.period)
    }

    pub(super) fn clear(&mut self) {
        self.0.clear();
    }

    pub(super) fn len(&self) -> usize {
        self.0.len()
    }
}

/// A period is looked at in so many pieces: what left it up to a sixteenth of the period ago still counts.
const PIECES: u32 = 16;

#[derive(Debug, Clone, Copy)]
struct Piece {
    number: i64,
    low: Price,
    high: Price,
}

/// The lowest and the highest price within a period, kept in pieces of it, so that a look costs the same however many prices
/// came. It is never narrower than the period's true range.
#[derive(Debug, Clone)]
pub(super) struct Range {
    piece: i64,
    pieces: VecDeque<Piece>,
    whole: Option<(Price, Price)>,
}

impl Range {
    pub(super) fn over(period: Duration) -> Self {
        let piece = i64::try_from((period / PIECES).as_nanos()).unwrap_or(i64::MAX).max(1);
        Self { piece, pieces: VecDeque::with_capacity(PIECES as usize + 2), whole: None }
    }

    pub(super) fn note(&mut self, now: Timestamp, price: Price) {
        let number = now.0.div_euclid(self.piece);
        // A clock that stepped back belongs to the newest piece: what was seen is not forgotten.
        match self.pieces.back_mut().filter(|last| last.number >= number) {
            Some(last) => (last.low, last.high) = (last.low.min(price), last.high.max(price)),
            None => self.pieces.push_back(Piece { number, low: price, high: price }),
        }
        let forgotten = self.forget(number);
        self.whole = match self.whole.filter(|_| !forgotten) {
            Some((low, high)) => Some((low.min(price), high.max(price))),
            None => self.measured(),
        };
    }

    fn forget(&mut self, number: i64) -> bool {
        let before = self.pieces.len();
        while self.pieces.front().is_some_and(|first| number - first.number > i64::from(PIECES)) {
            self.pieces.pop_front();
        }
        self.pieces.len() != before
    }

    fn measured(&self) -> Option<(Price, Price)> {
        let wider = |(low, high): (Price, Price), piece: &Piece| (low.min(piece.low), high.max(piece.high));
        let first = self.pieces.front()?;
        Some(self.pieces.iter().fold((first.low, first.high), wider))
    }

    /// Lowest and highest; `None` before the first price.
    pub(super) fn ends(&self) -> Option<(Price, Price)> {
        self.whole
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn at(millis: i64) -> Timestamp {
        Timestamp::from_millis(1_700_000_000_000 + millis)
    }

    fn price(text: &str) -> Price {
        text.parse().unwrap()
    }

    #[test]
    fn a_window_is_full_at_its_count_and_free_again_when_the_period_is_over() {
        let (mut window, rate) = (Window::default(), MessageRate { count: 2, period: Duration::from_secs(10) });
        assert!(!window.is_full(at(0), rate));
        window.note(at(0), rate.period);
        assert!(!window.is_full(at(0), rate));
        window.note(at(1), rate.period);
        assert!(window.is_full(at(9_999), rate));
        assert!(!window.is_full(at(10_000), rate));
        assert!(window.is_full(at(0), MessageRate { count: 0, ..rate }), "a rate of nothing is full from the start");
    }

    #[test]
    fn a_range_holds_a_whole_period_and_forgets_what_is_well_past_it() {
        let mut range = Range::over(Duration::from_millis(1_600));
        assert_eq!(range.ends(), None);
        range.note(at(0), price("100"));
        range.note(at(800), price("90"));
        range.note(at(1_599), price("95"));
        assert_eq!(range.ends(), Some((price("90"), price("100"))), "within the period");
        range.note(at(1_800), price("95"));
        assert_eq!(range.ends(), Some((price("90"), price("95"))), "the first is past it");
        range.note(at(700), price("120"));
        assert_eq!(range.ends(), Some((price("90"), price("120"))), "a clock that steps back forgets nothing");
    }

    proptest::proptest! {
        /// Never narrower than the truth, and never older than a period and a sixteenth.
        #[test]
        fn a_range_covers_the_period_and_little_more(steps in proptest::collection::vec((0i64..400, 1i64..1_000), 1..80)) {
            let mut range = Range::over(Duration::from_millis(1_600));
            let (mut now, mut seen) = (0, Vec::new());
            for (passed, tenths) in steps {
                now += passed;
                let price = Price(rust_decimal::Decimal::new(tenths, 1));
                seen.push((now, price));
                range.note(at(now), price);
                let (low, high) = range.ends().unwrap();
                for (_, inside) in seen.iter().filter(|(when, _)| now - when <= 1_600) {
                    proptest::prop_assert!(low <= *inside && *inside <= high);
                }
                for end in [low, high] {
                    proptest::prop_assert!(seen.iter().any(|(when, was)| *was == end && now - when <= 1_800));
                }
            }
        }
    }
}
