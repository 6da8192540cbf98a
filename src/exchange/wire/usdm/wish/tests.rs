use super::*;
use crate::exchange::wire::Manners;

const NOW: Timestamp = Timestamp::from_millis(1_700_000_000_000);
const SCALES: Scales = Scales { price: 1, quantity: 3 };

fn read(door: Door, query: &str) -> Result<Wish, Problem> {
    let parameters = Parameters::parse(Manners::Lenient, query.as_bytes(), b"").unwrap();
    Wish::read(&parameters, door, NOW, &Names::new([7; 32]))
}

fn code(door: Door, query: &str) -> i32 {
    read(door, query).and_then(|wish| wish.on_grid(SCALES, None)).err().map_or(0, |problem| problem.code)
}

const LIMIT: &str = "symbol=BTCUSDT&side=BUY&type=LIMIT&timeInForce=GTC&quantity=0.5&price=100.5";
const MARKET: &str = "symbol=BTCUSDT&side=SELL&type=MARKET&quantity=0.5";
const STOP: &str = "symbol=BTCUSDT&side=SELL&type=STOP_MARKET&quantity=0.5&triggerPrice=90";
const TRAIL: &str = "symbol=BTCUSDT&side=SELL&type=TRAILING_STOP_MARKET&quantity=0.5&callbackRate=1.5&activatePrice=120";

#[test]
fn plain_orders_are_read_whole() {
    let wish = read(Door::Order, &format!("{LIMIT}&newClientOrderId=x-1&reduceOnly=True&newOrderRespType=RESULT")).unwrap();
    let request = wish.on_grid(SCALES, None).unwrap();
    assert_eq!(request.order.kind, OrderKind::Limit { price: Price(Decimal::new(1_005, 1)) });
    assert_eq!((request.order.client_order_id.as_str(), request.order.reduce_only), ("x-1", true));
    assert_eq!((wish.shows, request.order.self_trade_prevention), (Shows::Standing, SelfTradePrevention::ExpireMaker));
    let market = read(Door::Order, MARKET).unwrap();
    assert_eq!((market.shows, market.client_id.as_str().len()), (Shows::Acceptance, 22));
}

#[test]
fn what_is_missing_or_wrong_has_the_venues_code() {
    let with = |text: &str| format!("{LIMIT}&{text}");
    let without = |name: &str| LIMIT.split('&').filter(|pair| !pair.starts_with(name)).collect::<Vec<_>>().join("&");
    for name in ["symbol", "side", "type", "timeInForce", "quantity", "price"] {
        assert_eq!(code(Door::Order, &without(name)), -1102, "{name}");
    }
    for (query, expected) in [
        (LIMIT.replace("BUY", "buy"), -1117),
        (LIMIT.replace("LIMIT", "LIMITED"), -1116),
        (LIMIT.replace("GTC", "GTZ"), -1115),
        (LIMIT.replace("100.5", "100.55"), -1111),
        (LIMIT.replace("=0.5", "=0.0005"), -1111),
        (LIMIT.replace("100.5", "1e5"), -1100),
        (with("positionSide=UP"), -4060),
        (with("newOrderRespType=FULL"), -1136),
        (with("stopPrice=90"), -1106),
        (with("closePosition=true"), -4136),
        (with("selfTradePreventionMode=DECREMENT"), -5039),
        (with("priceMatch=QUEUE"), -1106),
        (with("workingType=INDEX"), -4031),
        (with("newClientOrderId=a%20b"), -1100),
        (with("newClientOrderId=1234567890123456789012345678901234567"), -4015),
        (with("goodTillDate=1800000000000"), -1106),
        (format!("{MARKET}&price=1"), -1106),
        (format!("{MARKET}&timeInForce=GTC"), -1106),
        (format!("{MARKET}&priceMatch=QUEUE"), -5038),
    ] {
        assert_eq!(code(Door::Order, &query), expected, "{query}");
    }
    assert_eq!(code(Door::Order, LIMIT), 0);
    assert_eq!(code(Door::Order, &LIMIT.replace("100.5", "100.50")), 0, "a needless zero is no digit");
}

#[test]
fn an_order_until_a_date_needs_one_that_is_ten_minutes_away() {
    let query = |till: u64| format!("{}&goodTillDate={till}", LIMIT.replace("GTC", "GTD"));
    assert_eq!(code(Door::Order, &LIMIT.replace("GTC", "GTD")), -1102);
    assert_eq!(code(Door::Order, &query(1_700_000_600_000)), -5040);
    assert_eq!(code(Door::Order, &query(253_402_300_799_000)), -5040);
    let wish = read(Door::Order, &query(1_700_000_601_999)).unwrap();
    assert_eq!(wish.lasting.good_till, Some(Timestamp::from_millis(1_700_000_601_000)));
}

#[test]
fn conditional_orders_go_through_their_own_door() {
    let on_order = STOP.replace("triggerPrice", "stopPrice");
    assert_eq!(code(Door::Order, &on_order), -4120);
    assert_eq!(code(Door::Algo, LIMIT), -1116);
    assert_eq!(code(Door::Algo, &on_order), -1102);
    assert_eq!(code(Door::Algo, STOP), 0);
    let aster = read(Door::Aster, &format!("{on_order}&stpMode=NONE")).unwrap();
    assert_eq!((aster.trigger, aster.self_trade_prevention), (Some(Decimal::from(90)), SelfTradePrevention::None));
}

#[test]
fn a_stop_that_closes_the_position_takes_no_quantity() {
    let close = "symbol=BTCUSDT&side=SELL&type=STOP_MARKET&triggerPrice=90&closePosition=true";
    assert!(read(Door::Algo, close).unwrap().close_position);
    assert_eq!(code(Door::Algo, &format!("{close}&quantity=1")), -4137);
    assert_eq!(code(Door::Algo, &format!("{close}&reduceOnly=true")), -1106);
    assert_eq!(code(Door::Algo, &close.replace("STOP_MARKET", "TRAILING_STOP_MARKET")), -4136);
}

#[test]
fn a_trailing_stop_has_a_rate_within_the_dialects_bounds() {
    let request = read(Door::Algo, TRAIL).unwrap().on_grid(SCALES, None).unwrap();
    let expected = Trailing { activation: Some(Price(Decimal::from(120))), callback: Ratio(Decimal::new(15, 3)) };
    assert_eq!(request.extras.trailing, Some(expected));
    let rate = |door, rate: &str| code(door, &TRAIL.replace("=1.5", rate).replace("activatePrice", "activationPrice"));
    assert_eq!([rate(Door::Algo, "=10"), rate(Door::Algo, "=10.1"), rate(Door::Algo, "=0.05")], [0, -1130, -1130]);
    assert_eq!([rate(Door::Aster, "=5"), rate(Door::Aster, "=5.1")], [0, -1130]);
    assert_eq!(code(Door::Algo, &TRAIL.replace("&callbackRate=1.5", "")), -1102);
}

#[test]
fn aster_hides_orders_and_knows_no_end_date() {
    assert_eq!(code(Door::Aster, &LIMIT.replace("GTC", "HIDDEN")), 0);
    assert_eq!(code(Door::Order, &LIMIT.replace("GTC", "HIDDEN")), -1115);
    assert_eq!(code(Door::Aster, &LIMIT.replace("GTC", "GTD")), -1115);
}
