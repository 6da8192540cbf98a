//! How much a client may ask: weight a minute for each address, new orders an interval for each account. A pure machine that
//! counts in the venue's calendar intervals (a minute begins with the minute), refuses with the venue's errors, and shuts out for
//! a growing time whoever goes on after being refused. It knows no route: what a request weighs is told.

use std::collections::{BTreeMap, HashMap};
use std::net::IpAddr;
use std::time::Duration;

use crate::domain::ids::AccountId;
use crate::domain::time::Timestamp;

use super::problem::Problem;

const MINUTE: Duration = Duration::from_secs(60);
const DAY: Duration = Duration::from_secs(86_400);
/// Requests refused within one minute before the address is banned: a client with some in flight is forgiven, one that does
/// not listen is not.
const REFUSALS_MAX: u32 = 20;
/// "From 2 minutes to 3 days."
const BAN_MIN: Duration = Duration::from_secs(120);
const BAN_MAX: Duration = Duration::from_secs(3 * 86_400);
/// Addresses remembered. On loopback there is one; beyond this the ones with nothing against them are forgotten.
const ADDRESSES_MAX: usize = 4_096;

/// One of the intervals that orders are counted by.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct OrderInterval {
    pub length: Duration,
    pub max: u32,
    /// `x-mbx-order-count-10s`.
    pub header: &'static str,
    /// `SECOND` and 10, as `rateLimits` writes it.
    pub unit: &'static str,
    pub count: u32,
}

/// The limits of a product.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct LimitRules {
    pub spot: bool,
    pub weight_per_minute: u32,
    pub orders: [OrderInterval; 2],
    /// Off: everything is counted and shown, nothing is refused.
    pub enforced: bool,
}

impl LimitRules {
    #[must_use]
    pub const fn spot() -> Self {
        Self {
            spot: true,
            weight_per_minute: 6_000,
            orders: [
                OrderInterval { length: Duration::from_secs(10), max: 100, header: "x-mbx-order-count-10s", unit: "SECOND", count: 10 },
                OrderInterval { length: DAY, max: 200_000, header: "x-mbx-order-count-1d", unit: "DAY", count: 1 },
            ],
            enforced: true,
        }
    }

    #[must_use]
    pub const fn usdm() -> Self {
        Self {
            spot: false,
            weight_per_minute: 2_400,
            orders: [
                OrderInterval { length: Duration::from_secs(10), max: 300, header: "x-mbx-order-count-10s", unit: "SECOND", count: 10 },
                OrderInterval { length: MINUTE, max: 1_200, header: "x-mbx-order-count-1m", unit: "MINUTE", count: 1 },
            ],
            enforced: true,
        }
    }
}

/// A count that begins anew with each calendar interval.
#[derive(Debug, Clone, Copy, Default)]
struct Window {
    number: i64,
    used: u32,
}

impl Window {
    fn at(&mut self, now: Timestamp, length: Duration) -> &mut Self {
        let number = number(now, length);
        // Two requests at an interval's very end may come here in the other order: the one before is not begun again. Further back
        // is another clock, and all begins anew.
        if number != self.number && number != self.number - 1 {
            *self = Self { number, used: 0 };
        }
        self
    }
}

fn number(now: Timestamp, length: Duration) -> i64 {
    now.0.div_euclid(nanos(length))
}

fn nanos(length: Duration) -> i64 {
    // Invariant: lengths are the constants above, days at most.
    i64::try_from(length.as_nanos()).unwrap_or(i64::MAX)
}

fn next(now: Timestamp, length: Duration) -> Timestamp {
    Timestamp((number(now, length) + 1).saturating_mul(nanos(length)))
}

#[derive(Debug, Default)]
struct Address {
    weight: Window,
    refused: Window,
    bans: u32,
    banned_until: Option<Timestamp>,
}

impl Address {
    fn is_idle(&self, now: Timestamp) -> bool {
        self.bans == 0 && self.weight.number != number(now, MINUTE)
    }
}

/// The counts of one product. Each question is asked at the time that it is by then: a request that took minutes, asked at the time
/// at which it came, would begin a long past interval again and lose what was counted since.
#[derive(Debug)]
pub struct Limits {
    rules: LimitRules,
    addresses: HashMap<IpAddr, Address>,
    orders: BTreeMap<AccountId, [Window; 2]>,
    /// A ban that was asked for.
    everybody_until: Option<Timestamp>,
}

impl Limits {
    #[must_use]
    pub fn new(rules: LimitRules) -> Self {
        Self { rules, addresses: HashMap::new(), orders: BTreeMap::new(), everybody_until: None }
    }

    #[must_use]
    pub const fn rules(&self) -> &LimitRules {
        &self.rules
    }

    /// Counts a request before it is looked at, and says what the address has used in this minute.
    ///
    /// # Errors
    /// 429 above the limit, 418 while banned.
    pub fn request(&mut self, now: Timestamp, peer: IpAddr, weight: u32) -> Result<u32, Problem> {
        let (spot, max, enforced) = (self.rules.spot, self.rules.weight_per_minute, self.rules.enforced);
        let everybody = self.everybody_until.filter(|until| now < *until);
        let address = self.address(now, peer);
        if let Some(until) = everybody.or(address.banned_until) {
            if now < until {
                return Err(Problem::banned(spot, peer, until));
            }
            address.banned_until = None;
        }
        let window = address.weight.at(now, MINUTE);
        let used = window.used.saturating_add(weight);
        if !enforced || used <= max {
            window.used = used;
            return Ok(used);
        }
        let refused = address.refused.at(now, MINUTE);
        refused.used += 1;
        if refused.used > REFUSALS_MAX {
            let until = address.ban(now);
            return Err(Problem::banned(spot, peer, until));
        }
        Err(Problem::too_much_weight(spot, peer, max, next(now, MINUTE)))
    }

    /// Adds what only the outcome shows: a failed order costs what a successful one does not.
    pub fn add(&mut self, now: Timestamp, peer: IpAddr, weight: u32) -> u32 {
        let window = self.address(now, peer).weight.at(now, MINUTE);
        window.used = window.used.saturating_add(weight);
        window.used
    }

    #[must_use]
    pub fn used(&mut self, now: Timestamp, peer: IpAddr) -> u32 {
        self.add(now, peer, 0)
    }

    /// Shuts every address out whatever it did: a fault on demand.
    pub fn ban_all(&mut self, until: Timestamp) {
        self.everybody_until = Some(until);
    }

    /// Whoever is shut out may come back; a fault on demand is over.
    pub fn lift_bans(&mut self) {
        self.everybody_until = None;
    }

    /// Counts new orders before they are looked at.
    ///
    /// # Errors
    /// -1015 when an interval has no room for them.
    pub fn reserve(&mut self, now: Timestamp, account: AccountId, count: u32) -> Result<(), Problem> {
        let Self { rules, orders, .. } = self;
        let windows = orders.entry(account).or_default();
        for (window, interval) in windows.iter_mut().zip(&rules.orders) {
            if rules.enforced && window.at(now, interval.length).used.saturating_add(count) > interval.max {
                let words = format!("{} {}", interval.count, interval.unit);
                return Err(Problem::too_many_orders(interval.max, &words, next(now, interval.length)));
            }
        }
        for (window, interval) in windows.iter_mut().zip(&rules.orders) {
            let window = window.at(now, interval.length);
            window.used = window.used.saturating_add(count);
        }
        Ok(())
    }

    /// Takes orders out of the counts of the intervals that they were counted in, as far as those last: they were refused.
    pub fn take_out(&mut self, counted_at: Timestamp, account: AccountId, count: u32) {
        let Self { rules, orders, .. } = self;
        let Some(windows) = orders.get_mut(&account) else { return };
        for (window, interval) in windows.iter_mut().zip(&rules.orders) {
            if window.number == number(counted_at, interval.length) {
                window.used = window.used.saturating_sub(count);
            }
        }
    }

    /// Takes orders out of the counts of now: on spot, that they began to fill.
    pub fn give_back(&mut self, now: Timestamp, account: AccountId, count: u32) {
        let Self { rules, orders, .. } = self;
        let Some(windows) = orders.get_mut(&account) else { return };
        for (window, interval) in windows.iter_mut().zip(&rules.orders) {
            let window = window.at(now, interval.length);
            window.used = window.used.saturating_sub(count);
        }
    }

    /// The orders of an account, an entry for each interval.
    #[must_use]
    pub fn orders(&mut self, now: Timestamp, account: AccountId) -> [u32; 2] {
        let Self { rules, orders, .. } = self;
        let Some(windows) = orders.get_mut(&account) else { return [0; 2] };
        [windows[0].at(now, rules.orders[0].length).used, windows[1].at(now, rules.orders[1].length).used]
    }

    fn address(&mut self, now: Timestamp, peer: IpAddr) -> &mut Address {
        if self.addresses.len() >= ADDRESSES_MAX && !self.addresses.contains_key(&peer) {
            self.addresses.retain(|_, address| !address.is_idle(now));
        }
        self.addresses.entry(peer).or_default()
    }
}

impl Address {
    /// Twice as long each time.
    fn ban(&mut self, now: Timestamp) -> Timestamp {
        let length = BAN_MIN.saturating_mul(1 << self.bans.min(16)).min(BAN_MAX);
        self.bans += 1;
        self.refused = Window::default();
        let until = now + length;
        self.banned_until = Some(until);
        until
    }
}

#[cfg(test)]
mod tests {
    use std::net::Ipv4Addr;

    use super::*;

    const HOME: IpAddr = IpAddr::V4(Ipv4Addr::LOCALHOST);
    const AWAY: IpAddr = IpAddr::V4(Ipv4Addr::new(10, 0, 0, 1));
    /// 2023-11-14 22:13:20 UTC.
    const START: Timestamp = Timestamp::from_millis(1_700_000_000_000);

    fn status(result: Result<u32, Problem>) -> u16 {
        result.map_or_else(|problem| problem.status, |_| 200)
    }

    #[test]
    fn weight_is_counted_by_address_and_the_calendar_minute() {
        let mut limits = Limits::new(LimitRules::spot());
        assert_eq!(limits.request(START, HOME, 6_000), Ok(6_000));
        let refused = limits.request(START, HOME, 1).unwrap_err();
        assert_eq!((refused.status, refused.code), (429, -1003));
        // The minute ends 40 s later, whenever the first request came.
        assert_eq!(refused.retry_at, Some(START + Duration::from_secs(40)));
        assert_eq!(limits.request(START, AWAY, 1), Ok(1));
        assert_eq!(limits.request(START + Duration::from_secs(40), HOME, 1), Ok(1));
        // One that was overtaken at the minute's end.
        assert_eq!(limits.request(START + Duration::from_millis(39_999), HOME, 1), Ok(2));
        assert_eq!(limits.used(START + Duration::from_secs(41), HOME), 2);
    }

    #[test]
    fn who_goes_on_after_429_is_banned_and_longer_each_time() {
        let mut limits = Limits::new(LimitRules::usdm());
        let mut now = START;
        for minutes in [2, 4, 8] {
            assert_eq!(status(limits.request(now, HOME, 2_400)), 200);
            for _ in 0..REFUSALS_MAX {
                assert_eq!(status(limits.request(now, HOME, 1)), 429);
            }
            let banned = limits.request(now, HOME, 1).unwrap_err();
            assert_eq!((banned.status, banned.code), (418, -1003));
            let until = now + Duration::from_secs(60 * minutes);
            assert_eq!(banned.retry_at, Some(until));
            assert_eq!(status(limits.request(until - Duration::from_millis(1), HOME, 1)), 418);
            assert_eq!(status(limits.request(now, AWAY, 1)), 200);
            now = until;
        }
        assert_eq!(status(limits.request(now, HOME, 1)), 200);
    }

    #[test]
    fn a_ban_that_was_asked_for_ends_by_itself() {
        let mut limits = Limits::new(LimitRules::spot());
        limits.ban_all(START + Duration::from_secs(5));
        assert_eq!(status(limits.request(START, HOME, 1)), 418);
        assert_eq!(status(limits.request(START + Duration::from_secs(5), HOME, 1)), 200);
    }

    #[test]
    fn orders_are_counted_by_account_in_both_intervals_and_can_be_given_back() {
        let account = AccountId::new("a").unwrap();
        let mut limits = Limits::new(LimitRules::spot());
        limits.reserve(START, account, 100).unwrap();
        let refused = limits.reserve(START, account, 1).unwrap_err();
        assert_eq!((refused.status, refused.code), (429, -1015));
        assert_eq!(refused.msg, "Too many new orders; current limit is 100 orders per 10 SECOND.");
        assert_eq!(limits.orders(START, account), [100, 100]);
        limits.give_back(START, account, 1);
        assert_eq!(limits.reserve(START, account, 1), Ok(()));
        assert_eq!(limits.orders(START + Duration::from_secs(10), account), [0, 100]);
        assert_eq!(limits.reserve(START, AccountId::new("b").unwrap(), 100), Ok(()));
    }

    #[test]
    fn a_refusal_that_comes_after_its_interval_takes_nothing_out_of_the_next() {
        let account = AccountId::new("a").unwrap();
        let mut limits = Limits::new(LimitRules::usdm());
        limits.reserve(START, account, 1).unwrap();
        let later = START + Duration::from_secs(10);
        limits.reserve(later, account, 5).unwrap();
        limits.take_out(START, account, 1);
        assert_eq!(limits.orders(later, account), [5, 5], "the minute has both");
    }

    #[test]
    fn limits_that_are_not_enforced_are_counted_all_the_same() {
        let mut limits = Limits::new(LimitRules { enforced: false, ..LimitRules::spot() });
        assert_eq!(limits.request(START, HOME, 1_000_000), Ok(1_000_000));
        assert_eq!(limits.reserve(START, AccountId::new("a").unwrap(), 1_000), Ok(()));
    }
}
