//! The real daemon for tests: the built binary in a directory of its own, on a port that the system chooses. A `Home` is the
//! directory and outlives its daemons, so that one can be killed and another one started on the same data. Everything waits
//! on conditions, with bounds that only a broken daemon meets; whatever still runs is killed when it is dropped.
//!
//! No async here, so that any test can use it.

use std::fs::{self, File, OpenOptions};
use std::io::{Read as _, Write as _};
use std::net::TcpStream;
use std::os::fd::OwnedFd;
use std::os::unix::process::ExitStatusExt as _;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, ExitStatus, Stdio};
use std::sync::{Arc, OnceLock};
use std::time::{Duration, Instant};

use serde_json::Value;
use tempfile::TempDir;

use super::io_faults::IoFaults;

/// Trades all the time: averages that cross every other second on two symbols, and a strategy on the third that always has
/// an opinion and rests a stop and a target behind each position, so that there is something to cancel.
pub const BUSY: &str = r#"
[[strategies]]
id = "flip"
kind = "ema_cross"
accounts = ["*"]
symbols = ["BTCUSDT", "SOLUSDT"]
interval = "1s"
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

/// A debug build on a busy machine starts in a second or two.
pub const READY_WITHIN: Duration = Duration::from_secs(60);
/// Longer than the daemon's own deadline for an ordered stop.
pub const STOPPED_WITHIN: Duration = Duration::from_secs(40);
const LOOK_AGAIN: Duration = Duration::from_millis(5);

/// How a command ended.
#[derive(Debug)]
pub struct Outcome {
    pub code: i32,
    pub stdout: String,
    pub stderr: String,
}

impl Outcome {
    /// What it printed with `--json`.
    pub fn json(&self) -> Value {
        serde_json::from_str(&self.stdout).unwrap_or_else(|error| panic!("{error}: {self:?}"))
    }
}

/// A directory with a configuration and a data directory in it.
pub struct Home {
    root: TempDir,
    /// What its daemons' I/O is under.
    io_faults: OnceLock<IoFaults>,
}

impl Home {
    /// `config` is laid over the built-in default; an empty text is no configuration at all.
    pub fn new(config: &str) -> Arc<Self> {
        let home = Self { root: tempfile::tempdir().unwrap(), io_faults: OnceLock::new() };
        if !config.is_empty() {
            home.configure(config);
        }
        Arc::new(home)
    }

    /// Rules that the I/O of its daemons is under from the next one on; the first call makes them.
    pub fn io_faults(&self) -> &IoFaults {
        self.io_faults.get_or_init(IoFaults::new)
    }

    /// Replaces the configuration; a running daemon reads it on SIGHUP.
    pub fn configure(&self, config: &str) {
        fs::write(self.config(), config).unwrap();
    }

    pub fn path(&self) -> &Path {
        self.root.path()
    }

    pub fn config(&self) -> PathBuf {
        self.path().join("ringfence.toml")
    }

    pub fn data(&self) -> PathBuf {
        self.path().join("data")
    }

    /// The binary in this directory, on any free port and with faults allowed, without any other setting of this machine. It is the one
    /// that was built with the tests, unless `RINGFENCE_BINARY` names another.
    pub fn binary(&self, arguments: &[&str]) -> Command {
        let built = || env!("CARGO_BIN_EXE_ringfence").into();
        let mut command = Command::new(std::env::var_os("RINGFENCE_BINARY").unwrap_or_else(built));
        for (name, _) in std::env::vars_os().filter(|(name, _)| name.to_string_lossy().starts_with("RINGFENCE__")) {
            command.env_remove(name);
        }
        command.env("RINGFENCE__DAEMON__HTTP_BIND", "127.0.0.1:0").env("RINGFENCE__DAEMON__FAULT_INJECTION", "true");
        command.current_dir(self.path()).args(arguments).stdin(Stdio::null());
        command
    }

    /// `run`, with the configuration if there is one.
    fn run_command(&self) -> Command {
        let mut command = self.binary(&["run"]);
        command.envs(self.io_faults.get().into_iter().flat_map(IoFaults::environment));
        if self.config().exists() {
            command.arg("--config").arg(self.config());
        }
        command
    }

    /// Starts a daemon and waits for nothing.
    pub fn launch(self: &Arc<Self>) -> Daemon {
        self.launch_with(self.run_command())
    }

    /// The same with a command line of one's own, from `binary`.
    pub fn launch_with(self: &Arc<Self>, mut command: Command) -> Daemon {
        Daemon::spawn(Arc::clone(self), command.stdout(self.log_end()))
    }

    /// Starts a daemon and waits until it answers; whether it is ready by then is not asked.
    pub fn spawn(self: &Arc<Self>) -> Daemon {
        self.spawn_with(self.run_command().stdout(self.log_end()))
    }

    fn spawn_with(self: &Arc<Self>, command: &mut Command) -> Daemon {
        let mut daemon = Daemon::spawn(Arc::clone(self), command);
        daemon.wait_until("answers", READY_WITHIN, |daemon| daemon.find_url());
        daemon
    }

    /// Starts a daemon and waits until it is ready.
    pub fn start(self: &Arc<Self>) -> Daemon {
        self.start_with(self.run_command())
    }

    /// The same with a command line of one's own, from `binary`.
    pub fn start_with(self: &Arc<Self>, mut command: Command) -> Daemon {
        let mut daemon = self.spawn_with(command.stdout(self.log_end()));
        daemon.wait_until("is ready", READY_WITHIN, |daemon| daemon.get("/ready").0 == 200);
        daemon
    }

    /// Starts a daemon on a terminal and waits until it is ready.
    pub fn start_on(self: &Arc<Self>, terminal: &OwnedFd) -> Daemon {
        let end = || Stdio::from(terminal.try_clone().unwrap());
        let mut daemon = self.spawn_with(self.run_command().stdin(end()).stdout(end()));
        daemon.wait_until("is ready", READY_WITHIN, |daemon| daemon.get("/ready").0 == 200);
        daemon
    }

    /// Runs a daemon that is expected to end by itself, to its end.
    pub fn run_to_the_end(&self) -> Outcome {
        outcome(self.run_command())
    }

    /// A command against this data directory, to its end: `["halt", "--by", "ann"]`.
    pub fn command(&self, arguments: &[&str]) -> Outcome {
        let mut command = self.binary(arguments);
        command.arg("--data-dir").arg(self.data());
        outcome(command)
    }

    /// Rows of the journal, oldest first: `audit("orders")`, `"operator"`, `"supervision"`, `"config"`.
    pub fn audit(&self, question: &str) -> Vec<Value> {
        let asked = self.command(&["audit", question, "--limit", "1000000", "--json"]);
        assert_eq!(asked.code, 0, "{asked:?}");
        asked.json().as_array().expect("audit prints a list").clone()
    }

    /// What all daemons of this home have printed so far.
    pub fn log(&self) -> String {
        fs::read_to_string(self.log_file()).unwrap_or_default()
    }

    /// Makes the log as if none had printed anything.
    pub fn forget_log(&self) {
        self.log_end().set_len(0).unwrap();
    }

    fn log_end(&self) -> File {
        OpenOptions::new().append(true).create(true).open(self.log_file()).unwrap()
    }

    fn log_file(&self) -> PathBuf {
        self.path().join("daemon.log")
    }
}

fn outcome(mut command: Command) -> Outcome {
    let output = command.output().unwrap();
    let text = |bytes: Vec<u8>| String::from_utf8(bytes).unwrap();
    let code = output.status.code().unwrap_or_else(|| panic!("{command:?} expected to exit, found {:?}", output.status));
    Outcome { code, stdout: text(output.stdout), stderr: text(output.stderr) }
}

/// A running daemon.
pub struct Daemon {
    pub home: Arc<Home>,
    child: Child,
    address: String,
}

impl Daemon {
    /// A daemon in a home of its own, ready.
    pub fn start(config: &str) -> Self {
        Home::new(config).start()
    }

    fn spawn(home: Arc<Home>, command: &mut Command) -> Self {
        // An address of a daemon before this one would be nobody's.
        let _ = fs::remove_file(home.data().join("api.json"));
        let child = command.stderr(home.log_end()).spawn().unwrap();
        Self { home, child, address: String::new() }
    }

    fn find_url(&mut self) -> bool {
        let Ok(text) = fs::read_to_string(self.home.data().join("api.json")) else { return false };
        let Ok(written) = serde_json::from_str::<Value>(&text) else { return false };
        self.address = written["url"].as_str().expect("api.json has the url").trim_start_matches("http://").to_owned();
        request(&self.address, "GET", "/health", "", None).is_ok()
    }

    /// Whether it answers and is ready.
    pub fn is_ready(&mut self) -> bool {
        (!self.address.is_empty() || self.find_url()) && self.get("/ready").0 == 200
    }

    pub fn pid(&self) -> u32 {
        self.child.id()
    }

    /// `127.0.0.1:PORT`.
    pub fn address(&self) -> &str {
        &self.address
    }

    pub fn token(&self) -> String {
        fs::read_to_string(self.home.data().join("token")).unwrap().trim().to_owned()
    }

    /// Status code and body as JSON; a body that is none comes as text.
    pub fn get(&self, path: &str) -> (u16, Value) {
        self.ask("GET", path, None)
    }

    /// With the token.
    pub fn post(&self, path: &str, body: &Value) -> (u16, Value) {
        self.ask("POST", path, Some(body))
    }

    fn ask(&self, method: &str, path: &str, body: Option<&Value>) -> (u16, Value) {
        let answer = request(&self.address, method, path, &self.token(), body);
        let (code, text) = answer.unwrap_or_else(|error| panic!("{method} {path}: {error}\n{}", self.home.log()));
        (code, serde_json::from_str(&text).unwrap_or(Value::String(text)))
    }

    pub fn status(&self) -> Value {
        let (code, status) = self.get("/status");
        assert_eq!(code, 200, "{status}");
        status
    }

    /// The account's part of the status.
    pub fn account(&self, name: &str) -> Value {
        named(&self.status()["accounts"], name)
    }

    /// The child's part of the status.
    pub fn child(&self, name: &str) -> Value {
        named(&self.status()["children"], name)
    }

    /// The status, as soon as it is as expected.
    pub fn wait_for_status(&mut self, what: &str, within: Duration, expected: impl Fn(&Value) -> bool) -> Value {
        let mut last = Value::Null;
        self.wait_until(what, within, |daemon| {
            last = daemon.status();
            expected(&last)
        });
        last
    }

    /// The same where something is done to the daemon meanwhile.
    pub fn wait_for_status_while(&mut self, what: &str, within: Duration, mut step: impl FnMut(&Self, &Value) -> bool) {
        self.wait_until(what, within, |daemon| {
            let status = daemon.status();
            step(daemon, &status)
        });
    }

    /// Panics with the log when the daemon ends or the time is over before the condition holds.
    pub fn wait_until(&mut self, what: &str, within: Duration, mut holds: impl FnMut(&mut Self) -> bool) {
        let deadline = Instant::now() + within;
        while !holds(self) {
            if let Some(status) = self.child.try_wait().unwrap() {
                panic!("expected a daemon that {what}, found it ended with {status}:\n{}", self.home.log());
            }
            assert!(Instant::now() < deadline, "expected a daemon that {what} within {within:?}:\n{}", self.home.log());
            std::thread::sleep(LOOK_AGAIN);
        }
    }

    pub fn signal(&self, signal: i32) {
        let pid = i32::try_from(self.child.id()).unwrap();
        // SAFETY: kill takes two numbers and touches no memory of ours; the child is not yet waited for, so the id is its.
        assert_eq!(unsafe { libc::kill(pid, signal) }, 0);
    }

    /// `kill -9`, and gone.
    pub fn kill(mut self) -> Arc<Home> {
        self.child.kill().unwrap();
        assert_eq!(self.child.wait().unwrap().signal(), Some(libc::SIGKILL), "{}", self.home.log());
        Arc::clone(&self.home)
    }

    /// Waits for a daemon that something kills.
    pub fn dies(&mut self, within: Duration) {
        let deadline = Instant::now() + within;
        let status = loop {
            match self.child.try_wait().unwrap() {
                Some(status) => break status,
                None => assert!(Instant::now() < deadline, "expected the daemon to be killed within {within:?}:\n{}", self.home.log()),
            }
            std::thread::sleep(LOOK_AGAIN);
        };
        assert_eq!(status.signal(), Some(libc::SIGKILL), "{}", self.home.log());
    }

    /// Whether it ends by itself or is killed by something in that time.
    pub fn ends_within(&mut self, time: Duration) -> bool {
        let deadline = Instant::now() + time;
        while self.child.try_wait().unwrap().is_none() {
            if Instant::now() >= deadline {
                return false;
            }
            std::thread::sleep(LOOK_AGAIN);
        }
        true
    }

    /// `kill -9` if it still runs, and gone.
    pub fn end(mut self) {
        // It may have ended already.
        let _ = self.child.kill();
        self.child.wait().unwrap();
    }

    /// SIGTERM, and how it ended.
    pub fn terminate(&mut self) -> ExitStatus {
        self.signal(libc::SIGTERM);
        self.wait()
    }

    /// Waits for a daemon that ends.
    pub fn wait(&mut self) -> ExitStatus {
        let deadline = Instant::now() + STOPPED_WITHIN;
        loop {
            if let Some(status) = self.child.try_wait().unwrap() {
                return status;
            }
            assert!(Instant::now() < deadline, "expected the daemon to end within {STOPPED_WITHIN:?}:\n{}", self.home.log());
            std::thread::sleep(LOOK_AGAIN);
        }
    }
}

impl Drop for Daemon {
    fn drop(&mut self) {
        // It may have ended already.
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

fn named(list: &Value, name: &str) -> Value {
    let found = list.as_array().and_then(|list| list.iter().find(|one| one["name"] == name));
    found.unwrap_or_else(|| panic!("expected {name} in {list:#}")).clone()
}

/// One request on a connection of its own.
pub fn request(address: &str, method: &str, path: &str, token: &str, body: Option<&Value>) -> std::io::Result<(u16, String)> {
    let mut stream = TcpStream::connect(address)?;
    stream.set_read_timeout(Some(Duration::from_secs(30)))?;
    let body = body.map(Value::to_string).unwrap_or_default();
    let head = format!("{method} {path} HTTP/1.1\r\nHost: {address}\r\nConnection: close\r\nAuthorization: Bearer {token}\r\n");
    let rest = format!("Content-Type: application/json\r\nContent-Length: {}\r\n\r\n{body}", body.len());
    stream.write_all((head + &rest).as_bytes())?;
    let mut answer = String::new();
    stream.read_to_string(&mut answer)?;
    let malformed = || std::io::Error::other(format!("expected an HTTP answer, found {answer:?}"));
    let (head, body) = answer.split_once("\r\n\r\n").ok_or_else(malformed)?;
    let code = head.split(' ').nth(1).and_then(|code| code.parse().ok()).ok_or_else(malformed)?;
    Ok((code, body.to_owned()))
}
