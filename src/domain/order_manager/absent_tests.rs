//! Orders that the venue says it does not know: when that is believed, and what outweighs it.

use super::*;

#[test]
fn an_order_that_the_venue_does_not_know_and_has_traded_is_booked() {
    let mut desk = Desk::ready();
    let id = desk.submit(1, "2");
    desk.venue(1, VenueEvent::OutcomeUnknown { client_order_id: id, why: "time-out".into() });
    for millis in [1_000, 12_000] {
        desk.venue(millis, VenueEvent::OrderIs { client_order_id: id, order: None });
    }
    let VenueEvent::Filled(trade) = fill(id, 1, "2") else { unreachable!() };
    desk.venue(12_100, VenueEvent::SnapshotIs(VenueSnapshot { trades: vec![trade], ..VenueSnapshot::default() }));
    assert_eq!(desk.status(id), OrderStatus::Filled);
}

#[test]
fn a_venue_that_may_take_a_request_late_is_waited_for_longer() {
    let mut desk = Desk::ready();
    desk.manager = desk.manager.received_within(Duration::from_secs(30));
    let id = desk.submit(1, "2");
    desk.venue(1, VenueEvent::OutcomeUnknown { client_order_id: id, why: "time-out".into() });
    let mut second = 0;
    while desk.status(id) == OrderStatus::Unknown {
        second += 1;
        desk.venue(second * 1_000, VenueEvent::OrderIs { client_order_id: id, order: None });
        desk.venue(second * 1_000 + 1, VenueEvent::SnapshotIs(VenueSnapshot::default()));
        assert!(second < 100);
    }
    assert_eq!((desk.status(id), second), (OrderStatus::Rejected, 63));
}

#[test]
fn an_order_that_is_listed_is_not_absent_whatever_is_said_of_it() {
    let mut desk = Desk::ready();
    let id = desk.submit(1, "2");
    desk.venue(1, VenueEvent::OutcomeUnknown { client_order_id: id, why: "time-out".into() });
    let listed = VenueSnapshot { open_orders: vec![listed(id, OrderStatus::Working, "0")], ..VenueSnapshot::default() };
    for second in 1..30 {
        desk.venue(second * 1_000, VenueEvent::OrderIs { client_order_id: id, order: None });
        desk.venue(second * 1_000 + 1, VenueEvent::SnapshotIs(listed.clone()));
    }
    assert_eq!(desk.status(id), OrderStatus::Unknown);
}

#[test]
fn an_order_without_an_answer_becomes_unknown_and_is_asked_for() {
    let mut desk = Desk::ready();
    let id = desk.submit(1, "2");
    desk.on(1_999, Input::Tick);
    assert_eq!(desk.status(id), OrderStatus::Submitted);
    desk.on(2_001, Input::Tick);
    assert_eq!(desk.status(id), OrderStatus::Unknown);
    assert!(desk.sent.iter().any(|command| matches!(command, VenueCommand::Query { .. })));
    desk.venue(2_100, VenueEvent::OrderIs { client_order_id: id, order: Some(listed(id, OrderStatus::Working, "0")) });
    assert_eq!(desk.status(id), OrderStatus::Working);
}
