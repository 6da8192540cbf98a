//! `ringfence kill`: accounts emptied straight at the venue, with no daemon, beside one that hangs, and beside one that is well; what
//! cannot be verified is said and is no success; a daemon that comes later comes up halted.

use std::io::Write as _;
use std::process::Stdio;
use std::time::Duration;

use serde_json::{Value, json};

use crate::daemon_terminal::terminal;
use crate::support::daemon::{BUSY, Daemon, Outcome};
use crate::support::stage::{ACCOUNTS, Stage};

const SOON: Duration = Duration::from_secs(60);
/// Far enough below any market to rest.
const RESTING: &str = "symbol=BTCUSDT&side=BUY&type=LIMIT&timeInForce=GTC&quantity=0.010&price=59500.0";
const RESTING_ETH: &str = "symbol=ETHUSDT&side=BUY&type=LIMIT&timeInForce=GTC&quantity=0.100&price=2550.0";
const CONDITIONAL: &str = "symbol=ETHUSDT&side=SELL&algoType=CONDITIONAL&type=STOP_MARKET&quantity=0.050&triggerPrice=2000.0";

fn kill(stage: &Stage, arguments: &[&str]) -> Outcome {
    let mut all = vec!["kill", "--json", "--config"];
    let config = stage.home.config();
    all.push(config.to_str().unwrap());
    all.extend(arguments);
    stage.home.command(&all)
}

fn of<'a>(report: &'a Value, account: &str) -> &'a Value {
    report["accounts"].as_array().unwrap().iter().find(|one| one["account"] == account).unwrap_or_else(|| panic!("{report:#}"))
}

/// Plain and conditional orders that the exchange has open for an account.
fn open(stage: &Stage, account: &str) -> usize {
    let count = |path: &str| stage.ask(account, "GET", path, "").1.as_array().unwrap().len();
    count("/fapi/v1/openOrders") + count("/fapi/v1/openAlgoOrders")
}

fn held(stage: &Stage, account: &str) -> usize {
    stage.ask(account, "GET", "/fapi/v3/positionRisk", "").1.as_array().unwrap().iter().filter(|one| one["positionAmt"] != "0.000").count()
}

fn place(stage: &Stage, account: &str, path: &str, order: &str) {
    let (code, answer) = stage.ask(account, "POST", path, order);
    assert_eq!(code, 200, "{answer}");
}

#[test]
fn without_any_daemon_orders_are_cancelled_positions_closed_and_the_next_daemon_is_halted() {
    let stage = Stage::open(11);
    stage.configure(false, false);
    for account in ["alpha", "beta"] {
        place(&stage, account, "/fapi/v1/order", RESTING);
        place(&stage, account, "/fapi/v1/order", "symbol=ETHUSDT&side=BUY&type=MARKET&quantity=0.100");
        place(&stage, account, "/fapi/v1/algoOrder", CONDITIONAL);
    }
    let killed = kill(&stage, &["--flatten", "--by", "ann", "--reason", "drill"]);
    assert_eq!(killed.code, 0, "{killed:?}");
    let report = killed.json();
    for account in ["alpha", "beta"] {
        let expected = json!({ "account": account, "venue": "there", "orders_found": 2, "orders_cancelled": 2, "orders_left": 0,
            "positions_found": 1, "positions_closed": 1, "positions_left": 0, "verified": true });
        assert_eq!(*of(&report, account), expected);
        assert_eq!((open(&stage, account), held(&stage, account)), (0, 0));
    }
    assert_eq!((&of(&report, "gamma")["orders_found"], &of(&report, "gamma")["verified"]), (&json!(0), &json!(true)));
    assert!(report["daemon"].as_str().unwrap().starts_with("none"), "{report:#}");
    assert!(!stage.home.data().join("journal").exists(), "it needs no journal and makes none");

    stage.configure(true, false);
    let mut daemon = stage.home.spawn();
    let status = daemon.wait_for_status("has its safety tree", SOON, |status| status["kill_switch"]["tripped"] == true);
    assert_eq!(status["mode"], "Halted");
    assert!(status["kill_switch"]["cause"].as_str().unwrap().contains("kill by ann: drill"), "{status:#}");
    daemon.wait_until("may be resumed", SOON, |daemon| daemon.post("/admin/resume", &json!({ "by": "ben", "reason": "seen" })).0 == 200);
    trades(&mut daemon);
}

fn trades(daemon: &mut Daemon) {
    daemon.wait_for_status("trades on every account", SOON, |status| {
        status["accounts"].as_array().unwrap().iter().all(|account| account["fills"].as_u64() > Some(0))
    });
}

#[test]
fn beside_a_daemon_that_hangs_everything_is_emptied_and_what_it_was_sending_is_waited_for() {
    let stage = Stage::open(12);
    stage.configure(true, false);
    let mut daemon = stage.home.start();
    trades(&mut daemon);
    // A person's own, which the daemon leaves alone: whatever the strategies hold at this moment, there is something to find.
    place(&stage, "alpha", "/fapi/v1/order", RESTING);
    daemon.signal(libc::SIGSTOP);
    let killed = kill(&stage, &["--flatten"]);
    let report = killed.json();
    assert_eq!((killed.code, &report["verified"]), (0, &json!(true)), "{killed:?}");
    assert!(report["daemon"].as_str().unwrap().contains("no answer"), "{report:#}");
    let found: u64 = report["accounts"].as_array().unwrap().iter().map(|account| account["orders_found"].as_u64().unwrap()).sum();
    assert!(found > 0, "{report:#}");
    for account in ACCOUNTS {
        assert_eq!((open(&stage, account), held(&stage, account)), (0, 0), "{account}");
    }
    drop(daemon);
    let mut next = stage.home.spawn();
    next.wait_for_status("is halted", SOON, |status| status["mode"] == "Halted");
}

#[test]
fn a_daemon_that_is_well_is_halted_first_also_with_the_exchange_inside() {
    let mut daemon = Daemon::start(BUSY);
    daemon.wait_for_status("has resting orders", SOON, |status| {
        status["accounts"].as_array().unwrap().iter().all(|account| account["open_orders"].as_u64() > Some(0))
    });
    let config = daemon.home.config();
    let killed = daemon.home.command(&["kill", "--json", "--by", "ann", "--reason", "drill", "--config", config.to_str().unwrap()]);
    let report = killed.json();
    assert_eq!((killed.code, &report["daemon"], report["accounts"].as_array().unwrap().len()), (0, &json!("halted"), 3), "{killed:?}");
    let status = daemon.status();
    assert_eq!(status["mode"], "Halted", "{status:#}");
    let words = daemon.home.command(&["kill", "--yes", "--config", config.to_str().unwrap()]);
    assert!(words.code == 0 && words.stdout.contains("alpha") && words.stdout.contains("until `ringfence resume`"), "{words:?}");
}

#[test]
fn an_account_that_cannot_be_asked_is_named_and_the_others_are_emptied() {
    let stage = Stage::open(13);
    stage.configure(false, false);
    for account in ACCOUNTS {
        place(&stage, account, "/fapi/v1/order", RESTING);
    }
    // One key is gone, another is wrong.
    std::fs::remove_file(stage.key_file("alpha")).unwrap();
    std::fs::write(stage.key_file("beta"), "the-key\nthe-wrong-secret\n").unwrap();
    let killed = kill(&stage, &["--within", "3"]);
    let report = killed.json();
    assert_eq!((killed.code, &report["verified"]), (1, &json!(false)), "{killed:?}");
    for account in ["gamma", "delta"] {
        assert_eq!((&of(&report, account)["verified"], open(&stage, account)), (&json!(true), 0), "{report:#}");
    }
    for (account, word) in [("alpha", "its key"), ("beta", "-2014")] {
        let row = of(&report, account);
        assert_eq!((&row["verified"], &row["orders_left"]), (&json!(false), &json!(null)), "{row:#}");
        assert!(row["why"].as_str().unwrap().contains(word), "{row:#}");
        assert_eq!(open(&stage, account), 1);
    }
    assert!(!killed.stdout.contains("the-wrong-secret") && !killed.stderr.contains("the-wrong-secret"));
}

#[test]
fn a_venue_that_is_gone_is_not_verified_in_the_time_that_there_is() {
    let stage = Stage::open(14);
    stage.configure(false, false);
    let config = std::fs::read_to_string(stage.home.config()).unwrap();
    // Nobody listens on port 1.
    let nowhere = "[[venues]]\nid = \"nowhere\"\nkind = \"binance_usdm\"\nrest = \"http://127.0.0.1:1\"\nws = \"ws://127.0.0.1:1\"\nws_api = \"ws://127.0.0.1:1/\"\n";
    let config = config.replace("id = \"delta\"\nvenue = \"there\"", "id = \"delta\"\nvenue = \"nowhere\"");
    stage.home.configure(&format!("{config}{nowhere}"));
    place(&stage, "alpha", "/fapi/v1/order", RESTING);
    let killed = kill(&stage, &["--within", "4"]);
    let report = killed.json();
    assert_eq!(killed.code, 1, "{killed:?}");
    assert_eq!((&of(&report, "alpha")["verified"], &of(&report, "delta")["verified"]), (&json!(true), &json!(false)), "{report:#}");
    assert_eq!(open(&stage, "alpha"), 0);
}

#[test]
fn narrowed_it_touches_nothing_else_and_halts_only_what_it_covers() {
    let stage = Stage::open(15);
    stage.configure(false, false);
    for account in ["alpha", "beta"] {
        place(&stage, account, "/fapi/v1/order", RESTING);
        place(&stage, account, "/fapi/v1/order", RESTING_ETH);
    }
    let killed = kill(&stage, &["--account", "alpha", "--symbol", "ETHUSDT"]);
    let report = killed.json();
    assert_eq!((killed.code, report["accounts"].as_array().unwrap().len(), open(&stage, "alpha"), open(&stage, "beta")), (0, 1, 1, 2));
    assert!(report["latch"].as_str().unwrap().starts_with("none"), "{report:#}");
    let killed = kill(&stage, &["--account", "alpha"]);
    assert_eq!((killed.code, open(&stage, "alpha"), open(&stage, "beta")), (0, 0, 2), "{killed:?}");
    let latch = std::fs::read_to_string(stage.home.data().join("latch.json")).unwrap();
    assert!(latch.contains("\"account\":\"alpha\"") && !latch.contains("beta") && !latch.contains("global"), "{latch}");
    let killed = kill(&stage, &["--no-latch", "--account", "beta"]);
    assert_eq!((killed.code, open(&stage, "beta")), (0, 0), "{killed:?}");
    assert!(!std::fs::read_to_string(stage.home.data().join("latch.json")).unwrap().contains("beta"));
    for wrong in [["--account", "nobody"], ["--venue", "nowhere"]] {
        assert_eq!(kill(&stage, &wrong).code, 2);
    }
}

#[test]
fn the_exchange_inside_without_its_daemon_cannot_be_verified_and_the_halt_is_left_for_the_next() {
    let mut daemon = Daemon::start(BUSY);
    trades(&mut daemon);
    let home = daemon.kill();
    let killed = home.command(&["kill", "--json", "--within", "2"]);
    let report = killed.json();
    assert_eq!((killed.code, &report["verified"]), (1, &json!(false)), "{killed:?}");
    let mut daemon = home.spawn();
    let status = daemon.wait_for_status("has confirmed every account", SOON, |status| {
        status["kill_switch"]["verified"].as_array().is_some_and(|verified| verified.len() == 3)
    });
    assert_eq!(status["mode"], "Halted", "{status:#}");
}

#[test]
fn on_a_terminal_a_person_is_asked_first() {
    let stage = Stage::open(16);
    stage.configure(false, false);
    place(&stage, "alpha", "/fapi/v1/order", RESTING);
    for (answer, code, left) in [("no\n", 1, 1), ("yes\n", 0, 0)] {
        let (mut ours, theirs) = terminal();
        let mut command = stage.home.binary(&["kill", "--config"]);
        command
            .arg(stage.home.config())
            .arg("--data-dir")
            .arg(stage.home.data())
            .stdin(theirs)
            .stdout(Stdio::piped())
            .stderr(Stdio::piped());
        let asked = command.spawn().unwrap();
        ours.write_all(answer.as_bytes()).unwrap();
        let done = asked.wait_with_output().unwrap();
        let words = String::from_utf8(done.stderr).unwrap();
        assert!(words.contains("alpha at there") && words.contains("Type yes"), "{words}");
        assert_eq!((done.status.code(), open(&stage, "alpha")), (Some(code), left), "{words}");
    }
}
