//! Every field of the venue's own examples is in our answers, of the same JSON type.

use std::collections::BTreeMap;

use serde_json::Value;

use super::World;
use crate::support::skip::shared_data;

/// Fields of the examples that USD-M's own pages do not have: the examples are made from one schema for USD-M and COIN-M, or are
/// newer than the venue's answers.
const NOT_OF_USDM: [&str; 6] = ["cumBase", "baseQty", "pair", "marginAsset", "modifyId", "code"];
/// Shown of trailing stops alone, which the examples are made of.
const TRAILING: [&str; 2] = ["activatePrice", "priceRate"];

struct Examples(BTreeMap<String, Value>);

impl Examples {
    /// `None`, and a skipped line, where they are not there.
    fn load() -> Option<Self> {
        let text = std::fs::read_to_string(shared_data("payloads/binance_connector_official/usdm_rest_api.json")?).unwrap();
        let all: BTreeMap<String, Value> = serde_json::from_str(&text).unwrap();
        let named = all.into_values().filter_map(|example| {
            let name = format!("{} {}", example["method"].as_str()?, example["path"].as_str()?);
            Some((name, example["response"].clone()))
        });
        Some(Self(named.collect()))
    }

    fn compare(&self, name: &str, answer: &Value) {
        let example = self.0.get(name).unwrap_or_else(|| panic!("expected an example of {name}, found none"));
        let mut wrong = Vec::new();
        compare(name, example, answer, &mut wrong);
        assert!(wrong.is_empty(), "{}\n in {answer}", wrong.join("\n"));
    }
}

fn compare(at: &str, example: &Value, answer: &Value, wrong: &mut Vec<String>) {
    match (example, answer) {
        (Value::Object(example), Value::Object(answer)) => {
            for (name, value) in example {
                if NOT_OF_USDM.contains(&name.as_str()) && !answer.contains_key(name) || name == "msg" {
                    continue;
                }
                match answer.get(name) {
                    Some(given) => compare(&format!("{at}.{name}"), value, given, wrong),
                    None if TRAILING.contains(&name.as_str()) => {}
                    None => wrong.push(format!("{at} has no {name}")),
                }
            }
        }
        (Value::Array(example), Value::Array(answer)) => match (example.first(), answer.first()) {
            (Some(example), Some(answer)) => compare(at, example, answer, wrong),
            (Some(_), None) => wrong.push(format!("{at} expected a row, found none")),
            _ => {}
        },
        // Python's word for null.
        (Value::String(text), Value::Null) if text == "None" => {}
        _ => {
            let same = std::mem::discriminant(example) == std::mem::discriminant(answer);
            if !same {
                wrong.push(format!("{at} expected a value as {example}, found {answer}"));
            }
        }
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn answers_have_every_field_of_the_venues_examples() {
    let Some(examples) = Examples::load() else { return };
    let world = World::binance().await;
    let symbol = ("symbol", "BTCUSDT");
    let placed = world.limit("BUY", "0.01", "49000").await;
    examples.compare("POST /fapi/v1/order", &placed);
    world.market("BUY", "0.010").await;
    let id = placed["orderId"].to_string();
    let named = [symbol, ("orderId", id.as_str())];
    for path in ["order", "openOrder"] {
        let path = format!("/fapi/v1/{path}");
        examples.compare(&format!("GET {path}"), &world.get(&path, &named).await);
    }
    for path in ["openOrders", "allOrders", "userTrades"] {
        let path = format!("/fapi/v1/{path}");
        examples.compare(&format!("GET {path}"), &world.get(&path, &[symbol]).await);
    }
    for path in [
        "/fapi/v2/account",
        "/fapi/v3/account",
        "/fapi/v2/balance",
        "/fapi/v3/balance",
        "/fapi/v2/positionRisk",
        "/fapi/v3/positionRisk",
        "/fapi/v1/accountConfig",
        "/fapi/v1/symbolConfig",
        "/fapi/v1/multiAssetsMargin",
        "/fapi/v1/positionSide/dual",
        "/fapi/v1/feeBurn",
        "/fapi/v1/income",
        "/fapi/v1/leverageBracket",
        "/fapi/v1/rateLimit/order",
        "/fapi/v1/adlQuantile",
    ] {
        examples.compare(&format!("GET {path}"), &world.get(path, &[]).await);
    }
    examples.compare("GET /fapi/v1/commissionRate", &world.get("/fapi/v1/commissionRate", &[symbol]).await);
    examples.compare("POST /fapi/v1/leverage", &world.post("/fapi/v1/leverage", &[symbol, ("leverage", "21")]).await);
    changes(&world, &examples, &id).await;
}

async fn changes(world: &World, examples: &Examples, id: &str) {
    let symbol = ("symbol", "BTCUSDT");
    let named = [symbol, ("orderId", id)];
    let tried = [symbol, ("side", "BUY"), ("type", "LIMIT"), ("timeInForce", "GTC"), ("quantity", "0.01"), ("price", "49000")];
    examples.compare("POST /fapi/v1/order/test", &world.post("/fapi/v1/order/test", &tried).await);
    let change = [&named[..], &[("side", "BUY"), ("quantity", "0.01"), ("price", "49100")]].concat();
    examples.compare("PUT /fapi/v1/order", &super::success(world.ask("PUT", "/fapi/v1/order", &change).await));
    examples.compare("GET /fapi/v1/orderAmendment", &world.get("/fapi/v1/orderAmendment", &named).await);
    examples.compare("DELETE /fapi/v1/order", &super::success(world.ask("DELETE", "/fapi/v1/order", &named).await));
    let algo = [
        ("algoType", "CONDITIONAL"),
        symbol,
        ("side", "SELL"),
        ("type", "TAKE_PROFIT"),
        ("quantity", "0.010"),
        ("price", "52000"),
        ("triggerPrice", "51000"),
    ];
    let placed = world.post("/fapi/v1/algoOrder", &algo).await;
    examples.compare("POST /fapi/v1/algoOrder", &placed);
    let id = placed["algoId"].to_string();
    examples.compare("GET /fapi/v1/algoOrder", &world.get("/fapi/v1/algoOrder", &[("algoId", &id)]).await);
    examples.compare("GET /fapi/v1/openAlgoOrders", &world.get("/fapi/v1/openAlgoOrders", &[symbol]).await);
    examples.compare("GET /fapi/v1/allAlgoOrders", &world.get("/fapi/v1/allAlgoOrders", &[symbol]).await);
    examples.compare("DELETE /fapi/v1/algoOrder", &super::success(world.ask("DELETE", "/fapi/v1/algoOrder", &[("algoId", &id)]).await));
    let countdown = world.post("/fapi/v1/countdownCancelAll", &[symbol, ("countdownTime", "100000")]).await;
    examples.compare("POST /fapi/v1/countdownCancelAll", &countdown);
    examples.compare("POST /fapi/v1/listenKey", &super::success(world.send("alpha", "POST", "/fapi/v1/listenKey").await));
}
