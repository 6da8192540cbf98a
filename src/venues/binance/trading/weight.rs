//! How much of a host's request weight is left, for all accounts that share the address it is counted by. A pure machine: it is
//! told the time, what is about to be asked and what the venue answered; it says whether to ask now or when. What the server
//! reports counts; what is on its way is added. It waits for nobody.

use std::time::Duration;

use crate::domain::time::Timestamp;

const MINUTE: Duration = Duration::from_secs(60);
/// What the kill switch always finds: a list of everything open (80 on the dearest product), a cancel for each of twenty symbols,
/// and a second look.
const KILL_RESERVE: u32 = 200;
/// How long a 418 without a time shuts us out: the shortest ban there is.
const BAN: Duration = Duration::from_secs(120);
/// No `Retry-After` is believed beyond the longest ban there is.
const BAN_MAX: Duration = Duration::from_secs(3 * 86_400);

/// What a request is for. Each may use what the ones before it leave, and a share more.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub enum Purpose {
    /// History, rules of symbols: may wait.
    Market,
    /// Books of an account, its settings.
    Account,
    /// Placing, asking for and cancelling one order.
    Order,
    /// The kill switch.
    Kill,
}

/// Not now.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error("the venue's request weight is used up: {used} of {limit} until {until}")]
pub struct Exhausted {
    pub until: Timestamp,
    pub used: u32,
    pub limit: u32,
}

/// The machine: one for each host.
#[derive(Debug, Clone)]
pub struct WeightBudget {
    limit: u32,
    /// Kept for orders, of a thousand.
    reserved_permille: u32,
    minute: i64,
    /// By the server's word, in this minute.
    used: u32,
    on_its_way: u32,
    shut_until: Timestamp,
}

impl WeightBudget {
    #[must_use]
    pub fn new(limit: u32, reserved_permille: u32) -> Self {
        Self { limit, reserved_permille: reserved_permille.min(900), minute: 0, used: 0, on_its_way: 0, shut_until: Timestamp::ZERO }
    }

    /// The venue's own figure, once it has been read.
    pub fn set_limit(&mut self, limit: u32) {
        self.limit = limit.max(1);
    }

    /// Takes what a request weighs, or says when to ask again.
    ///
    /// # Errors
    /// When it must wait.
    pub fn take(&mut self, now: Timestamp, purpose: Purpose, weight: u32) -> Result<(), Exhausted> {
        self.check(now, purpose, weight)?;
        self.on_its_way += weight;
        Ok(())
    }

    /// Whether a request could leave now.
    ///
    /// # Errors
    /// When it must wait.
    pub fn check(&mut self, now: Timestamp, purpose: Purpose, weight: u32) -> Result<(), Exhausted> {
        self.turn(now);
        let used = self.used(now);
        if now < self.shut_until {
            return Err(Exhausted { until: self.shut_until, used, limit: self.limit });
        }
        // What weighs nothing uses nothing up.
        if weight == 0 || used.saturating_add(weight) <= self.share_of(purpose) {
            return Ok(());
        }
        Err(Exhausted { until: next_minute(now), used, limit: self.limit })
    }

    fn share_of(&self, purpose: Purpose) -> u32 {
        let kill = KILL_RESERVE.min(self.limit / 4);
        let reserved = u32::try_from(u64::from(self.limit) * u64::from(self.reserved_permille) / 1_000).unwrap_or(self.limit);
        match purpose {
            // History never crowds out the books.
            Purpose::Market => (self.limit - kill).saturating_sub(reserved) / 4 * 3,
            Purpose::Account => (self.limit - kill).saturating_sub(reserved),
            Purpose::Order => self.limit - kill,
            Purpose::Kill => self.limit,
        }
    }

    /// A request is over. `used` is the server's figure, where it gave one.
    pub fn answered(&mut self, now: Timestamp, weight: u32, used: Option<u32>) {
        self.turn(now);
        self.on_its_way = self.on_its_way.saturating_sub(weight);
        self.used = used.unwrap_or(self.used.saturating_add(weight));
    }

    /// The server shut us out (429, 418). Everybody waits: who goes on asking is shut out for longer.
    pub fn refused(&mut self, now: Timestamp, status: u16, retry_after: Option<Duration>) {
        let standard = if status == 418 { BAN } else { next_minute(now).since(now) };
        let until = now + retry_after.unwrap_or(standard).min(BAN_MAX);
        self.shut_until = self.shut_until.max(until);
        self.used = self.limit;
    }

    /// What counts against the limit now: a gauge.
    #[must_use]
    pub fn used(&self, now: Timestamp) -> u32 {
        // The server's figure is whatever it says.
        if number(now) == self.minute { self.used.saturating_add(self.on_its_way) } else { self.on_its_way }
    }

    /// Until when nothing may be asked, if so.
    #[must_use]
    pub fn shut(&self, now: Timestamp) -> Option<Timestamp> {
        (now < self.shut_until).then_some(self.shut_until)
    }

    fn turn(&mut self, now: Timestamp) {
        if number(now) != self.minute {
            self.minute = number(now);
            self.used = 0;
        }
    }
}

fn number(now: Timestamp) -> i64 {
    now.as_millis().div_euclid(60_000)
}

fn next_minute(now: Timestamp) -> Timestamp {
    Timestamp::from_millis(number(now) * 60_000) + MINUTE
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn at(seconds: i64) -> Timestamp {
        Timestamp::from_millis(seconds * 1_000)
    }

    #[test]
    fn what_is_kept_for_cancels_and_for_the_kill_switch_is_left_for_them() {
        let mut budget = WeightBudget::new(2_400, 250);
        for purpose in [Purpose::Market, Purpose::Account, Purpose::Order, Purpose::Kill] {
            while budget.take(at(1), purpose, 10).is_ok() {}
            assert!(budget.take(at(1), purpose, 10).is_err());
        }
        assert_eq!(budget.used(at(1)), 2_400);
        let mut budget = WeightBudget::new(2_400, 250);
        while budget.take(at(1), Purpose::Account, 40).is_ok() {}
        assert!((1_560..=1_600).contains(&budget.used(at(1))), "{}", budget.used(at(1)));
        assert!(budget.take(at(1), Purpose::Order, 600).is_ok());
        assert!(budget.take(at(1), Purpose::Order, 40).is_err());
        assert!(budget.take(at(1), Purpose::Kill, 200).is_ok());
    }

    #[test]
    fn the_servers_figure_counts_and_the_next_minute_is_a_new_one() {
        let mut budget = WeightBudget::new(100, 0);
        budget.take(at(1), Purpose::Account, 5).unwrap();
        // Somebody else uses the same address.
        budget.answered(at(2), 5, Some(90));
        let wait = budget.take(at(3), Purpose::Account, 5).unwrap_err();
        assert_eq!((wait.until, wait.used), (at(60), 90));
        assert!(budget.take(at(60), Purpose::Account, 5).is_ok());
        budget.answered(at(60), 0, Some(u32::MAX));
        assert!(budget.take(at(61), Purpose::Kill, 1).is_err(), "a figure that is none is as good as all of it");
        // A server that counts a success as nothing.
        budget.answered(at(61), 5, Some(0));
        assert_eq!(budget.used(at(61)), 0);
    }

    #[test]
    fn retry_after_is_obeyed_by_everybody_and_a_ban_is_not_shortened() {
        let mut budget = WeightBudget::new(2_400, 250);
        budget.refused(at(10), 418, Some(Duration::from_secs(300)));
        budget.refused(at(11), 429, Some(Duration::from_secs(1)));
        for purpose in [Purpose::Market, Purpose::Order, Purpose::Kill] {
            assert_eq!(budget.take(at(309), purpose, 0).unwrap_err().until, at(310));
        }
        assert!(budget.take(at(310), Purpose::Kill, 1).is_ok());
        let mut budget = WeightBudget::new(2_400, 250);
        budget.refused(at(10), 429, None);
        assert_eq!(budget.shut(at(11)), Some(at(60)));
        budget.refused(at(61), 418, None);
        assert_eq!(budget.shut(at(62)), Some(at(181)));
    }

    proptest! {
        #[test]
        fn nobody_ever_takes_more_than_the_limit(asks in proptest::collection::vec((0i64..200, 0u8..4, 0u32..60, any::<bool>()), 1..300)) {
            let mut budget = WeightBudget::new(1_000, 300);
            let mut time = 0;
            for (step, purpose, weight, answered) in asks {
                time += step;
                let purpose = [Purpose::Market, Purpose::Account, Purpose::Order, Purpose::Kill][usize::from(purpose)];
                let now = Timestamp::from_millis(time * 100);
                if budget.take(now, purpose, weight).is_ok() {
                    prop_assert!(weight == 0 || budget.used(now) <= 1_000);
                    if answered {
                        budget.answered(now, weight, None);
                    }
                }
            }
        }
    }
}
