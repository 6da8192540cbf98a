//! What an account sets: leverage, margin type, position mode, multi-assets mode, the margin of an isolated position, how fees are
//! paid.

use std::sync::Arc;
use std::time::Duration;

use rust_decimal::Decimal;
use serde_json::{Value, json};

use crate::domain::money::Money;
use crate::exchange::core::Reject;
use crate::exchange::core::margin::{MarginAdjustment, MarginType};
use crate::exchange::wire::{Answer, Context, Json, Parameters, Problem, Route, Security};

use super::orders::{Window, limit, scales};
use super::text::MONEY;
use super::wish::{position_side, within};
use super::{Usdm, with};

/// Changes of isolated margin can be asked for so far back.
const ADJUSTMENTS_WINDOW: Duration = Duration::from_secs(30 * 86_400);
const ADJUSTMENTS_LIMIT: usize = 500;
const DONE: &str = r#"{"code":200,"msg":"success"}"#;

pub(super) fn routes(usdm: &Arc<Usdm>) -> Vec<Route> {
    let (signed, trade) = (Security::Signed, Security::Trade);
    vec![
        Route::post("/fapi/v1/leverage", trade, leverage),
        Route::post("/fapi/v1/marginType", trade, margin_type),
        Route::post("/fapi/v1/positionMargin", trade, position_margin),
        Route::get("/fapi/v1/positionMargin/history", signed, margin_history),
        Route::post("/fapi/v1/positionSide/dual", trade, set_dual),
        Route::get("/fapi/v1/positionSide/dual", signed, dual).weight(30),
        Route::post("/fapi/v1/multiAssetsMargin", trade, set_multi_assets),
        Route::get("/fapi/v1/multiAssetsMargin", signed, multi_assets).weight(30),
        Route::post("/fapi/v1/feeBurn", trade, with(usdm, set_fee_burn)),
        Route::get("/fapi/v1/feeBurn", signed, with(usdm, fee_burn)).weight(30),
    ]
}

fn done(result: Result<(), Reject>) -> Answer {
    result.map(|()| Json::raw(DONE.to_owned())).map_err(|reject| Problem::rejected(reject, false))
}

async fn leverage(context: Context, parameters: Parameters) -> Answer {
    let symbol = parameters.symbol()?;
    let leverage: u32 = parameters.required_integer("leverage")?;
    parameters.finish()?;
    let invalid = Problem::said(-4028, format!("Leverage {leverage} is not valid"));
    let leverage = u8::try_from(leverage).map_err(|_| invalid.clone())?;
    let account = context.account()?;
    let changed = context.call(move |desk| desk.exchange.change_leverage(desk.now, account, symbol, leverage)).await?;
    let most =
        changed.map_err(|reject| Problem::rejected(reject, false)).map_err(|no| if no.code == invalid.code { invalid } else { no })?;
    Ok(json!({ "leverage": leverage, "maxNotionalValue": most, "symbol": symbol }).into())
}

async fn margin_type(context: Context, parameters: Parameters) -> Answer {
    let symbol = parameters.symbol()?;
    let to: MarginType = match parameters.required("marginType")? {
        // The word that version two of the positions uses, which clients send back.
        "CROSS" => MarginType::Crossed,
        word => word.parse().map_err(|_| Problem::invalid("marginType"))?,
    };
    parameters.finish()?;
    let account = context.account()?;
    done(context.call(move |desk| desk.exchange.change_margin_type(desk.now, account, symbol, to)).await?)
}

async fn position_margin(context: Context, parameters: Parameters) -> Answer {
    let symbol = parameters.symbol()?;
    let side = position_side(&parameters)?;
    let amount = within(parameters.required_decimal("amount")?, MONEY)?;
    let adds = adds(&parameters)?.ok_or_else(|| Problem::missing("type"))?;
    parameters.finish()?;
    if amount <= Decimal::ZERO {
        return Err(Problem::of(-4055, "Amount must be positive."));
    }
    let account = context.account()?;
    let delta = Money(if adds { amount } else { -amount });
    let changed = context.call(move |desk| desk.exchange.adjust_margin(desk.now, account, symbol, side, delta)).await?;
    changed.map_err(|reject| Problem::rejected(reject, false))?;
    let kind = type_of(adds);
    Ok(Json::raw(format!(r#"{{"amount":{},"code":200,"msg":"Successfully modify position margin.","type":{kind}}}"#, amount.normalize())))
}

/// 1 adds, 2 takes out.
fn adds(parameters: &Parameters) -> Result<Option<bool>, Problem> {
    match parameters.integer::<u8>("type")? {
        None => Ok(None),
        Some(1) => Ok(Some(true)),
        Some(2) => Ok(Some(false)),
        Some(_) => Err(Problem::invalid("type")),
    }
}

const fn type_of(adds: bool) -> u8 {
    if adds { 1 } else { 2 }
}

async fn margin_history(context: Context, parameters: Parameters) -> Answer {
    let symbol = parameters.symbol()?;
    let wanted = adds(&parameters)?;
    let window = Window::read(&parameters, context.now, ADJUSTMENTS_WINDOW)?;
    let limit = limit(&parameters, ADJUSTMENTS_LIMIT, ADJUSTMENTS_LIMIT)?;
    parameters.finish()?;
    let account = context.account()?;
    let rows = context.read(move |desk| {
        scales(desk.exchange, symbol)?;
        let asset = desk.exchange.margin_asset();
        let meant = |change: &&MarginAdjustment| window.has(change.at) && wanted.is_none_or(|adds| adds == change.amount.is_positive());
        let rows = desk.exchange.margin_adjustments(account, symbol).filter(meant);
        let rows: Vec<Value> = rows
            .map(|change| {
                json!({
                    "symbol": change.symbol,
                    "type": type_of(change.amount.is_positive()),
                    "deltaType": "USER_ADJUST",
                    "amount": change.amount.abs(),
                    "asset": asset,
                    "time": change.at.as_millis(),
                    "positionSide": change.position_side,
                })
            })
            .collect();
        Ok::<_, Problem>(window.page(rows, limit))
    });
    Json::of(&rows.await??)
}

async fn set_dual(context: Context, parameters: Parameters) -> Answer {
    let hedge = parameters.boolean("dualSidePosition")?.ok_or_else(|| Problem::missing("dualSidePosition"))?;
    parameters.finish()?;
    let account = context.account()?;
    done(context.call(move |desk| desk.exchange.change_position_mode(account, hedge)).await?)
}

async fn dual(context: Context, parameters: Parameters) -> Answer {
    parameters.finish()?;
    let account = context.account()?;
    let hedge = context.read(move |desk| desk.exchange.is_hedged(account)).await?.ok_or(Problem::KEY_REFUSED)?;
    Ok(json!({ "dualSidePosition": hedge }).into())
}

async fn set_multi_assets(context: Context, parameters: Parameters) -> Answer {
    let on = parameters.boolean("multiAssetsMargin")?.ok_or_else(|| Problem::missing("multiAssetsMargin"))?;
    parameters.finish()?;
    let account = context.account()?;
    done(context.call(move |desk| desk.exchange.change_multi_assets(desk.now, account, on)).await?)
}

async fn multi_assets(context: Context, parameters: Parameters) -> Answer {
    parameters.finish()?;
    let account = context.account()?;
    let on = context.read(move |desk| desk.exchange.has_multi_assets(account)).await?.ok_or(Problem::KEY_REFUSED)?;
    Ok(json!({ "multiAssetsMargin": on }).into())
}

async fn set_fee_burn(usdm: Arc<Usdm>, context: Context, parameters: Parameters) -> Answer {
    let on = parameters.boolean("feeBurn")?.ok_or_else(|| Problem::missing("feeBurn"))?;
    parameters.finish()?;
    usdm.burn_fees(context.account()?, on);
    Ok(Json::raw(DONE.to_owned()))
}

async fn fee_burn(usdm: Arc<Usdm>, context: Context, parameters: Parameters) -> Answer {
    parameters.finish()?;
    Ok(json!({ "feeBurn": usdm.burns_fees(context.account()?) }).into())
}
