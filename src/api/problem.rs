//! Errors as the API gives them: `application/problem+json` (RFC 9457). Each says what was expected, what was found and
//! what to do; none says anything about the daemon's inside.

use axum::http::{HeaderValue, StatusCode, header};
use axum::response::{IntoResponse, Response};
use serde::{Deserialize, Serialize};

/// One error, ready to be sent or printed.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, thiserror::Error)]
#[error("{title}: {detail}")]
pub struct ApiProblem {
    /// Stable: `urn:ringfence:problem:<code>`. Programs tell problems apart by this.
    #[serde(rename = "type")]
    pub kind: String,
    pub title: String,
    pub status: u16,
    pub detail: String,
}

impl ApiProblem {
    #[must_use]
    pub fn new(status: StatusCode, code: &str, title: &str, detail: impl Into<String>) -> Self {
        Self { kind: format!("urn:ringfence:problem:{code}"), title: title.to_owned(), status: status.as_u16(), detail: detail.into() }
    }

    /// 401.
    pub(super) fn unauthorized(found: &str) -> Self {
        let detail = format!(
            "expected the header \"Authorization: Bearer TOKEN\" with the token from the data directory's file \"token\", found {found}"
        );
        Self::new(StatusCode::UNAUTHORIZED, "unauthorized", "a valid token is needed", detail)
    }

    /// 403.
    pub(super) fn forbidden(code: &str, detail: String) -> Self {
        Self::new(StatusCode::FORBIDDEN, code, "not from here", detail)
    }

    /// 404, for a name that is not there.
    #[must_use]
    pub fn not_found(detail: impl Into<String>) -> Self {
        Self::new(StatusCode::NOT_FOUND, "not_found", "no such thing", detail)
    }

    /// 400: not readable at all.
    pub(super) fn bad_request(detail: impl Into<String>) -> Self {
        Self::new(StatusCode::BAD_REQUEST, "bad_request", "the request cannot be read", detail)
    }

    /// 422: readable, and not what was expected.
    #[must_use]
    pub fn unprocessable(detail: impl Into<String>) -> Self {
        Self::new(StatusCode::UNPROCESSABLE_ENTITY, "unprocessable", "the request cannot be carried out as it stands", detail)
    }

    /// 409: right in itself, and refused as things stand.
    #[must_use]
    pub fn conflict(detail: impl Into<String>) -> Self {
        Self::new(StatusCode::CONFLICT, "conflict", "refused as things stand", detail)
    }

    #[must_use]
    pub fn is_conflict(&self) -> bool {
        self.status == StatusCode::CONFLICT.as_u16()
    }

    /// 503: try again.
    #[must_use]
    pub fn unavailable(detail: impl Into<String>) -> Self {
        Self::new(StatusCode::SERVICE_UNAVAILABLE, "unavailable", "not available now", detail)
    }

    /// 504: the outcome is not known yet.
    pub(super) fn timeout(detail: impl Into<String>) -> Self {
        Self::new(StatusCode::GATEWAY_TIMEOUT, "timeout", "no outcome in time", detail)
    }
}

impl IntoResponse for ApiProblem {
    fn into_response(self) -> Response {
        // Invariant: every problem is made with a valid status; a foreign one that was deserialized may not be.
        let status = StatusCode::from_u16(self.status).unwrap_or(StatusCode::INTERNAL_SERVER_ERROR);
        let mut response = (status, axum::Json(self)).into_response();
        response.headers_mut().insert(header::CONTENT_TYPE, HeaderValue::from_static("application/problem+json"));
        if status == StatusCode::UNAUTHORIZED {
            response.headers_mut().insert(header::WWW_AUTHENTICATE, HeaderValue::from_static("Bearer realm=\"ringfence\""));
        }
        response
    }
}
