//! Alerts of the running daemon: raised by what happens, on every surface, until a named person acknowledges them, across a
//! kill; and a sink that is down or slow, which nobody waits for.

use std::io::{Read as _, Write as _};
use std::net::{TcpListener, TcpStream};
use std::sync::Arc;
use std::sync::mpsc::{Receiver, channel};
use std::time::Duration;

use serde_json::{Value, json};

use crate::support::daemon::{BUSY, Daemon, Home};

/// Far more than an alert takes; for a machine that is busy with other tests.
const WITHIN: Duration = Duration::from_secs(30);

fn inject(daemon: &Daemon, child: &str, fault: &str) {
    let (code, answer) = daemon.post(&format!("/admin/inject/{child}"), &json!({ "by": "drill", "reason": "test", "fault": fault }));
    assert_eq!(code, 200, "{answer}");
}

fn open(daemon: &Daemon) -> Vec<Value> {
    let (code, alerts) = daemon.get("/alerts");
    assert_eq!(code, 200, "{alerts}");
    alerts["open"].as_array().unwrap().clone()
}

/// The open alert of that kind about that subject.
fn alert(daemon: &Daemon, kind: &str, subject: &str) -> Option<Value> {
    open(daemon).into_iter().find(|alert| alert["kind"] == kind && alert["subject"] == subject)
}

fn number(alert: &Value) -> String {
    alert["id"].as_u64().unwrap().to_string()
}

fn ack(home: &Home, id: &str) -> i32 {
    home.command(&["alerts", "ack", id, "--by", "ann", "--reason", "looked into it"]).code
}

#[test]
fn an_alert_is_on_every_surface_and_outlives_a_kill_until_a_named_person_acknowledges_it() {
    let mut daemon = Daemon::start(BUSY);
    let home = Arc::clone(&daemon.home);
    assert!(open(&daemon).iter().all(|alert| alert["severity"] != "critical"), "{:?}", open(&daemon));
    inject(&daemon, "market/ETHUSDT", "panic");
    daemon.wait_until("alerts", WITHIN, |daemon| alert(daemon, "child_died", "market/ETHUSDT").is_some());
    let raised = alert(&daemon, "child_died", "market/ETHUSDT").unwrap();
    assert_eq!((&raised["severity"], &raised["times"]), (&json!("warning"), &json!(1)));
    assert!(raised["text"].as_str().unwrap().contains("injected panic"), "{raised}");
    let id = number(&raised);
    let status = daemon.status();
    assert!(status["alerts"].as_array().unwrap().contains(&raised), "{status:#}");
    let told = |event: &Value| event["kind"] == "alert" && event["text"].as_str().unwrap().starts_with(&format!("#{id} warning"));
    assert!(status["events"].as_array().unwrap().iter().any(told), "{status:#}");
    let listed = home.command(&["alerts"]);
    assert!(listed.code == 0 && listed.stdout.contains("market/ETHUSDT") && listed.stdout.contains("nobody"), "{listed:?}");
    assert!(home.log().contains("ringfence::alerts"), "{}", home.log());
    let (_, metrics) = daemon.get("/metrics");
    for name in ["ringfence_alerts_total{", "ringfence_alerts_open{severity=\"warning\"}", "ringfence_alert_published_seconds_count"] {
        assert!(metrics.as_str().unwrap().contains(name), "{name} in {metrics}");
    }

    // Nobody has heard of it: it is there after a kill, under the same number.
    daemon.wait_until("has written it down", WITHIN, |_| home.audit("alerts").iter().any(|row| row["payload"]["id"] == raised["id"]));
    let home = daemon.kill();
    let mut daemon = home.start();
    let again = alert(&daemon, "child_died", "market/ETHUSDT").expect("an unacknowledged alert outlives the process");
    assert_eq!(number(&again), id);
    assert_eq!(ack(&home, "999999"), 2, "no such alert");
    for unsigned in [json!({}), json!({ "by": "ann" }), json!({ "reason": "x" })] {
        assert_eq!(daemon.post(&format!("/admin/alerts/{id}/ack"), &unsigned).0, 422, "{unsigned}");
    }
    assert_eq!(home.command(&["alerts", "ack", &id, "--by", "ann"]).code, 2, "a reason is needed");
    assert_eq!(ack(&home, &id), 0);
    assert_eq!(ack(&home, &id), 1, "it was acknowledged already");
    assert_eq!(alert(&daemon, "child_died", "market/ETHUSDT"), None);
    let (_, alerts) = daemon.get("/alerts");
    let heard = alerts["acknowledged"].as_array().unwrap().last().unwrap().clone();
    assert_eq!((&heard["by"], &heard["reason"], &heard["id"]), (&json!("ann"), &json!("looked into it"), &raised["id"]));
    inject(&daemon, "market/ETHUSDT", "panic");
    daemon.wait_until("alerts anew", WITHIN, |daemon| {
        alert(daemon, "child_died", "market/ETHUSDT").is_some_and(|alert| alert["id"].as_u64() > raised["id"].as_u64())
    });
    assert_eq!(daemon.terminate().code(), Some(0), "{}", home.log());
    assert_eq!(home.command(&["audit", "verify"]).code, 0);
    let rows = home.audit("operator");
    assert!(rows.iter().any(|row| row["payload"]["verb"] == "acknowledge_alert" && row["payload"]["by"] == "ann"), "{rows:#?}");
}

#[test]
fn halts_faults_and_lost_outcomes_alert_and_a_halt_is_critical() {
    let mut daemon = Daemon::start(BUSY);
    let home = Arc::clone(&daemon.home);
    assert_eq!(home.command(&["halt", "--account", "alpha", "--by", "ann", "--reason", "drill"]).code, 0);
    let halted = alert(&daemon, "mode", "account/alpha").expect("a halt alerts before it is answered");
    assert!(halted["severity"] == "critical" && halted["text"].as_str().unwrap().contains("by ann: drill"), "{halted}");
    inject(&daemon, "kill_switch", "panic");
    daemon.wait_until("alerts about its kill switch", WITHIN, |daemon| {
        alert(daemon, "child_died", "kill_switch").is_some_and(|alert| alert["severity"] == "critical")
    });
    inject(&daemon, "strategy/flip", "wedge");
    daemon.wait_until("alerts about a child that stands still", WITHIN, |daemon| alert(daemon, "child_stalled", "strategy/flip").is_some());
}

#[test]
fn an_alert_that_nobody_acknowledges_becomes_louder() {
    let mut daemon = Daemon::start(&format!("{BUSY}[alerts]\nescalate_after = \"1s\"\n"));
    inject(&daemon, "market/ETHUSDT", "panic");
    daemon.wait_until("tells it louder", WITHIN, |daemon| {
        alert(daemon, "child_died", "market/ETHUSDT").is_some_and(|alert| alert["level"].as_u64() >= Some(2))
    });
    let rows = daemon.home.audit("alerts");
    assert!(rows.iter().any(|row| row["payload"]["event"] == "escalated"), "{rows:#?}");
}

/// Takes posts, answers each as it is told to and hands their bodies on.
fn relay(answer: Option<&'static str>) -> (String, Receiver<Value>) {
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let (address, (bodies, received)) = (listener.local_addr().unwrap(), channel());
    std::thread::Builder::new()
        .name("relay".to_owned())
        .spawn(move || {
            let mut silent = Vec::new();
            for stream in listener.incoming().flatten() {
                let Some(answer) = answer else {
                    // Never answered, and never closed either.
                    silent.push(stream);
                    continue;
                };
                if let Some(body) = body_of(&stream) {
                    let _ = bodies.send(body);
                }
                let _ = (&stream).write_all(format!("HTTP/1.1 {answer}\r\nContent-Length: 0\r\nConnection: close\r\n\r\n").as_bytes());
            }
        })
        .unwrap();
    (format!("http://{address}/alerts"), received)
}

fn body_of(mut stream: &TcpStream) -> Option<Value> {
    let (mut bytes, mut chunk) = (Vec::new(), [0; 4096]);
    loop {
        let read = stream.read(&mut chunk).ok().filter(|read| *read > 0)?;
        bytes.extend_from_slice(&chunk[..read]);
        let text = String::from_utf8_lossy(&bytes);
        let Some((_, body)) = text.split_once("\r\n\r\n") else { continue };
        if let Ok(body) = serde_json::from_str(body) {
            return Some(body);
        }
    }
}

#[test]
fn a_webhook_is_posted_each_alert() {
    let (url, received) = relay(Some("204 No Content"));
    let daemon = Daemon::start(&format!("{BUSY}[alerts]\nwebhook = \"{url}\"\n"));
    inject(&daemon, "market/ETHUSDT", "panic");
    let of_market = |body: &Value| body["alert"]["subject"] == "market/ETHUSDT";
    let body = std::iter::from_fn(|| received.recv_timeout(WITHIN).ok()).find(of_market).expect("a post about the market");
    assert_eq!((&body["event"], &body["alert"]["kind"]), (&json!("raised"), &json!("child_died")));
    assert!(body["text"].as_str().unwrap().contains("injected panic"), "{body}");
}

/// One that never answers and one that refuses: alerts are told everywhere else at once, and the daemon trades and stops.
#[test]
fn a_webhook_that_is_down_holds_up_nothing() {
    for answer in [None, Some("500 Internal Server Error")] {
        let (url, _received) = relay(answer);
        let mut daemon = Daemon::start(&format!("{BUSY}[alerts]\nwebhook = \"{url}\"\n"));
        inject(&daemon, "market/ETHUSDT", "panic");
        daemon.wait_until("alerts", WITHIN, |daemon| alert(daemon, "child_died", "market/ETHUSDT").is_some());
        let before: u64 = daemon.account("alpha")["orders"].as_u64().unwrap();
        daemon.wait_until("trades on", WITHIN, |daemon| daemon.account("alpha")["orders"].as_u64() > Some(before));
        daemon.wait_until("counts what was not delivered", WITHIN * 2, |daemon| {
            daemon.get("/metrics").1.as_str().unwrap().contains("ringfence_alerts_undelivered_total{sink=\"webhook\"}")
        });
        assert_eq!(daemon.terminate().code(), Some(0), "{}", daemon.home.log());
    }
}
