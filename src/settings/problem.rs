//! What is wrong with a configuration, all of it at once. Every problem says where, what was expected, what was found and
//! what to do; `miette` prints it with the line of the file.

use std::fmt;

use miette::{Diagnostic, LabeledSpan, NamedSource, Severity, SourceCode, SourceSpan};

use super::origin::{Origin, SourceText};

/// One mistake.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("{key}: expected {expected}, found {found}")]
pub struct Problem {
    pub key: String,
    pub expected: String,
    pub found: String,
    /// What to do.
    pub help: Option<String>,
    pub origin: Origin,
}

/// Every mistake of one reading, in the order of the files.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct Problems(pub Vec<Problem>);

impl Problems {
    pub(super) fn sorted(mut problems: Vec<Problem>) -> Self {
        problems.sort_by_key(|problem| problem.origin.sort_key());
        problems.dedup();
        Self(problems)
    }
}

impl fmt::Display for Problems {
    /// One line a problem, for logs and for the answer to a reload.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "the configuration has {} mistake{}", self.0.len(), if self.0.len() == 1 { "" } else { "s" })?;
        for problem in &self.0 {
            write!(f, "\n{}: {problem}", problem.origin)?;
            if let Some(help) = &problem.help {
                write!(f, "; {help}")?;
            }
        }
        Ok(())
    }
}

impl std::error::Error for Problems {}

impl Problems {
    /// The mistakes as labelled reports, for a terminal.
    #[must_use]
    pub fn reports(&self) -> Vec<miette::Report> {
        self.0.iter().map(|problem| miette::Report::new(Labelled::new(problem))).collect()
    }
}

/// A problem with the text around it.
#[derive(Debug)]
struct Labelled {
    headline: String,
    help: Option<String>,
    label: Option<LabeledSpan>,
    source: Option<NamedSource<String>>,
}

impl Labelled {
    fn new(problem: &Problem) -> Self {
        let Problem { key, expected, found, help, origin } = problem;
        let (label, source) = match origin {
            Origin::Text { source, span } => {
                let label = LabeledSpan::new_primary_with_span(Some(format!("found {found}")), to_span(source, span));
                (Some(label), Some(NamedSource::new(display_name(source), source.text.clone())))
            }
            Origin::Environment { .. } | Origin::CommandLine { .. } | Origin::Unset => (None, None),
        };
        let headline = match origin {
            Origin::Environment { variable } => format!("{variable}: {key}: expected {expected}, found {found}"),
            _ => format!("{key}: expected {expected}, found {found}"),
        };
        Self { headline, help: help.clone(), label, source }
    }
}

fn display_name(source: &SourceText) -> String {
    if source.built_in { format!("{} (built in)", source.name) } else { source.name.clone() }
}

fn to_span(source: &SourceText, span: &std::ops::Range<usize>) -> SourceSpan {
    let end = span.end.min(source.text.len());
    // A label over many lines hides what it points at: the first line says enough.
    let first_line = source.text.get(span.start..end).and_then(|text| text.lines().next()).map_or(0, str::len);
    (span.start.min(end), first_line).into()
}

impl fmt::Display for Labelled {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.headline)
    }
}

impl std::error::Error for Labelled {}

impl Diagnostic for Labelled {
    fn severity(&self) -> Option<Severity> {
        Some(Severity::Error)
    }

    fn help<'a>(&'a self) -> Option<Box<dyn fmt::Display + 'a>> {
        self.help.as_ref().map(|help| Box::new(help) as Box<dyn fmt::Display + 'a>)
    }

    fn source_code(&self) -> Option<&dyn SourceCode> {
        self.source.as_ref().map(|source| source as &dyn SourceCode)
    }

    fn labels(&self) -> Option<Box<dyn Iterator<Item = LabeledSpan> + '_>> {
        self.label.clone().map(|label| Box::new(std::iter::once(label)) as Box<dyn Iterator<Item = LabeledSpan>>)
    }
}
