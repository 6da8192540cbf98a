//! Orders: quote quantities, stops, trails, self-trade prevention, amendments, cancel and replace.

use super::*;

#[test]
fn a_quote_quantity_buys_as_much_as_it_pays_for() {
    let mut desk = Desk::new();
    let mut order = desk.at_market(Side::Buy, 0);
    order.extras.quote_quantity = Some(Money(dec("1000")));
    let placed = desk.placed("a", &order);
    // 1,000 / 60,000.10 is 0.016666…
    assert_eq!((placed.order.status(), placed.order.order.filled), ("FILLED", Quantity(dec("0.01666"))));
    assert!(placed.order.value <= Money(dec("1000")) && placed.order.value > Money(dec("999")));
    assert_eq!(placed.order.extras.quote_quantity, Some(Money(dec("1000"))));
    desk.book(&[], &[]);
    order.order.client_order_id = desk.name();
    assert_eq!(desk.refused("a", &order), (-2010, "Order book liquidity is less than symbol minimum quantity."));
}

#[test]
fn what_cannot_rest_expires_and_says_why() {
    let mut desk = Desk::new();
    desk.book(&[(MID - 10, 1_000)], &[(MID + 10, 1_000)]);
    let mut order = desk.limit(Side::Buy, MID + 20, 3_000);
    order.order.time_in_force = TimeInForce::FillOrKill;
    let placed = desk.placed("a", &order).order;
    assert_eq!((placed.status(), placed.spot.expiry), ("EXPIRED", Some(ExpiryReason::UnfilledFokOrderExpired)));
    order.order.time_in_force = TimeInForce::ImmediateOrCancel;
    order.order.client_order_id = desk.name();
    let placed = desk.placed("a", &order).order;
    assert_eq!((placed.status(), placed.order.filled), ("EXPIRED", quantity(1_000)));
    assert_eq!(placed.spot.expiry, Some(ExpiryReason::UnfilledIocQuantityExpired));
    let order = desk.at_market(Side::Sell, 2_000);
    let placed = desk.placed("a", &order).order;
    assert_eq!((placed.status(), placed.spot.expiry), ("EXPIRED", Some(ExpiryReason::InsufficientLiquidity)));
    assert_eq!(desk.has("a", "USDT").1, dec("0"));
}

#[test]
fn a_stop_locks_its_funds_while_it_waits_and_trades_when_it_fires() {
    let mut desk = Desk::new();
    let order = desk.stop(Side::Sell, MID - 100, 50_000);
    let id = desk.placed("a", &order).order.order.venue_order_id;
    assert_eq!(desk.has("a", "BTC"), (dec("1.5"), dec("0.5")));
    assert_eq!((desk.shown("a", id).status(), desk.shown("a", id).working_at), ("NEW", None));
    desk.exchange.drain_reports();
    desk.print(MID - 100, 1, true);
    assert_eq!(desk.status("a", id).0, "FILLED");
    assert_eq!(desk.told("a"), ["New NEW", "Trade FILLED", "position BTC,USDT"]);
    let order = desk.stop(Side::Sell, MID + 100, 50_000);
    assert_eq!(desk.refused("a", &order), (-2010, "Order would trigger immediately."));
}

#[test]
fn a_price_fires_every_stop_that_it_reached_wherever_the_first_ones_trade_takes_it() {
    let mut desk = Desk::new();
    let stops = [(), ()].map(|()| {
        let order = desk.stop(Side::Sell, MID - 100, 10_000);
        desk.placed("a", &order).order.order.venue_order_id
    });
    // The best bid stands above the print: the first sale brings the last price back up.
    desk.print(MID - 100, 1, true);
    assert_eq!(stops.map(|id| desk.status("a", id).0), ["FILLED"; 2]);
}

#[test]
fn a_trailing_stop_follows_the_price_and_fires_when_it_turns() {
    let mut desk = Desk::new();
    let mut order = desk.order(Side::Sell, OrderKind::StopMarket { trigger: Price::ZERO }, 10_000);
    order.extras.trailing = Some(Trailing { activation: None, callback: Ratio(dec("0.01")) });
    let id = desk.placed("a", &order).order.order.venue_order_id;
    desk.touch((MID + 59_990, 10_000_000), (MID + 60_010, 10_000_000));
    desk.print(MID + 60_000, 1, false);
    // A percent below 60,600 is 59,994.
    desk.print(MID - 500, 1, true);
    assert_eq!(desk.status("a", id).0, "NEW");
    desk.print(MID - 600, 1, true);
    assert_eq!(desk.status("a", id).0, "FILLED");
}

#[test]
fn a_trail_with_a_stop_price_begins_there() {
    let mut desk = Desk::new();
    let mut order = desk.order(Side::Sell, OrderKind::TakeProfitMarket { trigger: price(MID + 10_000) }, 10_000);
    order.extras.trailing = Some(Trailing { activation: Some(price(MID + 10_000)), callback: Ratio(dec("0.001")) });
    let id = desk.placed("a", &order).order.order.venue_order_id;
    desk.print(MID - 50_000, 1, true);
    assert_eq!((desk.status("a", id).0, desk.shown("a", id).spot.trailing_since), ("NEW", None));
    desk.print(MID + 10_000, 1, false);
    assert!(desk.shown("a", id).spot.trailing_since.is_some());
    desk.print(MID + 3_000, 1, true);
    assert_eq!(desk.status("a", id).0, "FILLED");
}

fn prevented(mode: SelfTradePrevention, lots: i64) -> (Desk, OrderView, SpotPlaced) {
    let mut desk = Desk::new();
    let resting = desk.limit(Side::Buy, MID, 6_000);
    let maker = desk.placed("twin", &resting).order.order.venue_order_id;
    let mut order = desk.limit(Side::Sell, MID, lots);
    order.order.self_trade_prevention = mode;
    desk.exchange.drain_reports();
    let placed = desk.placed("a", &order);
    let maker = desk.shown("twin", maker);
    (desk, maker, placed)
}

#[test]
fn accounts_of_one_owner_do_not_trade_with_each_other() {
    let (desk, maker, placed) = prevented(SelfTradePrevention::ExpireMaker, 2_000);
    assert_eq!((maker.status(), maker.prevented), ("EXPIRED_IN_MATCH", quantity(6_000)));
    assert_eq!((placed.order.status(), placed.prevented[0].maker_prevented), ("NEW", Some(quantity(6_000))));
    assert_eq!(desk.has("twin", "USDT").1, dec("0"));
    let (_, maker, placed) = prevented(SelfTradePrevention::ExpireTaker, 2_000);
    assert_eq!((maker.status(), placed.order.status(), placed.order.prevented), ("NEW", "EXPIRED_IN_MATCH", quantity(2_000)));
    let (_, maker, placed) = prevented(SelfTradePrevention::ExpireBoth, 2_000);
    assert_eq!((maker.status(), placed.order.status()), ("EXPIRED_IN_MATCH", "EXPIRED_IN_MATCH"));
    let (_, maker, placed) = prevented(SelfTradePrevention::None, 2_000);
    assert_eq!((maker.status(), placed.order.status()), ("PARTIALLY_FILLED", "FILLED"));
}

#[test]
fn decrement_takes_the_same_from_both_and_ends_the_smaller() {
    let (mut desk, maker, placed) = prevented(SelfTradePrevention::Decrement, 2_000);
    assert_eq!((maker.status(), maker.prevented), ("NEW", quantity(2_000)));
    assert_eq!((placed.order.status(), placed.order.prevented), ("EXPIRED_IN_MATCH", quantity(2_000)));
    assert_eq!(desk.has("twin", "USDT").1, dec("2400"));
    assert_eq!(desk.told("twin"), ["TradePrevention NEW", "position USDT"]);
    let (desk, maker, placed) = prevented(SelfTradePrevention::Decrement, 7_000);
    assert_eq!((maker.status(), placed.order.status(), placed.order.prevented), ("EXPIRED_IN_MATCH", "NEW", quantity(6_000)));
    assert_eq!(desk.has("a", "BTC").1, dec("0.01"));
}

#[test]
fn an_amended_order_keeps_its_place_and_is_smaller() {
    let mut desk = Desk::new();
    let (first, second) = (desk.limit(Side::Buy, MID, 5_000), desk.limit(Side::Buy, MID, 5_000));
    let (first, second) = (desk.placed("a", &first).order.order, desk.placed("b", &second).order.order);
    let amended = desk.amend("a", first.venue_order_id, 2_000).unwrap();
    assert_eq!((amended.before, amended.order.order.quantity), (first.client_order_id, quantity(2_000)));
    assert_eq!(desk.has("a", "USDT").1, dec("1200"));
    desk.print(MID - 1, 3_000, true);
    assert_eq!(
        (desk.status("a", first.venue_order_id).0, desk.shown("b", second.venue_order_id).order.filled),
        ("FILLED", quantity(1_000))
    );
    let shown = desk.shown("a", first.venue_order_id);
    assert_eq!((shown.spot.amendments.len(), shown.spot.amendments[0].quantity_before), (1, quantity(5_000)));
    let refusal = |result: Result<Amended, Reject>| result.unwrap_err().words(true);
    assert_eq!(refusal(desk.amend("b", second.venue_order_id, 6_000)), (-2038, "Order amend (quantity increase) is not supported."));
    assert_eq!(refusal(desk.amend("b", second.venue_order_id, 5_000)).0, -2038);
    assert_eq!(refusal(desk.amend("b", second.venue_order_id, 900)).0, -2038, "a thousand have traded");
    (0..10).for_each(|n| drop(desk.amend("b", second.venue_order_id, 4_990 - n).unwrap()));
    assert_eq!(refusal(desk.amend("b", second.venue_order_id, 4_000)), (-2038, "Filter failure: MAX_NUM_ORDER_AMENDS"));
}

#[test]
fn cancel_and_replace_does_neither_when_a_filter_fails_and_stops_where_it_is_told_to() {
    let mut desk = Desk::new();
    let order = desk.limit(Side::Buy, MID - 100, 1_000);
    let id = desk.placed("a", &order).order.order.venue_order_id;
    let replace = |desk: &mut Desk, id: u64, order: &OrderRequest, stop: bool| {
        let (now, name) = (desk.tick(), desk.name());
        let cancel = CancelRequest { symbol: btc(), named: Named { id: Some(id), client: None }, name, restriction: None };
        desk.exchange.cancel_replace(now, account("a"), &cancel, order, stop, &mut Vec::new())
    };
    let small = desk.limit(Side::Buy, MID - 100, 1);
    assert_eq!(replace(&mut desk, id, &small, true).unwrap_err(), Reject::NotionalTooSmall);
    assert_eq!(desk.status("a", id).0, "NEW");
    let dear = desk.limit(Side::Buy, MID - 100, 10_000_000);
    desk.told("a");
    let half = replace(&mut desk, id, &dear, true).unwrap();
    assert!(half.canceled.is_ok() && half.placed == Some(Err(Reject::Margin)));
    assert_eq!(desk.told("a"), ["Canceled CANCELED", "position USDT", "Rejected REJECTED"]);
    let fair = desk.limit(Side::Buy, MID - 100, 1_000);
    let stopped = replace(&mut desk, id, &fair, true).unwrap();
    assert!(stopped.canceled == Err(Reject::UnknownOrder) && stopped.placed.is_none());
    let placed = replace(&mut desk, id, &fair, false).unwrap().placed.unwrap().unwrap();
    let (order, old) = (desk.limit(Side::Buy, MID - 200, 1_000), placed.order.order.venue_order_id);
    assert!(replace(&mut desk, old, &order, true).unwrap().placed.unwrap().is_ok());
    assert_eq!(desk.exchange.open_orders(account("a"), None).len(), 1);
}

#[test]
fn a_cancel_can_insist_on_how_the_order_stands_and_on_both_its_names() {
    let mut desk = Desk::new();
    let order = desk.limit(Side::Buy, MID, 5_000);
    let placed = desk.placed("a", &order).order.order;
    let (now, name) = (desk.tick(), desk.name());
    let named = Named { id: Some(placed.venue_order_id), client: Some(name) };
    let mut cancel = CancelRequest { symbol: btc(), named, name, restriction: Some(CancelRestriction::OnlyPartiallyFilled) };
    let mut ask = |cancel: &CancelRequest| {
        desk.exchange.cancel_spot(now, account("a"), cancel, &mut Vec::new()).map_err(|reject| reject.words(true).0)
    };
    assert_eq!(ask(&cancel).unwrap_err(), -2039);
    cancel.named.client = Some(placed.client_order_id);
    assert_eq!(ask(&cancel).unwrap_err(), -2011);
    cancel.restriction = Some(CancelRestriction::OnlyNew);
    assert!(ask(&cancel).is_ok());
}
