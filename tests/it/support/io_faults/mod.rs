//! The I/O of a real daemon, made to fail: the process dies at a named boundary, or a call fails or only pretends. A small library
//! stands between the daemon and its system (`shim.c`, compiled once with `cc`); rules and counters lie in a file that both map, so
//! that a test can arm a rule while the daemon runs and read what was hit after it is dead.

use std::collections::BTreeMap;
use std::ffi::OsString;
use std::fs::{File, OpenOptions};
use std::os::unix::fs::FileExt as _;
use std::path::{Path, PathBuf};
use std::process::Command;
use std::sync::OnceLock;

use tempfile::TempDir;

/// Calls, by what they do.
#[derive(Clone, Copy)]
enum Calls {
    Write = 1,
    Sync = 2,
    Rename = 4,
    Cut = 8,
    /// A file that was not there is made.
    Make = 16,
    /// Known by what came, so its rules act after it.
    Read = 32,
    Remove = 64,
}

/// A boundary: which calls of the daemon are it.
struct Boundary {
    name: &'static str,
    calls: Calls,
    /// In the path, and at its end; a socket's path begins with `socket:`.
    contains: &'static str,
    ends: &'static str,
    thread: &'static str,
    payload: &'static str,
}

const fn on(name: &'static str, calls: Calls, contains: &'static str, ends: &'static str) -> Boundary {
    Boundary { name, calls, contains, ends, thread: "", payload: "" }
}

/// All that there are. The order of an order's life first.
const BOUNDARIES: &[Boundary] = &[
    on("journal.append", Calls::Write, "/journal/journal-", ".db-wal"),
    on("journal.sync", Calls::Sync, "/journal/journal-", ".db-wal"),
    on("journal.head", Calls::Write, "/journal/", "/head"),
    // The writer's answer wakes the trading thread.
    Boundary { thread: "journal-writer", ..on("ack", Calls::Write, "eventfd", "") },
    Boundary { payload: "POST /fapi/v1/order?", ..on("order.send", Calls::Write, "socket:", "") },
    Boundary { payload: "\"clientOrderId\"", ..on("order.answer", Calls::Read, "socket:", "") },
    Boundary { payload: "ORDER_TRADE_UPDATE", ..on("order.event", Calls::Read, "socket:", "") },
    Boundary { payload: "DELETE /fapi/v1/", ..on("cancel.send", Calls::Write, "socket:", "") },
    on("checkpoint.write", Calls::Write, "/journal/journal-", ".db"),
    on("checkpoint.sync", Calls::Sync, "/journal/journal-", ".db"),
    on("log.cut", Calls::Cut, "/journal/journal-", ".db-wal"),
    on("segment.make", Calls::Make, "/journal/journal-", ".db"),
    on("segment.retire", Calls::Remove, "/journal/journal-", ".db-wal"),
    on("directory.sync", Calls::Sync, "", "/journal"),
    on("data.sync", Calls::Sync, "", "/data"),
    on("latch.write", Calls::Write, "", "/latch.json.next"),
    on("latch.sync", Calls::Sync, "", "/latch.json.next"),
    on("latch.rename", Calls::Rename, "", "/latch.json"),
    on("emergency.write", Calls::Write, "", "/emergency.log"),
    on("emergency.sync", Calls::Sync, "", "/emergency.log"),
];

/// When a rule acts: before the call, or when it has taken effect.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum When {
    Before,
    After,
}

/// What befalls the call.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Action {
    Kill,
    /// It reports this error; before it, it has no effect.
    Fail(i32),
    /// It says that it worked, and did nothing.
    Pretend,
}

/// As `struct rule` of `shim.c` has it.
mod layout {
    pub const TABLE: usize = 16;
    pub const RULE: usize = 224;
    pub const HITS: usize = 0;
    pub const ARMED_AT: usize = 8;
    pub const FIRED: usize = 16;
    pub const CALLS: usize = 24;
    pub const WHEN: usize = 28;
    pub const ACTION: usize = 32;
    pub const ERROR: usize = 36;
    pub const FOR_GOOD: usize = 40;
    pub const CONTAINS: usize = 48;
    pub const ENDS: usize = 112;
    pub const THREAD: usize = 144;
    pub const PAYLOAD: usize = 160;
}

/// The rules of one home's daemons.
pub struct IoFaults {
    rules: File,
    path: PathBuf,
    _directory: TempDir,
}

impl Default for IoFaults {
    fn default() -> Self {
        Self::new()
    }
}

impl IoFaults {
    /// Rules that only count.
    pub fn new() -> Self {
        let directory = tempfile::tempdir().unwrap();
        let path = directory.path().join("rules");
        let rules = OpenOptions::new().read(true).write(true).create_new(true).open(&path).unwrap();
        let mut table = vec![0; layout::TABLE + layout::RULE * BOUNDARIES.len()];
        table[8..16].copy_from_slice(&(BOUNDARIES.len() as u64).to_ne_bytes());
        for (index, boundary) in BOUNDARIES.iter().enumerate() {
            let rule = &mut table[layout::TABLE + layout::RULE * index..][..layout::RULE];
            rule[layout::CALLS..][..4].copy_from_slice(&(boundary.calls as u32).to_ne_bytes());
            for (at, room, text) in [
                (layout::CONTAINS, 64, boundary.contains),
                (layout::ENDS, 32, boundary.ends),
                (layout::THREAD, 16, boundary.thread),
                (layout::PAYLOAD, 64, boundary.payload),
            ] {
                assert!(text.len() < room, "{text:?} is longer than a rule holds");
                rule[at..at + text.len()].copy_from_slice(text.as_bytes());
            }
        }
        rules.write_all_at(&table, 0).unwrap();
        Self { rules, path, _directory: directory }
    }

    /// What a daemon's command needs so that the rules hold for it.
    pub fn environment(&self) -> [(&'static str, OsString); 2] {
        [("LD_PRELOAD", library().as_os_str().to_owned()), ("RINGFENCE_IO_RULES", self.path.as_os_str().to_owned())]
    }

    pub fn boundaries() -> impl Iterator<Item = &'static str> {
        BOUNDARIES.iter().map(|boundary| boundary.name)
    }

    /// `SIGKILL` at the n-th time from now that the boundary is reached.
    pub fn kill_at(&self, boundary: &str, nth: u64, when: When) {
        self.arm(boundary, nth, when, Action::Kill, false);
    }

    /// The n-th call from now fails with this error, before it has any effect.
    pub fn fail_at(&self, boundary: &str, nth: u64, error: i32) {
        self.arm(boundary, nth, When::Before, Action::Fail(error), false);
    }

    /// It takes effect and reports the error all the same.
    pub fn fail_after(&self, boundary: &str, nth: u64, error: i32) {
        self.arm(boundary, nth, When::After, Action::Fail(error), false);
    }

    /// All calls from the n-th on fail: a disk that is full, or broken for good.
    pub fn fail_from(&self, boundary: &str, nth: u64, error: i32) {
        self.arm(boundary, nth, When::Before, Action::Fail(error), true);
    }

    /// The n-th call from now says that it worked, and does nothing.
    pub fn pretend_at(&self, boundary: &str, nth: u64) {
        self.arm(boundary, nth, When::Before, Action::Pretend, false);
    }

    /// Nothing goes wrong any more. Counters stay.
    pub fn heal(&self) {
        Self::boundaries().for_each(|boundary| self.put(boundary, layout::ARMED_AT, &0u64.to_ne_bytes()));
    }

    fn arm(&self, boundary: &str, nth: u64, when: When, action: Action, for_good: bool) {
        let (action, error) = match action {
            Action::Kill => (1u32, 0),
            Action::Fail(error) => (2, error),
            Action::Pretend => (3, 0),
        };
        let is_read = BOUNDARIES.iter().any(|one| one.name == boundary && matches!(one.calls, Calls::Read));
        let after = when == When::After || is_read;
        self.put(boundary, layout::WHEN, &u32::from(after).to_ne_bytes());
        self.put(boundary, layout::ACTION, &action.to_ne_bytes());
        self.put(boundary, layout::ERROR, &error.to_ne_bytes());
        self.put(boundary, layout::FOR_GOOD, &u32::from(for_good).to_ne_bytes());
        // Last: from here on it acts.
        let at = self.hits(boundary) + nth;
        self.put(boundary, layout::ARMED_AT, &at.to_ne_bytes());
    }

    /// How often the boundary was reached, by all daemons of these rules.
    pub fn hits(&self, boundary: &str) -> u64 {
        self.get(boundary, layout::HITS)
    }

    /// How often a rule acted there.
    pub fn fired(&self, boundary: &str) -> u64 {
        self.get(boundary, layout::FIRED)
    }

    pub fn all_hits(&self) -> BTreeMap<&'static str, u64> {
        Self::boundaries().map(|boundary| (boundary, self.hits(boundary))).collect()
    }

    fn get(&self, boundary: &str, field: usize) -> u64 {
        let mut bytes = [0; 8];
        self.rules.read_exact_at(&mut bytes, place(boundary) + field as u64).unwrap();
        u64::from_ne_bytes(bytes)
    }

    fn put(&self, boundary: &str, field: usize, bytes: &[u8]) {
        self.rules.write_all_at(bytes, place(boundary) + field as u64).unwrap();
    }
}

fn place(boundary: &str) -> u64 {
    let index = BOUNDARIES.iter().position(|one| one.name == boundary);
    let index = index.unwrap_or_else(|| panic!("no boundary {boundary:?}; there are {:?}", IoFaults::boundaries().collect::<Vec<_>>()));
    (layout::TABLE + layout::RULE * index) as u64
}

/// The library, compiled once for each run of the tests.
fn library() -> &'static Path {
    static LIBRARY: OnceLock<(TempDir, PathBuf)> = OnceLock::new();
    let (_, path) = LIBRARY.get_or_init(|| {
        let directory = tempfile::tempdir().unwrap();
        let source = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/it/support/io_faults/shim.c");
        let path = directory.path().join("io_faults.so");
        // The compiler that has built SQLite.
        let compiler = std::env::var_os("CC").unwrap_or_else(|| OsString::from("cc"));
        let built = Command::new(&compiler).args(["-O2", "-shared", "-fPIC", "-o"]).arg(&path).arg(&source).arg("-ldl").output();
        let built = built.unwrap_or_else(|error| panic!("expected to run {compiler:?}: {error}"));
        assert!(built.status.success(), "{}", String::from_utf8_lossy(&built.stderr));
        (directory, path)
    });
    path
}
