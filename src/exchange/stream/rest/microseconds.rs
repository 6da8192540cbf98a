//! Answers in microseconds: the venue's milliseconds with three zeros more, wherever a time stands.

/// What a time is called.
const KEYS: [&str; 6] = ["serverTime", "time", "T", "openTime", "closeTime", "timestamp"];
/// A time in milliseconds has so many digits, from 2001 to 2286.
const DIGITS: usize = 13;

/// Rewrites each time of an answer: the values of the keys above, and the first and seventh column of klines.
pub(super) fn rewrite(text: &str) -> String {
    let is_rows = text.starts_with("[[");
    let mut out = String::with_capacity(text.len() + text.len() / 8);
    let (mut rest, mut column) = (text, 0);
    // Whatever comes next, and how it was introduced.
    let mut key = "";
    while let Some(c) = rest.chars().next() {
        let length = match c {
            '"' => rest[1..].find('"').map_or(rest.len(), |end| end + 2),
            _ if c.is_ascii_digit() => rest.find(|c: char| !c.is_ascii_digit()).unwrap_or(rest.len()),
            _ => c.len_utf8(),
        };
        let token = &rest[..length];
        out.push_str(token);
        match c {
            '"' => key = token.trim_matches('"'),
            '[' => column = 0,
            ',' => column += 1,
            _ if token.len() == DIGITS && c.is_ascii_digit() => {
                let is_time = if is_rows { matches!(column, 0 | 6) } else { KEYS.contains(&key) };
                out.push_str(if is_time { "000" } else { "" });
            }
            _ => {}
        }
        rest = &rest[length..];
    }
    out
}

#[cfg(test)]
mod tests {
    use super::rewrite;

    #[test]
    fn times_and_nothing_else_are_told_in_microseconds() {
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
            assert_eq!(rewrite(text), expected);
        }
    }
}
