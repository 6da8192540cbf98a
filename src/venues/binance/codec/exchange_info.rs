//! `exchangeInfo`: what can be traded, on which grid and within which limits, and how much may be asked. Filters of both products come
//! out as one `Instrument`. A symbol that cannot be expressed is left out with the reason, and never guessed at: one odd symbol
//! among hundreds must not keep the others from trading.
//!
//! Spot's grid begins at zero. USD-M's begins at the filter's minimum: `(price − minPrice) % tickSize`. Every live symbol's minimum
//! is a multiple of its step, which makes both the same; one where it is not has no grid here and is left out.

use std::time::Duration;

use rust_decimal::Decimal;
use serde::Deserialize;

use super::answers::Commission;
use super::events::RateLimitAnswer;
use super::outcome::{Answer, Failure, read};
use super::product::Product;
use super::read::{MaybeNumber, Text};
use crate::domain::ids::{Asset, NameError, Symbol};
use crate::domain::instrument::Instrument;
use crate::domain::money::{Money, Price, Quantity, Ratio};
use crate::venues::grid::{Step, StepError};

/// The highest leverage that any symbol has; its brackets say its own.
const LEVERAGE_MAX: u8 = 125;

/// Why a symbol cannot be traded here.
#[derive(Debug, Clone, PartialEq, thiserror::Error)]
pub enum RuleError {
    #[error(transparent)]
    Name(#[from] NameError),
    #[error("{filter} expected a rule of the symbol, found none")]
    Missing { filter: &'static str },
    #[error("{filter}: {source}")]
    Step { filter: &'static str, source: StepError },
    #[error("{filter} expected a minimum that is a multiple of {step}, found {minimum}: such a grid is not supported")]
    Offset { filter: &'static str, minimum: Decimal, step: Decimal },
}

/// What may be traded, and how much may be asked.
#[derive(Debug, Clone, PartialEq)]
pub struct ExchangeInfo {
    pub server_time_millis: i64,
    pub limits: Vec<RateLimit>,
    pub symbols: Vec<SymbolRules>,
    /// Symbols that cannot be expressed, as the venue spells them.
    pub left_out: Vec<(String, RuleError)>,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum LimitKind {
    /// Of a host.
    RequestWeight,
    /// Of an account.
    Orders,
    /// Of a host, whatever the weight.
    RawRequests,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct RateLimit {
    pub kind: LimitKind,
    pub within: Duration,
    pub limit: u32,
}

/// One symbol's rules.
#[derive(Debug, Clone, PartialEq)]
pub struct SymbolRules {
    /// With no fees: those are the account's own, [`SymbolRules::instrument`] takes them.
    plain: Instrument,
    /// Orders are taken.
    pub trading: bool,
    /// In the venue's word.
    pub status: String,
    pub margin_asset: Asset,
    /// The most that one market order may be, where that is less than a limit order.
    pub market_max: Option<Quantity>,
    /// Orders open at once on the symbol.
    pub open_orders_max: Option<u32>,
}

impl SymbolRules {
    #[must_use]
    pub fn symbol(&self) -> Symbol {
        self.plain.symbol
    }

    /// With the account's fees and the leverage that the symbol's brackets allow, where that is known.
    #[must_use]
    pub fn instrument(&self, commission: Commission, max_leverage: Option<u8>) -> Instrument {
        let max_leverage = max_leverage.unwrap_or(self.plain.max_leverage);
        Instrument { maker_fee: commission.maker, taker_fee: commission.taker, max_leverage, ..self.plain.clone() }
    }
}

#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
struct InfoAnswer<'a> {
    #[serde(default)]
    server_time: i64,
    #[serde(borrow, default)]
    rate_limits: Vec<RateLimitAnswer<'a>>,
    #[serde(borrow)]
    symbols: Vec<SymbolAnswer<'a>>,
}

#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
struct SymbolAnswer<'a> {
    #[serde(borrow)]
    symbol: Text<'a>,
    #[serde(borrow)]
    status: Text<'a>,
    #[serde(borrow)]
    base_asset: Text<'a>,
    #[serde(borrow)]
    quote_asset: Text<'a>,
    #[serde(borrow, default)]
    margin_asset: Option<Text<'a>>,
    #[serde(borrow, default)]
    filters: Vec<Filter<'a>>,
}

/// Every filter's fields in one: their names do not clash.
#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
struct Filter<'a> {
    #[serde(borrow)]
    filter_type: Text<'a>,
    #[serde(default)]
    min_price: MaybeNumber,
    #[serde(default)]
    tick_size: MaybeNumber,
    #[serde(default)]
    min_qty: MaybeNumber,
    #[serde(default)]
    max_qty: MaybeNumber,
    #[serde(default)]
    step_size: MaybeNumber,
    /// USD-M.
    #[serde(default)]
    notional: MaybeNumber,
    /// Spot.
    #[serde(default)]
    min_notional: MaybeNumber,
    #[serde(default)]
    multiplier_up: MaybeNumber,
    #[serde(default)]
    multiplier_down: MaybeNumber,
    #[serde(default)]
    bid_multiplier_up: MaybeNumber,
    #[serde(default)]
    ask_multiplier_down: MaybeNumber,
    /// USD-M; spot says `maxNumOrders`.
    #[serde(default, alias = "maxNumOrders")]
    limit: Option<u32>,
}

/// Reads an `exchangeInfo`.
///
/// # Errors
/// When the answer is none.
pub fn exchange_info(product: Product, answer: Answer<'_>) -> Result<ExchangeInfo, Failure> {
    let shown = read::<InfoAnswer<'_>>(product, answer)?;
    let mut info = ExchangeInfo {
        server_time_millis: shown.server_time,
        limits: shown.rate_limits.iter().filter_map(limit).collect(),
        symbols: Vec::with_capacity(shown.symbols.len()),
        left_out: Vec::new(),
    };
    for symbol in &shown.symbols {
        match rules(product, symbol) {
            Ok(rules) => info.symbols.push(rules),
            Err(error) => info.left_out.push((symbol.symbol.0.to_string(), error)),
        }
    }
    Ok(info)
}

fn limit(shown: &RateLimitAnswer<'_>) -> Option<RateLimit> {
    let kind = match shown.rate_limit_type.as_str() {
        "REQUEST_WEIGHT" => LimitKind::RequestWeight,
        "ORDERS" => LimitKind::Orders,
        "RAW_REQUESTS" | "RAW_REQUEST" => LimitKind::RawRequests,
        _ => return None,
    };
    let unit = match shown.interval.as_str() {
        "SECOND" => 1,
        "MINUTE" => 60,
        "HOUR" => 3_600,
        "DAY" => 86_400,
        _ => return None,
    };
    let within = Duration::from_secs(u64::from(shown.interval_num.max(1)) * unit);
    Some(RateLimit { kind, within, limit: shown.limit })
}

fn rules(product: Product, shown: &SymbolAnswer<'_>) -> Result<SymbolRules, RuleError> {
    let filter = |name: &str| shown.filters.iter().find(|filter| filter.filter_type.as_str() == name);
    let price = filter("PRICE_FILTER").ok_or(RuleError::Missing { filter: "PRICE_FILTER" })?;
    let lot = filter("LOT_SIZE").ok_or(RuleError::Missing { filter: "LOT_SIZE" })?;
    let notional = filter("NOTIONAL").or_else(|| filter("MIN_NOTIONAL"));
    let notional = notional.map(|filter| filter.notional.0.unwrap_or_else(|| filter.min_notional.or_zero()));
    let (base, quote) = (Asset::new(shown.base_asset.as_str())?, Asset::new(shown.quote_asset.as_str())?);
    let plain = Instrument {
        symbol: Symbol::new(shown.symbol.as_str())?,
        kind: product.capabilities().kind,
        base: base.to_string(),
        quote: quote.to_string(),
        price_step: Price(step("PRICE_FILTER", price.tick_size, price.min_price)?),
        quantity_step: Quantity(step("LOT_SIZE", lot.step_size, lot.min_qty)?),
        min_quantity: Quantity(lot.min_qty.or_zero()),
        max_quantity: Quantity(lot.max_qty.0.filter(|most| !most.is_zero()).unwrap_or(Decimal::MAX)),
        min_notional: Money(notional.unwrap_or_default()),
        price_band: band(&shown.filters),
        maker_fee: Ratio::ZERO,
        taker_fee: Ratio::ZERO,
        max_leverage: if product.capabilities().leverage { LEVERAGE_MAX } else { 1 },
    };
    let market_max = filter("MARKET_LOT_SIZE").and_then(|filter| filter.max_qty.0).filter(|most| !most.is_zero()).map(Quantity);
    Ok(SymbolRules {
        plain,
        trading: shown.status.as_str() == "TRADING",
        status: shown.status.0.to_string(),
        margin_asset: shown.margin_asset.as_ref().map_or(Ok(quote), |asset| Asset::new(asset.as_str()))?,
        market_max,
        open_orders_max: filter("MAX_NUM_ORDERS").and_then(|filter| filter.limit),
    })
}

/// The grid's step, with its origin at zero.
fn step(filter: &'static str, step: MaybeNumber, minimum: MaybeNumber) -> Result<Decimal, RuleError> {
    let (step, minimum) = (step.or_zero(), minimum.or_zero());
    Step::new(step).map_err(|source| RuleError::Step { filter, source })?;
    if (minimum % step).is_zero() { Ok(step) } else { Err(RuleError::Offset { filter, minimum, step }) }
}

/// How far from the reference price an order's own may be: the narrower of the two sides.
fn band(filters: &[Filter<'_>]) -> Ratio {
    let sides = filters.iter().flat_map(|filter| {
        let (up, down) = match filter.filter_type.as_str() {
            "PERCENT_PRICE" => (filter.multiplier_up, filter.multiplier_down),
            "PERCENT_PRICE_BY_SIDE" => (filter.bid_multiplier_up, filter.ask_multiplier_down),
            _ => (MaybeNumber(None), MaybeNumber(None)),
        };
        [up.0.map(|up| up - Decimal::ONE), down.0.map(|down| Decimal::ONE - down)]
    });
    // Without a rule, as far as a price can fall.
    Ratio(sides.flatten().filter(|side| side.is_sign_positive()).min().unwrap_or(Decimal::ONE))
}

#[cfg(test)]
mod tests {
    use super::*;

    const SPOT: &str = r#"{"serverTime":1565246363776,"rateLimits":[{"rateLimitType":"REQUEST_WEIGHT","interval":"MINUTE","intervalNum":1,"limit":6000},
        {"rateLimitType":"ORDERS","interval":"SECOND","intervalNum":10,"limit":100},{"rateLimitType":"NEW_KIND","interval":"MINUTE","intervalNum":1,"limit":1}],
        "symbols":[{"symbol":"ETHBTC","status":"TRADING","baseAsset":"ETH","quoteAsset":"BTC","filters":[
        {"filterType":"PRICE_FILTER","minPrice":"0.00001000","maxPrice":"922327.00000000","tickSize":"0.00001000"},
        {"filterType":"LOT_SIZE","minQty":"0.00010000","maxQty":"100000.00000000","stepSize":"0.00010000"},
        {"filterType":"MARKET_LOT_SIZE","minQty":"0","maxQty":"1378.22417541","stepSize":"0"},
        {"filterType":"PERCENT_PRICE_BY_SIDE","bidMultiplierUp":"5","bidMultiplierDown":"0.2","askMultiplierUp":"5","askMultiplierDown":"0.2","avgPriceMins":5},
        {"filterType":"NOTIONAL","minNotional":"0.00010000","applyMinToMarket":true,"maxNotional":"9000000"},
        {"filterType":"MAX_NUM_ORDERS","maxNumOrders":200}]}]}"#;

    const USDM: &str = r#"{"serverTime":1,"symbols":[
        {"symbol":"BTCUSDT","status":"TRADING","baseAsset":"BTC","quoteAsset":"USDT","marginAsset":"USDT","filters":[
        {"filterType":"PRICE_FILTER","minPrice":"556.80","maxPrice":"4529764","tickSize":"0.10"},{"filterType":"LOT_SIZE","minQty":"0.001","maxQty":"1000","stepSize":"0.001"},
        {"filterType":"MIN_NOTIONAL","notional":"100"},{"filterType":"PERCENT_PRICE","multiplierUp":"1.0500","multiplierDown":"0.9600","multiplierDecimal":"4"},{"filterType":"MAX_NUM_ORDERS","limit":200}]},
        {"symbol":"ODDUSDT","status":"TRADING","baseAsset":"ODD","quoteAsset":"USDT","filters":[
        {"filterType":"PRICE_FILTER","minPrice":"0.05","tickSize":"0.10"},{"filterType":"LOT_SIZE","minQty":"1","maxQty":"9","stepSize":"1"}]},
        {"symbol":"老子USDT","status":"TRADING","baseAsset":"老子","quoteAsset":"USDT","filters":[
        {"filterType":"PRICE_FILTER","minPrice":"0.1","tickSize":"0.1"},{"filterType":"LOT_SIZE","minQty":"1","maxQty":"9","stepSize":"1"}]},
        {"symbol":"NEWUSDT","status":"PENDING_TRADING","baseAsset":"NEW","quoteAsset":"USDT","filters":[]}]}"#;

    fn info(product: Product, body: &str) -> ExchangeInfo {
        exchange_info(product, Answer { status: 200, retry_after: None, body: body.as_bytes() }).unwrap()
    }

    const FEES: Commission = Commission { maker: Ratio(Decimal::ONE), taker: Ratio(Decimal::TWO) };

    #[test]
    fn spots_filters_are_an_instrument() {
        let info = info(Product::BinanceSpot, SPOT);
        let instrument = info.symbols[0].instrument(FEES, None);
        assert_eq!((instrument.price_step, instrument.quantity_step), ("0.00001".parse().unwrap(), "0.0001".parse().unwrap()));
        assert_eq!((instrument.min_notional, instrument.price_band), ("0.0001".parse().unwrap(), "0.8".parse().unwrap()));
        assert_eq!((instrument.max_leverage, instrument.taker_fee, info.symbols[0].open_orders_max), (1, Ratio(Decimal::TWO), Some(200)));
        assert_eq!(info.symbols[0].market_max, Some("1378.22417541".parse().unwrap()));
        let ten_seconds = RateLimit { kind: LimitKind::Orders, within: Duration::from_secs(10), limit: 100 };
        assert_eq!((info.limits.len(), info.limits[1]), (2, ten_seconds));
    }

    #[test]
    fn what_cannot_be_expressed_is_left_out_with_its_reason_and_the_rest_trades() {
        let info = info(Product::BinanceUsdm, USDM);
        assert_eq!(info.symbols.len(), 1);
        let instrument = info.symbols[0].instrument(FEES, Some(50));
        assert_eq!(
            (instrument.min_notional, instrument.price_band, instrument.max_leverage),
            ("100".parse().unwrap(), "0.04".parse().unwrap(), 50)
        );
        let reasons: Vec<String> = info.left_out.iter().map(|(symbol, error)| format!("{symbol}: {error}")).collect();
        assert_eq!(
            reasons[0],
            "ODDUSDT: PRICE_FILTER expected a minimum that is a multiple of 0.10, found 0.05: such a grid is not supported"
        );
        assert!(reasons[1].starts_with("老子USDT: asset expected only"), "{}", reasons[1]);
        assert_eq!(reasons[2], "NEWUSDT: PRICE_FILTER expected a rule of the symbol, found none");
    }
}
