//! The one way to skip a test: visibly. A line goes to stderr and, where `RINGFENCE_SKIP_LOG` names a file, into it, so that
//! `.ci/run` sees it although a passing test's output is swallowed.

use std::fs::OpenOptions;
use std::io::Write as _;
use std::path::{Path, PathBuf};

/// A file of the shared data, which is no part of this repository: in `$RINGFENCE_SHARED_DATA`, else in `../shared/data` beside
/// the clone. `None`, and a skipped line, where it is absent.
pub fn shared_data(path: &str) -> Option<PathBuf> {
    let beside = || Path::new(env!("CARGO_MANIFEST_DIR")).join("../shared/data");
    let folder = std::env::var_os("RINGFENCE_SHARED_DATA").map_or_else(beside, PathBuf::from);
    let file = folder.join(path);
    if file.exists() {
        return Some(file);
    }
    skipped(&format!("{} is absent; set RINGFENCE_SHARED_DATA to the folder with the recordings", file.display()));
    None
}

/// Says that the test that runs now is skipped, and why.
pub fn skipped(why: &str) {
    let thread = std::thread::current();
    let line = format!("skipped: {}: {why}\n", thread.name().unwrap_or("a test"));
    eprint!("{line}");
    let Some(log) = std::env::var_os("RINGFENCE_SKIP_LOG") else { return };
    // One write of one line: tests run side by side.
    let written = OpenOptions::new().create(true).append(true).open(&log).and_then(|mut file| file.write_all(line.as_bytes()));
    written.unwrap_or_else(|error| panic!("RINGFENCE_SKIP_LOG: expected to append to {}, found: {error}", Path::new(&log).display()));
}
