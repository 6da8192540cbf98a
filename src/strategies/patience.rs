//! How long to wait after a no. A strategy that wants the same thing with every bar would fill the journal with refusals
//! while an account is halted; this keeps count of the noes in a row and makes each wait twice as long as the one before.

use std::collections::BTreeMap;
use std::time::Duration;

use crate::domain::ids::{AccountId, Symbol};
use crate::domain::order::{OrderReport, OrderStatus};
use crate::domain::time::Timestamp;

/// The first wait: a message budget's second is over then.
const WAIT_MIN: Duration = Duration::from_secs(1);

/// The longest wait: at most one refusal a minute for as long as a halt lasts, 1,440 rows a day.
const WAIT_MAX: Duration = Duration::from_secs(60);

/// The longest wait after the venue's own noes: what it refuses time and again (a filter, missing funds) changes by hand
/// or not at all, and its order limits count what it refuses.
const REJECTED_WAIT_MAX: Duration = Duration::from_secs(3_600);

/// The wait after so many noes in a row.
#[must_use]
pub fn wait_after(noes: u32) -> Duration {
    doubled(noes, WAIT_MAX)
}

fn doubled(noes: u32, max: Duration) -> Duration {
    // Twelve doublings reach the longest wait of all.
    WAIT_MIN.saturating_mul(1 << noes.saturating_sub(1).min(12)).min(max)
}

/// Noes in a row by account and symbol.
#[derive(Debug, Clone, Default)]
pub struct Patience(BTreeMap<(AccountId, Symbol), Wait>);

#[derive(Debug, Clone, Copy, Default)]
struct Wait {
    noes: u32,
    /// Those of them that were the venue's.
    rejected: u32,
    until: Timestamp,
}

impl Patience {
    /// Somebody said no.
    pub fn refused(&mut self, account: AccountId, symbol: Symbol, now: Timestamp) {
        let wait = self.0.entry((account, symbol)).or_default();
        wait.noes = wait.noes.saturating_add(1);
        wait.until = now + wait_after(wait.noes);
    }

    /// The venue said no.
    fn rejected(&mut self, account: AccountId, symbol: Symbol, now: Timestamp) {
        self.refused(account, symbol, now);
        let wait = self.0.entry((account, symbol)).or_default();
        wait.rejected = wait.rejected.saturating_add(1);
        wait.until = wait.until.max(now + doubled(wait.rejected, REJECTED_WAIT_MAX));
    }

    /// Counts a report that is a no, and forgets the noes with a fill.
    pub fn reported(&mut self, report: &OrderReport, now: Timestamp) {
        let (account, symbol) = (report.account, report.symbol);
        match report.status {
            _ if report.fill.is_some() => drop(self.0.remove(&(account, symbol))),
            OrderStatus::Rejected => self.rejected(account, symbol, now),
            OrderStatus::NotSent => self.refused(account, symbol, now),
            _ => {}
        }
    }

    /// The account was held against its venue: a no of while it was held back for that says nothing any more. The venue's own noes do.
    pub fn recovered(&mut self, account: AccountId) {
        self.0.retain(|(of, _), wait| *of != account || wait.rejected > 0);
    }

    /// Whether it may be asked again.
    #[must_use]
    pub fn is_over(&self, account: AccountId, symbol: Symbol, now: Timestamp) -> bool {
        self.0.get(&(account, symbol)).is_none_or(|wait| wait.until <= now)
    }
}

#[cfg(test)]
mod tests {
    use super::super::testing::{account, btc, seconds};
    use super::*;

    #[test]
    fn each_wait_is_twice_the_one_before_up_to_a_minute() {
        let waits: Vec<u64> = (1..=9).map(|noes| wait_after(noes).as_secs()).collect();
        assert_eq!(waits, [1, 2, 4, 8, 16, 32, 60, 60, 60]);
        assert_eq!(wait_after(u32::MAX), WAIT_MAX);
    }

    #[test]
    fn what_the_venue_refuses_again_and_again_is_tried_once_an_hour() {
        let mut patience = Patience::default();
        let mut tries = 0;
        for second in 0..86_400 {
            if patience.is_over(account(), btc(), seconds(second)) {
                tries += 1;
                patience.rejected(account(), btc(), seconds(second));
            }
        }
        assert!((24..=40).contains(&tries), "{tries} in a day");
    }

    #[test]
    fn a_reconciliation_forgets_the_noes_of_before_except_the_venues() {
        let mut patience = Patience::default();
        let eth = Symbol::new("ETHUSDT").unwrap();
        patience.refused(account(), btc(), seconds(10));
        patience.rejected(account(), eth, seconds(10));
        patience.recovered(AccountId::new("other").unwrap());
        assert!(!patience.is_over(account(), btc(), seconds(10)), "another account's says nothing");
        patience.recovered(account());
        assert!(patience.is_over(account(), btc(), seconds(10)) && !patience.is_over(account(), eth, seconds(10)));
    }

    #[test]
    fn a_no_holds_back_its_own_account_and_symbol_alone() {
        let mut patience = Patience::default();
        patience.refused(account(), btc(), seconds(10));
        patience.refused(account(), btc(), seconds(11));
        assert!(!patience.is_over(account(), btc(), seconds(12)));
        assert!(patience.is_over(account(), btc(), seconds(13)));
        assert!(patience.is_over(AccountId::new("other").unwrap(), btc(), seconds(11)));
    }
}
