//! What is no HTTP/1.1 request: its answer, its counter, its line in the log.

use super::*;

/// What is sent, the beginning of the answer, and the cause under which it is counted.
const CASES: [(&[u8], &str, &str); 20] = [
    (b"nonsense\r\n\r\n", "HTTP/1.1 400", "malformed"),
    (b"\0\0\0\0", "HTTP/1.1 400", "malformed"),
    (b"POST /webhook HTTP/9.9\r\nHost: a\r\n\r\n", "HTTP/1.1 400", "malformed"),
    (b"POST /webhook HTTP/1.1\r\nHost: a\r\nno colon\r\n\r\n", "HTTP/1.1 400", "malformed"),
    (b"POST /web hook HTTP/1.1\r\nHost: a\r\n\r\n", "HTTP/1.1 400", "malformed"),
    (
        b"POST /webhook HTTP/1.1\r\nHost: a\r\nContent-Length: 1\r\nContent-Length: 2\r\n\r\n{}",
        "HTTP/1.1 400",
        "malformed",
    ),
    (b"POST /webhook HTTP/1.1\r\nHost: a\r\nContent-Length: +2\r\n\r\n{}", "HTTP/1.1 400", "malformed"),
    (b"POST /webhook HTTP/1.1\r\nHost: a\r\nContent-Length: 2, 3\r\n\r\n{}", "HTTP/1.1 400", "malformed"),
    (b"POST /webhook HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: gzip\r\n\r\n{}", "HTTP/1.1 400", "malformed"),
    (b"POST /webhook HTTP/1.0\r\nTransfer-Encoding: chunked\r\n\r\n2\r\n{}\r\n0\r\n\r\n", "HTTP/1.1 400", "malformed"),
    (b"POST /webhook HTTP/1.1\r\nHost : a\r\n\r\n", "HTTP/1.1 400", "malformed"),
    (b"\x16\x03\x01\x02\0\x01\0\x01\xfc\x03\x03", "HTTP/1.1 400", "tls"),
    (
        b"PROXY TCP4 192.0.2.1 192.0.2.2 1 80\r\nPOST /webhook HTTP/1.1\r\nHost: a\r\n\r\n",
        "HTTP/1.1 400",
        "proxy_protocol",
    ),
    (b"PROXY UNKNOWN\r\nPOST /webhook HTTP/1.1\r\nHost: a\r\n\r\n", "HTTP/1.1 400", "proxy_protocol"),
    (b"\r\n\r\n\0\r\nQUIT\n\x21\x11\0\x0c\x7f\0\0\x01\x7f\0\0\x01\0\x01\0\x50", "HTTP/1.1 400", "proxy_protocol"),
    // It would not understand an answer.
    (b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n\0\0\0\x04\0\0\0\0\0", "", "http2"),
    (b"POST /webhook HTTP/1.1\r\nContent-Length: 2\r\n\r\n{}", "HTTP/1.1 400", "host"),
    (b"POST /webhook HTTP/1.1\r\nHost: a\r\nHost: b\r\nContent-Length: 2\r\n\r\n{}", "HTTP/1.1 400", "host"),
    (b"POST /webhook HTTP/1.0\r\nHost: a\r\nHost: a\r\nContent-Length: 2\r\n\r\n{}", "HTTP/1.0 400", "host"),
    (b"POST http://a/webhook HTTP/1.1\r\nContent-Length: 2\r\n\r\n{}", "HTTP/1.1 400", "host"),
];

#[test]
fn each_is_refused_counted_and_told() {
    for (sent, expected, cause) in CASES {
        refused(sent, expected, cause);
    }
}

#[test]
fn too_many_headers_are_refused_counted_and_told() {
    let head = |count: usize| {
        let headers: Vec<_> = (0..count).map(|number| (format!("X-{number}"), "1".to_owned())).collect();
        request("POST", "/other", &headers, b"")
    };
    // Two headers come with every request.
    refused(&head(99), "HTTP/1.1 431", "too_many_headers");
    let (status, lines) = run(async { Front::new(&config()).await.ask(&head(98)).await.status });
    assert_eq!((status, lines.len()), (404, 1));
}

#[test]
fn a_head_that_is_too_large_is_refused_counted_and_told() {
    let large = request("POST", "/webhook", &header("X-Large", &"x".repeat(40_000)), b"");
    refused(&large, "HTTP/1.1 431", "head_too_large");
    refused(&large[..35_000], "HTTP/1.1 431", "head_too_large");
}

#[test]
fn the_sender_of_a_head_that_is_too_large_reads_the_answer() {
    run(async {
        let front = Front::new(&config()).await;
        let mut peer = front.connect().await;
        peer.send(b"POST /webhook HTTP/1.1\r\nHost: a\r\nX: ").await;
        for _ in 0..64 {
            // It meets no error meanwhile, as it would if the connection were closed at once.
            peer.send(&[b'x'; 64 * 1024]).await;
        }
        assert_eq!(peer.answer().await.status, 431);
    });
}

#[track_caller]
fn refused(sent: &[u8], expected: &str, cause: &str) {
    let ((), lines) = run(async {
        let front = Front::new(&config()).await;
        let mut peer = front.connect().await;
        peer.send(sent).await;
        let rest = String::from_utf8_lossy(&peer.rest_after_half_close().await).into_owned();
        assert!(rest.starts_with(expected), "{:?}: {rest}", String::from_utf8_lossy(sent));
        assert!(!rest.contains("HTTP/1.1 200") && rest.is_empty() == expected.is_empty(), "{rest}");
        until("it is counted", || front.counted(&refused_connection(cause, 1))).await;
        assert_eq!((front.events().len(), front.refused().len()), (0, 0));
    });
    let told = format!("a connection was refused listener=\"listen\" cause=\"{cause}\" reason=");
    assert!(lines.len() == 1 && lines[0].contains(&told), "{lines:?}");
    let words = String::from_utf8_lossy(sent);
    assert!(!words.split(' ').any(|word| word.len() > 20 && lines[0].contains(word)), "{lines:?}");
}

#[test]
fn a_flood_is_counted_and_seldom_told() {
    let (refused, lines) = run(async {
        let front = Front::new(&config()).await;
        for _ in 0..50 {
            front.ask(b"nonsense\r\n\r\n").await;
        }
        let is_counted = || front.counted(&refused_connection("malformed", 50));
        until("all are counted", is_counted).await;
        front.refused().len()
    });
    assert_eq!(refused, 0);
    assert!(lines.len() < 25, "{}", lines.len());
}

#[test]
fn every_cause_is_counted_from_the_beginning() {
    run(async {
        let front = Front::new(&config()).await;
        for (_, _, cause) in CASES {
            assert!(front.counted(&refused_connection(cause, 0)), "{cause}");
        }
    });
}
