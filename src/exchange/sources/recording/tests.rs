use std::io::Write;

use rust_decimal::Decimal;

use super::*;
use crate::domain::instrument::{Lots, Ticks};
use crate::domain::market_data::{Candle, MarketEvent, TradePrint};
use crate::domain::time::Timestamp;

struct Folder(tempfile::TempDir);

impl Folder {
    fn new() -> Self {
        Self(tempfile::tempdir().unwrap())
    }

    fn file(&self, name: &str, bytes: &[u8]) -> PathBuf {
        let path = self.0.path().join(name);
        std::fs::create_dir_all(path.parent().unwrap()).unwrap();
        std::fs::write(&path, bytes).unwrap();
        path
    }
}

fn gzip(text: &str) -> Vec<u8> {
    let mut encoder = flate2::write::GzEncoder::new(Vec::new(), flate2::Compression::default());
    encoder.write_all(text.as_bytes()).unwrap();
    encoder.finish().unwrap()
}

fn zip(name: &str, text: &str) -> Vec<u8> {
    let mut writer = zip::ZipWriter::new(std::io::Cursor::new(Vec::new()));
    writer.start_file(name, zip::write::SimpleFileOptions::default()).unwrap();
    writer.write_all(text.as_bytes()).unwrap();
    writer.finish().unwrap().into_inner()
}

fn open(paths: &[PathBuf]) -> Recording {
    Recording::open(paths, &Options::default()).unwrap()
}

fn read(path: PathBuf) -> Vec<Result<MarketFrame, Undecodable>> {
    open(&[path]).collect()
}

fn trades(frames: &[Result<MarketFrame, Undecodable>]) -> Vec<(i64, TradePrint)> {
    let trade = |frame: &Result<MarketFrame, Undecodable>| match frame {
        Ok(MarketFrame { venue_time, event: MarketEvent::Trade(trade), .. }) => (venue_time.0, *trade),
        other => panic!("expected a trade, found {other:?}"),
    };
    frames.iter().map(trade).collect()
}

fn candle(frame: &MarketFrame) -> Candle {
    match frame.event {
        MarketEvent::Candle(candle) => candle,
        _ => panic!("expected a candle, found {frame:?}"),
    }
}

const RAW: &str = r#"1723161255088176367 {"stream":"btcusdt@trade","data":{"e":"trade","E":1723161256322,"T":1723161256322,"s":"BTCUSDT","t":1,"p":"61800.30","q":"0.006","X":"MARKET","m":false}}
1723161255088181667 {"stream":"btcusdt@bookTicker","data":{"e":"bookTicker","u":7,"s":"BTCUSDT","b":"61800.20","B":"2.507","a":"61800.30","A":"2.504","T":1723161256322,"E":1723161256322}}
1723161255319702566 {"lastUpdateId":7,"E":1723161256501,"T":1723161256493,"bids":[["61800.20","2.909"]],"asks":[]}
"#;

#[test]
fn raw_frames_are_read_plain_gzipped_and_zipped_alike() {
    let folder = Folder::new();
    let plain = read(folder.file("btcusdt.log", RAW.as_bytes()));
    assert_eq!(plain.len(), 3);
    let first = plain[0].as_ref().unwrap();
    assert_eq!(first.received_at, Timestamp(1_723_161_255_088_176_367));
    assert_eq!(first.venue_time, Timestamp::from_millis(1_723_161_256_322));
    assert!(matches!(&plain[2].as_ref().unwrap().event, MarketEvent::Snapshot(snapshot) if snapshot.last_id == 7));
    assert_eq!(read(folder.file("btcusdt.gz", &gzip(RAW))), plain);
    assert_eq!(read(folder.file("btcusdt.zip", &zip("btcusdt.log", RAW))), plain);
    let recording = open(&[folder.file("x.log", RAW.as_bytes())]);
    assert_eq!(recording.instruments()[0].kind, InstrumentKind::Perpetual, "recognised from the frames");
    assert_eq!(recording.warnings(), &[] as &[String]);
}

#[test]
fn a_truncated_line_is_told_with_its_number_and_the_reading_goes_on() {
    let folder = Folder::new();
    let mut lines: Vec<&str> = RAW.lines().collect();
    let cut = &lines[1][..60];
    lines.insert(1, "");
    lines.insert(2, cut);
    let path = folder.file("btcusdt.log", lines.join("\r\n").as_bytes());
    let frames = read(path.clone());
    assert_eq!(frames.len(), 4);
    let error = frames[1].as_ref().unwrap_err();
    assert_eq!((error.line, &error.file), (3, &path));
    assert!(error.why.contains("expected one JSON object, found EOF"), "{error}");
    assert!(frames[2..].iter().all(Result::is_ok));
}

#[test]
fn a_truncated_gzip_ends_with_an_error_and_no_panic() {
    let folder = Folder::new();
    let mut text = String::new();
    for _ in 0..5000 {
        text.push_str(RAW);
    }
    let packed = gzip(&text);
    let frames = read(folder.file("btcusdt.gz", &packed[..packed.len() / 2]));
    let (last, sound) = frames.split_last().unwrap();
    assert!(sound.iter().all(Result::is_ok));
    let error = last.as_ref().unwrap_err();
    assert_eq!(error.line, sound.len() as u64 + 1);
    assert!(error.why.starts_with("the file cannot be read further"), "{error}");
}

#[test]
fn a_damaged_zip_is_noticed_by_its_checksum() {
    let folder = Folder::new();
    let mut writer = zip::ZipWriter::new(std::io::Cursor::new(Vec::new()));
    let stored = zip::write::SimpleFileOptions::default().compression_method(zip::CompressionMethod::Stored);
    writer.start_file("btcusdt.log", stored).unwrap();
    writer.write_all(RAW.as_bytes()).unwrap();
    let mut bytes = writer.finish().unwrap().into_inner();
    let at = memchr::memmem::find(&bytes, b"0.006").unwrap();
    bytes[at + 4] = b'7';
    let frames = read(folder.file("btcusdt.zip", &bytes));
    assert!(frames.last().unwrap().as_ref().unwrap_err().why.contains("expected the checksum"));
}

#[test]
fn public_trade_files_are_read_in_all_their_shapes() {
    let folder = Folder::new();
    let expected = TradePrint { id: 12, price: Ticks(6_180_030), quantity: Lots(600), buyer_is_maker: true };
    let ms = 1_723_161_256_322_000_000;
    let cases = [
        ("BTCUSDT-aggTrades-2024-08-08.csv", "12,61800.30000000,0.00600000,1,2,1723161256322,True,True\n", ms),
        ("BTCUSDT-aggTrades-2025-08-08.csv", "12,61800.30000000,0.00600000,1,2,1723161256322866,True,True\n", ms + 866_000),
        ("BTCUSDT-trades-2024-08-08.csv", "12,61800.30000000,0.00600000,370.8,1723161256322,True,True\n", ms),
    ];
    for (name, text, at) in cases {
        assert_eq!(trades(&read(folder.file(name, text.as_bytes()))), [(at, expected)], "{name}");
    }
    let expected = TradePrint { price: Ticks(618_003), quantity: Lots(6), ..expected };
    let cases = [
        (
            "futures/um/BTCUSDT-aggTrades-2024-08-08.csv",
            "agg_trade_id,price,quantity,first_trade_id,last_trade_id,transact_time,is_buyer_maker\n12,61800.3,0.006,1,2,1723161256322,true\n",
        ),
        ("BTCUSDT-aggTrades-2020-01-01.csv", "12,61800.3,0.006,1,2,1723161256322,true\n"),
        (
            "futures/um/BTCUSDT-trades-2024-08-08.csv",
            "id,price,qty,quote_qty,time,is_buyer_maker\n12,61800.3,0.006,370.8,1723161256322,true\n",
        ),
        ("BTCUSDT-trades-2020-01-01.csv", "12,61800.3,0.006,370.8,1723161256322,true\n"),
        ("BTCUSDT-trades-2020-01-02.csv", "id,price,qty,quote_qty,time,is_buyer_maker\n12,61800.3,0.006,370.8,1723161256322,true\n"),
    ];
    for (name, text) in cases {
        let path = folder.file(name, text.as_bytes());
        assert_eq!(open(std::slice::from_ref(&path)).instruments()[0].kind, InstrumentKind::Perpetual, "{name}");
        assert_eq!(trades(&read(path)), [(ms, expected)], "{name}");
    }
}

#[test]
fn candles_are_read_with_either_time_or_both() {
    let folder = Folder::new();
    let open_ms = 1_733_007_600_000;
    let cases = [
        ("BTCUSDT-1m-2024-12.csv", "1733007600000,1,4,0.5,2,9,1733007659999,18,7,1,1,0\n"),
        ("BTCUSDT-1m-2025-12.csv", "1733007600000000,1,4,0.5,2,9,1733007659999000,18,7,1,1,0\n"),
        (
            "a_BTCUSDT_1m.csv",
            "open,high,low,close,volume,quote_volume,trades,close_datetime\n1,4,0.5,2,9,18,7,2024-12-01 00:00:59.999000+01:00\n2,3,1,2,9,18,7,2024-12-01 00:01:59.999000+01:00\n",
        ),
        ("b_BTCUSDT_1m.csv", "Close Time,Open,High,Low,Close,Volume,Quote Volume,Trades\n2024-11-30T23:01:00Z,1,4,0.5,2,9,18,7\n"),
        ("c_BTCUSDT_1m.csv", "open_time,open,high,low,close,volume,quote_volume,trades\n2024-11-30 23:00:00,1,4,0.5,2,9,18,7\n"),
    ];
    for (name, text) in cases {
        let frames = read(folder.file(name, text.as_bytes()));
        let candle = candle(frames[0].as_ref().unwrap());
        assert_eq!(candle.open_time, Timestamp::from_millis(open_ms), "{name}");
        assert_eq!(candle.close_time, Timestamp::from_millis(open_ms + 59_999), "{name}");
        assert_eq!((candle.open.0, candle.high.0, candle.trades), (Decimal::ONE, Decimal::from(4), 7), "{name}");
        assert_eq!(candle.quote_volume.0, Decimal::from(18), "{name}");
    }
}

#[test]
fn a_candle_that_contradicts_itself_is_refused() {
    let folder = Folder::new();
    let frames =
        read(folder.file("BTCUSDT-1m.csv", b"open_time,open,high,low,close,volume\n1733007600000,1,4,2,2,9\n1733007660000,1,x,1,1,9\n"));
    let why = |index: usize| frames[index].as_ref().unwrap_err().to_string();
    assert!(why(0).ends_with("BTCUSDT-1m.csv:2: expected low ≤ open, close ≤ high, found open 1, high 4, low 2, close 2"), "{}", why(0));
    assert!(why(1).ends_with(":3: expected a decimal number as high, found \"x\""), "{}", why(1));
}

#[test]
fn several_files_are_merged_by_time() {
    let folder = Folder::new();
    let row = |id: u64, ms: u64| format!("{id},100.00,1.0,100,{ms},True,True\n");
    let one = folder.file("BTCUSDT-trades.csv", (row(1, 1_723_161_256_000) + &row(3, 1_723_161_256_200)).as_bytes());
    let two = folder.file("ETHUSDT-trades.csv", (row(2, 1_723_161_256_100) + &row(4, 1_723_161_256_200)).as_bytes());
    let frames: Vec<_> = open(&[two, one]).collect();
    let ids: Vec<u64> = trades(&frames).iter().map(|(_, trade)| trade.id).collect();
    assert_eq!(ids, [1, 2, 4, 3], "at the same time the file named first is first");
    assert_eq!(frames[1].as_ref().unwrap().symbol.as_str(), "ETHUSDT");
}

#[test]
fn a_symbol_of_two_venues_is_not_merged() {
    let folder = Folder::new();
    let usdm = folder.file("a_btcusdt.log", RAW.as_bytes());
    let spot = folder.file("b_btcusdt.csv", b"12,61800.30000000,0.00600000,370.8,1723161256322,True,True\n");
    let error = Recording::open(&[usdm, spot], &Options::default()).err().unwrap();
    assert!(error.to_string().starts_with("BTCUSDT expected from one venue"), "{error}");
}

#[test]
fn each_product_plays_its_own_files_whatever_symbols_they_share() {
    let folder = Folder::new();
    let usdm = folder.file("a_btcusdt.log", RAW.as_bytes());
    let spot = folder.file("b_btcusdt.csv", b"12,61800.30000000,0.00600000,370.8,1723161256322,True,True\n");
    let files = [usdm.clone(), spot.clone()];
    assert_eq!(files_of(InstrumentKind::Perpetual, &files).unwrap(), [usdm]);
    assert_eq!(files_of(InstrumentKind::Spot, &files).unwrap(), [spot]);
}

#[test]
fn data_that_do_not_fit_the_bundled_grid_get_their_own_with_a_warning() {
    let folder = Folder::new();
    let older = RAW.replace("61800.30", "61800.35");
    let recording = open(&[folder.file("btcusdt.log", older.as_bytes())]);
    assert_eq!(recording.instruments()[0].price_step.to_string(), "0.01");
    assert_eq!(recording.instruments()[0].quantity_step.to_string(), "0.001");
    assert!(
        recording.warnings()[0].starts_with("BTCUSDT does not fit its instrument (tick size 0.1, step size 0.001): using tick size 0.01")
    );
    assert!({ recording }.all(|frame| frame.is_ok()));

    let unknown = RAW.replace("BTCUSDT", "NEWUSDT");
    let recording = open(&[folder.file("newusdt.log", unknown.as_bytes())]);
    assert_eq!(recording.instruments()[0].symbol.as_str(), "NEWUSDT");
    assert!(recording.warnings()[0].starts_with("NEWUSDT is not a bundled instrument: using tick size 0.1 and step size 0.001"));
}

#[test]
fn a_time_outside_the_age_of_the_data_is_refused() {
    let folder = Folder::new();
    let frames = read(folder.file("btcusdt.log", RAW.replace("1723161255088181667", "17").as_bytes()));
    assert!(frames[1].as_ref().unwrap_err().why.starts_with("expected a time between 2009 and 2100"));
    let without_local: String = RAW.lines().map(|line| line.split_once(' ').unwrap().1.to_owned() + "\n").collect();
    let frames = read(folder.file("btcusdt2.log", without_local.as_bytes()));
    assert_eq!(frames[0].as_ref().unwrap().received_at, Timestamp::from_millis(1_723_161_256_322));
}

#[test]
fn a_file_of_no_known_format_says_what_was_expected() {
    let folder = Folder::new();
    let error = |name: &str, bytes: &[u8]| Recording::open(&[folder.file(name, bytes)], &Options::default()).err().unwrap().to_string();
    assert!(error("BTCUSDT.txt", b"hello\nworld\n").contains("expected Binance frames, candles"));
    assert!(error("empty.csv", b"").contains("found \"\""));
    assert!(error("data.csv", b"12,61800.3,0.006,370.8,1723161256322,true\n").contains("expected a symbol in the file's name"));
    assert!(
        error("BTCUSDT.csv", b"open_time,open,high,low,close,volume\n1733007600000,1,4,1,2,9\n").contains("expected at least two candles")
    );
    assert!(error("BTCUSDT.zip", b"PK\x03\x04garbage").contains("expected a sound zip archive"));
}

#[test]
fn frames_without_a_local_time_are_timed_by_their_own_however_they_are_spaced() {
    let spaced = r#"{"u": 6, "s": "BTCUSDT", "b": "61800.10", "B": "2.5", "a": "61800.30", "A": "2.5"}
{"e": "trade", "E": 1723161256322, "s": "BTCUSDT", "t": 1, "p": "61800.30", "q": "0.006", "T": 1723161256322, "m": false, "M": true}
{"u": 7, "s": "BTCUSDT", "b": "61800.20", "B": "2.5", "a": "61800.30", "A": "2.5"}
{"e" : "trade", "E" : 1723161257322, "s": "BTCUSDT", "t": 2, "p": "61800.30", "q": "0.006", "T": 1723161257322, "m": false, "M": true}
"#;
    let frames = read(Folder::new().file("btcusdt.jsonl", spaced.as_bytes()));
    let times: Vec<i64> = frames.iter().map(|frame| frame.as_ref().unwrap().received_at.as_millis()).collect();
    // What has no time is as old as the frame before it, or as the first that has one.
    assert_eq!(times, [1_723_161_256_322, 1_723_161_256_322, 1_723_161_256_322, 1_723_161_257_322]);
}

#[test]
fn frames_that_nothing_tells_the_time_of_are_not_played_all_at_once() {
    let untimed = r#"{"u":7,"s":"BTCUSDT","b":"61800.20","B":"2.5","a":"61800.30","A":"2.5"}"#;
    let frames = read(Folder::new().file("btcusdt.jsonl", format!("{untimed}\n{untimed}\n").as_bytes()));
    assert!(frames.len() == 2 && frames.iter().all(|frame| frame.as_ref().is_err_and(|line| line.why.contains("a time"))), "{frames:?}");
}
