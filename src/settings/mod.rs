//! Settings: built-in default < file < environment, read in one pass that finds every mistake, each with its place; then
//! typed, resolved values with the origin of each. Knows the domain and no other module: what a strategy's own settings mean,
//! the caller's validator judges. Never holds a secret.
//!
//! Reading order: `shape` (what comes out), `sections` (what goes in), `check` (what must fit together), `reader`, `value`
//! and `layers` (how it is read), `diff` (what a reload does).

mod check;
mod diff;
mod layers;
mod origin;
mod problem;
mod reader;
mod sections;
mod shape;
mod value;

use std::path::Path;
use std::sync::Arc;

pub use check::{StrategyValidator, any_strategy};
pub use diff::Change;
pub use origin::{Origin, Row, SourceText};
pub use problem::{Problem, Problems};
pub use shape::*;
pub use value::show_duration;

/// The default settings, as a commented file: every key is in it.
pub const BUILT_IN: &str = include_str!("../../config/default.toml");
const BUILT_IN_NAME: &str = "config/default.toml";

impl Settings {
    /// Reads the file, if there is one, and this process's environment.
    ///
    /// # Errors
    /// Every mistake in them.
    pub fn load(file: Option<&Path>, validator: &StrategyValidator<'_>) -> Result<Self, Problems> {
        let source = file.map(read_file).transpose()?;
        // Variables that are not Unicode cannot be ours.
        let variables = std::env::vars_os().filter_map(|(name, value)| Some((name.into_string().ok()?, value.into_string().ok()?)));
        Self::read(source.as_ref(), variables, validator)
    }

    /// The same without I/O.
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
        let reader::Findings { problems: found, rows, .. } = notes.into_inner();
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

/// Every key that a file may have, entries of lists and names of one's own choosing as `*`.
#[must_use]
pub fn known_keys() -> Vec<String> {
    let built_in = SourceText::built_in(BUILT_IN_NAME, BUILT_IN);
    let tree = layers::read(&built_in, None, std::iter::empty());
    let notes = reader::Notes::default();
    sections::read(&tree.root, &notes);
    notes.into_inner().known.into_iter().collect()
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
