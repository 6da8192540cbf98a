//! Where Aster's addresses differ: its third version has the same questions under newer paths. The rows themselves are USD-M's; what
//! an order may be is in `wish`, what is told in `events`.

use crate::exchange::wire::Route;

/// Paths of the first two versions, and of the third.
const NEWER: [(&str, &str); 21] = [
    ("/fapi/v1/order", "/fapi/v3/order"),
    ("/fapi/v1/order/test", "/fapi/v3/order/test"),
    ("/fapi/v1/batchOrders", "/fapi/v3/batchOrders"),
    ("/fapi/v1/openOrder", "/fapi/v3/openOrder"),
    ("/fapi/v1/openOrders", "/fapi/v3/openOrders"),
    ("/fapi/v1/allOpenOrders", "/fapi/v3/allOpenOrders"),
    ("/fapi/v1/allOrders", "/fapi/v3/allOrders"),
    ("/fapi/v1/countdownCancelAll", "/fapi/v3/countdownCancelAll"),
    ("/fapi/v1/userTrades", "/fapi/v3/userTrades"),
    ("/fapi/v1/income", "/fapi/v3/income"),
    ("/fapi/v1/forceOrders", "/fapi/v3/forceOrders"),
    ("/fapi/v1/leverage", "/fapi/v3/leverage"),
    ("/fapi/v1/leverageBracket", "/fapi/v3/leverageBracket"),
    ("/fapi/v1/marginType", "/fapi/v3/marginType"),
    ("/fapi/v1/positionMargin", "/fapi/v3/positionMargin"),
    ("/fapi/v1/positionMargin/history", "/fapi/v3/positionMargin/history"),
    ("/fapi/v1/positionSide/dual", "/fapi/v3/positionSide/dual"),
    ("/fapi/v1/multiAssetsMargin", "/fapi/v3/multiAssetsMargin"),
    ("/fapi/v1/adlQuantile", "/fapi/v3/adlQuantile"),
    ("/fapi/v1/commissionRate", "/fapi/v3/commissionRate"),
    ("/fapi/v1/listenKey", "/fapi/v3/listenKey"),
];

/// The same row under its newer path, where it has one; it has no name of its own in the WebSocket API.
pub(super) fn newer(row: &Route) -> Option<Route> {
    let (_, path) = NEWER.iter().find(|(older, _)| *older == row.path)?;
    let mut newer = row.clone();
    newer.path = path;
    newer.methods.clear();
    Some(newer)
}
