//! What is halted or held to less, and stays so through restarts even when the database cannot be used. A small file, replaced as a whole;
//! where the disk has no room for it, the part of the emergency log that was taken beforehand. It fails closed: a latch
//! that cannot be read is a latch that is set. It decides nothing; the ladder does.

use std::path::PathBuf;

use serde::{Deserialize, Serialize};

use super::disk::{Folder, Open};
use super::emergency::{self, Slot};
use crate::domain::mode::{Mode, Scope};
use crate::domain::time::Timestamp;

const FILE: &str = "latch.json";
/// What replaces it.
const NEXT: &str = "latch.json.next";

/// One thing that is halted, or held to a mode between that and normal.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct HaltedScope {
    pub scope: Scope,
    /// A file of an earlier version has halts alone.
    #[serde(default = "halted")]
    pub mode: Mode,
    pub since: Timestamp,
    pub cause: String,
    /// The person who halted it; `None` when it halted by itself.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub by: Option<String>,
}

const fn halted() -> Mode {
    Mode::Halted
}

/// Everything that is not normal.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct LatchState {
    pub halted: Vec<HaltedScope>,
}

/// Which of its two homes took the latch.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum LatchHome {
    File,
    /// The file could not be written, for the reason that the log should tell; the emergency log has it.
    EmergencyLog(std::io::ErrorKind),
}

#[derive(Debug, thiserror::Error)]
#[error(
    "the latch could not be stored: expected to write {} or the emergency log, found {file} and {emergency}; it holds in this process only, do not restart before the disk is well",
    path.display()
)]
pub struct LatchError {
    pub path: PathBuf,
    pub file: std::io::Error,
    pub emergency: std::io::Error,
}

/// Reads and writes the latch of a data directory. Writing waits for the disk: call it where waiting is allowed, after the
/// halt itself.
#[derive(Debug, Clone)]
pub struct Latch {
    data: Folder,
}

#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
struct Stored {
    /// Grows with each store; of two homes the greater one is the newer.
    generation: u64,
    #[serde(flatten)]
    state: LatchState,
}

impl Latch {
    #[must_use]
    pub fn new(data: impl Into<Folder>) -> Self {
        Self { data: data.into() }
    }

    /// What is halted, as of `now`. Where a home is damaged it may have been the newer one, so everything is halted, with
    /// the damage as the cause.
    #[must_use]
    pub fn load(&self, now: Timestamp) -> LatchState {
        let (stored, damage) = self.newest();
        let mut state = stored.state;
        if let Some(cause) = damage {
            state.halted.push(HaltedScope { scope: Scope::Global, mode: Mode::Halted, since: now, cause, by: None });
        }
        state
    }

    /// Replaces what is halted.
    ///
    /// # Errors
    /// When neither home takes it. The latch then holds in memory only.
    pub fn store(&self, state: &LatchState) -> Result<LatchHome, LatchError> {
        let stored = Stored { generation: self.newest().0.generation + 1, state: state.clone() };
        // Invariant: names, texts and numbers are always JSON.
        let bytes = serde_json::to_vec(&stored).unwrap_or_default();
        let file = self.replace_file(&bytes);
        let slot_is_empty = matches!(emergency::read_latch(&self.data), Ok(Slot::Empty));
        // A slot in use is kept up even when the file is well: a damaged one would count as a halt for ever.
        let slot = if file.is_ok() && slot_is_empty { Ok(()) } else { emergency::write_latch(&self.data, &bytes) };
        match (file, slot) {
            (Ok(()), _) => Ok(LatchHome::File),
            (Err(file), Ok(())) => Ok(LatchHome::EmergencyLog(file.kind())),
            (Err(file), Err(emergency)) => Err(LatchError { path: self.data.file(FILE), file, emergency }),
        }
    }

    /// Nothing is halted any more. Only a named person's `resume` ends in this.
    ///
    /// # Errors
    /// As `store`; the latch is then as it was.
    pub fn clear(&self) -> Result<LatchHome, LatchError> {
        self.store(&LatchState::default())
    }

    fn replace_file(&self, bytes: &[u8]) -> std::io::Result<()> {
        let file = self.data.open(NEXT, Open::Fresh)?;
        file.write_all_at(bytes, 0)?;
        file.sync()?;
        self.data.rename(NEXT, &self.data, FILE)?;
        self.data.sync()
    }

    /// The newer of the two homes, and what is wrong with one that cannot be read.
    fn newest(&self) -> (Stored, Option<String>) {
        let file = match self.data.read(FILE) {
            Ok(Some(bytes)) => parse(&bytes).map_err(|error| format!("{FILE} cannot be read: {error}")),
            Ok(None) => Ok(Stored::default()),
            Err(error) => Err(format!("{FILE} cannot be read: {error}")),
        };
        let slot = match emergency::read_latch(&self.data) {
            Ok(Slot::Empty) => Ok(Stored::default()),
            Ok(Slot::Holds(bytes)) => parse(&bytes).map_err(|error| format!("the latch in the emergency log cannot be read: {error}")),
            Ok(Slot::Damaged) => Err("the latch in the emergency log is damaged".to_owned()),
            Err(error) => Err(format!("the emergency log cannot be read: {error}")),
        };
        let damage = file.as_ref().err().or(slot.as_ref().err()).cloned();
        let newest = [file, slot].into_iter().flatten().max_by_key(|stored| stored.generation);
        (newest.unwrap_or_default(), damage)
    }
}

fn parse(bytes: &[u8]) -> Result<Stored, serde_json::Error> {
    serde_json::from_slice(bytes)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::domain::ids::AccountId;

    const NOW: Timestamp = Timestamp(77);

    fn halted(account: &str) -> LatchState {
        let scope = Scope::Account(AccountId::new(account).unwrap());
        LatchState {
            halted: vec![HaltedScope {
                scope,
                mode: Mode::Halted,
                since: Timestamp(5),
                cause: "daily loss".into(),
                by: Some("ada".into()),
            }],
        }
    }

    #[test]
    fn a_latch_survives_until_it_is_cleared() {
        let data = tempfile::tempdir().unwrap();
        let latch = Latch::new(data.path());
        assert_eq!(latch.load(NOW), LatchState::default());
        assert_eq!(latch.store(&halted("main")).unwrap(), LatchHome::File);
        assert_eq!(Latch::new(data.path()).load(NOW), halted("main"));
        latch.clear().unwrap();
        assert_eq!(Latch::new(data.path()).load(NOW), LatchState::default());
    }

    #[test]
    fn a_file_of_halts_alone_is_read_as_what_it_was() {
        let data = tempfile::tempdir().unwrap();
        std::fs::write(data.path().join(FILE), r#"{"generation":3,"halted":[{"scope":"global","since":5,"cause":"t"}]}"#).unwrap();
        assert_eq!(Latch::new(data.path()).load(NOW).halted[0].mode, Mode::Halted);
    }

    #[test]
    fn without_room_for_the_file_the_emergency_log_has_it_and_the_newest_home_wins() {
        let data = tempfile::tempdir().unwrap();
        emergency::prepare(&data.path().into(), 1 << 20).unwrap();
        let latch = Latch::new(data.path());
        latch.store(&halted("old")).unwrap();
        // A directory in the way refuses the file to root as well.
        std::fs::create_dir(data.path().join("latch.json.next")).unwrap();
        assert!(matches!(latch.store(&halted("new")).unwrap(), LatchHome::EmergencyLog(_)));
        assert_eq!(latch.load(NOW), halted("new"));
        std::fs::remove_dir(data.path().join("latch.json.next")).unwrap();
        latch.clear().unwrap();
        assert_eq!(latch.load(NOW), LatchState::default(), "the emergency log does not bring an old latch back");
    }

    #[test]
    fn with_no_home_at_all_it_says_that_it_holds_in_memory_only() {
        let data = tempfile::tempdir().unwrap();
        std::fs::create_dir(data.path().join("latch.json.next")).unwrap();
        let text = Latch::new(data.path()).store(&halted("main")).unwrap_err().to_string();
        assert!(text.contains("this process only"), "{text}");
    }

    #[test]
    fn a_latch_that_cannot_be_read_is_set() {
        let data = tempfile::tempdir().unwrap();
        emergency::prepare(&data.path().into(), 1 << 20).unwrap();
        let latch = Latch::new(data.path());
        for damage in ["", "{\"generation\":9", "[]"] {
            std::fs::write(data.path().join(FILE), damage).unwrap();
            let state = latch.load(NOW);
            assert_eq!((state.halted[0].scope, state.halted[0].since), (Scope::Global, NOW), "{damage:?}");
        }
        latch.clear().unwrap();
        assert_eq!(latch.load(NOW), LatchState::default(), "a person's clear ends it");
    }
}
