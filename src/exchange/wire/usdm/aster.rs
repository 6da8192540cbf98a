//! Where Aster's addresses differ: its third version has the same questions under newer paths, public ones too. The rows themselves
//! are USD-M's; what an order may be is in `wish`, what is told in `events`.

use crate::exchange::wire::Route;

/// Paths of the first two versions, and of the third.
const NEWER: [(&str, &str); 36] = [
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
    ("/fapi/v2/account", "/fapi/v4/account"),
    ("/fapi/v3/account", "/fapi/v3/accountWithJoinMargin"),
    ("/fapi/v1/ping", "/fapi/v3/ping"),
    ("/fapi/v1/time", "/fapi/v3/time"),
    ("/fapi/v1/exchangeInfo", "/fapi/v3/exchangeInfo"),
    ("/fapi/v1/depth", "/fapi/v3/depth"),
    ("/fapi/v1/trades", "/fapi/v3/trades"),
    ("/fapi/v1/historicalTrades", "/fapi/v3/historicalTrades"),
    ("/fapi/v1/aggTrades", "/fapi/v3/aggTrades"),
    ("/fapi/v1/klines", "/fapi/v3/klines"),
    ("/fapi/v1/premiumIndex", "/fapi/v3/premiumIndex"),
    ("/fapi/v1/fundingRate", "/fapi/v3/fundingRate"),
    ("/fapi/v1/ticker/24hr", "/fapi/v3/ticker/24hr"),
    ("/fapi/v1/ticker/price", "/fapi/v3/ticker/price"),
    ("/fapi/v1/ticker/bookTicker", "/fapi/v3/ticker/bookTicker"),
];

/// The rows, and those of them that have a newer path under that as well.
#[must_use]
pub fn with_newer_paths(mut rows: Vec<Route>) -> Vec<Route> {
    let newer = Route::renamed(&rows, &NEWER);
    rows.extend(newer);
    rows
}
