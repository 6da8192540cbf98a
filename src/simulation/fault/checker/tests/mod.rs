//! The checker, checked: for each invariant a history that breaks it and one at its limit that does not.

use std::sync::Arc;
use std::time::Duration;

use super::*;
use crate::domain::ids::{AccountId, ClientOrderId, Epoch, Incarnation, IntentId, StrategyId, Symbol};
use crate::domain::ladder::ModeTable;
use crate::domain::mode::{Mode, Scope};
use crate::domain::money::{Money, Price, Quantity};
use crate::domain::order::{
    EndReason, Fill, FundsKind, FundsMoved, NewOrder, OrderIntent, OrderKind, OrderReport, OrderStatus, PositionSide, Refusal, Side,
    TimeInForce, VenuePosition, VenueSnapshot,
};
use crate::domain::record::Record;
use crate::domain::risk::limits::{AccountLimits, RiskLimits, SymbolLimits};
use crate::simulation::fault::Class;
use crate::simulation::fault::venue::{Truth, VenueFact};

mod books;
mod modes;
mod sends;

const RISK: Incarnation = Incarnation(1);

fn account(name: &str) -> AccountId {
    AccountId::new(name).unwrap()
}

fn btc() -> Symbol {
    Symbol::new("BTCUSDT").unwrap()
}

fn modes(entries: &[(Scope, Mode)]) -> ModeTable {
    let mut table = ModeTable::default();
    entries.iter().for_each(|(scope, mode)| table.set(*scope, *mode, "test", Timestamp::ZERO));
    table
}

/// An intent for a limit order at 100.
fn intent(counter: u32, account: AccountId, side: Side, quantity: &str) -> OrderIntent {
    OrderIntent {
        id: IntentId::compose(Epoch(1), 1, counter),
        strategy: StrategyId::new("s").unwrap(),
        account,
        symbol: btc(),
        side,
        position_side: PositionSide::Both,
        kind: OrderKind::Limit { price: Price("100".parse().unwrap()) },
        time_in_force: TimeInForce::GoodTilCanceled,
        quantity: quantity.parse().unwrap(),
        reduce_only: false,
        stop: None,
        decided_at: Timestamp::ZERO,
        reason: "test".into(),
        trace: None,
    }
}

fn at(mut intent: OrderIntent, price: &str) -> OrderIntent {
    intent.kind = OrderKind::Limit { price: price.parse().unwrap() };
    intent
}

fn order(intent: &OrderIntent) -> NewOrder {
    NewOrder {
        client_order_id: ClientOrderId::compose(intent.account, Epoch(1), intent.id),
        symbol: intent.symbol,
        side: intent.side,
        position_side: intent.position_side,
        kind: intent.kind,
        time_in_force: intent.time_in_force,
        quantity: intent.quantity,
        reduce_only: intent.reduce_only,
        self_trade_prevention: Default::default(),
    }
}

fn fill(intent: &OrderIntent, trade_id: u64, quantity: &str) -> Fill {
    let order = order(intent);
    Fill {
        account: intent.account,
        symbol: intent.symbol,
        client_order_id: order.client_order_id,
        venue_order_id: intent.id.0,
        trade_id,
        side: intent.side,
        position_side: PositionSide::Both,
        price: "100".parse().unwrap(),
        quantity: quantity.parse().unwrap(),
        fee: "0.01".parse().unwrap(),
        fee_taken: None,
        maker: true,
        at: Timestamp::ZERO,
    }
}

fn row(fill: &Fill) -> Record {
    Record::Filled { fill: fill.clone(), intent: None, strategy: None }
}

fn intended(intent: &OrderIntent, risk_incarnation: Incarnation) -> Record {
    Record::OrderIntended { intent: Arc::new(intent.clone()), order: order(intent), risk_incarnation }
}

fn mode_row(scope: Scope, from: Mode, to: Mode, by: Option<&str>) -> Record {
    let by = by.map(str::to_owned);
    Record::ModeChanged { scope, from, to, cause: "test".into(), reason: by.clone(), by }
}

/// A checker that is told things, and what it said to them.
struct Case {
    checker: Checker,
    now: Timestamp,
    said: Vec<Violation>,
}

impl Case {
    /// A daemon that is up, with three reconciled accounts of one owner, at 100.
    fn new() -> Self {
        let mut case = Self { checker: Checker::default(), now: Timestamp::from_millis(1_000_000), said: Vec::new() };
        let accounts = ["a", "b", "c"].map(account);
        let symbol = SymbolLimits { max_position_value: Some("1000".parse().unwrap()), ..SymbolLimits::default() };
        let account = AccountLimits { symbols: [(btc(), symbol)].into(), ..AccountLimits::default() };
        let limits = RiskLimits {
            max_capital: Some("1500".parse().unwrap()),
            accounts: accounts.iter().map(|id| (*id, account.clone())).collect(),
            ..RiskLimits::default()
        };
        let holders = accounts.map(|account| Holder { account, owner: 1, deposit: "10000".parse().unwrap() });
        case.tell(Observation::Began { limits: &limits, holders: &holders, canaries: &["planted-key".to_owned()] });
        case.tell(Observation::DaemonUp { epoch: Epoch(1), modes: &ModeTable::default() });
        accounts.into_iter().for_each(|account| case.tell(Observation::Executor { account, ready: true }));
        case.tell(Observation::Reference { symbol: btc(), price: "100".parse().unwrap() });
        case
    }

    fn tell(&mut self, seen: Observation<'_>) {
        self.said.extend(self.checker.observe(self.now, &seen));
    }

    fn wait(&mut self, time: Duration) {
        self.now = self.now + time;
    }

    fn approve(&mut self, intent: &OrderIntent) {
        self.tell(Observation::Approved { intent: &Arc::new(intent.clone()), by: RISK });
    }

    /// Approved and on the disk.
    fn intend(&mut self, intent: &OrderIntent) {
        self.approve(intent);
        let rows = [intended(intent, RISK)];
        self.tell(Observation::Written { rows: &rows });
        self.tell(Observation::Durable { rows: &rows });
    }

    fn leave(&mut self, intent: &OrderIntent) {
        self.tell(Observation::Left { account: intent.account, by: Sender::Executor, order: &order(intent) });
    }

    fn send(&mut self, intent: &OrderIntent) {
        self.intend(intent);
        self.leave(intent);
    }

    fn venue(&mut self, fact: VenueFact) {
        self.tell(Observation::Venue(&fact));
    }

    fn take(&mut self, intent: &OrderIntent) {
        self.venue(VenueFact::Taken { account: intent.account, order: order(intent) });
    }

    /// Sent and standing at the venue.
    fn stand(&mut self, intent: &OrderIntent) {
        self.send(intent);
        self.take(intent);
    }

    fn end(&mut self, intent: &OrderIntent, reason: EndReason) {
        self.venue(VenueFact::Ended { account: intent.account, id: order(intent).client_order_id, reason });
    }

    /// Traded at the venue, booked, and in the journal.
    fn trade(&mut self, fill: &Fill) {
        self.venue(VenueFact::Traded(fill.clone()));
        self.tell(Observation::Booked { fill });
        self.tell(Observation::Durable { rows: &[row(fill)] });
    }

    fn report(&mut self, intent: &OrderIntent, status: OrderStatus) {
        self.report_filled(intent, status, "0");
    }

    fn report_filled(&mut self, intent: &OrderIntent, status: OrderStatus, filled: &str) {
        let report = OrderReport {
            account: intent.account,
            strategy: Some(intent.strategy),
            intent: Some(intent.id),
            symbol: intent.symbol,
            client_order_id: order(intent).client_order_id,
            side: intent.side,
            position_side: intent.position_side,
            kind: intent.kind,
            reduce_only: intent.reduce_only,
            quantity: intent.quantity,
            filled: filled.parse().unwrap(),
            status,
            fill: None,
            detail: None,
            at: self.now,
            trace: None,
        };
        self.tell(Observation::Reported(&report));
    }

    /// What broke, the same invariant once.
    #[track_caller]
    fn broke(&self, expected: &[Invariant]) {
        let found: std::collections::BTreeSet<_> = self.said.iter().map(|violation| violation.invariant).collect();
        assert_eq!(found.into_iter().collect::<Vec<_>>(), expected, "{:#?}", self.said);
    }
}

fn limit(counter: u32, quantity: &str) -> OrderIntent {
    intent(counter, account("a"), Side::Buy, quantity)
}
