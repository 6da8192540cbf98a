//! Filters, in the venue's words.

use super::*;

#[test]
fn each_filter_refuses_in_its_own_name() {
    let mut desk = Desk::new();
    let failure = |desk: &mut Desk, change: &dyn Fn(&mut OrderRequest)| {
        let mut order = desk.limit(Side::Buy, MID - 100, 1_000);
        change(&mut order);
        desk.refused("a", &order)
    };
    let kind = |kind| move |order: &mut OrderRequest| order.order.kind = kind;
    let off = failure(&mut desk, &kind(OrderKind::Limit { price: Price(dec("59999.005")) }));
    assert_eq!(off, (-1013, "Filter failure: PRICE_FILTER"));
    let off = failure(&mut desk, &|order| order.order.quantity = Quantity(dec("0.000015")));
    assert_eq!(off, (-1013, "Filter failure: LOT_SIZE"));
    let parts = failure(&mut desk, &|order| {
        (order.order.quantity, order.extras.iceberg_quantity) = (quantity(1_001), Some(quantity(10)));
    });
    assert_eq!(parts, (-1013, "Filter failure: ICEBERG_PARTS"));
    let far = failure(&mut desk, &kind(OrderKind::Limit { price: price(MID / 10) }));
    assert_eq!(far, (-1013, "Filter failure: PERCENT_PRICE_BY_SIDE"));
    let small = failure(&mut desk, &|order| order.order.quantity = quantity(5));
    assert_eq!(small, (-1013, "Filter failure: NOTIONAL"));
    let trail = failure(&mut desk, &|order| {
        order.order.kind = OrderKind::StopMarket { trigger: Price::ZERO };
        order.extras.trailing = Some(Trailing { activation: None, callback: Ratio(dec("0.0005")) });
    });
    assert_eq!(trail, (-1013, "Filter failure: TRAILING_DELTA"));
    let filters = SpotFilters {
        market_max_quantity: quantity(900),
        max_position: Some(Quantity(dec("2.005"))),
        ..desk.exchange.spot_filters(0).unwrap().clone()
    };
    desk.exchange.set_spot_filters(0, filters);
    let market = failure(&mut desk, &kind(OrderKind::Market));
    assert_eq!(market, (-1013, "Filter failure: MARKET_LOT_SIZE"));
    assert_eq!(failure(&mut desk, &|_| ()), (-1013, "Filter failure: MAX_POSITION"));
}

#[test]
fn open_orders_and_stops_are_counted() {
    let mut desk = Desk::new();
    for _ in 0..5 {
        let order = desk.stop(Side::Sell, MID - 500, 100);
        desk.placed("a", &order);
    }
    let order = desk.stop(Side::Sell, MID - 500, 100);
    assert_eq!(desk.refused("a", &order), (-1013, "Filter failure: MAX_NUM_ALGO_ORDERS"));
    let filters = SpotFilters { max_orders: 6, max_lists: 0, ..desk.exchange.spot_filters(0).unwrap().clone() };
    desk.exchange.set_spot_filters(0, filters);
    let order = desk.limit(Side::Buy, MID - 500, 100);
    desk.placed("a", &order);
    let order = desk.limit(Side::Buy, MID - 500, 100);
    assert_eq!(desk.refused("a", &order), (-1013, "Filter failure: MAX_NUM_ORDERS"));
    let (working, pending) = (desk.limit(Side::Buy, MID - 300, 1_000), desk.limit(Side::Sell, MID + 900, 900));
    assert_eq!(desk.list("b", Contingency::Oto, vec![working, pending]).unwrap_err().words(true).1, "Filter failure: MAX_NUM_ORDER_LISTS");
}

#[test]
fn a_taken_name_and_a_crossing_maker_are_the_engines_own_refusals() {
    let mut desk = Desk::new();
    let order = desk.limit(Side::Buy, MID - 500, 1_000);
    desk.placed("a", &order);
    assert_eq!(desk.refused("a", &order), (-2010, "Duplicate order sent."));
    let order = desk.maker(Side::Buy, MID + 10, 1_000);
    assert_eq!(desk.refused("a", &order), (-2010, "Order would immediately match and take."));
}
