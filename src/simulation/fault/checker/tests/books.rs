//! What is held and booked: I3, I5, I6, and the trades of I2.

use super::*;

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
fn every_step_has_its_number_and_every_look_is_counted() {
    let mut case = bought();
    case.trade(&fill(&limit(1, "3"), 2, "1"));
    assert!(case.said.iter().all(|violation| violation.step > 10 && violation.at == case.now));
    assert!(case.checker.held(Invariant::I1) == 2 && case.checker.held(Invariant::I9) == 0);
}
