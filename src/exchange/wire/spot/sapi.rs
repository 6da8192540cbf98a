//! The `/sapi` routes that clients call at start-up, as far as an exchange that keeps spot and USD-M wallets alone can answer
//! them: keys, coins, fees, status. No margin pairs, no deposits, no withdrawals.

use serde_json::json;

use crate::exchange::wire::{Answer, Context, Parameters, Route, Security};

pub(super) fn routes() -> Vec<Route> {
    vec![Route::get("/sapi/v1/system/status", Security::None, system_status)]
}

async fn system_status(_: Context, _: Parameters) -> Answer {
    Ok(json!({ "status": 0, "msg": "normal" }).into())
}
