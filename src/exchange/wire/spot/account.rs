//! Spot's account, its fees and limits, and the rules that concern it.

use rust_decimal::Decimal;
use rust_decimal::prelude::ToPrimitive as _;
use serde_json::{Value, json};

use crate::domain::ids::{AccountId, Symbol};
use crate::domain::instrument::Instrument;
use crate::domain::money::Ratio;
use crate::exchange::shell::Desk;
use crate::exchange::wire::accounts::Key;
use crate::exchange::wire::{Answer, Context, Json, Parameters, Problem, Route, Security};

/// Balances and rates are written to eight places.
const PLACES: u32 = 8;
const ORDER_LISTS_MAX: u32 = 20;

pub(super) fn routes() -> Vec<Route> {
    vec![
        Route::get("/api/v3/account", Security::Signed, account).method("account.status").weight(20),
        Route::get("/api/v3/account/commission", Security::Signed, commission).method("account.commission").weight(20),
        Route::get("/api/v3/rateLimit/order", Security::Signed, order_counts).method("account.rateLimits.orders").weight(40),
        Route::get("/api/v3/myFilters", Security::Signed, my_filters).method("myFilters").weight(40),
        Route::post("/api/v3/userDataStream", Security::None, gone),
        Route::put("/api/v3/userDataStream", Security::None, gone),
        Route::delete("/api/v3/userDataStream", Security::None, gone),
        Route::get("/api/v3/executionRules", Security::None, execution_rules).method("executionRules").weight_of(rules_weight),
    ]
}

/// Listen keys of spot ended in February 2026; user streams come over the WebSocket API.
async fn gone(_: Context, _: Parameters) -> Answer {
    Err(Problem::of(-1020, "This operation is not supported.").with_status(410))
}

fn rules_weight(parameters: &Parameters) -> u32 {
    match (parameters.has("symbol"), parameters.get("symbols")) {
        (true, _) => 2,
        (false, Some(symbols)) => (2 * symbols.split(',').count() as u32).min(40),
        (false, None) => 40,
    }
}

/// A decimal as the venue writes it: always eight places.
pub(super) fn fixed(amount: Decimal) -> String {
    let mut amount = amount.round_dp(PLACES);
    amount.rescale(PLACES);
    amount.to_string()
}

async fn account(context: Context, parameters: Parameters) -> Answer {
    let omit_zero = parameters.boolean("omitZeroBalances")?.unwrap_or(false);
    parameters.finish()?;
    let account = context.account()?;
    let work = move |desk: &mut Desk<'_>| (fees(desk), balances(desk, account, omit_zero), desk.exchange.balances_updated_at(account));
    let ((maker, taker), balances, updated_at) = context.read(work).await?;
    let permissions = context.key.as_ref().map(|key| key.permissions.clone()).unwrap_or_default();
    Ok(json!({
        "makerCommission": basis_points(maker),
        "takerCommission": basis_points(taker),
        "buyerCommission": 0,
        "sellerCommission": 0,
        "commissionRates": rates(maker, taker),
        "canTrade": permissions.spot_trading,
        "canWithdraw": permissions.withdrawals,
        "canDeposit": true,
        "brokered": false,
        "requireSelfTradePrevention": false,
        "preventSor": false,
        "updateTime": context.time(updated_at),
        "accountType": "SPOT",
        "balances": balances,
        "permissions": ["SPOT"],
        "uid": context.key.as_ref().map_or(0, |key| uid(key)),
    })
    .into())
}

/// The fees of the first symbol: an account has one rate, symbols may differ.
fn fees(desk: &Desk<'_>) -> (Ratio, Ratio) {
    desk.exchange.instrument(0).map_or((Ratio::default(), Ratio::default()), |instrument| (instrument.maker_fee, instrument.taker_fee))
}

fn balances(desk: &Desk<'_>, account: AccountId, omit_zero: bool) -> Vec<Value> {
    let balances = desk.exchange.balances(account).into_iter();
    let shown = balances.filter(|balance| !omit_zero || !balance.free.is_zero() || !balance.locked.is_zero());
    shown.map(|balance| json!({ "asset": balance.asset, "free": fixed(balance.free.0), "locked": fixed(balance.locked.0) })).collect()
}

fn basis_points(rate: Ratio) -> i64 {
    (rate.0 * Decimal::from(10_000)).round().to_i64().unwrap_or_default()
}

fn rates(maker: Ratio, taker: Ratio) -> Value {
    json!({ "maker": fixed(maker.0), "taker": fixed(taker.0), "buyer": fixed(Decimal::ZERO), "seller": fixed(Decimal::ZERO) })
}

/// A number that stays the account's own.
pub(super) fn uid(key: &Key) -> u32 {
    let hash = blake3::hash(key.account.as_bytes());
    u32::from_be_bytes([hash.as_bytes()[0] & 0x7f, hash.as_bytes()[1], hash.as_bytes()[2], hash.as_bytes()[3]])
}

async fn commission(context: Context, parameters: Parameters) -> Answer {
    let symbol = parameters.symbol()?;
    parameters.finish()?;
    let instrument = listed(&context, symbol).await?;
    let none = rates(Ratio::default(), Ratio::default());
    Ok(json!({
        "symbol": symbol,
        "standardCommission": rates(instrument.maker_fee, instrument.taker_fee),
        "specialCommission": none,
        "taxCommission": none,
        "discount": {
            "enabledForAccount": false,
            "enabledForSymbol": false,
            "discountAsset": "BNB",
            "discount": "0.75000000",
        },
    })
    .into())
}

async fn listed(context: &Context, symbol: Symbol) -> Result<Instrument, Problem> {
    let found = context.read(move |desk| {
        let index = desk.exchange.symbol_index(symbol)?;
        desk.exchange.instrument(index).cloned()
    });
    found.await?.ok_or(Problem::INVALID_SYMBOL)
}

async fn order_counts(context: Context, parameters: Parameters) -> Answer {
    parameters.finish()?;
    let rules = context.product().limits();
    let counts = context.venue.limits().orders(context.venue.true_now(), context.account()?);
    let rows: Vec<Value> = rules
        .orders
        .iter()
        .zip(counts)
        .map(|(interval, count)| {
            json!({
                "rateLimitType": "ORDERS",
                "interval": interval.unit,
                "intervalNum": interval.count,
                "limit": interval.max,
                "count": count,
            })
        })
        .collect();
    Json::of(&rows)
}

async fn my_filters(context: Context, parameters: Parameters) -> Answer {
    let symbol = parameters.symbol()?;
    parameters.finish()?;
    listed(&context, symbol).await?;
    Ok(json!({
        "exchangeFilters": [],
        "symbolFilters": [{ "filterType": "MAX_NUM_ORDER_LISTS", "maxNumOrderLists": ORDER_LISTS_MAX }],
        "assetFilters": [],
    })
    .into())
}

/// No symbol here has a price range of its own; each is listed with none.
async fn execution_rules(context: Context, parameters: Parameters) -> Answer {
    let wanted = match (parameters.optional_symbol()?, parameters.json::<Vec<Symbol>>("symbols")?) {
        (Some(_), Some(_)) => return Err(Problem::of(-1128, "Combination of optional parameters invalid.")),
        (Some(symbol), None) => Some(vec![symbol]),
        (None, symbols) => symbols,
    };
    let status = parameters.text("symbolStatus")?.map(str::to_owned);
    parameters.finish()?;
    let all =
        context.read(|desk| (0..).map_while(|index| desk.exchange.instrument(index)).map(|one| one.symbol).collect::<Vec<_>>()).await?;
    if wanted.iter().flatten().any(|symbol| !all.contains(symbol)) {
        return Err(Problem::INVALID_SYMBOL);
    }
    let shown = wanted.unwrap_or(all).into_iter().filter(|_| status.as_deref().is_none_or(|status| status == "TRADING"));
    let rules: Vec<Value> = shown.map(|symbol| json!({ "symbol": symbol, "rules": [] })).collect();
    Ok(json!({ "symbolRules": rules }).into())
}
