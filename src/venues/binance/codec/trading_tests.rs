//! One order in each product's words.

use super::*;
use crate::domain::money::{Price, Quantity};

fn order(kind: OrderKind, time_in_force: TimeInForce) -> NewOrder {
    NewOrder {
        client_order_id: ClientOrderId::new("rf-main-1-1").unwrap(),
        symbol: Symbol::new("BTCUSDT").unwrap(),
        side: Side::Sell,
        position_side: PositionSide::Both,
        kind,
        time_in_force,
        quantity: "0.00300".parse::<Quantity>().unwrap(),
        reduce_only: true,
        self_trade_prevention: SelfTradePrevention::ExpireMaker,
    }
}

fn price(text: &str) -> Price {
    text.parse().unwrap()
}

fn sent(product: Product, order: &NewOrder) -> String {
    let request = product.place(order).unwrap();
    format!("{} {}", request.method, request.unsigned_target())
}

#[test]
fn one_order_is_said_in_each_products_words() {
    use Product::{AsterV1, AsterV3, BinanceSpot, BinanceUsdm};
    let limit = order(OrderKind::Limit { price: price("61800.10") }, TimeInForce::PostOnly);
    let stop = order(OrderKind::StopMarket { trigger: price("60000") }, TimeInForce::GoodTilCanceled);
    let target = order(OrderKind::TakeProfitLimit { trigger: price("70000"), price: price("69990") }, TimeInForce::GoodTilCanceled);
    let cases = [
        (
            BinanceSpot,
            &limit,
            "POST /api/v3/order?symbol=BTCUSDT&side=SELL&type=LIMIT_MAKER&quantity=0.003&price=61800.1&selfTradePreventionMode=EXPIRE_MAKER&newOrderRespType=FULL&newClientOrderId=rf-main-1-1",
        ),
        (
            BinanceUsdm,
            &limit,
            "POST /fapi/v1/order?symbol=BTCUSDT&side=SELL&type=LIMIT&timeInForce=GTX&quantity=0.003&price=61800.1&reduceOnly=true&selfTradePreventionMode=EXPIRE_MAKER&newClientOrderId=rf-main-1-1",
        ),
        (
            AsterV3,
            &limit,
            "POST /fapi/v3/order?symbol=BTCUSDT&side=SELL&type=LIMIT&timeInForce=GTX&quantity=0.003&price=61800.1&reduceOnly=true&stpMode=EXPIRE_MAKER&newClientOrderId=rf-main-1-1",
        ),
        (
            BinanceSpot,
            &stop,
            "POST /api/v3/order?symbol=BTCUSDT&side=SELL&type=STOP_LOSS&quantity=0.003&stopPrice=60000&selfTradePreventionMode=EXPIRE_MAKER&newOrderRespType=FULL&newClientOrderId=rf-main-1-1",
        ),
        (
            BinanceUsdm,
            &stop,
            "POST /fapi/v1/algoOrder?algoType=CONDITIONAL&symbol=BTCUSDT&side=SELL&type=STOP_MARKET&quantity=0.003&triggerPrice=60000&reduceOnly=true&selfTradePreventionMode=EXPIRE_MAKER&clientAlgoId=rf-main-1-1",
        ),
        (
            AsterV1,
            &stop,
            "POST /fapi/v1/order?symbol=BTCUSDT&side=SELL&type=STOP_MARKET&quantity=0.003&stopPrice=60000&reduceOnly=true&stpMode=EXPIRE_MAKER&newClientOrderId=rf-main-1-1",
        ),
        (
            BinanceSpot,
            &target,
            "POST /api/v3/order?symbol=BTCUSDT&side=SELL&type=TAKE_PROFIT_LIMIT&timeInForce=GTC&quantity=0.003&price=69990&stopPrice=70000&selfTradePreventionMode=EXPIRE_MAKER&newOrderRespType=FULL&newClientOrderId=rf-main-1-1",
        ),
        (
            BinanceUsdm,
            &target,
            "POST /fapi/v1/algoOrder?algoType=CONDITIONAL&symbol=BTCUSDT&side=SELL&type=TAKE_PROFIT&timeInForce=GTC&quantity=0.003&price=69990&triggerPrice=70000&reduceOnly=true&selfTradePreventionMode=EXPIRE_MAKER&clientAlgoId=rf-main-1-1",
        ),
    ];
    for (product, order, expected) in cases {
        assert_eq!(sent(product, order), expected);
    }
}

#[test]
fn a_leg_is_named_and_reduces_by_its_side_alone() {
    let mut hedged = order(OrderKind::Market, TimeInForce::GoodTilCanceled);
    hedged.position_side = PositionSide::Long;
    let text = sent(Product::BinanceUsdm, &hedged);
    assert!(text.contains("&positionSide=LONG&") && !text.contains("reduceOnly"), "{text}");
    hedged.position_side = PositionSide::Short;
    let error = Product::BinanceUsdm.place(&hedged).unwrap_err();
    assert_eq!(error.to_string(), "binance_usdm expected a request that it has, found a reduce-only SELL of a SHORT position");
}

#[test]
fn what_a_product_cannot_do_is_refused_before_it_leaves() {
    let mut buy = order(OrderKind::Market, TimeInForce::GoodTilCanceled);
    buy.side = Side::Buy;
    assert!(Product::BinanceSpot.place(&buy).is_err(), "a purchase reduces nothing on spot");
    let stop = order(OrderKind::StopLimit { trigger: price("1"), price: price("1") }, TimeInForce::PostOnly);
    assert!(Product::BinanceSpot.place(&stop).is_err());
    assert!(sent(Product::BinanceUsdm, &stop).contains("timeInForce=GTX"));
    assert!(Product::BinanceUsdm.place(&order(OrderKind::Market, TimeInForce::PostOnly)).is_err());
    assert!(Product::BinanceSpot.countdown_cancel_all(buy.symbol, 1_000).is_err());
}

#[test]
fn orders_are_cancelled_and_asked_for_by_either_name() {
    let symbol = Symbol::new("BTCUSDT").unwrap();
    let ours = ClientOrderId::new("rf-main-1-1").unwrap();
    let cancel = Product::BinanceSpot.cancel(symbol, OrderName::Client(ours)).unwrap();
    assert_eq!(cancel.unsigned_target(), "/api/v3/order?symbol=BTCUSDT&origClientOrderId=rf-main-1-1");
    assert!(cancel.changes);
    let query = Product::BinanceUsdm.query(symbol, OrderName::Venue(7)).unwrap();
    assert_eq!((query.unsigned_target().as_str(), query.changes), ("/fapi/v1/order?symbol=BTCUSDT&orderId=7", false));
    let algo = Product::BinanceUsdm.cancel_algo(ours).unwrap();
    assert_eq!(format!("{} {}", algo.method, algo.unsigned_target()), "DELETE /fapi/v1/algoOrder?clientAlgoId=rf-main-1-1");
}
