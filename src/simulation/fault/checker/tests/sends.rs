//! What leaves, trades, meets and is said: I1, I2, I7, I8, I9, I10.

use super::*;

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
fn i2_the_daemon_tells_of_no_fill_that_the_venue_did_not_make_and_revives_nothing() {
    let told = |filled: &str, status| {
        let mut case = Case::new();
        case.stand(&limit(1, "2"));
        case.trade(&fill(&limit(1, "2"), 1, "2"));
        case.report_filled(&limit(1, "2"), OrderStatus::Filled, "2");
        case.report_filled(&limit(1, "2"), status, filled);
        case
    };
    told("2", OrderStatus::Filled).broke(&[]);
    told("2.001", OrderStatus::Filled).broke(&[Invariant::I2]);
    told("2", OrderStatus::Working).broke(&[Invariant::I2]);
}

#[test]
fn i2_a_trade_is_booked_once_in_a_life_and_has_one_row_for_ever() {
    let mut case = Case::new();
    let (order, fill) = (limit(1, "1"), fill(&limit(1, "1"), 1, "1"));
    case.stand(&order);
    case.venue(VenueFact::Traded(fill.clone()));
    case.tell(Observation::Booked { fill: &fill });
    case.tell(Observation::DaemonDied { why: "test" });
    case.tell(Observation::DaemonUp { epoch: Epoch(2), modes: &ModeTable::default() });
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
fn i7_one_epoch_sends_and_the_next_is_higher() {
    let mut case = Case::new();
    case.tell(Observation::DaemonDied { why: "test" });
    case.tell(Observation::DaemonUp { epoch: Epoch(2), modes: &ModeTable::default() });
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
    case.tell(Observation::DaemonUp { epoch: Epoch(1), modes: &ModeTable::default() });
    case.broke(&[Invariant::I7]);
    let mut case = Case::new();
    case.tell(Observation::DaemonUp { epoch: Epoch(2), modes: &ModeTable::default() });
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
