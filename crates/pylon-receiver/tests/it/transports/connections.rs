//! Which connection takes the next request: an open one that the server will answer on, or a new one.

use super::http::to;
use super::server::{Act, Server, answer, answer_and_close, answer_and_hang};
use super::*;
use pylon_receiver::internals::{Delivered, Transport};
use std::sync::Arc;
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::{TcpListener, TcpStream};

const WHOLE: &str = "HTTP/1.1 200 OK\ncontent-length: 2\n\nok";
const IDLE_END: &str = "HTTP/1.1 408 Request Time-out\ncontent-length: 0\nconnection: close\n\n";

/// A destination with room for this many attempts at a time.
fn transport_to(url: &str, timeout: Duration) -> Arc<dyn Transport> {
    transport(&destination(to(url), timeout), None).unwrap()
}

async fn deliver_by(transport: &Arc<dyn Transport>) -> Report {
    within("the attempt ends", transport.deliver(&attempt())).await
}

/// How many connections three attempts make: one that is answered well, this one, and another that is answered well.
async fn connections_around(act: Act, timeout: Duration) -> (Report, usize) {
    let server = Server::start([answer(WHOLE), act, answer(WHOLE)]).await;
    let transport = transport_to(&server.url(), timeout);
    assert_eq!(deliver_by(&transport).await.delivered, Delivered::Yes);
    let report = deliver_by(&transport).await;
    assert_eq!(deliver_by(&transport).await.delivered, Delivered::Yes);
    (report, server.connections())
}

#[tokio::test]
async fn the_connection_of_a_failed_attempt_is_not_used_again() {
    for status in [200, 201, 204] {
        let act = answer(&format!("HTTP/1.1 {status} Fine\ncontent-length: 0\n\n"));
        let (report, connections) = connections_around(act, PATIENCE).await;
        assert_eq!((report.delivered, connections), (Delivered::Yes, 1), "{status}");
    }
    for status in [302, 400, 401, 404, 408, 429, 500, 502, 503, 504] {
        let act = answer(&format!("HTTP/1.1 {status} Not\ncontent-length: 4\n\noops"));
        let (report, connections) = connections_around(act, PATIENCE).await;
        let expected = answered(status, "").delivered;
        assert_eq!((report.status, report.delivered, connections), (Some(status), expected, 2), "{status}");
    }
    for (act, timeout) in [
        (answer_and_close(""), PATIENCE),
        (answer_and_close("HTTP/1.1 200 OK\ncontent-length: 9\n\nok"), PATIENCE),
        (answer("sesame\n\n"), PATIENCE),
        // Long enough for the other attempts on a busy machine.
        (answer_and_hang(""), Duration::from_secs(2)),
    ] {
        let shown = format!("{act:?}");
        let (report, connections) = connections_around(act, timeout).await;
        assert_eq!((report.delivered == Delivered::Yes, connections), (false, 2), "{shown}");
    }
}

/// Two connections are open: one is idle while the other one gets this answer. How many there are after a third attempt.
async fn connections_beside(act: Act, timeout: Duration) -> usize {
    let server = Server::start([answer(WHOLE), answer(WHOLE), act, answer(WHOLE)]).await;
    let transport = transport_to(&server.url(), timeout);
    let attempt = attempt();
    let (first, second) = tokio::join!(transport.deliver(&attempt), transport.deliver(&attempt));
    assert_eq!((first.delivered, second.delivered, server.connections()), (Delivered::Yes, Delivered::Yes, 2));
    assert_ne!(deliver_by(&transport).await.delivered, Delivered::Yes);
    assert_eq!(deliver_by(&transport).await.delivered, Delivered::Yes);
    server.connections()
}

/// They may lead to the same place.
#[tokio::test]
async fn where_no_server_answers_idle_connections_are_given_up_too() {
    for status in [502, 503, 504] {
        let act = answer(&format!("HTTP/1.1 {status} Away\ncontent-length: 0\n\n"));
        assert_eq!(connections_beside(act, PATIENCE).await, 3, "{status}");
    }
    assert_eq!(connections_beside(answer_and_close(""), PATIENCE).await, 3);
    assert_eq!(connections_beside(answer_and_hang(""), Duration::from_secs(2)).await, 3);
    // The app itself answers.
    for status in [400, 404, 500] {
        let act = answer(&format!("HTTP/1.1 {status} No\ncontent-length: 0\n\n"));
        assert_eq!(connections_beside(act, PATIENCE).await, 2, "{status}");
    }
}

/// In a world where names move: a busy connection would never be closed as idle.
#[tokio::test]
async fn a_connection_that_is_old_is_not_used_again() {
    const STEP: Duration = Duration::from_secs(60);
    let server = Server::start((0..13).map(|_| answer(WHOLE))).await;
    let transport = transport_to(&server.url(), PATIENCE);
    let mut connections = Vec::new();
    for _ in 0..13 {
        assert_eq!(deliver_by(&transport).await.delivered, Delivered::Yes);
        connections.push(server.connections());
        tokio::time::pause();
        tokio::time::advance(STEP).await;
        tokio::time::resume();
    }
    assert_eq!(connections, [1, 1, 1, 1, 1, 2, 2, 2, 2, 2, 3, 3, 3]);
}

/// It was open, and in use, while it became too old.
#[tokio::test]
async fn a_connection_that_grew_old_in_use_is_closed() {
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let transport = transport_to(&format!("http://{}/", listener.local_addr().unwrap()), Duration::from_secs(1_000));
    let serve = async {
        let (mut stream, _) = listener.accept().await.unwrap();
        assert_ne!(stream.read(&mut [0; 4096]).await.unwrap(), 0);
        tokio::time::pause();
        tokio::time::advance(Duration::from_secs(400)).await;
        tokio::time::resume();
        stream.write_all(WHOLE.replace('\n', "\r\n").as_bytes()).await.unwrap();
        within("it is closed", stream.read(&mut [0])).await.unwrap()
    };
    let attempt = attempt();
    let (report, read) = tokio::join!(transport.deliver(&attempt), serve);
    assert_eq!((report.delivered, read), (Delivered::Yes, 0));
}

/// Proxies end an idle connection with an answer to no request (RFC 9110, section 15.5.9).
#[tokio::test]
async fn the_408_of_an_idle_connection_is_no_answer() {
    let delivered = Report::delivered(Some(200), "answered 200");
    let failed = Report::refused(Code::Http(408), Some(408), "answered 408");
    // What the server says to the second request, on the connection of the first; the reports; how many connections there are.
    let cases = [
        (vec![answer(WHOLE), answer_and_close(IDLE_END), answer(WHOLE)], delivered.clone(), 2),
        // It is repeated once.
        (vec![answer(WHOLE), answer_and_close(IDLE_END), answer_and_close(IDLE_END)], failed.clone(), 2),
        // An app that keeps the connection has read the request.
        (vec![answer(WHOLE), answer("HTTP/1.1 408 Late\ncontent-length: 0\n\n")], failed.clone(), 1),
    ];
    for (acts, expected, connections) in cases {
        let server = Server::start(acts).await;
        let transport = transport_to(&server.url(), PATIENCE);
        assert_eq!(deliver_by(&transport).await, delivered);
        assert_eq!(deliver_by(&transport).await, expected);
        assert_eq!(server.connections(), connections);
    }
    // A new connection was not idle.
    let server = Server::start([answer_and_close(IDLE_END)]).await;
    assert_eq!(deliver_by(&transport_to(&server.url(), PATIENCE)).await, failed);
}

/// What was in the socket before the request was written is not taken for its answer.
#[tokio::test]
async fn what_an_idle_connection_says_unasked_costs_no_attempt() {
    for unasked in [IDLE_END, "HTTP/1.1 500 Oops\ncontent-length: 0\n\n", "sesame", "\n\n"] {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let transport = transport_to(&format!("http://{}/", listener.local_addr().unwrap()), PATIENCE);
        let serve = async || -> TcpStream {
            let (mut stream, _) = listener.accept().await.unwrap();
            assert_ne!(stream.read(&mut [0; 4096]).await.unwrap(), 0);
            stream.write_all(WHOLE.replace('\n', "\r\n").as_bytes()).await.unwrap();
            stream
        };
        let (first, mut stream) = tokio::join!(deliver_by(&transport), serve());
        assert_eq!(first.delivered, Delivered::Yes);
        stream.write_all(unasked.replace('\n', "\r\n").as_bytes()).await.unwrap();
        // The runtime takes in what has come.
        tokio::task::yield_now().await;
        let (second, _new) = within("it is answered", async { tokio::join!(deliver_by(&transport), serve()) }).await;
        assert_eq!(second.delivered, Delivered::Yes, "{unasked:?}");
        let mut rest = Vec::new();
        let _ = within("the connection ends", stream.read_to_end(&mut rest)).await;
        assert_eq!(rest, b"", "nothing was sent there");
    }
}
