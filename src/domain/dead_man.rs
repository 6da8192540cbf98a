//! The venue's dead-man's switch (`countdownCancelAll`): the venue cancels a symbol's orders by itself when it has not heard of us
//! for a while. This machine decides when it is told so: while orders are open there and everything that looks after them is
//! well. Whoever is not well is left to the venue's clock.

use super::mutants::{self, Mutant};
use std::collections::{BTreeMap, BTreeSet};
use std::time::Duration;

use super::ids::{AccountId, Symbol};
use super::time::Timestamp;

/// How an account stands when the machine looks.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Watched {
    pub account: AccountId,
    /// After so long without a word the venue cancels; zero is off.
    pub after: Duration,
    /// Its executor runs, knows its orders, and the thread that it runs on beats.
    pub well: bool,
    /// Symbols with an order that the venue may have open.
    pub open_on: BTreeSet<Symbol>,
}

/// A word to the venue: cancel that symbol's orders after so long; zero takes an earlier word back.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Countdown {
    pub account: AccountId,
    pub symbol: Symbol,
    pub after: Duration,
}

fn is_fed(watched: &Watched) -> bool {
    (watched.well || mutants::on(Mutant::FedWhileUnwell)) && !watched.after.is_zero()
}

#[derive(Debug, Default)]
pub struct DeadMan {
    /// When the venue was last told.
    armed: BTreeMap<(AccountId, Symbol), Timestamp>,
}

impl DeadMan {
    /// What the venue is to be told now. Each word replaces the one before, and a third of its time is left for two that are lost.
    pub fn look(&mut self, now: Timestamp, accounts: &[Watched]) -> Vec<Countdown> {
        let mut words = Vec::new();
        for Watched { account, after, open_on, .. } in accounts.iter().filter(|watched| is_fed(watched)) {
            for symbol in open_on {
                let told = self.armed.get(&(*account, *symbol));
                if told.is_none_or(|told| now.since(*told) >= *after / 3) {
                    self.armed.insert((*account, *symbol), now);
                    words.push(Countdown { account: *account, symbol: *symbol, after: *after });
                }
            }
        }
        let of = |account: AccountId| accounts.iter().find(|watched| watched.account == account);
        self.armed.retain(|(account, symbol), told| {
            let Some(watched) = of(*account) else { return false };
            if !watched.well {
                // The venue's clock runs on: what is well again says something at once, be it that nothing is open any more.
                *told = Timestamp::ZERO;
                return true;
            }
            if watched.open_on.contains(symbol) {
                return true;
            }
            // It would cancel the next order that is made there.
            words.push(Countdown { account: *account, symbol: *symbol, after: Duration::ZERO });
            false
        });
        words
    }

    /// The venue did not hear it: it is told with the next look.
    pub fn unheard(&mut self, word: Countdown) {
        if word.after.is_zero() {
            // Long ago enough to be told again, and then taken back.
            self.armed.insert((word.account, word.symbol), Timestamp::ZERO);
        } else {
            self.armed.remove(&(word.account, word.symbol));
        }
    }

    /// Takes every word back: an orderly stop that leaves orders at the venue means them to stay.
    pub fn stand_down(&mut self) -> Vec<Countdown> {
        let armed = std::mem::take(&mut self.armed);
        armed.into_keys().map(|(account, symbol)| Countdown { account, symbol, after: Duration::ZERO }).collect()
    }
}

#[cfg(test)]
pub(crate) mod tests {
    use super::*;

    const AFTER: Duration = Duration::from_secs(60);

    fn at(seconds: u64) -> Timestamp {
        Timestamp::from_millis(1_700_000_000_000) + Duration::from_secs(seconds)
    }

    fn watched(well: bool, open_on: &[&str]) -> [Watched; 1] {
        let open_on = open_on.iter().map(|name| Symbol::new(name).unwrap()).collect();
        [Watched { account: AccountId::new("a").unwrap(), after: AFTER, well, open_on }]
    }

    fn told(words: &[Countdown]) -> Vec<(&str, u64)> {
        words.iter().map(|word| (word.symbol.as_str(), word.after.as_secs())).collect()
    }

    #[test]
    fn the_venue_hears_of_us_three_times_in_its_time_while_all_is_well() {
        let mut machine = DeadMan::default();
        assert_eq!(told(&machine.look(at(0), &watched(true, &["BTCUSDT"]))), [("BTCUSDT", 60)]);
        assert_eq!(told(&machine.look(at(19), &watched(true, &["BTCUSDT", "ETHUSDT"]))), [("ETHUSDT", 60)]);
        assert_eq!(told(&machine.look(at(20), &watched(true, &["BTCUSDT", "ETHUSDT"]))), [("BTCUSDT", 60)]);
    }

    #[test]
    pub(crate) fn whoever_is_not_well_is_left_to_the_venues_clock_and_told_of_at_once_when_it_is() {
        let mut machine = DeadMan::default();
        machine.look(at(0), &watched(true, &["BTCUSDT"]));
        assert!(machine.look(at(30), &watched(false, &["BTCUSDT"])).is_empty());
        assert_eq!(told(&machine.look(at(31), &watched(true, &["BTCUSDT"]))), [("BTCUSDT", 60)]);
        assert!(machine.look(at(90), &[]).is_empty(), "an account that is gone is nobody's business");
    }

    #[test]
    fn a_countdown_that_ran_while_all_was_not_well_is_taken_back_when_nothing_is_open_any_more() {
        let mut machine = DeadMan::default();
        machine.look(at(0), &watched(true, &["BTCUSDT"]));
        assert!(machine.look(at(10), &watched(false, &["BTCUSDT"])).is_empty());
        assert_eq!(told(&machine.look(at(12), &watched(true, &[]))), [("BTCUSDT", 0)], "it would cancel the next order");
    }

    #[test]
    fn a_symbol_without_orders_is_taken_back_so_that_its_next_order_lives() {
        let mut machine = DeadMan::default();
        machine.look(at(0), &watched(true, &["BTCUSDT"]));
        let back = machine.look(at(5), &watched(true, &[]));
        assert_eq!(told(&back), [("BTCUSDT", 0)]);
        machine.unheard(back[0]);
        assert_eq!(told(&machine.look(at(6), &watched(true, &[]))), [("BTCUSDT", 0)]);
        assert!(machine.look(at(7), &watched(true, &[])).is_empty());
    }

    #[test]
    fn a_word_that_was_not_heard_is_said_again() {
        let mut machine = DeadMan::default();
        let first = machine.look(at(0), &watched(true, &["BTCUSDT"]));
        machine.unheard(first[0]);
        assert_eq!(machine.look(at(1), &watched(true, &["BTCUSDT"])), first);
        assert_eq!(told(&machine.stand_down()), [("BTCUSDT", 0)]);
    }

    #[test]
    fn off_is_off() {
        let [watched] = watched(true, &["BTCUSDT"]);
        assert!(DeadMan::default().look(at(0), &[Watched { after: Duration::ZERO, ..watched }]).is_empty());
    }
}
