//! `ringfence backtest` on files as Binance publishes them: with and without a header, spot and USD-M, in milli- and in
//! microseconds. Orders fill, none is refused for what the venue would not refuse, the same file twice gives the same bytes,
//! and one changed digit anywhere gives others.

use std::path::{Path, PathBuf};

use serde_json::Value;

use super::cli::ringfence;

const START_MS: i64 = 1_735_689_600_000;

/// A wave of prices: cents, ten minutes long, up and down three times.
fn price(step: i64, steps: i64) -> String {
    let turn = 3.0 * std::f64::consts::TAU * step as f64 / steps as f64;
    let cents = (6_000_000.0 + 60_000.0 * turn.sin()).round() as i64 * 10;
    format!("{}.{:02}", cents / 1_000, cents % 1_000 / 10)
}

/// Lines of trades, three a second, written by `line` from number, price, quantity, milliseconds and the maker's side.
fn trades(line: impl Fn(i64, &str, &str, i64, &str) -> String) -> String {
    let steps = 1_800;
    let one = |step: i64| {
        let maker = if step % 3 == 0 { "true" } else { "false" };
        line(5_000 + step, &price(step, steps), "0.50000", START_MS + step * 333, maker) + "\n"
    };
    (0..steps).map(one).collect()
}

fn klines(unit: i64, volume: &str) -> String {
    let steps = 400;
    let one = |step: i64| {
        let (open, close) = (price(step, steps), price(step + 1, steps));
        let (high, low) = if open > close { (&open, &close) } else { (&close, &open) };
        let at = (START_MS + step * 60_000) * unit;
        let end = at + 60_000 * unit - 1;
        format!("{at},{open},{high},{low},{close},{volume},{end},3000000.5,900,12.5,750000.25,0\n")
    };
    (0..steps).map(one).collect()
}

fn files(directory: &Path) -> Vec<PathBuf> {
    let um_klines =
        "open_time,open,high,low,close,volume,close_time,quote_volume,count,taker_buy_volume,taker_buy_quote_volume,ignore\n".to_owned();
    let um_agg = "agg_trade_id,price,quantity,first_trade_id,last_trade_id,transact_time,is_buyer_maker\n".to_owned();
    let um_trades = "id,price,qty,quote_qty,time,is_buyer_maker\n".to_owned();
    let agg = |id: i64, price: &str, quantity: &str, at: i64, maker: &str| format!("{id},{price},{quantity},{id},{id},{at},{maker}");
    let contents = [
        ("spot/BTCUSDT-aggTrades-ms.csv", trades(|id, p, q, at, maker| agg(id, p, q, at, maker) + ",True")),
        ("spot/BTCUSDT-aggTrades-us.csv", trades(|id, p, q, at, maker| agg(id, p, q, at * 1_000 + 7, maker) + ",True")),
        ("spot/BTCUSDT-trades-us.csv", trades(|id, p, q, at, maker| format!("{id},{p},{q},30000.0,{},{maker},True", at * 1_000))),
        ("spot/BTCUSDT-1m-us.csv", klines(1_000, "50.00000")),
        ("spot/BTCUSDT-1m-ms.csv", klines(1, "50.00000")),
        ("um/BTCUSDT-aggTrades.csv", um_agg + &trades(|id, p, _, at, maker| agg(id, p, "0.500", at, maker))),
        ("um/BTCUSDT-trades.csv", um_trades + &trades(|id, p, _, at, maker| format!("{id},{p},0.500,30000.0,{at},{maker}"))),
        ("um/BTCUSDT-1m.csv", um_klines + &klines(1, "50.000")),
        ("um/BTCUSDT-1m-old.csv", klines(1, "50.000")),
    ];
    let written = contents.map(|(name, text)| {
        let path = directory.join(name);
        std::fs::create_dir_all(path.parent().unwrap()).unwrap();
        std::fs::write(&path, text).unwrap();
        path
    });
    written.to_vec()
}

fn backtest(directory: &Path, file: &Path) -> Value {
    let config = Path::new(env!("CARGO_MANIFEST_DIR")).join("config/backtest.toml");
    let arguments = ["backtest", "--json", "--config", config.to_str().unwrap(), "--data", file.to_str().unwrap()];
    let outcome = ringfence(directory, &arguments, &[]);
    assert_eq!(outcome.code, 0, "{}: {}", file.display(), outcome.stderr);
    serde_json::from_str(&outcome.stdout).unwrap()
}

#[test]
fn every_public_format_trades_and_repeats_itself_to_the_byte() {
    let directory = tempfile::tempdir().unwrap();
    for file in files(directory.path()) {
        let summary = backtest(directory.path(), &file);
        let number = |key: &str| summary[key].as_u64().unwrap();
        let counts = ["fills", "rejected", "refused", "undecodable"].map(number);
        assert!(counts[0] >= 3 && counts[1..] == [0, 0, 0], "{}: {counts:?} {summary:#}", file.display());
        assert_eq!(summary["trace_hash"], backtest(directory.path(), &file)["trace_hash"], "{}", file.display());
    }
}

/// In a row are digits that no market event has: ids of first and last trades, quote volumes, takers' shares. They count too.
#[test]
fn any_changed_digit_changes_the_hash() {
    let directory = tempfile::tempdir().unwrap();
    for file in files(directory.path()).into_iter().skip(5).take(3) {
        let text = std::fs::read_to_string(&file).unwrap();
        let hash = |text: &str| {
            std::fs::write(&file, text).unwrap();
            backtest(directory.path(), &file)["trace_hash"].clone()
        };
        let original = hash(&text);
        let row = text.lines().rev().nth(3).unwrap();
        let mut at = text.find(row).unwrap();
        for cell in row.split(',') {
            if let Some(digit) = cell.bytes().rposition(|byte| byte.is_ascii_digit()) {
                let mut changed = text.clone().into_bytes();
                let digit = &mut changed[at + digit];
                *digit = if *digit == b'9' { b'8' } else { *digit + 1 };
                assert_ne!(original, hash(std::str::from_utf8(&changed).unwrap()), "{}: {cell} in {row}", file.display());
            }
            at += cell.len() + 1;
        }
    }
}
