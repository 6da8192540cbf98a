//! Answers and events of each product, and what they say to the order manager.

use super::super::events::{Frame, read_frame};
use super::*;
use crate::domain::instrument::InstrumentKind;
use crate::domain::money::Ratio;
use crate::domain::order::{OrderKind, SelfTradePrevention};

fn instrument(kind: InstrumentKind) -> Instrument {
    Instrument {
        symbol: symbol(),
        kind,
        base: "BTC".into(),
        quote: "USDT".into(),
        price_step: "0.01".parse().unwrap(),
        quantity_step: "0.001".parse().unwrap(),
        min_quantity: "0.001".parse().unwrap(),
        max_quantity: "9000".parse().unwrap(),
        min_notional: "5".parse().unwrap(),
        price_band: Ratio::ZERO,
        maker_fee: Ratio::ZERO,
        taker_fee: Ratio::ZERO,
        max_leverage: 1,
    }
}

fn translator(product: Product) -> Translator {
    Translator::new(product, AccountId::new("main").unwrap(), &[instrument(product.capabilities().kind)])
}

fn symbol() -> Symbol {
    Symbol::new("BTCUSDT").unwrap()
}

fn ours() -> ClientOrderId {
    ClientOrderId::new("rf-main-1-7").unwrap()
}

fn at(millis: i64) -> Timestamp {
    Timestamp::from_millis(millis)
}

fn new_order(kind: OrderKind) -> NewOrder {
    NewOrder {
        client_order_id: ours(),
        symbol: symbol(),
        side: Side::Buy,
        position_side: PositionSide::Both,
        kind,
        time_in_force: TimeInForce::GoodTilCanceled,
        quantity: "1".parse().unwrap(),
        reduce_only: false,
        self_trade_prevention: SelfTradePrevention::ExpireMaker,
    }
}

fn limit() -> NewOrder {
    new_order(OrderKind::Limit { price: "100".parse().unwrap() })
}

fn stop() -> NewOrder {
    new_order(OrderKind::StopMarket { trigger: "110".parse().unwrap() })
}

fn answer(status: u16, body: &str) -> Result<Answer<'_>, Failure> {
    Ok(Answer { status, retry_after: None, body: body.as_bytes() })
}

fn told(translator: &mut Translator, frame: &str) -> Vec<Told> {
    match read_frame(frame).unwrap() {
        Frame::Event { event, .. } => translator.user(&event),
        Frame::Answer(answer) => panic!("{answer:?}"),
    }
}

fn spot_report(fields: &str) -> String {
    format!(
        r#"{{"subscriptionId":0,"event":{{"e":"executionReport","E":1,"s":"BTCUSDT","S":"BUY","o":"LIMIT","f":"GTC","q":"1.00000000","p":"100.00","i":70,"g":-1,"M":false,"r":"NONE","T":5,"V":"EXPIRE_MAKER",{fields}}}}}"#
    )
}

fn futures_report(fields: &str) -> String {
    format!(
        r#"{{"e":"ORDER_TRADE_UPDATE","E":6,"T":5,"o":{{"s":"BTCUSDT","S":"BUY","o":"LIMIT","f":"GTC","q":"1","p":"100","ap":"0","ps":"BOTH","R":false,"T":5,"rp":"0","si":0,"er":"0",{fields}}}}}"#
    )
}

#[test]
fn a_spot_order_that_trades_at_once_is_told_with_its_answer() {
    let mut translator = translator(Product::BinanceSpot);
    let body = r#"{"symbol":"BTCUSDT","orderId":70,"orderListId":-1,"clientOrderId":"rf-main-1-7","transactTime":5,"price":"100.00","origQty":"1.000",
        "executedQty":"1.000","cummulativeQuoteQty":"100","status":"FILLED","timeInForce":"GTC","type":"LIMIT","side":"BUY",
        "fills":[{"price":"99.50","qty":"1.000","commission":"0.00100000","commissionAsset":"BTC","tradeId":9}]}"#;
    let heard = translator.placed(at(9), &limit(), answer(200, body));
    let [VenueEvent::Accepted { venue_order_id: 70, .. }, VenueEvent::Filled(fill)] = &heard.events[..] else { panic!("{heard:?}") };
    assert_eq!((fill.trade_id, fill.moved(), fill.fee), (9, "0.999".parse().unwrap(), "0.0995".parse().unwrap()));
    // The stream tells the same trade.
    let report = spot_report(
        r#""c":"rf-main-1-7","C":"","x":"TRADE","X":"FILLED","l":"1.000","z":"1.000","L":"99.50","n":"0.00100000","N":"BTC","t":9,"m":false"#,
    );
    assert_eq!(told(&mut translator, &report), [Told::Event(VenueEvent::Filled(fill.clone()))]);
}

#[test]
fn a_refusal_is_a_rejection_and_anything_less_is_an_unknown_outcome() {
    let mut translator = translator(Product::BinanceUsdm);
    let heard = translator.placed(at(9), &limit(), answer(400, r#"{"code":-2019,"msg":"Margin is insufficient."}"#));
    assert!(matches!(&heard.events[..], [VenueEvent::Rejected { code: -2019, .. }]), "{heard:?}");
    let busy = translator.placed(at(9), &limit(), answer(503, r#"{"code":-1008,"msg":"Request throttled by system-level protection."}"#));
    assert!(matches!((&busy.events[..], &busy.failure), ([VenueEvent::Rejected { .. }], Some(Failure::Busy { .. }))), "{busy:?}");
    for unknown in [
        answer(503, r#"{"code":-1000,"msg":"Unknown error, please check your request or try again later."}"#),
        answer(200, "<html>"),
        Err(Failure::silence("time-out")),
    ] {
        let heard = translator.placed(at(9), &limit(), unknown);
        assert!(matches!(&heard.events[..], [VenueEvent::OutcomeUnknown { .. }]), "{heard:?}");
    }
}

#[test]
fn a_maker_that_spot_refuses_because_it_would_take_ended_as_it_was_asked_to() {
    let mut translator = translator(Product::BinanceSpot);
    let refusal = r#"{"code":-2010,"msg":"Order would immediately match and take."}"#;
    let maker = NewOrder { time_in_force: TimeInForce::PostOnly, ..limit() };
    let heard = translator.placed(at(9), &maker, answer(400, refusal));
    let ended = VenueEvent::Ended { client_order_id: ours(), reason: EndReason::Expired, filled: Quantity::ZERO, at: at(9) };
    assert_eq!(heard, Heard { events: vec![ended], failure: None });
    let poor =
        translator.placed(at(9), &maker, answer(400, r#"{"code":-2010,"msg":"Account has insufficient balance for requested action."}"#));
    assert!(matches!(&poor.events[..], [VenueEvent::Rejected { code: -2010, .. }]), "{poor:?}");
}

#[test]
fn a_cancel_of_what_is_gone_leaves_a_question() {
    let mut translator = translator(Product::BinanceUsdm);
    let gone = translator.cancelled(at(9), ours(), answer(400, r#"{"code":-2011,"msg":"Unknown order sent."}"#));
    assert!(matches!(&gone.events[..], [VenueEvent::CancelRefused { code: -2011, .. }]), "{gone:?}");
    let silent = translator.cancelled(at(9), ours(), Err(Failure::silence("time-out")));
    assert!(matches!(&silent.events[..], [VenueEvent::CancelRefused { .. }]), "{silent:?}");
    let body = r#"{"symbol":"BTCUSDT","orderId":70,"clientOrderId":"rf-main-1-7","status":"CANCELED","executedQty":"0.25","origQty":"1"}"#;
    let done = translator.cancelled(at(9), ours(), answer(200, body));
    assert!(matches!(&done.events[..], [VenueEvent::Ended { filled, .. }] if *filled == "0.25".parse().unwrap()), "{done:?}");
}

#[test]
fn not_found_is_an_answer_and_trouble_is_none() {
    let mut translator = translator(Product::BinanceSpot);
    let heard = translator.queried(ours(), answer(400, r#"{"code":-2013,"msg":"Order does not exist."}"#));
    assert_eq!(heard.events, [VenueEvent::OrderIs { client_order_id: ours(), order: None }]);
    for trouble in
        [answer(500, ""), answer(429, r#"{"code":-1003,"msg":"Too many requests."}"#), answer(400, r#"{"code":-1022,"msg":"Signature"}"#)]
    {
        let heard = translator.queried(ours(), trouble);
        assert!(heard.events.is_empty() && heard.failure.is_some(), "{heard:?}");
    }
    let body = r#"{"symbol":"BTCUSDT","orderId":70,"clientOrderId":"rf-main-1-7","price":"100","origQty":"1","executedQty":"0.4","status":"PARTIALLY_FILLED","type":"LIMIT_MAKER","side":"BUY","time":1,"updateTime":2}"#;
    let heard = translator.queried(ours(), answer(200, body));
    let [VenueEvent::OrderIs { order: Some(order), .. }] = &heard.events[..] else { panic!("{heard:?}") };
    assert_eq!((order.status, order.filled, order.kind), (OrderStatus::Working, "0.4".parse().unwrap(), limit().kind));
}

#[test]
fn each_spot_execution_is_the_event_that_it_is() {
    let mut translator = translator(Product::BinanceSpot);
    let none = r#""l":"0","z":"0.4","L":"0","n":"0","N":null,"t":-1,"m":false"#;
    let ended = |reason| VenueEvent::Ended { client_order_id: ours(), reason, filled: "0.4".parse().unwrap(), at: at(5) };
    let cases = [
        (
            r#""c":"rf-main-1-7","C":"","x":"NEW","X":"NEW""#,
            VenueEvent::Accepted { client_order_id: ours(), venue_order_id: 70, at: at(5) },
        ),
        (r#""c":"cancel-1","C":"rf-main-1-7","x":"CANCELED","X":"CANCELED""#, ended(EndReason::Canceled)),
        (r#""c":"rf-main-1-7","C":"","x":"EXPIRED","X":"EXPIRED","eR":"UNFILLED_IOC_QUANTITY_EXPIRED""#, ended(EndReason::Expired)),
        (
            r#""c":"rf-main-1-7","C":"","x":"TRADE_PREVENTION","X":"EXPIRED_IN_MATCH","v":3,"A":"1","U":37"#,
            ended(EndReason::SelfTradePrevented),
        ),
    ];
    for (fields, expected) in cases {
        assert_eq!(told(&mut translator, &spot_report(&format!("{fields},{none}"))), [Told::Event(expected)], "{fields}");
    }
    let amended = spot_report(&format!(r#""c":"x","C":"rf-main-1-7","x":"REPLACED","X":"NEW",{none}"#));
    assert_eq!(told(&mut translator, &amended), []);
    let strange = spot_report(&format!(r#""c":"rf-main-1-7","C":"","x":"DREAMED","X":"NEW",{none}"#));
    assert!(matches!(&told(&mut translator, &strange)[..], [Told::Reconcile(why)] if why.contains("DREAMED")));
}

#[test]
fn each_futures_execution_is_the_event_that_it_is() {
    let mut translator = translator(Product::BinanceUsdm);
    let trade = futures_report(
        r#""c":"rf-main-1-7","i":70,"x":"TRADE","X":"PARTIALLY_FILLED","l":"0.4","z":"0.4","L":"100.1","n":"0.016","N":"USDT","t":9,"m":true"#,
    );
    let [Told::Event(VenueEvent::Filled(fill))] = &told(&mut translator, &trade)[..] else { panic!() };
    assert_eq!((fill.fee, fill.maker, fill.price, fill.at), ("0.016".parse().unwrap(), true, "100.1".parse().unwrap(), at(5)));
    let bnb = trade.replace("\"USDT\"", "\"BNB\"").replace("\"t\":9", "\"t\":10");
    let [Told::Event(VenueEvent::Filled(fill))] = &told(&mut translator, &bnb)[..] else { panic!() };
    assert!(fill.fee.is_zero() && matches!(fill.fee_taken, Some(FeeTaken::Elsewhere { .. })));
    let ended = |fields: &str, reason| {
        let report = futures_report(&format!(r#""c":"rf-main-1-7","i":70,"l":"0","z":"0.4","L":"0","t":0,"m":false,{fields}"#));
        let expected = VenueEvent::Ended { client_order_id: ours(), reason, filled: "0.4".parse().unwrap(), at: at(5) };
        (report, expected)
    };
    for (report, expected) in [
        ended(r#""x":"CANCELED","X":"CANCELED""#, EndReason::Canceled),
        ended(r#""x":"EXPIRED","X":"EXPIRED""#, EndReason::Expired),
        ended(r#""x":"EXPIRED","X":"EXPIRED_IN_MATCH""#, EndReason::SelfTradePrevented),
    ] {
        assert_eq!(told(&mut translator, &report), [Told::Event(expected)]);
    }
}

#[test]
fn a_liquidation_is_a_fill_from_outside_and_one_without_a_trade_id_a_reason_to_reconcile() {
    let mut translator = translator(Product::BinanceUsdm);
    let close = r#""c":"autoclose-1596107620040000020","i":71,"x":"CALCULATED","X":"FILLED","l":"0.4","z":"0.4","L":"90","n":"0.1","N":"USDT","m":false"#;
    let [Told::Event(VenueEvent::Filled(fill))] = &told(&mut translator, &futures_report(&format!(r#"{close},"t":11"#)))[..] else {
        panic!()
    };
    assert_eq!(fill.client_order_id.as_str(), "autoclose-1596107620040000020");
    assert!(!fill.client_order_id.is_ours(AccountId::new("main").unwrap()));
    let nameless = told(&mut translator, &futures_report(&format!(r#"{close},"t":0"#)));
    assert!(matches!(&nameless[..], [Told::Reconcile(_)]), "{nameless:?}");
}

/// The documents do not say what the order is called that a trigger makes, and no order among event types.
#[test]
fn an_order_that_a_trigger_made_keeps_the_name_of_its_conditional_order() {
    let algo_update = |status: &str, actual: &str| {
        format!(
            r#"{{"e":"ALGO_UPDATE","T":5,"E":6,"o":{{"caid":"rf-main-1-7","aid":900,"at":"CONDITIONAL","o":"STOP_MARKET","s":"BTCUSDT","S":"BUY","ps":"BOTH","f":"GTC","q":"1","X":"{status}","ai":"{actual}","tp":"110"}}}}"#
        )
    };
    let trade = |name: &str| {
        futures_report(&format!(
            r#""c":"{name}","i":71,"x":"TRADE","X":"FILLED","l":"1","z":"1","L":"110","n":"0.04","N":"USDT","t":9,"m":false"#
        ))
    };
    for (name, algo_first) in [("x-made-up", true), ("x-made-up", false), ("rf-main-1-7", false)] {
        let mut translator = translator(Product::BinanceUsdm);
        translator.sending(&stop());
        let body = r#"{"algoId":900,"clientAlgoId":"rf-main-1-7","algoType":"CONDITIONAL","orderType":"STOP_MARKET","symbol":"BTCUSDT","side":"BUY","algoStatus":"NEW","quantity":"1","triggerPrice":"110"}"#;
        let heard = translator.placed(at(1), &stop(), answer(200, body));
        assert!(matches!(&heard.events[..], [VenueEvent::Accepted { venue_order_id: 900, .. }]), "{heard:?}");
        assert_eq!(translator.asked(ours()), Asked::Algo);
        let frames = if algo_first { [algo_update("TRIGGERED", "71"), trade(name)] } else { [trade(name), algo_update("TRIGGERED", "71")] };
        let told: Vec<Told> = frames.iter().flat_map(|frame| told(&mut translator, frame)).collect();
        let [Told::Event(VenueEvent::Filled(fill))] = &told[..] else { panic!("{name} {algo_first}: {told:?}") };
        assert_eq!(fill.client_order_id, ours(), "{name} {algo_first}");
        assert_eq!((translator.asked(ours()), translator.is_holding()), (Asked::ByVenueId(71), false));
    }
}

#[test]
fn a_strangers_order_is_held_back_only_while_a_trigger_may_have_made_it() {
    let mut translator = translator(Product::BinanceUsdm);
    let by_hand =
        futures_report(r#""c":"web_1","i":71,"x":"TRADE","X":"FILLED","l":"1","z":"1","L":"110","n":"0.04","N":"USDT","t":9,"m":false"#);
    assert_eq!(told(&mut translator, &by_hand).len(), 1);
    translator.sending(&stop());
    let another = by_hand.replace("\"i\":71", "\"i\":72");
    assert_eq!(told(&mut translator, &another), []);
    assert!(translator.is_holding());
    let gone = translator.let_go();
    assert!(matches!(&gone[..], [Told::Event(VenueEvent::Filled(fill))] if fill.client_order_id.as_str() == "web_1"), "{gone:?}");
    let refused = translator.placed(at(1), &stop(), answer(400, r#"{"code":-2021,"msg":"Order would immediately trigger."}"#));
    assert!(matches!(&refused.events[..], [VenueEvent::Rejected { .. }]));
    assert_eq!(told(&mut translator, &by_hand.replace("\"i\":71", "\"i\":73")).len(), 1, "nothing can trigger any more");
}

#[test]
fn an_order_that_nobody_remembers_is_looked_for_in_both_places() {
    let mut translator = translator(Product::BinanceUsdm);
    assert!(translator.may_be_algo(ours()));
    assert!(!super::tests::translator(Product::BinanceSpot).may_be_algo(ours()));
    let became = r#"{"algoId":900,"clientAlgoId":"rf-main-1-7","orderType":"STOP_MARKET","symbol":"BTCUSDT","side":"BUY","algoStatus":"FINISHED","quantity":"1","triggerPrice":"110","actualOrderId":"71"}"#;
    assert_eq!(translator.queried_algo(ours(), answer(200, became)), Ok(Asked::ByVenueId(71)));
    let body = r#"{"symbol":"BTCUSDT","orderId":71,"clientOrderId":"x-made-up","price":"0","origQty":"1","executedQty":"1","status":"FILLED","type":"MARKET","side":"BUY","updateTime":2}"#;
    let heard = translator.queried(ours(), answer(200, body));
    assert!(matches!(&heard.events[..], [VenueEvent::OrderIs { order: Some(order), .. }] if order.client_order_id == ours()), "{heard:?}");
    let unknown = translator.queried_algo(ours(), answer(400, r#"{"code":-2013,"msg":"Order does not exist."}"#)).unwrap_err();
    assert_eq!(unknown.events, [VenueEvent::OrderIs { client_order_id: ours(), order: None }]);
}

#[test]
fn money_that_moves_besides_trades_the_end_of_a_stream_and_settings_are_told() {
    let mut translator = translator(Product::BinanceUsdm);
    let account = |reason: &str| {
        format!(
            r#"{{"e":"ACCOUNT_UPDATE","E":6,"T":5,"a":{{"m":"{reason}","B":[{{"a":"USDT","wb":"100.5","cw":"100","bc":"-0.5","new":1}}],"P":[],"S":"?"}}}}"#
        )
    };
    assert_eq!(told(&mut translator, &account("ORDER")), []);
    let funding = told(&mut translator, &account("FUNDING_FEE"));
    let expected =
        Told::Moved { reason: "FUNDING_FEE".into(), asset: Asset::new("USDT").unwrap(), amount: "-0.5".parse().unwrap(), at: at(5) };
    assert_eq!(funding, [expected]);
    let over = told(&mut translator, r#"{"stream":"key","data":{"e":"listenKeyExpired","E":1,"listenKey":"key"}}"#);
    assert!(matches!(&over[..], [Told::StreamOver(_)]));
    let config = told(&mut translator, r#"{"e":"ACCOUNT_CONFIG_UPDATE","E":1,"T":1,"ac":{"s":"BTCUSDT","l":25}}"#);
    assert_eq!(config, [Told::Event(VenueEvent::LeverageIs { symbol: symbol(), leverage: 25 })]);
    let call = told(
        &mut translator,
        r#"{"e":"MARGIN_CALL","E":1,"cw":"3","p":[{"s":"BTCUSDT","ps":"LONG","pa":"1","mt":"CROSSED","mp":"1","up":"-1","mm":"1.6"}]}"#,
    );
    assert_eq!(call, [Told::MarginCall(vec![symbol()])]);
}

#[test]
fn a_frame_that_is_none_keeps_its_beginning() {
    for frame in ["", "[]", "{}", "{\"e\":7}", "{\"event\":{}}", "{\"e\":\"ORDER_TRADE_UPDATE\"}", "{\"e\":\"executionReport\",\"s\":1}"] {
        let error = read_frame(frame).unwrap_err();
        assert!(frame.starts_with(&error.raw) || frame.contains(&error.raw), "{error}");
    }
    assert!(
        matches!(read_frame(r#"{"e":"GRID_UPDATE","gu":{}}"#), Ok(Frame::Event { event: UserEvent::Other(name), .. }) if name == "GRID_UPDATE")
    );
}

/// After a restart nobody remembers what a trigger made: the list of past conditional orders says it.
#[test]
fn the_list_of_past_conditional_orders_names_what_they_became() {
    let mut translator = translator(Product::BinanceUsdm);
    let list = r#"[{"algoId":900,"clientAlgoId":"rf-main-1-7","orderType":"STOP_MARKET","symbol":"BTCUSDT","side":"BUY","algoStatus":"FINISHED","quantity":"1","triggerPrice":"110","actualOrderId":"71"},
        {"algoId":901,"clientAlgoId":"rf-main-1-8","orderType":"STOP_MARKET","symbol":"BTCUSDT","side":"BUY","algoStatus":"CANCELED","quantity":"1","triggerPrice":"120","actualOrderId":""}]"#;
    assert_eq!(translator.open_algos(answer(200, list).unwrap()), Ok(vec![]));
    assert_eq!(translator.name_of(symbol(), 71), Some(ours()));
}
