//! `ringfence exchange` as a person or a script starts it: it says where it listens once it does, trades with the keys that it
//! gives, keeps what it is told to keep, and ends in order.

use std::io::{BufRead as _, BufReader};
use std::path::Path;
use std::process::{Child, Command, ExitStatus, Stdio};

use ringfence::exchange::wire::Key;
use serde_json::Value;

use crate::support::exchange::{Client, Socket};

struct Exchange {
    child: Child,
    said: Value,
}

impl Exchange {
    fn start(arguments: &[&str]) -> Self {
        let mut command = Command::new(env!("CARGO_BIN_EXE_ringfence"));
        command.args(["exchange", "--json", "--symbols", "BTCUSDT"]).args(arguments);
        let mut child = command.stdout(Stdio::piped()).spawn().unwrap();
        let mut line = String::new();
        BufReader::new(child.stdout.take().unwrap()).read_line(&mut line).unwrap();
        let said = serde_json::from_str(&line).unwrap_or_else(|error| panic!("{line:?}: {error}"));
        Self { child, said }
    }

    fn client(&self, product: &str, name: &str) -> Client {
        let account = self.said["accounts"].as_array().unwrap().iter().find(|account| account["name"] == name).unwrap();
        let text = |value: &Value| value.as_str().unwrap().to_owned();
        let key = Key::new(name, &text(&account["api_key"]), &text(&account["api_secret"])).unwrap();
        Client::new(&text(&self.said[product]["rest"]), key)
    }

    fn stop(mut self) -> ExitStatus {
        let sent = Command::new("kill").args(["-TERM", &self.child.id().to_string()]).status().unwrap();
        assert!(sent.success());
        self.child.wait().unwrap()
    }
}

impl Drop for Exchange {
    fn drop(&mut self) {
        // Gone already where the test went well.
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

async fn server_time(client: &Client, path: &str) -> i64 {
    client.raw("GET", path, "").await.body["serverTime"].as_i64().unwrap()
}

#[tokio::test]
async fn both_products_trade_with_the_keys_that_are_printed_and_end_with_a_word() {
    let key = "mine:mykey:mysecret";
    let exchange =
        Exchange::start(&["--spot", "127.0.0.1:0", "--usdm", "127.0.0.1:0", "--fund", "USDT=5000", "--fund", "BTC=1", "--key", key]);
    let (spot, usdm) = (exchange.client("spot", "alpha"), exchange.client("usdm", "mine"));
    let now = server_time(&spot, "/api/v3/time").await;
    let account = spot.signed("GET", "/api/v3/account", "omitZeroBalances=true", now).await.body;
    assert_eq!(account["balances"].as_array().map(Vec::len), Some(2), "{account}");
    let order = "symbol=BTCUSDT&side=BUY&type=LIMIT&timeInForce=GTC&quantity=0.010&price=30000.0";
    let placed = usdm.signed("POST", "/fapi/v1/order", order, now).await;
    assert_eq!(placed.status, 200, "{}", placed.body);
    // Without --faults there are none.
    assert_eq!(usdm.raw("GET", "/faults", "").await.status, 404);
    let mut api = Socket::open(exchange.said["spot"]["ws_api"].as_str().unwrap()).await;
    let mut stream = Socket::open(&format!("{}/ws/btcusdt@trade", exchange.said["spot"]["ws"].as_str().unwrap())).await;
    api.ask("ping", serde_json::json!({})).await;
    assert!(exchange.stop().success());
    api.until(|value| value["event"]["e"] == "serverShutdown").await;
    stream.until(|value| value["e"] == "serverShutdown").await;
}

#[tokio::test]
async fn with_a_data_directory_keys_and_orders_outlive_a_restart() {
    let folder = tempfile::tempdir().unwrap();
    let start = |folder: &Path| Exchange::start(&["--usdm", "127.0.0.1:0", "--data-dir", folder.to_str().unwrap()]);
    let first = start(folder.path());
    let client = first.client("usdm", "alpha");
    let now = server_time(&client, "/fapi/v1/time").await;
    let order = "symbol=BTCUSDT&side=BUY&type=LIMIT&timeInForce=GTC&quantity=0.010&price=30000.0&newClientOrderId=kept";
    assert_eq!(client.signed("POST", "/fapi/v1/order", order, now).await.status, 200);
    // The exchange gives this one its name.
    let nameless = order.strip_suffix("&newClientOrderId=kept").unwrap();
    assert_eq!(client.signed("POST", "/fapi/v1/order", nameless, now).await.status, 200);
    let accounts = first.said["accounts"].clone();
    drop(first);
    let second = start(folder.path());
    assert_eq!(second.said["accounts"], accounts);
    let client = second.client("usdm", "alpha");
    let now = server_time(&client, "/fapi/v1/time").await;
    let found = client.signed("GET", "/fapi/v1/order", "symbol=BTCUSDT&origClientOrderId=kept", now).await;
    assert_eq!((found.status, found.body["status"].as_str()), (200, Some("NEW")), "{}", found.body);
    let another = client.signed("POST", "/fapi/v1/order", nameless, now).await;
    assert_eq!(another.status, 200, "no name comes twice: {}", another.body);
    assert!(second.stop().success());
}

#[test]
fn a_start_that_waits_for_a_venue_can_be_ended() {
    // Takes the question and never answers.
    let venue = std::net::TcpListener::bind("127.0.0.1:0").unwrap();
    let (rest, ws) = (format!("http://{}", venue.local_addr().unwrap()), format!("ws://{}", venue.local_addr().unwrap()));
    let mut command = Command::new(env!("CARGO_BIN_EXE_ringfence"));
    command.args(["exchange", "--json", "--usdm", "127.0.0.1:0", "--market", "live", "--live-rest", &rest, "--live-ws", &ws]);
    let mut child = command.stdout(Stdio::null()).spawn().unwrap();
    let asked = venue.accept().unwrap();
    assert!(Command::new("kill").args(["-TERM", &child.id().to_string()]).status().unwrap().success());
    // The question alone would end with a refusal.
    assert!(child.wait().unwrap().success());
    drop(asked);
}

#[test]
fn what_cannot_be_served_is_refused_in_words() {
    let refused = |arguments: &[&str]| {
        let output = Command::new(env!("CARGO_BIN_EXE_ringfence")).arg("exchange").args(arguments).output().unwrap();
        (output.status.code(), String::from_utf8(output.stderr).unwrap())
    };
    for (arguments, word) in [
        (&["--json"][..], "--spot"),
        (&["--spot", "127.0.0.1:0", "--key", "a:b"], "NAME:KEY:SECRET"),
        (&["--spot", "127.0.0.1:0", "--fund", "USDT"], "ASSET=AMOUNT"),
        (&["--spot", "127.0.0.1:0", "--permit", "nobody=reading"], "account's name"),
        (&["--spot", "127.0.0.1:0", "--market", "recording"], "--files"),
        (&["--spot", "192.0.2.1:1"], "may be listened on"),
    ] {
        let (code, text) = refused(arguments);
        assert!(code == Some(2) && text.contains(word), "{arguments:?}: {code:?} {text}");
    }
}
