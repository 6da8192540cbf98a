//! What must not be lost, told wrongly or asked for ever: events that never came, venues that contradict themselves, modes
//! that change while an order is on its way.

use super::*;

fn position(quantity: &str) -> VenuePosition {
    let entry_price = "100".parse().unwrap();
    VenuePosition { symbol: symbol(), position_side: PositionSide::Both, quantity: quantity.parse().unwrap(), entry_price, closable: None }
}

fn snapshots(desk: &Desk) -> Vec<TradesWanted> {
    let wanted = |command: &VenueCommand| if let VenueCommand::Snapshot { trades } = command { Some(trades.clone()) } else { None };
    desk.sent.iter().filter_map(wanted).collect()
}

#[test]
fn a_lost_trade_is_asked_for_though_newer_ones_have_come() {
    let mut desk = Desk::ready();
    let id = desk.submit(1, "2");
    desk.venue(1, accepted(id));
    // Trade 1 never came.
    desk.venue(2, fill(id, 2, "0.5"));
    desk.sent.clear();
    desk.venue(3, VenueEvent::OrderIs { client_order_id: id, order: Some(listed(id, OrderStatus::Working, "1.5")) });
    let wanted = TradesWanted::from([(symbol(), TradesFrom::Since(at(-1_000)))]);
    assert_eq!(snapshots(&desk), [wanted], "from before the order was made, not from the newest trade");
    let trades = vec![trade(id, 1, "1"), trade(id, 2, "0.5")];
    desk.venue(4, VenueEvent::SnapshotIs(VenueSnapshot { trades, positions: vec![position("1.5")], ..VenueSnapshot::default() }));
    assert_eq!(desk.position(), "1.5".parse().unwrap());
}

#[test]
fn a_venue_whose_trades_never_explain_an_order_is_asked_once_a_second_and_at_last_believed() {
    let mut desk = Desk::ready();
    let id = desk.submit(1, "2");
    desk.venue(1, accepted(id));
    desk.sent.clear();
    for tenth in 0..80 {
        if tenth % 5 == 0 {
            desk.on(tenth * 100, Input::Tick);
        }
        // It answers whatever it is asked, at once.
        for command in std::mem::take(&mut desk.sent) {
            if let VenueCommand::Query { client_order_id, .. } = command {
                desk.venue(tenth * 100, VenueEvent::OrderIs { client_order_id, order: Some(listed(id, OrderStatus::Filled, "2")) });
            }
        }
        if tenth == 0 {
            desk.venue(1, VenueEvent::OrderIs { client_order_id: id, order: Some(listed(id, OrderStatus::Filled, "2")) });
        }
        assert!(desk.sent.len() <= 2, "asked {} times within a tenth of a second", desk.sent.len());
    }
    assert_eq!(desk.status(id), OrderStatus::Filled);
    assert_eq!(desk.faults, [FaultClass::Data]);
    // A trade that turns up after all is not counted twice.
    desk.venue(9_000, fill(id, 7, "2"));
    assert_eq!(desk.faults, [FaultClass::Data]);
}

#[test]
fn an_order_that_ended_with_trades_untold_holds_its_exposure_until_they_are() {
    let mut desk = Desk::ready();
    let id = desk.submit(1, "2");
    desk.venue(1, accepted(id));
    desk.venue(2, ended(id, "1.5"));
    assert!(!desk.status(id).is_terminal());
    let trades = vec![trade(id, 1, "1.5")];
    desk.venue(3, VenueEvent::SnapshotIs(VenueSnapshot { trades, positions: vec![position("1.5")], ..VenueSnapshot::default() }));
    desk.venue(4, VenueEvent::OrderIs { client_order_id: id, order: Some(listed(id, OrderStatus::Canceled, "1.5")) });
    assert_eq!(desk.status(id), OrderStatus::Canceled);
    assert_eq!(desk.position(), "1.5".parse().unwrap());
}

#[test]
fn a_venue_that_refuses_cancels_is_not_asked_as_fast_as_it_answers() {
    let mut desk = Desk::ready();
    let id = desk.submit(1, "2");
    desk.venue(1, accepted(id));
    desk.sent.clear();
    desk.on(2, cancel(id));
    let mut commands = 0;
    for tenth in 0..100 {
        if tenth % 5 == 0 {
            desk.on(tenth * 100, Input::Tick);
        }
        for _ in 0..50 {
            for command in std::mem::take(&mut desk.sent) {
                commands += 1;
                match command {
                    VenueCommand::Cancel { .. } => {
                        desk.venue(tenth * 100, VenueEvent::CancelRefused { client_order_id: id, code: -1001, message: "no".into() });
                    }
                    VenueCommand::Query { .. } => {
                        desk.venue(
                            tenth * 100,
                            VenueEvent::OrderIs { client_order_id: id, order: Some(listed(id, OrderStatus::Working, "0")) },
                        );
                    }
                    _ => {}
                }
            }
        }
    }
    assert!((6..40).contains(&commands), "{commands} commands in ten seconds");
    assert_eq!(desk.status(id), OrderStatus::PendingCancel);
}

#[test]
fn two_hasty_answers_are_no_proof_that_an_order_is_gone() {
    let mut desk = Desk::ready();
    let id = desk.submit(1, "2");
    desk.venue(1, accepted(id));
    let absent = || VenueEvent::OrderIs { client_order_id: id, order: None };
    desk.venue(60_000, absent());
    desk.venue(60_003, absent());
    assert_eq!(desk.status(id), OrderStatus::Unknown);
    desk.venue(60_500, VenueEvent::OrderIs { client_order_id: id, order: Some(listed(id, OrderStatus::Working, "0")) });
    assert_eq!(desk.status(id), OrderStatus::Working);
    desk.venue(70_000, absent());
    desk.venue(71_100, absent());
    desk.venue(71_200, VenueEvent::SnapshotIs(VenueSnapshot::default()));
    desk.venue(72_100, absent());
    assert_eq!(desk.status(id), OrderStatus::Canceled);
}

#[test]
fn an_intent_submitted_twice_does_not_report_the_standing_order_as_unsent() {
    let mut desk = Desk::ready();
    let id = desk.submit(1, "2");
    desk.venue(1, accepted(id));
    desk.submit(1, "2");
    assert_eq!(desk.reports.last().unwrap().status, OrderStatus::Working);
    assert_eq!(desk.status(id), OrderStatus::Working);
}

/// Marks come only while there is a position: the last one of a position that was closed must not value the next.
#[test]
fn a_new_position_is_not_valued_at_the_mark_of_one_long_gone() {
    let mut desk = Desk::ready();
    let id = desk.submit(1, "1");
    desk.venue(1, fill(id, 1, "1"));
    desk.on(2, Input::Mark { symbol: symbol(), price: "100".parse().unwrap() });
    let sold = Fill { side: Side::Sell, ..trade(ClientOrderId::new("by-hand").unwrap(), 2, "1") };
    desk.venue(3, VenueEvent::Filled(sold));
    let dear = Fill { price: "150".parse().unwrap(), ..trade(ClientOrderId::new("by-hand").unwrap(), 3, "10") };
    desk.venue(3_600_000, VenueEvent::Filled(dear));
    assert_eq!(desk.manager.view(at(3_600_000)).day_pnl, Some(Money::ZERO), "bought at the market: nothing is lost");
}

#[test]
fn a_first_start_on_a_used_account_opens_its_day_with_the_venues_wallet() {
    let mut desk = Desk::recovered(AccountState::new(account()), 1);
    assert_eq!(snapshots(&desk), [TradesWanted::new()], "what was traded before us is no business of ours");
    let snapshot = VenueSnapshot { positions: vec![position("1")], wallet: "1000".parse().unwrap(), ..VenueSnapshot::default() };
    desk.venue(0, VenueEvent::SnapshotIs(snapshot));
    assert!(desk.faults.is_empty() && desk.tripped.is_empty(), "{:?} {:?}", desk.faults, desk.tripped);
    desk.on(500, Input::Mark { symbol: symbol(), price: "90".parse().unwrap() });
    desk.on(1_500, Input::Tick);
    let opened: Vec<_> =
        desk.rows.iter().filter_map(|row| if let Record::DayOpened { equity, .. } = row { Some(*equity) } else { None }).collect();
    assert_eq!(opened, ["990".parse().unwrap()], "with its wallet and at the market's price, or not at all");
    assert_eq!(desk.manager.view(at(1_500)).day_pnl, Some(Money::ZERO));
}

/// Its answer may come to the next executor, which must know that the order is not wanted any more.
#[test]
fn a_cancel_that_waits_for_the_orders_answer_outlives_the_executor() {
    for unknown in [false, true] {
        let mut before = Desk::ready();
        let id = before.submit(1, "2");
        if unknown {
            before.venue(1, VenueEvent::OutcomeUnknown { client_order_id: id, why: "time-out".into() });
        }
        before.on(2, cancel(id));
        let rows = before.rows.len();
        before.on(3, cancel(id));
        assert_eq!(before.rows.len(), rows, "one row for one wish");
        let mut after = Desk::recovered(before.replayed(), 2);
        after.venue(60_000, VenueEvent::SnapshotIs(VenueSnapshot::default()));
        after.venue(60_001, VenueEvent::OrderIs { client_order_id: id, order: Some(listed(id, OrderStatus::Working, "0")) });
        assert!(after.sent.contains(&VenueCommand::Cancel { symbol: symbol(), client_order_id: id }), "{:?}", after.sent);
        assert_eq!(after.status(id), OrderStatus::PendingCancel);
    }
}

/// An account that lost while nobody had a price must not look like one that lost nothing.
#[test]
fn the_days_figure_is_not_known_while_a_position_has_no_price() {
    let mut before = Desk::ready();
    let id = before.submit(1, "1");
    before.venue(1, fill(id, 1, "1"));
    assert_eq!(before.manager.view(at(1)).day_pnl, Some(Money::ZERO));
    let mut after = Desk::recovered(before.replayed(), 2);
    after.venue(0, VenueEvent::SnapshotIs(VenueSnapshot { positions: vec![position("1")], ..VenueSnapshot::default() }));
    assert!(after.manager.is_ready());
    assert_eq!(after.manager.view(at(1)).day_pnl, None);
    after.on(2, Input::Mark { symbol: symbol(), price: "90".parse().unwrap() });
    assert_eq!(after.manager.view(at(2)).day_pnl, Some("-10".parse().unwrap()));
}

#[test]
fn an_order_does_not_leave_after_its_cancel_or_its_strategys_halt() {
    for halt in [false, true] {
        let mut desk = Desk::ready();
        desk.durable = false;
        let id = desk.submit(1, "1");
        assert_eq!(desk.manager.may_leave(id), Ok(()));
        if halt {
            let mut modes = ModeTable::default();
            modes.set(Scope::Strategy(StrategyId::new("s").unwrap()), Mode::Halted, "t", at(0));
            desk.on(1, Input::Modes(modes));
        } else {
            desk.on(1, cancel(id));
        }
        assert!(desk.manager.may_leave(id).is_err());
    }
}

#[test]
fn an_order_that_was_on_its_way_when_everything_stopped_is_cancelled_when_it_stands() {
    for scope in [Scope::Global, Scope::Account(account()), Scope::Symbol(symbol())] {
        let mut desk = Desk::ready();
        let id = desk.submit(1, "1");
        let mut modes = ModeTable::default();
        modes.set(scope, Mode::Halted, "t", at(0));
        desk.on(1, Input::Modes(modes));
        desk.venue(2, accepted(id));
        assert!(matches!(desk.sent.last(), Some(VenueCommand::Cancel { .. })), "{scope}");
    }
}

#[test]
fn an_end_that_nobody_told_is_noticed_within_the_time_between_two_checks() {
    let mut desk = Desk::ready();
    let id = desk.submit(1, "2");
    desk.venue(1, accepted(id));
    desk.sent.clear();
    desk.on(CHECK_EVERY.as_millis() as i64 + 1, Input::Tick);
    assert_eq!(snapshots(&desk).len(), 1);
    desk.venue(31_000, VenueEvent::SnapshotIs(VenueSnapshot::default()));
    assert!(matches!(desk.sent.last(), Some(VenueCommand::Query { .. })));
    assert!(desk.manager.is_ready(), "orders pass meanwhile");
    desk.venue(31_010, VenueEvent::OrderIs { client_order_id: id, order: Some(listed(id, OrderStatus::Canceled, "0")) });
    assert_eq!(desk.status(id), OrderStatus::Canceled);
}

#[test]
fn a_position_that_the_venue_shows_otherwise_twice_is_reconciled_and_once_is_not() {
    let mut desk = Desk::ready();
    let shown = |quantity: &str| VenueEvent::SnapshotIs(VenueSnapshot { positions: vec![position(quantity)], ..VenueSnapshot::default() });
    desk.venue(30_000, shown("1"));
    desk.venue(31_000, shown("0"));
    desk.venue(61_000, shown("1"));
    assert!(desk.manager.is_ready());
    desk.sent.clear();
    desk.on(62_100, Input::Tick);
    assert_eq!(snapshots(&desk).len(), 1, "a doubt is looked into at once");
    desk.venue(62_200, shown("1"));
    assert_eq!(desk.manager.mode(), Mode::CancelOnly);
    desk.venue(62_300, shown("1"));
    assert_eq!((desk.position(), desk.manager.mode()), ("1".parse().unwrap(), Mode::Normal));
}

#[test]
fn trades_that_the_venue_says_and_does_not_list_are_not_asked_for_in_a_circle() {
    let mut before = Desk::ready();
    let id = before.submit(1, "4");
    let mut desk = Desk::recovered(before.replayed(), 2);
    let mut snapshot = VenueSnapshot { open_orders: vec![listed(id, OrderStatus::Working, "1")], ..VenueSnapshot::default() };
    snapshot.trades.clear();
    for _ in 0..50 {
        desk.venue(5, VenueEvent::SnapshotIs(snapshot.clone()));
        desk.venue(5, VenueEvent::OrderIs { client_order_id: id, order: Some(listed(id, OrderStatus::Working, "1")) });
    }
    let snapshots = desk.sent.iter().filter(|command| matches!(command, VenueCommand::Snapshot { .. })).count();
    assert!(snapshots <= 2, "{snapshots} snapshots asked for in one instant");
}

/// A fill that is told while nobody is there is lost; the next one must not hide it from the successor of a successor.
#[test]
pub(crate) fn a_fill_heard_before_the_snapshot_does_not_hide_the_ones_before_it_from_the_next_life() {
    let mut desk = Desk::ready();
    let id = desk.submit(1, "4");
    desk.venue(1, fill(id, 1, "1"));
    // Trade 2 is told to nobody; trade 3 to a successor that dies before the venue has answered it.
    let mut second = Desk::recovered(desk.replayed(), 1);
    second.venue(2, fill(id, 3, "1"));
    desk.rows.append(&mut second.rows);
    let third = Desk::recovered(desk.replayed(), 1);
    let VenueCommand::Snapshot { trades } = &third.sent[0] else { panic!("{:?}", third.sent) };
    assert_eq!(*trades, TradesWanted::from([(symbol(), TradesFrom::Since(at(-1_000)))]), "from before the lost trade");
}
