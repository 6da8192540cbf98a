//! What an account notices of a perpetual exchange: margin, conditional orders, liquidation, funding. The verbs here move time
//! and the mark, and gather what the user streams tell.

mod algos;
mod liquidation;
mod money;
mod orders;
mod properties;
mod settings;

use std::time::Duration;

use super::*;
use crate::domain::ids::Asset;
use crate::exchange::core::margin::{AlgoStatus, IncomeKind, MarginType, PositionRisk, UsdmReject};
use crate::exchange::core::report::{AccountReason, UserEvent, UserReport};
use crate::exchange::core::request::{Extras, OrderRequest, Trailing};

/// 2023-11-14 22:13:20 UTC, not far before a funding.
const START: Timestamp = Timestamp::from_millis(1_700_000_000_000);

/// A desk that tells everything, with a deep book around `MID` and a source that shows marks.
fn desk() -> Desk {
    let config = ExchangeConfig { log_changes: true, log_reports: true, ..ExchangeConfig::default() };
    let mut desk = Desk::with(config, InstrumentKind::Perpetual);
    desk.now = START;
    desk.snapshot(&[(MID - 10, 100_000)], &[(MID + 10, 100_000)]);
    desk.print(MID, 1, true);
    desk.mark(MID);
    desk.exchange.drain_reports();
    desk
}

impl Desk {
    fn mark(&mut self, ticks: i64) -> Vec<VenueEvent> {
        self.market(MarketEventRef::Mark(price(ticks)))
    }

    /// Moves book, last trade and mark.
    fn moves_to(&mut self, ticks: i64) -> Vec<VenueEvent> {
        let mut events = self.snapshot(&[(ticks - 10, 100_000)], &[(ticks + 10, 100_000)]);
        events.extend(self.print(ticks, 1, true));
        events.extend(self.mark(ticks));
        events
    }

    fn pass(&mut self, time: Duration) -> Vec<VenueEvent> {
        self.now = self.now + time;
        self.exchange.tick(self.now, &mut self.out);
        self.out.drain(..).map(|output| output.event).collect()
    }

    fn reports(&mut self) -> Vec<UserEvent> {
        self.exchange.drain_reports().into_iter().map(|report: UserReport| report.event).collect()
    }

    fn buys(&mut self, name: &str, lots: i64) {
        let order = self.at_market(Side::Buy, lots);
        assert_eq!(rejection(&self.place(name, order).1), None);
    }

    fn sells(&mut self, name: &str, lots: i64) {
        let order = self.at_market(Side::Sell, lots);
        assert_eq!(rejection(&self.place(name, order).1), None);
    }

    fn risk(&self, name: &str) -> PositionRisk {
        self.exchange.position_risks(account(name), Some(btc())).remove(0)
    }

    fn wallet(&self, name: &str) -> Decimal {
        self.exchange.account_margin(account(name)).unwrap().assets[0].wallet.0
    }

    fn income(&self, name: &str, kind: IncomeKind) -> Decimal {
        self.exchange.income(account(name)).filter(|row| row.kind == kind).map(|row| row.amount.0).sum()
    }

    /// A wallet is its deposit and the sum of its income.
    fn check_ledger(&self, name: &str, deposit: i64) {
        let income: Decimal = self.exchange.income(account(name)).map(|row| row.amount.0).sum();
        assert_eq!(self.wallet(name), Decimal::from(deposit) + income, "{name}");
    }
}

fn decimal(text: &str) -> Decimal {
    text.parse().unwrap()
}

fn usdt() -> Asset {
    Asset::new("USDT").unwrap()
}

fn refused<T>(code: UsdmReject) -> Result<T, Reject> {
    Err(Reject::Usdm(code))
}
