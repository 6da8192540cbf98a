//! SIGHUP as an operator sees it: what differs is applied at once, everybody else does not notice, what is wrong is refused
//! whole, and what needs a restart is named.

use std::collections::BTreeSet;
use std::sync::Arc;
use std::time::Duration;

use serde_json::Value;

use crate::support::daemon::{Daemon, Home};

/// Generous: the daemon does each of these within a second.
const SOON: Duration = Duration::from_secs(60);
/// A debug build on a busy machine; the figure of a release build is a hundredth of it.
const RELOAD_WITHIN_MS: u64 = 2_000;

/// Two accounts, three symbols, a strategy that trades at every other bar and one that holds a stop and a target.
struct Config {
    top: String,
    accounts: Vec<&'static str>,
    symbols: Vec<(&'static str, bool)>,
    strategies: Vec<String>,
}

fn flips(id: &str, symbol: &str) -> String {
    format!(
        "[[strategies]]\nid = \"{id}\"\nkind = \"ema_cross\"\naccounts = [\"*\"]\nsymbols = [\"{symbol}\"]\ninterval = \"1s\"\n\
         settings = {{ fast = 1, slow = 2, order_value = \"1000\", open_at_start = true }}\n"
    )
}

fn holds(accounts: &str) -> String {
    format!(
        "[[strategies]]\nid = \"holds\"\nkind = \"indicator_score\"\naccounts = {accounts}\nsymbols = [\"ETHUSDT\"]\ninterval = \"1s\"\n\
         settings = {{ publish_above = \"0.01\", side_from = \"0.1\", min_signal_strength = \"0.1\", on_opposite = \"hold\" }}\n"
    )
}

impl Config {
    fn new() -> Self {
        Self {
            top: String::new(),
            accounts: vec!["alpha", "beta"],
            symbols: vec![("BTCUSDT", true), ("ETHUSDT", true), ("SOLUSDT", true)],
            strategies: vec![holds("[\"*\"]"), flips("flips", "BTCUSDT")],
        }
    }

    fn text(&self) -> String {
        let accounts = self.accounts.iter().map(|id| format!("[[accounts]]\nid = \"{id}\"\nstarting_funds = \"100000\"\n"));
        let symbols = self.symbols.iter().map(|(name, enabled)| format!("[[symbols]]\nname = \"{name}\"\nenabled = {enabled}\n"));
        [self.top.clone()].into_iter().chain(accounts).chain(symbols).chain(self.strategies.iter().cloned()).collect()
    }

    fn start(&self) -> (Arc<Home>, Daemon) {
        let home = Home::new(&self.text());
        let daemon = home.start();
        (home, daemon)
    }

    /// Writes it, asks the running daemon to read it, and gives the log's line of what came of it.
    fn reload(&self, daemon: &mut Daemon) -> String {
        reload(daemon, &self.text())
    }
}

fn outcomes(home: &Home) -> Vec<String> {
    let done = ["configuration reloaded", "reload refused whole"];
    home.log().lines().filter(|line| done.iter().any(|done| line.contains(done))).map(str::to_owned).collect()
}

fn reload(daemon: &mut Daemon, config: &str) -> String {
    let before = outcomes(&daemon.home).len();
    daemon.home.configure(config);
    daemon.signal(libc::SIGHUP);
    daemon.wait_until("reloads", SOON, |daemon| outcomes(&daemon.home).len() > before);
    outcomes(&daemon.home).pop().expect("there is one more")
}

fn names(list: &Value) -> Vec<&str> {
    list.as_array().expect("a list").iter().map(|one| one["name"].as_str().expect("a name")).collect()
}

fn strategy(status: &Value, id: &str) -> Option<Value> {
    status["strategies"].as_array()?.iter().find(|strategy| strategy["id"] == id).cloned()
}

fn open_orders(status: &Value, account: &str) -> u64 {
    let accounts = status["accounts"].as_array().expect("accounts");
    accounts.iter().find(|one| one["name"] == account).and_then(|account| account["open_orders"].as_u64()).unwrap_or_default()
}

/// Name and incarnation of everything that runs.
fn lives(status: &Value) -> BTreeSet<(String, u64)> {
    let children = status["children"].as_array().expect("children");
    children.iter().map(|child| (child["name"].as_str().unwrap().to_owned(), child["incarnation"].as_u64().unwrap())).collect()
}

fn frames(status: &Value, symbol: &str) -> u64 {
    let symbols = status["symbols"].as_array().expect("symbols");
    symbols.iter().find(|one| one["name"] == symbol).and_then(|symbol| symbol["frames"].as_u64()).unwrap_or_default()
}

/// A counter or gauge of `/metrics`, all its labels together.
fn metric(daemon: &Daemon, name: &str) -> f64 {
    let (code, text) = daemon.get("/metrics");
    assert_eq!(code, 200);
    let text = text.as_str().expect("text").to_owned();
    let lines = text.lines().filter(|line| line.starts_with(name)).filter_map(|line| line.rsplit(' ').next()?.parse::<f64>().ok());
    lines.sum()
}

fn ready_again(daemon: &mut Daemon) -> Value {
    daemon.wait_for_status("is ready again", SOON, |status| status["ready"] == true)
}

#[test]
fn a_reload_of_limits_touches_nobody_and_counts_for_the_next_intent() {
    let mut config = Config::new();
    let (home, mut daemon) = config.start();
    let filled = |status: &Value| status["accounts"].as_array().unwrap().iter().map(|one| one["fills"].as_u64().unwrap()).sum::<u64>();
    let before = daemon.wait_for_status("trades", SOON, |status| filled(status) >= 3);
    let hash = before["build"]["config_hash"].clone();

    config.top = "[risk]\nmax_order_value = \"10\"\n".to_owned();
    let line = config.reload(&mut daemon);
    assert!(line.contains("risk.max_order_value: 5000 → 10"), "{line}");
    let took: u64 = line.rsplit("took_ms=").next().unwrap().trim().parse().unwrap();
    assert!(took <= RELOAD_WITHIN_MS, "{line}");
    let refused = |status: &Value| strategy(status, "flips").map_or(0, |one| one["refused"].as_u64().unwrap());
    let low = daemon.wait_for_status("refuses what is over the new limit", SOON, |status| refused(status) >= 2);
    assert_ne!(low["build"]["config_hash"], hash);
    assert!(metric(&daemon, "ringfence_orders_refused_total{account=\"alpha\",control=\"order_value\"}") >= 1.0);

    config.top.clear();
    config.reload(&mut daemon);
    let at = filled(&daemon.status());
    let after = daemon.wait_for_status("trades again", SOON, |status| filled(status) >= at + 2);

    assert_eq!(lives(&before), lives(&after), "nobody was restarted");
    assert!(frames(&after, "BTCUSDT") > frames(&before, "BTCUSDT"), "the market goes on counting");
    assert!(after["uptime_seconds"].as_u64() >= before["uptime_seconds"].as_u64());
    assert_eq!(metric(&daemon, "ringfence_feed_connects_total"), 1.0, "the feed stayed connected");
    assert_eq!(after["build"]["config_hash"], hash, "back to what it was");
    assert_eq!(metric(&daemon, "ringfence_reloads_total{outcome=\"applied\"}"), 2.0);
    daemon.wait_until("journals both changes", SOON, |daemon| daemon.home.audit("config").iter().filter(changed).count() == 2);
    let rows: Vec<Value> = home.audit("config").into_iter().filter(|row| changed(&row)).collect();
    let text = rows[0].to_string();
    assert!(text.contains("risk.max_order_value") && text.contains(low["build"]["config_hash"].as_str().unwrap()), "{text}");
    assert_eq!(daemon.terminate().code(), Some(0), "{}", home.log());
}

fn changed(row: &&Value) -> bool {
    row.to_string().contains("config_changed")
}

#[test]
fn a_configuration_with_mistakes_is_refused_whole_with_every_one_of_them() {
    let mut config = Config::new();
    let (home, mut daemon) = config.start();
    let before = daemon.status();
    config.top = "[risk]\nmax_order_value = \"10\"\nmax_capitol = \"1\"\n[exchange]\nseed = \"many\"\n".to_owned();
    config.strategies.push(
        "[[strategies]]\nid = \"typo\"\nkind = \"ema_crows\"\naccounts = [\"nobody\"]\nsymbols = [\"*\"]\ninterval = \"1s\"\n".to_owned(),
    );
    let line = config.reload(&mut daemon);
    assert!(line.contains("refused whole"), "{line}");
    let log = home.log();
    for mistake in ["max_capitol", "exchange.seed", "ema_crows", "nobody"] {
        let told = log.lines().find(|line| line.contains("configuration refused") && line.contains(mistake));
        assert!(told.is_some_and(|told| told.contains("ringfence.toml:")), "expected {mistake} with its line in {log}");
    }
    let event = daemon.status();
    assert!(event["events"].to_string().contains("refused whole"), "{:#}", event["events"]);
    let after = ready_again(&mut daemon);
    assert_eq!(lives(&before), lives(&after));
    assert_eq!(after["build"]["config_hash"], before["build"]["config_hash"]);
    assert_eq!(metric(&daemon, "ringfence_orders_refused_total"), 0.0, "the good half of it was not applied either");
    assert_eq!(home.audit("config").iter().filter(changed).count(), 0);

    let line = Config::new().reload(&mut daemon);
    assert!(line.contains("changes=\"\"") && line.contains("needs_restart=\"\""), "the same again is no change: {line}");
    assert_eq!(home.audit("config").iter().filter(changed).count(), 0);
}

#[test]
fn strategies_come_go_and_change_and_take_their_orders_with_them() {
    let mut config = Config::new();
    let (home, mut daemon) = config.start();
    let resting = |status: &Value| open_orders(status, "alpha") >= 2 && open_orders(status, "beta") >= 2;
    let before = daemon.wait_for_status("has stops and targets resting", SOON, resting);

    // The first of the list goes: the second keeps its place, and with it its ids.
    config.strategies.remove(0);
    let line = config.reload(&mut daemon);
    assert!(line.contains("strategy holds removed"), "{line}");
    let gone = daemon.wait_for_status("cancelled the orders of the strategy that went", SOON, |status| {
        let gone = !names(&status["children"]).iter().any(|name| name.contains("strategy/holds"));
        gone && open_orders(status, "alpha") + open_orders(status, "beta") == 0 && status["ready"] == true
    });
    let kept = |status: &Value| lives(status).into_iter().filter(|(name, _)| !name.contains("strategy/")).collect::<BTreeSet<_>>();
    assert_eq!(kept(&before), kept(&gone));
    assert!(lives(&gone).contains(&("strategy/flips".to_owned(), 1)), "the other strategy did not notice");
    let why = "was taken out of the configuration";
    daemon.wait_until("journals why it cancelled", SOON, |daemon| {
        daemon.home.audit("orders").iter().any(|row| row.to_string().contains(why))
    });
    restart(&daemon, "strategy/flips");
    daemon.wait_until("has restarted it", SOON, |daemon| daemon.child("strategy/flips")["incarnation"] == 2);

    // Back under the same name, and the other one changed, in one step.
    config.strategies.insert(0, holds("[\"alpha\"]"));
    config.strategies[1] = config.strategies[1].replace("slow = 2", "slow = 3");
    config.strategies.push(flips("third", "SOLUSDT"));
    let line = config.reload(&mut daemon);
    for change in ["strategy holds added", "strategy third added", "strategy flips changed: settings.slow"] {
        assert!(line.contains(change), "{line}");
    }
    let back = daemon.wait_for_status("runs all three", SOON, |status| {
        let runs = |id| strategy(status, id).is_some_and(|one| one["running"] == true && one["signals"].as_u64() > Some(0));
        status["ready"] == true && open_orders(status, "alpha") >= 2 && ["holds", "flips", "third"].into_iter().all(runs)
    });
    assert_eq!(kept(&before), kept(&back));
    assert!(lives(&back).contains(&("strategy/flips".to_owned(), 3)), "{:?}", lives(&back));
    // A market order of another strategy may be on its way at one look; a stop would stay for ever.
    daemon.wait_for_status("has nothing resting where it no longer trades", SOON, |status| open_orders(status, "beta") == 0);

    // Disabled is gone; enabled again is back.
    let enabled = config.strategies[2].clone();
    config.strategies[2] = enabled.replace("kind", "enabled = false\nkind");
    assert!(config.reload(&mut daemon).contains("strategy third removed"));
    daemon.wait_for_status("stopped it", SOON, |status| !names(&status["children"]).contains(&"strategy/third"));
    config.strategies[2] = enabled;
    assert!(config.reload(&mut daemon).contains("strategy third added"));
    let again = daemon.wait_for_status("started it again", SOON, |status| names(&status["children"]).contains(&"strategy/third"));
    assert_eq!(kept(&before), kept(&again));
    assert_eq!(metric(&daemon, "ringfence_feed_connects_total"), 1.0);
    ready_again(&mut daemon);
    assert_eq!(daemon.terminate().code(), Some(0), "{}", home.log());
    ids_are_unique(&home);
}

fn restart(daemon: &Daemon, child: &str) {
    let (code, answer) = daemon.post(&format!("/admin/restart/{child}"), &serde_json::json!({ "by": "ann", "reason": "drill" }));
    assert_eq!(code, 200, "{answer}");
}

/// No id was given twice, whoever came and went.
fn ids_are_unique(home: &Home) {
    let rows = home.audit("orders");
    let ids: Vec<String> = rows
        .iter()
        .filter(|row| row.to_string().contains("\"order_intended\""))
        .map(|row| row["client_order_id"].as_str().unwrap_or_else(|| panic!("{row:#}")).to_owned())
        .collect();
    assert!(ids.len() > 6, "{ids:?}");
    assert_eq!(ids.len(), ids.iter().collect::<BTreeSet<_>>().len(), "{ids:?}");
}

#[test]
fn accounts_come_and_go_with_their_executors_and_orders() {
    let mut config = Config::new();
    let (home, mut daemon) = config.start();
    let before = daemon.wait_for_status("has orders resting", SOON, |status| open_orders(status, "beta") >= 2);
    config.accounts.push("delta");
    let line = config.reload(&mut daemon);
    for change in ["account delta added", "strategy flips changed: accounts", "strategy holds changed: accounts"] {
        assert!(line.contains(change), "{line}");
    }
    let more = daemon.wait_for_status("trades the new account", SOON, |status| {
        let fills =
            status["accounts"].as_array().unwrap().iter().find(|one| one["name"] == "delta").map(|one| one["fills"].as_u64().unwrap());
        fills > Some(0) && open_orders(status, "delta") >= 2 && status["ready"] == true
    });
    let kept = |status: &Value| {
        let with = ["executor/alpha", "executor/beta", "stream/alpha", "market/", "feed/", "risk_manager", "kill_switch", "execution"];
        lives(status).into_iter().filter(|(name, _)| with.iter().any(|with| name.contains(with))).collect::<BTreeSet<_>>()
    };
    assert_eq!(kept(&before), kept(&more));
    assert!(open_orders(&more, "beta") >= 2, "orders of a strategy that goes on stay");

    config.accounts.retain(|account| *account != "delta");
    let line = config.reload(&mut daemon);
    assert!(line.contains("account delta removed"), "{line}");
    let fewer = daemon.wait_for_status("let the account go", SOON, |status| {
        !names(&status["accounts"]).contains(&"delta") && !names(&status["children"]).iter().any(|name| name.contains("delta"))
    });
    assert_eq!(kept(&before), kept(&fewer));
    let mut told = String::new();
    daemon.wait_until("tells what is left", SOON, |daemon| {
        told = daemon.home.log().lines().find(|line| line.contains("account no longer traded")).unwrap_or_default().to_owned();
        !told.is_empty()
    });
    assert!(told.contains("account=delta") && told.contains("open_orders=0") && told.contains("ETHUSDT"), "{told}");

    // It comes back to an exchange that remembers it.
    config.accounts.push("delta");
    assert!(config.reload(&mut daemon).contains("account delta added"));
    let back = daemon.wait_for_status("has it back", SOON, |status| open_orders(status, "delta") >= 2 && status["ready"] == true);
    let wallet =
        |status: &Value| status["accounts"].as_array().unwrap().iter().find(|one| one["name"] == "delta").unwrap()["wallet"].clone();
    assert_ne!(wallet(&back), "100000", "not paid in twice, and its fees stay paid");

    // Out and in again before the first of the two is over: one after the other.
    let with = config.text();
    config.accounts.retain(|account| *account != "delta");
    let executor = daemon.child("executor/delta")["incarnation"].as_u64().unwrap();
    home.configure(&config.text());
    daemon.signal(libc::SIGHUP);
    daemon.wait_until("reads it", SOON, |daemon| daemon.home.log().matches("account delta removed").count() == 2);
    home.configure(&with);
    daemon.signal(libc::SIGHUP);
    config.accounts.push("delta");
    daemon.wait_for_status("has it back once more", SOON, |status| {
        let new = lives(status).contains(&("executor/delta".to_owned(), executor + 1));
        new && open_orders(status, "delta") >= 2 && status["ready"] == true
    });
    assert_eq!(metric(&daemon, "ringfence_feed_connects_total"), 1.0);
    assert_eq!(daemon.terminate().code(), Some(0), "{}", home.log());
    ids_are_unique(&home);
}

#[test]
fn what_a_kill_does_with_an_account_changes_without_a_restart_of_anybody() {
    let config = Config::new();
    let (home, mut daemon) = config.start();
    let lived = lives(&daemon.wait_for_status("has orders resting", SOON, |status| open_orders(status, "alpha") >= 2));
    home.configure(&config.text().replace("id = \"alpha\"", "id = \"alpha\"\non_kill = \"flatten\""));
    daemon.signal(libc::SIGHUP);
    daemon.wait_until("takes it over", SOON, |daemon| daemon.home.log().contains("account alpha changed: on_kill"));
    assert_eq!(lives(&daemon.status()), lived);
    let (code, answer) =
        daemon.post("/admin/halt", &serde_json::json!({ "by": "ann", "reason": "drill", "scope": { "account": "alpha" } }));
    assert_eq!(code, 200, "{answer}");
    daemon.wait_for_status("has flattened it", SOON, |status| {
        let alpha = &status["accounts"][0];
        alpha["mode"] == "Halted" && alpha["positions"].as_array().is_some_and(Vec::is_empty) && alpha["open_orders"] == 0
    });
}

#[test]
fn symbols_are_disabled_and_enabled_again() {
    let mut config = Config::new();
    let (home, mut daemon) = config.start();
    let before = daemon.wait_for_status("has orders resting", SOON, |status| open_orders(status, "alpha") >= 2);
    config.symbols[1].1 = false;
    let line = config.reload(&mut daemon);
    assert!(line.contains("symbol ETHUSDT removed") && line.contains("strategy holds removed"), "{line}");
    let without = daemon.wait_for_status("let the symbol go", SOON, |status| {
        !names(&status["symbols"]).contains(&"ETHUSDT")
            && !names(&status["children"]).iter().any(|name| name.contains("ETHUSDT") || name.contains("holds"))
            && open_orders(status, "alpha") == 0
            && status["ready"] == true
    });
    let kept = |status: &Value| {
        lives(status).into_iter().filter(|(name, _)| !name.contains("holds") && !name.contains("ETH")).collect::<BTreeSet<_>>()
    };
    assert_eq!(kept(&before), kept(&without));
    config.symbols[1].1 = true;
    let line = config.reload(&mut daemon);
    assert!(line.contains("symbol ETHUSDT added") && line.contains("strategy holds added"), "{line}");
    let back = daemon.wait_for_status("has the symbol back", SOON, |status| {
        let fresh = status["symbols"].as_array().unwrap().iter().any(|one| one["name"] == "ETHUSDT" && one["stale"] == false);
        fresh && open_orders(status, "alpha") >= 2 && status["ready"] == true
    });
    assert_eq!(kept(&before), kept(&back));
    assert_eq!(metric(&daemon, "ringfence_feed_connects_total"), 1.0);
    assert_eq!(daemon.terminate().code(), Some(0), "{}", home.log());
    ids_are_unique(&home);
}

#[test]
fn what_needs_a_restart_is_named_and_stays_and_the_log_filter_follows_at_once() {
    let mut config = Config::new();
    let (home, mut daemon) = config.start();
    let hash = daemon.status()["build"]["config_hash"].clone();
    config.top = "[exchange]\nseed = 7\n[telemetry]\nservice_name = \"other\"\n[daemon]\non_shutdown = \"keep\"\n".to_owned();
    for _ in 0..2 {
        let line = config.reload(&mut daemon);
        assert!(line.contains("changes=\"\""), "{line}");
        for key in ["exchange.seed: 42 → 7", "telemetry.service_name", "daemon.on_shutdown"] {
            assert!(line.contains(key), "{line}");
        }
    }
    assert_eq!(daemon.status()["build"]["config_hash"], hash, "what runs is what it was");
    daemon.wait_until("journals what waits", SOON, |daemon| {
        daemon.home.audit("config").iter().any(|row| row.to_string().contains("exchange.seed"))
    });

    config.top = "[daemon]\nlog = \"error\"\n".to_owned();
    home.configure(&config.text());
    daemon.signal(libc::SIGHUP);
    daemon.wait_until("reloads", SOON, |daemon| metric(daemon, "ringfence_reloads_total{outcome=\"applied\"}") >= 3.0);
    let quiet = home.log().lines().count();
    config.top = "[daemon]\nlog = \"error\"\n[risk]\nmax_order_value = \"4000\"\n".to_owned();
    home.configure(&config.text());
    daemon.signal(libc::SIGHUP);
    daemon.wait_until("reloads", SOON, |daemon| metric(daemon, "ringfence_reloads_total{outcome=\"applied\"}") >= 4.0);
    assert_eq!(home.log().lines().skip(quiet).filter(|line| line.contains(" INFO ")).count(), 0, "{}", home.log());
    config.top.clear();
    config.reload(&mut daemon);
    assert_eq!(daemon.terminate().code(), Some(0), "{}", home.log());
}
