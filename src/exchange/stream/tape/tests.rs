use std::collections::BTreeMap;

use super::*;
use crate::domain::instrument::{Lots, Ticks};
use crate::domain::market_data::{DepthUpdate, Level, TradePrint};
use crate::exchange::instruments::bundled;
use crate::exchange::stream::names::Route;

/// 2024-08-08 09:40:00 UTC.
const START: i64 = 1_723_110_000_000;

/// What was sent on each stream.
#[derive(Default)]
struct Heard {
    wanted: Vec<Topic>,
    texts: BTreeMap<Topic, Vec<serde_json::Value>>,
}

impl Sink for Heard {
    fn send(&mut self, topic: Topic, write: impl FnOnce(&mut String)) {
        if !self.wanted.contains(&topic) {
            return;
        }
        let mut text = String::new();
        write(&mut text);
        if !text.is_empty() {
            self.texts.entry(topic).or_default().push(serde_json::from_str(&text).unwrap_or_else(|error| panic!("{error}: {text}")));
        }
    }
}

/// A tape of one symbol, and whoever listens to it.
struct World {
    tape: Tape,
    heard: Heard,
    naming: Naming,
}

impl World {
    fn new(product: InstrumentKind) -> Self {
        let naming = Naming { product, extended: false };
        let instrument = bundled(product, symbol()).unwrap();
        let tape = Tape::new(&[instrument], naming, false, Timestamp::from_millis(START)).unwrap();
        Self { tape, heard: Heard::default(), naming }
    }

    fn listen(&mut self, name: &str) -> Topic {
        let topic = self.naming.topic(name).unwrap();
        assert!(Route::Plain.carries(topic.kind));
        self.tape.want(topic);
        self.heard.wanted.push(topic);
        topic
    }

    fn show(&mut self, at: i64, event: MarketEvent) {
        let at = Timestamp::from_millis(START + at);
        self.tape.frame(&MarketFrame { symbol: symbol(), venue_time: at, received_at: at, event }, &mut self.heard);
        self.tape.settle(symbol(), &mut self.heard);
    }

    fn trade(&mut self, at: i64, id: u64, price: i64, lots: i64) {
        let print = TradePrint { id, price: Ticks(price), quantity: Lots(lots), buyer_is_maker: false };
        self.show(at, MarketEvent::Trade(print));
    }

    fn tick(&mut self, at: i64) {
        self.tape.tick(Timestamp::from_millis(START + at), &mut self.heard);
    }

    fn on(&self, topic: Topic) -> &[serde_json::Value] {
        self.heard.texts.get(&topic).map_or(&[], Vec::as_slice)
    }
}

fn symbol() -> Symbol {
    Symbol::new("BTCUSDT").unwrap()
}

fn diff(first_id: u64, final_id: u64, price: i64, lots: i64) -> MarketEvent {
    let bids = vec![Level { price: Ticks(price), quantity: Lots(lots) }];
    MarketEvent::Depth(DepthUpdate { first_id, final_id, previous_id: Some(first_id - 1), bids, asks: vec![] })
}

#[test]
fn a_kline_is_told_at_its_pace_and_once_more_when_it_closes() {
    let mut world = World::new(InstrumentKind::Perpetual);
    let topic = world.listen("btcusdt@kline_1m");
    world.trade(0, 1, 600_000, 2);
    world.trade(10, 2, 600_010, 1);
    world.trade(260, 3, 599_990, 1);
    assert_eq!(world.on(topic).len(), 2, "every 250 ms");
    world.tick(600);
    world.tick(59_999);
    world.tick(60_000);
    let said = world.on(topic);
    let closed: Vec<_> = said.iter().filter(|kline| kline["k"]["x"] == true).collect();
    assert_eq!(closed.len(), 1);
    let bar = &closed[0]["k"];
    assert_eq!(
        (&bar["o"], &bar["h"], &bar["l"], &bar["c"]),
        (&"60000.00".into(), &"60001.00".into(), &"59999.00".into(), &"59999.00".into())
    );
    assert_eq!(
        (&bar["v"], &bar["V"], &bar["n"], &bar["f"], &bar["L"]),
        (&"0.004".into(), &"0.004".into(), &3.into(), &1.into(), &3.into())
    );
    assert_eq!((bar["t"].as_i64(), bar["T"].as_i64()), (Some(START), Some(START + 59_999)));
    let next = &said.last().unwrap()["k"];
    assert_eq!((&next["x"], &next["n"], &next["o"], &next["f"]), (&false.into(), &0.into(), &"59999.00".into(), &(-1).into()));
}

/// The clock may close a second while a trade of it is on its way: the trade says the time of the bar that it is counted in.
#[test]
fn a_trade_that_comes_late_says_the_time_of_the_bar_that_has_it() {
    let mut world = World::new(InstrumentKind::Spot);
    let (bars, trades) = (world.listen("btcusdt@kline_1s"), world.listen("btcusdt@trade"));
    world.trade(900, 1, 6_000_000, 1);
    world.tick(1_005);
    world.trade(998, 2, 6_000_100, 1);
    world.tick(2_000);
    let closed: Vec<_> = world.on(bars).iter().filter(|kline| kline["k"]["x"] == true).map(|kline| &kline["k"]["n"]).collect();
    assert_eq!(closed, [1, 1]);
    let times: Vec<i64> = world.on(trades).iter().map(|trade| trade["T"].as_i64().unwrap() - START).collect();
    assert_eq!(times, [900, 1_000]);
}

/// A venue's count of trades and their ids say the same.
#[test]
fn the_days_first_trade_is_as_far_back_as_its_trades_are_many() {
    let mut world = World::new(InstrumentKind::Perpetual);
    let opens = Timestamp::from_millis(START - 3_600_000);
    let price = Price(60_000.into());
    let past = Candle {
        open_time: opens,
        close_time: Timestamp::from_millis(START - 3_540_001),
        open: price,
        high: price,
        low: price,
        close: price,
        volume: crate::domain::money::Quantity(1.into()),
        quote_volume: crate::domain::money::Money(60_000.into()),
        trades: 40,
    };
    world.tape.seed(symbol(), [&[], &[past], &[]]);
    world.trade(10, 1_000, 600_000, 1);
    world.trade(20, 1_001, 600_000, 1);
    let day = world.tape.statistics(symbol(), Statistics::Day).unwrap().window.bar;
    assert_eq!((day.trades, day.first_id, day.last_id), (42, 960, 1_001));
}

#[test]
fn a_trade_after_the_bars_end_closes_it_before_it_is_counted() {
    let mut world = World::new(InstrumentKind::Spot);
    let topic = world.listen("btcusdt@kline_1s");
    world.trade(0, 1, 6_000_000, 1);
    world.trade(2_500, 2, 6_000_100, 1);
    let closed: Vec<_> =
        world.on(topic).iter().filter(|kline| kline["k"]["x"] == true).map(|kline| kline["k"]["t"].as_i64().unwrap() - START).collect();
    assert_eq!(closed, [0, 1_000], "a second without a trade is a flat bar");
}

#[test]
fn diffs_are_gathered_at_each_pace_and_their_ids_chain() {
    let mut world = World::new(InstrumentKind::Perpetual);
    let (raw, fast, slow) = (world.listen("btcusdt@depth@0ms"), world.listen("btcusdt@depth@100ms"), world.listen("btcusdt@depth"));
    for n in 0..20 {
        world.show(n * 25, diff(100 + n as u64 * 10, 109 + n as u64 * 10, 600_000 - n % 3, n));
    }
    world.tick(1_000);
    assert_eq!((world.on(raw).len(), world.on(fast).len(), world.on(slow).len()), (20, 6, 3));
    for topic in [raw, fast, slow] {
        let said = world.on(topic);
        for pair in said.windows(2) {
            assert_eq!(pair[1]["pu"], pair[0]["u"]);
        }
        assert_eq!((said[0]["U"].as_u64(), said.last().unwrap()["u"].as_u64()), (Some(100), Some(299)));
    }
    let keys: Vec<&String> = world.on(fast)[0].as_object().unwrap().keys().collect();
    assert_eq!(keys, ["E", "T", "U", "a", "b", "e", "ps", "pu", "s", "st", "u"]);
}

#[test]
fn spots_diffs_have_no_previous_id_and_its_partial_book_no_symbol() {
    let mut world = World::new(InstrumentKind::Spot);
    let (depth, partial) = (world.listen("btcusdt@depth@100ms"), world.listen("btcusdt@depth5@100ms"));
    world.show(0, diff(101, 110, 6_000_000, 5));
    assert_eq!(world.tape.snapshots_needed().collect::<Vec<_>>(), [symbol()]);
    assert!(world.on(partial).is_empty());
    let level = |price, lots| Level { price: Ticks(price), quantity: Lots(lots) };
    world.tape.snapshot(symbol(), &DepthSnapshot { last_id: 105, bids: vec![level(5_999_999, 7)], asks: vec![level(6_000_001, 9)] });
    assert_eq!(world.tape.snapshots_needed().count(), 0);
    world.tick(200);
    assert_eq!(world.on(depth)[0].get("pu"), None);
    let book = &world.on(partial)[0];
    assert_eq!(book["lastUpdateId"], 110);
    assert_eq!(book["bids"][0], serde_json::json!(["60000.00000000", "0.00005000"]));
    assert_eq!((book["bids"].as_array().unwrap().len(), book.get("s")), (2, None));
}

#[test]
fn an_aggregate_is_told_when_nothing_more_may_join_it() {
    let mut spot = World::new(InstrumentKind::Spot);
    let topic = spot.listen("btcusdt@aggTrade");
    spot.trade(0, 1, 100, 1);
    assert_eq!(spot.on(topic).len(), 1, "spot's are of one moment");
    let mut usdm = World::new(InstrumentKind::Perpetual);
    let topic = usdm.listen("btcusdt@aggTrade");
    usdm.trade(0, 1, 100, 1);
    usdm.trade(60, 2, 100, 2);
    assert!(usdm.on(topic).is_empty());
    usdm.tick(150);
    let said = &usdm.on(topic)[0];
    assert_eq!(
        (&said["f"], &said["l"], &said["q"], &said["nq"], &said["m"]),
        (&1.into(), &2.into(), &"0.003".into(), &"0.003".into(), &false.into())
    );
}

#[test]
fn the_rolling_day_forgets_what_is_older() {
    let mut world = World::new(InstrumentKind::Spot);
    let (one, all, hour) = (world.listen("btcusdt@ticker"), world.listen("!miniTicker@arr"), world.listen("btcusdt@ticker_1h"));
    world.trade(0, 1, 5_000_000, 100_000);
    world.trade(DAY_MS, 2, 5_500_000, 100_000);
    world.trade(DAY_MS + 90_000, 3, 6_000_000, 100_000);
    world.tick(DAY_MS + 100_000);
    let ticker = world.on(one).last().unwrap();
    assert_eq!(
        (&ticker["o"], &ticker["c"], &ticker["n"], &ticker["F"]),
        (&"55000.00000000".into(), &"60000.00000000".into(), &2.into(), &2.into())
    );
    assert_eq!((&ticker["p"], &ticker["P"], &ticker["w"]), (&"5000.00000000".into(), &"9.091".into(), &"57500.00000000".into()));
    assert_eq!((&ticker["x"], &ticker["v"], &ticker["q"]), (&"50000.00000000".into(), &"2.00000000".into(), &"115000.00000000".into()));
    assert_eq!(world.on(all).last().unwrap()[0]["q"], "115000.00000000");
    assert_eq!(world.on(hour).last().unwrap()["e"], "1hTicker");
    let count = world.on(one).len();
    world.tick(DAY_MS + 105_000);
    assert_eq!(world.on(one).len(), count, "nothing has changed");
}

#[test]
fn what_was_before_the_tape_is_in_its_windows_once() {
    let mut world = World::new(InstrumentKind::Perpetual);
    let candle = |at: i64, seconds: i64, price: &str| Candle {
        open_time: Timestamp::from_millis(START + at),
        close_time: Timestamp::from_millis(START + at + seconds * 1_000 - 1),
        open: price.parse().unwrap(),
        high: price.parse().unwrap(),
        low: price.parse().unwrap(),
        close: price.parse().unwrap(),
        volume: "1".parse().unwrap(),
        quote_volume: price.parse().unwrap(),
        trades: 1,
    };
    // The hour and the minute that are open have no candle yet: they are made of what is finer.
    let hours = [candle(-2_400_000 - HOUR_MS, 3_600, "100")];
    let minutes: Vec<Candle> = (-10..0).map(|n| candle(n * MINUTE_MS, 60, "200")).collect();
    let seconds: Vec<Candle> = (0..5).map(|n| candle(n * 1_000, 1, "300")).collect();
    world.tape.seed(symbol(), [&seconds, &minutes, &hours]);
    world.trade(4_500, 1, 3_000, 1);
    world.trade(6_000, 2, 4_000, 1_000);
    let ticker = world.tape.statistics(symbol(), Statistics::Window(HOUR_MS)).unwrap();
    assert_eq!(
        (ticker.window.bar.trades, ticker.window.bar.lots),
        (10 + 5 + 1, 16_000),
        "the trade at 4.5 s is in the fifth second already"
    );
    let hour = world.tape.bar(symbol(), Interval::Seconds(3_600), 0, START - 2_400_000).unwrap();
    assert_eq!((hour.trades, hour.open, hour.close), (16, 2_000, 4_000));
    assert_eq!(world.tape.bar(symbol(), Interval::Seconds(60), 0, START - MINUTE_MS), None, "the floor knows that one better");
}

#[test]
fn marks_and_liquidations_are_told() {
    let mut world = World::new(InstrumentKind::Perpetual);
    let names = ["btcusdt@markPrice@1s", "!markPrice@arr@1s", "btcusdt@forceOrder", "!forceOrder@arr"];
    let [mark, marks, force, forces] = names.map(|name| world.listen(name));
    let rate = "0.0001".parse().unwrap();
    world.tape.fund(Funding { symbol: symbol(), rate, next: Timestamp::from_millis(START + HOUR_MS), mark: None, index: None });
    world.show(0, MarketEvent::Mark("60000.12345678".parse().unwrap()));
    world.tick(1_000);
    let said = &world.on(mark)[0];
    assert_eq!((&said["p"], &said["r"], said["T"].as_i64()), (&"60000.12345678".into(), &"0.00010000".into(), Some(START + HOUR_MS)));
    assert_eq!(world.on(marks)[0][0]["e"], "markPriceUpdate");
    let order = |lots: i64| ForcedOrder {
        side: crate::domain::order::Side::Sell,
        quantity: Lots(lots),
        price: Ticks(600_000),
        average_price: Ticks(600_000),
        last_filled: Lots(lots),
        filled: Lots(lots),
        at: Timestamp::from_millis(START + 1_000),
    };
    for lots in [3, 9, 5] {
        world.tape.force(symbol(), order(lots), &mut world.heard);
    }
    world.tick(1_000);
    assert_eq!((world.on(force).len(), &world.on(force)[0]["o"]["q"]), (1, &"0.009".into()), "the largest of the second");
    assert_eq!((world.on(forces).len(), &world.on(forces)[0]["o"]["X"]), (3, &"FILLED".into()));
}

#[test]
fn nothing_is_written_for_nobody() {
    let mut world = World::new(InstrumentKind::Perpetual);
    let topic = world.listen("btcusdt@kline_1m");
    world.trade(0, 1, 100, 1);
    world.tape.unwant(topic);
    let before = world.on(topic).len();
    world.trade(1_000, 2, 100, 1);
    world.tick(120_000);
    assert_eq!(world.on(topic).len(), before);
}
