//! One connection against a server that is written by hand: whole answers in pieces, connections that end at every bad moment.

#![allow(clippy::disallowed_methods, reason = "a test's server is nobody's child and has the machine's time")]

use tokio::net::TcpListener;

use super::super::network::exchange;
use super::*;

/// Answers each request that ends with an empty line with the next of `answers`, then closes.
async fn served(answers: &'static [&'static str]) -> Origin {
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let origin = Origin::parse(&format!("http://{}", listener.local_addr().unwrap())).unwrap();
    tokio::spawn(async move {
        let (mut socket, _) = listener.accept().await.unwrap();
        for answer in answers {
            let mut seen = Vec::new();
            while !seen.ends_with(b"\r\n\r\n") {
                if socket.read_buf(&mut seen).await.unwrap() == 0 {
                    return;
                }
            }
            // In pieces, so that nobody relies on getting it whole.
            for piece in answer.as_bytes().chunks(7) {
                socket.write_all(piece).await.unwrap();
                socket.flush().await.unwrap();
                tokio::task::yield_now().await;
            }
        }
    });
    origin
}

const ASK: &[u8] = b"GET / HTTP/1.1\r\n\r\n";

#[tokio::test]
async fn answers_of_every_shape_are_read_and_the_connection_is_kept() {
    let origin = served(&[
        "HTTP/1.1 200 OK\r\nContent-Length: 2\r\nX-MBX-USED-WEIGHT-1m: 17\r\n\r\n{}",
        "HTTP/1.1 429 Too Many Requests\r\nretry-after: 7\r\ntransfer-encoding: chunked\r\n\r\n4\r\n{\"a\"\r\n3;x=y\r\n:1}\r\n0\r\n\r\n",
        "HTTP/1.1 200 OK\r\nConnection: close\r\ncontent-length: 1\r\n\r\n1",
    ])
    .await;
    let mut lane = Lane::open(&origin).await.unwrap();
    let reply = exchange(&mut lane, ASK).await.unwrap();
    assert_eq!((reply.status, reply.used.weight_1m, reply.body.as_slice()), (200, Some(17), &b"{}"[..]));
    assert!(lane.is_usable());
    let reply = exchange(&mut lane, ASK).await.unwrap();
    assert_eq!((reply.status, reply.used.retry_after, reply.body.as_slice()), (429, Some(7), &b"{\"a\":1}"[..]));
    assert_eq!(exchange(&mut lane, ASK).await.unwrap().body, b"1");
    assert!(!lane.is_usable(), "the venue said that it closes");
}

#[tokio::test]
async fn an_answer_that_breaks_off_is_lost_and_no_server_is_not_sent() {
    let origin = served(&["HTTP/1.1 200 OK\r\nContent-Length: 20\r\n\r\n{}"]).await;
    let mut lane = Lane::open(&origin).await.unwrap();
    assert!(matches!(exchange(&mut lane, ASK).await, Err(LaneError::Lost(_))));
    assert!(!lane.is_usable());
    let nobody = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let origin = Origin::parse(&format!("http://{}", nobody.local_addr().unwrap())).unwrap();
    drop(nobody);
    assert!(matches!(Lane::open(&origin).await, Err(LaneError::NotSent(_))));
}

#[tokio::test]
async fn a_kept_connection_that_the_server_has_closed_is_not_used_for_an_order() {
    let origin = served(&["HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\n{}"]).await;
    let mut lane = Lane::open(&origin).await.unwrap();
    exchange(&mut lane, ASK).await.unwrap();
    while lane.is_usable() {
        tokio::task::yield_now().await;
    }
}

#[test]
fn nonsense_is_no_answer() {
    for bad in ["", "HTTP/2 200 OK\r\n\r\n", "HTTP/1.1 OK\r\n\r\n", "SSH-2.0-x\r\n\r\n", "HTTP/1.1 200 OK\r\nContent-Length: -1\r\n\r\n"] {
        assert!(Head::read(bad.as_bytes()).is_err(), "{bad:?}");
    }
    let head = Head::read(b"HTTP/1.0 200 OK\r\n\r\n").unwrap();
    assert_eq!((head.body, head.keep), (Body::ToTheEnd, false));
    for bad in ["", "fapi.binance.com", "ws://x", "http://"] {
        assert!(Origin::parse(bad).is_err(), "{bad:?}");
    }
    assert_eq!(Origin::parse("https://fapi.binance.com").unwrap().authority(), "fapi.binance.com");
    assert_eq!(Origin::parse("http://[::1]:80/").unwrap().authority(), "[::1]");
}
