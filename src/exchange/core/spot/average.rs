//! The average price of the last minutes, weighted by volume: what PERCENT_PRICE_BY_SIDE and the notional of market orders go by.
//! Kept by whole minutes, in ticks and lots, so that a trade costs two additions.

use rust_decimal::Decimal;

use crate::domain::instrument::{Lots, Ticks};
use crate::domain::time::Timestamp;

const MINUTE_NS: i64 = 60_000_000_000;
/// Minutes kept; the venue's longest average is of five.
const MINUTES: usize = 8;

#[derive(Debug, Clone, Copy, Default)]
struct Minute {
    number: i64,
    lots: i128,
    /// Lots × ticks.
    value: i128,
}

#[derive(Debug, Clone, Default)]
pub(in crate::exchange::core) struct AveragePrice {
    minutes: [Minute; MINUTES],
}

impl AveragePrice {
    #[inline]
    pub(in crate::exchange::core) fn add(&mut self, now: Timestamp, price: Ticks, lots: Lots) {
        let number = now.0.div_euclid(MINUTE_NS);
        let minute = &mut self.minutes[number.rem_euclid(MINUTES as i64) as usize];
        if minute.number != number {
            *minute = Minute { number, ..Minute::default() };
        }
        minute.lots += i128::from(lots.0);
        minute.value += i128::from(lots.0) * i128::from(price.0);
    }

    /// In ticks, over the last `minutes`, the running one included; `None` where nothing traded.
    pub(super) fn over(&self, now: Timestamp, minutes: u32) -> Option<Decimal> {
        let newest = now.0.div_euclid(MINUTE_NS);
        let oldest = newest - i64::from(minutes.clamp(1, MINUTES as u32)) + 1;
        let wanted = self.minutes.iter().filter(|minute| minute.lots > 0 && (oldest..=newest).contains(&minute.number));
        let (lots, value) = wanted.fold((0, 0), |(lots, value), minute| (lots + minute.lots, value + minute.value));
        Decimal::try_from_i128_with_scale(value, 0).ok()?.checked_div(Decimal::try_from_i128_with_scale(lots, 0).ok()?)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn it_is_weighted_by_volume_and_forgets_old_minutes() {
        let mut average = AveragePrice::default();
        let at = |minute: i64| Timestamp(minute * MINUTE_NS + 5);
        assert_eq!(average.over(at(1), 5), None);
        average.add(at(1), Ticks(100), Lots(3));
        average.add(at(2), Ticks(200), Lots(1));
        assert_eq!(average.over(at(2), 5), Some(Decimal::from(125)));
        assert_eq!(average.over(at(6), 5), Some(Decimal::from(200)));
        assert_eq!(average.over(at(7), 5), None);
        // The same place in the ring, eight minutes later.
        average.add(at(9), Ticks(50), Lots(2));
        assert_eq!(average.over(at(9), 8), Some(Decimal::from(100)));
    }
}
