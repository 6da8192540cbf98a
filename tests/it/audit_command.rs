//! `ringfence audit` on a journal as a daemon leaves it: what a person reads, what a program reads, and what a broken chain
//! looks like from outside.

use std::path::Path;

use ringfence::domain::mode::Scope;
use ringfence::domain::record::{Entry, Record};
use ringfence::domain::time::Timestamp;
use ringfence::store::{Ack, Journal, JournalOptions};

use crate::cli::{Outcome, ringfence};

/// A closed journal in which ann halted once and resumed once.
fn journal(data: &Path) {
    let (journal, _) = Journal::open(data, &JournalOptions::new("0.1.0", "hash")).unwrap();
    let command = |verb: &str, second: i64| Entry {
        at: Timestamp::from_millis(1_767_225_600_000 + second * 1_000),
        record: Record::OperatorCommand {
            verb: verb.to_owned(),
            scope: Scope::Account("alpha".parse().unwrap()),
            by: "ann".to_owned(),
            reason: "drill".to_owned(),
            outcome: "done".to_owned(),
        },
    };
    journal.handle().append(vec![command("halt", 0), command("resume", 60)], Ack::None).unwrap();
    journal.close("test").unwrap();
}

fn audit(data: &Path, arguments: &[&str]) -> Outcome {
    ringfence(data, &[&["audit"], arguments, &["--data-dir", "."]].concat(), &[])
}

#[test]
fn operators_are_asked_for_by_account_time_and_number() {
    let data = tempfile::tempdir().unwrap();
    journal(data.path());
    let all = audit(data.path(), &["operator"]);
    assert_eq!(all.code, 0, "{}", all.stderr);
    assert!(all.stdout.contains("halt account/alpha by ann: drill; done"), "{}", all.stdout);
    let json = |more: &[&str]| {
        let outcome = audit(data.path(), &[&["operator", "--json"], more].concat());
        serde_json::from_str::<Vec<serde_json::Value>>(&outcome.stdout).unwrap_or_else(|_| panic!("{}{}", outcome.stdout, outcome.stderr))
    };
    assert_eq!(json(&[]).len(), 2);
    assert_eq!(json(&["--limit", "1"])[0]["payload"]["verb"], "resume");
    assert_eq!(json(&["--until", "2026-01-01T00:00:30Z"])[0]["payload"]["verb"], "halt");
    assert_eq!(json(&["--account", "beta"]).len(), 0);
    assert_eq!(audit(data.path(), &["operator", "--since", "yesterday"]).code, 2);
}

#[test]
fn controls_are_printed_with_what_the_journal_has_of_each_and_without_a_journal_too() {
    let (data, empty) = (tempfile::tempdir().unwrap(), tempfile::tempdir().unwrap());
    journal(data.path());
    let printed = audit(data.path(), &["controls"]);
    assert_eq!(printed.code, 0, "{}", printed.stderr);
    for id in (1..=24).map(|number| format!("C{number:02}")) {
        assert!(printed.stdout.lines().any(|line| line.trim_start().starts_with(&id)), "{id} in {}", printed.stdout);
    }
    assert!(printed.stdout.contains("operator_command:halt 1"), "{}", printed.stdout);
    let json = |data: &Path, more: &[&str]| -> serde_json::Value {
        let outcome = audit(data, &[&["controls", "--json"], more].concat());
        serde_json::from_str(&outcome.stdout).unwrap_or_else(|_| panic!("{}{}", outcome.stdout, outcome.stderr))
    };
    let evidence = |json: &serde_json::Value| json["controls"][0]["evidence"]["operator_command:halt"].clone();
    assert_eq!(evidence(&json(data.path(), &[])), 1);
    assert_eq!(evidence(&json(data.path(), &["--since", "2026-01-01T00:00:30Z"])), 0);
    let c19 = json(data.path(), &["--control", "c19"]);
    assert_eq!((&c19["controls"][0]["control"]["id"], &c19["controls"][0]["control"]["offered"]), (&"C19".into(), &false.into()));
    assert!(audit(data.path(), &["controls", "--control", "C06"]).stdout.contains("message_rate"));
    assert_eq!(audit(data.path(), &["controls", "--control", "C99"]).code, 2);
    let bare = json(empty.path(), &[]);
    assert_eq!((bare["controls"].as_array().unwrap().len() >= 24, &bare["rows_counted"]), (true, &serde_json::Value::Null));
}

#[test]
fn a_broken_chain_is_exit_code_1_and_repair_takes_the_row_that_verify_names() {
    let data = tempfile::tempdir().unwrap();
    journal(data.path());
    let intact = audit(data.path(), &["verify"]);
    assert_eq!((intact.code, intact.stdout.starts_with("intact: ")), (0, true), "{}{}", intact.stdout, intact.stderr);

    let connection = rusqlite::Connection::open(data.path().join("journal/journal-000001.db")).unwrap();
    assert_eq!(
        connection.execute("UPDATE rows SET payload = replace(payload, 'drill', 'drull') WHERE payload LIKE '%resume%'", []).unwrap(),
        1
    );
    drop(connection);
    let broken = audit(data.path(), &["verify", "--json"]);
    assert_eq!(broken.code, 1);
    let report: serde_json::Value = serde_json::from_str(&broken.stdout).unwrap();
    let last_good = report["outcome"]["broken"]["last_good"].as_u64().unwrap();
    assert!(audit(data.path(), &["verify"]).stdout.contains(&format!("--accept-loss-after {last_good}")));

    let signed = ["--by", "ann", "--reason", "disk replaced"];
    let wrong = audit(data.path(), &[&["repair", "--accept-loss-after", "99"][..], &signed].concat());
    assert_eq!(wrong.code, 2, "{}", wrong.stderr);
    let right = audit(data.path(), &[&["repair", "--accept-loss-after", &last_good.to_string()][..], &signed].concat());
    assert_eq!(right.code, 0, "{}", right.stderr);
    assert_eq!(audit(data.path(), &["verify"]).code, 0);
}

#[test]
fn without_a_journal_the_command_says_where_it_looked() {
    let data = tempfile::tempdir().unwrap();
    for question in ["orders", "config", "supervision", "operator", "verify"] {
        let outcome = audit(data.path(), &[question]);
        assert_eq!((outcome.code, outcome.stdout.as_str()), (1, ""), "{question}");
        assert!(outcome.stderr.contains("journal"), "{}", outcome.stderr);
    }
}
