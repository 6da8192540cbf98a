//! Refusals in Binance's shape, `{"code":-1121,"msg":"Invalid symbol."}`, with Binance's codes and words.

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
    pub(super) const TOO_MANY_PARAMETERS: Self = Self::bad(-1101, "Too many parameters sent for this endpoint.");
    pub(super) const DUPLICATE_VALUES: Self = Self::bad(-1101, "Duplicate values for a parameter detected.");
    pub(super) const INVALID_SYMBOL: Self = Self::bad(-1121, "Invalid symbol.");
    pub(super) const INVALID_INTERVAL: Self = Self::bad(-1120, "Invalid interval.");
    pub(super) const INVALID_STATUS: Self = Self::bad(-1122, "Invalid symbolStatus.");
    pub(super) const OTHER_STATUS: Self = Self::bad(-1220, "The symbol's status does not match the requested symbolStatus.");
    pub(super) const BAD_COMBINATION: Self = Self::bad(-1128, "Combination of optional parameters invalid.");
    pub(super) const INVALID_TICKER_TYPE: Self = Self::bad(-1139, "Invalid ticker type.");
    pub(super) const DUPLICATE_SYMBOLS: Self = Self::bad(-1151, "Symbol is present multiple times in the list.");
    pub(super) const SYMBOL_OR_SYMBOLS: Self = Self::bad(-1102, "Param 'symbol' or 'symbols' must be sent, but both were empty/null!");
    pub(super) const NO_REFERENCE_PRICE: Self = Self::bad(-2043, "This symbol doesn't have a reference price.");
    pub(super) const LONGER_THAN_AN_HOUR: Self = Self::bad(-1127, "More than 1 hours between startTime and endTime.");
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

    pub(super) fn empty(parameter: &str) -> Self {
        Self::said(-1105, format!("Parameter '{parameter}' was empty."))
    }

    pub(super) fn invalid(parameter: &str) -> Self {
        Self::said(-1130, format!("Data sent for parameter '{parameter}' is not valid."))
    }

    pub(super) fn illegal(parameter: &str, legal: &str) -> Self {
        Self::said(-1100, format!("Illegal characters found in parameter '{parameter}'; legal range is '{legal}'."))
    }

    pub(super) fn too_many(expected: usize, sent: usize) -> Self {
        Self::said(-1101, format!("Too many parameters; expected '{expected}' and received '{sent}'."))
    }

    pub(super) fn unread(read: usize, sent: usize) -> Self {
        Self::said(-1104, format!("Not all sent parameters were read; read '{read}' parameter(s) but was sent '{sent}'."))
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
