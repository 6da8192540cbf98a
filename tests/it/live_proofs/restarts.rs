//! `restart NAME` moves that counter and no other, whatever the name.

use super::*;

#[test]
fn a_restart_by_name_moves_only_that_counter() {
    let mut daemon = Daemon::start(&format!("{BUSY}{PATIENT}"));
    let names =
        ["executor/beta", "stream/alpha", "market/SOLUSDT", "strategy/score", "risk_manager", "metronome", "safety_beat", "dead_man"];
    for name in names {
        let before = restarts(&daemon.status());
        let asked = daemon.home.command(&["restart", name, "--by", "ann", "--reason", "proof"]);
        assert_eq!(asked.code, 0, "{asked:?}");
        daemon.wait_for_status(&format!("has {name} restarted"), WITHIN, |status| restarts(status)[name] == before[name] + 1);
        daemon.wait_until("is ready again", WITHIN, |daemon| daemon.get("/ready").0 == 200);
        let mut after = restarts(&daemon.status());
        after.insert(name.to_owned(), after[name] - 1);
        assert_eq!(after, before, "only {name} was restarted");
    }
    let sent = ["alpha", "beta", "gamma"].map(|account| orders(&daemon.status(), account));
    daemon.wait_for_status("trades on everywhere", WITHIN, |status| {
        ["alpha", "beta", "gamma"].iter().zip(sent).all(|(account, sent)| orders(status, account) > sent)
    });
    let rows = daemon.home.audit("operator");
    assert_eq!(rows.iter().filter(|row| row["payload"]["verb"] == "restart" && row["payload"]["by"] == "ann").count(), names.len());
    // What a person asked for is no fault: no alert says that something died.
    let (_, alerts) = daemon.get("/alerts");
    let died = |alert: &&Value| alert["kind"] == "child_died" || alert["kind"] == "gave_up";
    assert_eq!(alerts["open"].as_array().unwrap().iter().find(died), None);
}
