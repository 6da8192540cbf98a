//! The public market data's rows: `stream` answers them, here stands what they weigh and what they are called in the WebSocket
//! API. A row hands its parameters on and gives back what `stream` says.

use std::collections::BTreeMap;

use axum::Router;
use axum::body::{Body, to_bytes};
use axum::http::{Request, Response};
use form_urlencoded::Serializer;
use serde::Deserialize;
use serde_json::{Value, json};
use tower::ServiceExt as _;

use crate::domain::ids::Symbol;

use super::context::Context;
use super::faults::Listing;
use super::parameters::Parameters;
use super::problem::Problem;
use super::route::{Answer, Json, Route, Security};
use super::usdm::with_newer_paths;
use super::venue::{Dialect, Product};

/// The largest answer is exchangeInfo with some thousand symbols.
const ANSWER_MAX: usize = 64 << 20;

/// A row's path, its method in the WebSocket API, and its weight.
type Row = (&'static str, Option<&'static str>, fn(&Parameters) -> u32);

const SPOT: &[Row] = &[
    ("/api/v3/exchangeInfo", Some("exchangeInfo"), |_| 20),
    ("/api/v3/depth", Some("depth"), |parameters| by_limit(parameters, 100, &[(100, 5), (500, 25), (1_000, 50)], 250)),
    ("/api/v3/trades", Some("trades.recent"), |_| 25),
    ("/api/v3/historicalTrades", Some("trades.historical"), |_| 25),
    ("/api/v3/historicalBlockTrades", Some("blockTrades.historical"), |_| 25),
    ("/api/v3/aggTrades", Some("trades.aggregate"), |_| 4),
    ("/api/v3/klines", Some("klines"), |_| 2),
    ("/api/v3/uiKlines", Some("uiKlines"), |_| 2),
    ("/api/v3/avgPrice", Some("avgPrice"), |_| 2),
    ("/api/v3/ticker/24hr", Some("ticker.24hr"), |parameters| match symbols(parameters) {
        Some(1..=20) => 2,
        Some(21..=100) => 40,
        _ => 80,
    }),
    ("/api/v3/ticker/tradingDay", Some("ticker.tradingDay"), |parameters| (4 * symbols(parameters).unwrap_or(1)).min(200)),
    ("/api/v3/ticker/price", Some("ticker.price"), |parameters| if alone(parameters) { 2 } else { 4 }),
    ("/api/v3/ticker/bookTicker", Some("ticker.book"), |parameters| if alone(parameters) { 2 } else { 4 }),
    ("/api/v3/ticker", Some("ticker"), |parameters| (4 * symbols(parameters).unwrap_or(1)).min(200)),
    ("/api/v3/referencePrice", Some("referencePrice"), |_| 2),
    ("/api/v3/referencePrice/calculation", Some("referencePrice.calculation"), |_| 2),
];

const KLINES: fn(&Parameters) -> u32 = |parameters| by_limit(parameters, 500, &[(99, 1), (499, 2), (1_000, 5)], 10);
const ONE_OR_ALL: fn(&Parameters) -> u32 = |parameters| if alone(parameters) { 1 } else { 2 };
const ONE_OR_TEN: fn(&Parameters) -> u32 = |parameters| if alone(parameters) { 1 } else { 10 };
const TWO_OR_FIVE: fn(&Parameters) -> u32 = |parameters| if alone(parameters) { 2 } else { 5 };
const ONE: fn(&Parameters) -> u32 = |_| 1;

const USDM: &[Row] = &[
    ("/fapi/v1/exchangeInfo", None, ONE),
    ("/fapi/v1/depth", Some("depth"), |parameters| by_limit(parameters, 500, &[(50, 2), (100, 5), (500, 10)], 20)),
    ("/fapi/v1/rpiDepth", None, |_| 20),
    ("/fapi/v1/trades", None, |_| 5),
    ("/fapi/v1/historicalTrades", None, |_| 20),
    ("/fapi/v1/aggTrades", None, |_| 20),
    ("/fapi/v1/klines", None, KLINES),
    ("/fapi/v1/continuousKlines", None, KLINES),
    ("/fapi/v1/indexPriceKlines", None, KLINES),
    ("/fapi/v1/markPriceKlines", None, KLINES),
    ("/fapi/v1/premiumIndexKlines", None, KLINES),
    ("/fapi/v1/premiumIndex", None, ONE_OR_TEN),
    ("/fapi/v1/fundingRate", None, ONE),
    ("/fapi/v1/fundingInfo", None, |_| 0),
    ("/fapi/v1/ticker/24hr", None, |parameters| if alone(parameters) { 1 } else { 40 }),
    ("/fapi/v1/ticker/price", Some("ticker.price"), ONE_OR_ALL),
    ("/fapi/v2/ticker/price", Some("v2/ticker.price"), ONE_OR_ALL),
    ("/fapi/v1/ticker/bookTicker", Some("ticker.book"), TWO_OR_FIVE),
    ("/fapi/v1/openInterest", None, ONE),
    ("/fapi/v1/indexInfo", None, ONE),
    ("/fapi/v1/assetIndex", None, ONE_OR_TEN),
    ("/fapi/v1/constituents", None, |_| 2),
    ("/fapi/v1/symbolAdlRisk", None, ONE),
    ("/futures/data/openInterestHist", None, |_| 0),
];

/// Spot's public questions as its first version had them. The venue answers there still, and clients still ask there.
const FIRST_VERSION: [(&str, &str); 11] = [
    ("/api/v3/ping", "/api/v1/ping"),
    ("/api/v3/time", "/api/v1/time"),
    ("/api/v3/exchangeInfo", "/api/v1/exchangeInfo"),
    ("/api/v3/depth", "/api/v1/depth"),
    ("/api/v3/trades", "/api/v1/trades"),
    ("/api/v3/historicalTrades", "/api/v1/historicalTrades"),
    ("/api/v3/aggTrades", "/api/v1/aggTrades"),
    ("/api/v3/klines", "/api/v1/klines"),
    ("/api/v3/ticker/24hr", "/api/v1/ticker/24hr"),
    ("/api/v3/ticker/price", "/api/v1/ticker/price"),
    ("/api/v3/ticker/bookTicker", "/api/v1/ticker/bookTicker"),
];

/// Rows that `market` answers.
#[must_use]
pub fn routes(product: Product, market: &Router) -> Vec<Route> {
    let rows = if product.is_spot() { SPOT } else { USDM };
    let route = |(path, method, weight): &Row| {
        let (path, market) = (*path, market.clone());
        let security = if path == "/fapi/v1/historicalTrades" { Security::Key } else { Security::None };
        let route =
            Route::get(path, security, move |context: Context, parameters: Parameters| ask(market.clone(), path, context, parameters))
                .weight_of(*weight);
        method.iter().fold(route, |route, method| route.method(method))
    };
    let version = if product.is_spot() { ["/api/v3/ping", "/api/v3/time"] } else { ["/fapi/v1/ping", "/fapi/v1/time"] };
    let clock = [Route::get(version[0], Security::None, ping).method("ping"), Route::get(version[1], Security::None, time).method("time")];
    let mut rows: Vec<Route> = rows.iter().map(route).chain(clock).collect();
    let first = Route::renamed(&rows, &FIRST_VERSION);
    rows.extend(first);
    match product.dialect {
        Dialect::Binance => rows,
        Dialect::Aster => with_newer_paths(rows),
    }
}

async fn ping(_: Context, parameters: Parameters) -> Answer {
    parameters.finish()?;
    Ok(Json::empty_object())
}

/// The wire's clock, which requests are judged by; the streams' may differ while a fault skews it.
async fn time(context: Context, parameters: Parameters) -> Answer {
    parameters.finish()?;
    Ok(json!({ "serverTime": context.time(context.now) }).into())
}

async fn ask(market: Router, path: &'static str, context: Context, parameters: Parameters) -> Answer {
    let mut request = Request::get(address(path, &parameters));
    if context.microseconds {
        request = request.header("x-mbx-time-unit", "MICROSECOND");
    }
    let request = request.body(Body::empty()).map_err(|_| Problem::ILLEGAL_CHARACTERS)?;
    // Invariant: a router's error type has no value.
    let response = market.oneshot(request).await.map_err(|_| Problem::UNKNOWN)?;
    let answer = answer(response).await?;
    let listings = context.venue.faults().listings();
    if listings.is_empty() || !path.ends_with("/exchangeInfo") { Ok(answer) } else { relisted(&answer, &listings) }
}

/// exchangeInfo with the rules that have changed.
fn relisted(info: &Json, listings: &BTreeMap<Symbol, Listing>) -> Answer {
    let mut info: Value = serde_json::from_str(info.as_str()).map_err(|_| Problem::UNKNOWN)?;
    for symbol in info["symbols"].as_array_mut().into_iter().flatten() {
        let listing = symbol["symbol"].as_str().and_then(|name| Symbol::new(name).ok()).and_then(|name| listings.get(&name));
        if let Some(listing) = listing {
            listing.show(symbol);
        }
    }
    Ok(info.into())
}

/// The path with its parameters; those that every frame may have are not the row's.
fn address(path: &str, parameters: &Parameters) -> String {
    let start = format!("{path}?");
    let length = start.len();
    let mut query = Serializer::for_suffix(start, length);
    query.extend_pairs(parameters.iter().filter(|(name, _)| !matches!(*name, "apiKey" | "returnRateLimits")));
    query.finish()
}

async fn answer(response: Response<Body>) -> Answer {
    #[derive(Deserialize)]
    struct Said {
        code: i32,
        msg: String,
    }
    let status = response.status();
    let body = to_bytes(response.into_body(), ANSWER_MAX).await.map_err(|_| Problem::UNKNOWN)?;
    if status.is_success() {
        return String::from_utf8(body.into()).map(Json::raw).map_err(|_| Problem::UNKNOWN);
    }
    let said: Said = serde_json::from_slice(&body).map_err(|_| Problem::UNKNOWN)?;
    Err(Problem::said(said.code, said.msg).with_status(status.as_u16()))
}

/// The weight of the first bound that `limit` is within.
fn by_limit(parameters: &Parameters, default: u32, bounds: &[(u32, u32)], above: u32) -> u32 {
    let limit = parameters.integer("limit").ok().flatten().unwrap_or(default);
    bounds.iter().find(|(bound, _)| limit <= *bound).map_or(above, |(_, weight)| *weight)
}

fn alone(parameters: &Parameters) -> bool {
    parameters.has("symbol")
}

/// How many symbols are named; `None`: all.
fn symbols(parameters: &Parameters) -> Option<u32> {
    if alone(parameters) {
        return Some(1);
    }
    parameters.get("symbols").map(|list| list.split(',').count() as u32)
}

#[cfg(test)]
mod tests {
    use super::super::parameters::Manners;
    use super::*;

    fn weight(rows: &[Row], path: &str, query: &str) -> u32 {
        let row = rows.iter().find(|row| row.0 == path).unwrap();
        row.2(&Parameters::parse(Manners::Lenient, query.as_bytes(), b"").unwrap())
    }

    #[test]
    fn weights_are_the_venues() {
        for (query, expected) in [("", 5), ("limit=100", 5), ("limit=101", 25), ("limit=5000", 250), ("limit=x", 5)] {
            assert_eq!(weight(SPOT, "/api/v3/depth", query), expected, "{query}");
        }
        for (query, expected) in [("", 10), ("limit=5", 2), ("limit=1000", 20)] {
            assert_eq!(weight(USDM, "/fapi/v1/depth", query), expected, "{query}");
        }
        assert_eq!(weight(SPOT, "/api/v3/ticker/24hr", ""), 80);
        assert_eq!(weight(SPOT, "/api/v3/ticker/24hr", "symbols=%5B%22A%22,%22B%22%5D"), 2);
        assert_eq!(weight(USDM, "/fapi/v1/klines", "limit=1500"), 10);
    }
}
