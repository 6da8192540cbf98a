//! Refusals in Binance's shape, `{"code":-1121,"msg":"Invalid symbol."}`, with Binance's codes.

use std::borrow::Cow;

use axum::Json;
use axum::http::{Method, StatusCode};
use axum::response::{IntoResponse, Response};
use serde::Serialize;

use super::FloorGone;

#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub(super) struct Problem {
    #[serde(skip)]
    status: StatusCode,
    pub(super) code: i32,
    pub(super) msg: Cow<'static, str>,
}

impl Problem {
    pub(super) const ILLEGAL_CHARACTERS: Self = Self::bad(-1100, "Illegal characters found in a parameter.");
    pub(super) const INVALID_SYMBOL: Self = Self::bad(-1121, "Invalid symbol.");
    pub(super) const INVALID_INTERVAL: Self = Self::bad(-1120, "Invalid interval.");
    /// The exchange's own thread has ended: Binance's words when its engine does not answer.
    pub(super) const NO_EXCHANGE: Self = Self {
        status: StatusCode::SERVICE_UNAVAILABLE,
        code: -1001,
        msg: Cow::Borrowed("Internal error; unable to process your request. Please try again."),
    };

    const fn bad(code: i32, msg: &'static str) -> Self {
        Self { status: StatusCode::BAD_REQUEST, code, msg: Cow::Borrowed(msg) }
    }

    fn said(code: i32, msg: String) -> Self {
        Self { status: StatusCode::BAD_REQUEST, code, msg: Cow::Owned(msg) }
    }

    pub(super) fn missing(parameter: &str) -> Self {
        Self::said(-1102, format!("Mandatory parameter '{parameter}' was not sent, was empty/null, or malformed."))
    }

    pub(super) fn invalid(parameter: &str) -> Self {
        Self::said(-1130, format!("Data sent for parameter '{parameter}' is not valid."))
    }

    /// A parameter that is not read must not look as if it were.
    pub(super) fn unread(read: usize, sent: usize) -> Self {
        Self::said(-1104, format!("Not all sent parameters were read; read '{read}' parameter(s) but was sent '{sent}'."))
    }

    /// Binance has no code for it: there, such a stream is silent.
    pub(super) fn unknown_stream(name: &str) -> Self {
        Self::said(
            2,
            format!(
                "Invalid request: stream expected <symbol in lower case>@ with depth, depth@100ms, bookTicker, trade, aggTrade, markPrice, \
                 markPrice@1s or kline_<interval>, found {name:?}"
            ),
        )
    }

    pub(super) fn too_many_streams(found: usize, max: usize) -> Self {
        Self::said(2, format!("Invalid request: expected at most {max} streams on a connection, found {found}"))
    }

    pub(super) fn too_many_clients(max: usize) -> Self {
        let status = StatusCode::SERVICE_UNAVAILABLE;
        Self { status, code: -1034, msg: Cow::Owned(format!("Too many concurrent connections; current limit is '{max}'.")) }
    }

    pub(super) fn unknown_path(path: &str, method: &Method) -> Self {
        Self { status: StatusCode::NOT_FOUND, code: -5000, msg: Cow::Owned(format!("Path {path}, Method {method} is invalid")) }
    }
}

impl From<FloorGone> for Problem {
    fn from(_: FloorGone) -> Self {
        Self::NO_EXCHANGE
    }
}

impl IntoResponse for Problem {
    fn into_response(self) -> Response {
        (self.status, Json(self)).into_response()
    }
}
