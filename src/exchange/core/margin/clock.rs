//! What happens on a perpetual exchange because time goes by: marks and indices are sampled, funding falls due. The driver
//! calls `tick` as often as it likes; between seconds, and deadlines, that is one comparison.

use std::time::Duration;

use super::super::{Exchange, ExchangeOutput};
use crate::domain::time::Timestamp;

const SECOND: Duration = Duration::from_secs(1);

impl Exchange {
    /// Lets time go by.
    pub fn tick(&mut self, now: Timestamp, out: &mut Vec<ExchangeOutput>) {
        if now < self.next_second || self.markets.first().is_none_or(|market| market.unit.spot) {
            return;
        }
        self.next_second = Timestamp(now.0 - now.0.rem_euclid(1_000_000_000)) + SECOND;
        for account in &mut self.accounts {
            // Opened without a clock: its balance is as old as the first look at it.
            if account.margin.updated_at == Timestamp::ZERO {
                account.margin.updated_at = now;
            }
        }
        for symbol in 0..self.markets.len() {
            if self.sample_mark(symbol) {
                self.fire_triggers(now, symbol, out);
            }
            self.fund_on_grid(now, symbol);
        }
    }
}
