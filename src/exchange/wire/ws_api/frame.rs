//! Frames of the WebSocket API: a request read, an answer and an event written. Pure; the largest frame is bounded by the socket.

use std::fmt::Write as _;

use serde::Deserialize;
use serde_json::value::RawValue;

use crate::exchange::wire::limits::LimitRules;
use crate::exchange::wire::parameters::{Manners, Parameters};
use crate::exchange::wire::problem::Problem;
use crate::exchange::wire::route::Answer;

use crate::domain::time::Timestamp;

/// An id is echoed as it came; longer ones are nobody's.
const ID_MAX: usize = 128;

/// A request as it came.
#[derive(Debug)]
pub struct Frame {
    /// JSON: an integer, a string or null.
    pub id: String,
    pub method: String,
    pub parameters: Parameters,
}

/// A request that is none, with the id that its refusal is for.
#[derive(Debug, PartialEq)]
pub struct Malformed {
    pub id: String,
    pub problem: Problem,
}

#[derive(Deserialize)]
struct Raw<'f> {
    #[serde(borrow)]
    id: Option<&'f RawValue>,
    #[serde(borrow)]
    method: Option<&'f RawValue>,
    #[serde(borrow)]
    params: Option<&'f RawValue>,
}

impl Frame {
    /// # Errors
    /// When it is not JSON, or its id, method or parameters are none.
    pub fn parse(text: &str, manners: Manners) -> Result<Self, Malformed> {
        let nobody = |problem| Malformed { id: "null".to_owned(), problem };
        let raw: Raw<'_> = serde_json::from_str(text).map_err(|_| nobody(Problem::INVALID_JSON))?;
        let id = id(raw.id.map_or("null", RawValue::get)).map_err(nobody)?;
        let refuse = |problem| Malformed { id: id.clone(), problem };
        let method: Option<String> = raw.method.and_then(|method| serde_json::from_str(method.get()).ok());
        let method = method.filter(|method| !method.is_empty()).ok_or_else(|| refuse(Problem::missing("method")))?;
        let parameters = match raw.params.filter(|params| params.get() != "null") {
            None => Parameters::empty(manners),
            Some(params) => Parameters::of_object(manners, params).map_err(refuse)?,
        };
        Ok(Self { id, method, parameters })
    }
}

fn id(raw: &str) -> Result<String, Problem> {
    let digits = raw.strip_prefix('-').unwrap_or(raw);
    let integer = !digits.is_empty() && digits.bytes().all(|byte| byte.is_ascii_digit());
    if raw.len() <= ID_MAX && (integer || raw.starts_with('"') || raw == "null") {
        return Ok(raw.to_owned());
    }
    Err(Problem::illegal("id", "^[a-zA-Z0-9-_]{1,36}$"))
}

/// The counts of an answer.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Counts {
    pub used_weight: u32,
    pub orders: Option<[u32; 2]>,
}

/// `{"id":…,"status":…,"result"|"error":…,"rateLimits":[…]}`
#[must_use]
pub fn answer(id: &str, answer: &Answer, now: Timestamp, limits: Option<(&LimitRules, Counts)>) -> String {
    let mut text = String::with_capacity(512);
    // Writing to a String cannot fail.
    let _ = match answer {
        Ok(json) => write!(text, "{{\"id\":{id},\"status\":200,\"result\":{}", json.as_str()),
        Err(problem) => write!(text, "{{\"id\":{id},\"status\":{},\"error\":{}", problem.status, error(problem, now)),
    };
    if let Some((rules, counts)) = limits {
        text.push_str(",\"rateLimits\":");
        rate_limits(rules, counts, &mut text);
    }
    text.push('}');
    text
}

/// A refusal with when to come back, where there is such a time.
fn error(problem: &Problem, now: Timestamp) -> String {
    let mut body = problem.body();
    if let (Some(at), None) = (problem.retry_at, &problem.data) {
        body.pop();
        let _ = write!(body, ",\"data\":{{\"serverTime\":{},\"retryAfter\":{}}}}}", now.as_millis(), at.as_millis());
    }
    body
}

fn rate_limits(rules: &LimitRules, counts: Counts, text: &mut String) {
    text.push('[');
    for (interval, count) in rules.orders.iter().zip(counts.orders.into_iter().flatten()) {
        let _ = write!(
            text,
            "{{\"rateLimitType\":\"ORDERS\",\"interval\":\"{}\",\"intervalNum\":{},\"limit\":{},\"count\":{count}}},",
            interval.unit, interval.count, interval.max
        );
    }
    let _ = write!(
        text,
        "{{\"rateLimitType\":\"REQUEST_WEIGHT\",\"interval\":\"MINUTE\",\"intervalNum\":1,\"limit\":{},\"count\":{}}}]",
        rules.weight_per_minute, counts.used_weight
    );
}

/// `{"subscriptionId":…,"event":…}`
#[must_use]
pub fn event(subscription: u32, event: &str) -> String {
    format!("{{\"subscriptionId\":{subscription},\"event\":{event}}}")
}

#[cfg(test)]
mod tests {
    use crate::exchange::wire::route::Json;

    use super::*;

    fn parse(text: &str) -> Result<(String, String, usize), (String, i32)> {
        let frame = Frame::parse(text, Manners::Strict);
        frame.map(|frame| (frame.id, frame.method, frame.parameters.len())).map_err(|wrong| (wrong.id, wrong.problem.code))
    }

    #[test]
    fn ids_of_every_kind_are_echoed_as_they_came() {
        for id in ["1", "-5", "\"abc-1\"", "null", "9223372036854775807"] {
            let text = format!("{{\"id\":{id},\"method\":\"ping\"}}");
            assert_eq!(parse(&text), Ok((id.to_owned(), "ping".to_owned(), 0)));
        }
        assert_eq!(parse(r#"{"method":"ping","params":{"a":1,"b":"x"}}"#), Ok(("null".to_owned(), "ping".to_owned(), 2)));
    }

    #[test]
    fn what_is_no_request_is_refused_with_the_id_it_has() {
        let null = || "null".to_owned();
        assert_eq!(parse("nonsense"), Err((null(), -1135)));
        assert_eq!(parse("[1,2]"), Err((null(), -1135)));
        assert_eq!(parse(r#"{"id":{},"method":"ping"}"#), Err((null(), -1100)));
        assert_eq!(parse(r#"{"id":1.5,"method":"ping"}"#), Err((null(), -1100)));
        assert_eq!(parse(r#"{"id":7}"#), Err(("7".to_owned(), -1102)));
        assert_eq!(parse(r#"{"id":7,"method":5}"#), Err(("7".to_owned(), -1102)));
        assert_eq!(parse(r#"{"id":7,"method":"ping","params":[1]}"#), Err(("7".to_owned(), -1135)));
        let deep = format!(r#"{{"id":1,"method":"ping","params":{}1{}}}"#, "[".repeat(20_000), "]".repeat(20_000));
        assert_eq!(parse(&deep), Err(("1".to_owned(), -1135)));
    }

    #[test]
    fn answers_have_the_venues_shape() {
        let rules = LimitRules::spot();
        let counts = Counts { used_weight: 7, orders: Some([1, 2]) };
        let text = answer("\"a\"", &Ok(Json::empty_object()), Timestamp::ZERO, Some((&rules, counts)));
        let value: serde_json::Value = serde_json::from_str(&text).unwrap();
        assert_eq!((&value["id"], &value["status"], &value["result"]), (&"a".into(), &200.into(), &serde_json::json!({})));
        let limits: Vec<(&str, u64, u64)> = value["rateLimits"]
            .as_array()
            .unwrap()
            .iter()
            .map(|limit| (limit["interval"].as_str().unwrap(), limit["limit"].as_u64().unwrap(), limit["count"].as_u64().unwrap()))
            .collect();
        assert_eq!(limits, [("SECOND", 100, 1), ("DAY", 200_000, 2), ("MINUTE", 6_000, 7)]);
        assert_eq!(
            answer("1", &Err(Problem::INVALID_SYMBOL), Timestamp::ZERO, None),
            r#"{"id":1,"status":400,"error":{"code":-1121,"msg":"Invalid symbol."}}"#
        );
    }

    #[test]
    fn a_limit_says_when_to_come_back() {
        let problem = Problem { retry_at: Some(Timestamp::from_millis(60_000)), ..Problem::of(-1003, "Too many requests queued.") };
        let text = answer("1", &Err(problem), Timestamp::from_millis(5), None);
        assert!(text.contains(r#""status":429"#) && text.contains(r#""data":{"serverTime":5,"retryAfter":60000}"#), "{text}");
    }
}
