//! The API over a real socket.

use super::fake::{Admin, event_id};
use axum::Extension;
use hyper_util::rt::TokioIo;
use hyper_util::service::TowerToHyperService;
use pylon_receiver::internals::{Access, ORDER_LIMIT};
use std::net::SocketAddr;
use std::time::Duration;
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::{TcpListener, TcpStream};

/// A test that takes longer waits for what does not come.
const LONGEST: Duration = Duration::from_secs(20);

/// Serves on a free port until the test ends.
async fn serve(admin: &Admin) -> SocketAddr {
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let address = listener.local_addr().unwrap();
    let router = admin.router.clone();
    tokio::spawn(async move {
        loop {
            let (stream, remote) = listener.accept().await.unwrap();
            let service = TowerToHyperService::new(router.clone().layer(Extension(remote)));
            // A client that hangs up is an error here, and none of the test's.
            tokio::spawn(async move {
                hyper::server::conn::http1::Builder::new().serve_connection(TokioIo::new(stream), service).await.ok();
            });
        }
    });
    address
}

async fn exchange(address: SocketAddr, request: &str) -> String {
    let mut stream = TcpStream::connect(address).await.unwrap();
    stream.write_all(request.as_bytes()).await.unwrap();
    let mut answer = String::new();
    tokio::time::timeout(LONGEST, stream.read_to_string(&mut answer)).await.unwrap().unwrap();
    answer
}

fn post(path: &str, body: &str) -> String {
    format!(
        "POST {path} HTTP/1.1\r\nhost: localhost\r\nconnection: close\r\ncontent-type: application/json\r\ncontent-length: {}\r\n\r\n{body}",
        body.len()
    )
}

#[tokio::test]
async fn it_answers_over_http() {
    let admin = Admin::new(Access::Loopback).with_events(3);
    let address = serve(&admin).await;
    let get = |path: &str, host: &str| format!("GET {path} HTTP/1.1\r\nhost: {host}\r\nconnection: close\r\n\r\n");
    let own = address.to_string();
    let live = exchange(address, &get("/livez", &own)).await;
    assert!(live.starts_with("HTTP/1.1 200 OK\r\n") && live.ends_with("\r\n\r\n{\"status\":\"live\"}"), "{live}");
    let list = exchange(address, &get("/api/events?limit=1", "localhost")).await;
    assert!(list.contains(&event_id(1).to_string()), "{list}");
    let rebound = exchange(address, &get("/api/events", "evil.example")).await;
    assert!(rebound.starts_with("HTTP/1.1 403 Forbidden\r\n"), "{rebound}");
    let nameless = exchange(address, "GET /livez HTTP/1.0\r\n\r\n").await;
    assert!(nameless.starts_with("HTTP/1.0 403 Forbidden\r\n"), "{nameless}");
    let absolute = "GET http://evil.example/livez HTTP/1.1\r\nhost: localhost\r\nconnection: close\r\n\r\n";
    let absolute = exchange(address, absolute).await;
    assert!(absolute.starts_with("HTTP/1.1 403 Forbidden\r\n"), "{absolute}");
    let redelivered = exchange(address, &post("/api/events/redeliver", "{\"all\":true}")).await;
    let result = "{\"matched\":3,\"redelivered\":3,\"order\":1,\"state\":\"done\"}";
    assert!(redelivered.ends_with(result), "{redelivered}");
}

#[tokio::test]
async fn a_body_that_is_longer_than_the_limit_is_refused_before_it_has_come_in() {
    let admin = Admin::new(Access::Loopback);
    let address = serve(&admin).await;
    let request = "POST /api/dead/drop HTTP/1.1\r\nhost: localhost\r\nconnection: close\r\ncontent-type: application/json\r\ncontent-length: 99999999\r\n\r\n{";
    let answer = exchange(address, request).await;
    assert!(answer.starts_with("HTTP/1.1 413 Payload Too Large\r\n"), "{answer}");
    assert!(answer.contains("\"error\":\"too_large\""), "{answer}");
}

#[tokio::test]
async fn a_body_that_does_not_tell_its_length_is_read_no_further_than_the_limit() {
    let admin = Admin::new(Access::Loopback);
    let address = serve(&admin).await;
    let head = "POST /api/dead/drop HTTP/1.1\r\nhost: localhost\r\nconnection: close\r\ncontent-type: application/json\r\ntransfer-encoding: chunked\r\n\r\n";
    // The chunk goes on, and what goes on is not waited for.
    let request = format!("{head}fffffff\r\n{}", " ".repeat(ORDER_LIMIT + 1));
    let answer = exchange(address, &request).await;
    assert!(answer.starts_with("HTTP/1.1 413 Payload Too Large\r\n"), "{answer}");
}

#[tokio::test(start_paused = true)]
async fn a_body_that_does_not_end_is_refused_in_time() {
    let admin = Admin::new(Access::Loopback).with_events(3);
    let address = serve(&admin).await;
    let head = "POST /api/events/redeliver HTTP/1.1\r\nhost: localhost\r\ncontent-type: application/json\r\n";
    for rest in ["content-length: 12\r\n\r\n{\"all\":true", "transfer-encoding: chunked\r\n\r\n1\r\n{\r\n"] {
        let answer = exchange(address, &format!("{head}{rest}")).await;
        assert!(answer.starts_with("HTTP/1.1 408 Request Timeout\r\n"), "{answer}");
        let body = "{\"error\":\"timeout\",\"message\":\"slow body: expected its end within 15 s, found none\"}";
        assert!(answer.ends_with(body), "{answer}");
    }
    assert!(admin.ledger.orders.lock().unwrap().is_empty());
}

#[tokio::test]
async fn an_order_is_carried_out_although_whoever_gave_it_hangs_up() {
    let admin = Admin::new(Access::Loopback).with_events(1201);
    let address = serve(&admin).await;
    let mut stream = TcpStream::connect(address).await.unwrap();
    stream.write_all(post("/api/events/redeliver", "{\"all\":true}").as_bytes()).await.unwrap();
    drop(stream);
    let is_done = async {
        while admin.ledger.redelivered.lock().unwrap().len() < 1201 {
            tokio::task::yield_now().await;
        }
    };
    tokio::time::timeout(LONGEST, is_done).await.unwrap();
}
