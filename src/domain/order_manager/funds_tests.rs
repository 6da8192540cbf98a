//! Money that moves without a trade, as the venue's ledger lists it: again and again, late, and in snapshots that lag.

use super::*;
use crate::domain::order::{FundsKind, FundsMoved};

fn entry(kind: FundsKind, id: u64, amount: &str) -> FundsMoved {
    FundsMoved { kind, id, amount: amount.parse().unwrap(), symbol: Some(symbol()), at: at(5) }
}

/// Older than everything that happens here.
fn before(entry: FundsMoved) -> FundsMoved {
    FundsMoved { at: at(-60_000), ..entry }
}

fn shown(wallet: &str, funds: Vec<FundsMoved>) -> VenueEvent {
    VenueEvent::SnapshotIs(VenueSnapshot { wallet: wallet.parse().unwrap(), funds, ..VenueSnapshot::default() })
}

/// An account that the venue showed with 1,000 when it was met.
fn with_a_thousand() -> Desk {
    let mut desk = Desk::recovered(AccountState::new(account()), 1);
    desk.venue(0, shown("1000", vec![before(entry(FundsKind::Funding, 1, "-3"))]));
    assert!(desk.manager.is_ready());
    desk.rows.clear();
    desk.sent.clear();
    desk
}

#[test]
pub(crate) fn a_ledger_entry_is_booked_once_however_often_it_is_listed() {
    let mut desk = with_a_thousand();
    let listed =
        vec![before(entry(FundsKind::Funding, 1, "-3")), entry(FundsKind::Funding, 2, "-0.12345678"), entry(FundsKind::Other, 2, "1")];
    for millis in [10, 20, 2_000] {
        desk.venue(millis, shown("1000.87654322", listed.clone()));
    }
    assert_eq!(desk.manager.view(at(2_000)).wallet, "1000.87654322".parse().unwrap());
    assert!(desk.manager.is_ready() && desk.faults.is_empty(), "explained to the last digit");
    let rows = desk.rows.iter().filter(|row| matches!(row, Record::FundsMoved { .. })).count();
    assert_eq!(rows, 1);
}

#[test]
fn what_was_booked_before_a_restart_is_not_booked_after_it() {
    let mut desk = Desk::recovered(AccountState::new(account()), 1);
    desk.venue(0, shown("1000", vec![]));
    desk.venue(10, shown("995", vec![entry(FundsKind::Funding, 2, "-5")]));
    let mut next = Desk::recovered(desk.replayed(), 2);
    assert_eq!(next.manager.view(at(20)).wallet, "995".parse().unwrap(), "the rows alone say so");
    next.venue(20, shown("995", vec![entry(FundsKind::Funding, 2, "-5")]));
    assert!(next.manager.is_ready());
    assert_eq!(next.manager.view(at(20)).wallet, "995".parse().unwrap());
}

#[test]
fn what_was_paid_in_before_the_first_contact_is_in_the_wallet_that_was_taken_over() {
    let mut desk = Desk::recovered(AccountState::new(account()), 1);
    desk.venue(0, shown("1000", vec![]));
    // The ledger is read later than the wallet, and an hour back.
    let paid_in = before(entry(FundsKind::Transfer, 7, "1000"));
    for millis in [10, 2_000, 30_000] {
        desk.venue(millis, shown("1000", vec![paid_in]));
    }
    let view = desk.manager.view(at(30_000));
    assert_eq!((view.wallet, view.day_pnl), ("1000".parse().unwrap(), Some(Money::ZERO)));
    assert!(desk.manager.is_ready() && !desk.rows.iter().any(|row| matches!(row, Record::FundsMoved { .. })));
    // Nor does a restart count it.
    let mut next = Desk::recovered(desk.replayed(), 2);
    next.venue(40_000, shown("1000", vec![paid_in]));
    assert!(next.manager.is_ready());
    assert_eq!(next.manager.view(at(40_000)).wallet, "1000".parse().unwrap());
}

#[test]
pub(crate) fn what_the_ledger_tells_later_than_the_wallet_is_not_counted_twice() {
    let mut desk = with_a_thousand();
    // The wallet says it first: twice the same, it is believed.
    for millis in [10, 1_100] {
        desk.venue(millis, shown("950", vec![]));
    }
    for millis in [1_200, 2_300] {
        desk.venue(millis, shown("950", vec![]));
    }
    assert!(desk.manager.is_ready());
    assert_eq!(desk.manager.view(at(2_300)).wallet, "950".parse().unwrap());
    desk.venue(2_400, shown("950", vec![entry(FundsKind::Funding, 2, "-50")]));
    assert_eq!(desk.manager.view(at(2_400)).wallet, "950".parse().unwrap());
    // What moves it from then on counts.
    let later = FundsMoved { at: at(2_450), ..entry(FundsKind::Funding, 3, "-1") };
    desk.venue(2_500, shown("949", vec![entry(FundsKind::Funding, 2, "-50"), later]));
    assert_eq!(desk.manager.view(at(2_500)).wallet, "949".parse().unwrap());
    assert!(desk.manager.is_ready());
}

#[test]
fn funding_is_part_of_the_days_result_and_money_paid_in_or_out_is_not() {
    let mut desk = with_a_thousand();
    let listed = vec![entry(FundsKind::Funding, 2, "-7"), entry(FundsKind::Transfer, 3, "-400")];
    desk.venue(10, shown("593", listed));
    assert_eq!(desk.manager.view(at(10)).day_pnl, Some("-7".parse().unwrap()));
    let day = desk.rows.iter().rev().find_map(|row| if let Record::DayOpened { equity, .. } = row { Some(*equity) } else { None });
    assert_eq!(day, Some("600".parse().unwrap()), "a restart counts from there too");
    assert_eq!(desk.tripped, [Mode::ReduceOnly], "a person has taken money away, and is to say that it was meant so");
    assert_eq!(desk.replayed().positions.ledger_from(), Some(at(5)), "where a restart begins to read the ledger");
}

#[test]
fn a_word_that_something_happened_has_the_venue_asked() {
    let mut desk = with_a_thousand();
    desk.venue(10, VenueEvent::LookAgain { why: "funding".to_owned() });
    assert!(matches!(desk.sent[..], [VenueCommand::Snapshot { .. }]));
    assert!(desk.manager.is_ready(), "orders pass meanwhile");
}

#[test]
pub(crate) fn a_snapshot_that_lags_behind_a_fill_does_not_cost_the_books_anything() {
    let mut desk = with_a_thousand();
    desk.on(0, Input::RiskManager(Incarnation(1)));
    let id = desk.submit(1, "2");
    desk.venue(1, accepted(id));
    desk.on(2, Input::Reconnected);
    desk.venue(3, fill(id, 1, "2"));
    let held = desk.position();
    // The read side does not have the trade yet (F24), and a second later it has.
    desk.venue(4, shown("1000", vec![]));
    assert_eq!((desk.position(), desk.manager.is_ready()), (held, false));
    desk.on(1_010, Input::Tick);
    let view = desk.manager.view(at(1_010));
    let position = VenuePosition {
        symbol: symbol(),
        position_side: PositionSide::Both,
        quantity: held,
        entry_price: "100".parse().unwrap(),
        closable: None,
    };
    desk.venue(1_020, VenueEvent::SnapshotIs(VenueSnapshot { wallet: view.wallet, positions: vec![position], ..VenueSnapshot::default() }));
    assert!(desk.manager.is_ready() && desk.faults.is_empty());
    assert_eq!(desk.position(), held);
}
