//! The texts of what a tape computes: klines, rolling statistics, averages, liquidations. Field names, their order and what is a
//! text and what a number are the venue's; prices and quantities are written on the instrument's grid.

use std::fmt::Write as _;

use super::tape::{Bar, ForcedOrder, Interval, Ticker, Window};
use crate::domain::instrument::InstrumentKind;
use crate::domain::market_data::Level;
use crate::domain::order::Side;
use crate::domain::time::Timestamp;
use crate::venues::binance::market::{Encoder, write_units};

// Writing to a String cannot fail, so the results of `write!` are dropped throughout.

fn time(millis: i64) -> Timestamp {
    Timestamp::from_millis(millis)
}

/// One bar as a stream shows it.
#[derive(Debug, Clone, Copy)]
pub(super) struct Kline {
    pub bar: Bar,
    pub interval: Interval,
    /// The last millisecond that belongs to it.
    pub closes: i64,
    pub closed: bool,
}

pub(super) fn kline(encoder: &Encoder, at: i64, kline: &Kline, out: &mut String) {
    encoder.head("kline", time(at), out);
    let _ = write!(out, ",\"k\":{{\"t\":{},\"T\":{},\"s\":\"{}\"", kline.bar.opens, kline.closes, encoder.symbol());
    kline_body(encoder, kline, out);
    out.push_str("}}");
}

pub(super) fn continuous_kline(encoder: &Encoder, at: i64, kline: &Kline, out: &mut String) {
    let _ = write!(out, "{{\"e\":\"continuous_kline\",\"E\":{at},\"ps\":\"{}\",\"ct\":\"PERPETUAL\"", encoder.symbol());
    let _ = write!(out, ",\"k\":{{\"t\":{},\"T\":{}", kline.bar.opens, kline.closes);
    kline_body(encoder, kline, out);
    out.push_str("}}");
}

fn kline_body(encoder: &Encoder, kline: &Kline, out: &mut String) {
    let bar = &kline.bar;
    let _ = write!(out, ",\"i\":\"{}\",\"f\":{},\"L\":{}", kline.interval.name(), bar.first_id, bar.last_id);
    for (key, price) in [(",\"o\":", bar.open), (",\"c\":", bar.close), (",\"h\":", bar.high), (",\"l\":", bar.low)] {
        out.push_str(key);
        encoder.price(price, out);
    }
    out.push_str(",\"v\":");
    encoder.quantity(bar.lots, out);
    let _ = write!(out, ",\"n\":{},\"x\":{},\"q\":", bar.trades, kline.closed);
    encoder.money(bar.turnover, out);
    out.push_str(",\"V\":");
    encoder.quantity(bar.bought, out);
    out.push_str(",\"Q\":");
    encoder.money(bar.bought_turnover, out);
    out.push_str(",\"B\":\"0\"");
}

/// One row of `GET …/klines`.
pub(super) fn kline_row(encoder: &Encoder, bar: &Bar, closes: i64, out: &mut String) {
    let _ = write!(out, "[{}", bar.opens);
    for price in [bar.open, bar.high, bar.low, bar.close] {
        out.push(',');
        encoder.price(price, out);
    }
    out.push(',');
    encoder.quantity(bar.lots, out);
    let _ = write!(out, ",{closes},");
    encoder.money(bar.turnover, out);
    let _ = write!(out, ",{},", bar.trades);
    encoder.quantity(bar.bought, out);
    out.push(',');
    encoder.money(bar.bought_turnover, out);
    out.push_str(",\"0\"]");
}

pub(super) fn mini_ticker(encoder: &Encoder, at: i64, ticker: &Ticker, out: &mut String) {
    let bar = &ticker.window.bar;
    encoder.head("24hrMiniTicker", time(at), out);
    for (key, price) in [(",\"c\":", bar.close), (",\"o\":", bar.open), (",\"h\":", bar.high), (",\"l\":", bar.low)] {
        out.push_str(key);
        encoder.price(price, out);
    }
    volumes(encoder, bar, out);
    encoder.pair_and_kind(out);
    out.push('}');
}

pub(super) fn ticker(encoder: &Encoder, product: InstrumentKind, at: i64, ticker: &Ticker, out: &mut String) {
    let bar = &ticker.window.bar;
    encoder.head("24hrTicker", time(at), out);
    change(encoder, bar, (",\"p\":", ",\"P\":"), out);
    out.push_str(",\"w\":");
    encoder.average(bar.turnover, bar.lots.into(), out);
    if product == InstrumentKind::Spot {
        out.push_str(",\"x\":");
        encoder.price(ticker.window.before, out);
    }
    out.push_str(",\"c\":");
    encoder.price(bar.close, out);
    out.push_str(",\"Q\":");
    encoder.quantity(ticker.last_lots, out);
    if product == InstrumentKind::Spot {
        let levels = [(",\"b\":", ",\"B\":", ticker.touch.0), (",\"a\":", ",\"A\":", ticker.touch.1)];
        for (price, quantity, level) in levels {
            out.push_str(price);
            encoder.price(level.price.0, out);
            out.push_str(quantity);
            encoder.quantity(level.quantity.0, out);
        }
    }
    for (key, price) in [(",\"o\":", bar.open), (",\"h\":", bar.high), (",\"l\":", bar.low)] {
        out.push_str(key);
        encoder.price(price, out);
    }
    volumes(encoder, bar, out);
    let _ = write!(out, ",\"O\":{},\"C\":{}", ticker.opens, ticker.closes);
    ids(bar, out);
    encoder.pair_and_kind(out);
    out.push('}');
}

/// Spot's `<symbol>@ticker_<window>`.
pub(super) fn window_ticker(encoder: &Encoder, at: i64, hours: u8, ticker: &Ticker, out: &mut String) {
    let bar = &ticker.window.bar;
    let name = if hours == 24 { "1dTicker".to_owned() } else { format!("{hours}hTicker") };
    encoder.head(&name, time(at), out);
    change(encoder, bar, (",\"p\":", ",\"P\":"), out);
    for (key, price) in [(",\"o\":", bar.open), (",\"h\":", bar.high), (",\"l\":", bar.low), (",\"c\":", bar.close)] {
        out.push_str(key);
        encoder.price(price, out);
    }
    out.push_str(",\"w\":");
    encoder.average(bar.turnover, bar.lots.into(), out);
    volumes(encoder, bar, out);
    let _ = write!(out, ",\"O\":{},\"C\":{}", bar.opens, ticker.closes);
    ids(bar, out);
    out.push('}');
}

fn volumes(encoder: &Encoder, bar: &Bar, out: &mut String) {
    out.push_str(",\"v\":");
    encoder.quantity(bar.lots, out);
    out.push_str(",\"q\":");
    encoder.money(bar.turnover, out);
}

fn ids(bar: &Bar, out: &mut String) {
    let _ = write!(out, ",\"F\":{},\"L\":{},\"n\":{}", bar.first_id, bar.last_id, bar.trades);
}

/// By how much the price has changed, and by how many percent.
fn change(encoder: &Encoder, bar: &Bar, keys: (&str, &str), out: &mut String) {
    out.push_str(keys.0);
    encoder.price(bar.close - bar.open, out);
    out.push_str(keys.1);
    out.push('"');
    percent(bar, out);
    out.push('"');
}

/// Three digits after the point, as the venue has them.
fn percent(bar: &Bar, out: &mut String) {
    const THOUSANDTHS: i128 = 100_000;
    let (change, open) = (i128::from(bar.close) - i128::from(bar.open), i128::from(bar.open));
    let rounded = if open == 0 { 0 } else { (change * THOUSANDTHS * 2 + open * change.signum()) / (open * 2) };
    write_units(rounded, 3, 3, out);
}

pub(super) fn average_price(encoder: &Encoder, at: i64, bar: &Bar, traded_at: i64, out: &mut String) {
    encoder.head("avgPrice", time(at), out);
    out.push_str(",\"i\":\"5m\",\"w\":");
    average(encoder, bar, out);
    let _ = write!(out, ",\"T\":{traded_at}}}");
}

/// What a unit has cost on average; the last price where nothing traded.
pub(super) fn average(encoder: &Encoder, bar: &Bar, out: &mut String) {
    match bar.lots {
        0 => encoder.price(bar.close, out),
        lots => encoder.average(bar.turnover, lots.into(), out),
    }
}

/// A liquidation; the array stream names the pair as well.
pub(super) fn forced_order(encoder: &Encoder, at: i64, order: &ForcedOrder, of_all: bool, out: &mut String) {
    let side = if order.side == Side::Buy { "BUY" } else { "SELL" };
    let _ = write!(out, "{{\"e\":\"forceOrder\",\"E\":{at},\"o\":{{\"s\":\"{}\",\"S\":\"{side}\"", encoder.symbol());
    out.push_str(",\"o\":\"LIMIT\",\"f\":\"IOC\",\"q\":");
    encoder.quantity(order.quantity.0, out);
    out.push_str(",\"p\":");
    encoder.price(order.price.0, out);
    out.push_str(",\"ap\":");
    encoder.price(order.average_price.0, out);
    let status = if order.filled == order.quantity { "FILLED" } else { "PARTIALLY_FILLED" };
    let _ = write!(out, ",\"X\":\"{status}\",\"l\":");
    encoder.quantity(order.last_filled.0, out);
    out.push_str(",\"z\":");
    encoder.quantity(order.filled.0, out);
    let _ = write!(out, ",\"T\":{}}}", order.at.as_millis());
    if of_all {
        encoder.pair_and_kind(out);
    }
    out.push('}');
}

/// How much of the statistics an answer shows.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Detail {
    /// `ticker/24hr` of spot.
    Day,
    /// The same of USD-M: no touch, no price before.
    UsdmDay,
    /// `ticker` and `ticker/tradingDay`.
    Window,
    /// `type=MINI`.
    Mini,
}

/// Statistics of a symbol in which nothing has ever traded.
pub(super) fn nothing(now: i64) -> Ticker {
    let bar = Bar::flat(now, 0);
    let none = Level::default();
    Ticker { window: Window { bar, before: 0 }, opens: now, closes: now, last_lots: 0, touch: (none, none) }
}

/// One object of the statistics over HTTP.
pub(super) fn statistics(encoder: &Encoder, ticker: &Ticker, detail: Detail, out: &mut String) {
    let bar = &ticker.window.bar;
    let price = |key: &str, ticks: i64, out: &mut String| {
        let _ = write!(out, ",\"{key}\":");
        encoder.price(ticks, out);
    };
    let quantity = |key: &str, lots: i64, out: &mut String| {
        let _ = write!(out, ",\"{key}\":");
        encoder.quantity(lots, out);
    };
    let _ = write!(out, "{{\"symbol\":\"{}\"", encoder.symbol());
    if detail != Detail::Mini {
        change(encoder, bar, (",\"priceChange\":", ",\"priceChangePercent\":"), out);
        out.push_str(",\"weightedAvgPrice\":");
        encoder.average(bar.turnover, bar.lots.into(), out);
    }
    if detail == Detail::Day {
        price("prevClosePrice", ticker.window.before, out);
    }
    if matches!(detail, Detail::Day | Detail::UsdmDay) {
        price("lastPrice", bar.close, out);
        quantity("lastQty", ticker.last_lots, out);
    }
    if detail == Detail::Day {
        price("bidPrice", ticker.touch.0.price.0, out);
        quantity("bidQty", ticker.touch.0.quantity.0, out);
        price("askPrice", ticker.touch.1.price.0, out);
        quantity("askQty", ticker.touch.1.quantity.0, out);
    }
    price("openPrice", bar.open, out);
    price("highPrice", bar.high, out);
    price("lowPrice", bar.low, out);
    if matches!(detail, Detail::Window | Detail::Mini) {
        price("lastPrice", bar.close, out);
    }
    quantity("volume", bar.lots, out);
    out.push_str(",\"quoteVolume\":");
    encoder.money(bar.turnover, out);
    let _ = write!(out, ",\"openTime\":{},\"closeTime\":{}", ticker.opens, ticker.closes);
    let _ = write!(out, ",\"firstId\":{},\"lastId\":{},\"count\":{}}}", bar.first_id, bar.last_id, bar.trades);
}
