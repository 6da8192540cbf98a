//! What happens on a perpetual exchange because time goes by: countdowns cancel, orders with a date expire, marks and indices are
//! sampled, funding falls due, margins are looked at. The driver calls `tick` as often as it likes; between deadlines and
//! seconds that is two comparisons.

use std::time::Duration;

use super::super::{Exchange, ExchangeOutput, Reject};
use super::algo::AlgoStatus;
use crate::domain::ids::{AccountId, Symbol};
use crate::domain::order::EndReason;
use crate::domain::time::Timestamp;

const SECOND: Duration = Duration::from_secs(1);
const NEVER: Timestamp = Timestamp(i64::MAX);

impl Exchange {
    /// Lets time go by.
    pub fn tick(&mut self, now: Timestamp, out: &mut Vec<ExchangeOutput>) {
        if now >= self.next_deadline {
            self.meet_deadlines(now, out);
        }
        if now >= self.next_second && self.markets.first().is_some_and(|market| !market.unit.spot) {
            self.next_second = Timestamp(now.0 - now.0.rem_euclid(1_000_000_000)) + SECOND;
            self.every_second(now, out);
        }
    }

    /// Cancels all of an account's orders on a symbol when the time is over, unless it is asked for again before; `None` disarms.
    ///
    /// # Errors
    /// When the account or the symbol is unknown.
    pub fn countdown(&mut self, now: Timestamp, account: AccountId, symbol: Symbol, time: Option<Duration>) -> Result<(), Reject> {
        let holder = self.account_index(account)?;
        self.symbol_index(symbol).ok_or(Reject::UnknownSymbol)?;
        let countdowns = &mut self.accounts[holder].margin.countdowns;
        match time {
            Some(time) => {
                countdowns.insert(symbol, now + time);
                self.next_deadline = self.next_deadline.min(now + time);
            }
            None => {
                countdowns.remove(&symbol);
            }
        }
        self.changes.account(holder);
        Ok(())
    }

    /// An order that has a date is looked for when that has come.
    pub(in super::super) fn note_date(&mut self, good_till: Option<Timestamp>) {
        self.next_deadline = self.next_deadline.min(good_till.unwrap_or(NEVER));
    }

    fn every_second(&mut self, now: Timestamp, out: &mut Vec<ExchangeOutput>) {
        for account in &mut self.accounts {
            // Opened without a clock: its balance is as old as the first look at it.
            if account.margin.updated_at == Timestamp::ZERO {
                account.margin.updated_at = now;
            }
        }
        for symbol in 0..self.markets.len() {
            self.sample_mark(symbol);
            self.fund_on_grid(now, symbol);
            self.check_margins(now, symbol, out);
            self.fire_triggers(now, symbol, out);
        }
    }

    fn meet_deadlines(&mut self, now: Timestamp, out: &mut Vec<ExchangeOutput>) {
        for account in 0..self.accounts.len() {
            let countdowns = &mut self.accounts[account].margin.countdowns;
            let over: Vec<Symbol> = countdowns.iter().filter(|(_, at)| **at <= now).map(|(symbol, _)| *symbol).collect();
            for symbol in over {
                self.accounts[account].margin.countdowns.remove(&symbol);
                self.changes.account(account);
                self.cancel_all(now, account, Some(symbol), out);
            }
        }
        for symbol in 0..self.markets.len() {
            self.expire_dated(now, symbol, out);
        }
        self.next_deadline = self.earliest_deadline();
    }

    /// Ends the orders whose date has come, the oldest first.
    fn expire_dated(&mut self, now: Timestamp, symbol: usize, out: &mut Vec<ExchangeOutput>) {
        let market = &self.markets[symbol];
        let mut orders: Vec<(u64, u32)> =
            market.orders.iter().filter(|(_, order)| order.good_till() <= now).map(|(slot, order)| (order.id, slot)).collect();
        let mut algos: Vec<(u64, u32)> =
            market.algos.iter().filter(|(_, order)| order.good_till() <= now).map(|(slot, order)| (order.id, slot)).collect();
        orders.sort_unstable();
        algos.sort_unstable();
        for (_, slot) in orders {
            self.end_open(now, symbol, slot, EndReason::Expired, out);
        }
        for (_, slot) in algos {
            self.end_algo(now, symbol, slot, AlgoStatus::Expired);
        }
    }

    pub(in super::super) fn earliest_deadline(&self) -> Timestamp {
        let countdowns = self.accounts.iter().flat_map(|account| account.margin.countdowns.values().copied());
        let dates =
            self.markets.iter().flat_map(|market| market.orders.iter().chain(market.algos.iter())).map(|(_, order)| order.good_till());
        countdowns.chain(dates).min().unwrap_or(NEVER)
    }
}

impl super::super::orders::Order {
    /// When it ends by itself.
    fn good_till(&self) -> Timestamp {
        self.extras.as_ref().and_then(|extras| extras.good_till).unwrap_or(NEVER)
    }
}
