//! Requests of the WebSocket APIs: the same questions in frames, by method instead of by path. A request that was made for HTTP is
//! said here in its method's name; what has no method is asked over HTTP.

use serde_json::{Map, Value, json};

use super::product::{Product, Route, Security};
use super::request::{Parameters, Request};
use crate::venues::binance::sign::{Credentials, Timing};

/// The method that asks what the route asks.
#[must_use]
pub fn method_of(product: Product, route: Route) -> Option<&'static str> {
    let futures = matches!(product, Product::BinanceUsdm);
    Some(match (product, route) {
        (Product::AsterV1 | Product::AsterV3, _) => return None,
        (_, Route::PlaceOrder) => "order.place",
        (_, Route::CancelOrder) => "order.cancel",
        (_, Route::QueryOrder) => "order.status",
        (_, Route::ModifyOrder) if futures => "order.modify",
        (_, Route::PlaceAlgo) if futures => "algoOrder.place",
        (_, Route::CancelAlgo) if futures => "algoOrder.cancel",
        (_, Route::Account) if futures => "v2/account.status",
        (_, Route::Balance) if futures => "v2/account.balance",
        (_, Route::Positions) if futures => "v2/account.position",
        (_, Route::CreateListenKey) if futures => "userDataStream.start",
        (_, Route::KeepListenKey) if futures => "userDataStream.ping",
        (_, Route::CloseListenKey) if futures => "userDataStream.stop",
        (_, _) if futures => return None,
        (_, Route::TestOrder) => "order.test",
        (_, Route::CancelAll) => "openOrders.cancelAll",
        (_, Route::OpenOrders) => "openOrders.status",
        (_, Route::AllOrders) => "allOrders",
        (_, Route::UserTrades) => "myTrades",
        (_, Route::Account) => "account.status",
        (_, Route::Commission) => "account.commission",
        (_, Route::Ping) => "ping",
        (_, Route::Time) => "time",
        (_, Route::ExchangeInfo) => "exchangeInfo",
        (_, Route::Depth) => "depth",
        (_, Route::Klines) => "klines",
        (_, Route::Price) => "ticker.price",
        _ => return None,
    })
}

/// The frame that asks for it. `id` comes back with the answer.
#[must_use]
pub fn frame(id: u64, method: &str, params: Map<String, Value>) -> String {
    json!({ "id": id.to_string(), "method": method, "params": params }).to_string()
}

/// A request as a frame, signed where it must be. A session that is logged on signs nothing more than the time.
#[must_use]
pub fn request_frame(id: u64, method: &str, request: &Request, credentials: &Credentials, timing: Timing) -> String {
    let params = match request.security {
        Security::None => request.parameters.to_json(),
        Security::Key => credentials.plain_frame(&request.parameters),
        Security::Signed => credentials.signed_frame(&request.parameters, timing),
    };
    frame(id, method, params)
}

/// Opens a spot account's user events on this connection, with any kind of key. Its answer has the `subscriptionId` that events carry.
#[must_use]
pub fn subscribe_frame(id: u64, credentials: &Credentials, timing: Timing) -> String {
    frame(id, "userDataStream.subscribe.signature", credentials.signed_frame(&Parameters::default(), timing))
}

/// Ends one account's events, or all of the connection's.
#[must_use]
pub fn unsubscribe_frame(id: u64, subscription: Option<u64>) -> String {
    frame(id, "userDataStream.unsubscribe", Parameters::default().with_some("subscriptionId", subscription).to_json())
}

/// Logs the connection on; Ed25519 keys alone ([`Credentials::can_log_on`]).
#[must_use]
pub fn log_on_frame(id: u64, credentials: &Credentials, timing: Timing) -> String {
    frame(id, "session.logon", credentials.signed_frame(&Parameters::default(), timing))
}

/// What a subscription is known by.
#[derive(Debug, Clone, Copy, PartialEq, Eq, serde::Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct SubscriptionAnswer {
    pub subscription_id: u64,
}

#[cfg(test)]
mod tests {
    use strum::IntoEnumIterator as _;

    use super::super::events::{Frame, read_frame};
    use super::*;
    use crate::domain::ids::{ClientOrderId, Symbol};
    use crate::venues::binance::codec::trading::OrderName;

    const TIMING: Timing = Timing { at_millis: 1_645_423_376_532, window_millis: 5_000 };

    #[test]
    fn a_cancel_is_a_signed_frame() {
        let credentials = Credentials::hmac("key", "secret".into());
        let name = OrderName::Client(ClientOrderId::new("7").unwrap());
        let request = Product::BinanceUsdm.cancel(Symbol::new("BTCUSDT").unwrap(), name).unwrap();
        let method = method_of(Product::BinanceUsdm, Route::CancelOrder).unwrap();
        let text: Value = serde_json::from_str(&request_frame(3, method, &request, &credentials, TIMING)).unwrap();
        let payload = "apiKey=key&origClientOrderId=7&recvWindow=5000&symbol=BTCUSDT&timestamp=1645423376532";
        let expected = json!({"id": "3", "method": "order.cancel", "params": {"apiKey": "key", "origClientOrderId": "7", "recvWindow": 5000,
            "symbol": "BTCUSDT", "timestamp": 1_645_423_376_532_i64, "signature": credentials.sign(payload.as_bytes())}});
        assert_eq!(text, expected);
    }

    #[test]
    fn a_subscription_is_asked_for_and_its_answer_understood() {
        let credentials = Credentials::hmac("key", "secret".into());
        let text: Value = serde_json::from_str(&subscribe_frame(1, &credentials, TIMING)).unwrap();
        assert_eq!(text["method"], "userDataStream.subscribe.signature");
        let Frame::Answer(answer) = read_frame(r#"{"id":"1","status":200,"result":{"subscriptionId":0}}"#).unwrap() else { panic!() };
        assert_eq!((answer.id(), answer.read::<SubscriptionAnswer>(Product::BinanceSpot).unwrap().subscription_id), ("1", 0));
    }

    #[test]
    fn every_method_stands_for_a_route_that_the_product_has() {
        for product in Product::iter() {
            for route in Route::iter().filter(|route| method_of(product, *route).is_some()) {
                assert!(product.endpoint(route).is_ok(), "{product} {route:?}");
            }
        }
    }
}
