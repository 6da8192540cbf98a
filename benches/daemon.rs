//! The daemon as a whole against its budgets, as its own process and through its own API: start → ready ≤ 1 s; the default run
//! ≤ 64 MB and ≤ 5 % of one core at the default market's rate, flat; halt blocks new sends ≤ 10 ms; recovery from a journal of
//! a million rows ≤ 2 s. A plain program, because each figure needs a daemon of its own.
//! `cargo bench --bench daemon [-- SECONDS]`: SECONDS is how long the default run is watched, 60 unless told.

#![allow(clippy::disallowed_methods, reason = "a bench measures wall time, and waits for it")]

use std::fs::{self, File};
use std::io::{Read, Write};
use std::net::TcpStream;
use std::path::Path;
use std::process::{Child, Command, Stdio};
use std::time::{Duration, Instant};

use ringfence::api::Endpoint;
use ringfence::domain::recovery::DaemonState;
use ringfence::store::{Ack, Journal, JournalOptions};
use serde_json::{Value, json};
use tempfile::TempDir;

mod support;

use support::rows::{append_all, entry};

const STARTS: usize = 5;
const HALTS: usize = 30;
const ROWS: u64 = 1_000_000;
const BATCH: u64 = 256;
/// As the daemon has it.
const CHECKPOINT_EVERY: u64 = 20_000;
const READY_WITHIN: Duration = Duration::from_secs(60);

fn main() {
    let seconds = std::env::args().skip(1).find_map(|argument| argument.parse().ok()).unwrap_or(60);
    starts();
    default_run(Duration::from_secs(seconds));
    halts();
    recovery("a checkpoint every 20,000 rows", Some(CHECKPOINT_EVERY));
    recovery("no checkpoint at all", None);
}

/// A daemon in a directory of its own; killed when it is dropped.
struct Daemon {
    process: Child,
    endpoint: Endpoint,
    ready_after: Duration,
}

impl Daemon {
    fn start(home: &Path) -> Self {
        let data = home.join("data");
        // A stale address would be somebody else's by now.
        let _ = fs::remove_file(data.join("api.json"));
        let log = File::create(home.join("daemon.log")).expect("a log file");
        let began = Instant::now();
        let process = Command::new(env!("CARGO_BIN_EXE_ringfence"))
            .args(["run", "--plain", "--data-dir"])
            .arg(&data)
            .env("RINGFENCE__DAEMON__HTTP_BIND", "127.0.0.1:0")
            .current_dir(home)
            .stdin(Stdio::null())
            .stdout(Stdio::null())
            .stderr(log)
            .spawn()
            .expect("the daemon's binary");
        let mut daemon = Self { process, endpoint: Endpoint { url: String::new(), token: String::new() }, ready_after: Duration::ZERO };
        loop {
            assert!(began.elapsed() < READY_WITHIN, "ready within a minute; its log: {}", home.join("daemon.log").display());
            if let Ok(endpoint) = Endpoint::read(&data) {
                daemon.endpoint = endpoint;
                if daemon.ask("GET", "/ready", None).is_some_and(|(status, _)| status == 200) {
                    break;
                }
            }
            std::thread::sleep(Duration::from_millis(1));
        }
        daemon.ready_after = began.elapsed();
        daemon
    }

    fn ask(&self, method: &str, path: &str, body: Option<&Value>) -> Option<(u16, Value)> {
        let address = self.endpoint.url.strip_prefix("http://")?;
        let body = body.map(Value::to_string).unwrap_or_default();
        let mut stream = TcpStream::connect(address).ok()?;
        let token = &self.endpoint.token;
        let request = format!(
            "{method} {path} HTTP/1.1\r\nHost: {address}\r\nConnection: close\r\nAuthorization: Bearer {token}\r\n\
             Content-Type: application/json\r\nContent-Length: {}\r\n\r\n{body}",
            body.len()
        );
        stream.write_all(request.as_bytes()).ok()?;
        let mut answer = String::new();
        stream.read_to_string(&mut answer).ok()?;
        let status = answer.split(' ').nth(1)?.parse().ok()?;
        let content = answer.split_once("\r\n\r\n").map(|(_, content)| content).unwrap_or_default();
        Some((status, serde_json::from_str(content).unwrap_or(Value::Null)))
    }

    fn status(&self) -> Value {
        self.ask("GET", "/status", None).expect("an answer").1
    }

    fn post(&self, path: &str, body: &Value) -> (u16, Value) {
        self.ask("POST", path, Some(body)).expect("an answer")
    }

    fn orders(&self) -> u64 {
        sum(&self.status(), "accounts", "orders")
    }

    /// A line of /proc/PID/status, in its own unit.
    fn system(&self, name: &str) -> u64 {
        let text = fs::read_to_string(format!("/proc/{}/status", self.process.id())).expect("a running daemon on Linux");
        let line = text.lines().find_map(|line| line.strip_prefix(name)).expect("a line of that name");
        line.trim_start_matches(':').split_whitespace().next().and_then(|number| number.parse().ok()).expect("a number")
    }

    /// Processor time so far.
    fn worked(&self) -> Duration {
        let text = fs::read_to_string(format!("/proc/{}/stat", self.process.id())).expect("a running daemon on Linux");
        let fields: Vec<&str> = text.rsplit_once(") ").expect("a name in brackets").1.split(' ').collect();
        let ticks: u64 = fields[11..13].iter().map(|ticks| ticks.parse::<u64>().expect("a number")).sum();
        // A hundred a second on every Linux that is built for people.
        Duration::from_millis(ticks * 10)
    }

    fn files(&self) -> usize {
        fs::read_dir(format!("/proc/{}/fd", self.process.id())).expect("a running daemon on Linux").count()
    }
}

impl Drop for Daemon {
    fn drop(&mut self) {
        let _ = self.process.kill();
        let _ = self.process.wait();
    }
}

fn sum(status: &Value, list: &str, field: &str) -> u64 {
    status[list].as_array().expect("a list").iter().map(|one| one[field].as_u64().expect("a number")).sum()
}

fn home() -> TempDir {
    tempfile::tempdir().expect("a directory")
}

fn in_millis(mut times: Vec<Duration>) -> String {
    times.sort_unstable();
    let millis = |time: &Duration| time.as_secs_f64() * 1e3;
    format!("median {:.1} ms, longest {:.1} ms", millis(&times[times.len() / 2]), millis(times.last().expect("one at least")))
}

fn starts() {
    let first = (0..STARTS).map(|_| Daemon::start(home().path()).ready_after).collect();
    println!("start in an empty folder to ready     {} (budget 1,000)", in_millis(first));
    let home = home();
    drop(Daemon::start(home.path()));
    let again = (0..STARTS).map(|_| Daemon::start(home.path()).ready_after).collect();
    println!("start after a kill -9 to ready        {} (budget 1,000)", in_millis(again));
}

fn default_run(long: Duration) {
    let home = home();
    let daemon = Daemon::start(home.path());
    std::thread::sleep(Duration::from_secs(5));
    let (began, worked, before) = (Instant::now(), daemon.worked(), daemon.status());
    println!("default run                           MiB now, at most     threads  files   % of a core  frames/s");
    let (mut last, mut last_worked, mut last_frames) = (began, worked, sum(&before, "symbols", "frames"));
    while began.elapsed() < long {
        std::thread::sleep((long / 4).max(Duration::from_secs(1)));
        let (now, worked, status) = (Instant::now(), daemon.worked(), daemon.status());
        let (seconds, frames) = ((now - last).as_secs_f64(), sum(&status, "symbols", "frames"));
        println!(
            "  after {:>5.0} s                         {:>6.1} {:>8.1} {:>10} {:>6} {:>12.2} {:>10.0}",
            began.elapsed().as_secs_f64(),
            daemon.system("VmRSS") as f64 / 1024.0,
            daemon.system("VmHWM") as f64 / 1024.0,
            daemon.system("Threads"),
            daemon.files(),
            (worked - last_worked).as_secs_f64() / seconds * 100.0,
            (frames - last_frames) as f64 / seconds
        );
        (last, last_worked, last_frames) = (now, worked, frames);
    }
    let (seconds, after) = (began.elapsed().as_secs_f64(), daemon.status());
    let share = (daemon.worked() - worked).as_secs_f64() / seconds * 100.0;
    let memory = daemon.system("VmHWM") as f64 / 1024.0;
    let [orders, fills] = ["orders", "fills"].map(|field| sum(&after, "accounts", field));
    println!(
        "  over {seconds:.0} s: {share:.2} % of one core (budget 5), at most {memory:.1} MiB (budget 64), {orders} orders, {fills} fills"
    );
}

/// From the first byte of the request to its answer: the gate is closed before the answer, so this is the most that it takes.
/// That nothing left after the answer is looked up in the counts.
fn halts() {
    let home = home();
    let daemon = Daemon::start(home.path());
    for (name, scope) in [("everything", json!("global")), ("one account", json!({"account": "alpha"}))] {
        let mut times = Vec::new();
        let mut late = 0;
        for _ in 0..HALTS {
            let began = Instant::now();
            let (status, answer) = daemon.post("/admin/halt", &json!({"scope": scope, "by": "bench", "reason": "measuring"}));
            times.push(began.elapsed());
            assert_eq!(status, 200, "{answer}");
            if name == "everything" {
                let sent = daemon.orders();
                std::thread::sleep(Duration::from_millis(50));
                late += daemon.orders() - sent;
            }
            resume(&daemon, &scope);
        }
        println!("halt of {name:<29} {} (budget 10), orders sent after the answer: {late}", in_millis(times));
    }
}

/// Resuming waits for the venue's word that nothing is open, so it may be refused at first.
fn resume(daemon: &Daemon, scope: &Value) {
    let began = Instant::now();
    loop {
        let (status, answer) = daemon.post("/admin/resume", &json!({"scope": scope, "by": "bench", "reason": "measured"}));
        if status == 200 {
            return;
        }
        assert!(began.elapsed() < READY_WITHIN, "{answer}");
        std::thread::sleep(Duration::from_millis(20));
    }
}

fn recovery(name: &str, checkpoint_every: Option<u64>) {
    let home = home();
    write_journal(&home.path().join("data"), checkpoint_every);
    let daemon = Daemon::start(home.path());
    let rebuilt = sum(&daemon.status(), "accounts", "orders");
    println!(
        "start on a million rows, {name:<31} ready after {:.0} ms (budget 2,000), {rebuilt} orders known",
        daemon.ready_after.as_secs_f64() * 1e3
    );
}

fn write_journal(data: &Path, checkpoint_every: Option<u64>) {
    fs::create_dir_all(data).expect("a data directory");
    let (journal, _) = Journal::open(data, &JournalOptions::new("bench", "none")).expect("a journal");
    let (handle, mut state) = (journal.handle(), DaemonState::default());
    for from in (0..ROWS).step_by(CHECKPOINT_EVERY as usize) {
        let to = from + CHECKPOINT_EVERY;
        let batch = |start: u64| (start..(start + BATCH).min(to)).map(entry).collect();
        append_all(&handle, (from..to).step_by(BATCH as usize).map(batch).collect());
        (from..to).for_each(|number| state.apply(&entry(number)));
        if checkpoint_every.is_some() {
            handle.append_checkpoint(entry(to).at, state.clone(), Ack::None).expect("room in the queue");
        }
    }
    journal.close("written").expect("an orderly end");
}
