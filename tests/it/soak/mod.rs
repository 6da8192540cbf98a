//! The soak: months of trading in minutes. The real daemon trades with four accounts on twelve symbols some hundred times a second
//! while children break and come back, accounts are halted and resumed, the configuration is reloaded and clients come and go. What
//! can grow is sampled from `/metrics` and must be flat: memory, descriptors, threads, mailboxes, and every table that the daemon
//! keeps.
//!
//! The short one runs with every `cargo test`. The long one is the same with more time:
//! `RINGFENCE_SOAK_MINUTES=30 cargo test --release --test it soak -- --nocapture`.

mod samples;

use std::io::{Read as _, Write as _};
use std::net::TcpStream;
use std::time::{Duration, Instant};

use samples::{Course, Samples};
use serde_json::{Value, json};

use crate::support::daemon::{Daemon, request};
use crate::support::stage::{ACCOUNTS, Stage};

/// Long enough for a slope, short enough for every run of all tests.
const SHORT: Duration = Duration::from_secs(75);
/// From here on every bounded table has been full for a while: then memory itself must be flat.
const LONG: Duration = Duration::from_secs(15 * 60);
/// So many samples, however long it takes: the slope looks at every pair.
const SAMPLES: u32 = 150;
/// Between two disturbances.
const DISTURBED_EVERY: Duration = Duration::from_secs(3);
const SOON: Duration = Duration::from_secs(60);
const MIB: f64 = 1_048_576.0;

/// Faults are what this is about, not how many of them are too many.
const PATIENT: &str = r#"
intensity = 1000
backoff_max = "200ms"
[supervision.fault_budgets]
transport = { count = 100000, period = "1m" }
venue_reject = { count = 100000, period = "1m" }
data = { count = 100000, period = "1m" }
panic = { count = 100000, period = "1m" }
stall = { count = 100000, period = "1m" }
"#;

/// Who breaks, in turn: one of each kind that trades.
const BREAKS: [(&str, &str); 8] = [
    ("executor/alpha", "panic"),
    ("market/BTCUSDT", "panic"),
    ("stream/beta", "panic"),
    ("strategy/flip", "panic"),
    ("risk_manager", "panic"),
    ("feed/embedded/0", "panic"),
    ("executor/delta", "wedge"),
    ("api", "panic"),
];

struct Soak {
    stage: Stage,
    daemon: Daemon,
    turn: u32,
    disturbed: [u32; 4],
}

impl Soak {
    fn start() -> Self {
        let stage = Stage::open_with(31, "BTCUSDT,ETHUSDT,SOLUSDT,BNBUSDT,XRPUSDT,LTCUSDT,ADAUSDT,DOGEUSDT,LINKUSDT,AUSDT,BUSDT,CUSDT");
        stage.configure_with(true, false, PATIENT);
        let daemon = stage.home.start();
        Self { stage, daemon, turn: 0, disturbed: [0; 4] }
    }

    /// One disturbance of each kind, in turn.
    fn disturb(&mut self) {
        let turn = self.turn;
        self.turn += 1;
        self.disturbed[turn as usize % 4] += 1;
        match turn % 4 {
            0 => self.break_one(turn / 4),
            1 => self.halt_and_resume(ACCOUNTS[turn as usize / 4 % ACCOUNTS.len()]),
            2 => self.reload(turn),
            _ => self.visit(),
        }
    }

    fn break_one(&self, turn: u32) {
        let (child, fault) = BREAKS[turn as usize % BREAKS.len()];
        let body = json!({ "by": "soak", "reason": "drill", "fault": fault });
        // One that is on its way back already cannot break; the API's own end takes the answer with it.
        let _ = request(self.daemon.address(), "POST", &format!("/admin/inject/{child}"), &self.daemon.token(), Some(&body));
    }

    fn halt_and_resume(&mut self, account: &str) {
        let body = json!({ "scope": { "account": account }, "by": "soak", "reason": "drill" });
        let ask = |daemon: &Daemon, verb: &str| {
            request(daemon.address(), "POST", &format!("/admin/{verb}"), &daemon.token(), Some(&body)).is_ok_and(|(code, _)| code == 200)
        };
        self.daemon.wait_until("takes a halt", SOON, |daemon| ask(daemon, "halt"));
        self.daemon.wait_until("may be resumed", SOON, |daemon| ask(daemon, "resume"));
    }

    fn reload(&self, turn: u32) {
        let limit = format!("{PATIENT}[risk.symbols.BNBUSDT]\nmax_order_quantity = \"{}\"\n", 1_000 + turn);
        self.stage.configure_with(true, false, &limit);
        self.daemon.signal(libc::SIGHUP);
    }

    /// Clients that read a little of everything and leave, some of them without a word.
    fn visit(&self) {
        for path in ["/status", "/admin/status", "/health", "/"] {
            let _ = request(self.daemon.address(), "GET", path, &self.daemon.token(), None);
        }
        for _ in 0..8 {
            let Ok(mut listener) = TcpStream::connect(self.daemon.address()) else { continue };
            let head =
                format!("GET /events HTTP/1.1\r\nHost: {}\r\nAuthorization: Bearer {}\r\n\r\n", self.daemon.address(), self.daemon.token());
            let _ = listener.write_all(head.as_bytes());
            let _ = listener.set_read_timeout(Some(Duration::from_millis(100)));
            let _ = listener.read(&mut [0; 512]);
        }
    }

    fn sample(&self, samples: &mut Samples, at: Duration) {
        // The API is one of those that break.
        let Ok((200, text)) = request(self.daemon.address(), "GET", "/metrics", "", None) else { return };
        samples.take(at, &text, figure);
    }

    fn run(&mut self, time: Duration) -> Samples {
        let (mut samples, began, mut next_sample, mut next_disturbance) = (Samples::default(), Instant::now(), Duration::ZERO, SHORT / 20);
        while began.elapsed() < time {
            let now = began.elapsed();
            if now >= next_disturbance {
                self.disturb();
                next_disturbance = began.elapsed() + DISTURBED_EVERY;
            }
            if now >= next_sample {
                self.stage.forget_log();
                self.sample(&mut samples, now);
                next_sample = now + time / SAMPLES;
            }
            std::thread::sleep(Duration::from_millis(20));
        }
        samples
    }

    fn status(&mut self) -> Value {
        self.daemon.wait_until("is ready again", SOON, Daemon::is_ready);
        self.daemon.status()
    }
}

/// The figures that may not grow, under names of their own: all accounts, children and the like together.
fn figure(name: &str) -> Option<String> {
    let label = |wanted: &str| Some(name.split_once(&format!("{wanted}=\""))?.1.split_once('"')?.0.to_owned());
    let bare = name.split('{').next().unwrap_or(name);
    match bare {
        "ringfence_process_resident_bytes" | "ringfence_process_open_fds" | "ringfence_process_threads" => Some(bare.to_owned()),
        "ringfence_mailbox_depth" => Some(bare.to_owned()),
        "ringfence_table_entries" => Some(format!("table {}", label("table")?)),
        "ringfence_journal_bytes" | "ringfence_journal_rows_total" => Some(bare.to_owned()),
        _ => None,
    }
}

/// By how much a figure may have grown in the time that is judged.
fn allowance(name: &str, course: &Course, time: Duration) -> Option<f64> {
    match name {
        // The journal is there to grow; what it costs is shown.
        "ringfence_journal_bytes" | "ringfence_journal_rows_total" => None,
        // While tables fill up to their bounds memory grows with them: some 30 MiB when all are full.
        "ringfence_process_resident_bytes" if time < LONG => Some(30.0 * MIB),
        "ringfence_process_resident_bytes" => Some((course.median * 0.05).max(4.0 * MIB)),
        // Connections and files come and go.
        "ringfence_process_open_fds" => Some(12.0),
        "ringfence_process_threads" => Some(3.0),
        "ringfence_mailbox_depth" => Some(200.0),
        // Bounded by itself: full or filling up.
        _ if BOUNDED.iter().any(|(table, bound)| name == format!("table {table}") && course.highest <= *bound * ACCOUNTS.len() as f64) => {
            None
        }
        // What is open, reserved or on its way goes with the orders of the moment.
        _ => Some((course.median * 0.3).max(60.0)),
    }
}

/// Tables with a bound of their own, each of an account: at most so many, and no slope is asked of them.
const BOUNDED: [(&str, f64); 7] = [
    // The ended ones among them are the tombstones.
    ("orders", 2_048.0),
    ("order_tombstones", 1_024.0),
    ("trades_remembered", 8_192.0),
    ("funds_remembered", 1_024.0),
    ("venue_order_names", 16_384.0),
    ("venue_algos", 1_024.0),
    ("events_recent", 1_024.0),
];

fn table(samples: &Samples, time: Duration) -> (String, Vec<String>) {
    let (mut text, mut grown) =
        (format!("{:<40} {:>14} {:>14} {:>14} {:>12}\n", "figure", "first", "last", "highest", "grown"), Vec::new());
    for name in samples.names() {
        let course = samples.course(name);
        text += &format!("{name:<40} {:>14.0} {:>14.0} {:>14.0} {:>12.1}\n", course.first, course.last, course.highest, course.grown);
        if allowance(name, &course, time).is_some_and(|allowed| course.grown > allowed) {
            grown.push(format!("{name} expected to be flat, found {course:?}"));
        }
    }
    (text, grown)
}

#[test]
fn nothing_grows_that_is_not_meant_to() {
    let minutes = std::env::var("RINGFENCE_SOAK_MINUTES").ok().map(|text| text.parse::<u64>().expect("a whole number of minutes"));
    let time = minutes.map_or(SHORT, |minutes| Duration::from_secs(minutes * 60));
    let mut soak = Soak::start();
    let samples = soak.run(time);
    let status = soak.status();
    let fills: u64 = status["accounts"].as_array().unwrap().iter().map(|account| account["fills"].as_u64().unwrap()).sum();
    let (text, grown) = table(&samples, time);
    println!("{text}{fills} fills in {time:?}; breaks, halts, reloads, visits: {:?}", soak.disturbed);
    assert!(grown.is_empty(), "{grown:#?}\n{text}");
    for needed in ["ringfence_process_threads", "table orders_live", "table reservations", "table journal_rows_in_flight"] {
        assert!(samples.names().any(|name| name == needed), "expected {needed} in /metrics");
    }
    assert!(fills as f64 > time.as_secs_f64() && soak.disturbed.iter().all(|count| *count > 0), "{fills} fills, {:?}", soak.disturbed);
    assert_eq!(soak.daemon.terminate().code(), Some(0), "{}", soak.stage.home.log());
}
