//! What a client is told when a request fails: an HTTP status and the venue's `{code, msg}`, in the venue's own numbers and
//! words. It holds no logic but the status that belongs to a code.

use std::borrow::Cow;
use std::net::IpAddr;

use serde_json::value::RawValue;

use crate::domain::time::Timestamp;
use crate::exchange::core::Reject;

/// A refusal, or an outcome that nobody knows.
#[derive(Debug, Clone)]
pub struct Problem {
    pub status: u16,
    pub code: i32,
    pub msg: Cow<'static, str>,
    /// What some answers carry beside code and message (`cancelReplace`).
    pub data: Option<Box<RawValue>>,
    /// When a client that asked too much may ask again.
    pub retry_at: Option<Timestamp>,
}

/// Two problems are the same when a client cannot tell them apart.
impl PartialEq for Problem {
    fn eq(&self, other: &Self) -> bool {
        let data = |problem: &Self| problem.data.as_ref().map(|raw| raw.get().to_owned());
        (self.status, self.code, &self.msg, data(self)) == (other.status, other.code, &other.msg, data(other))
    }
}

impl Problem {
    /// The status is the one that the venue sends with the code.
    #[must_use]
    pub const fn of(code: i32, msg: &'static str) -> Self {
        Self { status: status_of(code), code, msg: Cow::Borrowed(msg), data: None, retry_at: None }
    }

    #[must_use]
    pub fn said(code: i32, msg: String) -> Self {
        Self { msg: Cow::Owned(msg), ..Self::of(code, "") }
    }

    #[must_use]
    pub const fn with_status(mut self, status: u16) -> Self {
        self.status = status;
        self
    }

    #[must_use]
    pub fn with_data(mut self, data: Box<RawValue>) -> Self {
        self.data = Some(data);
        self
    }

    /// The engine's refusal in the product's words.
    #[must_use]
    pub fn rejected(reject: Reject, spot: bool) -> Self {
        let (code, msg) = reject.words(spot);
        Self::of(code, msg)
    }

    pub const UNKNOWN: Self = Self::of(-1000, "An unknown error occurred while processing the request.");
    pub const DISCONNECTED: Self = Self::of(-1001, "Internal error; unable to process your request. Please try again.");
    pub const TIMEOUT: Self =
        Self::of(-1007, "Timeout waiting for response from backend server. Send status unknown; execution status unknown.");
    pub const SERVER_BUSY: Self = Self::of(-1008, "Server is currently overloaded with other requests. Please try again in a few minutes.");
    pub const OUTSIDE_RECV_WINDOW: Self = Self::of(-1021, "Timestamp for this request is outside of the recvWindow.");
    pub const AHEAD_OF_SERVER: Self = Self::of(-1021, "Timestamp for this request was 1000ms ahead of the server's time.");
    pub const BAD_SIGNATURE: Self = Self::of(-1022, "Signature for this request is not valid.");
    pub const RECV_WINDOW_TOO_LARGE: Self = Self::of(-1131, "'recvWindow' must be less than 60000.");
    pub const KEY_FORMAT: Self = Self::of(-2014, "API-key format invalid.");
    pub const KEY_REFUSED: Self = Self::of(-2015, "Invalid API-key, IP, or permissions for action.");
    pub const ILLEGAL_CHARACTERS: Self = Self::of(-1100, "Illegal characters found in a parameter.");
    pub const DUPLICATE_VALUES: Self = Self::of(-1101, "Duplicate values for a parameter detected.");
    pub const INVALID_SYMBOL: Self = Self::of(-1121, "Invalid symbol.");
    pub const INVALID_JSON: Self = Self::of(-1135, "Invalid JSON Request");
    pub const INVALID_SIDE: Self = Self::of(-1117, "Invalid side.");
    pub const INVALID_ORDER_TYPE: Self = Self::of(-1116, "Invalid orderType.");
    pub const INVALID_TIME_IN_FORCE: Self = Self::of(-1115, "Invalid timeInForce.");
    pub const NO_SUCH_ORDER: Self = Self::of(-2013, "Order does not exist.");
    pub const UNKNOWN_ORDER: Self = Self::of(-2011, "Unknown order sent.");
    pub const INVALID_LISTEN_KEY: Self = Self::of(-1125, "This listenKey does not exist.");

    #[must_use]
    pub fn missing(name: &str) -> Self {
        Self::said(-1102, format!("Mandatory parameter '{name}' was not sent, was empty/null, or malformed."))
    }

    #[must_use]
    pub fn missing_both(one: &str, other: &str) -> Self {
        Self::said(-1102, format!("Param '{one}' or '{other}' must be sent, but both were empty/null!"))
    }

    #[must_use]
    pub fn empty(name: &str) -> Self {
        Self::said(-1105, format!("Parameter '{name}' was empty."))
    }

    #[must_use]
    pub fn not_required(name: &str) -> Self {
        Self::said(-1106, format!("Parameter '{name}' sent when not required."))
    }

    #[must_use]
    pub fn invalid(name: &str) -> Self {
        Self::said(-1130, format!("Data sent for parameter '{name}' is not valid."))
    }

    #[must_use]
    pub fn illegal(name: &str, range: &str) -> Self {
        Self::said(-1100, format!("Illegal characters found in parameter '{name}'; legal range is '{range}'."))
    }

    #[must_use]
    pub fn precision(name: &str) -> Self {
        Self::said(-1111, format!("Parameter '{name}' has too much precision."))
    }

    #[must_use]
    pub fn overflow(name: &str) -> Self {
        Self::said(-1108, format!("Parameter '{name}' overflowed."))
    }

    /// Parameters that the route does not have. The venue has two ways to say it.
    #[must_use]
    pub fn unread(read: usize, sent: usize) -> Self {
        if read == 0 {
            return Self::said(-1101, format!("Too many parameters; expected '0' and received '{sent}'."));
        }
        Self::said(-1104, format!("Not all sent parameters were read; read '{read}' parameter(s) but was sent '{sent}'."))
    }

    #[must_use]
    pub fn unknown_path(path: &str, method: &str) -> Self {
        Self::said(-5000, format!("Path {path}, Method {method} is invalid")).with_status(404)
    }

    #[must_use]
    pub fn method_not_allowed(path: &str, method: &str) -> Self {
        Self::said(-5000, format!("Path {path}, Method {method} is invalid")).with_status(405)
    }

    #[must_use]
    pub fn body_too_large(max: usize) -> Self {
        Self::said(-1101, format!("Too many parameters sent for this endpoint: the body has more than {max} bytes.")).with_status(413)
    }

    #[must_use]
    pub fn too_many_connections(max: usize) -> Self {
        Self::said(-1034, format!("Too many concurrent connections; current limit is '{max}'."))
    }

    /// In how many whole seconds a client may ask again, never too few.
    #[must_use]
    pub fn retry_after(&self, now: Timestamp) -> Option<u64> {
        let left = self.retry_at?.since(now);
        Some(left.as_secs() + u64::from(left.subsec_nanos() > 0))
    }

    /// A limit on weight was reached.
    #[must_use]
    pub fn too_much_weight(spot: bool, peer: IpAddr, limit: u32, retry_at: Timestamp) -> Self {
        let msg = if spot {
            format!(
                "Too much request weight used; current limit is {limit} request weight per 1 MINUTE. \
                 Please use WebSocket Streams for live updates to avoid polling the API."
            )
        } else {
            format!(
                "Too many requests; current limit of IP({peer}) is {limit} requests per minute. \
                 Please use the websocket for live updates to avoid polling the API."
            )
        };
        Self { retry_at: Some(retry_at), ..Self::said(-1003, msg) }
    }

    /// Who goes on after a 429 is shut out for a time.
    #[must_use]
    pub fn banned(spot: bool, peer: IpAddr, until: Timestamp) -> Self {
        let millis = until.as_millis();
        let msg = if spot {
            format!(
                "Way too much request weight used; IP banned until {millis}. \
                 Please use WebSocket Streams for live updates to avoid bans."
            )
        } else {
            format!("Way too many requests; IP({peer}) banned until {millis}. Please use the websocket for live updates to avoid bans.")
        };
        Self { retry_at: Some(until), ..Self::said(-1003, msg).with_status(418) }
    }

    /// An account has sent more orders than an interval takes.
    #[must_use]
    pub fn too_many_orders(limit: u32, interval: &str, retry_at: Timestamp) -> Self {
        let msg = format!("Too many new orders; current limit is {limit} orders per {interval}.");
        Self { retry_at: Some(retry_at), ..Self::said(-1015, msg) }
    }

    /// `{"code":…,"msg":…}`, as it stands in a body or under `error`.
    #[must_use]
    pub fn body(&self) -> String {
        let mut text = format!("{{\"code\":{},\"msg\":", self.code);
        // Invariant: a string can always be written as JSON; an empty one stands in for the impossible.
        text.push_str(&serde_json::to_string(&*self.msg).unwrap_or_else(|_| "\"\"".to_owned()));
        if let Some(data) = &self.data {
            text.push_str(",\"data\":");
            text.push_str(data.get());
        }
        text.push('}');
        text
    }
}

/// The HTTP status of a code. What is not named is the sender's mistake.
const fn status_of(code: i32) -> u16 {
    match code {
        -1000 | -1001 | -1006 => 500,
        -1002 | -2014 | -2015 => 401,
        -1003 | -1015 | -1034 => 429,
        -1007 => 504,
        -1008 | -1016 => 503,
        _ => 400,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_body_is_the_venues_json_whatever_the_message_has_in_it() {
        let problem = Problem::said(-1130, "a \"quoted\" name\n".to_owned());
        assert_eq!(problem.body(), r#"{"code":-1130,"msg":"a \"quoted\" name\n"}"#);
        let data = RawValue::from_string(r#"{"cancelResult":"FAILURE"}"#.to_owned()).unwrap();
        let body = Problem::of(-2022, "Order cancel-replace failed.").with_data(data).body();
        assert_eq!(body, r#"{"code":-2022,"msg":"Order cancel-replace failed.","data":{"cancelResult":"FAILURE"}}"#);
    }

    #[test]
    fn codes_have_the_venues_statuses() {
        let statuses =
            [Problem::KEY_REFUSED, Problem::TIMEOUT, Problem::SERVER_BUSY, Problem::INVALID_SYMBOL].map(|problem| problem.status);
        assert_eq!(statuses, [401, 504, 503, 400]);
    }
}
