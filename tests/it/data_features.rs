//! `data features`: a candle file in, its indicator columns out.

use std::fs;
use std::io::{Read, Write};
use std::path::PathBuf;

use flate2::Compression;
use flate2::read::GzDecoder;
use flate2::write::GzEncoder;
use ringfence::cli::data_features::run;

use crate::support::skip::shared_data;

const GOLDEN: &str = include_str!("../fixtures/indicators.csv");
const HEADER: &str = "close,sma_20,sma_50,ema_12,ema_26,rsi_14,macd,macd_signal,macd_hist,bb_upper,bb_middle,bb_lower,atr_14,adx_14,\
                      squeeze,volume_ratio_20";

struct Folder(tempfile::TempDir);

impl Folder {
    fn new() -> Self {
        Self(tempfile::tempdir().unwrap())
    }

    fn path(&self, name: &str) -> PathBuf {
        self.0.path().join(name)
    }

    fn with(&self, name: &str, content: impl AsRef<[u8]>) -> PathBuf {
        let path = self.path(name);
        fs::write(&path, content).unwrap();
        path
    }

    /// The names in the folder, sorted.
    fn names(&self) -> Vec<String> {
        let mut names: Vec<String> =
            fs::read_dir(self.0.path()).unwrap().map(|entry| entry.unwrap().file_name().into_string().unwrap()).collect();
        names.sort();
        names
    }
}

fn gzip(text: &str) -> Vec<u8> {
    let mut encoder = GzEncoder::new(Vec::new(), Compression::default());
    encoder.write_all(text.as_bytes()).unwrap();
    encoder.finish().unwrap()
}

/// Runs on a text that must be refused, and checks that the output is as it was and nothing else is left.
fn refused(content: impl AsRef<[u8]>) -> String {
    let folder = Folder::new();
    let input = folder.with("candles.csv", content);
    let output = folder.with("features.csv", "from before");
    let error = run(&input, &output).unwrap_err().to_string();
    assert_eq!(fs::read_to_string(&output).unwrap(), "from before");
    assert_eq!(folder.names(), ["candles.csv", "features.csv"]);
    error.replace(&format!("{}", input.display()), "candles.csv")
}

#[test]
fn the_columns_are_ta_libs_to_nine_digits() {
    let folder = Folder::new();
    let output = folder.path("features.csv");
    let summary = run(&folder.with("candles.csv", GOLDEN), &output).unwrap();
    let text = fs::read_to_string(&output).unwrap();
    let mut lines = text.lines();
    assert_eq!(lines.next(), Some(HEADER));
    assert_eq!((summary.rows, summary.columns), (475, 16));
    let mut rows = 0;
    for (found, expected) in lines.zip(GOLDEN.lines().skip(1)) {
        // The fixture has the inputs first, close and volume last among them, then the same columns.
        for (found, expected) in found.split(',').skip(1).zip(expected.split(',').skip(5)) {
            match (found.parse::<f64>(), expected.parse::<f64>()) {
                (Ok(found), Ok(expected)) => assert!((found - expected).abs() <= 1e-9 * expected.abs(), "{found} {expected}"),
                _ => assert_eq!((found, expected), ("", "")),
            }
        }
        rows += 1;
    }
    assert_eq!(rows, 475);
}

#[test]
fn columns_are_found_by_name_and_the_close_keeps_its_spelling() {
    let folder = Folder::new();
    let input = folder.with("candles.csv", "\u{feff}time,Volume,close,low,note,high,open\n1,5, 10.50,9,\"a, b\",11,10\n2,5,1e1,9,,11,10\n");
    let output = folder.path("features.csv");
    assert_eq!(run(&input, &output).unwrap().rows, 2);
    let text = fs::read_to_string(&output).unwrap();
    let closes: Vec<&str> = text.lines().skip(1).map(|line| line.split(',').next().unwrap()).collect();
    assert_eq!(closes, ["10.50", "1e1"]);
    assert!(text.ends_with("1e1,,,,,,,,,,,,,,,\n"), "nothing but the close before warm-up: {text:?}");
}

#[test]
fn gzip_and_carriage_returns_change_nothing() {
    let folder = Folder::new();
    let (plain, packed, returns) = (folder.path("plain.csv"), folder.path("packed.csv.gz"), folder.path("returns.csv"));
    run(&folder.with("windows.csv", GOLDEN.replace('\n', "\r\n")), &returns).unwrap();
    run(&folder.with("candles.csv", GOLDEN), &plain).unwrap();
    run(&folder.with("candles.csv.gz", gzip(GOLDEN)), &packed).unwrap();
    let mut unpacked = String::new();
    GzDecoder::new(fs::File::open(&packed).unwrap()).read_to_string(&mut unpacked).unwrap();
    assert_eq!(unpacked, fs::read_to_string(&plain).unwrap());
    assert_eq!(unpacked, fs::read_to_string(&returns).unwrap());
}

#[test]
fn a_missing_column_is_named_with_what_was_found() {
    assert_eq!(
        refused("open,high,low,last,volume\n1,1,1,1,1\n"),
        "candles.csv: column \"close\" expected once in the header, found the header \"open,high,low,last,volume\"; \
         name the columns open, high, low, close, volume"
    );
    assert!(refused("").contains("found an empty file"));
    assert!(refused("open,high,low,close,volume,close\n").contains("column \"close\" expected once"));
}

#[test]
fn a_bad_number_is_named_with_its_line_and_column() {
    let good = "open,high,low,close,volume\n1,1,1,1,1\n";
    assert_eq!(
        refused(format!("{good}1,1,1,1,abc\n")),
        "candles.csv: line 3: column \"volume\" expected a number such as 61800.1, found \"abc\""
    );
    for bad in ["1,1,nan,1,1", "1,1,1e999,1,1", "1,1,,1,1", "1,1"] {
        for text in [format!("{good}\n{bad}\n"), format!("{good}\n{bad}"), format!("{good}\n{bad}\n").replace('\n', "\r\n")] {
            let error = refused(&text);
            assert!(error.starts_with("candles.csv: line 4: column \"low\" expected a number"), "{text:?}: {error}");
        }
    }
}

#[test]
fn a_cut_off_gzip_and_foreign_bytes_leave_nothing_behind() {
    let packed = gzip(GOLDEN);
    assert!(refused(&packed[..packed.len() / 2]).contains("the file may be cut off or damaged"));
    let error = refused(b"open,high,low,close,volume\n1,1,1,1,1\n1,1,1,\xff,1\n");
    assert!(error.starts_with("candles.csv: line 3: cannot read: expected text in UTF-8"), "{error}");
}

#[test]
fn a_missing_file_and_an_unwritable_place_are_said_in_one_line() {
    let folder = Folder::new();
    let error = run(&folder.path("none.csv"), &folder.path("out.csv")).unwrap_err().to_string();
    assert!(error.contains("none.csv: cannot read: "), "{error}");
    let input = folder.with("candles.csv", GOLDEN);
    let error = run(&input, &folder.path("no/such/folder/out.csv")).unwrap_err().to_string();
    assert!(error.contains("out.csv: cannot write: ") && !error.contains('\n'), "{error}");
    assert_eq!(folder.names(), ["candles.csv"]);
}

#[test]
fn a_year_of_real_candles_gives_a_row_for_each() {
    let Some(input) = shared_data("klines/binance_spot_BTCUSDT_15m_2024.csv.gz") else { return };
    let folder = Folder::new();
    let output = folder.path("features.csv");
    assert_eq!(run(&input, &output).unwrap().rows, 34_945);
    let text = fs::read_to_string(&output).unwrap();
    assert_eq!(text.lines().count(), 34_946);
    assert!(text.lines().skip(51).all(|line| line.split(',').all(|cell| !cell.is_empty())), "all warm after 50 bars");
}
