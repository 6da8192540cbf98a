//! What an answer says about what was asked: done, surely not done, or not known. The distinction is the venue's own documents',
//! by product, status, code and text (F01, F02, F08–F10); where they are silent the outcome is unknown, because a refusal that is
//! none loses an order and an unknown that is a refusal costs one question. Pure: status, headers and bytes in.

use crate::domain::mutants::{self, Mutant};
use std::time::Duration;

use serde::Deserialize;

use super::product::{Product, UserStream};

/// What of an answer that cannot be read is kept: enough to see what it was (F23).
const RAW_BYTES_MAX: usize = 2_048;

/// An answer as the transport got it.
#[derive(Debug, Clone, Copy)]
pub struct Answer<'a> {
    pub status: u16,
    /// The header `Retry-After`, in seconds.
    pub retry_after: Option<u64>,
    pub body: &'a [u8],
}

/// The code of what never left this machine: no venue has it.
pub const NOT_SENT: i32 = 0;

/// Why something was not done, or may not have been.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Failure {
    /// The venue's definite no: it had no effect.
    Refused { code: i32, message: String },
    /// It had no effect, and the venue was too busy to look at it: it may be asked again.
    Busy { code: i32, message: String },
    /// It had no effect: too much was asked, of the host (`banned`: it does not listen any more) or of the account.
    RateLimited { code: i32, message: String, retry_after: Option<Duration>, banned: bool },
    /// It had no effect: our clock and the venue's do not agree. Measure, sign anew, ask again.
    ClockSkew { code: i32, message: String },
    /// It may have been done. `raw` is what was answered, where that could not be read.
    Unknown { why: String, raw: Vec<u8> },
}

impl Failure {
    /// Whether it surely had no effect.
    #[must_use]
    pub const fn is_definite(&self) -> bool {
        !matches!(self, Self::Unknown { .. })
    }

    /// The venue's code and words; of an unknown outcome, a code that no venue uses and why.
    #[must_use]
    pub fn words(&self) -> (i32, &str) {
        match self {
            Self::Refused { code, message }
            | Self::Busy { code, message }
            | Self::RateLimited { code, message, .. }
            | Self::ClockSkew { code, message } => (*code, message),
            Self::Unknown { why, .. } => (0, why),
        }
    }

    /// Nothing came back: broken connection, time-out.
    #[must_use]
    pub fn silence(why: impl Into<String>) -> Self {
        Self::Unknown { why: why.into(), raw: Vec::new() }
    }
}

impl std::fmt::Display for Failure {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        let (code, message) = self.words();
        let said = if code == NOT_SENT { message.to_owned() } else { format!("{code} {message}") };
        match self {
            Self::Refused { .. } => write!(f, "refused: {said}"),
            Self::Busy { code: NOT_SENT, .. } => write!(f, "nothing was sent: {said}"),
            Self::Busy { .. } => write!(f, "the venue is busy: {said}"),
            Self::RateLimited { banned: true, .. } => write!(f, "this host is banned for a while: {said}"),
            Self::RateLimited { .. } => write!(f, "too much was asked: {said}"),
            Self::ClockSkew { .. } => write!(f, "the clocks do not agree: {said}"),
            Self::Unknown { raw, .. } if raw.is_empty() => write!(f, "outcome unknown: {message}"),
            Self::Unknown { raw, .. } => write!(f, "outcome unknown: {message}: {}", String::from_utf8_lossy(raw).escape_debug()),
        }
    }
}

/// `{"code":-1121,"msg":"Invalid symbol."}`; some interfaces write the code as a text.
#[derive(Debug, Deserialize)]
struct Problem {
    #[serde(deserialize_with = "number_or_text")]
    code: i64,
    #[serde(default)]
    msg: String,
}

fn number_or_text<'de, D: serde::Deserializer<'de>>(deserializer: D) -> Result<i64, D::Error> {
    #[derive(Deserialize)]
    #[serde(untagged)]
    enum Code {
        Number(i64),
        Text(String),
    }
    match Code::deserialize(deserializer)? {
        Code::Number(code) => Ok(code),
        Code::Text(text) => text.parse().map_err(serde::de::Error::custom),
    }
}

/// Reads the answer to a request.
///
/// # Errors
/// When it was not done, or that is not known.
pub fn read<'a, T: Deserialize<'a>>(product: Product, answer: Answer<'a>) -> Result<T, Failure> {
    if !(200..300).contains(&answer.status) {
        return Err(failure(product, answer));
    }
    match serde_json::from_slice(answer.body) {
        Ok(done) => Ok(done),
        // Aster has been seen to refuse with status 200.
        Err(error) => Err(match problem(answer.body).filter(|problem| problem.code < 0) {
            Some(problem) => refusal(product, answer, problem),
            None => unreadable(format!("status {} with what is no answer: {error}", answer.status), answer.body),
        }),
    }
}

/// What an answer other than 2xx says.
#[must_use]
pub fn failure(product: Product, answer: Answer<'_>) -> Failure {
    let problem = problem(answer.body);
    if mutants::on(Mutant::ServerErrorIsRefusal) && answer.status >= 500 {
        return Failure::Refused { code: -1000, message: format!("status {}", answer.status) };
    }
    match (answer.status, problem) {
        (408, _) => unreadable("status 408: the venue gave up waiting".to_owned(), answer.body),
        (418 | 429 | 403, problem) => rate_limited(answer, problem),
        (500.., problem) => server_error(product, answer, problem),
        (400..500, Some(problem)) => refusal(product, answer, problem),
        (status, _) => unreadable(format!("status {status} without the venue's code"), answer.body),
    }
}

/// What a code says that came without a status that says more: a 4xx, or an error inside a list or a frame.
#[must_use]
pub fn refusal_of(product: Product, code: i64, message: &str) -> Failure {
    let answer = Answer { status: 400, retry_after: None, body: &[] };
    refusal(product, answer, Problem { code, msg: message.to_owned() })
}

fn refusal(product: Product, answer: Answer<'_>, Problem { code, msg: message }: Problem) -> Failure {
    let Ok(code) = i32::try_from(code) else {
        return unreadable(format!("a code that is none: {code}"), answer.body);
    };
    match code {
        -1021 | -5028 => Failure::ClockSkew { code, message },
        -1003 | -1015 | -1034 => {
            let retry_after = answer.retry_after.map(Duration::from_secs);
            Failure::RateLimited { code, message, retry_after, banned: false }
        }
        // An unknown error, a disconnection inside, no answer from the engine; spot's cancel-replace of which one half was done.
        -1000 | -1001 | -1006 | -1007 => Failure::Unknown { why: format!("{code} {message}"), raw: Vec::new() },
        -2021 if product.capabilities().holdings => Failure::Unknown { why: format!("{code} {message}"), raw: Vec::new() },
        // An id of ours is used once. If the venue has an order under it, an earlier request has come through.
        -2010 if message.starts_with("Duplicate order") => Failure::Unknown { why: format!("{code} {message}"), raw: Vec::new() },
        -4116 => Failure::Unknown { why: format!("{code} {message}"), raw: Vec::new() },
        // Spot's documents do not say that it had no effect.
        -1008 if product.capabilities().server_errors_unknown => Failure::Unknown { why: format!("{code} {message}"), raw: Vec::new() },
        -1008 | -1016 => Failure::Busy { code, message },
        _ => Failure::Refused { code, message },
    }
}

fn rate_limited(answer: Answer<'_>, problem: Option<Problem>) -> Failure {
    let (code, message) = match problem {
        Some(problem) => (i32::try_from(problem.code).unwrap_or(-1003), problem.msg),
        // 403 comes from the firewall in front of the venue, in HTML.
        None => (-1003, format!("status {}", answer.status)),
    };
    let retry_after = answer.retry_after.map(Duration::from_secs);
    Failure::RateLimited { code, message, retry_after, banned: answer.status == 418 }
}

/// USD-M: "the API service is overloaded" and "internal error, unable to process" had no effect; "unknown error" may have had one.
fn server_error(product: Product, answer: Answer<'_>, problem: Option<Problem>) -> Failure {
    let Some(problem) = problem else {
        return unreadable(format!("status {} without the venue's code", answer.status), answer.body);
    };
    let code = i32::try_from(problem.code).unwrap_or_default();
    let without_effect = problem.msg.starts_with("Service Unavailable")
        || problem.msg.starts_with("Internal error; unable to process your request")
        || code == -1008;
    if answer.status == 503 && without_effect && !product.capabilities().server_errors_unknown {
        return Failure::Busy { code, message: problem.msg };
    }
    Failure::Unknown { why: format!("status {}: {code} {}", answer.status, problem.msg), raw: Vec::new() }
}

fn problem(body: &[u8]) -> Option<Problem> {
    serde_json::from_slice(body).ok()
}

fn unreadable(why: String, body: &[u8]) -> Failure {
    Failure::Unknown { why, raw: body[..body.len().min(RAW_BYTES_MAX)].to_vec() }
}

/// Codes that say that an order is not there: "Unknown order sent", "Order does not exist", and spot's "archived", which is one that
/// ended long ago without a trade.
#[must_use]
pub const fn is_not_found(code: i32) -> bool {
    matches!(code, -2011 | -2013 | -2026)
}

/// Codes that say that a setting is already what it was to become: margin type, position mode.
#[must_use]
pub const fn is_no_change(code: i32) -> bool {
    matches!(code, -4046 | -4059)
}

/// A listen key that the venue does not know any more is made anew.
#[must_use]
pub fn is_listen_key_gone(product: Product, code: i32) -> bool {
    matches!(product.capabilities().user_stream, UserStream::ListenKey { .. }) && code == -1125
}

/// What the headers of an answer say of the limits.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct Used {
    /// The host's request weight within the minute.
    pub weight_1m: Option<u32>,
    pub orders_10s: Option<u32>,
    pub orders_1m: Option<u32>,
    pub orders_1d: Option<u32>,
    pub retry_after: Option<u64>,
}

impl Used {
    /// Reads header names, in whatever case, and values; others are left alone.
    #[must_use]
    pub fn read<'h>(headers: impl IntoIterator<Item = (&'h str, &'h [u8])>) -> Self {
        let mut used = Self::default();
        for (name, value) in headers {
            let slot = match () {
                () if name.eq_ignore_ascii_case("x-mbx-used-weight-1m") => &mut used.weight_1m,
                () if name.eq_ignore_ascii_case("x-mbx-order-count-10s") => &mut used.orders_10s,
                () if name.eq_ignore_ascii_case("x-mbx-order-count-1m") => &mut used.orders_1m,
                () if name.eq_ignore_ascii_case("x-mbx-order-count-1d") => &mut used.orders_1d,
                () if name.eq_ignore_ascii_case("retry-after") => {
                    used.retry_after = number(value);
                    continue;
                }
                () => continue,
            };
            *slot = number(value);
        }
        used
    }
}

fn number<N: std::str::FromStr>(value: &[u8]) -> Option<N> {
    std::str::from_utf8(value).ok()?.trim().parse().ok()
}

#[cfg(test)]
#[path = "outcome_tests.rs"]
pub(crate) mod tests;
