use std::fmt::Write as _;
use std::io::Write as _;
use std::path::Path;

use super::*;
use crate::domain::book::{Book, BookSync, SequenceRule, SyncOutcome};
use crate::domain::instrument::{InstrumentKind, Lots, Ticks};
use crate::domain::market_data::{BookTicker, DepthSnapshot, DepthUpdate, Level, TradePrint};
use crate::domain::order::Side;
use crate::exchange::instruments;
use crate::venues::binance::market::Encoder;

const RECORDED: Timestamp = Timestamp::from_millis(1_723_161_255_000);
/// A full minute, so that bars are easy to name.
const START: Timestamp = Timestamp::from_millis(1_800_000_000_000);

fn btc() -> Instrument {
    instruments::bundled(InstrumentKind::Perpetual, Symbol::new("BTCUSDT").unwrap()).unwrap()
}

fn level(price: i64, quantity: i64) -> Level {
    Level { price: Ticks(price), quantity: Lots(quantity) }
}

fn diff(previous: u64, last: u64, bids: &[(i64, i64)]) -> MarketEvent {
    let bids = bids.iter().map(|(price, quantity)| level(*price, *quantity)).collect();
    MarketEvent::Depth(DepthUpdate { first_id: previous + 1, final_id: last, previous_id: Some(previous), bids, asks: Vec::new() })
}

fn trade(id: u64, price: i64) -> MarketEvent {
    MarketEvent::Trade(TradePrint { id, price: Ticks(price), quantity: Lots(2), buyer_is_maker: false })
}

/// A recording: a diff, its snapshot, and then a trade and a diff for each second that it lasts.
fn recording(folder: &Path, seconds: u64) -> PathBuf {
    let snapshot = DepthSnapshot { last_id: 110, bids: vec![level(600_000, 5), level(599_990, 7)], asks: vec![level(600_010, 5)] };
    let mut events = vec![(0, diff(100, 110, &[(600_000, 5)])), (200, MarketEvent::Snapshot(snapshot))];
    for second in 0..seconds {
        let (at, n) = (300 + second * 1_000, second as i64);
        events.push((at, trade(1_000 + second, 600_000 + n)));
        events.push((at + 10, diff(110 + second * 10, 120 + second * 10, &[(599_980 - n, 3)])));
    }
    write(folder, &events)
}

fn write(folder: &Path, events: &[(u64, MarketEvent)]) -> PathBuf {
    let encoder = Encoder::new(&btc()).unwrap();
    let mut text = String::new();
    for (millis, event) in events {
        let at = RECORDED + Duration::from_millis(*millis);
        let frame = MarketFrame { symbol: btc().symbol, venue_time: at, received_at: at, event: event.clone() };
        let _ = write!(text, "{} ", at.0);
        match &frame.event {
            MarketEvent::Snapshot(snapshot) => encoder.rest_depth(at, at, snapshot, &mut text),
            _ => encoder.frame(&frame.borrowed(), &mut text),
        }
        text.push('\n');
    }
    let path = folder.join("btcusdt.log");
    std::fs::write(&path, text).unwrap();
    path
}

fn play(market: &mut ReplayMarket, seconds: u64) -> Vec<MarketFrame> {
    let mut frames = Vec::new();
    for millis in (0..=seconds * 1_000).step_by(50) {
        let now = START + Duration::from_millis(millis);
        let from = frames.len();
        market.poll(now, &mut frames);
        assert!(frames[from..].iter().all(|frame| frame.received_at <= now), "nothing comes before its time");
    }
    frames
}

/// Follows the stream as a client does that fetched the first snapshot, and compares with every later snapshot.
fn assert_one_unbroken_stream(frames: &[MarketFrame], rule: SequenceRule) -> usize {
    let mut reader = BookSync::new(rule);
    let (mut newest_trade, mut newest_time, mut snapshots) = (0, Timestamp::ZERO, 0);
    for frame in frames {
        assert!(frame.received_at >= newest_time && frame.venue_time == frame.received_at);
        newest_time = frame.received_at;
        match &frame.event {
            MarketEvent::Snapshot(snapshot) if snapshots == 0 => {
                assert_eq!(reader.on_snapshot(snapshot), SyncOutcome::Applied);
                snapshots += 1;
            }
            MarketEvent::Snapshot(snapshot) => {
                let book = reader.book().unwrap();
                assert_eq!(reader.last_id(), snapshot.last_id);
                assert_eq!(book.levels(Side::Buy).collect::<Vec<_>>(), snapshot.bids);
                assert_eq!(book.levels(Side::Sell).collect::<Vec<_>>(), snapshot.asks);
                snapshots += 1;
            }
            MarketEvent::Depth(update) => assert_eq!(reader.on_diff(update), SyncOutcome::Applied, "{update:?}"),
            MarketEvent::Trade(trade) => {
                assert!(newest_trade == 0 || trade.id == newest_trade + 1, "trade {} after {newest_trade}", trade.id);
                newest_trade = trade.id;
            }
            _ => {}
        }
    }
    snapshots
}

/// A touch runs ahead of the diffs, with the very id that the next diff will have: a book that was fetched in between must not claim
/// the deeper levels of that diff, or its reader lets the diff go by and is wrong for good.
#[test]
fn a_book_that_is_fetched_at_any_time_leads_with_the_diffs_after_it_to_the_same_book() {
    let folder = tempfile::tempdir().unwrap();
    let snapshot = DepthSnapshot { last_id: 110, bids: vec![level(600_000, 5), level(599_990, 7)], asks: vec![level(600_010, 5)] };
    let mut events = vec![(0, diff(100, 110, &[(600_000, 5)])), (200, MarketEvent::Snapshot(snapshot))];
    for n in 0..40_u64 {
        let (id, price) = (110 + n * 10, 599_000 - n as i64);
        let touch = BookTicker { id: id + 10, bid: level(600_000, 6 + n as i64), ask: level(600_010, 5) };
        events.push((300 + n * 100, MarketEvent::Ticker(touch)));
        events.push((350 + n * 100, diff(id, id + 10, &[(600_000, 6 + n as i64), (price, 9)])));
    }
    let mut market = ReplayMarket::open(&[write(folder.path(), &events)], START).unwrap();
    let mut readers: Vec<BookSync> = Vec::new();
    let (mut frames, mut fetched) = (Vec::new(), 0);
    for millis in (0..=4_000).step_by(25) {
        market.poll(START + Duration::from_millis(millis), &mut frames);
        for frame in frames.drain(..) {
            let MarketEvent::Depth(update) = &frame.event else { continue };
            readers.iter_mut().for_each(|reader| assert!(!matches!(reader.on_diff(update), SyncOutcome::Gap { .. })));
        }
        if let Some(book) = market.book(btc().symbol, usize::MAX) {
            let mut reader = BookSync::new(SequenceRule::UsdM);
            reader.on_snapshot(&book);
            readers.push(reader);
            fetched += 1;
            // As a reader of spot has it, who lets go by what the snapshot has.
            let same = |reader: &BookSync| reader.book().is_some_and(|own| own.levels(Side::Buy).eq(book.bids.iter().copied()));
            assert!(readers.iter().all(same), "after {fetched} books");
        }
    }
    assert!(fetched > 100, "{fetched}");
}

#[test]
fn what_a_recorder_wrote_twice_or_late_is_told_once_and_in_order() {
    let folder = tempfile::tempdir().unwrap();
    let touch = |id: u64| MarketEvent::Ticker(BookTicker { id, bid: level(600_000, id as i64), ask: level(600_010, 5) });
    let events =
        [(0, trade(5, 600_000)), (10, trade(6, 600_000)), (20, trade(6, 600_000)), (30, trade(5, 600_000)), (40, trade(8, 600_000))];
    let touches = [(50, touch(70)), (60, touch(72)), (70, touch(71)), (80, touch(73))];
    let all: Vec<_> = events.into_iter().chain(touches).collect();
    let mut market = ReplayMarket::open(&[write(folder.path(), &all)], START).unwrap();
    let mut frames = Vec::new();
    market.poll(START + Duration::from_millis(85), &mut frames);
    let ids = frames.iter().filter_map(|frame| match &frame.event {
        MarketEvent::Trade(trade) => Some(trade.id),
        MarketEvent::Ticker(touch) => Some(touch.id),
        _ => None,
    });
    let ids: Vec<u64> = ids.collect();
    let steps: Vec<u64> = ids.windows(2).map(|pair| pair[1].saturating_sub(pair[0])).collect();
    assert_eq!((ids.len(), [steps[0], steps[1], steps[3], steps[4]]), (6, [1, 2, 2, 1]), "{ids:?}");
}

#[test]
fn a_recording_without_touches_shows_the_best_levels_of_its_book() {
    let folder = tempfile::tempdir().unwrap();
    let mut market = ReplayMarket::open(&[recording(folder.path(), 5)], START).unwrap();
    let frames = play(&mut market, 14);
    let mut reader = BookSync::new(SequenceRule::UsdM);
    let mut touches = 0;
    for frame in &frames {
        match &frame.event {
            MarketEvent::Snapshot(snapshot) => drop(reader.on_snapshot(snapshot)),
            MarketEvent::Depth(update) => drop(reader.on_diff(update)),
            MarketEvent::Ticker(touch) => {
                touches += 1;
                let book = reader.book().unwrap();
                assert_eq!((Some(touch.bid), Some(touch.ask), touch.id), (book.best_bid(), book.best_ask(), reader.last_id()));
            }
            _ => {}
        }
    }
    assert!(touches > 0);
}

#[test]
fn a_recording_of_touches_alone_shows_a_book_of_one_level() {
    let folder = tempfile::tempdir().unwrap();
    let touch = |n: u64| {
        let price = 600_000 + (n % 3) as i64 * 10;
        MarketEvent::Ticker(BookTicker { id: 50 + n * 7, bid: level(price, 1 + n as i64), ask: level(price + 10, 5) })
    };
    let all: Vec<_> = (0..20).map(|n| (n * 100, touch(n))).collect();
    let mut market = ReplayMarket::open(&[write(folder.path(), &all)], START).unwrap();
    let mut reader: Option<BookSync> = None;
    let (mut frames, mut compared) = (Vec::new(), 0);
    for millis in (0..=6_000).step_by(50) {
        market.poll(START + Duration::from_millis(millis), &mut frames);
        for frame in frames.drain(..) {
            match (&frame.event, &mut reader) {
                (MarketEvent::Depth(update), Some(reader)) => assert_eq!(reader.on_diff(update), SyncOutcome::Applied, "{update:?}"),
                (MarketEvent::Ticker(touch), Some(reader)) => {
                    let book = reader.book().unwrap();
                    let (bids, asks): (Vec<_>, Vec<_>) = (book.levels(Side::Buy).collect(), book.levels(Side::Sell).collect());
                    assert_eq!((bids, asks, reader.last_id()), (vec![touch.bid], vec![touch.ask], touch.id));
                    compared += 1;
                }
                _ => {}
            }
        }
        if let (None, Some(book)) = (&reader, market.book(btc().symbol, usize::MAX)) {
            let mut begun = BookSync::new(SequenceRule::UsdM);
            begun.on_snapshot(&book);
            reader = Some(begun);
        }
    }
    assert!(compared > 40, "over the seam too: {compared}");
}

#[test]
fn a_recording_is_played_round_after_round_as_one_unbroken_stream() {
    let folder = tempfile::tempdir().unwrap();
    let mut market = ReplayMarket::open(&[recording(folder.path(), 5)], START).unwrap();
    let frames = play(&mut market, 23);
    assert!(matches!(frames[0].event, MarketEvent::Snapshot(_)) && frames[0].received_at == START);
    // A round lasts from the first frame to the last (4.31 s) and the seam.
    assert_eq!(assert_one_unbroken_stream(&frames, SequenceRule::UsdM), 1 + 5);
    let trades = frames.iter().filter(|frame| matches!(frame.event, MarketEvent::Trade(_))).count();
    assert_eq!(trades, 26);
}

#[test]
fn seconds_between_frames_are_as_recorded_and_polls_do_not_change_the_frames() {
    let folder = tempfile::tempdir().unwrap();
    let file = recording(folder.path(), 5);
    let frames = play(&mut ReplayMarket::open(std::slice::from_ref(&file), START).unwrap(), 20);
    let times: Vec<i64> = frames
        .iter()
        .filter(|frame| matches!(frame.event, MarketEvent::Trade(_)))
        .map(|frame| frame.received_at.as_millis() - START.as_millis())
        .collect();
    // The opening ends with the snapshot, so the trade that was recorded 100 ms after it is the first frame.
    assert_eq!(times[..6], [0, 1_000, 2_000, 3_000, 4_000, 4_010 + 100 + 300]);
    let (mut market, mut at_once) = (ReplayMarket::open(&[file], START).unwrap(), Vec::new());
    market.poll(START + Duration::from_secs(20), &mut at_once);
    assert_eq!(at_once, frames);
}

#[test]
fn the_bars_before_the_start_are_the_recordings_own_and_grow_with_the_play() {
    let folder = tempfile::tempdir().unwrap();
    let mut market = ReplayMarket::open(&[recording(folder.path(), 30)], START).unwrap();
    let symbol = btc().symbol;
    let mut frames = Vec::new();
    market.poll(START, &mut frames);
    let past = market.candles(symbol, Duration::from_secs(1), 300);
    assert_eq!(past.len(), 300);
    assert!(past.windows(2).all(|pair| pair[1].open_time == pair[0].open_time + Duration::from_secs(1)));
    assert!(past.last().unwrap().close_time < START);
    assert!(market.candles(symbol, Duration::from_secs(900), 300).len() > 290);
    let minute = market.candles(symbol, Duration::from_secs(60), 1)[0];
    let price = |ticks| btc().price(Ticks(ticks));
    assert_eq!((minute.low, minute.high), (price(600_000), price(600_029)), "a minute holds two whole rounds");
    market.poll(START + Duration::from_millis(3_000), &mut frames);
    let closes: Vec<_> = market.candles(symbol, Duration::from_secs(1), 3).iter().map(|candle| candle.close).collect();
    assert_eq!(closes, [price(600_000), price(600_001), price(600_002)]);
}

#[test]
fn a_recording_longer_than_the_past_goes_on_behind_it() {
    let folder = tempfile::tempdir().unwrap();
    // Two frames of the beginning and two a second: the past ends with the diff of second 9.
    let mut market = ReplayMarket::with_past(&[recording(folder.path(), 20)], Options::default(), START, 22).unwrap();
    let frames = play(&mut market, 15);
    assert_one_unbroken_stream(&frames, SequenceRule::UsdM);
    let first = frames.iter().find_map(|frame| match &frame.event {
        MarketEvent::Trade(trade) => Some(trade.price),
        _ => None,
    });
    assert_eq!(first, Some(Ticks(600_010)));
    let before = ReplayMarket::with_past(&[recording(folder.path(), 20)], Options::default(), START, 22).unwrap();
    let last = before.candles(btc().symbol, Duration::from_secs(1), 1)[0];
    assert_eq!(last.close, btc().price(Ticks(600_009)));
}

#[test]
fn a_hole_in_the_recorded_diffs_is_none_in_the_market() {
    let folder = tempfile::tempdir().unwrap();
    let snapshot = DepthSnapshot { last_id: 10, bids: vec![level(600_000, 5)], asks: vec![level(600_010, 5)] };
    let events = [
        (0, MarketEvent::Snapshot(snapshot)),
        (10, diff(10, 12, &[(599_999, 1)])),
        (20, diff(40, 42, &[(599_998, 1)])),
        (30, diff(42, 43, &[(599_997, 1)])),
    ];
    let mut market = ReplayMarket::open(&[write(folder.path(), &events)], START).unwrap();
    let frames = play(&mut market, 1);
    assert!(assert_one_unbroken_stream(&frames, SequenceRule::UsdM) > 5);
}

#[test]
fn touches_without_depth_and_diffs_without_a_snapshot_play_too() {
    let folder = tempfile::tempdir().unwrap();
    let touch = |id, price| MarketEvent::Ticker(BookTicker { id, bid: level(price, 1), ask: level(price + 10, 1) });
    let file = write(folder.path(), &[(0, touch(50, 600_000)), (10, touch(57, 600_010))]);
    let frames = play(&mut ReplayMarket::open(&[file], START).unwrap(), 1);
    let told = |frame: &MarketFrame| if let MarketEvent::Ticker(ticker) = frame.event { Some(ticker.id) } else { None };
    let ids: Vec<u64> = frames.iter().filter_map(told).collect();
    assert_eq!(ids[..5], [58, 65, 66, 73, 74]);

    let file = write(folder.path(), &[(0, diff(10, 12, &[(599_999, 1)])), (10, diff(12, 14, &[(599_998, 1)]))]);
    let frames = play(&mut ReplayMarket::open(&[file], START).unwrap(), 1);
    let mut book = Book::new();
    let mut last_id = None;
    for frame in &frames {
        let MarketEvent::Depth(update) = &frame.event else { panic!("{frame:?}") };
        assert!(last_id.is_none() || update.previous_id == last_id, "{update:?} after {last_id:?}");
        last_id = Some(update.final_id);
        book.apply_update(update);
        assert!(book.depth(Side::Buy) <= 2);
    }
    assert!(frames.len() > 20);
}

#[test]
fn candles_close_when_the_clock_does() {
    let folder = tempfile::tempdir().unwrap();
    let mut text = "open_time,open,high,low,close,volume\n".to_owned();
    for minute in 0..4 {
        let open_time = 1_722_470_400_000_i64 + minute * 60_000;
        let _ = writeln!(text, "{open_time},{},60200.0,59900.0,60050.0,12.5", 60_000 + minute);
    }
    let file = folder.path().join("BTCUSDT-1m.csv");
    std::fs::write(&file, text).unwrap();
    let start = START + Duration::from_millis(20_500);
    let mut market = ReplayMarket::open(&[file], start).unwrap();
    let mut frames = Vec::new();
    for second in 0..=600 {
        market.poll(start + Duration::from_secs(second), &mut frames);
    }
    let opens: Vec<i64> = frames
        .iter()
        .map(|frame| match &frame.event {
            MarketEvent::Candle(candle) => candle.open_time.0 - START.0,
            other => panic!("expected a candle, found {other:?}"),
        })
        .collect();
    let minutes: Vec<i64> = opens.iter().map(|nanos| nanos / 60_000_000_000).collect();
    assert_eq!(minutes, [0, 1, 2, 3, 4, 5, 6, 7, 8, 9]);
    assert!(opens.iter().all(|nanos| nanos % 60_000_000_000 == 0));
    let symbol = frames[0].symbol;
    let bars = market.candles(symbol, Duration::from_secs(60), 50);
    assert_eq!(bars.len(), 50);
    assert!(bars.windows(2).all(|pair| pair[1].open_time == pair[0].open_time + Duration::from_secs(60)));
    let opened: Vec<String> = bars[45..].iter().map(|bar| bar.open.to_string()).collect();
    assert_eq!(
        opened,
        ["60001.0", "60002.0", "60003.0", "60000.0", "60001.0"]
            .map(|price| price.trim_end_matches(".0").to_owned() + &opened[0]["60001".len()..])
    );
    assert_eq!(market.candles(symbol, Duration::from_secs(5), 50), [], "nothing finer than the candles");
}

#[test]
fn a_machine_that_slept_gets_a_minute_and_goes_on() {
    let folder = tempfile::tempdir().unwrap();
    let mut market = ReplayMarket::open(&[recording(folder.path(), 5)], START).unwrap();
    let mut frames = Vec::new();
    market.poll(START, &mut frames);
    frames.clear();
    let woke = START + Duration::from_secs(86_400);
    market.poll(woke, &mut frames);
    assert!(frames.len() < 200, "{} frames", frames.len());
    assert!(frames[0].received_at >= woke - CATCH_UP_MAX && frames.last().unwrap().received_at <= woke);
}

#[test]
fn files_that_vanish_leave_the_market_silent_until_they_are_back() {
    let folder = tempfile::tempdir().unwrap();
    let file = recording(folder.path(), 3);
    let mut market = ReplayMarket::open(std::slice::from_ref(&file), START).unwrap();
    let away = folder.path().join("away");
    std::fs::rename(&file, &away).unwrap();
    let mut frames = Vec::new();
    let at = |seconds| START + Duration::from_secs(seconds);
    // The open file is read to its end, then there is nothing more.
    market.poll(at(4), &mut frames);
    let heard = frames.len();
    market.poll(at(8), &mut frames);
    assert_eq!(frames.len(), heard);
    std::fs::rename(&away, &file).unwrap();
    market.poll(at(20), &mut frames);
    assert!(frames.len() > heard);
    assert_one_unbroken_stream(&frames, SequenceRule::UsdM);
}

#[test]
fn what_cannot_be_played_is_refused_with_the_reason() {
    let folder = tempfile::tempdir().unwrap();
    let refused = |files: &[PathBuf]| match ReplayMarket::open(files, START) {
        Ok(_) => panic!("expected a refusal"),
        Err(error) => error.to_string(),
    };
    assert!(refused(&[]).starts_with("exchange.files: expected at least one recording"));
    let missing = folder.path().join("missing.gz");
    assert!(refused(&[missing]).contains("missing.gz: expected a readable recording"));
    let unnamed = folder.path().join("day.csv");
    std::fs::write(&unnamed, "open_time,open,high,low,close,volume\n1722470400000,1,1,1,1,1\n").unwrap();
    assert!(refused(&[unnamed]).contains("expected a symbol in the file's name"));
    let broken = folder.path().join("btcusdt.log");
    std::fs::write(&broken, "1723161255088176367 {\"stream\":\"btcusdt@trade\",\"data\":{\"e\":\"trade\",\"s\":\"BTCUSDT\"\n").unwrap();
    let error = refused(&[broken]);
    assert!(error.contains("btcusdt.log") && error.contains("found"), "{error}");
}

#[test]
fn a_truncated_recording_plays_as_far_as_it_goes() {
    let folder = tempfile::tempdir().unwrap();
    let file = recording(folder.path(), 5);
    let mut bytes = std::fs::read(&file).unwrap();
    bytes.truncate(bytes.len() - 30);
    std::fs::File::create(&file).unwrap().write_all(&bytes).unwrap();
    let mut market = ReplayMarket::open(&[file], START).unwrap();
    let frames = play(&mut market, 20);
    assert!(assert_one_unbroken_stream(&frames, SequenceRule::UsdM) > 3);
    assert!(market.unreadable() > 3);
}
