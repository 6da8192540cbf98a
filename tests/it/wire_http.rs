//! The exchange's HTTP door as a client meets it: signatures in every form, the venue's error for each mistake, limits with
//! their headers, and whatever else may come in.

use ringfence::exchange::wire::{Permissions, Product};

use crate::support::exchange::{Deviations, Wired, ed25519, hmac, key};

const ORDER: &str = "symbol=BTCUSDT&side=BUY&type=LIMIT&timeInForce=GTC&quantity=0.010&price=30000.0";

#[tokio::test]
async fn a_request_may_be_signed_in_the_query_in_the_body_or_across_both() {
    let wired = Wired::start(Product::USDM).await;
    let client = wired.client("a");
    let now = wired.now();
    let payload = format!("{ORDER}&timestamp={now}&recvWindow=10000");
    let signature = hmac(&client.key.secret, &payload);
    let queried = client.raw("POST", &format!("/fapi/v1/order?{payload}&signature={signature}"), "").await;
    assert_eq!((queried.status, queried.body["status"].as_str()), (200, Some("NEW")), "{}", queried.body);
    let posted = client.raw("POST", "/fapi/v1/order", &format!("{payload}&signature={signature}")).await;
    assert_eq!(posted.status, 200, "{}", posted.body);
    let first = client.raw("POST", "/fapi/v1/order", &format!("signature={}&{payload}", signature.to_uppercase())).await;
    assert_eq!(first.status, 200, "{}", first.body);
    let (query, body) = payload.split_once("&side").unwrap();
    let signature = hmac(&client.key.secret, &format!("{query}side{body}"));
    let mixed = client.raw("POST", &format!("/fapi/v1/order?{query}"), &format!("side{body}&signature={signature}")).await;
    assert_eq!(mixed.status, 200, "{}", mixed.body);
    let open = client.signed("GET", "/fapi/v1/openOrders", "symbol=BTCUSDT", now).await;
    assert_eq!(open.body.as_array().map(Vec::len), Some(4), "{}", open.body);
    wired.stop().await;
}

#[tokio::test]
async fn an_ed25519_key_signs_http_requests_too() {
    let wired = Wired::start(Product::USDM).await;
    let client = wired.client("e");
    let payload = format!("{ORDER}&timestamp={}", wired.now());
    let signature: String = form_urlencoded::byte_serialize(ed25519(&payload).as_bytes()).collect();
    let placed = client.raw("POST", &format!("/fapi/v1/order?{payload}&signature={signature}"), "").await;
    assert_eq!(placed.status, 200, "{}", placed.body);
    let refused = client.raw("POST", &format!("/fapi/v1/order?{payload}&signature=AAAA"), "").await;
    assert_eq!((refused.status, refused.code()), (400, -1022));
    wired.stop().await;
}

#[tokio::test]
async fn each_mistake_of_a_signed_request_has_the_venues_error() {
    let bound = Permissions { addresses: vec!["10.0.0.1".parse().unwrap()], ..Permissions::default() };
    let reader = Permissions { futures: false, ..Permissions::default() };
    let keys = vec![key("bound").with_permissions(bound), key("reader").with_permissions(reader)];
    let wired = Wired::start_with(Product::USDM, Deviations { keys, no_limits: false }).await;
    let client = wired.client("a");
    let now = wired.now();
    let told = async |query: &str| {
        let signature = hmac(&client.key.secret, query);
        let told = client.raw("GET", &format!("/fapi/v3/balance?{query}&signature={signature}"), "").await;
        (told.status, told.code(), told.body["msg"].as_str().unwrap_or_default().to_owned())
    };
    let skewed = "Timestamp for this request is outside of the recvWindow.".to_owned();
    let ahead = "Timestamp for this request was 1000ms ahead of the server's time.".to_owned();
    assert_eq!(told(&format!("timestamp={}", now - 60_000)).await, (400, -1021, skewed));
    assert_eq!(told(&format!("timestamp={}", now + 5_000)).await, (400, -1021, ahead));
    assert_eq!(told(&format!("timestamp={}&recvWindow=60000", now - 50_000)).await.0, 200);
    assert_eq!(told(&format!("timestamp={now}&recvWindow=60001")).await.1, -1131);
    assert_eq!(told("recvWindow=5000").await.1, -1102);
    assert_eq!(told("timestamp=now").await.1, -1100);
    assert_eq!(told("timestamp=").await.1, -1105);
    let unsigned = client.raw("GET", &format!("/fapi/v3/balance?timestamp={now}"), "").await;
    assert_eq!((unsigned.status, unsigned.code()), (400, -1102));
    let wrong = client.raw("GET", &format!("/fapi/v3/balance?timestamp={now}&signature={}", "0".repeat(64)), "").await;
    assert_eq!((wrong.status, wrong.code()), (400, -1022));
    for (name, path, verb, code) in [
        ("nobody", "/fapi/v3/balance", "GET", -2015),
        ("bound", "/fapi/v3/balance", "GET", -2015),
        ("reader", "/fapi/v3/balance", "GET", 0),
        ("reader", "/fapi/v1/order", "POST", -2015),
    ] {
        let told = wired.client(name).signed(verb, path, "", now).await;
        assert_eq!((told.code(), told.status), (code, if code == 0 { 200 } else { 401 }), "{name} {path}: {}", told.body);
    }
    let mut short = wired.client("a");
    short.key.api_key = "short".to_owned();
    let told = short.signed("GET", "/fapi/v3/balance", "", now).await;
    assert_eq!((told.status, told.code()), (401, -2014));
    wired.stop().await;
}

#[tokio::test]
async fn answers_carry_weights_and_order_counts_and_limits_end_in_429_and_418() {
    let wired = Wired::start(Product::USDM).await;
    let client = wired.client("a");
    let first = client.raw("GET", "/fapi/v1/ping", "").await;
    assert_eq!((first.status, first.header("x-mbx-used-weight-1m")), (200, Some("1")));
    let placed = client.signed("POST", "/fapi/v1/order", ORDER, wired.now()).await;
    assert_eq!((placed.header("x-mbx-order-count-10s"), placed.header("x-mbx-order-count-1m")), (Some("1"), Some("1")), "{}", placed.body);
    let refused = client.signed("POST", "/fapi/v1/order", &ORDER.replace("0.010", "0.0101"), wired.now()).await;
    assert_eq!(refused.header("x-mbx-order-count-10s"), Some("1"), "a refused order does not count: {}", refused.body);
    // Each costs 40.
    let mut statuses = Vec::new();
    while statuses.last() != Some(&418) && statuses.len() < 200 {
        let told = client.raw("GET", "/fapi/v1/ticker/24hr", "").await;
        if told.status >= 418 {
            let wait: u64 = told.header("retry-after").unwrap().parse().unwrap();
            assert!(told.code() == -1003 && wait >= 1, "{}", told.body);
        }
        statuses.push(told.status);
    }
    assert!(statuses.contains(&429) && statuses.last() == Some(&418), "{statuses:?}");
    wired.stop().await;
}

#[tokio::test]
async fn an_account_may_place_so_many_orders_in_an_interval() {
    let wired = Wired::start(Product::USDM).await;
    let client = wired.client("a");
    // Three hundred in ten seconds; the first interval may end early, the second one cannot.
    let mut refused = None;
    for number in 0..620 {
        if number % 150 == 149 {
            client.signed("DELETE", "/fapi/v1/allOpenOrders", "symbol=BTCUSDT", wired.now()).await;
        }
        let told = client.signed("POST", "/fapi/v1/order", ORDER, wired.now()).await;
        if told.status == 429 {
            refused = Some(told);
            break;
        }
    }
    let told = refused.expect("an account that places orders without end is refused");
    assert_eq!((told.code(), told.header("retry-after").is_some()), (-1015, true), "{}", told.body);
    assert_eq!(wired.client("b").signed("POST", "/fapi/v1/order", ORDER, wired.now()).await.status, 200);
    wired.stop().await;
}

#[tokio::test]
async fn whatever_comes_in_the_answer_is_the_venues() {
    let wired = Wired::start(Product::SPOT).await;
    let client = wired.client("a");
    let told = async |verb: &str, path: &str, body: &str| {
        let told = client.raw(verb, path, body).await;
        (told.status, told.code())
    };
    assert_eq!(told("GET", "/api/v3/nothing", "").await, (404, -5000));
    assert_eq!(told("GET", "/fapi/v1/depth?symbol=BTCUSDT", "").await, (404, -5000), "each product has a server of its own");
    assert_eq!(told("POST", "/api/v3/time", "").await, (405, -5000));
    assert_eq!(told("PATCH", "/api/v3/time", "").await, (405, -5000));
    assert_eq!(told("GET", "/api/v3/time?strange=1", "").await, (400, -1101));
    assert_eq!(told("GET", "/api/v3/depth?symbol=NOPE", "").await, (400, -1121));
    assert_eq!(told("GET", "/api/v3/depth?symbol=%ff", "").await, (400, -1100));
    assert_eq!(told("GET", "/api/v3/depth?symbol=BTCUSDT&symbol=BTCUSDT", "").await, (400, -1101));
    assert_eq!(told("GET", "/api/v3/time", &"x".repeat(100_000)).await, (413, -1101));
    let many: String = (0..100).map(|index| format!("p{index}=1&")).collect();
    assert_eq!(told("GET", "/api/v3/time", &many).await, (400, -1101));
    assert_eq!(told("GET", "/ws-api/v3", "").await, (400, -1000));
    assert_eq!(told("GET", "/api/v3/depth?symbol=btcusdt", "").await, (400, -1100));
    wired.stop().await;
}

#[tokio::test]
async fn usdm_forgives_small_letters_in_a_symbol() {
    let wired = Wired::start(Product::USDM).await;
    for path in ["/fapi/v1/depth", "/fapi/v1/premiumIndex", "/fapi/v1/ticker/bookTicker"] {
        let told = wired.client("a").raw("GET", &format!("{path}?symbol=btcusdt"), "").await;
        assert_eq!(told.status, 200, "{path}: {}", told.body);
    }
    wired.stop().await;
}

#[tokio::test]
async fn no_socket_outlives_a_server_that_is_dropped() {
    let mut wired = Wired::start(Product::USDM).await;
    let mut sockets = Vec::new();
    for address in [format!("{}/public/ws/btcusdt@bookTicker", wired.ws), format!("{}/private/ws", wired.ws), wired.ws_api.clone()] {
        sockets.push(crate::support::exchange::Socket::open(&address).await);
    }
    wired.kill().await;
    for mut socket in sockets {
        while socket.next().await.is_some() {}
    }
}

#[tokio::test]
async fn half_a_request_and_nonsense_leave_the_exchange_standing() {
    use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
    let wired = Wired::start(Product::SPOT).await;
    let address = wired.rest.strip_prefix("http://").unwrap();
    for bytes in
        [&b"\x00\xff\x13\x37nonsense\r\n\r\n"[..], b"GET / HTTP/9.9\r\n\r\n", b"POST /api/v3/order HTTP/1.1\r\ncontent-length: 9\r\n\r\nab"]
    {
        let mut stream = tokio::net::TcpStream::connect(address).await.unwrap();
        stream.write_all(bytes).await.unwrap();
        stream.shutdown().await.unwrap();
        let mut answer = Vec::new();
        // Whether it answers or hangs up is its matter.
        let _ = stream.read_to_end(&mut answer).await;
    }
    assert_eq!(wired.client("a").raw("GET", "/api/v3/ping", "").await.status, 200);
    // Half a chunk is no large body.
    let mut stream = tokio::net::TcpStream::connect(address).await.unwrap();
    stream.write_all(b"POST /api/v3/order HTTP/1.1\r\nhost: x\r\ntransfer-encoding: chunked\r\n\r\nZZ\r\n").await.unwrap();
    let mut answer = vec![0; 512];
    let length = stream.read(&mut answer).await.unwrap();
    let answer = String::from_utf8_lossy(&answer[..length]).into_owned();
    assert!(answer.starts_with("HTTP/1.1 400 ") && answer.contains("{\"code\":-1100,"), "{answer}");
    wired.stop().await;
}
