//! What each product of the Binance family can do and where: one row of capabilities and one table of endpoints each. Everything that
//! differs between spot, USD-M and Aster stands here; the code that asks and answers reads it and has no `if spot` of its own.
//!
//! Figures are the documents' (spot 2026-07-21, USD-M 2026-05-28, Aster 2026-06-30). Limits that count are those of the venue's
//! `exchangeInfo`; the ones here hold until it has been read.

use std::time::Duration;

use super::request::Method;
use crate::domain::instrument::InstrumentKind;

/// A trading interface that speaks this dialect.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord, strum::Display, strum::EnumIter, strum::EnumString)]
#[strum(serialize_all = "snake_case")]
pub enum Product {
    BinanceSpot,
    BinanceUsdm,
    /// Keys and HMAC as Binance; old keys only.
    AsterV1,
    /// Agents and typed-data signatures.
    AsterV3,
}

/// How an order is made that must not take.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum PostOnly {
    /// A type of its own, without time in force.
    LimitMaker,
    /// Time in force of a limit order.
    Gtx,
}

/// Where an order goes that waits for a trigger.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Conditional {
    /// With the others; types `STOP_LOSS`, `STOP_LOSS_LIMIT`, `TAKE_PROFIT`, `TAKE_PROFIT_LIMIT`.
    Spot,
    /// With the others; types `STOP_MARKET`, `STOP`, `TAKE_PROFIT_MARKET`, `TAKE_PROFIT`.
    Futures,
    /// To a service of its own, with ids of its own; the same types. When it triggers an ordinary order appears.
    AlgoService,
}

/// How an account's events are heard.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum UserStream {
    /// A subscription of the WebSocket API, which ends with its connection.
    Subscription,
    /// A listen key, which must be kept alive, on the stream host: under `/private` where it is routed.
    ListenKey { routed: bool },
}

/// How a request is signed.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Signing {
    Binance,
    AsterAgent,
}

/// What a product can do.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Capabilities {
    pub kind: InstrumentKind,
    pub signing: Signing,
    pub post_only: PostOnly,
    pub conditional: Conditional,
    pub user_stream: UserStream,
    /// The parameter that says what becomes of an order that would trade with one's own.
    pub self_trade_prevention: &'static str,
    pub reduce_only: bool,
    pub leverage: bool,
    /// Long and short legs beside each other.
    pub hedge: bool,
    /// Orders are cancelled by the venue when nobody says otherwise in time.
    pub dead_man: bool,
    pub good_till_date: bool,
    pub modify: bool,
    /// Orders in one request; 1 where there is no such request.
    pub batch_place_max: u8,
    pub batch_cancel_max: u8,
    /// The venue answers for every symbol at once; otherwise each is asked by itself.
    pub open_orders_of_all: bool,
    /// Trades in one answer, and how long a time they may be asked for at once.
    pub trades_max: u16,
    pub trades_window: Duration,
    /// What the venue shows beside holdings is cash, and a holding has no entry price.
    pub holdings: bool,
    pub weight_per_minute: u32,
    /// Orders of one account in each of these times.
    pub order_limits: [(Duration, u32); 2],
    /// Any answer of 500 and above leaves the outcome open; otherwise the texts of 503 tell.
    pub server_errors_unknown: bool,
}

const TEN_SECONDS: Duration = Duration::from_secs(10);
const MINUTE: Duration = Duration::from_secs(60);
const DAY: Duration = Duration::from_secs(86_400);

const BINANCE_SPOT: Capabilities = Capabilities {
    kind: InstrumentKind::Spot,
    signing: Signing::Binance,
    post_only: PostOnly::LimitMaker,
    conditional: Conditional::Spot,
    user_stream: UserStream::Subscription,
    self_trade_prevention: "selfTradePreventionMode",
    reduce_only: false,
    leverage: false,
    hedge: false,
    dead_man: false,
    good_till_date: false,
    modify: false,
    batch_place_max: 1,
    batch_cancel_max: 1,
    open_orders_of_all: true,
    trades_max: 1_000,
    trades_window: DAY,
    holdings: true,
    weight_per_minute: 6_000,
    order_limits: [(TEN_SECONDS, 100), (DAY, 200_000)],
    server_errors_unknown: true,
};

const BINANCE_USDM: Capabilities = Capabilities {
    kind: InstrumentKind::Perpetual,
    signing: Signing::Binance,
    post_only: PostOnly::Gtx,
    conditional: Conditional::AlgoService,
    user_stream: UserStream::ListenKey { routed: true },
    self_trade_prevention: "selfTradePreventionMode",
    reduce_only: true,
    leverage: true,
    hedge: true,
    dead_man: true,
    good_till_date: true,
    modify: true,
    batch_place_max: 5,
    batch_cancel_max: 10,
    open_orders_of_all: true,
    trades_max: 1_000,
    trades_window: Duration::from_secs(7 * 86_400),
    holdings: false,
    weight_per_minute: 2_400,
    order_limits: [(TEN_SECONDS, 300), (MINUTE, 1_200)],
    server_errors_unknown: false,
};

const ASTER: Capabilities = Capabilities {
    conditional: Conditional::Futures,
    user_stream: UserStream::ListenKey { routed: false },
    self_trade_prevention: "stpMode",
    good_till_date: false,
    modify: false,
    // One limit is documented, by the minute.
    order_limits: [(TEN_SECONDS, 300), (MINUTE, 1_200)],
    // "503 … the execution status is UNKNOWN", and nothing is said of the texts.
    server_errors_unknown: true,
    ..BINANCE_USDM
};

const ASTER_V3: Capabilities = Capabilities { signing: Signing::AsterAgent, modify: true, ..ASTER };

/// What a request must carry.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Security {
    None,
    /// The API key alone.
    Key,
    Signed,
}

/// Everything that is asked of a venue.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, strum::EnumIter)]
pub enum Route {
    Ping,
    Time,
    ExchangeInfo,
    Depth,
    Klines,
    Price,
    PlaceOrder,
    TestOrder,
    ModifyOrder,
    CancelOrder,
    CancelAll,
    QueryOrder,
    OpenOrders,
    AllOrders,
    PlaceBatch,
    CancelBatch,
    UserTrades,
    Account,
    Balance,
    Positions,
    Income,
    LeverageBrackets,
    Commission,
    SymbolConfig,
    AccountConfig,
    SetLeverage,
    SetMarginType,
    PositionMode,
    SetPositionMode,
    MultiAssetsMode,
    CountdownCancelAll,
    CreateListenKey,
    KeepListenKey,
    CloseListenKey,
    PlaceAlgo,
    CancelAlgo,
    CancelAllAlgo,
    QueryAlgo,
    OpenAlgos,
    AllAlgos,
    /// What the key may do; on the spot host, whatever the product.
    KeyPermissions,
}

/// Where and how one thing is asked, and what it costs in its cheapest form.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Endpoint {
    pub route: Route,
    pub method: Method,
    pub path: &'static str,
    pub security: Security,
    pub weight: u32,
    pub orders: u32,
}

macro_rules! endpoints {
    ($($route:ident $method:ident $path:literal $security:ident $weight:literal $orders:literal),* $(,)?) => {
        &[$(Endpoint {
            route: Route::$route,
            method: Method::$method,
            path: $path,
            security: Security::$security,
            weight: $weight,
            orders: $orders,
        }),*]
    };
}

#[rustfmt::skip]
const SPOT_ENDPOINTS: &[Endpoint] = endpoints![
    Ping             Get    "/api/v3/ping"                 None   1  0,
    Time             Get    "/api/v3/time"                 None   1  0,
    ExchangeInfo     Get    "/api/v3/exchangeInfo"         None   20 0,
    Depth            Get    "/api/v3/depth"                None   5  0,
    Klines           Get    "/api/v3/klines"               None   2  0,
    Price            Get    "/api/v3/ticker/price"         None   2  0,
    PlaceOrder       Post   "/api/v3/order"                Signed 1  1,
    TestOrder        Post   "/api/v3/order/test"           Signed 1  0,
    CancelOrder      Delete "/api/v3/order"                Signed 1  0,
    CancelAll        Delete "/api/v3/openOrders"           Signed 1  0,
    QueryOrder       Get    "/api/v3/order"                Signed 4  0,
    OpenOrders       Get    "/api/v3/openOrders"           Signed 6  0,
    AllOrders        Get    "/api/v3/allOrders"            Signed 20 0,
    UserTrades       Get    "/api/v3/myTrades"             Signed 20 0,
    Account          Get    "/api/v3/account"              Signed 20 0,
    Commission       Get    "/api/v3/account/commission"   Signed 20 0,
    KeyPermissions   Get    "/sapi/v1/account/apiRestrictions" Signed 1 0,
];

#[rustfmt::skip]
const USDM_ENDPOINTS: &[Endpoint] = endpoints![
    Ping             Get    "/fapi/v1/ping"                None   1  0,
    Time             Get    "/fapi/v1/time"                None   1  0,
    ExchangeInfo     Get    "/fapi/v1/exchangeInfo"        None   1  0,
    Depth            Get    "/fapi/v1/depth"               None   2  0,
    Klines           Get    "/fapi/v1/klines"              None   1  0,
    Price            Get    "/fapi/v1/ticker/price"        None   1  0,
    PlaceOrder       Post   "/fapi/v1/order"               Signed 0  1,
    TestOrder        Post   "/fapi/v1/order/test"          Signed 0  0,
    ModifyOrder      Put    "/fapi/v1/order"               Signed 0  1,
    CancelOrder      Delete "/fapi/v1/order"               Signed 1  0,
    CancelAll        Delete "/fapi/v1/allOpenOrders"       Signed 1  0,
    QueryOrder       Get    "/fapi/v1/order"               Signed 1  0,
    OpenOrders       Get    "/fapi/v1/openOrders"          Signed 1  0,
    AllOrders        Get    "/fapi/v1/allOrders"           Signed 5  0,
    PlaceBatch       Post   "/fapi/v1/batchOrders"         Signed 5  1,
    CancelBatch      Delete "/fapi/v1/batchOrders"         Signed 1  0,
    UserTrades       Get    "/fapi/v1/userTrades"          Signed 5  0,
    Account          Get    "/fapi/v3/account"             Signed 5  0,
    Balance          Get    "/fapi/v3/balance"             Signed 5  0,
    Positions        Get    "/fapi/v3/positionRisk"        Signed 5  0,
    Income           Get    "/fapi/v1/income"              Signed 30 0,
    LeverageBrackets Get    "/fapi/v1/leverageBracket"     Signed 1  0,
    Commission       Get    "/fapi/v1/commissionRate"      Signed 20 0,
    SymbolConfig     Get    "/fapi/v1/symbolConfig"        Signed 5  0,
    AccountConfig    Get    "/fapi/v1/accountConfig"       Signed 5  0,
    SetLeverage      Post   "/fapi/v1/leverage"            Signed 1  0,
    SetMarginType    Post   "/fapi/v1/marginType"          Signed 1  0,
    PositionMode     Get    "/fapi/v1/positionSide/dual"   Signed 30 0,
    SetPositionMode  Post   "/fapi/v1/positionSide/dual"   Signed 1  0,
    MultiAssetsMode  Get    "/fapi/v1/multiAssetsMargin"   Signed 30 0,
    CountdownCancelAll Post "/fapi/v1/countdownCancelAll"  Signed 10 0,
    CreateListenKey  Post   "/fapi/v1/listenKey"           Key    1  0,
    KeepListenKey    Put    "/fapi/v1/listenKey"           Key    1  0,
    CloseListenKey   Delete "/fapi/v1/listenKey"           Key    1  0,
    PlaceAlgo        Post   "/fapi/v1/algoOrder"           Signed 0  1,
    CancelAlgo       Delete "/fapi/v1/algoOrder"           Signed 1  0,
    CancelAllAlgo    Delete "/fapi/v1/algoOpenOrders"      Signed 1  0,
    QueryAlgo        Get    "/fapi/v1/algoOrder"           Signed 1  0,
    OpenAlgos        Get    "/fapi/v1/openAlgoOrders"      Signed 1  0,
    AllAlgos         Get    "/fapi/v1/allAlgoOrders"       Signed 5  0,
    KeyPermissions   Get    "/sapi/v1/account/apiRestrictions" Signed 1 0,
];

#[rustfmt::skip]
const ASTER_V1_ENDPOINTS: &[Endpoint] = endpoints![
    Ping             Get    "/fapi/v1/ping"                None   1  0,
    Time             Get    "/fapi/v1/time"                None   1  0,
    ExchangeInfo     Get    "/fapi/v1/exchangeInfo"        None   1  0,
    Depth            Get    "/fapi/v1/depth"               None   2  0,
    Klines           Get    "/fapi/v1/klines"              None   1  0,
    Price            Get    "/fapi/v1/ticker/price"        None   1  0,
    PlaceOrder       Post   "/fapi/v1/order"               Signed 1  1,
    CancelOrder      Delete "/fapi/v1/order"               Signed 1  0,
    CancelAll        Delete "/fapi/v1/allOpenOrders"       Signed 1  0,
    QueryOrder       Get    "/fapi/v1/order"               Signed 1  0,
    OpenOrders       Get    "/fapi/v1/openOrders"          Signed 1  0,
    AllOrders        Get    "/fapi/v1/allOrders"           Signed 5  0,
    PlaceBatch       Post   "/fapi/v1/batchOrders"         Signed 5  1,
    CancelBatch      Delete "/fapi/v1/batchOrders"         Signed 1  0,
    UserTrades       Get    "/fapi/v1/userTrades"          Signed 5  0,
    Account          Get    "/fapi/v4/account"             Signed 5  0,
    Balance          Get    "/fapi/v2/balance"             Signed 5  0,
    Positions        Get    "/fapi/v2/positionRisk"        Signed 5  0,
    Income           Get    "/fapi/v1/income"              Signed 30 0,
    LeverageBrackets Get    "/fapi/v1/leverageBracket"     Signed 1  0,
    Commission       Get    "/fapi/v1/commissionRate"      Signed 20 0,
    SetLeverage      Post   "/fapi/v1/leverage"            Signed 1  0,
    SetMarginType    Post   "/fapi/v1/marginType"          Signed 1  0,
    PositionMode     Get    "/fapi/v1/positionSide/dual"   Signed 30 0,
    SetPositionMode  Post   "/fapi/v1/positionSide/dual"   Signed 1  0,
    MultiAssetsMode  Get    "/fapi/v1/multiAssetsMargin"   Signed 30 0,
    CountdownCancelAll Post "/fapi/v1/countdownCancelAll"  Signed 10 0,
    CreateListenKey  Post   "/fapi/v1/listenKey"           Key    1  0,
    KeepListenKey    Put    "/fapi/v1/listenKey"           Key    1  0,
    CloseListenKey   Delete "/fapi/v1/listenKey"           Key    1  0,
];

#[rustfmt::skip]
const ASTER_V3_ENDPOINTS: &[Endpoint] = endpoints![
    Ping             Get    "/fapi/v3/ping"                None   1  0,
    Time             Get    "/fapi/v3/time"                None   1  0,
    ExchangeInfo     Get    "/fapi/v3/exchangeInfo"        None   1  0,
    Depth            Get    "/fapi/v3/depth"               None   2  0,
    Klines           Get    "/fapi/v3/klines"              None   1  0,
    Price            Get    "/fapi/v3/ticker/price"        None   1  0,
    PlaceOrder       Post   "/fapi/v3/order"               Signed 1  1,
    ModifyOrder      Put    "/fapi/v3/order"               Signed 1  1,
    CancelOrder      Delete "/fapi/v3/order"               Signed 1  0,
    CancelAll        Delete "/fapi/v3/allOpenOrders"       Signed 1  0,
    QueryOrder       Get    "/fapi/v3/order"               Signed 1  0,
    OpenOrders       Get    "/fapi/v3/openOrders"          Signed 1  0,
    AllOrders        Get    "/fapi/v3/allOrders"           Signed 5  0,
    PlaceBatch       Post   "/fapi/v3/batchOrders"         Signed 5  1,
    CancelBatch      Delete "/fapi/v3/batchOrders"         Signed 1  0,
    UserTrades       Get    "/fapi/v3/userTrades"          Signed 5  0,
    Account          Get    "/fapi/v3/accountWithJoinMargin" Signed 5 0,
    Balance          Get    "/fapi/v3/balance"             Signed 5  0,
    Positions        Get    "/fapi/v3/positionRisk"        Signed 5  0,
    Income           Get    "/fapi/v3/income"              Signed 30 0,
    LeverageBrackets Get    "/fapi/v3/leverageBracket"     Signed 1  0,
    Commission       Get    "/fapi/v3/commissionRate"      Signed 20 0,
    SetLeverage      Post   "/fapi/v3/leverage"            Signed 1  0,
    SetMarginType    Post   "/fapi/v3/marginType"          Signed 1  0,
    PositionMode     Get    "/fapi/v3/positionSide/dual"   Signed 30 0,
    SetPositionMode  Post   "/fapi/v3/positionSide/dual"   Signed 1  0,
    MultiAssetsMode  Get    "/fapi/v3/multiAssetsMargin"   Signed 30 0,
    CountdownCancelAll Post "/fapi/v3/countdownCancelAll"  Signed 10 0,
    CreateListenKey  Post   "/fapi/v3/listenKey"           Signed 1  0,
    KeepListenKey    Put    "/fapi/v3/listenKey"           Signed 1  0,
    CloseListenKey   Delete "/fapi/v3/listenKey"           Signed 1  0,
];

/// The product does not have what was asked for.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("{product} expected a request that it has, found {what}")]
pub struct Unsupported {
    pub product: Product,
    pub what: String,
}

impl Product {
    #[must_use]
    pub const fn capabilities(self) -> &'static Capabilities {
        match self {
            Self::BinanceSpot => &BINANCE_SPOT,
            Self::BinanceUsdm => &BINANCE_USDM,
            Self::AsterV1 => &ASTER,
            Self::AsterV3 => &ASTER_V3,
        }
    }

    const fn endpoints(self) -> &'static [Endpoint] {
        match self {
            Self::BinanceSpot => SPOT_ENDPOINTS,
            Self::BinanceUsdm => USDM_ENDPOINTS,
            Self::AsterV1 => ASTER_V1_ENDPOINTS,
            Self::AsterV3 => ASTER_V3_ENDPOINTS,
        }
    }

    /// # Errors
    /// When the product has no such request.
    pub fn endpoint(self, route: Route) -> Result<Endpoint, Unsupported> {
        let found = self.endpoints().iter().find(|endpoint| endpoint.route == route);
        found.copied().ok_or_else(|| self.lacks(format!("{route:?}")))
    }

    pub(super) fn lacks(self, what: impl Into<String>) -> Unsupported {
        Unsupported { product: self, what: what.into() }
    }
}

#[cfg(test)]
mod tests {
    use strum::IntoEnumIterator as _;

    use super::*;

    #[test]
    fn what_a_capability_promises_has_an_endpoint_and_nothing_stands_twice() {
        for product in Product::iter() {
            let able = product.capabilities();
            let has = |route| product.endpoint(route).is_ok();
            assert_eq!(able.dead_man, has(Route::CountdownCancelAll), "{product}");
            assert_eq!(able.modify, has(Route::ModifyOrder), "{product}");
            assert_eq!(able.leverage, has(Route::SetLeverage), "{product}");
            assert_eq!(able.hedge, has(Route::PositionMode), "{product}");
            assert_eq!(able.batch_place_max > 1, has(Route::PlaceBatch), "{product}");
            assert_eq!(able.batch_cancel_max > 1, has(Route::CancelBatch), "{product}");
            assert_eq!(able.conditional == Conditional::AlgoService, has(Route::PlaceAlgo), "{product}");
            assert_eq!(matches!(able.user_stream, UserStream::ListenKey { .. }), has(Route::CreateListenKey), "{product}");
            for route in Route::iter() {
                let rows = product.endpoints().iter().filter(|endpoint| endpoint.route == route).count();
                assert!(rows <= 1, "{product} {route:?}");
            }
        }
    }

    #[test]
    fn a_request_that_a_product_lacks_is_named() {
        let error = Product::BinanceSpot.endpoint(Route::SetLeverage).unwrap_err();
        assert_eq!(error.to_string(), "binance_spot expected a request that it has, found SetLeverage");
    }
}
