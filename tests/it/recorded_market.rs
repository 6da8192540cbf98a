//! Real recordings through the reader, the codec and the book: nothing lost, nothing unreadable, and the rebuilt book equal
//! to the venue's own ticker. Skipped where the recordings are absent.

use ringfence::cli::data_inspect::{Inspection, run};

use crate::support::skip::shared_data;

fn inspect(path: &str) -> Option<Inspection> {
    Some(run(&[shared_data(path)?], true).expect("a sound recording"))
}

fn assert_whole(found: &Inspection) {
    assert_eq!((found.sequence_gaps, found.book_ticker_mismatched, found.undecodable.count), (0, 0, 0), "{found:?}");
    assert_eq!(found.warnings, Vec::<String>::new());
    assert_eq!(found.symbols.iter().map(ToString::to_string).collect::<Vec<_>>(), ["BTCUSDT"]);
}

#[test]
fn the_usdm_book_rebuilt_from_diffs_equals_the_recorded_tickers() {
    let Some(found) = inspect("market/usdm/btcusdt_20240808.gz") else { return };
    assert_whole(&found);
    assert_eq!(found.frames, 93_954);
    assert!(found.book_ticker_checked >= 600, "{}", found.book_ticker_checked);
}

#[test]
fn the_spot_book_rebuilt_from_diffs_equals_the_recorded_tickers() {
    let Some(found) = inspect("market/spot/btcusdt_20240808.gz") else { return };
    assert_whole(&found);
    assert_eq!(found.frames, 41_249);
    assert!(found.book_ticker_checked >= 550, "{}", found.book_ticker_checked);
}

#[test]
fn a_month_and_a_year_of_candles_have_no_gap() {
    for (path, count) in [("binance_spot_BTCUSDT_1m_2024-12", 41_761), ("binance_spot_BTCUSDT_15m_2024", 34_945)] {
        let Some(found) = inspect(&format!("klines/{path}.csv.gz")) else { return };
        assert_whole(&found);
        assert_eq!((found.frames, found.candle_gaps, found.time_steps_back), (count, 0, 0), "{path}");
    }
}
