//! Answers as the world makes them, byte for byte, over TCP and over TLS, and what each means for the event.

use super::http::to;
use super::secure::Authority;
use super::*;
use pylon_receiver::internals::Delivered;
use rustix::net::sockopt::set_socket_linger;
use tokio::io::{AsyncRead, AsyncReadExt, AsyncWrite, AsyncWriteExt};
use tokio::net::TcpListener;

/// What the server does once it has answered.
#[derive(Debug, Clone, Copy, PartialEq)]
enum Then {
    /// It says nothing more.
    Wait,
    /// It closes the connection, as TLS is closed in order.
    Close,
    /// It closes the connection below TLS, without `close_notify`.
    Cut,
    /// It resets the connection.
    Reset,
}
use Then::*;

const ENDS: [Then; 3] = [Close, Cut, Reset];

/// How much of the request the server reads before it answers.
#[derive(Debug, Clone, Copy, PartialEq)]
enum After {
    /// All of it.
    Request,
    /// The beginning of a body that is larger than what sockets hold.
    Head,
}

struct Case {
    after: After,
    /// Each line ends with CRLF; each character is a byte.
    answer: String,
    then: Then,
    expected: Expected,
}

#[derive(Debug, Clone, PartialEq)]
enum Expected {
    Delivered(u16),
    Failed(u16, String),
    Unanswered(&'static str),
}
use Expected::*;

fn case(answer: impl Into<String>, then: Then, expected: Expected) -> Case {
    Case { after: After::Request, answer: answer.into(), then, expected }
}

fn broke_off(detail: &str) -> Expected {
    Failed(200, format!("the answer broke off after {detail} bytes"))
}

/// However the connection ends: a 2xx is a success, unless its body ended before it was whole.
fn at_the_end(then: Then) -> Vec<Case> {
    let delivered = [
        (200, "HTTP/1.1 200 OK\n\nno length"),
        (200, "HTTP/1.1 200 OK\n\n"),
        (200, "HTTP/1.1 200 OK\nconnection: close\n\nno length"),
        (200, "HTTP/1.1 200 OK\ntransfer-encoding: gzip\n\nno length"),
        (200, "HTTP/1.0 200 OK\n\nno length"),
        (200, "HTTP/1.0 200 OK\ncontent-length: 2\n\nok"),
        (200, "HTTP/1.1 200 OK\ncontent-length: 2\n\nok"),
        (200, "HTTP/1.1 200 OK\ncontent-length: 2\n\nok and more"),
        (204, "HTTP/1.1 204 No Content\n\n"),
        (200, "HTTP/1.1 200 OK\ntransfer-encoding: chunked\n\n2\nok\n0\n\n"),
        (200, "HTTP/1.1 200 OK\ntransfer-encoding: chunked\n\n2\nok\n0\nx-trailer: 1\n\n"),
        // Nonsense is not an end that came too early.
        (200, "HTTP/1.1 200 OK\ntransfer-encoding: chunked\n\n2\nok\nsesame\n"),
        (200, "HTTP/1.1 200 OK\ntransfer-encoding: chunked\n\nno chunks"),
    ];
    let delivered = delivered.map(|(status, answer)| case(answer, then, Delivered(status)));
    let others = [
        case("HTTP/1.1 200 OK\ncontent-length: 3\n\nok", then, broke_off("2 of 3")),
        case("HTTP/1.1 200 OK\ncontent-length: 3\n\n", then, broke_off("0 of 3")),
        case("HTTP/1.1 200 OK\ntransfer-encoding: chunked\n\n2\nok\n", then, broke_off("2")),
        case("HTTP/1.1 200 OK\ntransfer-encoding: chunked\n\n5\nok", then, broke_off("2")),
        case("HTTP/1.1 200 OK\ntransfer-encoding: chunked\n\n", then, broke_off("0")),
        case("HTTP/1.1 500 Oops\n\nno length", then, Failed(500, "answered 500".into())),
        case("HTTP/1.1 302 Found\nlocation: /\n\n", then, Failed(302, "answered 302, which is not followed".into())),
    ];
    delivered.into_iter().chain(others).collect()
}

/// Heads that break a rule, or that few servers send.
fn heads() -> Vec<Case> {
    let many = |count: usize| (0..count).map(|number| format!("x-{number}: 1\n")).collect::<String>();
    let long = |length: usize| format!("x-long: {}\n", "x".repeat(length));
    let with = |headers: &str| format!("HTTP/1.1 200 OK\n{headers}content-length: 0\n\n");
    let delivered = [
        with(&many(120)),
        with(&many(499)),
        with(&long(200_000)),
        with("x-folded: one\n two\n\tthree\n"),
        with("x-space : 1\n"),
        with("no colon\n"),
        with("bad name: 1\nx-\u{fc}: 1\n: 1\n"),
        with("x-raw: \u{fc}\u{1}\n"),
        with("content-length: 0\n"),
        with("retry-after: soon\nset-cookie: a=b\nset-cookie: c=d\n"),
        "HTTP/1.1 200\ncontent-length: 0\n\n".into(),
        "HTTP/1.1 200 \ncontent-length: 0\n\n".into(),
        "HTTP/1.1 200 Gr\u{fc}n\ncontent-length: 0\n\n".into(),
        "HTTP/1.0 200 OK\nconnection: keep-alive\ncontent-length: 0\n\n".into(),
        format!("\n\n{}", with("")),
        format!("HTTP/1.1 100 Continue\n\nHTTP/1.1 103 Early Hints\nlink: </a>\n\n{}", with("")),
        format!("{}HTTP/1.1 408 Request Timeout\ncontent-length: 0\n\n", with("")),
    ];
    let too_large = || Unanswered("the answer has more than 500 headers, or more than 256 KiB of them");
    let not_http = || Unanswered("the answer is not HTTP");
    let others = [
        case("HTTP/1.1 204 No Content\ncontent-length: 2\n\nok", Wait, Delivered(204)),
        case(with(&many(501)), Wait, too_large()),
        case(with(&many(5_000)), Wait, too_large()),
        case(with(&long(1_000_000)), Wait, too_large()),
        case(with("content-length: 1\n"), Wait, not_http()),
        case("HTTP/1.1 20 OK\n\n", Wait, not_http()),
        case("\u{15}\u{3}\u{3}\u{0}\u{2}\u{2}\u{46}", Wait, not_http()),
        case(
            format!("HTTP/1.1 200 OK\n{}", many(10)),
            Close,
            Unanswered("the connection was closed without an answer"),
        ),
    ];
    delivered.map(|answer| case(answer, Wait, Delivered(200))).into_iter().chain(others).collect()
}

/// The server answers without reading the body.
fn early(then: Then) -> Vec<Case> {
    let cases = [
        case("HTTP/1.1 200 OK\ncontent-length: 0\n\n", then, Delivered(200)),
        case("HTTP/1.1 200 OK\ncontent-length: 2\n\nok", then, Delivered(200)),
        case("HTTP/1.1 200 OK\ntransfer-encoding: chunked\n\n2\nok\n0\n\n", then, Delivered(200)),
        case("HTTP/1.1 413 Large\ncontent-length: 2\n\nok", then, Failed(413, "answered 413".into())),
    ];
    cases.map(|case| Case { after: After::Head, ..case }).into()
}

async fn serve<S: AsyncRead + AsyncWrite + Unpin>(mut stream: S, case: &Case) {
    let mut request = Vec::new();
    let is_enough = |request: &[u8]| match case.after {
        After::Request => request.ends_with(BODY.as_bytes()),
        After::Head => request.len() > 1_000,
    };
    while !is_enough(&request) {
        assert_ne!(stream.read_buf(&mut request).await.unwrap(), 0);
    }
    let bytes: Vec<u8> = case.answer.replace('\n', "\r\n").chars().map(|byte| u8::try_from(byte).unwrap()).collect();
    stream.write_all(&bytes).await.unwrap();
    stream.flush().await.unwrap();
    match case.then {
        Wait => drop(stream.read(&mut [0; 1024]).await),
        Close => drop(stream.shutdown().await),
        Cut | Reset => {}
    }
}

async fn report(case: &Case, authority: Option<&Authority>) -> Report {
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let address = listener.local_addr().unwrap();
    let serving = async {
        let (stream, _) = listener.accept().await.unwrap();
        stream.set_nodelay(true).unwrap();
        if case.then == Reset {
            set_socket_linger(&stream, Some(Duration::ZERO)).unwrap();
        }
        match authority {
            None => serve(stream, case).await,
            Some(authority) => serve(authority.server().accept(stream).await.unwrap(), case).await,
        }
    };
    let to = authority.map_or_else(|| to(&format!("http://{address}/")), |authority| authority.to(address));
    let body = if case.after == After::Head { vec![b'x'; 16 << 20].into() } else { BODY.into() };
    let attempt = Attempt { body, ..attempt() };
    tokio::join!(deliver(to, PATIENCE, &attempt), within("the server ends", serving)).0
}

fn code_of(detail: &str) -> Code {
    if detail.starts_with("the connection") { Code::CLOSED } else { Code::NOT_HTTP }
}

#[tokio::test]
async fn an_answer_counts_by_its_status_however_it_ends() {
    let authority = Authority::new();
    let cases = ENDS.into_iter().flat_map(at_the_end).chain(heads());
    let cases = cases.chain([Wait].into_iter().chain(ENDS).flat_map(early));
    for case in cases {
        let expected = match case.expected.clone() {
            Delivered(status) => Report::delivered(Some(status.into()), format!("answered {status}")),
            Failed(status, detail) => answered(status.into(), &detail),
            Unanswered(detail) => Report::failed(code_of(detail), None, detail),
        };
        for authority in [None, Some(&authority)] {
            let shown: String = case.answer.chars().take(200).collect();
            let way = if authority.is_some() { "TLS" } else { "TCP" };
            // How much of the answer comes is another matter.
            let report = report(&case, authority).await.with_answer(None);
            assert_eq!(report, expected, "{way}, {:?}, {:?}: {shown:?}", case.after, case.then);
        }
    }
}

/// A byte a second, for ever.
#[tokio::test]
async fn a_body_without_a_length_need_not_end() {
    for head in ["HTTP/1.1 200 OK\r\n\r\n", "HTTP/1.1 200 OK\r\ntransfer-encoding: chunked\r\n\r\n"] {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let to = to(&format!("http://{}/", listener.local_addr().unwrap()));
        let dripping = async {
            let (mut stream, _) = listener.accept().await.unwrap();
            let _ = stream.read(&mut [0; 4096]).await.unwrap();
            stream.write_all(head.as_bytes()).await.unwrap();
            // The clock jumps to the next timer whenever nothing else is left to do.
            tokio::time::pause();
            loop {
                tokio::time::sleep(Duration::from_secs(1)).await;
                let _ = stream.write_all(b"1\r\n.\r\n").await;
            }
        };
        let attempt = attempt();
        let began = tokio::time::Instant::now();
        let report = tokio::select! {
            report = deliver(to, Duration::from_secs(1000), &attempt) => report,
            () = dripping => unreachable!("it drips for ever"),
        };
        assert_eq!(report.delivered, Delivered::Yes, "{report:?}");
        assert!(began.elapsed() < Duration::from_secs(15), "{:?}", began.elapsed());
        tokio::time::resume();
    }
}

/// The time of the whole attempt is up before that.
#[tokio::test]
async fn a_short_time_out_does_not_undo_a_success_without_a_length() {
    for (head, expected) in [
        ("HTTP/1.1 200 OK\n\nwaiting", Delivered::Yes),
        ("HTTP/1.1 200 OK\ntransfer-encoding: chunked\n\n2\nok\n", Delivered::Yes),
        ("HTTP/1.1 200 OK\ncontent-length: 9\n\nwaiting", Delivered::Refused),
    ] {
        let server = super::server::Server::start([super::server::answer_and_hang(head)]).await;
        // Long enough for the head to come in on a busy machine.
        let report = deliver(to(&server.url()), Duration::from_secs(2), &attempt()).await;
        assert_eq!((report.delivered, report.status), (expected, Some(200)), "{head}");
    }
}
