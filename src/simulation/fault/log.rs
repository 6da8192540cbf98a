//! What one seed did, for people and for the hash: lines are kept only when somebody wants to read them; the hash always sees
//! every row, every fact and every step.

use std::fmt::Arguments;

use serde::Serialize;

use crate::domain::time::Timestamp;

use super::super::trace::Trace;

/// Lines that a log keeps: a seed has some ten thousand; what is past the bound is counted.
const LINES_MAX: usize = 400_000;

#[derive(Default)]
pub struct Log {
    trace: Trace,
    lines: Option<Vec<String>>,
    left_out: u64,
}

impl Log {
    #[must_use]
    pub fn new(keep: bool) -> Self {
        Self { lines: keep.then(Vec::new), ..Self::default() }
    }

    /// One line, if anybody reads it.
    pub fn line(&mut self, start: Timestamp, now: Timestamp, who: &str, text: Arguments<'_>) {
        let Some(lines) = &mut self.lines else { return };
        if lines.len() >= LINES_MAX {
            self.left_out += 1;
            return;
        }
        let at = now.since(start);
        lines.push(format!("{:>4}.{:06} {who:<18} {text}", at.as_secs(), at.subsec_micros()));
    }

    /// Something that belongs to the hash.
    pub fn hash(&mut self, value: &impl Serialize) {
        self.trace.value(value);
    }

    /// The hash over everything, and the lines.
    #[must_use]
    pub fn finish(self) -> (String, Vec<String>) {
        let mut lines = self.lines.unwrap_or_default();
        if self.left_out > 0 {
            lines.push(format!("… and {} lines more", self.left_out));
        }
        (self.trace.finish(), lines)
    }
}
