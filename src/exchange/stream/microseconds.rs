//! Texts in microseconds: the venue's milliseconds with three zeros more, wherever a time stands. It reads the texts that this
//! exchange writes, not any JSON.

/// What a time is called in an answer.
const ANSWER_KEYS: [&str; 6] = ["serverTime", "time", "T", "openTime", "closeTime", "timestamp"];
/// The same in an event; `t` is a time in a kline, and a trade's id elsewhere.
const EVENT_KEYS: [&str; 4] = ["E", "T", "O", "C"];
/// A time in milliseconds has so many digits, from 2001 to 2286.
const DIGITS: usize = 13;

/// Where a number stands.
#[derive(Debug, Clone, Copy)]
struct Place<'t> {
    /// The newest text in quotes: of a number that has one, its name.
    key: &'t str,
    /// The name of the object that it is in, where that has one.
    object: &'t str,
    /// Which member of its array.
    column: usize,
}

/// Rewrites each time of an answer: the values of the keys above, and the first and seventh column of klines.
pub(super) fn answer(text: &str) -> String {
    let is_rows = text.starts_with("[[");
    rewrite(text, |place| if is_rows { matches!(place.column, 0 | 6) } else { ANSWER_KEYS.contains(&place.key) })
}

/// Rewrites each time of a stream's event, wrapped or not.
pub(super) fn event(text: &str) -> String {
    rewrite(text, |place| EVENT_KEYS.contains(&place.key) || (place.key == "t" && place.object == "k"))
}

fn rewrite(text: &str, is_time: impl Fn(Place<'_>) -> bool) -> String {
    let mut out = String::with_capacity(text.len() + text.len() / 8);
    let (mut rest, mut place) = (text, Place { key: "", object: "", column: 0 });
    while let Some(c) = rest.chars().next() {
        let length = match c {
            '"' => rest[1..].find('"').map_or(rest.len(), |end| end + 2),
            _ if c.is_ascii_digit() => rest.find(|c: char| !c.is_ascii_digit()).unwrap_or(rest.len()),
            _ => c.len_utf8(),
        };
        let token = &rest[..length];
        out.push_str(token);
        match c {
            '"' => place.key = token.trim_matches('"'),
            '{' => place.object = place.key,
            '}' => place.object = "",
            '[' => place.column = 0,
            ',' => place.column += 1,
            _ if token.len() == DIGITS && c.is_ascii_digit() && is_time(place) => out.push_str("000"),
            _ => {}
        }
        rest = &rest[length..];
    }
    out
}

#[cfg(test)]
mod tests {
    use super::{answer, event};

    #[test]
    fn times_of_answers_and_nothing_else_are_told_in_microseconds() {
        let cases = [
            (r#"{"serverTime":1499827319559}"#, r#"{"serverTime":1499827319559000}"#),
            (r#"[{"id":5123107839020,"time":1499865549590,"qty":"1"}]"#, r#"[{"id":5123107839020,"time":1499865549590000,"qty":"1"}]"#),
            (r#"{"lastUpdateId":5123107839020,"bids":[["4.0","431"]]}"#, r#"{"lastUpdateId":5123107839020,"bids":[["4.0","431"]]}"#),
            (
                r#"[[1499040000000,"0.1","0.8","0.1","0.1","148976",1499644799999,"2434",308,"1","2","0"]]"#,
                r#"[[1499040000000000,"0.1","0.8","0.1","0.1","148976",1499644799999000,"2434",308,"1","2","0"]]"#,
            ),
        ];
        for (text, expected) in cases {
            assert_eq!(answer(text), expected);
        }
    }

    #[test]
    fn times_of_events_and_nothing_else_are_told_in_microseconds() {
        let cases = [
            (
                r#"{"stream":"btcusdt@trade","data":{"e":"trade","E":1672515782136,"s":"BTCUSDT","t":5123107839020,"p":"0.001","T":1672515782136,"m":true}}"#,
                r#"{"stream":"btcusdt@trade","data":{"e":"trade","E":1672515782136000,"s":"BTCUSDT","t":5123107839020,"p":"0.001","T":1672515782136000,"m":true}}"#,
            ),
            (
                r#"{"e":"kline","E":1672515782136,"k":{"t":1672515780000,"T":1672515839999,"f":5123107839020,"L":5123107839020}}"#,
                r#"{"e":"kline","E":1672515782136000,"k":{"t":1672515780000000,"T":1672515839999000,"f":5123107839020,"L":5123107839020}}"#,
            ),
            (
                r#"[{"e":"24hrTicker","E":1672515782136,"O":1672429382136,"C":1672515782136,"F":5123107839020}]"#,
                r#"[{"e":"24hrTicker","E":1672515782136000,"O":1672429382136000,"C":1672515782136000,"F":5123107839020}]"#,
            ),
            (r#"{"result":null,"id":1672515782136}"#, r#"{"result":null,"id":1672515782136}"#),
        ];
        for (text, expected) in cases {
            assert_eq!(event(text), expected);
        }
    }
}
