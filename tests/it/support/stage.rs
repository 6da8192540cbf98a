//! The exchange in a process of its own, which outlives every daemon, and a home whose daemons trade there with four accounts. It
//! starts, configures, asks signed questions; it judges nothing.

use std::io::{BufRead as _, BufReader, Read as _, Seek as _, SeekFrom};
use std::os::unix::fs::PermissionsExt as _;
use std::path::PathBuf;
use std::process::{Child, Stdio};
use std::sync::Arc;

use serde_json::Value;

use super::daemon::{Home, request};
use super::exchange::hmac;

/// Four accounts of one owner, so that a fault of one could show in three others.
pub const ACCOUNTS: [&str; 4] = ["alpha", "beta", "gamma", "delta"];

const SYMBOLS: &str = "BTCUSDT,ETHUSDT,SOLUSDT,BNBUSDT,XRPUSDT,LTCUSDT";

/// Averages that cross several times a second on all symbols but one, and a strategy that rests a stop and a target behind each position:
/// some dozen orders a second of all kinds.
const BUSY: &str = r#"
[[strategies]]
id = "flip"
kind = "ema_cross"
accounts = ["*"]
symbols = [FLIPPED]
interval = "200ms"
[strategies.settings]
fast = 1
slow = 2
order_value = "1000"
open_at_start = true

[[strategies]]
id = "score"
kind = "indicator_score"
accounts = ["*"]
symbols = ["ETHUSDT"]
interval = "1s"
[strategies.settings]
publish_above = "0.1"
side_from = "0.2"
min_signal_strength = "0.2"
max_position = "1000"
on_opposite = "reverse"
"#;

/// Limits that a thousand lives do not meet (a flip costs its fees), budgets that hold for each life alone, and a window after
/// which an order that never left is surely known to be none.
const PATIENT: &str = r#"
[risk]
max_daily_loss = "10000000"
max_order_quantity = "10000"
max_messages = { count = 500, period = "1s" }
[risk.accounts.gamma]
max_daily_loss = "10000000"
[supervision]
thread_deadline = "10s"
heartbeat_deadline = "20s"
"#;

/// Does nothing but keep what is there.
const QUIET: &str = r#"
[[strategies]]
id = "flip"
kind = "ema_cross"
enabled = false
accounts = ["*"]
symbols = ["BTCUSDT", "SOLUSDT"]
interval = "1s"
"#;

pub struct Stage {
    pub home: Arc<Home>,
    exchange: Child,
    symbols: Vec<String>,
    doors: Value,
    log_read: u64,
}

impl Drop for Stage {
    fn drop(&mut self) {
        // It may have ended already.
        let _ = self.exchange.kill();
        let _ = self.exchange.wait();
    }
}

impl Stage {
    pub fn open(seed: u64) -> Self {
        Self::open_with(seed, SYMBOLS)
    }

    /// With these symbols, ETHUSDT among them.
    pub fn open_with(seed: u64, symbols: &str) -> Self {
        let home = Home::new("");
        let (folder, seed) = (home.path().join("exchange"), seed.to_string());
        let mut command = home.binary(&["exchange", "--usdm", "127.0.0.1:0", "--json", "--limits", "off", "--seed", &seed]);
        // A thousand starts in an hour ask for more than a venue grants one address.
        command.args(["--weight", "10000000", "--any-interval", "--symbols", symbols]);
        command.args(["--fund", "USDT=10000000", "--key", "delta:the-key-of-delta:the-secret-of-delta", "--data-dir"]).arg(folder);
        let mut exchange = command.stdout(Stdio::piped()).spawn().unwrap();
        let mut line = String::new();
        BufReader::new(exchange.stdout.take().unwrap()).read_line(&mut line).unwrap();
        let doors: Value = serde_json::from_str(&line).unwrap_or_else(|error| panic!("{line:?}: {error}"));
        let symbols = symbols.split(',').map(str::to_owned).collect();
        let stage = Self { home, exchange, symbols, doors, log_read: 0 };
        for account in stage.doors["accounts"].as_array().unwrap() {
            let text = |name: &str| account[name].as_str().unwrap();
            let path = stage.key_file(text("name"));
            std::fs::write(&path, format!("{}\n{}\n", text("api_key"), text("api_secret"))).unwrap();
            std::fs::set_permissions(&path, std::fs::Permissions::from_mode(0o600)).unwrap();
        }
        stage
    }

    pub fn key_file(&self, account: &str) -> PathBuf {
        self.home.path().join(format!("{account}.key"))
    }

    /// A signed request in an account's name, as any client's: status and answer.
    pub fn ask(&self, account: &str, verb: &str, path: &str, parameters: &str) -> (u16, Value) {
        let address = self.doors["usdm"]["rest"].as_str().unwrap().trim_start_matches("http://");
        let accounts = self.doors["accounts"].as_array().unwrap();
        let text = |name: &str| accounts.iter().find(|one| one["name"] == account).unwrap()[name].as_str().unwrap();
        let (_, time) = request(address, "GET", "/fapi/v1/time", "", None).unwrap();
        let time = serde_json::from_str::<Value>(&time).unwrap()["serverTime"].as_i64().unwrap();
        let and = if parameters.is_empty() { "" } else { "&" };
        let query = format!("{parameters}{and}recvWindow=60000&timestamp={time}");
        let signature = hmac(text("api_secret"), &query);
        // The helper's bearer token ends its line: the key follows in one of its own.
        let token = format!("none\r\nX-MBX-APIKEY: {}", text("api_key"));
        let (code, answer) = request(address, verb, &format!("{path}?{query}&signature={signature}"), &token, None).unwrap();
        (code, serde_json::from_str(&answer).unwrap_or(Value::String(answer)))
    }

    /// The exchange's own record.
    pub fn record(&self) -> PathBuf {
        self.home.path().join("exchange").join("usdm.db")
    }

    /// What the next daemon reads, and a running one on SIGHUP: strategies that trade all the time, or none. `keep` leaves open orders
    /// at the exchange when a daemon stops in order.
    pub fn configure(&self, busy: bool, keep: bool) {
        self.configure_with(busy, keep, "");
    }

    /// The same with more of `[supervision]`, and tables behind it.
    pub fn configure_with(&self, busy: bool, keep: bool, more: &str) {
        let door = |name: &str| self.doors["usdm"][name].as_str().unwrap();
        let on_shutdown = if keep { "keep" } else { "cancel" };
        let mut text = format!(
            "[daemon]\non_shutdown = \"{on_shutdown}\"\n{PATIENT}{more}\n[[venues]]\nid = \"there\"\nkind = \"binance_usdm\"\nrest = \"{}\"\n\
             ws = \"{}\"\nws_api = \"{}\"\nrecv_window = \"1s\"\norders_per_second = 500\n",
            door("rest"),
            door("ws"),
            door("ws_api"),
        );
        for symbol in &self.symbols {
            text += &format!("[[symbols]]\nname = \"{symbol}\"\nvenue = \"there\"\n");
        }
        for account in ACCOUNTS {
            let key = self.key_file(account);
            text += &format!("[[accounts]]\nid = \"{account}\"\nvenue = \"there\"\nkey = {{ file = \"{}\" }}\n", key.display());
        }
        let flipped: Vec<String> = self.symbols.iter().filter(|name| *name != "ETHUSDT").map(|name| format!("\"{name}\"")).collect();
        text += &if busy { BUSY.replace("FLIPPED", &flipped.join(", ")) } else { QUIET.to_owned() };
        self.home.configure(&text);
    }

    /// How many orders left since this was last asked, by the daemon's own word.
    pub fn orders_sent(&mut self) -> usize {
        let path = self.home.path().join("daemon.log");
        let Ok(mut file) = std::fs::File::open(path) else { return 0 };
        let mut text = Vec::new();
        file.seek(SeekFrom::Start(self.log_read)).unwrap();
        file.read_to_end(&mut text).unwrap();
        // A line that is being written is read when it is whole.
        let whole = text.iter().rposition(|byte| *byte == b'\n').map_or(0, |end| end + 1);
        self.log_read += whole as u64;
        String::from_utf8_lossy(&text[..whole]).matches("order sent").count()
    }

    /// Begins a life's log: what came before is gone through.
    pub fn forget_log(&mut self) {
        self.home.forget_log();
        self.log_read = 0;
    }
}
