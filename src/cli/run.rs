//! `ringfence run`: the daemon. Reads the settings, refuses them whole if anything is wrong, and hands over to the
//! application.

use std::path::{Path, PathBuf};

use clap::Args;

use crate::settings::{Settings, SettingsSource};

use super::Parts;
use super::failure::Failure;
use super::output;

/// Run the daemon in the foreground; Ctrl-C stops it in order, a second one at once
#[derive(Debug, Default, Args)]
#[command(after_help = "Example: ringfence run --config ringfence.toml --data-dir /var/lib/ringfence\n\n\
    Without --config it trades the exchange that it carries inside.\n\
    SIGHUP has it read its configuration again.")]
pub(super) struct Arguments {
    /// The configuration, laid over the built-in default [default: none]
    #[arg(long, value_name = "FILE")]
    config: Option<PathBuf>,
    /// Where journal, token and records are kept [default: as configured, ./data]
    #[arg(long, value_name = "DIR")]
    data_dir: Option<PathBuf>,
    /// Plain log lines, even on a terminal
    #[arg(long)]
    plain: bool,
}

/// What the README and the examples call a configuration.
const USUAL: &str = "ringfence.toml";

/// A file lying here is never taken by itself: where a daemon is started from must not decide what it trades. But whoever put it
/// here is told.
fn unused(source: &SettingsSource, usual: &Path) -> Option<String> {
    let is_unused = source.file.is_none() && usual.is_file();
    is_unused.then(|| format!("ringfence: {} lies here and is not used; to use it, add --config {}\n", usual.display(), usual.display()))
}

/// What the application is started with.
#[derive(Debug, Clone)]
pub struct RunOptions {
    pub settings: Settings,
    /// Where a reload reads them again.
    pub source: SettingsSource,
    /// No live summary, even on a terminal.
    pub plain: bool,
}

pub(super) fn execute(arguments: Arguments, parts: &Parts<'_>) -> Result<(), Failure> {
    let source = SettingsSource { file: arguments.config, data_dir: arguments.data_dir };
    if let Some(hint) = unused(&source, Path::new(USUAL)) {
        output::complain(&hint);
    }
    let settings = source.load(parts.validator)?;
    settings.can_run().map_err(Failure::Configuration)?;
    (parts.run)(RunOptions { settings, source, plain: arguments.plain })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_configuration_that_lies_here_unnamed_is_spoken_of() {
        let home = tempfile::tempdir().unwrap();
        let usual = home.path().join(USUAL);
        let without = SettingsSource { file: None, data_dir: None };
        assert_eq!(unused(&without, &usual), None);
        std::fs::write(&usual, "").unwrap();
        assert!(unused(&without, &usual).unwrap().contains("--config"));
        assert_eq!(unused(&SettingsSource { file: Some(usual.clone()), data_dir: None }, &usual), None);
    }
}
