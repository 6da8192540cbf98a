//! Settings: built-in default < file < environment, read in one pass that finds every mistake, each with its place; then
//! typed, resolved values with the origin of each. Knows the domain and no other module: what a strategy's own settings mean,
//! the caller's validator judges. Never holds a secret.
//!
//! Reading order: `shape` and `venues` (what comes out), `sections` (what goes in), `check` (what must fit together), `reader`, `value`
//! and `layers` (how it is read), `diff` (what a reload does).

mod check;
mod diff;
mod hard;
mod layers;
mod limits;
mod origin;
mod problem;
mod reader;
mod sections;
mod shape;
mod value;
mod venues;

use std::path::{Path, PathBuf};
use std::sync::Arc;

pub use check::{StrategyValidator, any_strategy};
pub use diff::Change;
pub use hard::{DrawdownHalts, Hard, HardOnce, StrategyOwn};
pub use origin::{Origin, Row, SourceText};
pub use problem::{Problem, Problems};
pub use shape::*;
pub use value::{parse_duration, show_duration};
pub use venues::{Bases, EMBEDDED, EMBEDDED_SPOT, Environment, KeySource, VenueKind, VenueSpec, embedded, embedded_spot};

/// The default settings, as a commented file: every key is in it.
pub const BUILT_IN: &str = include_str!("../../config/default.toml");
const BUILT_IN_NAME: &str = "config/default.toml";

/// Where the settings of a process are read from, at start and again on every reload.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct SettingsSource {
    /// `--config`.
    pub file: Option<PathBuf>,
    /// `--data-dir`, which lies over everything.
    pub data_dir: Option<PathBuf>,
}

impl SettingsSource {
    /// Reads the file, if there is one, and this process's environment.
    ///
    /// # Errors
    /// Every mistake in them.
    pub fn load(&self, validator: &StrategyValidator<'_>) -> Result<Settings, Problems> {
        let source = self.file.as_deref().map(read_file).transpose()?;
        // Variables that are not Unicode cannot be ours.
        let variables = std::env::vars_os().filter_map(|(name, value)| Some((name.into_string().ok()?, value.into_string().ok()?)));
        let mut settings = Settings::read(source.as_ref(), variables, validator)?;
        if let Some(data_dir) = &self.data_dir {
            settings.put_data_dir(data_dir);
        }
        Ok(settings)
    }
}

impl Settings {
    fn put_data_dir(&mut self, data_dir: &Path) {
        self.daemon.data_dir = data_dir.to_owned();
        for row in self.rows.iter_mut().filter(|row| row.key == "daemon.data_dir") {
            row.value = data_dir.display().to_string();
            row.origin = Origin::CommandLine { flag: "--data-dir" };
        }
    }

    /// What a daemon needs and a backtest does not.
    ///
    /// # Errors
    /// What is missing, with the place to put it.
    pub fn can_run(&self) -> Result<(), Problems> {
        let place = |key: &str| self.rows.iter().find(|row| row.key == key).map_or(Origin::Unset, |row| row.origin.clone());
        let lacking = |key: &str, expected: &str, help: &str| Problem {
            key: key.to_owned(),
            expected: expected.to_owned(),
            found: "nothing".to_owned(),
            help: Some(help.to_owned()),
            origin: place(key),
        };
        let mut problems = Vec::new();
        if self.exchange.market == MarketSource::Recording && self.exchange.files.is_empty() {
            let help = "name recordings, or set exchange.market = \"synthetic\"";
            problems.push(lacking("exchange.files", "at least one recording for the market to replay", help));
        }
        if self.enabled_accounts().next().is_none() {
            problems.push(lacking("accounts", "at least one enabled account", "add [[accounts]], or enable one"));
        }
        self.refuse_live_money(&mut problems);
        if problems.is_empty() { Ok(()) } else { Err(Problems::sorted(problems)) }
    }

    /// The settings of a text and of variables, without I/O.
    ///
    /// # Errors
    /// Every mistake in the source and the variables.
    pub fn read(
        source: Option<&Arc<SourceText>>,
        variables: impl IntoIterator<Item = (String, String)>,
        validator: &StrategyValidator<'_>,
    ) -> Result<Self, Problems> {
        let built_in = SourceText::built_in(BUILT_IN_NAME, BUILT_IN);
        let tree = layers::read(&built_in, source, variables.into_iter());
        let notes = reader::Notes::default();
        let raw = sections::read(&tree.root, &notes);
        let mut findings = notes.into_inner();
        findings.place_strangers();
        let reader::Findings { problems: found, rows, .. } = findings;
        let mut problems = tree.problems;
        // A line that is no TOML reads as nonsense: one report of it is enough.
        let unreadable: Vec<(String, usize)> = problems.iter().filter_map(|problem| problem.origin.line()).collect();
        problems.extend(found.into_iter().filter(|problem| problem.origin.line().is_none_or(|line| !unreadable.contains(&line))));
        let settings = check::resolve(raw, rows, validator, &mut problems);
        // Invariant: no settings means that a section noted why.
        settings.ok_or_else(|| Problems::sorted(problems))
    }

    /// Each resolved value and where it came from, in the order of the sections.
    #[must_use]
    pub fn explain(&self) -> &[Row] {
        &self.rows
    }

    /// Names these values: two configurations with equal values have the same hash, whatever files they came from.
    #[must_use]
    pub fn config_hash(&self) -> String {
        let mut rows: Vec<(&str, &str)> = self.rows.iter().map(|row| (row.key.as_str(), row.value.as_str())).collect();
        rows.sort_unstable();
        let mut hasher = blake3::Hasher::new();
        for (key, value) in rows {
            // Lengths keep neighbours apart: ("ab", "c") is not ("a", "bc").
            for text in [key, value] {
                hasher.update(&(text.len() as u64).to_le_bytes());
                hasher.update(text.as_bytes());
            }
        }
        hasher.finalize().to_hex().to_string()
    }
}

fn read_file(path: &Path) -> Result<Arc<SourceText>, Problems> {
    let name = path.display().to_string();
    std::fs::read_to_string(path).map(|text| SourceText::new(name.clone(), text)).map_err(|error| {
        Problems(vec![Problem {
            key: "--config".to_owned(),
            expected: "a file that can be read".to_owned(),
            found: format!("{name}: {error}"),
            help: Some("name a file, or leave --config out to run on the built-in default".to_owned()),
            origin: Origin::Unset,
        }])
    })
}

#[cfg(test)]
mod tests;
