//! The exchange inside a running daemon as anybody reaches it: its doors and keys from the data directory, and signed questions
//! about an account, for tests that hold the daemon's word against the venue's.

use std::collections::BTreeMap;

use hmac::{Hmac, KeyInit as _, Mac as _};
use serde_json::Value;
use sha2::Sha256;

use super::daemon::{Daemon, request};

/// The USD-M side.
pub struct Inside {
    pub address: String,
    pub keys: BTreeMap<String, (String, String)>,
}

impl Inside {
    pub fn of(daemon: &Daemon) -> Self {
        let written = std::fs::read_to_string(daemon.home.data().join("exchange.json")).unwrap();
        let doors: Value = serde_json::from_str(&written).unwrap();
        let text = |value: &Value| value.as_str().unwrap().to_owned();
        let key = |account: &Value| (text(&account["name"]), (text(&account["api_key"]), text(&account["api_secret"])));
        let keys = doors["accounts"].as_array().unwrap().iter().map(key).collect();
        let address = text(&doors["usdm"]["rest"]).trim_start_matches("http://").to_owned();
        Self { address, keys }
    }

    /// A signed question about an account; `None` while the exchange does not answer.
    pub fn ask(&self, account: &str, path: &str) -> Option<Value> {
        self.signed("GET", account, path, "")
    }

    /// A limit order by hand, under a name of one's own.
    pub fn rest_an_order(&self, account: &str, symbol: &str, price: &str, quantity: &str, name: &str) {
        let order =
            format!("symbol={symbol}&side=BUY&type=LIMIT&timeInForce=GTC&price={price}&quantity={quantity}&newClientOrderId={name}&");
        let placed = self.signed("POST", account, "/fapi/v1/order", &order);
        assert!(placed.is_some(), "expected the exchange to take {name}");
    }

    fn signed(&self, method: &str, account: &str, path: &str, parameters: &str) -> Option<Value> {
        let (key, secret) = &self.keys[account];
        let (_, time) = request(&self.address, "GET", "/fapi/v1/time", "", None).ok()?;
        let time = serde_json::from_str::<Value>(&time).ok()?["serverTime"].as_i64()?;
        let query = format!("{parameters}recvWindow=60000&timestamp={time}");
        let mut mac = Hmac::<Sha256>::new_from_slice(secret.as_bytes()).unwrap();
        mac.update(query.as_bytes());
        let signature = hex::encode(mac.finalize().into_bytes());
        // The helper's bearer token ends its line: the key follows in one of its own.
        let token = format!("none\r\nX-MBX-APIKEY: {key}");
        let (code, answer) = request(&self.address, method, &format!("{path}?{query}&signature={signature}"), &token, None).ok()?;
        (code == 200).then(|| serde_json::from_str(&answer).unwrap())
    }

    /// Names of the account's open orders, plain and conditional.
    pub fn open(&self, account: &str) -> Option<Vec<String>> {
        let names = |path: &str, name: &str| -> Option<Vec<String>> {
            let listed = self.ask(account, path)?;
            Some(listed.as_array()?.iter().map(|order| order[name].as_str().unwrap().to_owned()).collect())
        };
        let mut open = names("/fapi/v1/openOrders", "clientOrderId")?;
        open.extend(names("/fapi/v1/openAlgoOrders", "clientAlgoId")?);
        Some(open)
    }
}
