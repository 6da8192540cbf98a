//! `exchangeInfo`: what is listed, by which filters, and how much may be asked. What is shown is what the engine applies.

use std::collections::BTreeSet;

use rust_decimal::Decimal;
use serde::Serialize;

use crate::domain::ids::Symbol;
use crate::domain::instrument::Instrument;
use crate::domain::money::Ratio;
use crate::exchange::core::margin::PerpetualRules;
use crate::exchange::core::spot::SpotFilters;
use crate::exchange::stream::problem::Problem;

use super::Desk;

/// Never, for a contract without an end; and the day that USD-M's first ones were listed.
const DELIVERY: i64 = 4_133_404_800_000;
const ONBOARD: i64 = 1_569_398_400_000;
const DIGITS: u32 = 8;
/// Open orders of an account on a symbol, and as many that wait: the engine's own default.
const ORDERS_MAX: u32 = 200;

const SPOT_ORDER_TYPES: [&str; 7] = ["LIMIT", "LIMIT_MAKER", "MARKET", "STOP_LOSS", "STOP_LOSS_LIMIT", "TAKE_PROFIT", "TAKE_PROFIT_LIMIT"];
const USDM_ORDER_TYPES: [&str; 7] = ["LIMIT", "MARKET", "STOP", "STOP_MARKET", "TAKE_PROFIT", "TAKE_PROFIT_MARKET", "TRAILING_STOP_MARKET"];
const USDM_TIMES_IN_FORCE: [&str; 5] = ["GTC", "IOC", "FOK", "GTX", "GTD"];
const ASTER_TIMES_IN_FORCE: [&str; 5] = ["GTC", "IOC", "FOK", "GTX", "HIDDEN"];
const PERMISSION: &str = "SPOT";

#[derive(Serialize)]
#[serde(rename_all = "camelCase")]
struct RateLimit {
    rate_limit_type: &'static str,
    interval: &'static str,
    interval_num: u32,
    limit: u32,
}

const fn rate(rate_limit_type: &'static str, interval: &'static str, interval_num: u32, limit: u32) -> RateLimit {
    RateLimit { rate_limit_type, interval, interval_num, limit }
}

const fn spot_rates(weight: u32) -> [RateLimit; 4] {
    [
        rate("REQUEST_WEIGHT", "MINUTE", 1, weight),
        rate("ORDERS", "SECOND", 10, 100),
        rate("ORDERS", "DAY", 1, 200_000),
        rate("RAW_REQUESTS", "MINUTE", 5, 61_000),
    ]
}

const fn usdm_rates(weight: u32) -> [RateLimit; 3] {
    [rate("REQUEST_WEIGHT", "MINUTE", 1, weight), rate("ORDERS", "MINUTE", 1, 1_200), rate("ORDERS", "SECOND", 10, 300)]
}

/// A filter of either product, in its own words.
#[derive(Serialize)]
#[serde(tag = "filterType", rename_all = "SCREAMING_SNAKE_CASE", rename_all_fields = "camelCase")]
enum Filter {
    #[serde(rename = "PRICE_FILTER")]
    Price {
        min_price: String,
        max_price: String,
        tick_size: String,
    },
    LotSize {
        min_qty: String,
        max_qty: String,
        step_size: String,
    },
    IcebergParts {
        limit: u32,
    },
    MarketLotSize {
        min_qty: String,
        max_qty: String,
        step_size: String,
    },
    TrailingDelta {
        min_trailing_above_delta: u32,
        max_trailing_above_delta: u32,
        min_trailing_below_delta: u32,
        max_trailing_below_delta: u32,
    },
    PercentPriceBySide {
        bid_multiplier_up: Ratio,
        bid_multiplier_down: Ratio,
        ask_multiplier_up: Ratio,
        ask_multiplier_down: Ratio,
        avg_price_mins: u32,
    },
    Notional {
        min_notional: String,
        apply_min_to_market: bool,
        max_notional: String,
        apply_max_to_market: bool,
        avg_price_mins: u32,
    },
    #[serde(rename = "MAX_NUM_ORDERS")]
    SpotMaxNumOrders {
        max_num_orders: u32,
    },
    MaxNumOrderLists {
        max_num_order_lists: u32,
    },
    MaxNumAlgoOrders {
        max_num_algo_orders: u32,
    },
    MaxNumOrderAmends {
        max_num_order_amends: u32,
    },
    MaxNumOrders {
        limit: u32,
    },
    #[serde(rename = "MAX_NUM_ALGO_ORDERS")]
    AsterMaxNumAlgoOrders {
        limit: u32,
    },
    MinNotional {
        notional: String,
    },
    PercentPrice {
        multiplier_up: String,
        multiplier_down: String,
        multiplier_decimal: &'static str,
    },
    PositionRiskControl {
        position_control_side: &'static str,
    },
}

#[derive(Serialize)]
#[serde(rename_all = "camelCase")]
struct SpotSymbol<'a> {
    symbol: Symbol,
    status: &'static str,
    base_asset: &'a str,
    base_asset_precision: u32,
    quote_asset: &'a str,
    quote_precision: u32,
    quote_asset_precision: u32,
    base_commission_precision: u32,
    quote_commission_precision: u32,
    order_types: [&'static str; 7],
    iceberg_allowed: bool,
    oco_allowed: bool,
    oto_allowed: bool,
    opo_allowed: bool,
    quote_order_qty_market_allowed: bool,
    allow_trailing_stop: bool,
    cancel_replace_allowed: bool,
    amend_allowed: bool,
    peg_instructions_allowed: bool,
    is_spot_trading_allowed: bool,
    is_margin_trading_allowed: bool,
    filters: Vec<Filter>,
    permissions: [&'static str; 0],
    permission_sets: Vec<[&'static str; 1]>,
    default_self_trade_prevention_mode: &'static str,
    allowed_self_trade_prevention_modes: [&'static str; 4],
}

#[derive(Serialize)]
#[serde(rename_all = "camelCase")]
struct UsdmSymbol<'a> {
    symbol: Symbol,
    pair: Symbol,
    contract_type: &'static str,
    delivery_date: i64,
    onboard_date: i64,
    status: &'static str,
    maint_margin_percent: &'static str,
    required_margin_percent: &'static str,
    base_asset: &'a str,
    quote_asset: &'a str,
    margin_asset: &'a str,
    price_precision: u32,
    quantity_precision: u32,
    base_asset_precision: u32,
    quote_precision: u32,
    underlying_type: &'static str,
    underlying_sub_type: [&'static str; 0],
    settle_plan: u32,
    trigger_protect: String,
    liquidation_fee: String,
    market_take_bound: String,
    max_move_order_limit: u32,
    filters: Vec<Filter>,
    order_types: [&'static str; 7],
    time_in_force: [&'static str; 5],
    permission_sets: [&'static str; 0],
}

#[derive(Serialize)]
#[serde(rename_all = "camelCase")]
struct Asset<'a> {
    asset: &'a str,
    margin_available: bool,
    auto_asset_exchange: &'static str,
}

#[derive(Serialize)]
#[serde(rename_all = "camelCase")]
struct SpotInfo<'a> {
    timezone: &'static str,
    server_time: i64,
    rate_limits: [RateLimit; 4],
    exchange_filters: [Filter; 0],
    symbols: Vec<SpotSymbol<'a>>,
}

#[derive(Serialize)]
#[serde(rename_all = "camelCase")]
struct UsdmInfo<'a> {
    timezone: &'static str,
    server_time: i64,
    futures_type: &'static str,
    rate_limits: [RateLimit; 3],
    exchange_filters: [Filter; 0],
    assets: Vec<Asset<'a>>,
    symbols: Vec<UsdmSymbol<'a>>,
}

#[derive(Serialize)]
#[serde(rename_all = "camelCase")]
struct SymbolRules {
    symbol: Symbol,
    rules: [&'static str; 0],
}

impl Desk {
    pub(super) fn exchange_info(mut self) -> Result<String, Problem> {
        let (wanted, shows_permissions) = if self.is_spot() { self.spot_choice()? } else { (None, true) };
        self.parameters.finish()?;
        let server_time = self.now();
        let state = self.shared.state();
        let product = self.product;
        let listed = state
            .tape
            .instruments()
            .filter(|instrument| instrument.kind == product && wanted.as_ref().is_none_or(|wanted| wanted.contains(&instrument.symbol)));
        let weight = self.shared.weight_per_minute;
        let text = if self.is_spot() {
            let symbols = listed.map(|instrument| spot_symbol(instrument, shows_permissions)).collect();
            let rate_limits = spot_rates(weight);
            serde_json::to_string(&SpotInfo { timezone: "UTC", server_time, rate_limits, exchange_filters: [], symbols })
        } else {
            let plain = self.shared.plain;
            let symbols: Vec<UsdmSymbol<'_>> = listed.map(|instrument| usdm_symbol(instrument, plain)).collect();
            let assets: BTreeSet<&str> = symbols.iter().map(|symbol| symbol.margin_asset).collect();
            let assets = assets.into_iter().map(|asset| Asset { asset, margin_available: true, auto_asset_exchange: "-10000" }).collect();
            let futures_type = "U_MARGINED";
            serde_json::to_string(&UsdmInfo {
                timezone: "UTC",
                server_time,
                futures_type,
                rate_limits: usdm_rates(weight),
                exchange_filters: [],
                assets,
                symbols,
            })
        };
        text.map_err(|_| Problem::NO_EXCHANGE)
    }

    /// Which of spot's symbols are asked for (`None`: all), and whether with their permissions.
    fn spot_choice(&mut self) -> Result<(Option<BTreeSet<Symbol>>, bool), Problem> {
        let one = self.parameters.optional("symbol")?.map(str::to_owned);
        let some = self.parameters.optional("symbols")?.map(str::to_owned);
        let permissions = self.parameters.optional("permissions")?.map(str::to_owned);
        let has_status = self.parameters.optional("symbolStatus")?.is_some();
        let trading = self.status()?;
        let shows = !matches!(self.parameters.optional("showPermissionSets")?, Some("false" | "FALSE" | "False"));
        let named = usize::from(one.is_some()) + usize::from(some.is_some());
        if named > 1 || (named == 1 && (permissions.is_some() || has_status)) {
            return Err(Problem::BAD_COMBINATION);
        }
        let permitted = permissions.is_none_or(|asked| asked.split(['[', ']', '"', ',']).any(|permission| permission == PERMISSION));
        let wanted = match (one, some) {
            (Some(name), _) => Some(BTreeSet::from([self.listed(&name)?])),
            (_, Some(text)) => {
                let names: Vec<String> = serde_json::from_str(&text).map_err(|_| Problem::ILLEGAL_CHARACTERS)?;
                Some(names.iter().map(|name| self.listed(name)).collect::<Result<_, _>>()?)
            }
            _ if !trading || !permitted => Some(BTreeSet::new()),
            _ => None,
        };
        Ok((wanted, shows))
    }

    /// No symbol here has rules of execution beyond its filters.
    pub(super) fn execution_rules(mut self) -> Result<String, Problem> {
        let (wanted, _) = self.spot_choice()?;
        self.parameters.finish()?;
        let wanted = wanted.unwrap_or_else(|| self.symbols().into_iter().collect());
        let symbol_rules: Vec<SymbolRules> = wanted.into_iter().map(|symbol| SymbolRules { symbol, rules: [] }).collect();
        serde_json::to_string(&serde_json::json!({ "symbolRules": symbol_rules })).map_err(|_| Problem::NO_EXCHANGE)
    }
}

/// Spot pads to eight digits.
fn padded(value: Decimal) -> String {
    format!("{value:.*}", DIGITS as usize)
}

fn spot_symbol(instrument: &Instrument, shows_permissions: bool) -> SpotSymbol<'_> {
    SpotSymbol {
        symbol: instrument.symbol,
        status: "TRADING",
        base_asset: &instrument.base,
        base_asset_precision: DIGITS,
        quote_asset: &instrument.quote,
        quote_precision: DIGITS,
        quote_asset_precision: DIGITS,
        base_commission_precision: DIGITS,
        quote_commission_precision: DIGITS,
        order_types: SPOT_ORDER_TYPES,
        iceberg_allowed: true,
        oco_allowed: true,
        oto_allowed: true,
        opo_allowed: false,
        quote_order_qty_market_allowed: true,
        allow_trailing_stop: true,
        cancel_replace_allowed: true,
        amend_allowed: true,
        peg_instructions_allowed: false,
        is_spot_trading_allowed: true,
        is_margin_trading_allowed: false,
        filters: spot_filters(instrument),
        permissions: [],
        permission_sets: if shows_permissions { vec![[PERMISSION]] } else { Vec::new() },
        default_self_trade_prevention_mode: "EXPIRE_MAKER",
        allowed_self_trade_prevention_modes: ["EXPIRE_TAKER", "EXPIRE_MAKER", "EXPIRE_BOTH", "DECREMENT"],
    }
}

fn spot_filters(instrument: &Instrument) -> Vec<Filter> {
    let rules = SpotFilters::of(instrument);
    vec![
        Filter::Price {
            min_price: padded(rules.min_price.0),
            max_price: padded(rules.max_price.0),
            tick_size: padded(instrument.price_step.0),
        },
        Filter::LotSize {
            min_qty: padded(instrument.min_quantity.0),
            max_qty: padded(instrument.max_quantity.0),
            step_size: padded(instrument.quantity_step.0),
        },
        Filter::IcebergParts { limit: rules.iceberg_parts },
        Filter::MarketLotSize {
            min_qty: padded(Decimal::ZERO),
            max_qty: padded(rules.market_max_quantity.0),
            step_size: padded(Decimal::ZERO),
        },
        Filter::TrailingDelta {
            min_trailing_above_delta: rules.trailing_above.min,
            max_trailing_above_delta: rules.trailing_above.max,
            min_trailing_below_delta: rules.trailing_below.min,
            max_trailing_below_delta: rules.trailing_below.max,
        },
        Filter::PercentPriceBySide {
            bid_multiplier_up: rules.bid_up,
            bid_multiplier_down: rules.bid_down,
            ask_multiplier_up: rules.ask_up,
            ask_multiplier_down: rules.ask_down,
            avg_price_mins: rules.average_minutes,
        },
        Filter::Notional {
            min_notional: padded(rules.min_notional.0),
            apply_min_to_market: true,
            max_notional: padded(rules.max_notional.0),
            apply_max_to_market: false,
            avg_price_mins: rules.average_minutes,
        },
        Filter::SpotMaxNumOrders { max_num_orders: rules.max_orders },
        Filter::MaxNumOrderLists { max_num_order_lists: rules.max_lists },
        Filter::MaxNumAlgoOrders { max_num_algo_orders: rules.max_algo_orders },
        Filter::MaxNumOrderAmends { max_num_order_amends: rules.max_amends },
    ]
}

fn usdm_symbol(instrument: &Instrument, aster: bool) -> UsdmSymbol<'_> {
    let rules = PerpetualRules::of(instrument);
    UsdmSymbol {
        symbol: instrument.symbol,
        pair: instrument.symbol,
        contract_type: "PERPETUAL",
        delivery_date: DELIVERY,
        onboard_date: ONBOARD,
        status: "TRADING",
        maint_margin_percent: "2.5000",
        required_margin_percent: "5.0000",
        base_asset: &instrument.base,
        quote_asset: &instrument.quote,
        margin_asset: &instrument.quote,
        price_precision: instrument.price_step.0.scale(),
        quantity_precision: instrument.quantity_step.0.scale(),
        base_asset_precision: DIGITS,
        quote_precision: DIGITS,
        underlying_type: "COIN",
        underlying_sub_type: [],
        settle_plan: 0,
        trigger_protect: format!("{:.4}", rules.trigger_protect.0),
        liquidation_fee: format!("{:.6}", rules.liquidation_fee.0),
        market_take_bound: format!("{:.2}", rules.market_take_bound.0),
        max_move_order_limit: 10_000,
        filters: usdm_filters(instrument, &rules, aster),
        order_types: USDM_ORDER_TYPES,
        time_in_force: if aster { ASTER_TIMES_IN_FORCE } else { USDM_TIMES_IN_FORCE },
        permission_sets: [],
    }
}

fn usdm_filters(instrument: &Instrument, rules: &PerpetualRules, aster: bool) -> Vec<Filter> {
    let band = instrument.price_band.0;
    let (tick, step) = (instrument.price_step.0.to_string(), instrument.quantity_step.0.to_string());
    let least = instrument.min_quantity.0.to_string();
    let mut filters = vec![
        Filter::Price { min_price: rules.price_min.0.to_string(), max_price: rules.price_max.to_string(), tick_size: tick },
        Filter::LotSize { min_qty: least.clone(), max_qty: instrument.max_quantity.to_string(), step_size: step.clone() },
        Filter::MarketLotSize { min_qty: least, max_qty: rules.market_quantity_max.to_string(), step_size: step },
        Filter::MaxNumOrders { limit: ORDERS_MAX },
        Filter::MinNotional { notional: instrument.min_notional.to_string() },
        Filter::PercentPrice {
            multiplier_up: format!("{:.4}", Decimal::ONE + band),
            multiplier_down: format!("{:.4}", (Decimal::ONE - band).max(Decimal::ZERO)),
            multiplier_decimal: "4",
        },
        Filter::PositionRiskControl { position_control_side: "NONE" },
    ];
    if aster {
        filters.push(Filter::AsterMaxNumAlgoOrders { limit: ORDERS_MAX });
    }
    filters
}
