//! Orders that only perpetuals have: dates, countdowns, modification, and the filters' own codes.

use super::*;
use crate::exchange::core::margin::Modification;

fn with(order: NewOrder, extras: Extras) -> OrderRequest {
    OrderRequest { order, extras }
}

impl Desk {
    fn request(&mut self, name: &str, request: &OrderRequest) -> Result<OrderView, Reject> {
        self.exchange.place_order(self.now, account(name), request, &mut self.out).map(|placed| placed.order)
    }

    fn modify(&mut self, id: u64, ticks: i64, lots: i64) -> Result<OrderView, Reject> {
        let wanted = Modification { side: Side::Buy, quantity: quantity(lots), price: price(ticks) };
        self.exchange.modify_order(self.now, account("a"), btc(), OrderName::Id(id), wanted, &mut self.out)
    }
}

#[test]
fn filters_have_usdms_own_codes() {
    let mut desk = desk();
    let mut code = |order: NewOrder| rejection(&desk.place("a", order).1);
    let limit = |ticks: i64, lots: i64, side| NewOrder {
        client_order_id: ClientOrderId::new("x").unwrap(),
        symbol: btc(),
        side,
        position_side: PositionSide::Both,
        kind: OrderKind::Limit { price: price(ticks) },
        time_in_force: TimeInForce::GoodTilCanceled,
        quantity: quantity(lots),
        reduce_only: false,
        self_trade_prevention: SelfTradePrevention::None,
    };
    assert_eq!(code(limit(5_000, 1_000, Side::Buy)), Some(-4013));
    assert_eq!(code(limit(50_000_000, 1_000, Side::Buy)), Some(-4002));
    assert_eq!(code(limit(MID + 50_000, 10, Side::Buy)), Some(-4016));
    assert_eq!(code(limit(MID - 50_000, 10, Side::Sell)), Some(-4024));
    assert_eq!(code(limit(MID - 100, 1, Side::Buy)), Some(-4164));
    assert_eq!(code(limit(MID - 100, 2_000_000, Side::Buy)), Some(-4005));
    // MARKET_LOT_SIZE is smaller: 120 BTC.
    assert_eq!(code(NewOrder { kind: OrderKind::Market, ..limit(0, 121_000, Side::Buy) }), Some(-4005));
    assert_eq!(code(NewOrder { time_in_force: TimeInForce::PostOnly, ..limit(MID + 10, 10, Side::Buy) }), Some(-5022));
    assert_eq!(code(NewOrder { time_in_force: TimeInForce::FillOrKill, ..limit(MID + 9, 10, Side::Buy) }), Some(-5021));
    // A conditional order's limit is held to its own trigger.
    let stop = |side, trigger: i64, at: i64| NewOrder {
        kind: OrderKind::StopLimit { trigger: price(trigger), price: price(at) },
        ..limit(0, 10, side)
    };
    assert_eq!(code(stop(Side::Buy, MID + 100, MID + 50_000)), Some(-4183));
    assert_eq!(code(stop(Side::Sell, MID - 100, MID - 50_000)), Some(-4184));
    let far = OrderKind::StopMarket { trigger: price(50_000_000) };
    assert_eq!(code(NewOrder { kind: far, ..limit(0, 10, Side::Buy) }), Some(-4007));
}

#[test]
fn an_order_test_says_what_the_order_would_and_does_nothing() {
    let mut desk = desk();
    let good = desk.limit(Side::Buy, MID - 100, 10).into();
    assert_eq!(desk.exchange.check_order(desk.now, account("a"), &good), Ok(()));
    let bad = OrderRequest::from(NewOrder { reduce_only: true, ..desk.limit(Side::Buy, MID - 100, 10) });
    assert_eq!(desk.exchange.check_order(desk.now, account("a"), &bad), Err(Reject::ReduceOnly));
    assert!(desk.exchange.open_orders(account("a"), None).is_empty() && desk.reports().is_empty());
}

#[test]
fn an_order_with_a_date_expires_on_it() {
    let mut desk = desk();
    let good_till = Some(desk.now + Duration::from_secs(700));
    let order = desk.limit(Side::Buy, MID - 100, 10);
    let id = order.client_order_id;
    desk.request("a", &with(order, Extras { good_till, ..Extras::default() })).unwrap();
    assert_eq!(end(&desk.pass(Duration::from_secs(699))), None);
    assert_eq!(end(&desk.pass(Duration::from_secs(1))), Some((id, EndReason::Expired)));
}

#[test]
fn a_countdown_cancels_one_symbols_orders_unless_it_is_renewed() {
    let mut desk = desk();
    let order = desk.limit(Side::Buy, MID - 100, 10);
    let (id, _) = desk.place("a", order);
    let set = |desk: &mut Desk, millis: Option<u64>| {
        desk.exchange.countdown(desk.now, account("a"), btc(), millis.map(Duration::from_millis)).unwrap();
    };
    set(&mut desk, Some(1_000));
    assert_eq!(end(&desk.pass(Duration::from_millis(990))), None);
    set(&mut desk, Some(1_000));
    assert_eq!(end(&desk.pass(Duration::from_millis(990))), None);
    set(&mut desk, None);
    assert_eq!(end(&desk.pass(Duration::from_secs(10))), None);
    set(&mut desk, Some(500));
    assert_eq!(end(&desk.pass(Duration::from_millis(500))), Some((id, EndReason::Canceled)));
}

#[test]
fn a_modified_order_goes_to_the_end_of_the_queue_with_its_new_numbers() {
    let mut desk = desk();
    let first = desk.limit(Side::Buy, MID - 5, 10);
    let id = desk.request("a", &first.into()).unwrap().order.venue_order_id;
    let second = desk.limit(Side::Buy, MID - 5, 10);
    desk.place("other", second);
    let shown = desk.modify(id, MID - 5, 20).unwrap();
    assert_eq!((shown.status(), shown.order.quantity), ("NEW", quantity(20)));
    assert!(desk.reports().iter().any(|event| matches!(event, UserEvent::Order { execution: ExecutionType::Amendment, .. })));
    let told = desk.print(MID - 5, 15, true);
    let filled: Vec<_> = fills(&told).iter().map(|fill| (fill.account, fill.quantity)).collect();
    assert_eq!(filled, [(account("other"), quantity(10)), (account("a"), quantity(5))]);
    let row = desk.exchange.order_amendments(account("a"), btc()).next().copied().unwrap();
    assert_eq!((row.quantity, row.price, row.count), ((quantity(10), quantity(20)), (price(MID - 5), price(MID - 5)), 1));
}

#[test]
fn a_modification_is_refused_or_cancels_as_the_venue_says() {
    let mut desk = desk();
    let order = desk.limit(Side::Buy, MID - 5, 10);
    let id = desk.request("a", &order.into()).unwrap().order.venue_order_id;
    assert_eq!(desk.modify(id, MID - 5, 10), refused(UsdmReject::ModifySame));
    assert_eq!(desk.modify(id, MID - 5, 400_000), Err(Reject::Margin));
    assert_eq!(desk.modify(id, 5_000, 10), refused(UsdmReject::PriceTooLowForFilter));
    assert_eq!(desk.modify(99, MID - 6, 10), Err(Reject::UnknownOrder));
    let wanted = Modification { side: Side::Sell, quantity: quantity(9), price: price(MID - 5) };
    let wrong_side = desk.exchange.modify_order(desk.now, account("a"), btc(), OrderName::Id(id), wanted, &mut desk.out);
    assert_eq!(wrong_side, refused(UsdmReject::ModifySide));
    // Partly filled, and asked for less than that.
    desk.print(MID - 5, 6, true);
    assert_eq!(desk.modify(id, MID - 5, 5).unwrap().status(), "CANCELED");
    // Post-only, and now it would take.
    let order = NewOrder { time_in_force: TimeInForce::PostOnly, ..desk.limit(Side::Buy, MID - 5, 10) };
    let id = desk.request("a", &order.into()).unwrap().order.venue_order_id;
    assert_eq!(desk.modify(id, MID + 10, 10).unwrap().status(), "CANCELED");
    // Any other takes.
    let order = desk.limit(Side::Buy, MID - 5, 10);
    let id = desk.request("a", &order.into()).unwrap().order.venue_order_id;
    assert_eq!(desk.modify(id, MID + 10, 10).unwrap().status(), "FILLED");
}

/// Conditionals on the order path, as Aster has them.
#[test]
fn each_stop_goes_by_the_price_that_it_names_and_closes_what_is_there() {
    let mut desk = desk();
    desk.buys("a", 30);
    let stop = |desk: &mut Desk, trigger_by| {
        let order = NewOrder { quantity: Quantity::ZERO, ..desk.order(Side::Sell, OrderKind::StopMarket { trigger: price(MID - 50) }, 0) };
        with(order, Extras { trigger_by: Some(trigger_by), close_position: true, ..Extras::default() })
    };
    let by_mark = stop(&mut desk, TriggerPrice::Mark);
    desk.request("a", &by_mark).unwrap();
    assert!(fills(&desk.print(MID - 60, 1, true)).is_empty());
    assert_eq!(desk.position("a"), quantity(30));
    assert_eq!(trades(&desk.mark(MID - 60)), [(MID - 10, 30)]);
    assert_eq!(desk.position("a"), Quantity::ZERO);
    // Nothing is there any more: it ends without a trade.
    desk.mark(MID);
    desk.print(MID, 1, true);
    let by_last = stop(&mut desk, TriggerPrice::Last);
    let id = desk.request("a", &by_last).unwrap().order.client_order_id;
    assert_eq!(end(&desk.print(MID - 60, 1, true)), Some((id, EndReason::Expired)));
}

#[test]
fn a_protected_stop_waits_while_last_and_mark_are_far_apart() {
    let mut desk = desk();
    desk.buys("a", 30);
    let order = NewOrder { reduce_only: true, ..desk.order(Side::Sell, OrderKind::StopMarket { trigger: price(MID - 100) }, 30) };
    desk.request("a", &with(order, Extras { price_protect: true, ..Extras::default() })).unwrap();
    // 6 % below the mark: a flash on this market alone.
    assert!(fills(&desk.print(MID - 36_000, 1, true)).is_empty());
    assert_eq!(trades(&desk.mark(MID - 200)), []);
    assert_eq!(trades(&desk.print(MID - 200, 1, true)), [(MID - 10, 30)]);
}
