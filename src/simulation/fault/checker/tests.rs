//! The checker, checked: for each invariant a history that breaks it and one at its limit that does not.

use std::sync::Arc;
use std::time::Duration;

use super::*;
use crate::domain::ids::{AccountId, ClientOrderId, Epoch, Incarnation, IntentId, StrategyId, Symbol};
use crate::domain::ladder::ModeTable;
use crate::domain::mode::{Mode, Scope};
use crate::domain::money::{Money, Price, Quantity};
use crate::domain::order::{
    EndReason, Fill, FundsKind, FundsMoved, NewOrder, OrderIntent, OrderKind, OrderReport, OrderStatus, PositionSide, Side, TimeInForce,
    VenuePosition, VenueSnapshot,
};
use crate::domain::record::Record;
use crate::domain::risk::limits::{AccountLimits, RiskLimits, SymbolLimits};
use crate::simulation::fault::Class;
use crate::simulation::fault::venue::{Truth, VenueFact};

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
        case.tell(Observation::DaemonUp { epoch: Epoch(1), modes: &ModeTable::default(), rows: 1 });
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
            filled: Quantity::ZERO,
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

#[test]
fn i1_an_order_may_fill_whole_and_no_more() {
    let mut case = Case::new();
    let order = limit(1, "2");
    case.stand(&order);
    case.trade(&fill(&order, 1, "1.5"));
    case.trade(&fill(&order, 2, "0.5"));
    case.broke(&[]);
    case.trade(&fill(&order, 3, "0.001"));
    case.broke(&[Invariant::I1]);
}

#[test]
fn i1_a_child_is_no_larger_at_the_venue_than_what_was_approved() {
    let mut case = Case::new();
    let small = limit(1, "2");
    case.send(&small);
    case.venue(VenueFact::Taken { account: small.account, order: NewOrder { quantity: "2.001".parse().unwrap(), ..order(&small) } });
    case.broke(&[Invariant::I1]);
}

#[test]
fn i2_bytes_leave_behind_an_approval_and_a_row_on_the_disk() {
    let mut case = Case::new();
    case.send(&limit(1, "1"));
    case.broke(&[]);
    case.approve(&limit(2, "1"));
    case.tell(Observation::Written { rows: &[intended(&limit(2, "1"), RISK)] });
    case.leave(&limit(2, "1"));
    case.broke(&[Invariant::I2]);

    let mut case = Case::new();
    case.tell(Observation::Durable { rows: &[intended(&limit(1, "1"), RISK)] });
    case.leave(&limit(1, "1"));
    case.broke(&[Invariant::I2]);
}

#[test]
fn i2_what_leaves_is_what_was_approved() {
    let mut case = Case::new();
    case.intend(&limit(1, "1"));
    case.leave(&limit(1, "1.001"));
    case.broke(&[Invariant::I2]);
}

#[test]
fn i2_an_order_is_placed_once_and_again_only_when_the_venue_turned_it_back() {
    let mut case = Case::new();
    let order = limit(1, "1");
    case.send(&order);
    let id = self::order(&order).client_order_id;
    case.venue(VenueFact::Refused { account: order.account, id, code: -1021 });
    case.leave(&order);
    case.take(&order);
    case.broke(&[]);
    case.leave(&order);
    case.broke(&[Invariant::I2]);
}

#[test]
fn i2_nothing_is_at_the_venue_that_did_not_leave_nor_twice() {
    let mut case = Case::new();
    case.take(&limit(1, "1"));
    case.broke(&[Invariant::I2]);
    let mut case = Case::new();
    case.stand(&limit(1, "1"));
    case.take(&limit(1, "1"));
    case.broke(&[Invariant::I2]);
}

#[test]
fn i2_the_kill_switch_asks_nobody_and_only_reduces() {
    let mut case = Case::new();
    let mut close = limit(1, "1");
    close.reduce_only = true;
    case.tell(Observation::Left { account: close.account, by: Sender::KillSwitch, order: &order(&close) });
    case.broke(&[]);
    case.tell(Observation::Left { account: close.account, by: Sender::KillSwitch, order: &order(&limit(2, "1")) });
    case.broke(&[Invariant::I2]);
}

#[test]
fn i2_an_order_that_lives_at_the_venue_is_not_told_to_be_over() {
    let mut case = Case::new();
    let order = limit(1, "1");
    case.stand(&order);
    case.report(&order, OrderStatus::Unknown);
    case.end(&order, EndReason::Canceled);
    case.report(&order, OrderStatus::Canceled);
    case.broke(&[]);
    case.stand(&limit(2, "1"));
    case.report(&limit(2, "1"), OrderStatus::Rejected);
    case.broke(&[Invariant::I2]);
}

#[test]
fn i2_a_trade_is_booked_once_in_a_life_and_has_one_row_for_ever() {
    let mut case = Case::new();
    let (order, fill) = (limit(1, "1"), fill(&limit(1, "1"), 1, "1"));
    case.stand(&order);
    case.venue(VenueFact::Traded(fill.clone()));
    case.tell(Observation::Booked { fill: &fill });
    case.tell(Observation::DaemonDied { why: "test" });
    case.tell(Observation::DaemonUp { epoch: Epoch(2), modes: &ModeTable::default(), rows: 2 });
    case.tell(Observation::Booked { fill: &fill });
    case.tell(Observation::Durable { rows: &[row(&fill)] });
    case.broke(&[]);
    case.tell(Observation::Durable { rows: &[row(&fill)] });
    case.broke(&[Invariant::I2]);
    case.said.clear();
    case.tell(Observation::Booked { fill: &fill });
    case.broke(&[Invariant::I2]);
}

#[test]
fn i2_an_executor_that_met_a_risk_manager_takes_no_approval_of_an_earlier_one() {
    let mut case = Case::new();
    case.tell(Observation::RiskMet { account: account("a"), risk: Incarnation(2) });
    case.tell(Observation::Written { rows: &[intended(&limit(1, "1"), Incarnation(2))] });
    case.broke(&[]);
    case.tell(Observation::Written { rows: &[intended(&limit(2, "1"), Incarnation(1))] });
    case.broke(&[Invariant::I2]);
}

#[test]
fn i3_an_account_may_hold_its_limit_with_everything_that_may_still_trade() {
    let mut case = Case::new();
    case.stand(&limit(1, "5"));
    case.trade(&fill(&limit(1, "5"), 1, "3"));
    case.send(&limit(2, "3"));
    case.approve(&limit(3, "2"));
    case.broke(&[]);
    case.approve(&limit(4, "0.001"));
    case.broke(&[Invariant::I3]);
}

#[test]
fn i3_what_ended_or_never_left_frees_its_share_and_what_is_unknown_does_not() {
    let mut case = Case::new();
    case.stand(&limit(1, "4"));
    case.report(&limit(1, "4"), OrderStatus::Unknown);
    case.send(&limit(2, "6"));
    case.venue(VenueFact::Refused { account: account("a"), id: order(&limit(2, "6")).client_order_id, code: -2010 });
    case.approve(&limit(3, "6"));
    case.report(&limit(3, "6"), OrderStatus::NotSent);
    case.approve(&limit(4, "6"));
    case.broke(&[]);
    case.approve(&limit(5, "1"));
    case.broke(&[Invariant::I3]);
}

#[test]
fn i3_all_accounts_together_stay_within_the_capital() {
    let mut case = Case::new();
    case.stand(&limit(1, "10"));
    case.approve(&intent(2, account("b"), Side::Buy, "5"));
    case.broke(&[]);
    case.approve(&intent(3, account("c"), Side::Buy, "0.01"));
    case.broke(&[Invariant::I3]);
}

#[test]
fn i4_nothing_that_may_open_leaves_outside_of_normal() {
    for (mode, reduces, holds) in [
        (Mode::Normal, false, true),
        (Mode::ReduceOnly, true, true),
        (Mode::ReduceOnly, false, false),
        (Mode::CancelOnly, true, false),
        (Mode::Halted, true, false),
    ] {
        for scope in [Scope::Global, Scope::Account(account("a")), Scope::Strategy(limit(1, "1").strategy), Scope::Symbol(btc())] {
            let mut case = Case::new();
            let mut order = limit(1, "1");
            order.reduce_only = reduces;
            case.intend(&order);
            case.tell(Observation::Gate { modes: &modes(&[(scope, mode)]) });
            case.wait(Duration::from_secs(2));
            case.leave(&order);
            case.broke(if holds { &[] } else { &[Invariant::I4] });
        }
    }
}

#[test]
fn i4_a_strategys_mode_takes_a_moment_to_be_known_and_an_accounts_none() {
    let mut case = Case::new();
    case.intend(&limit(1, "1"));
    case.intend(&limit(2, "1"));
    case.tell(Observation::Gate { modes: &modes(&[(Scope::Symbol(btc()), Mode::Halted)]) });
    case.wait(Duration::from_millis(1_999));
    case.leave(&limit(1, "1"));
    case.broke(&[]);
    case.tell(Observation::Gate { modes: &modes(&[(Scope::Account(account("a")), Mode::ReduceOnly)]) });
    case.leave(&limit(2, "1"));
    assert!(case.said.iter().any(|violation| violation.invariant == Invariant::I4), "{:?}", case.said);
}

#[test]
fn i4_an_executor_sends_nothing_before_it_has_reconciled() {
    let mut case = Case::new();
    case.intend(&limit(1, "1"));
    case.tell(Observation::Executor { account: account("a"), ready: false });
    case.leave(&limit(1, "1"));
    case.broke(&[Invariant::I4]);
}

#[test]
fn i4_a_mode_is_loosened_on_the_disk_before_it_is_at_the_gate() {
    let a = Scope::Account(account("a"));
    let halted = modes(&[(a, Mode::Halted)]);
    let mut case = Case::new();
    case.tell(Observation::Gate { modes: &halted });
    case.tell(Observation::Durable { rows: &[mode_row(a, Mode::Normal, Mode::Halted, None)] });
    case.tell(Observation::Durable { rows: &[mode_row(a, Mode::Halted, Mode::Normal, Some("ada"))] });
    case.tell(Observation::Gate { modes: &ModeTable::default() });
    case.broke(&[]);
    case.tell(Observation::Gate { modes: &halted });
    case.tell(Observation::Durable { rows: &[mode_row(a, Mode::Normal, Mode::Halted, None)] });
    case.tell(Observation::Gate { modes: &ModeTable::default() });
    assert!(case.said.iter().any(|violation| violation.invariant == Invariant::I4), "{:?}", case.said);
}

fn shown(wallet: &str, positions: Vec<VenuePosition>) -> VenueSnapshot {
    VenueSnapshot { wallet: wallet.parse().unwrap(), positions, ..VenueSnapshot::default() }
}

fn held(quantity: &str) -> Vec<VenuePosition> {
    let (symbol, entry_price) = (btc(), "100".parse().unwrap());
    vec![VenuePosition { symbol, position_side: PositionSide::Both, quantity: quantity.parse().unwrap(), entry_price, closable: None }]
}

fn truth(shown: VenueSnapshot) -> Truth {
    Truth { accounts: [(account("a"), shown)].into() }
}

fn local(wallet: &str, positions: Vec<VenuePosition>) -> LocalAccount {
    let wallet = wallet.parse().unwrap();
    LocalAccount { account: account("a"), ready: true, mode: Mode::Normal, open: vec![], positions, wallet }
}

/// A buy of 3 at 100 that cost 0.01, all booked.
fn bought() -> Case {
    let mut case = Case::new();
    case.stand(&limit(1, "3"));
    case.trade(&fill(&limit(1, "3"), 1, "3"));
    case
}

#[test]
fn i5_both_sides_have_the_same_when_faults_are_over() {
    let theirs = truth(shown("9999.99", held("3")));
    let settle = |case: &mut Case, local: LocalAccount, traded_again| {
        case.tell(Observation::Settled { local: &[local], truth: &theirs, traded_again });
    };
    let same = || local("9999.99", held("3"));
    let mut case = bought();
    settle(&mut case, same(), true);
    case.broke(&[]);
    let id = order(&limit(1, "3")).client_order_id;
    for wrong in [
        LocalAccount { ready: false, ..same() },
        LocalAccount { open: vec![(id, OrderStatus::Working)], ..same() },
        LocalAccount { positions: held("2.999"), ..same() },
        LocalAccount { positions: vec![], ..same() },
        LocalAccount { wallet: "9999.98".parse().unwrap(), ..same() },
    ] {
        let mut case = bought();
        settle(&mut case, wrong, true);
        case.broke(&[Invariant::I5]);
    }
    let mut case = bought();
    settle(&mut case, same(), false);
    case.broke(&[Invariant::I5]);
}

#[test]
fn i5_a_venue_order_that_the_books_have_lost_is_a_difference() {
    let mut case = Case::new();
    let resting = limit(1, "3");
    case.stand(&resting);
    let shown = VenueSnapshot {
        wallet: "10000".parse().unwrap(),
        open_orders: vec![crate::domain::order::VenueOrder {
            client_order_id: order(&resting).client_order_id,
            venue_order_id: 1,
            symbol: btc(),
            side: Side::Buy,
            position_side: PositionSide::Both,
            kind: resting.kind,
            status: OrderStatus::Working,
            quantity: resting.quantity,
            filled: Quantity::ZERO,
            reduce_only: false,
            updated_at: Timestamp::ZERO,
        }],
        ..VenueSnapshot::default()
    };
    case.tell(Observation::Settled { local: &[local("10000", vec![])], truth: &truth(shown), traded_again: true });
    case.broke(&[Invariant::I5]);
}

#[test]
fn i2_a_trade_without_a_row_is_missed_at_the_end() {
    let mut case = Case::new();
    case.stand(&limit(1, "3"));
    case.venue(VenueFact::Traded(fill(&limit(1, "3"), 1, "3")));
    let theirs = truth(shown("9999.99", held("3")));
    case.tell(Observation::Settled { local: &[local("9999.99", held("3"))], truth: &theirs, traded_again: true });
    case.broke(&[Invariant::I2]);
}

#[test]
fn i6_the_wallet_is_the_deposit_and_what_trades_and_ledger_come_to() {
    let mut case = bought();
    let mut sold = fill(&intent(2, account("a"), Side::Sell, "1"), 2, "1");
    sold.price = Price("110.5".parse().unwrap());
    case.send(&at(intent(2, account("a"), Side::Sell, "1"), "110"));
    case.trade(&sold);
    let moved = FundsMoved { kind: FundsKind::Funding, id: 1, amount: "-0.25".parse().unwrap(), symbol: None, at: Timestamp::ZERO };
    case.venue(VenueFact::Funds { account: account("a"), moved });
    // 10000 + 10.50 − 0.02 − 0.25.
    case.tell(Observation::Truth(&truth(shown("10010.23", held("2")))));
    case.broke(&[]);
    case.tell(Observation::Truth(&truth(shown("10010.23000001", held("2")))));
    case.broke(&[Invariant::I6]);
    case.said.clear();
    case.tell(Observation::Truth(&truth(shown("10010.23", held("2.001")))));
    case.broke(&[Invariant::I6]);
}

#[test]
fn i6_a_partial_close_takes_its_share_of_the_cost_along_and_a_flip_begins_anew() {
    let mut leg = bookings_leg(&[("3", "100", Side::Buy), ("1", "101", Side::Buy)]);
    // 401 / 4 = 100.25 each.
    assert_eq!(leg(Side::Sell, "110", "3"), "29.25".parse::<Money>().unwrap());
    assert_eq!(leg(Side::Sell, "100", "3"), "-0.25".parse::<Money>().unwrap());
    assert_eq!(leg(Side::Buy, "99", "2"), "2".parse::<Money>().unwrap());
}

/// A ledger's leg behind some purchases, as a function of further fills.
fn bookings_leg(purchases: &[(&str, &str, Side)]) -> impl FnMut(Side, &str, &str) -> Money {
    let mut ledger = bookings::Ledger::default();
    let mut book = move |side: Side, price: &str, quantity: &str| {
        let before = ledger.realised();
        let fill = Fill { side, price: price.parse().unwrap(), ..fill(&limit(1, "1"), 1, quantity) };
        ledger.book(&fill);
        ledger.realised() - before
    };
    for (quantity, price, side) in purchases {
        assert_eq!(book(*side, price, quantity), Money::ZERO);
    }
    book
}

#[test]
fn i7_one_epoch_sends_and_the_next_is_higher() {
    let mut case = Case::new();
    case.tell(Observation::DaemonDied { why: "test" });
    case.tell(Observation::DaemonUp { epoch: Epoch(2), modes: &ModeTable::default(), rows: 2 });
    case.broke(&[]);
    case.tell(Observation::Executor { account: account("a"), ready: true });
    let mut close = limit(1, "1");
    close.reduce_only = true;
    case.tell(Observation::Left { account: close.account, by: Sender::KillSwitch, order: &order(&close) });
    case.broke(&[Invariant::I7]);
}

#[test]
fn i7_an_epoch_that_is_not_raised_and_a_second_daemon_are_seen() {
    let mut case = Case::new();
    case.tell(Observation::DaemonDied { why: "test" });
    case.tell(Observation::DaemonUp { epoch: Epoch(1), modes: &ModeTable::default(), rows: 2 });
    case.broke(&[Invariant::I7]);
    let mut case = Case::new();
    case.tell(Observation::DaemonUp { epoch: Epoch(2), modes: &ModeTable::default(), rows: 2 });
    case.broke(&[Invariant::I7]);
}

#[test]
fn i8_orders_of_one_owner_do_not_leave_when_they_could_meet() {
    let buy = |counter| at(intent(counter, account("a"), Side::Buy, "1"), "100");
    let sell = |counter, price| at(intent(counter, account("b"), Side::Sell, "1"), price);
    let mut case = Case::new();
    case.stand(&buy(1));
    case.send(&sell(2, "100.1"));
    case.broke(&[]);
    case.send(&sell(3, "100"));
    case.broke(&[Invariant::I8]);

    // An order whose cancel has no answer yet can still be met; one that the venue has ended cannot.
    let mut case = Case::new();
    case.stand(&buy(1));
    case.tell(Observation::CancelLeft { account: account("a"), by: Sender::Executor, id: Some(order(&buy(1)).client_order_id) });
    case.end(&buy(1), EndReason::Canceled);
    case.send(&sell(2, "90"));
    case.broke(&[]);
    case.send(&buy(3));
    case.broke(&[Invariant::I8]);
}

#[test]
fn i8_two_orders_that_never_rest_do_not_meet_and_a_child_that_waits_can() {
    let mut case = Case::new();
    let mut market = intent(1, account("a"), Side::Buy, "1");
    market.kind = OrderKind::Market;
    case.send(&market);
    let mut stop = intent(2, account("b"), Side::Sell, "1");
    stop.kind = OrderKind::StopMarket { trigger: "90".parse().unwrap() };
    case.stand(&stop);
    case.broke(&[]);
    case.send(&at(intent(3, account("c"), Side::Buy, "1"), "80"));
    case.broke(&[Invariant::I8]);
}

#[test]
fn i8_a_trade_between_two_accounts_and_the_venues_prevention_are_crosses() {
    let (ours, theirs) = (limit(1, "1"), at(intent(2, account("b"), Side::Sell, "1"), "101"));
    let mut case = Case::new();
    case.stand(&ours);
    case.stand(&theirs);
    case.trade(&fill(&ours, 7, "1"));
    case.trade(&fill(&theirs, 8, "1"));
    case.broke(&[]);
    case.venue(VenueFact::Traded(fill(&at(intent(3, account("b"), Side::Sell, "1"), "101"), 7, "1")));
    case.broke(&[]);

    let mut case = Case::new();
    case.stand(&ours);
    case.stand(&theirs);
    case.trade(&fill(&ours, 7, "1"));
    case.trade(&fill(&theirs, 7, "1"));
    case.broke(&[Invariant::I8]);

    let mut case = Case::new();
    case.stand(&ours);
    case.end(&ours, EndReason::SelfTradePrevented);
    case.broke(&[Invariant::I8]);
}

#[test]
fn i9_what_must_be_the_same_is() {
    let mut case = Case::new();
    case.tell(Observation::Compared { what: "the fold of the journal", expected: "abc", found: "abc" });
    case.broke(&[]);
    case.tell(Observation::Compared { what: "the fold of the journal", expected: "abc", found: "abd" });
    case.broke(&[Invariant::I9]);
}

#[test]
fn i10_no_planted_key_comes_out() {
    let mut case = Case::new();
    case.tell(Observation::Text { place: "a log line", text: "signed with planted-ke" });
    case.broke(&[]);
    case.tell(Observation::Text { place: "a log line", text: "signed with planted-key." });
    case.broke(&[Invariant::I10]);
    assert!(!case.said[0].to_string().contains("planted-key"), "{}", case.said[0]);
}

#[test]
fn i11_a_confirmed_halt_has_no_open_order_and_none_on_its_way() {
    let a = account("a");
    let halted = modes(&[(Scope::Account(a), Mode::Halted)]);
    let mut case = Case::new();
    case.stand(&limit(1, "1"));
    case.tell(Observation::Gate { modes: &halted });
    case.end(&limit(1, "1"), EndReason::Canceled);
    case.tell(Observation::Confirmed { account: a });
    case.broke(&[]);

    let mut case = Case::new();
    case.stand(&limit(1, "1"));
    case.tell(Observation::Gate { modes: &halted });
    case.tell(Observation::Confirmed { account: a });
    case.broke(&[Invariant::I11]);

    let mut case = Case::new();
    case.send(&limit(1, "1"));
    case.tell(Observation::Gate { modes: &halted });
    case.tell(Observation::Confirmed { account: a });
    case.broke(&[Invariant::I11]);
}

#[test]
fn i11_a_strangers_order_counts_once_it_was_there_to_be_seen() {
    let a = account("a");
    let stranger = NewOrder { client_order_id: ClientOrderId::new("web_1").unwrap(), ..order(&limit(1, "1")) };
    for (waited, expected) in [(4, &[][..]), (5, &[Invariant::I11][..])] {
        let mut case = Case::new();
        case.venue(VenueFact::Taken { account: a, order: stranger.clone() });
        case.tell(Observation::Gate { modes: &modes(&[(Scope::Account(a), Mode::Halted)]) });
        case.wait(Duration::from_secs(waited));
        case.tell(Observation::Confirmed { account: a });
        case.broke(expected);
    }
}

#[test]
fn i11_a_halt_that_is_not_confirmed_is_loud() {
    let a = account("a");
    let text = Observation::Text { place: "nothing", text: "" };
    for (waited, heard, expected) in [(40, false, &[][..]), (41, false, &[Invariant::I11][..]), (41, true, &[][..])] {
        let mut case = Case::new();
        case.tell(Observation::Gate { modes: &modes(&[(Scope::Account(a), Mode::Halted)]) });
        if heard {
            case.wait(Duration::from_secs(20));
            case.tell(Observation::Unconfirmed { account: a });
        }
        case.wait(Duration::from_secs(waited - if heard { 20 } else { 0 }));
        case.tell(text.clone());
        case.broke(expected);
    }
}

#[test]
fn i11_a_halt_that_the_disk_has_outlives_the_daemon() {
    let halted = modes(&[(Scope::Global, Mode::Halted)]);
    type Tell = fn(&mut Case);
    let row: Tell = |case| case.tell(Observation::Durable { rows: &[mode_row(Scope::Global, Mode::Normal, Mode::Halted, None)] });
    let latch: Tell = |case| case.tell(Observation::Latched { modes: &modes(&[(Scope::Global, Mode::Halted)]) });
    let nothing: Tell = |_| {};
    for (tell, found, expected) in [
        (row, &halted, &[][..]),
        (latch, &halted, &[][..]),
        (nothing, &ModeTable::default(), &[][..]),
        (row, &ModeTable::default(), &[Invariant::I11][..]),
        (latch, &ModeTable::default(), &[Invariant::I11][..]),
    ] {
        let mut case = Case::new();
        case.tell(Observation::Gate { modes: &halted });
        tell(&mut case);
        case.tell(Observation::DaemonDied { why: "kill -9" });
        case.tell(Observation::DaemonUp { epoch: Epoch(2), modes: found, rows: 2 });
        case.broke(expected);
    }
}

#[test]
fn i11_a_raise_that_the_disk_has_wins_over_an_older_latch() {
    let mut case = Case::new();
    let halted = modes(&[(Scope::Global, Mode::Halted)]);
    case.tell(Observation::Gate { modes: &halted });
    case.tell(Observation::Latched { modes: &halted });
    case.tell(Observation::Durable { rows: &[mode_row(Scope::Global, Mode::Normal, Mode::Halted, None)] });
    case.tell(Observation::Durable { rows: &[mode_row(Scope::Global, Mode::Halted, Mode::Normal, Some("ada"))] });
    case.tell(Observation::DaemonDied { why: "kill -9" });
    case.tell(Observation::DaemonUp { epoch: Epoch(2), modes: &ModeTable::default(), rows: 4 });
    case.broke(&[]);
}

#[test]
fn i11_nothing_is_raised_without_a_named_person() {
    for (by, expected) in [(Some("ada"), &[][..]), (Some(" "), &[Invariant::I11][..]), (None, &[Invariant::I11][..])] {
        let mut case = Case::new();
        case.tell(Observation::Durable { rows: &[mode_row(Scope::Global, Mode::Normal, Mode::CancelOnly, None)] });
        case.tell(Observation::Durable { rows: &[mode_row(Scope::Global, Mode::CancelOnly, Mode::Normal, by)] });
        case.broke(expected);
    }
}

#[test]
fn i11_an_operators_halt_is_in_force_soon() {
    for (waited, expected) in [(10, &[][..]), (11, &[Invariant::I11][..])] {
        let mut case = Case::new();
        case.tell(Observation::HaltAsked { scope: Scope::Global, by: "ada" });
        case.wait(Duration::from_secs(waited));
        case.tell(Observation::Gate { modes: &ModeTable::default() });
        case.broke(expected);
    }
}

#[test]
fn i12_whoever_dies_is_noticed_and_comes_back_or_its_scope_is_halted() {
    let name = "executor/a";
    let die = |case: &mut Case| case.tell(Observation::ActorDied { name, incarnation: Incarnation(1), why: "test" });
    let text = Observation::Text { place: "nothing", text: "" };

    let mut case = Case::new();
    die(&mut case);
    case.wait(Duration::from_secs(1));
    case.tell(Observation::Alert { about: name });
    case.wait(Duration::from_secs(39));
    case.tell(Observation::ActorUp { name, incarnation: Incarnation(2) });
    case.broke(&[]);

    let mut case = Case::new();
    die(&mut case);
    case.wait(Duration::from_millis(1_001));
    case.tell(text.clone());
    case.broke(&[Invariant::I12]);

    for (halted, expected) in [(true, &[][..]), (false, &[Invariant::I12][..])] {
        let mut case = Case::new();
        die(&mut case);
        case.tell(Observation::Alert { about: name });
        if halted {
            case.tell(Observation::Gate { modes: &modes(&[(Scope::Account(account("a")), Mode::Halted)]) });
            case.tell(Observation::Unconfirmed { account: account("a") });
        }
        case.wait(Duration::from_secs(41));
        case.tell(text.clone());
        case.broke(expected);
    }
}

#[test]
fn i12_a_fault_of_one_account_holds_up_no_other() {
    let fault = Observation::Fault { class: Class::F25Panic, on: Some(account("a")) };
    let mut case = Case::new();
    case.tell(fault.clone());
    case.tell(Observation::Executor { account: account("a"), ready: false });
    case.intend(&intent(1, account("b"), Side::Buy, "1"));
    case.wait(Duration::from_millis(500));
    case.leave(&intent(1, account("b"), Side::Buy, "1"));
    case.broke(&[]);

    case.tell(Observation::Executor { account: account("b"), ready: false });
    case.broke(&[Invariant::I12]);

    let mut case = Case::new();
    case.tell(fault.clone());
    case.intend(&intent(1, account("b"), Side::Buy, "1"));
    case.wait(Duration::from_millis(501));
    case.tell(fault.clone());
    case.broke(&[Invariant::I12]);

    let mut case = Case::new();
    case.tell(fault.clone());
    case.tell(Observation::Gate { modes: &modes(&[(Scope::Global, Mode::CancelOnly)]) });
    case.broke(&[Invariant::I12]);

    // What may touch everybody excuses everybody.
    let mut case = Case::new();
    case.tell(Observation::Fault { class: Class::F19Stall, on: None });
    case.tell(Observation::Gate { modes: &modes(&[(Scope::Global, Mode::CancelOnly)]) });
    case.broke(&[]);
}

#[test]
fn every_step_has_its_number_and_every_look_is_counted() {
    let mut case = bought();
    case.trade(&fill(&limit(1, "3"), 2, "1"));
    assert!(case.said.iter().all(|violation| violation.step > 10 && violation.at == case.now));
    assert!(case.checker.held(Invariant::I1) == 2 && case.checker.held(Invariant::I9) == 0);
}
