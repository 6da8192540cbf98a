//! The public questions over HTTP: the book, trades, klines, statistics, funding, and what is listed; under `/api/v3` for spot and
//! `/fapi/v1` for USD-M. It asks the tape, and the floor for what was before the tape.

mod info;
mod klines;
mod statistics;
mod trades;
mod usdm;

use std::sync::Arc;

use axum::Router;
use axum::extract::{RawQuery, State};
use axum::http::HeaderMap;
use axum::http::header::CONTENT_TYPE;
use axum::response::{IntoResponse as _, Response};
use axum::routing::get;

use crate::domain::ids::Symbol;
use crate::domain::instrument::InstrumentKind;

use super::microseconds;
use super::parameters::Parameters;
use super::problem::Problem;
use super::{MarketWire, Shared};

/// USD-M takes these depths and no others.
const DEPTHS: [usize; 7] = [5, 10, 20, 50, 100, 500, 1_000];
const DEPTH_DEFAULT: usize = 500;
/// Spot takes any number, and gives no more than this.
const SPOT_DEPTH_DEFAULT: usize = 100;
const SPOT_DEPTH_MAX: usize = 5_000;

const SPOT_QUESTIONS: [&str; 19] = [
    "ping",
    "time",
    "exchangeInfo",
    "depth",
    "trades",
    "historicalTrades",
    "historicalBlockTrades",
    "aggTrades",
    "klines",
    "uiKlines",
    "avgPrice",
    "ticker/24hr",
    "ticker/price",
    "ticker/bookTicker",
    "ticker/tradingDay",
    "ticker",
    "executionRules",
    "referencePrice",
    "referencePrice/calculation",
];
const USDM_QUESTIONS: [&str; 24] = [
    "ping",
    "time",
    "exchangeInfo",
    "depth",
    "rpiDepth",
    "trades",
    "historicalTrades",
    "aggTrades",
    "klines",
    "continuousKlines",
    "markPriceKlines",
    "indexPriceKlines",
    "premiumIndexKlines",
    "ticker/24hr",
    "ticker/price",
    "ticker/bookTicker",
    "premiumIndex",
    "fundingRate",
    "fundingInfo",
    "openInterest",
    "constituents",
    "indexInfo",
    "assetIndex",
    "symbolAdlRisk",
];

pub(super) fn router(wire: &MarketWire, product: InstrumentKind) -> Router {
    let (prefix, questions): (&str, &[&'static str]) = match product {
        InstrumentKind::Spot => ("/api/v3", &SPOT_QUESTIONS),
        InstrumentKind::Perpetual => ("/fapi/v1", &USDM_QUESTIONS),
    };
    let mut router = Router::new();
    let mut add = |path: String, question: &'static str| {
        let handle = move |State(wire): State<MarketWire>, RawQuery(query): RawQuery, headers: HeaderMap| async move {
            let asked = wire.ask(product, question, &query.unwrap_or_default()).await;
            asked.map(|text| as_json(if in_microseconds(product, &headers) { microseconds::answer(&text) } else { text }))
        };
        router = std::mem::take(&mut router).route(&path, get(handle));
    };
    for question in questions {
        add(format!("{prefix}/{question}"), question);
    }
    if product == InstrumentKind::Perpetual {
        add("/fapi/v2/ticker/price".to_owned(), "ticker/price");
        add("/futures/data/openInterestHist".to_owned(), "openInterestHist");
    }
    router.with_state(wire.clone())
}

/// Spot tells its times in microseconds to who asks for it.
fn in_microseconds(product: InstrumentKind, headers: &HeaderMap) -> bool {
    let unit = headers.get("x-mbx-time-unit").and_then(|unit| unit.to_str().ok());
    product == InstrumentKind::Spot && unit.is_some_and(|unit| unit.eq_ignore_ascii_case("microsecond"))
}

fn as_json(text: String) -> Response {
    ([(CONTENT_TYPE, "application/json;charset=UTF-8")], text).into_response()
}

impl MarketWire {
    /// Answers one question, such as `depth`, in JSON.
    async fn ask(&self, product: InstrumentKind, question: &str, query: &str) -> Result<String, Problem> {
        let parameters = Parameters::parse(product, query)?;
        let desk = Desk { shared: Arc::clone(&self.0), product, parameters };
        match question {
            "ping" => desk.finished(|_| "{}".to_owned()),
            "time" => desk.finished(|desk| format!("{{\"serverTime\":{}}}", desk.now())),
            "exchangeInfo" => desk.exchange_info(),
            "executionRules" => desk.execution_rules(),
            "depth" => desk.depth(None).await,
            "rpiDepth" => desk.depth(Some(1_000)).await,
            "trades" => desk.trades(false),
            "historicalTrades" => desk.trades(true),
            "historicalBlockTrades" => desk.block_trades(),
            "aggTrades" => desk.aggregates(),
            "klines" | "uiKlines" => desk.klines(klines::Of::Trades).await,
            "continuousKlines" => desk.klines(klines::Of::Contract).await,
            "markPriceKlines" => desk.klines(klines::Of::Mark).await,
            "indexPriceKlines" => desk.klines(klines::Of::Index).await,
            "premiumIndexKlines" => desk.klines(klines::Of::Premium).await,
            "avgPrice" => desk.average_price(),
            "ticker/24hr" => desk.day(),
            "ticker" => desk.rolling(),
            "ticker/tradingDay" => desk.trading_day(),
            "ticker/price" => desk.prices(),
            "ticker/bookTicker" => desk.touches().await,
            "referencePrice" | "referencePrice/calculation" => desk.reference_price(),
            "premiumIndex" => desk.premium_index(),
            "fundingRate" => desk.funding_rates().await,
            "openInterest" => desk.open_interest().await,
            "openInterestHist" => desk.open_interest_history().await,
            "constituents" => desk.constituents(),
            "symbolAdlRisk" => desk.adl_risk(),
            // Of which there are none here.
            "fundingInfo" | "indexInfo" | "assetIndex" => Ok("[]".to_owned()),
            _ => Err(Problem::unknown_path(question, &axum::http::Method::GET)),
        }
    }
}

/// One question on its way.
struct Desk {
    shared: Arc<Shared>,
    product: InstrumentKind,
    parameters: Parameters,
}

impl Desk {
    fn is_spot(&self) -> bool {
        self.product == InstrumentKind::Spot
    }

    /// All that the product lists, by name.
    fn symbols(&self) -> Vec<Symbol> {
        let state = self.shared.state();
        state.tape.instruments().filter(|instrument| instrument.kind == self.product).map(|instrument| instrument.symbol).collect()
    }

    fn now(&self) -> i64 {
        self.shared.floor.now().as_millis()
    }

    fn finished(self, answer: impl FnOnce(&Self) -> String) -> Result<String, Problem> {
        self.parameters.finish()?;
        Ok(answer(&self))
    }

    fn listed(&self, name: &str) -> Result<Symbol, Problem> {
        const LEGAL: &str = "^[A-Z0-9-_.]{1,20}$";
        let is_legal = |c: char| c.is_ascii_uppercase() || c.is_ascii_digit() || matches!(c, '-' | '_' | '.');
        if self.is_spot() && (name.len() > 20 || !name.chars().all(is_legal)) {
            return Err(Problem::illegal("symbol", LEGAL));
        }
        let state = self.shared.state();
        // USD-M forgives small letters; spot has refused them.
        let instrument = Symbol::new(&name.to_ascii_uppercase()).ok().and_then(|symbol| state.tape.instrument(symbol));
        let listed = instrument.filter(|instrument| instrument.kind == self.product);
        listed.map(|instrument| instrument.symbol).ok_or(Problem::INVALID_SYMBOL)
    }

    /// The one symbol that the question is of.
    fn symbol(&mut self) -> Result<Symbol, Problem> {
        self.named("symbol")
    }

    fn named(&mut self, parameter: &str) -> Result<Symbol, Problem> {
        let name = self.parameters.text(parameter)?;
        self.listed(&name)
    }

    /// `symbolStatus`, which spot's questions take: everything here is trading. Says whether that is what is asked for.
    fn status(&mut self) -> Result<bool, Problem> {
        if !self.is_spot() {
            return Ok(true);
        }
        match self.parameters.optional("symbolStatus")? {
            None | Some("TRADING") => Ok(true),
            Some("HALT" | "BREAK") => Ok(false),
            Some(_) => Err(Problem::INVALID_STATUS),
        }
    }

    /// How many are asked for.
    fn limit(&mut self, default: usize, max: usize) -> Result<usize, Problem> {
        let limit = self.parameters.number("limit")?.unwrap_or(default);
        match self.product {
            InstrumentKind::Spot if limit > 0 => Ok(limit.min(max)),
            InstrumentKind::Perpetual if (1..=max).contains(&limit) => Ok(limit),
            _ => Err(Problem::invalid("limit")),
        }
    }

    async fn depth(mut self, only: Option<usize>) -> Result<String, Problem> {
        let symbol = self.symbol()?;
        if !self.status()? {
            return Err(Problem::OTHER_STATUS);
        }
        let asked = self.parameters.number("limit")?.or(only);
        self.parameters.finish()?;
        let limit = depth_limit(self.product, asked)?;
        // The time before the book, so that it never claims to be newer than it is.
        let at = self.shared.floor.now();
        let snapshot = self.shared.floor.depth_snapshot(symbol, limit).await?.ok_or(Problem::NO_EXCHANGE)?;
        let state = self.shared.state();
        let mut text = String::new();
        state.tape.encoder(symbol).ok_or(Problem::INVALID_SYMBOL)?.rest_depth(at, at, &snapshot, &mut text);
        Ok(text)
    }
}

fn depth_limit(product: InstrumentKind, asked: Option<usize>) -> Result<usize, Problem> {
    match (product, asked) {
        (InstrumentKind::Perpetual, None) => Ok(DEPTH_DEFAULT),
        (InstrumentKind::Perpetual, Some(limit)) if DEPTHS.contains(&limit) => Ok(limit),
        (InstrumentKind::Spot, None) => Ok(SPOT_DEPTH_DEFAULT),
        (InstrumentKind::Spot, Some(limit)) if limit > 0 => Ok(limit.min(SPOT_DEPTH_MAX)),
        _ => Err(Problem::invalid("limit")),
    }
}

/// `[a,b]` of texts that are written one by one; what is written empty is left out.
fn list<T>(all: impl IntoIterator<Item = T>, mut write: impl FnMut(T, &mut String)) -> String {
    let mut text = String::from("[");
    for one in all {
        let before = text.len();
        if before > 1 {
            text.push(',');
        }
        let begun = text.len();
        write(one, &mut text);
        if text.len() == begun {
            text.truncate(before);
        }
    }
    text.push(']');
    text
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
}
