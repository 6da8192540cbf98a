//! Each documented answer, and what it says about what was asked.

use serde_json::Value;

use super::*;

fn of(product: Product, status: u16, body: &str) -> Failure {
    read::<Value>(product, Answer { status, retry_after: None, body: body.as_bytes() }).unwrap_err()
}

#[derive(Debug, PartialEq)]
enum Kind {
    Refused,
    Busy,
    RateLimited,
    ClockSkew,
    Unknown,
}

fn kind(failure: &Failure) -> Kind {
    match failure {
        Failure::Refused { .. } => Kind::Refused,
        Failure::Busy { .. } => Kind::Busy,
        Failure::RateLimited { .. } => Kind::RateLimited,
        Failure::ClockSkew { .. } => Kind::ClockSkew,
        Failure::Unknown { .. } => Kind::Unknown,
    }
}

const UNKNOWN_503: &str = r#"{"code":-1000,"msg":"Unknown error, please check your request or try again later."}"#;
const UNAVAILABLE: &str = r#"{"code":-1001,"msg":"Service Unavailable."}"#;
const INTERNAL: &str = r#"{"code":-1001,"msg":"Internal error; unable to process your request. Please try again."}"#;
const THROTTLED: &str = r#"{"code":-1008,"msg":"Request throttled by system-level protection. Reduce-only/close-position orders are exempt. Please try again."}"#;

#[test]
pub(crate) fn each_documented_answer_says_what_became_of_the_request() {
    use Product::{AsterV1, AsterV3, BinanceSpot, BinanceUsdm};
    let cases: &[(&[Product], u16, &str, Kind)] = &[
        (&[BinanceSpot, BinanceUsdm, AsterV1], 400, r#"{"code":-1013,"msg":"Filter failure: LOT_SIZE"}"#, Kind::Refused),
        (&[BinanceSpot], 400, r#"{"code":-2010,"msg":"Account has insufficient balance for requested action."}"#, Kind::Refused),
        (&[BinanceUsdm, AsterV3], 400, r#"{"code":-2019,"msg":"Margin is insufficient."}"#, Kind::Refused),
        (&[BinanceUsdm], 400, r#"{"code":-2021,"msg":"Order would immediately trigger."}"#, Kind::Refused),
        (&[BinanceSpot], 409, r#"{"code":-2021,"msg":"Order cancel-replace partially failed.","data":{}}"#, Kind::Unknown),
        (&[BinanceSpot, BinanceUsdm], 401, r#"{"code":-2015,"msg":"Invalid API-key, IP, or permissions for action."}"#, Kind::Refused),
        (&[BinanceSpot, BinanceUsdm], 400, r#"{"code":-1022,"msg":"Signature for this request is not valid."}"#, Kind::Refused),
        (
            &[BinanceSpot, BinanceUsdm],
            400,
            r#"{"code":-1021,"msg":"Timestamp for this request is outside of the recvWindow."}"#,
            Kind::ClockSkew,
        ),
        (&[BinanceUsdm], 400, r#"{"code":-5028,"msg":"Timestamp for this request is outside of the ME recvWindow."}"#, Kind::ClockSkew),
        (&[BinanceSpot, BinanceUsdm], 429, r#"{"code":-1003,"msg":"Too many requests."}"#, Kind::RateLimited),
        (&[BinanceSpot, BinanceUsdm], 429, r#"{"code":-1015,"msg":"Too many new orders."}"#, Kind::RateLimited),
        (&[BinanceSpot], 400, r#"{"code":-1015,"msg":"Too many new orders."}"#, Kind::RateLimited),
        (&[BinanceSpot, BinanceUsdm], 403, "<html>blocked</html>", Kind::RateLimited),
        (&[BinanceSpot, BinanceUsdm], 400, r#"{"code":-1006,"msg":"An unexpected response was received."}"#, Kind::Unknown),
        (&[BinanceSpot, BinanceUsdm], 408, r#"{"code":-1007,"msg":"Timeout waiting for response from backend server."}"#, Kind::Unknown),
        (&[BinanceSpot, BinanceUsdm], 500, r#"{"code":-1000,"msg":"An unknown error occurred."}"#, Kind::Unknown),
        (&[BinanceSpot, BinanceUsdm, AsterV1], 503, UNKNOWN_503, Kind::Unknown),
        (&[BinanceSpot, AsterV1, AsterV3], 503, UNAVAILABLE, Kind::Unknown),
        (&[BinanceSpot, AsterV1], 503, INTERNAL, Kind::Unknown),
        (&[BinanceSpot], 503, THROTTLED, Kind::Unknown),
        (&[BinanceUsdm], 503, UNAVAILABLE, Kind::Busy),
        (&[BinanceUsdm], 503, INTERNAL, Kind::Busy),
        (&[BinanceUsdm], 503, THROTTLED, Kind::Busy),
        (&[BinanceUsdm], 502, INTERNAL, Kind::Unknown),
        (&[BinanceSpot, BinanceUsdm], 502, "<html>bad gateway</html>", Kind::Unknown),
        (&[BinanceSpot, BinanceUsdm], 504, "", Kind::Unknown),
        (&[BinanceSpot, BinanceUsdm], 404, "<html>", Kind::Unknown),
        (&[BinanceSpot, BinanceUsdm], 302, "", Kind::Unknown),
        (&[BinanceSpot, BinanceUsdm], 200, "{", Kind::Unknown),
        (&[BinanceSpot], 400, r#"{"code":-2010,"msg":"Duplicate order sent."}"#, Kind::Unknown),
        (&[BinanceUsdm], 400, r#"{"code":-4116,"msg":"ClientOrderId is duplicated."}"#, Kind::Unknown),
        (&[BinanceUsdm], 400, r#"{"code":99999999999,"msg":"?"}"#, Kind::Unknown),
        (&[BinanceUsdm], 400, r#"{"code":"-2011","msg":"Unknown order sent."}"#, Kind::Refused),
    ];
    for (products, status, body, expected) in cases {
        for product in *products {
            let found = of(*product, *status, body);
            // 200 with "{" is read as JSON in this test too.
            assert_eq!(kind(&found), *expected, "{product} {status} {body}: {found}");
            assert_eq!(found.is_definite(), *expected != Kind::Unknown);
        }
    }
}

#[test]
fn a_refusal_with_status_200_is_one_where_something_else_was_expected() {
    let answer = Answer { status: 200, retry_after: None, body: br#"{"code":-4225,"msg":"Nonce Expired"}"# };
    let found = read::<Vec<Value>>(Product::AsterV3, answer).unwrap_err();
    assert_eq!(found, Failure::Refused { code: -4225, message: "Nonce Expired".into() });
}

#[test]
fn a_ban_says_for_how_long() {
    let body = br#"{"code":-1003,"msg":"Way too much request weight used; IP banned until 1659146400000."}"#;
    let found = failure(Product::BinanceSpot, Answer { status: 418, retry_after: Some(120), body });
    let Failure::RateLimited { retry_after, banned, .. } = found else { panic!("{found}") };
    assert_eq!((retry_after, banned), (Some(Duration::from_secs(120)), true));
}

#[test]
fn what_cannot_be_read_is_kept_up_to_a_bound() {
    let body = vec![0xff; 10_000];
    let found = read::<Value>(Product::BinanceSpot, Answer { status: 200, retry_after: None, body: &body }).unwrap_err();
    let Failure::Unknown { raw, .. } = &found else { panic!("{found}") };
    assert_eq!(raw.len(), RAW_BYTES_MAX);
}

#[test]
fn the_limits_are_read_from_the_headers_in_any_case() {
    let headers: [(&str, &[u8]); 6] = [
        ("X-MBX-USED-WEIGHT-1M", b"37"),
        ("x-mbx-order-count-10s", b" 4"),
        ("X-Mbx-Order-Count-1D", b"900"),
        ("x-mbx-order-count-1m", b"-1"),
        ("Retry-After", b"17"),
        ("content-type", b"application/json"),
    ];
    let used = Used::read(headers);
    let expected = Used { weight_1m: Some(37), orders_10s: Some(4), orders_1m: None, orders_1d: Some(900), retry_after: Some(17) };
    assert_eq!(used, expected);
}

#[test]
fn what_never_left_is_told_without_a_code_that_no_venue_has() {
    let busy = |code, message: &str| Failure::Busy { code, message: message.to_owned() };
    assert_eq!(busy(NOT_SENT, "nobody listens").to_string(), "nothing was sent: nobody listens");
    assert_eq!(busy(-1008, "Server is overloaded").to_string(), "the venue is busy: -1008 Server is overloaded");
}
