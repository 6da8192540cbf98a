//! A query's parameters, each of which must be read: one that is ignored would look as if it were obeyed.

use std::collections::BTreeMap;

use axum::extract::{FromRequestParts, Query};
use axum::http::request::Parts;

use super::problem::Problem;

pub(super) struct Parameters {
    left: BTreeMap<String, String>,
    sent: usize,
}

impl<S: Send + Sync> FromRequestParts<S> for Parameters {
    type Rejection = Problem;

    async fn from_request_parts(parts: &mut Parts, state: &S) -> Result<Self, Problem> {
        let Query(left) =
            Query::<BTreeMap<String, String>>::from_request_parts(parts, state).await.map_err(|_| Problem::ILLEGAL_CHARACTERS)?;
        Ok(Self { sent: left.len(), left })
    }
}

impl Parameters {
    pub(super) fn text(&mut self, name: &str) -> Result<String, Problem> {
        self.left.remove(name).filter(|text| !text.is_empty()).ok_or_else(|| Problem::missing(name))
    }

    pub(super) fn number(&mut self, name: &str) -> Result<Option<usize>, Problem> {
        self.left.remove(name).map(|text| text.parse().map_err(|_| Problem::invalid(name))).transpose()
    }

    pub(super) fn finish(self) -> Result<(), Problem> {
        if self.left.is_empty() { Ok(()) } else { Err(Problem::unread(self.sent - self.left.len(), self.sent)) }
    }
}
