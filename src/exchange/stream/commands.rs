//! What a client says on its socket: SUBSCRIBE and its like, read strictly, with the venue's answers. It knows no socket and no
//! stream: it says what is asked, and writes what is answered.

use serde::{Deserialize, Deserializer};
use serde_json::error::Category;
use serde_json::{Value, json};

use super::names::{STREAMS_MAX, is_well_formed};

/// A string as an id.
const ID_CHARACTERS_MAX: usize = 36;
/// The one property that there is.
const COMBINED: &str = "combined";

#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) enum Ask {
    Subscribe(Vec<String>),
    Unsubscribe(Vec<String>),
    List,
    SetCombined(bool),
    IsCombined,
}

/// One sound request.
#[derive(Debug, Clone, PartialEq)]
pub(super) struct Request {
    pub(super) ask: Ask,
    pub(super) id: Value,
}

/// The venue's word that a request is none.
#[derive(Debug, Clone, PartialEq)]
pub(super) struct Refusal {
    code: u8,
    message: String,
    id: Option<Value>,
}

#[derive(Deserialize)]
#[serde(rename_all = "SCREAMING_SNAKE_CASE")]
enum Method {
    Subscribe,
    Unsubscribe,
    ListSubscriptions,
    SetProperty,
    GetProperty,
}

#[derive(Deserialize)]
struct Frame {
    method: Method,
    #[serde(default)]
    params: Vec<Value>,
    /// Absent and null are two things.
    #[serde(default, deserialize_with = "present")]
    id: Option<Value>,
}

fn present<'de, D: Deserializer<'de>>(deserializer: D) -> Result<Option<Value>, D::Error> {
    Value::deserialize(deserializer).map(Some)
}

/// Reads one text. JSON that is nested deeper than the parser goes is no JSON. Where ids are not required, one that is absent is
/// null.
pub(super) fn read(text: &str, ids_required: bool) -> Result<Request, Refusal> {
    let frame: Frame = serde_json::from_str(text).map_err(|error| match error.classify() {
        Category::Data => Refusal { code: 2, message: format!("Invalid request: {error}"), id: None },
        _ => Refusal { code: 3, message: format!("Invalid JSON: {error}"), id: None },
    })?;
    let given = frame.id.or((!ids_required).then_some(Value::Null));
    let id = given.filter(is_id).ok_or_else(|| refusal(2, "Invalid request: request ID must be an unsigned integer", None))?;
    let ask = ask(frame.method, frame.params).map_err(|refused| Refusal { id: Some(id.clone()), ..refused })?;
    Ok(Request { ask, id })
}

fn refusal(code: u8, message: &str, id: Option<Value>) -> Refusal {
    Refusal { code, message: message.to_owned(), id }
}

/// A whole number of 64 bits, a short word, or null.
fn is_id(id: &Value) -> bool {
    match id {
        Value::Null => true,
        Value::Number(number) => number.is_i64(),
        Value::String(text) => {
            let word = |c: char| c.is_ascii_alphanumeric() || c == '-' || c == '_';
            !text.is_empty() && text.len() <= ID_CHARACTERS_MAX && text.chars().all(word)
        }
        _ => false,
    }
}

fn ask(method: Method, params: Vec<Value>) -> Result<Ask, Refusal> {
    Ok(match method {
        Method::Subscribe => Ask::Subscribe(streams(params)?),
        Method::Unsubscribe => Ask::Unsubscribe(streams(params)?),
        Method::ListSubscriptions if params.is_empty() => Ask::List,
        Method::SetProperty => {
            let value = params.get(1).cloned().unwrap_or_default();
            property(&params, 2)?;
            Ask::SetCombined(value.as_bool().ok_or_else(|| refusal(1, "Invalid value type: expected Boolean", None))?)
        }
        Method::GetProperty => {
            property(&params, 1)?;
            Ask::IsCombined
        }
        Method::ListSubscriptions => return Err(too_many()),
    })
}

fn too_many() -> Refusal {
    refusal(2, "Invalid request: too many parameters", None)
}

fn property(params: &[Value], parameters_max: usize) -> Result<(), Refusal> {
    let name = params.first().and_then(Value::as_str);
    let name = name.ok_or_else(|| refusal(2, "Invalid request: property name must be a string", None))?;
    if params.len() > parameters_max {
        return Err(too_many());
    }
    if name == COMBINED { Ok(()) } else { Err(refusal(0, "Unknown property", None)) }
}

fn streams(params: Vec<Value>) -> Result<Vec<String>, Refusal> {
    let name = |param: Value| match param {
        Value::String(name) if is_well_formed(&name) => Ok(name),
        _ => Err(refusal(2, "Invalid request: invalid stream", None)),
    };
    params.into_iter().map(name).collect()
}

/// More streams than a connection may have.
pub(super) fn too_many_streams(id: Value) -> Refusal {
    Refusal { code: 2, message: format!("Invalid request: at most {STREAMS_MAX} streams on a connection"), id: Some(id) }
}

pub(super) fn answer(result: &Value, id: &Value) -> String {
    format!("{{\"result\":{result},\"id\":{id}}}")
}

impl Refusal {
    pub(super) fn text(&self) -> String {
        let error = json!({ "code": self.code, "msg": self.message });
        match &self.id {
            Some(id) => format!("{{\"error\":{error},\"id\":{id}}}"),
            None => format!("{{\"error\":{error}}}"),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_method_is_read() {
        let cases = [
            (r#"{"method":"SUBSCRIBE","params":["btcusdt@trade"],"id":1}"#, Ask::Subscribe(vec!["btcusdt@trade".to_owned()])),
            (r#"{"method":"UNSUBSCRIBE","params":["a@b","c@d"],"id":"x-1"}"#, Ask::Unsubscribe(vec!["a@b".to_owned(), "c@d".to_owned()])),
            (r#"{"method":"LIST_SUBSCRIPTIONS","id":null}"#, Ask::List),
            (r#"{"id":-3,"params":["combined",true],"method":"SET_PROPERTY"}"#, Ask::SetCombined(true)),
            (r#"{"method":"GET_PROPERTY","params":["combined"],"id":2}"#, Ask::IsCombined),
        ];
        for (text, ask) in cases {
            assert_eq!(read(text, true).map(|request| request.ask), Ok(ask), "{text}");
        }
    }

    #[test]
    fn what_is_wrong_is_said_in_the_venues_words() {
        let cases = [
            ("", 3, "Invalid JSON: EOF while parsing a value at line 1 column 0"),
            ("hello", 3, "Invalid JSON: expected value at line 1 column 1"),
            (r#"{"id":1}"#, 2, "Invalid request: missing field `method` at line 1 column 8"),
            (r#"{"method":"PING","id":1}"#, 2, "unknown variant `PING`, expected one of `SUBSCRIBE`, `UNSUBSCRIBE`, `LIST_SUBSCRIPTIONS`"),
            (r#"{"method":"SUBSCRIBE","params":["a@b"]}"#, 2, "Invalid request: request ID must be an unsigned integer"),
            (r#"{"method":"SUBSCRIBE","params":["a@b"],"id":1.5}"#, 2, "request ID"),
            (r#"{"method":"SUBSCRIBE","params":["a@b"],"id":"x y"}"#, 2, "request ID"),
            (r#"{"method":"SUBSCRIBE","params":["a b"],"id":1}"#, 2, "Invalid request: invalid stream"),
            (r#"{"method":"SUBSCRIBE","params":[7],"id":1}"#, 2, "Invalid request: invalid stream"),
            (r#"{"method":"LIST_SUBSCRIPTIONS","params":[1],"id":1}"#, 2, "Invalid request: too many parameters"),
            (r#"{"method":"SET_PROPERTY","params":["combined","yes"],"id":1}"#, 1, "Invalid value type: expected Boolean"),
            (r#"{"method":"SET_PROPERTY","params":["other",true],"id":1}"#, 0, "Unknown property"),
            (r#"{"method":"GET_PROPERTY","params":[true],"id":1}"#, 2, "Invalid request: property name must be a string"),
        ];
        for (text, code, words) in cases {
            let refused = read(text, true).unwrap_err();
            assert!(refused.code == code && refused.message.contains(words), "{text}: {refused:?}");
        }
    }

    #[test]
    fn an_id_may_be_absent_where_it_is_not_required() {
        let request = read(r#"{"method":"LIST_SUBSCRIPTIONS"}"#, false).unwrap();
        assert_eq!(request, Request { ask: Ask::List, id: Value::Null });
        assert_eq!(read(r#"{"method":"LIST_SUBSCRIPTIONS","id":1.5}"#, false).unwrap_err().code, 2);
    }

    #[test]
    fn hostile_depth_is_refused() {
        for text in ["[".repeat(60_000), format!("{{\"method\":\"SUBSCRIBE\",\"params\":{}", "[".repeat(60_000)), "{\"id\":".repeat(9_000)]
        {
            assert!(matches!(read(&text, true).unwrap_err().code, 2 | 3));
        }
    }

    #[test]
    fn answers_are_the_venues() {
        assert_eq!(answer(&Value::Null, &json!(1)), r#"{"result":null,"id":1}"#);
        assert_eq!(answer(&json!(["a@b"]), &json!("x")), r#"{"result":["a@b"],"id":"x"}"#);
        let refused = read(r#"{"method":"SUBSCRIBE","params":[""],"id":9}"#, true).unwrap_err();
        assert_eq!(refused.text(), r#"{"error":{"code":2,"msg":"Invalid request: invalid stream"},"id":9}"#);
    }
}
