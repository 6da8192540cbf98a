//! The examples of Binance's own documents, signature by signature.

use ed25519_dalek::{Signature, Verifier as _};

use super::*;

/// Published in the documents "for illustrative purposes".
const API_KEY: &str = "vmPUZE6mv9SD5VNHk4HlWFsOr6aKE2zvsw0MuIgwCIPy6utIco14y7Ju91duEh8A";
const SECRET: &str = "NhqPtmdSJYdKjVHjA7PZj4Mge3R5YNiP1e3UZjInClVN65XAbvqqM6A7H5fATj0j";

fn documented() -> Credentials {
    Credentials::hmac(API_KEY, SECRET.into())
}

fn order(symbol: &str) -> Parameters {
    let text = [("symbol", symbol), ("side", "BUY"), ("type", "LIMIT"), ("timeInForce", "GTC"), ("quantity", "1"), ("price", "0.1")];
    text.into_iter().fold(Parameters::default(), |parameters, (name, value)| parameters.with(name, value))
}

const TIMING: Timing = Timing { at_millis: 1_499_827_319_559, window_millis: 5_000 };

/// <https://developers.binance.com/docs/binance-spot-api-docs/rest-api/endpoint-security-type>
#[test]
fn rest_queries_are_signed_as_the_documents_show_also_with_letters_beyond_ascii() {
    let query = documented().signed_query(&order("LTCBTC"), TIMING);
    assert_eq!(
        query,
        "symbol=LTCBTC&side=BUY&type=LIMIT&timeInForce=GTC&quantity=1&price=0.1&recvWindow=5000&timestamp=1499827319559\
         &signature=c8db56825ae71d6d79447849e617115f4a920fa2acdcab2b053c4b2838bd6b71"
    );
    let query = documented().signed_query(&order("１２３４５６"), TIMING);
    assert!(query.starts_with("symbol=%EF%BC%91%EF%BC%92%EF%BC%93%EF%BC%94%EF%BC%95%EF%BC%96&side=BUY"), "{query}");
    assert!(query.ends_with("&signature=e1353ec6b14d888f1164ae9af8228a3dbd508bc82eb867db8ab6046442f33ef3"), "{query}");
    let alone = documented().signed_query(&Parameters::default(), TIMING);
    assert!(alone.starts_with("recvWindow=5000&timestamp=1499827319559&signature="), "{alone}");
}

/// <https://developers.binance.com/docs/binance-spot-api-docs/websocket-api/request-security>
#[test]
fn frames_are_signed_sorted_and_raw_as_the_documents_show() {
    let frame = |symbol: &str, side: &str, quantity: &str, price: &str, window_millis| {
        let text =
            [("symbol", symbol), ("side", side), ("type", "LIMIT"), ("timeInForce", "GTC"), ("quantity", quantity), ("price", price)];
        let parameters = text.into_iter().fold(Parameters::default(), |parameters, (name, value)| parameters.with(name, value));
        documented().signed_frame(&parameters, Timing { at_millis: 1_645_423_376_532, window_millis })
    };
    let params = frame("BTCUSDT", "SELL", "0.01000000", "52000.00", 100);
    assert_eq!(params["signature"], "aa1b5712c094bc4e57c05a1a5c1fd8d88dcd628338ea863fec7b88e59fe2db24");
    assert_eq!((&params["apiKey"], &params["timestamp"]), (&API_KEY.into(), &1_645_423_376_532_i64.into()));
    let params = frame("１２３４５６", "BUY", "1.00000000", "0.10000000", 5_000);
    assert_eq!(params["signature"], "b33892ae8e687c939f4468c6268ddd4c40ac1af18ad19a064864c47bae0752cd");
}

/// The key of RFC 8410, section 10.3.
const PEM: &str =
    "-----BEGIN PRIVATE KEY-----\nMC4CAQAwBQYDK2VwBCIEINTuctv5E1hK1bbY8fdp+K06/nwoy/HU++CXqI9EdVhC\n-----END PRIVATE KEY-----\n";

#[test]
fn an_ed25519_key_signs_in_base64_that_a_query_percent_encodes() {
    let credentials = Credentials::of("k", PEM.into()).unwrap();
    let query = credentials.signed_query(&order("LTCBTC"), TIMING);
    let (payload, signature) = query.split_once("&signature=").unwrap();
    assert!(!signature.contains(['+', '/', '=']), "{signature}");
    let raw = signature.replace("%2B", "+").replace("%2F", "/").replace("%3D", "=");
    let raw: [u8; 64] = STANDARD.decode(raw).unwrap().try_into().unwrap();
    // The public key of the same section.
    let public: [u8; 32] = hex::decode("19bf44096984cdfe8541bac167dc3b96c85086aa30b6b6cb0c5c38ad703166e1").unwrap().try_into().unwrap();
    let public = ed25519_dalek::VerifyingKey::from_bytes(&public).unwrap();
    public.verify(payload.as_bytes(), &Signature::from_bytes(&raw)).unwrap();
}

#[test]
fn what_is_no_key_is_refused_and_no_secret_is_shown() {
    for pem in [
        "",
        "-----BEGIN PRIVATE KEY-----\nMC4C!\n-----END PRIVATE KEY-----",
        "-----BEGIN RSA PRIVATE KEY-----\nAA==\n-----END RSA PRIVATE KEY-----",
    ] {
        assert_eq!(Credentials::ed25519("k", &pem.into()).err(), Some(KeyError::NotPem), "{pem}");
    }
    let other = "-----BEGIN PRIVATE KEY-----\nMC4CAQAwBQYDK2VuBCIEINTuctv5E1hK1bbY8fdp+K06/nwoy/HU++CXqI9EdVhC\n-----END PRIVATE KEY-----";
    let error = Credentials::of("k", other.into()).err();
    assert_eq!(error, Some(KeyError::NotEd25519 { found: 48 }), "X25519 signs nothing");
    let shown = format!("{:?}", documented());
    assert!(!shown.contains(SECRET) && !shown.contains(API_KEY), "{shown}");
}
