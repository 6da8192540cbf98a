//! Where a value came from: the built-in default, a line of a file, an environment variable. Every resolved value and every
//! problem carries one, so that a person can go and change it.

use std::fmt;
use std::ops::Range;
use std::sync::Arc;

/// A text that settings are read from.
#[derive(Debug, PartialEq, Eq)]
pub struct SourceText {
    /// As the person named it: the path given on the command line.
    pub name: String,
    pub text: String,
    pub built_in: bool,
}

impl SourceText {
    #[must_use]
    pub fn new(name: impl Into<String>, text: impl Into<String>) -> Arc<Self> {
        Arc::new(Self { name: name.into(), text: text.into(), built_in: false })
    }

    pub(super) fn built_in(name: &str, text: &str) -> Arc<Self> {
        Arc::new(Self { name: name.to_owned(), text: text.to_owned(), built_in: true })
    }

    /// One-based.
    #[must_use]
    pub fn line_of(&self, offset: usize) -> usize {
        1 + self.text.as_bytes().iter().take(offset).filter(|byte| **byte == b'\n').count()
    }
}

/// The place of one value.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Origin {
    /// `span` is in bytes of the source's text.
    Text {
        source: Arc<SourceText>,
        span: Range<usize>,
    },
    Environment {
        variable: String,
    },
    /// `--data-dir` and the like.
    CommandLine {
        flag: &'static str,
    },
    /// Not written anywhere: the key was left out and has a fixed default, or has no value.
    Unset,
}

impl Origin {
    /// Whether the value stands in the built-in default.
    #[must_use]
    pub fn is_built_in(&self) -> bool {
        matches!(self, Self::Text { source, .. } if source.built_in)
    }

    /// The source's name and the line.
    #[must_use]
    pub fn line(&self) -> Option<(String, usize)> {
        match self {
            Self::Text { source, span } => Some((source.name.clone(), source.line_of(span.start))),
            Self::Environment { .. } | Self::CommandLine { .. } | Self::Unset => None,
        }
    }

    pub(super) fn sort_key(&self) -> (u8, String, usize) {
        match self {
            Self::Text { source, span } => (u8::from(source.built_in) * 2, source.name.clone(), span.start),
            Self::Environment { variable } => (1, variable.clone(), 0),
            Self::CommandLine { .. } | Self::Unset => (3, String::new(), 0),
        }
    }
}

impl fmt::Display for Origin {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Text { source, span } if source.built_in => write!(f, "built-in default, line {}", source.line_of(span.start)),
            Self::Text { source, span } => write!(f, "{}:{}", source.name, source.line_of(span.start)),
            Self::Environment { variable } => write!(f, "environment {variable}"),
            Self::CommandLine { flag } => write!(f, "command line {flag}"),
            Self::Unset => f.write_str("not set"),
        }
    }
}

/// One resolved value, as `check` prints it. `value` is canonical: equal values have equal texts.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Row {
    pub key: String,
    pub value: String,
    pub origin: Origin,
}
