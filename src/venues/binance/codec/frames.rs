//! What is asked over spot's WebSocket API: an account's user events, which it gives nowhere else. Every other question goes over HTTP.

use serde_json::json;

use super::request::Parameters;
use crate::venues::binance::sign::{Credentials, Timing};

/// Opens a spot account's user events on this connection, with any kind of key. `id` comes back with the answer, which has the
/// `subscriptionId` that events carry.
#[must_use]
pub fn subscribe_frame(id: u64, credentials: &Credentials, timing: Timing) -> String {
    let params = credentials.signed_frame(&Parameters::default(), timing);
    json!({ "id": id.to_string(), "method": "userDataStream.subscribe.signature", "params": params }).to_string()
}

/// What a subscription is known by.
#[derive(Debug, Clone, Copy, PartialEq, Eq, serde::Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct SubscriptionAnswer {
    pub subscription_id: u64,
}

#[cfg(test)]
mod tests {
    use serde_json::Value;

    use super::super::events::{Frame, read_frame};
    use super::*;
    use crate::venues::binance::codec::product::Product;

    const TIMING: Timing = Timing { at_millis: 1_645_423_376_532, window_millis: 5_000 };

    #[test]
    fn a_subscription_is_asked_for_and_its_answer_understood() {
        let credentials = Credentials::hmac("key", "secret".into());
        let text: Value = serde_json::from_str(&subscribe_frame(1, &credentials, TIMING)).unwrap();
        assert_eq!(text["method"], "userDataStream.subscribe.signature");
        let Frame::Answer(answer) = read_frame(r#"{"id":"1","status":200,"result":{"subscriptionId":0}}"#).unwrap() else { panic!() };
        assert_eq!((answer.id(), answer.read::<SubscriptionAnswer>(Product::BinanceSpot).unwrap().subscription_id), ("1", 0));
    }
}
