//! The questions that clients ask over HTTP: depth, klines, time, exchangeInfo; under `/fapi/v1` for perpetuals and under
//! `/api/v3` for spot, each showing its own symbols only. A parameter that is not read is refused.

use std::fmt::Write as _;
use std::sync::Arc;
use std::time::Duration;

use axum::extract::State;
use axum::http::header::CONTENT_TYPE;
use axum::response::{IntoResponse, Response};
use axum::routing::get;
use axum::{Json, Router};
use rust_decimal::Decimal;
use serde_json::{Value, json};

use crate::domain::ids::Symbol;
use crate::domain::instrument::{Instrument, InstrumentKind};
use crate::domain::market_data::Candle;
use crate::domain::money::Ratio;
use crate::venues::binance::interval::interval_of;
use crate::venues::binance::market::Encoder;

use super::MarketFloor;
use super::hub::Hub;
use super::parameters::Parameters;
use super::problem::Problem;

/// USD-M takes these depths and no others.
const DEPTHS: [usize; 7] = [5, 10, 20, 50, 100, 500, 1_000];
const DEPTH_DEFAULT: usize = 500;
/// Spot takes any number, and gives no more than this.
const SPOT_DEPTH_DEFAULT: usize = 100;
const SPOT_DEPTH_MAX: usize = 5_000;
const KLINES_DEFAULT: usize = 500;
const KLINES_MAX: usize = 1_500;
const SPOT_KLINES_MAX: usize = 1_000;

#[derive(Clone)]
struct Desk {
    kind: InstrumentKind,
    hub: Arc<Hub>,
    floor: Arc<dyn MarketFloor>,
}

pub(super) fn router(kind: InstrumentKind, hub: Arc<Hub>, floor: Arc<dyn MarketFloor>) -> Router {
    Router::new()
        .route("/ping", get(|| async { Json(json!({})) }))
        .route("/time", get(time))
        .route("/exchangeInfo", get(exchange_info))
        .route("/depth", get(depth))
        .route("/klines", get(klines))
        .with_state(Desk { kind, hub, floor })
}

async fn time(State(desk): State<Desk>) -> Json<Value> {
    Json(json!({ "serverTime": desk.floor.now().as_millis() }))
}

async fn depth(State(desk): State<Desk>, mut parameters: Parameters) -> Result<Response, Problem> {
    let (instrument, encoder) = desk.listed(&mut parameters)?;
    let limit = parameters.number("limit")?;
    parameters.finish()?;
    let limit = depth_limit(instrument.kind, limit)?;
    // The time before the book, so that it never claims to be newer than it is.
    let at = desk.floor.now();
    let snapshot = desk.floor.depth_snapshot(instrument.symbol, limit).await?.ok_or(Problem::NO_EXCHANGE)?;
    let mut text = String::new();
    encoder.rest_depth(at, &snapshot, &mut text);
    Ok(as_json(text))
}

async fn klines(State(desk): State<Desk>, mut parameters: Parameters) -> Result<Response, Problem> {
    let symbol = desk.listed(&mut parameters)?.0.symbol;
    let interval: Duration = interval_of(&parameters.text("interval")?).ok_or(Problem::INVALID_INTERVAL)?;
    let limit = parameters.number("limit")?;
    parameters.finish()?;
    let limit = klines_limit(desk.kind, limit)?;
    let candles = desk.floor.candles(symbol, interval, limit).await?;
    Ok(as_json(klines_text(&candles)))
}

async fn exchange_info(State(desk): State<Desk>) -> Json<Value> {
    let mut listed: Vec<&Instrument> = desk.hub.instruments().filter(|instrument| instrument.kind == desk.kind).collect();
    listed.sort_unstable_by_key(|instrument| instrument.symbol);
    Json(json!({
        "timezone": "UTC",
        "serverTime": desk.floor.now().as_millis(),
        "rateLimits": [],
        "exchangeFilters": [],
        "symbols": listed.into_iter().map(symbol_info).collect::<Vec<_>>(),
    }))
}

impl Desk {
    /// The instrument of `symbol`, if this product lists it.
    fn listed(&self, parameters: &mut Parameters) -> Result<&(Instrument, Encoder), Problem> {
        let text = parameters.text("symbol")?;
        let listed = Symbol::new(&text).ok().and_then(|symbol| self.hub.listed(symbol));
        listed.filter(|(instrument, _)| instrument.kind == self.kind).ok_or(Problem::INVALID_SYMBOL)
    }
}

fn depth_limit(kind: InstrumentKind, asked: Option<usize>) -> Result<usize, Problem> {
    match (kind, asked) {
        (InstrumentKind::Perpetual, None) => Ok(DEPTH_DEFAULT),
        (InstrumentKind::Perpetual, Some(limit)) if DEPTHS.contains(&limit) => Ok(limit),
        (InstrumentKind::Spot, None) => Ok(SPOT_DEPTH_DEFAULT),
        (InstrumentKind::Spot, Some(limit)) if limit > 0 => Ok(limit.min(SPOT_DEPTH_MAX)),
        _ => Err(Problem::invalid("limit")),
    }
}

fn klines_limit(kind: InstrumentKind, asked: Option<usize>) -> Result<usize, Problem> {
    let limit = asked.unwrap_or(KLINES_DEFAULT);
    match kind {
        InstrumentKind::Spot if limit > 0 => Ok(limit.min(SPOT_KLINES_MAX)),
        InstrumentKind::Perpetual if (1..=KLINES_MAX).contains(&limit) => Ok(limit),
        _ => Err(Problem::invalid("limit")),
    }
}

/// Binance's arrays. What takers bought is not kept by a candle here, and written as zero.
fn klines_text(candles: &[Candle]) -> String {
    let mut text = String::from("[");
    for (index, candle) in candles.iter().enumerate() {
        let comma = if index == 0 { "" } else { "," };
        // Writing to a String cannot fail.
        let _ = write!(
            text,
            "{comma}[{},\"{}\",\"{}\",\"{}\",\"{}\",\"{}\",{},\"{}\",{},\"0\",\"0\",\"0\"]",
            candle.open_time.as_millis(),
            candle.open,
            candle.high,
            candle.low,
            candle.close,
            candle.volume,
            candle.close_time.as_millis(),
            candle.quote_volume,
            candle.trades,
        );
    }
    text.push(']');
    text
}

fn symbol_info(instrument: &Instrument) -> Value {
    let price_filter = json!({
        "filterType": "PRICE_FILTER",
        "minPrice": instrument.price_step,
        // No upper limit; zero switches the rule off.
        "maxPrice": "0",
        "tickSize": instrument.price_step,
    });
    let lot_size = json!({
        "filterType": "LOT_SIZE",
        "minQty": instrument.min_quantity,
        "maxQty": instrument.max_quantity,
        "stepSize": instrument.quantity_step,
    });
    let mut info = json!({
        "symbol": instrument.symbol,
        "status": "TRADING",
        "baseAsset": instrument.base,
        "quoteAsset": instrument.quote,
    });
    let (up, down) = band(instrument.price_band);
    let (notional, percent_price, product) = match instrument.kind {
        InstrumentKind::Perpetual => (
            json!({ "filterType": "MIN_NOTIONAL", "notional": instrument.min_notional }),
            json!({ "filterType": "PERCENT_PRICE", "multiplierUp": up, "multiplierDown": down }),
            json!({
                "pair": instrument.symbol,
                "contractType": "PERPETUAL",
                "marginAsset": instrument.quote,
                "pricePrecision": instrument.price_step.0.normalize().scale(),
                "quantityPrecision": instrument.quantity_step.0.normalize().scale(),
            }),
        ),
        InstrumentKind::Spot => (
            json!({ "filterType": "NOTIONAL", "minNotional": instrument.min_notional, "applyMinToMarket": true }),
            json!({
                "filterType": "PERCENT_PRICE_BY_SIDE",
                "bidMultiplierUp": up, "bidMultiplierDown": down, "askMultiplierUp": up, "askMultiplierDown": down,
            }),
            json!({ "isSpotTradingAllowed": true, "isMarginTradingAllowed": false }),
        ),
    };
    info["filters"] = json!([price_filter, lot_size, notional, percent_price]);
    if let (Some(info), Value::Object(product)) = (info.as_object_mut(), product) {
        info.extend(product);
    }
    info
}

fn band(band: Ratio) -> (Ratio, Ratio) {
    (Ratio(Decimal::ONE + band.0), Ratio((Decimal::ONE - band.0).max(Decimal::ZERO)))
}

fn as_json(text: String) -> Response {
    ([(CONTENT_TYPE, "application/json;charset=UTF-8")], text).into_response()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn depths_are_those_of_the_product() {
        assert_eq!(depth_limit(InstrumentKind::Perpetual, None), Ok(500));
        assert_eq!(depth_limit(InstrumentKind::Perpetual, Some(1_000)), Ok(1_000));
        assert_eq!(depth_limit(InstrumentKind::Perpetual, Some(7)), Err(Problem::invalid("limit")));
        assert_eq!(depth_limit(InstrumentKind::Spot, Some(7)), Ok(7));
        assert_eq!(depth_limit(InstrumentKind::Spot, Some(9_999)), Ok(5_000));
        assert_eq!(depth_limit(InstrumentKind::Spot, Some(0)), Err(Problem::invalid("limit")));
    }

    #[test]
    fn klines_are_limited_as_the_product_does() {
        assert_eq!(klines_limit(InstrumentKind::Perpetual, Some(1_500)), Ok(1_500));
        assert_eq!(klines_limit(InstrumentKind::Perpetual, Some(1_501)), Err(Problem::invalid("limit")));
        assert_eq!(klines_limit(InstrumentKind::Spot, Some(1_501)), Ok(1_000));
    }
}
