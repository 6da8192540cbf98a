//! Money that moves without a trade: the venue's ledger entries, booked once each by their ids (F16). Funding and insurance are
//! part of a day's result; what is paid in or out is not.

use super::super::mode::Mode;
use super::super::money::Money;
use super::super::mutants::{self, Mutant};
use super::super::order::{FundsKind, FundsMoved};
use super::super::record::Record;
use super::super::time::Timestamp;
use super::{Effect, OrderManager, Out};

impl OrderManager {
    /// What moved the wallet before the venue's was taken over is in that, and is not counted a second time.
    pub(super) fn book_funds(&mut self, now: Timestamp, listed: &[FundsMoved], out: &mut Out) {
        if !self.met {
            return;
        }
        let positions = &mut self.positions;
        let mut is_news = |entry: &&FundsMoved| {
            (mutants::on(Mutant::WalletCountedTwice) || !positions.is_in_wallet(entry)) && positions.move_funds(entry)
        };
        let moved: Vec<FundsMoved> = listed.iter().filter(|entry| is_news(entry)).copied().collect();
        if moved.is_empty() {
            return;
        }
        for entry in moved.iter().filter(|entry| entry.kind == FundsKind::Transfer) {
            // F17: a hand moved it, and nothing is opened on what is left until a person has looked.
            let cause = format!("{} was paid in or out by hand: entry {} of the venue's ledger, of {}", entry.amount, entry.id, entry.at);
            out.push(Effect::Trip { mode: Mode::ReduceOnly, cause });
        }
        let paid: Money = moved.iter().filter(|entry| entry.kind == FundsKind::Transfer).map(|entry| entry.amount).sum();
        let mut rows = vec![Record::FundsMoved { account: self.account, moved }];
        // Money paid in is no profit, and must not hide a day's loss; money taken out is no loss.
        if let Some(day) = self.day.as_mut().filter(|_| !paid.is_zero()) {
            day.equity += paid;
            rows.push(Record::DayOpened { account: self.account, utc_day: day.utc_day, equity: day.equity });
        }
        if !paid.is_zero() {
            rows.extend(self.shift_peaks(now, paid));
        }
        out.persist(rows, vec![]);
        if self.is_ready() {
            self.tell_account(now, out);
        }
    }
}
