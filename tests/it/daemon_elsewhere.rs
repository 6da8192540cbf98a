//! A daemon whose accounts all trade at a venue in another process: it finds it by its address, with keys out of files.

use std::io::{BufRead as _, BufReader};
use std::os::unix::fs::PermissionsExt as _;
use std::process::{Child, Stdio};
use std::sync::Arc;
use std::time::Duration;

use serde_json::Value;

use crate::support::daemon::{BUSY, Home, request};

const SOON: Duration = Duration::from_secs(60);

/// `ringfence exchange`, ended with the test.
struct Exchange(Child);

impl Drop for Exchange {
    fn drop(&mut self) {
        // It may have ended already.
        let _ = self.0.kill();
        let _ = self.0.wait();
    }
}

/// An exchange that serves USD-M, and its addresses.
fn exchange(home: &Home) -> (Exchange, Value) {
    exchange_at(home, "127.0.0.1:0")
}

fn exchange_at(home: &Home, address: &str) -> (Exchange, Value) {
    let arguments = ["exchange", "--usdm", address, "--json", "--key", "mine:the-key-of-mine:the-secret-of-mine"];
    let mut exchange = Exchange(home.binary(&arguments).stdout(Stdio::piped()).spawn().unwrap());
    let mut line = String::new();
    BufReader::new(exchange.0.stdout.take().unwrap()).read_line(&mut line).unwrap();
    let doors: Value = serde_json::from_str(&line).unwrap();
    (exchange, doors["usdm"].clone())
}

/// An exchange, and a home whose one account trades there with that secret.
fn elsewhere(secret: &str) -> (Exchange, Arc<Home>) {
    let home = Home::new("");
    let (exchange, doors) = exchange(&home);
    let door = |name: &str| doors[name].as_str().unwrap().to_owned();
    let key = home.path().join("key");
    std::fs::write(&key, format!("the-key-of-mine\n{secret}\n")).unwrap();
    std::fs::set_permissions(&key, std::fs::Permissions::from_mode(0o600)).unwrap();
    home.configure(&format!(
        "[[venues]]\nid = \"there\"\nkind = \"binance_usdm\"\nrest = \"{}\"\nws = \"{}\"\nws_api = \"{}\"\n\
         [[accounts]]\nid = \"mine\"\nvenue = \"there\"\nkey = {{ file = \"{}\" }}\n{BUSY}",
        door("rest"),
        door("ws"),
        door("ws_api"),
        key.display(),
    ));
    (exchange, home)
}

#[test]
fn accounts_that_all_trade_elsewhere_trade_and_the_daemon_serves_no_exchange() {
    let (_exchange, home) = elsewhere("the-secret-of-mine");
    let mut daemon = home.start();
    daemon.wait_until("fills there", SOON, |daemon| daemon.account("mine")["fills"].as_u64() > Some(0));
    let status = daemon.status();
    assert!(status["children"].as_array().unwrap().iter().all(|child| child["name"] != "exchange_server"));
    assert!(!home.data().join("exchange.json").exists());
    assert_eq!(daemon.account("mine")["mode"], "Normal");
    assert_eq!(daemon.terminate().code(), Some(0), "{}", home.log());
}

/// Each account is its own bulkhead: a venue that is not there when the daemon starts holds those who trade there, and nobody else; when it
/// comes, they trade without anybody's doing.
#[test]
fn a_venue_that_is_not_there_holds_its_own_accounts_alone_until_it_comes() {
    let home = Home::new("");
    let key = home.path().join("key");
    std::fs::write(&key, "the-key-of-mine\nthe-secret-of-mine\n").unwrap();
    std::fs::set_permissions(&key, std::fs::Permissions::from_mode(0o600)).unwrap();
    // Nobody listens there from here on.
    let address = std::net::TcpListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap();
    let strategy = |id: &str, account: &str, symbol: &str| {
        format!(
            "[[strategies]]\nid = \"{id}\"\nkind = \"ema_cross\"\naccounts = [\"{account}\"]\nsymbols = [\"{symbol}\"]\ninterval = \"1s\"\n\
             [strategies.settings]\nfast = 1\nslow = 2\norder_value = \"1000\"\nopen_at_start = true\n"
        )
    };
    home.configure(&format!(
        "[[venues]]\nid = \"there\"\nkind = \"binance_usdm\"\nrest = \"http://{address}\"\nws = \"ws://{address}\"\n\
         ws_api = \"ws://{address}/ws-fapi/v1\"\n[[accounts]]\nid = \"alpha\"\nvenue = \"embedded\"\nstarting_funds = \"100000\"\n\
         [[accounts]]\nid = \"mine\"\nvenue = \"there\"\nkey = {{ file = \"{}\" }}\n\
         [[symbols]]\nname = \"BTCUSDT\"\nvenue = \"embedded\"\n[[symbols]]\nname = \"ETHUSDT\"\nvenue = \"there\"\n{}{}",
        key.display(),
        strategy("inside", "alpha", "BTCUSDT"),
        strategy("outside", "mine", "ETHUSDT"),
    ));
    let mut daemon = home.spawn();
    let fills = |daemon: &crate::support::daemon::Daemon, account: &str| daemon.account(account)["fills"].as_u64().unwrap_or_default();
    daemon.wait_until("fills inside", SOON, |daemon| fills(daemon, "alpha") > 3);
    assert_eq!((daemon.account("mine")["mode"].clone(), daemon.account("mine")["orders"].clone()), ("CancelOnly".into(), 0.into()));
    assert_eq!(daemon.account("alpha")["mode"], "Normal");
    let (_exchange, _) = exchange_at(&home, &address.to_string());
    let before = fills(&daemon, "alpha");
    daemon.wait_until("fills there", SOON, |daemon| fills(daemon, "mine") > 0);
    daemon.wait_until("goes on inside", SOON, |daemon| fills(daemon, "alpha") > before);
    let modes = ["alpha", "mine"].map(|account| daemon.account(account)["mode"].clone());
    assert_eq!(modes, ["Normal", "Normal"], "{}", home.log());
    assert_eq!(daemon.terminate().code(), Some(0), "{}", home.log());
}

#[test]
fn the_exchange_inside_shows_a_venues_live_market_and_keeps_its_orders_inside() {
    let home = Home::new("");
    let (_exchange, doors) = exchange(&home);
    let door = |name: &str| doors[name].as_str().unwrap().to_owned();
    let (rest, ws) = (door("rest"), door("ws"));
    home.configure(&format!("[exchange]\nmarket = \"live\"\nlive_rest = \"{rest}\"\nlive_ws = \"{ws}\"\n{BUSY}"));
    let mut daemon = home.start();
    daemon.wait_until("fills inside", SOON, |daemon| daemon.account("alpha")["fills"].as_u64() > Some(0));
    let inside: Value = serde_json::from_str(&std::fs::read_to_string(home.data().join("exchange.json")).unwrap()).unwrap();
    let inside = inside["usdm"]["rest"].as_str().unwrap().to_owned();
    let last = |rest: &str| {
        let address = rest.trim_start_matches("http://");
        let (_, text) = request(address, "GET", "/fapi/v1/ticker/price?symbol=BTCUSDT", "", None).unwrap();
        serde_json::from_str::<Value>(&text).unwrap()["price"].clone()
    };
    daemon.wait_until("shows the venue's prices", SOON, |_| last(&inside) == last(&rest));
    assert_eq!(daemon.terminate().code(), Some(0), "{}", home.log());
}

#[test]
fn a_wrong_secret_opens_nothing_and_is_named_without_being_shown() {
    let (_exchange, home) = elsewhere("another-secret");
    let mut daemon = home.spawn();
    daemon.wait_until("says what is wrong", SOON, |daemon| daemon.home.log().contains("-1022"));
    assert!(!home.log().contains("another-secret"));
    assert_eq!(daemon.account("mine")["orders"], 0);
}
