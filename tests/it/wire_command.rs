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

/// The same symbol, the same minute, one file from each product.
#[tokio::test]
async fn both_products_play_their_own_recordings_of_one_symbol() {
    let folder = tempfile::tempdir().unwrap();
    let file = |name: &str, line: &dyn Fn(u64) -> String| {
        let text: String = (0..200).map(|n| format!("{}\n", line(n))).collect();
        std::fs::write(folder.path().join(name), text).unwrap();
        folder.path().join(name).to_str().unwrap().to_owned()
    };
    let at = |n: u64| (1_723_161_255_000_000_000 + n * 100_000_000, 1_723_161_255_000 + n * 100);
    let usdm = file("one_btcusdt.log", &|n| {
        let (local, ms) = at(n);
        format!(
            "{local} {{\"stream\":\"btcusdt@bookTicker\",\"data\":{{\"e\":\"bookTicker\",\"u\":{n},\"s\":\"BTCUSDT\",\"b\":\"61800.20\",\
             \"B\":\"2.507\",\"a\":\"61800.30\",\"A\":\"2.510\",\"T\":{ms},\"E\":{ms}}}}}"
        )
    });
    let spot = file("two_btcusdt.log", &|n| {
        let local = at(n).0;
        format!(
            "{local} {{\"stream\":\"btcusdt@bookTicker\",\"data\":{{\"u\":{n},\"s\":\"BTCUSDT\",\"b\":\"61837.63000000\",\
             \"B\":\"3.78826000\",\"a\":\"61837.64000000\",\"A\":\"1.54698000\"}}}}"
        )
    });
    let both = ["--spot", "127.0.0.1:0", "--usdm", "127.0.0.1:0", "--market", "recording", "--files", &usdm, &spot, "--fund", "BTC=1"];
    let exchange = Exchange::start(&both);
    for (product, path, account, bid) in [
        ("spot", "/api/v3/ticker/bookTicker", "/api/v3/account", "61837.63000000"),
        ("usdm", "/fapi/v1/ticker/bookTicker", "/fapi/v3/account", "61800.20"),
    ] {
        let client = exchange.client(product, "alpha");
        let shown = client.raw("GET", &format!("{path}?symbol=BTCUSDT"), "").await;
        assert_eq!(shown.body["bidPrice"], bid, "{product}: {}", shown.body);
        let time = if product == "spot" { "/api/v3/time" } else { "/fapi/v1/time" };
        let now = server_time(&client, time).await;
        assert_eq!(client.signed("GET", account, "", now).await.status, 200);
    }
    assert!(exchange.stop().success());
    let refused = Command::new(env!("CARGO_BIN_EXE_ringfence"))
        .args(["exchange", "--spot", "127.0.0.1:0", "--market", "recording", "--files", &usdm])
        .output()
        .unwrap();
    let text = String::from_utf8(refused.stderr).unwrap();
    assert!(refused.status.code() == Some(2) && text.contains("expected a recording of spot"), "{text}");
}

#[tokio::test]
async fn what_is_announced_has_prices_trades_and_touches_of_every_symbol() {
    let both = ["--spot", "127.0.0.1:0", "--usdm", "127.0.0.1:0", "--symbols", "ETHUSDT", "SOLUSDT"];
    let exchange = Exchange::start(&both);
    for (product, prefix) in [("spot", "/api/v3"), ("usdm", "/fapi/v1")] {
        let client = exchange.client(product, "alpha");
        let prices = client.raw("GET", &format!("{prefix}/ticker/price"), "").await.body;
        let touches = client.raw("GET", &format!("{prefix}/ticker/bookTicker"), "").await.body;
        for (price, touch) in prices.as_array().unwrap().iter().zip(touches.as_array().unwrap()) {
            let is_zero = |value: &Value| value.as_str().unwrap().trim_matches(['0', '.']).is_empty();
            assert!(!is_zero(&price["price"]) && !is_zero(&touch["bidPrice"]), "{price} {touch}");
            let path = format!("{prefix}/trades?limit=5&symbol={}", price["symbol"].as_str().unwrap());
            assert_ne!(client.raw("GET", &path, "").await.body, serde_json::json!([]), "{path}");
        }
        assert_eq!(prices.as_array().map(Vec::len), Some(3), "{prices}");
    }
    assert!(exchange.stop().success());
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
        (&["--json"][..], "<--spot <ADDRESS>|--usdm <ADDRESS>>"),
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
