//! Questions about an account: its balances, its positions, its settings.

use std::sync::Arc;

use serde_json::{Value, json};

use crate::domain::ids::{AccountId, Symbol};
use crate::exchange::core::Exchange;
use crate::exchange::core::margin::{Bracket, PositionRisk, SymbolSettings};
use crate::exchange::wire::{Answer, Context, Json, Parameters, Problem, Route, Security};

use super::account_json::{AccountJson, BalanceJson, Permissions, RiskJson, Version};
use super::orders::scales;
use super::text::{Plain, Scales};
use super::{Usdm, with};

pub(super) fn routes(usdm: &Arc<Usdm>) -> Vec<Route> {
    let signed = Security::Signed;
    vec![
        Route::get("/fapi/v2/account", signed, with(usdm, account_two)).weight(5).method("account.status"),
        Route::get("/fapi/v3/account", signed, with(usdm, account_three)).weight(5).method("v2/account.status"),
        Route::get("/fapi/v2/balance", signed, balance).weight(5).method("account.balance"),
        Route::get("/fapi/v3/balance", signed, balance).weight(5).method("v2/account.balance"),
        Route::get("/fapi/v1/positionRisk", signed, risk_two).weight(5),
        Route::get("/fapi/v2/positionRisk", signed, risk_two).weight(5).method("account.position"),
        Route::get("/fapi/v3/positionRisk", signed, risk_three).weight(5).method("v2/account.position"),
        Route::get("/fapi/v1/adlQuantile", signed, adl_quantile).weight(5),
        Route::get("/fapi/v1/symbolConfig", signed, symbol_config).weight(5),
        Route::get("/fapi/v1/accountConfig", signed, account_config).weight(5),
        Route::get("/fapi/v1/leverageBracket", signed, leverage_bracket),
        Route::get("/fapi/v1/commissionRate", signed, commission_rate).weight(20),
        Route::get("/fapi/v1/rateLimit/order", signed, rate_limit),
        Route::get("/fapi/v1/apiTradingStatus", signed, trading_status),
        Route::get("/fapi/v1/pmAccountInfo", signed, portfolio_margin).weight(5),
    ]
}

async fn account_two(usdm: Arc<Usdm>, context: Context, parameters: Parameters) -> Answer {
    account(&usdm, &context, &parameters, Version::Two).await
}

async fn account_three(usdm: Arc<Usdm>, context: Context, parameters: Parameters) -> Answer {
    account(&usdm, &context, &parameters, Version::Three).await
}

async fn account(usdm: &Usdm, context: &Context, parameters: &Parameters, version: Version) -> Answer {
    parameters.finish()?;
    let (account, now, fee_burn) = (context.account()?, context.now, usdm.burns_fees(context.account()?));
    let shown = context.read(move |desk| {
        let margin = desk.exchange.account_margin(account).ok_or(Problem::KEY_REFUSED)?;
        Ok::<_, Problem>(AccountJson::of(&margin, version, fee_burn, now, digits(desk.exchange)))
    });
    Json::of(&shown.await??)
}

/// Invariant: what an account holds is of a listed symbol.
fn digits(exchange: &Exchange) -> impl Fn(Symbol) -> Scales {
    |symbol| scales(exchange, symbol).unwrap_or(Scales { price: 0, quantity: 0 })
}

async fn balance(context: Context, parameters: Parameters) -> Answer {
    parameters.finish()?;
    let account = context.account()?;
    let assets = context.read(move |desk| desk.exchange.account_margin(account).map(|margin| margin.assets)).await?;
    let assets = assets.ok_or(Problem::KEY_REFUSED)?;
    let rows: Vec<BalanceJson<'_>> = assets.iter().map(|asset| BalanceJson::of(asset, account.as_str(), context.now)).collect();
    Json::of(&rows)
}

async fn risk_two(context: Context, parameters: Parameters) -> Answer {
    risk(&context, &parameters, Version::Two).await
}

async fn risk_three(context: Context, parameters: Parameters) -> Answer {
    risk(&context, &parameters, Version::Three).await
}

async fn risk(context: &Context, parameters: &Parameters, version: Version) -> Answer {
    let symbol = parameters.optional_symbol()?;
    parameters.finish()?;
    let account = context.account()?;
    let rows = context.read(move |desk| {
        let positions = positions(desk.exchange, account, symbol)?;
        let shown = positions.iter().filter(|position| version == Version::Two || position.is_active);
        let digits = digits(desk.exchange);
        Ok::<_, Problem>(shown.map(|position| RiskJson::of(position, digits(position.symbol), version)).collect::<Vec<_>>())
    });
    Json::of(&rows.await??)
}

fn positions(exchange: &Exchange, account: AccountId, symbol: Option<Symbol>) -> Result<Vec<PositionRisk>, Problem> {
    if let Some(symbol) = symbol {
        scales(exchange, symbol)?;
    }
    Ok(exchange.position_risks(account, symbol))
}

async fn adl_quantile(context: Context, parameters: Parameters) -> Answer {
    let symbol = parameters.optional_symbol()?;
    parameters.finish()?;
    let account = context.account()?;
    let positions = context.read(move |desk| positions(desk.exchange, account, symbol)).await??;
    let mut rows: Vec<Value> = Vec::new();
    for position in positions.iter().filter(|position| !position.quantity.is_zero()) {
        let symbol = json!(position.symbol);
        let at = rows.iter().position(|row| row["symbol"] == symbol).unwrap_or_else(|| {
            // A position of either mode shows all three words.
            rows.push(json!({ "symbol": symbol, "adlQuantile": { "LONG": 0, "SHORT": 0, "BOTH": 0 } }));
            rows.len() - 1
        });
        rows[at]["adlQuantile"][position.position_side.to_string()] = json!(position.adl_quantile);
    }
    Json::of(&rows)
}

async fn symbol_config(context: Context, parameters: Parameters) -> Answer {
    let symbol = parameters.optional_symbol()?;
    parameters.finish()?;
    let account = context.account()?;
    let rows = context.read(move |desk| {
        let symbols = match symbol {
            Some(symbol) => {
                scales(desk.exchange, symbol)?;
                vec![symbol]
            }
            None => desk.exchange.symbols().collect(),
        };
        let settings = symbols.into_iter().filter_map(|symbol| desk.exchange.symbol_settings(account, symbol));
        Ok::<_, Problem>(settings.map(|settings| symbol_row(&settings)).collect::<Vec<_>>())
    });
    Json::of(&rows.await??)
}

fn symbol_row(settings: &SymbolSettings) -> Value {
    json!({
        "symbol": settings.symbol,
        "marginType": if settings.isolated { "ISOLATED" } else { "CROSSED" },
        "isAutoAddMargin": false,
        "leverage": settings.leverage,
        "maxNotionalValue": settings.notional_max,
    })
}

async fn account_config(context: Context, parameters: Parameters) -> Answer {
    parameters.finish()?;
    let account = context.account()?;
    let modes = context.read(move |desk| Some((desk.exchange.has_multi_assets(account)?, desk.exchange.is_hedged(account)?))).await?;
    let (multi_assets, hedge) = modes.ok_or(Problem::KEY_REFUSED)?;
    Json::of(&Permissions::of_config(multi_assets, hedge))
}

async fn leverage_bracket(context: Context, parameters: Parameters) -> Answer {
    let symbol = parameters.optional_symbol()?;
    parameters.finish()?;
    let rows = context.read(move |desk| {
        let symbols = symbol.map_or_else(|| desk.exchange.symbols().collect(), |symbol| vec![symbol]);
        let row = |symbol: Symbol| {
            let brackets = desk.exchange.brackets(symbol).ok_or(Problem::INVALID_SYMBOL)?;
            let brackets = brackets.iter().map(bracket).collect::<Result<Vec<_>, _>>()?;
            Ok(json!({ "symbol": symbol, "notionalCoef": 1, "brackets": brackets }))
        };
        symbols.into_iter().map(row).collect::<Result<Vec<Value>, Problem>>()
    });
    Json::of(&rows.await??)
}

/// These are numbers and not texts; their digits are kept all the same.
fn bracket(bracket: &Bracket) -> Result<Value, Problem> {
    let number =
        |number: rust_decimal::Decimal| serde_json::from_str::<Value>(&number.normalize().to_string()).map_err(|_| Problem::UNKNOWN);
    Ok(json!({
        "bracket": bracket.bracket,
        "initialLeverage": bracket.leverage_max,
        "notionalCap": number(bracket.notional_cap.0)?,
        "notionalFloor": number(bracket.notional_floor.0)?,
        "maintMarginRatio": number(bracket.maintenance.0)?,
        "cum": number(bracket.cumulative.0)?,
    }))
}

async fn commission_rate(context: Context, parameters: Parameters) -> Answer {
    let symbol = parameters.symbol()?;
    parameters.finish()?;
    let fees = context.read(move |desk| {
        let instrument = desk.exchange.symbol_index(symbol).and_then(|index| desk.exchange.instrument(index))?;
        Some((instrument.maker_fee, instrument.taker_fee))
    });
    let (maker, taker) = fees.await?.ok_or(Problem::INVALID_SYMBOL)?;
    Ok(json!({
        "symbol": symbol,
        "makerCommissionRate": Plain(maker.0),
        "takerCommissionRate": Plain(taker.0),
        "rpiCommissionRate": Plain(maker.0),
    })
    .into())
}

async fn rate_limit(context: Context, parameters: Parameters) -> Answer {
    parameters.finish()?;
    let row = |interval: &crate::exchange::wire::limits::OrderInterval| json!({ "rateLimitType": "ORDERS", "interval": interval.unit, "intervalNum": interval.count, "limit": interval.max });
    Json::of(&context.product().limits().orders.iter().map(row).collect::<Vec<_>>())
}

async fn trading_status(context: Context, parameters: Parameters) -> Answer {
    let _any = parameters.optional_symbol()?;
    parameters.finish()?;
    // Nobody is under quantitative rules here.
    Ok(json!({ "indicators": {}, "updateTime": context.now.as_millis() }).into())
}

async fn portfolio_margin(_: Context, parameters: Parameters) -> Answer {
    let _asset = parameters.required("asset")?;
    parameters.finish()?;
    Err(Problem::of(-21_001, "User is not Portfolio Margin Account."))
}
