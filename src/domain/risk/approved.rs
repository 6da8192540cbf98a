//! The seal on what risk has passed. There is no way to make one outside of `risk`; it says which risk manager of which build
//! gave it, so that an executor can refuse what is not its own.

use super::super::ids::Incarnation;

/// What this program was built from: an executor takes approvals of its own build alone, and risk takes books of its own (C22).
pub const BUILD: &str = concat!(env!("CARGO_PKG_NAME"), " ", env!("CARGO_PKG_VERSION"));

/// Something that risk has passed, and the incarnation of the risk manager that passed it. There is no way to make one
/// outside this module:
///
/// ```compile_fail,E0451
/// use ringfence::domain::{ids::Incarnation, risk::Approved};
/// let forged = Approved { inner: 1, incarnation: Incarnation(1), build: "" };
/// ```
///
/// and no constructor that another module could call:
///
/// ```compile_fail,E0624
/// use ringfence::domain::{ids::Incarnation, risk::Approved};
/// let forged = Approved::new(1, Incarnation(1));
/// ```
#[derive(Debug, Clone, PartialEq)]
pub struct Approved<T> {
    inner: T,
    incarnation: Incarnation,
    build: &'static str,
}

impl<T> Approved<T> {
    pub(super) fn new(inner: T, incarnation: Incarnation) -> Self {
        Self { inner, incarnation, build: BUILD }
    }

    /// As a risk manager of another program would have given it.
    #[cfg(test)]
    pub(crate) fn of_build(self, build: &'static str) -> Self {
        Self { build, ..self }
    }

    #[must_use]
    pub fn get(&self) -> &T {
        &self.inner
    }

    /// The risk manager that approved it; an executor refuses an older one than it knows.
    #[must_use]
    pub fn incarnation(&self) -> Incarnation {
        self.incarnation
    }

    /// What its risk manager was built from.
    #[must_use]
    pub fn build(&self) -> &'static str {
        self.build
    }

    #[must_use]
    pub fn into_inner(self) -> T {
        self.inner
    }
}
