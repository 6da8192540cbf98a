//! An account at a venue that shows cash and holdings and keeps no entry price, as spot does; trades numbered by symbol; a first
//! contact with an account that somebody used before.

use super::*;
use crate::domain::order::FeeTaken;

fn other() -> Symbol {
    Symbol::new("ETHUSDT").unwrap()
}

fn holding(quantity: &str) -> VenuePosition {
    let (quantity, entry_price) = (quantity.parse().unwrap(), Price::ZERO);
    VenuePosition { symbol: symbol(), position_side: PositionSide::Both, quantity, entry_price, closable: None }
}

fn shown(cash: &str, positions: Vec<VenuePosition>) -> VenueEvent {
    let wallet = cash.parse().unwrap();
    VenueEvent::SnapshotIs(VenueSnapshot { wallet, positions, beside_holdings: true, ..VenueSnapshot::default() })
}

fn findings(desk: &Desk) -> Vec<String> {
    let of = |row: &Record| if let Record::Reconciled { findings, .. } = row { Some(findings.clone()) } else { None };
    desk.rows.iter().rev().find_map(of).unwrap()
}

#[test]
fn a_holding_from_before_us_is_taken_over_at_the_markets_price_and_is_no_fault() {
    let mut desk = Desk::recovered(AccountState::new(account()), 1);
    desk.on(0, Input::Mark { symbol: symbol(), price: "90".parse().unwrap() });
    desk.venue(1, shown("1000", vec![holding("2")]));
    assert!(desk.manager.is_ready() && desk.faults.is_empty() && desk.tripped.is_empty());
    let view = desk.manager.view(at(2));
    assert_eq!((view.wallet, view.equity), ("1180".parse().unwrap(), "1180".parse().unwrap()));
    assert_eq!(view.positions[0].entry_price, "90".parse().unwrap());
    let replayed = desk.replayed();
    assert_eq!((&replayed.positions, replayed.met), (desk.manager.positions(), true), "the rows alone say so too");
    // From then on it is ours, and a difference is one.
    desk.on(3, Input::Reconnected);
    desk.venue(4, shown("1000", vec![holding("1.5")]));
    desk.on(1_010, Input::Tick);
    desk.venue(1_020, shown("1000", vec![holding("1.5")]));
    assert_eq!(desk.faults, [FaultClass::Data]);
    assert_eq!(desk.manager.positions().position(symbol(), PositionSide::Both).entry_price(), Some("90".parse().unwrap()));
}

/// Spot has no ledger: what nobody traded was moved by hand.
#[test]
fn money_moved_by_hand_is_no_result_of_the_day_and_holds_the_account() {
    for (cash, coins) in [("700", "2"), ("1300", "2"), ("1000", "1"), ("1000", "3")] {
        let mut desk = Desk::recovered(AccountState::new(account()), 1);
        desk.on(0, Input::Mark { symbol: symbol(), price: "90".parse().unwrap() });
        desk.venue(1, shown("1000", vec![holding("2")]));
        desk.on(2, Input::Tick);
        assert_eq!(desk.manager.view(at(2)).day_pnl, Some(Money::ZERO));
        for millis in [30_000, 31_000, 31_100] {
            desk.venue(millis, shown(cash, vec![holding(coins)]));
        }
        assert_eq!(desk.manager.view(at(32_000)).day_pnl, Some(Money::ZERO), "{cash} and {coins}");
        assert_eq!(desk.tripped, [Mode::ReduceOnly], "{cash} and {coins}");
        let day = desk.replayed().day.map(|day| day.equity);
        assert_eq!(day, Some(desk.manager.view(at(32_000)).equity), "a restart counts from there too");
    }
}

#[test]
fn a_fee_taken_out_of_what_was_bought_leaves_nothing_to_reconcile() {
    let mut desk = Desk::recovered(AccountState::new(account()), 1);
    desk.venue(0, shown("1000", vec![]));
    desk.on(0, Input::RiskManager(Incarnation(1)));
    let id = desk.submit(1, "2");
    desk.venue(1, accepted(id));
    let fee_taken = Some(FeeTaken::FromPosition { quantity: "0.002".parse().unwrap() });
    desk.venue(2, VenueEvent::Filled(Fill { fee: "0.2".parse().unwrap(), fee_taken, ..trade(id, 1, "2") }));
    assert_eq!(desk.status(id), OrderStatus::Filled, "an order is filled by what was traded, not by what arrived");
    desk.on(3, Input::Reconnected);
    desk.venue(4, shown("800", vec![holding("1.998")]));
    assert_eq!(findings(&desk), Vec::<String>::new());
    assert_eq!(desk.replayed().positions, *desk.manager.positions());
}

#[test]
fn trades_are_asked_for_by_symbol_each_behind_its_own_newest() {
    let mut desk = Desk::ready();
    let by_hand = ClientOrderId::new("web_1").unwrap();
    desk.venue(1, fill(by_hand, 900, "1"));
    desk.venue(2, VenueEvent::Filled(Fill { symbol: other(), ..trade(by_hand, 7, "1") }));
    desk.venue(3, VenueEvent::Filled(Fill { symbol: other(), side: Side::Sell, ..trade(by_hand, 8, "1") }));
    desk.sent.clear();
    desk.on(CHECK_EVERY.as_millis() as i64 + 10, Input::Tick);
    let held = TradesWanted::from([(symbol(), TradesFrom::After(900))]);
    desk.on(CHECK_EVERY.as_millis() as i64 + 20, Input::Reconnected);
    let every = TradesWanted::from([(symbol(), TradesFrom::After(900)), (other(), TradesFrom::After(8))]);
    let wanted: Vec<_> =
        desk.sent.iter().map(|command| if let VenueCommand::Snapshot { trades } = command { trades } else { panic!() }).collect();
    assert_eq!(wanted, [&held, &every], "a symbol that was left is asked for when everything is");
    let next = Desk::recovered(desk.replayed(), 2);
    assert!(matches!(&next.sent[0], VenueCommand::Snapshot { trades } if *trades == every));
}

#[test]
fn a_symbol_whose_rows_were_all_lost_is_asked_for_from_the_first_contact_on() {
    let mut before = Desk::recovered(AccountState::new(account()), 1);
    before.venue(0, shown("1000", vec![]));
    let manager = OrderManager::new(account(), Epoch(2), ModeTable::default(), before.replayed()).trading(vec![symbol()]);
    let (mut manager, mut out) = (manager, Outbox::new());
    manager.start(at(9_000), &mut out);
    let asked =
        out.drain().find_map(|step| if let Step::Do(Effect::Send(VenueCommand::Snapshot { trades })) = step { Some(trades) } else { None });
    assert_eq!(asked.unwrap(), TradesWanted::from([(symbol(), TradesFrom::Since(at(0)))]));
}

#[test]
fn a_checkpoint_of_the_version_that_counted_trades_by_account_is_read() {
    let mut before = Desk::ready();
    let id = before.submit(1, "2");
    before.venue(1, fill(id, 5, "1"));
    let mut text = serde_json::to_value(before.replayed()).unwrap();
    let fields = text.as_object_mut().unwrap();
    fields.remove("met");
    fields.insert("last_trade_id".to_owned(), 5.into());
    let state: AccountState = serde_json::from_value(text).unwrap();
    assert!(state.met);
    let after = Desk::recovered(state, 2);
    assert!(matches!(&after.sent[0], VenueCommand::Snapshot { trades } if trades.contains_key(&symbol())));
    assert_eq!(after.manager.positions().newest_trade(symbol()), Some(5));
}

#[test]
fn a_wallet_that_is_off_by_a_fraction_of_a_cent_is_settled_in_passing() {
    let mut desk = Desk::recovered(AccountState::new(account()), 1);
    let shown = |wallet: &str| VenueEvent::SnapshotIs(VenueSnapshot { wallet: wallet.parse().unwrap(), ..VenueSnapshot::default() });
    desk.venue(0, shown("1000"));
    let wallet = |desk: &Desk| desk.manager.positions().wallet().to_string();
    for (millis, venue, ours) in [
        (30_000, "999.997", "1000"),
        // Two answers to questions of one moment are one; another difference is another matter.
        (30_100, "999.997", "1000"),
        (60_000, "999.998", "1000"),
        (90_000, "999.998", "999.998"),
    ] {
        desk.venue(millis, shown(venue));
        assert_eq!(wallet(&desk), ours, "at {millis}");
        assert!(desk.manager.is_ready() && desk.faults.is_empty());
    }
    assert_eq!(desk.replayed().positions, *desk.manager.positions(), "the rows alone say so too");
    let rows = desk.rows.iter().filter(|row| matches!(row, Record::Reconciled { .. })).count();
    desk.venue(120_000, shown("999.998"));
    desk.venue(150_000, shown("999.998"));
    assert_eq!(desk.rows.iter().filter(|row| matches!(row, Record::Reconciled { .. })).count(), rows);
}
