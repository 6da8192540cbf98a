//! What the daemon refuses to start with, and how it says so: one line that names the thing and the way out, exit code 2,
//! and nothing started. What it starts with all the same, it starts halted.

use std::fs;
use std::os::unix::fs::PermissionsExt as _;
use std::path::Path;
use std::sync::Arc;
use std::time::Duration;

use serde_json::{Value, json};

use crate::support::FIVE_MISTAKES;
use crate::support::daemon::{Daemon, Home, Outcome};
use crate::support::ledger::Ledger;

/// Refused with exit code 2, nothing on stdout and one line on stderr that has all of these.
fn assert_refused(outcome: &Outcome, expected: &[&str]) {
    assert_eq!((outcome.code, outcome.stdout.as_str()), (2, ""), "{outcome:?}");
    assert_eq!(outcome.stderr.lines().count(), 1, "expected one line, found:\n{}", outcome.stderr);
    for text in expected {
        assert!(outcome.stderr.contains(text), "expected {text:?} in {}", outcome.stderr);
    }
}

/// A home in which a daemon has traded and stopped in order.
fn home_with_history() -> Arc<Home> {
    let home = Home::new("");
    let mut daemon = home.start();
    daemon.wait_for_status("has traded", Duration::from_secs(60), |status| {
        status["accounts"].as_array().unwrap().iter().all(|account| account["fills"].as_u64() > Some(0))
    });
    assert_eq!(daemon.terminate().code(), Some(0), "{}", home.log());
    home
}

#[test]
fn five_mistakes_are_all_told_with_their_lines_and_nothing_is_started() {
    let home = Home::new(FIVE_MISTAKES);
    let outcome = home.run_to_the_end();
    assert_eq!((outcome.code, outcome.stdout.as_str()), (2, ""), "{outcome:?}");
    for line in ["ringfence.toml:2:", "ringfence.toml:5:", "ringfence.toml:6:", "ringfence.toml:11:", "ringfence.toml:13:"] {
        assert!(outcome.stderr.contains(line), "expected {line} in {}", outcome.stderr);
    }
    assert_eq!((outcome.stderr.matches("expected").count(), outcome.stderr.matches(", found ").count()), (5, 5), "{}", outcome.stderr);
    assert!(outcome.stderr.ends_with("ringfence: 5 mistakes in the configuration; nothing was started\n"), "{}", outcome.stderr);
    assert!(!home.data().exists() && !home.path().join("elsewhere").exists());
}

#[test]
fn a_configuration_that_is_not_there_is_one_line() {
    let home = Home::new("");
    let outcome = home.binary(&["run", "--config", "nowhere.toml"]).output().unwrap();
    let text = String::from_utf8(outcome.stderr).unwrap();
    assert_eq!(outcome.status.code(), Some(2), "{text}");
    assert!(text.contains("nowhere.toml"), "{text}");
}

#[test]
fn a_port_in_use_is_one_line() {
    let taken = std::net::TcpListener::bind("127.0.0.1:0").unwrap();
    let address = taken.local_addr().unwrap().to_string();
    let home = Home::new("");
    let output = home.binary(&["run"]).env("RINGFENCE__DAEMON__HTTP_BIND", &address).output().unwrap();
    let text = |bytes: Vec<u8>| String::from_utf8(bytes).unwrap();
    let outcome = Outcome { code: output.status.code().unwrap(), stdout: text(output.stdout), stderr: text(output.stderr) };
    assert_refused(&outcome, &[&address, "http_bind"]);
}

#[test]
fn a_data_directory_that_cannot_be_made_or_written_is_one_line() {
    let home = Home::new("");
    fs::write(home.path().join("file"), "in the way").unwrap();
    for place in ["file", "file/data", "/proc/nowhere"] {
        let output = home.binary(&["run", "--data-dir", place]).output().unwrap();
        let text = |bytes: Vec<u8>| String::from_utf8(bytes).unwrap();
        let outcome = Outcome { code: output.status.code().unwrap(), stdout: text(output.stdout), stderr: text(output.stderr) };
        assert_refused(&outcome, &[place, "data directory"]);
    }
}

#[test]
fn a_second_daemon_on_the_same_data_directory_is_refused_and_the_first_goes_on() {
    let home = Home::new("");
    let mut first = home.start();
    let holder = format!("process {}", first.pid());
    assert_refused(&home.run_to_the_end(), &["data", &holder, "--data-dir"]);
    assert_eq!(first.get("/ready").0, 200);
    assert_eq!(first.status()["epoch"], 1, "the second one wrote nothing");
    assert_eq!(first.terminate().code(), Some(0));
}

#[test]
fn a_token_that_others_can_read_is_one_line() {
    let home = Home::new("");
    fs::create_dir(home.data()).unwrap();
    fs::write(home.data().join("token"), "0".repeat(64)).unwrap();
    fs::set_permissions(home.data().join("token"), fs::Permissions::from_mode(0o644)).unwrap();
    assert_refused(&home.run_to_the_end(), &["token", "0600", "0644"]);
}

/// Changes the payload of a row in the middle, behind the journal's back.
fn change_a_row(home: &Home) -> i64 {
    let journal = rusqlite::Connection::open(home.data().join("journal/journal-000001.db")).unwrap();
    let row: i64 = journal.query_row("SELECT seq FROM rows WHERE kind = 'filled' ORDER BY seq LIMIT 1", [], |row| row.get(0)).unwrap();
    let sql = "UPDATE rows SET payload = replace(payload, '\"price\":\"', '\"price\":\"9') WHERE seq = ?1";
    assert_eq!(journal.execute(sql, [row]).unwrap(), 1);
    row
}

#[test]
fn a_broken_chain_refuses_to_trade_names_the_row_and_a_named_person_can_go_on() {
    let home = home_with_history();
    let row = change_a_row(&home);
    let way_out = format!("ringfence audit repair --accept-loss-after {}", row - 1);
    assert_refused(&home.run_to_the_end(), &[&format!("row {row}"), "audit verify", &way_out]);
    let verified = home.command(&["audit", "verify"]);
    assert_eq!(verified.code, 1);
    assert!(verified.stdout.contains(&format!("row {row}")) && verified.stdout.contains(&way_out), "{}", verified.stdout);
    let keep = (row - 1).to_string();
    let repaired = home.command(&["audit", "repair", "--accept-loss-after", &keep, "--by", "ann", "--reason", "a row was changed by hand"]);
    assert_eq!(repaired.code, 0, "{repaired:?}");
    // What the journal lost, the exchange remembers: it is taken over from there, and trading goes on.
    let mut daemon = home.start();
    let before = Ledger::read(&home).trades.len() as u64;
    assert!(before > 0);
    assert_eq!(daemon.terminate().code(), Some(0), "{}", home.log());
    assert_eq!(home.command(&["audit", "verify"]).code, 0);
    let operator = home.audit("operator");
    assert!(operator.iter().any(|row| row["payload"]["by"] == "ann"), "the repair is in the journal: {operator:#?}");
    let ledger = Ledger::read(&home);
    let booked = ledger.fills().count();
    assert_eq!(booked, ledger.trades.len(), "every trade of the exchange is booked again, once");
}

#[test]
fn a_journal_whose_end_was_cut_off_is_refused() {
    let home = home_with_history();
    let journal = rusqlite::Connection::open(home.data().join("journal/journal-000001.db")).unwrap();
    let last: i64 = journal.query_row("SELECT max(seq) FROM rows", [], |row| row.get(0)).unwrap();
    assert_eq!(journal.execute("DELETE FROM rows WHERE seq > ?1", [last - 3]).unwrap(), 3);
    drop(journal);
    let way_out = format!("--accept-loss-after {}", last - 3);
    assert_refused(&home.run_to_the_end(), &[&format!("row {}", last - 2), &way_out]);
    let keep = (last - 3).to_string();
    assert_eq!(home.command(&["audit", "repair", "--accept-loss-after", &keep, "--by", "ann", "--reason", "restored a copy"]).code, 0);
    assert_eq!(home.start().terminate().code(), Some(0), "{}", home.log());
}

#[test]
fn a_journal_file_that_is_cut_short_or_overwritten_is_refused_with_a_way_out() {
    let original = home_with_history();
    let length = fs::metadata(original.data().join("journal/journal-000001.db")).unwrap().len();
    type Damage = fn(&Path, u64);
    let damages: [(&str, Damage); 3] = [
        ("cut", |path, length| fs::OpenOptions::new().write(true).open(path).unwrap().set_len(length / 2).unwrap()),
        ("emptied", |path, _| fs::write(path, b"").unwrap()),
        ("overwritten", |path, length| fs::write(path, vec![b'x'; usize::try_from(length).unwrap()]).unwrap()),
    ];
    for (name, damage) in damages {
        let home = Home::new("");
        copy(&original.data(), &home.data());
        damage(&home.data().join("journal/journal-000001.db"), length);
        assert_refused(&home.run_to_the_end(), &["journal", "audit"]);
        let verified = home.command(&["audit", "verify", "--json"]);
        assert_eq!(verified.code, 1, "{name}: {verified:?}");
        let keep = verified.json()["outcome"]["broken"]["last_good"].to_string();
        let repaired = home.command(&["audit", "repair", "--accept-loss-after", &keep, "--by", "ann", "--reason", "a disk died"]);
        assert_eq!(repaired.code, 0, "{name}: {repaired:?}");
        assert_eq!(home.start().terminate().code(), Some(0), "{name}: {}", home.log());
    }
}

fn copy(from: &Path, to: &Path) {
    fs::create_dir_all(to).unwrap();
    for entry in fs::read_dir(from).unwrap() {
        let entry = entry.unwrap();
        let target = to.join(entry.file_name());
        if entry.file_type().unwrap().is_dir() {
            copy(&entry.path(), &target);
        } else {
            fs::copy(entry.path(), target).unwrap();
        }
    }
}

#[test]
fn a_damaged_record_of_the_exchange_is_one_line_and_is_left_as_it_is() {
    let home = home_with_history();
    let path = home.data().join("exchange.db");
    let good = fs::read(&path).unwrap();
    let damaged = vec![b'x'; good.len()];
    fs::write(&path, &damaged).unwrap();
    assert_refused(&home.run_to_the_end(), &["exchange.db", "moved away"]);
    assert_eq!(fs::read(&path).unwrap(), damaged);
    let mut half = good;
    half.truncate(half.len() / 2);
    fs::write(&path, &half).unwrap();
    assert_refused(&home.run_to_the_end(), &["exchange.db", "moved away"]);
    // As the line says: an exchange that starts anew is met by a journal that takes its word for everything.
    fs::rename(&path, home.path().join("exchange.db.damaged")).unwrap();
    let mut daemon = home.start();
    assert_eq!(daemon.terminate().code(), Some(0), "{}", home.log());
}

#[test]
fn a_latch_that_cannot_be_read_is_a_halt_that_a_named_person_ends() {
    let home = home_with_history();
    fs::write(home.data().join("latch.json"), "{\"halted\": [").unwrap();
    // beta is configured to be flattened by a halt; the others must not trade at all.
    let untouched = || Ledger::read(&home).trades.iter().filter(|trade| trade.account.as_str() != "beta").count();
    let fills = untouched();
    let mut daemon = home.start();
    let verified = |status: &Value| status["kill_switch"]["verified"] == json!(["alpha", "beta", "gamma"]);
    let status = daemon.wait_for_status("has verified that nothing is open", Duration::from_secs(20), verified);
    assert_eq!(status["mode"], "Halted");
    assert!(status["kill_switch"]["cause"].as_str().unwrap().contains("latch.json"), "{status:#}");
    assert_eq!(untouched(), fills);
    assert_eq!(home.command(&["resume", "--by", "ann", "--reason", "the file was edited by mistake"]).code, 0);
    daemon.wait_for_status("is Normal", Duration::from_secs(20), |status| status["mode"] == "Normal");
    assert_eq!(daemon.terminate().code(), Some(0), "{}", home.log());
    let daemon = home.start();
    assert_eq!(daemon.status()["mode"], "Normal", "the latch was cleared for good");
}

#[test]
fn a_journal_that_fails_halts_everything_ends_the_process_and_stays_latched() {
    let home = Home::new("");
    let mut daemon = home.start();
    let asked = home.command(&["inject", "journal", "fail", "--by", "ann", "--reason", "drill"]);
    assert_eq!(asked.code, 0, "{asked:?}");
    let ended = daemon.wait();
    assert_eq!(ended.code(), Some(1), "{}", home.log());
    let open = Ledger::read(&home).open;
    assert!(open.is_empty(), "left open at the exchange: {open:?}");
    drop(daemon);
    let daemon = home.spawn();
    assert_halted_by_storage(&daemon);
    assert_eq!(home.command(&["audit", "verify"]).code, 0);
}

fn assert_halted_by_storage(daemon: &Daemon) {
    let status = daemon.status();
    assert_eq!(status["mode"], "Halted", "{status:#}");
    let cause = status["kill_switch"]["cause"].as_str().unwrap();
    assert!(cause.contains("journal"), "{cause}");
}
