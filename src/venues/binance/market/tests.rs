use proptest::prelude::*;
use rust_decimal::Decimal;

use super::*;
use crate::domain::instrument::{InstrumentKind, Lots, Ticks};
use crate::domain::market_data::{Level, MarketEvent, MarketFrame};
use crate::domain::money::{Money, Quantity, Ratio};

const RECEIVED: Timestamp = Timestamp(1_723_161_255_088_169_167);

fn instrument(symbol: &str, kind: InstrumentKind, price_step: &str, quantity_step: &str) -> Instrument {
    Instrument {
        symbol: Symbol::new(symbol).unwrap(),
        kind,
        base: "BASE".into(),
        quote: "USDT".into(),
        price_step: price_step.parse().unwrap(),
        quantity_step: quantity_step.parse().unwrap(),
        min_quantity: Quantity::ZERO,
        max_quantity: Quantity(Decimal::from(1000)),
        min_notional: Money::ZERO,
        price_band: Ratio::ZERO,
        maker_fee: Ratio::ZERO,
        taker_fee: Ratio::ZERO,
        max_leverage: 1,
    }
}

fn btc_usdm() -> Instrument {
    instrument("BTCUSDT", InstrumentKind::Perpetual, "0.10", "0.001")
}

fn btc_spot() -> Instrument {
    instrument("BTCUSDT", InstrumentKind::Spot, "0.01", "0.00001")
}

fn decode(instrument: &Instrument, text: &str) -> Result<MarketFrame, String> {
    match Decoder::new([instrument]).unwrap().decode(text.as_bytes(), RECEIVED) {
        Ok(Decoded::Frame(frame)) => Ok(frame.to_owned()),
        Ok(Decoded::Other(other)) => Err(format!("{other:?}")),
        Err(error) => Err(error.to_string()),
    }
}

fn level(price: i64, quantity: i64) -> Level {
    Level { price: Ticks(price), quantity: Lots(quantity) }
}

const USDM_TICKER: &str = r#"{"stream":"btcusdt@bookTicker","data":{"e":"bookTicker","u":5123107839020,"s":"BTCUSDT","b":"61800.20","B":"2.507","a":"61800.30","A":"2.510","T":1723161256313,"E":1723161256313}}"#;
const USDM_DEPTH: &str = r#"{"stream":"btcusdt@depth@0ms","data":{"e":"depthUpdate","E":1723161256299,"T":1723161256298,"s":"BTCUSDT","U":7,"u":9,"pu":6,"b":[["58710.20","0.014"],["61510.90","0.000"]],"a":[]}}"#;
const USDM_TRADE: &str = r#"{"stream":"btcusdt@trade","data":{"e":"trade","E":1723161256322,"T":1723161256322,"s":"BTCUSDT","t":5266583935,"p":"61800.30","q":"0.006","X":"MARKET","m":false}}"#;
const SPOT_TICKER: &str = r#"{"u":50093239212,"s":"BTCUSDT","b":"61837.63000000","B":"3.78826000","a":"61837.64000000","A":"1.54698000"}"#;

#[test]
fn real_frames_are_read_in_ticks_and_lots() {
    let frame = decode(&btc_usdm(), USDM_TICKER).unwrap();
    assert_eq!(frame.venue_time, Timestamp::from_millis(1_723_161_256_313));
    let ticker = BookTicker { id: 5_123_107_839_020, bid: level(618_002, 2507), ask: level(618_003, 2510) };
    assert_eq!(frame.event, MarketEvent::Ticker(ticker));

    let frame = decode(&btc_usdm(), USDM_DEPTH).unwrap();
    let bids = vec![level(587_102, 14), level(615_109, 0)];
    assert_eq!(frame.event, MarketEvent::Depth(DepthUpdate { first_id: 7, final_id: 9, previous_id: Some(6), bids, asks: vec![] }));

    let frame = decode(&btc_usdm(), USDM_TRADE).unwrap();
    let trade = TradePrint { id: 5_266_583_935, price: Ticks(618_003), quantity: Lots(6), buyer_is_maker: false };
    assert_eq!(frame.event, MarketEvent::Trade(trade));

    let frame = decode(&btc_spot(), SPOT_TICKER).unwrap();
    assert_eq!(frame.venue_time, RECEIVED, "spot's ticker has no time of its own");
    let ticker = BookTicker { id: 50_093_239_212, bid: level(6_183_763, 378_826), ask: level(6_183_764, 154_698) };
    assert_eq!(frame.event, MarketEvent::Ticker(ticker));
}

#[test]
fn the_scanner_takes_every_common_shape_itself() {
    let mut decoder = Decoder::new([&btc_usdm()]).unwrap();
    let newer = USDM_TICKER.replace(r#""b":"#, r#""ps":"BTCUSDT","b":"#).replace(r#"313}}"#, r#"313,"st":1}}"#);
    let aggregate = r#"{"e":"aggTrade","E":123456789,"s":"BTCUSDT","a":5933014,"p":"0.1","q":"100","nq":"100","f":100,"l":105,"T":123456785,"m":true,"st":1}"#;
    let rest = r#"{"lastUpdateId":160,"E":1,"T":1,"bids":[["0.1","10"]],"asks":[["0.2","100"]]}"#;
    for text in [USDM_TICKER, USDM_DEPTH, USDM_TRADE, &newer, aggregate, rest] {
        assert!(fast::parse(&mut decoder, Some(0), text.as_bytes(), RECEIVED).is_some(), "{text}");
    }
    assert!(fast::parse(&mut Decoder::new([&btc_spot()]).unwrap(), Some(0), SPOT_TICKER.as_bytes(), RECEIVED).is_some());
}

#[test]
fn fields_in_another_order_and_with_blanks_are_read_all_the_same() {
    let text = r#" { "data" : { "A":"2.510", "a":"61800.30", "B":"2.507", "b":"61800.20", "E":1723161256313, "s":"BTC\u0055SDT", "u":5123107839020, "e":"bookTicker" }, "stream":"x" } "#;
    assert_eq!(decode(&btc_usdm(), text), decode(&btc_usdm(), USDM_TICKER));
}

#[test]
fn a_number_off_the_grid_is_an_error_and_never_rounded() {
    let error = decode(&btc_usdm(), &USDM_TICKER.replace("61800.30", "61800.35")).unwrap_err();
    assert_eq!(
        error,
        "bookTicker of BTCUSDT: expected \"a\" on the grid of 0.1, found \"61800.35\"; the instrument's filters are not this data's"
    );
    let error = decode(&btc_usdm(), &USDM_DEPTH.replace("58710.20", "58710.25")).unwrap_err();
    assert!(error.contains("depthUpdate of BTCUSDT: expected \"b\" on the grid of 0.1, found \"58710.25\""), "{error}");
    let error = decode(&btc_usdm(), &USDM_TRADE.replace("0.006", "0.0065")).unwrap_err();
    assert!(error.contains("expected \"q\" on the grid of 0.001, found \"0.0065\""), "{error}");
}

#[test]
fn of_a_level_with_a_part_below_one_lot_the_whole_lots_stand_and_it_is_counted() {
    let mut decoder = Decoder::new([&btc_spot()]).unwrap();
    let text = br#"{"e":"depthUpdate","E":1,"s":"BTCUSDT","U":1,"u":2,"b":[],"a":[["200000.00000000","25.42618900"],["1.00000000","0.00000000"]]}"#;
    let Ok(Decoded::Frame(frame)) = decoder.decode(text, RECEIVED) else { panic!("the diff is sound") };
    assert!(matches!(frame.event, MarketEventRef::Depth(update) if update.asks == [level(20_000_000, 2_542_618), level(100, 0)]));
    assert_eq!(decoder.dust(), 1);
}

#[test]
fn a_bad_frame_says_what_was_expected_and_found() {
    let cases = [
        (USDM_TICKER[..80].to_owned(), "expected one JSON object, found EOF while parsing"),
        (USDM_TICKER.replace("BTCUSDT", "ETHUSDT"), "expected a symbol whose instrument is known, found \"ETHUSDT\""),
        (USDM_TICKER.replace("\"61800.20\"", "61800.20"), "bookTicker: expected \"b\" to be a text, found 61800.20"),
        (USDM_TRADE.replace("0.006", "-0.006"), "trade: expected \"q\" to be a decimal text that is not negative, found -0.006"),
        (USDM_TRADE.replace("5266583935", "\"x\""), "trade: expected \"t\" to be a whole number, found \"x\""),
        (USDM_TRADE.replace(",\"m\":false", ""), "trade: expected \"m\" to be true or false, found nothing"),
        (USDM_DEPTH.replace("\"a\":[]", "\"a\":[[\"1\"]]"), "depthUpdate: expected \"a\" to be an array of [price, quantity] texts"),
        (format!("{USDM_TRADE}x"), "trailing characters"),
        ("12".to_owned(), "expected one JSON object"),
        ("{\"e\":\"trade\",\"e\":\"trade\"}".to_owned(), "duplicate field"),
        (USDM_TICKER.replace("\"E\":", "\"a\":"), "duplicate field `a`"),
    ];
    for (text, expected) in cases {
        let error = decode(&btc_usdm(), &text).unwrap_err();
        assert!(error.contains(expected), "{text}\n{error}");
    }
    let not_utf8 = Decoder::new([&btc_usdm()]).unwrap().decode(b"{\"e\":\"\xff\"}", RECEIVED).unwrap_err();
    assert!(not_utf8.to_string().contains("utf-8"), "{not_utf8}");
}

#[test]
fn what_carries_no_market_event_is_counted_and_no_error() {
    let cases = [
        (r#"{"result":null,"id":1}"#, "Reply"),
        (r#"{"stream":"!serverShutdown","data":{"e":"serverShutdown","E":1770123456789}}"#, "ServerShutdown"),
        (r#"{"stream":"!ticker@arr","data":[{"e":"24hrTicker"}]}"#, "UnknownStream"),
        (r#"{"e":"24hrTicker","E":1,"s":"BTCUSDT","p":"-12.5"}"#, "UnknownStream"),
        (r#"{"e":"forceOrder","E":1,"o":{"s":"BTCUSDT"}}"#, "UnknownStream"),
        (r#"{"e":"trade","E":1,"T":1,"s":"BTCUSDT","t":1,"p":"0","q":"0","X":"NA","m":true}"#, "NoMatch"),
        (
            r#"{"e":"kline","E":1,"s":"BTCUSDT","k":{"t":0,"T":59999,"o":"1","c":"1","h":"1","l":"1","v":"1","n":1,"x":false,"q":"1"}}"#,
            "OpenCandle",
        ),
    ];
    for (text, expected) in cases {
        assert_eq!(decode(&btc_usdm(), text), Err(expected.to_owned()), "{text}");
    }
}

#[test]
fn a_partial_book_is_a_snapshot_on_both_venues() {
    let usdm = USDM_DEPTH.replace("@depth@0ms", "@depth20@100ms");
    let expected = DepthSnapshot { last_id: 9, bids: vec![level(587_102, 14), level(615_109, 0)], asks: vec![] };
    assert_eq!(decode(&btc_usdm(), &usdm).unwrap().event, MarketEvent::Snapshot(expected));
    let spot = r#"{"stream":"btcusdt@depth5","data":{"lastUpdateId":160,"bids":[["0.02","10"]],"asks":[]}}"#;
    let expected = DepthSnapshot { last_id: 160, bids: vec![level(2, 1_000_000)], asks: vec![] };
    let other = instrument("ETHUSDT", InstrumentKind::Spot, "0.01", "0.0001");
    let mut decoder = Decoder::new([&other, &btc_spot()]).unwrap();
    let Ok(Decoded::Frame(frame)) = decoder.decode(spot.as_bytes(), RECEIVED) else { panic!("the stream's name has the symbol") };
    assert_eq!(frame.to_owned().event, MarketEvent::Snapshot(expected));
    assert_eq!(frame.symbol.as_str(), "BTCUSDT");
}

#[test]
fn a_rest_snapshot_is_of_the_symbol_that_was_asked_for() {
    let text = br#"{"lastUpdateId":160,"E":1723161256501,"T":1723161256493,"bids":[["0.1","10"]],"asks":[["0.2","100"]]}"#;
    let other = instrument("ETHUSDT", InstrumentKind::Perpetual, "0.01", "0.001");
    let mut decoder = Decoder::new([&other, &btc_usdm()]).unwrap();
    assert!(decoder.decode(text, RECEIVED).is_err(), "which of the two?");
    let Ok(Decoded::Frame(frame)) = decoder.decode_for(btc_usdm().symbol, text, RECEIVED) else { panic!("it was said which") };
    assert_eq!(frame.venue_time, Timestamp::from_millis(1_723_161_256_501));
    assert!(matches!(frame.event, MarketEventRef::Snapshot(snapshot) if snapshot.bids == [level(1, 10_000)]));
}

#[test]
fn milliseconds_and_microseconds_are_told_apart() {
    assert_eq!(time_of(1_735_689_600_010), Some(Timestamp(1_735_689_600_010_000_000)));
    assert_eq!(time_of(1_735_689_600_010_866), Some(Timestamp(1_735_689_600_010_866_000)));
    assert_eq!(time_of(u64::MAX), None);
}

fn levels() -> impl Strategy<Value = Vec<Level>> {
    prop::collection::vec((0_i64..100_000_000_000, 0_i64..1_000_000_000_000).prop_map(|(p, q)| level(p, q)), 0..12)
}

fn decimal() -> impl Strategy<Value = Decimal> {
    (0_i64..1_000_000_000_000, 0_u32..9).prop_map(|(mantissa, scale)| Decimal::new(mantissa, scale))
}

fn candle() -> impl Strategy<Value = Candle> {
    (decimal(), decimal(), any::<u32>(), 0_i64..4_000_000_000_000).prop_map(|(price, volume, trades, open)| Candle {
        open_time: Timestamp::from_millis(open),
        close_time: Timestamp::from_millis(open + 59_999),
        open: Price(price),
        high: Price(price),
        low: Price(price),
        close: Price(price),
        volume: Quantity(volume),
        quote_volume: Money(volume),
        trades,
    })
}

fn event(kind: InstrumentKind) -> impl Strategy<Value = MarketEvent> {
    let id = || 0_u64..u64::MAX;
    prop_oneof![
        (id(), id(), id(), levels(), levels()).prop_map(move |(first_id, final_id, previous, bids, asks)| {
            let previous_id = (kind == InstrumentKind::Perpetual).then_some(previous);
            MarketEvent::Depth(DepthUpdate { first_id, final_id, previous_id, bids, asks })
        }),
        (id(), levels(), levels()).prop_map(|(last_id, bids, asks)| MarketEvent::Snapshot(DepthSnapshot { last_id, bids, asks })),
        (id(), 0..i64::from(u32::MAX), 0..i64::from(u32::MAX)).prop_map(|(id, bid, ask)| MarketEvent::Ticker(BookTicker {
            id,
            bid: level(bid, ask),
            ask: level(ask, bid)
        })),
        (id(), 0..i64::from(u32::MAX), any::<bool>()).prop_map(|(id, price, buyer_is_maker)| {
            MarketEvent::Trade(TradePrint { id, price: Ticks(price), quantity: Lots(price), buyer_is_maker })
        }),
        decimal().prop_map(|price| MarketEvent::Mark(Price(price))),
        candle().prop_map(MarketEvent::Candle),
    ]
}

fn any_instrument() -> impl Strategy<Value = Instrument> {
    let steps = prop::sample::select(vec!["0.10", "0.01", "1", "0.00000001", "0.25", "0.000000001", "10"]);
    let kind = prop::sample::select(vec![InstrumentKind::Spot, InstrumentKind::Perpetual]);
    (kind, steps.clone(), steps).prop_map(|(kind, price, quantity)| instrument("1000SHIBUSDT", kind, price, quantity))
}

fn frame() -> impl Strategy<Value = (Instrument, MarketFrame)> {
    any_instrument().prop_flat_map(|instrument| {
        let symbol = instrument.symbol;
        let frames = (event(instrument.kind), 0_i64..4_000_000_000_000).prop_map(move |(event, at)| {
            let at = Timestamp::from_millis(at);
            MarketFrame { symbol, venue_time: at, received_at: at, event }
        });
        (Just(instrument), frames)
    })
}

/// What the parser alone makes of a text.
fn by_json(decoder: &mut Decoder, text: &[u8]) -> Option<MarketFrame> {
    let parsed = json::parse(decoder, Some(0), text, RECEIVED).ok()?.ok()?;
    Some(decoder.lend(&parsed).to_owned())
}

proptest! {
    #[test]
    fn what_is_encoded_is_decoded_as_the_same_frame((instrument, frame) in frame()) {
        let mut text = String::new();
        Encoder::new(&instrument).unwrap().frame(&frame.borrowed(), &mut text);
        let mut decoder = Decoder::new([&instrument]).unwrap();
        let decoded = decoder.decode(text.as_bytes(), frame.received_at).map_err(|error| TestCaseError::fail(format!("{error}\n{text}")))?;
        prop_assert_eq!(decoded, Decoded::Frame(frame.borrowed()), "{}", text);
    }

    #[test]
    fn the_scanner_and_the_parser_agree_on_sound_and_on_damaged_frames(
        (instrument, frame) in frame(),
        damage in prop::option::of((any::<prop::sample::Index>(), any::<prop::sample::Index>(), prop::sample::select(b"0159.\"\\,:[]{} eEabpqtuxX-".to_vec()))),
    ) {
        let mut text = String::new();
        Encoder::new(&instrument).unwrap().frame(&frame.borrowed(), &mut text);
        let mut text = text.into_bytes();
        if let Some((at, cut, byte)) = damage {
            let at = at.index(text.len());
            text[at] = byte;
            if cut.index(8) == 0 {
                text.truncate(at);
            }
        }
        let mut decoder = Decoder::new([&instrument]).unwrap();
        if let Some(parsed) = fast::parse(&mut decoder, Some(0), &text, RECEIVED) {
            let by_scanner = decoder.lend(&parsed).to_owned();
            prop_assert_eq!(Some(by_scanner), by_json(&mut decoder, &text), "{}", String::from_utf8_lossy(&text));
        }
    }

    #[test]
    fn garbage_is_refused_and_never_a_panic(text in prop::collection::vec(any::<u8>(), 0..200)) {
        let _ = Decoder::new([&btc_usdm()]).unwrap().decode(&text, RECEIVED);
    }
}
