//! Listen keys over HTTP and the WebSocket API: made, renewed, ended with an API key alone.

use std::sync::Arc;

use serde_json::json;

use crate::exchange::wire::{Answer, Context, Json, Parameters, Problem, Route, Security};

use super::{Usdm, with};

const NO_LISTEN_KEY: Problem =
    Problem::of(-1125, "This listenKey does not exist. Please use `POST /fapi/v1/listenKey` to recreate `listenKey`");

pub(super) fn routes(usdm: &Arc<Usdm>) -> Vec<Route> {
    let key = Security::Key;
    vec![
        Route::post("/fapi/v1/listenKey", key, with(usdm, start)).method("userDataStream.start"),
        Route::put("/fapi/v1/listenKey", key, with(usdm, renew)).method("userDataStream.ping"),
        Route::delete("/fapi/v1/listenKey", key, with(usdm, end)).method("userDataStream.stop"),
    ]
}

async fn start(usdm: Arc<Usdm>, context: Context, parameters: Parameters) -> Answer {
    parameters.finish()?;
    let account = context.account()?;
    let key = usdm.listen_keys().open(context.now, account, || usdm.names.listen_key()).to_owned();
    Ok(json!({ "listenKey": key }).into())
}

async fn renew(usdm: Arc<Usdm>, context: Context, parameters: Parameters) -> Answer {
    // The key is the account's, whether it is named or not.
    parameters.ignore(&["listenKey"]);
    parameters.finish()?;
    let account = context.account()?;
    let renewed = usdm.listen_keys().renew(context.now, account).map(str::to_owned);
    renewed.map(|key| json!({ "listenKey": key }).into()).map_err(|_| NO_LISTEN_KEY)
}

async fn end(usdm: Arc<Usdm>, context: Context, parameters: Parameters) -> Answer {
    parameters.ignore(&["listenKey"]);
    parameters.finish()?;
    let account = context.account()?;
    let closed = usdm.listen_keys().close(context.now, account).map_err(|_| NO_LISTEN_KEY)?;
    usdm.leave(&closed);
    Ok(Json::empty_object())
}
