//! The `/sapi` routes that clients call at start-up, as far as an exchange that keeps spot and USD-M wallets alone can answer
//! them: keys, coins, fees, status. No margin pairs, no deposits, no withdrawals, and no coin-margined contracts, after which some
//! ask before they trade anything else. USD-M answers them too, so that one address is enough for a client; its coins are then those
//! of its own wallets.

use std::collections::BTreeMap;

use rust_decimal::Decimal;
use serde_json::{Value, json};

use crate::domain::ids::{AccountId, Asset, Symbol};
use crate::exchange::shell::Desk;
use crate::exchange::wire::{Answer, Context, Json, Parameters, Problem, Route, Security};

use super::account::fixed;

/// Every row, for either product.
#[must_use]
pub fn routes() -> Vec<Route> {
    vec![
        Route::get("/sapi/v1/system/status", Security::None, system_status),
        Route::get("/sapi/v1/account/status", Security::Signed, account_status),
        Route::get("/sapi/v1/account/apiTradingStatus", Security::Signed, trading_status),
        Route::get("/sapi/v1/account/apiRestrictions", Security::Signed, restrictions),
        Route::get("/sapi/v1/account/info", Security::Signed, account_info),
        Route::get("/sapi/v1/capital/config/getall", Security::Signed, coins).weight(10),
        Route::get("/sapi/v1/asset/tradeFee", Security::Signed, trade_fees),
        Route::post("/sapi/v3/asset/getUserAsset", Security::Signed, assets).weight(5),
        Route::post("/sapi/v1/asset/get-funding-asset", Security::Signed, nothing),
        Route::get("/sapi/v1/margin/allPairs", Security::Key, nothing),
        Route::get("/sapi/v1/margin/isolated/allPairs", Security::Key, nothing).weight(10),
        Route::get("/sapi/v1/capital/deposit/hisrec", Security::Signed, nothing),
        Route::get("/sapi/v1/capital/withdraw/history", Security::Signed, nothing),
        Route::get("/sapi/v1/asset/transfer", Security::Signed, no_rows),
        Route::get("/dapi/v1/exchangeInfo", Security::None, no_contracts),
    ]
}

async fn system_status(_: Context, _: Parameters) -> Answer {
    Ok(json!({ "status": 0, "msg": "normal" }).into())
}

async fn account_status(_: Context, _: Parameters) -> Answer {
    Ok(json!({ "data": "Normal" }).into())
}

async fn nothing(_: Context, _: Parameters) -> Answer {
    Ok(json!([]).into())
}

async fn no_rows(_: Context, _: Parameters) -> Answer {
    Ok(json!({ "total": 0, "rows": [] }).into())
}

async fn no_contracts(context: Context, _: Parameters) -> Answer {
    let server_time = context.time(context.now);
    Ok(json!({ "timezone": "UTC", "serverTime": server_time, "rateLimits": [], "exchangeFilters": [], "symbols": [] }).into())
}

async fn account_info(_: Context, _: Parameters) -> Answer {
    Ok(json!({ "vipLevel": 0, "isMarginEnabled": false, "isFutureEnabled": true, "isOptionsEnabled": false }).into())
}

async fn trading_status(_: Context, _: Parameters) -> Answer {
    Ok(json!({
        "data": { "isLocked": false, "plannedRecoverTime": 0, "triggerCondition": { "GCR": 150, "IFER": 150, "UFR": 300 }, "updateTime": 0 },
    })
    .into())
}

/// What the key may do: what a careful client looks at before it trades.
async fn restrictions(context: Context, _: Parameters) -> Answer {
    let key = context.key.as_ref().ok_or(Problem::KEY_FORMAT)?;
    let may = &key.permissions;
    Ok(json!({
        "ipRestrict": !may.addresses.is_empty(),
        "createTime": key.created_at.as_millis(),
        "enableReading": may.reading,
        "enableWithdrawals": may.withdrawals,
        "enableInternalTransfer": may.transfers,
        "enableMargin": false,
        "enableFutures": may.futures,
        "permitsUniversalTransfer": may.transfers,
        "enableVanillaOptions": false,
        "enableFixApiTrade": false,
        "enableFixReadOnly": false,
        "enableSpotAndMarginTrading": may.spot_trading,
        "enablePortfolioMarginTrading": false,
    })
    .into())
}

async fn coins(context: Context, _: Parameters) -> Answer {
    let account = context.account()?;
    let held = context.read(move |desk| held(desk, account)).await?;
    let coins: Vec<Value> = held.into_iter().map(|(asset, (free, locked))| coin(asset, free, locked)).collect();
    Json::of(&coins)
}

fn coin(asset: Asset, free: Decimal, locked: Decimal) -> Value {
    let zero = fixed(Decimal::ZERO);
    json!({
        "coin": asset,
        "name": asset,
        "depositAllEnable": false,
        "withdrawAllEnable": false,
        "free": fixed(free),
        "locked": fixed(locked),
        "freeze": zero,
        "withdrawing": zero,
        "ipoing": zero,
        "ipoable": zero,
        "storage": zero,
        "isLegalMoney": false,
        "trading": true,
        // No network: nothing leaves this exchange. One entry all the same, as clients take the coin's precision from it.
        "networkList": [{
            "network": asset,
            "coin": asset,
            "name": asset,
            "isDefault": true,
            "depositEnable": false,
            "withdrawEnable": false,
            "depositDesc": "",
            "withdrawDesc": "",
            "specialTips": "",
            "addressRegex": "",
            "memoRegex": "",
            "withdrawFee": "0",
            "withdrawMin": "0",
            "withdrawMax": "0",
            "withdrawIntegerMultiple": "0.00000001",
            "minConfirm": 1,
            "unLockConfirm": 0,
            "resetAddressStatus": false,
        }],
    })
}

/// Free and locked of every asset that the exchange knows.
fn held(desk: &Desk<'_>, account: AccountId) -> BTreeMap<Asset, (Decimal, Decimal)> {
    let exchange = &desk.exchange;
    if let Some(margin) = exchange.account_margin(account).filter(|_| !exchange.is_spot_engine()) {
        return margin.assets.iter().map(|asset| (asset.asset, (asset.available.0, Decimal::ZERO))).collect();
    }
    exchange.balances(account).into_iter().map(|balance| (balance.asset, (balance.free.0, balance.locked.0))).collect()
}

async fn assets(context: Context, parameters: Parameters) -> Answer {
    let only: Option<Asset> = parameters.text("asset")?.map(|name| Asset::new(name).map_err(|_| Problem::invalid("asset"))).transpose()?;
    let account = context.account()?;
    let held = context.read(move |desk| held(desk, account)).await?;
    let zero = fixed(Decimal::ZERO);
    let shown = held.into_iter().filter(|(asset, (free, locked))| only.map_or(!free.is_zero() || !locked.is_zero(), |only| only == *asset));
    let rows: Vec<Value> = shown
        .map(|(asset, (free, locked))| {
            json!({
                "asset": asset, "free": fixed(free), "locked": fixed(locked),
                "freeze": zero, "withdrawing": zero, "ipoable": zero, "btcValuation": "0",
            })
        })
        .collect();
    Json::of(&rows)
}

async fn trade_fees(context: Context, parameters: Parameters) -> Answer {
    let only = parameters.optional_symbol()?;
    let fees: Vec<(Symbol, Decimal, Decimal)> = context
        .read(move |desk| {
            let listed = (0..).map_while(|index| desk.exchange.instrument(index));
            listed
                .filter(|instrument| only.is_none_or(|only| only == instrument.symbol))
                .map(|instrument| (instrument.symbol, instrument.maker_fee.0, instrument.taker_fee.0))
                .collect()
        })
        .await?;
    if only.is_some() && fees.is_empty() {
        return Err(Problem::INVALID_SYMBOL);
    }
    let rows: Vec<Value> = fees
        .into_iter()
        .map(|(symbol, maker, taker)| {
            json!({ "symbol": symbol, "makerCommission": maker.normalize().to_string(), "takerCommission": taker.normalize().to_string() })
        })
        .collect();
    Json::of(&rows)
}
