//! How a command ends when it does not end well, and how that is shown.

use std::fmt::Write as _;
use std::io::IsTerminal as _;

use miette::{GraphicalReportHandler, GraphicalTheme};

use crate::settings::Problems;

use super::output;

/// Why a command did not do what it was asked for.
#[derive(Debug)]
pub enum Failure {
    /// The configuration is wrong; nothing was started. Exit code 2.
    Configuration(Problems),
    /// The command cannot be carried out as it was given: a port in use, a directory that cannot be written. Exit code 2.
    Usage(String),
    /// It was tried and it failed. Exit code 1.
    Failed(String),
    /// The findings are printed already. Exit code as given.
    Told(u8),
}

impl Failure {
    /// Bad usage, in one line.
    pub fn usage(why: impl ToString) -> Self {
        Self::Usage(why.to_string())
    }

    /// Tried and failed, in one line.
    pub fn failed(why: impl ToString) -> Self {
        Self::Failed(why.to_string())
    }

    #[must_use]
    pub const fn exit_code(&self) -> u8 {
        match self {
            Self::Configuration(_) | Self::Usage(_) => 2,
            Self::Failed(_) => 1,
            Self::Told(code) => *code,
        }
    }

    pub(super) fn print(&self) {
        let stderr = std::io::stderr();
        match self {
            Self::Configuration(problems) => output::complain(&render(problems, stderr.is_terminal())),
            Self::Usage(why) | Self::Failed(why) => output::complain(&format!("ringfence: {why}\n")),
            Self::Told(_) => {}
        }
    }
}

/// In words alone, for where nothing is printed.
impl std::fmt::Display for Failure {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        match self {
            Self::Configuration(problems) => write!(f, "{problems}"),
            Self::Usage(why) | Self::Failed(why) => f.write_str(why),
            Self::Told(code) => write!(f, "exit code {code}"),
        }
    }
}

impl From<Problems> for Failure {
    fn from(problems: Problems) -> Self {
        Self::Configuration(problems)
    }
}

/// Every mistake with its line, then how many there are.
pub(super) fn render(problems: &Problems, colour: bool) -> String {
    let theme = if colour { GraphicalTheme::unicode() } else { GraphicalTheme::unicode_nocolor() };
    // No wrapping of paths and values at the edge of a narrow terminal: they are to be copied.
    let handler = GraphicalReportHandler::new_themed(theme).with_width(160).with_links(false);
    let mut text = String::new();
    for report in problems.reports() {
        // What cannot be drawn (a label outside of its text) is still said.
        if handler.render_report(&mut text, report.as_ref()).is_err() {
            text.push_str(&report.to_string());
        }
        text.push('\n');
    }
    let count = problems.0.len();
    let _ = writeln!(text, "ringfence: {count} mistake{} in the configuration; nothing was started", if count == 1 { "" } else { "s" });
    text
}
