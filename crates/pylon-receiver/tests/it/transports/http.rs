use super::server::{Act, Server, answer, answer_and_close, answer_and_hang};
use super::*;
use pylon_receiver::config::{HttpTransport, SecretFault, SecretSource, Signing};
use pylon_receiver::internals::{Delivered, TransportFault};
use pylon_receiver::ledger::AttemptAnswer;
use pylon_receiver::text::show_duration;
use std::ops::RangeInclusive;
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::{TcpListener, TcpStream};

const WHOLE: &str = "HTTP/1.1 200 OK\ncontent-length: 2\n\nok";

pub(super) fn to(url: &str) -> TransportConfig {
    TransportConfig::Http(HttpTransport::new(url.parse().unwrap()))
}

fn to_with(url: &str, pairs: &[(&'static str, &str)]) -> TransportConfig {
    let headers =
        pairs.iter().map(|(name, value)| (HeaderName::from_static(name), SecretSource::given(value))).collect();
    TransportConfig::Http(HttpTransport::new(url.parse().unwrap()).headers(headers))
}

fn said(text: &str) -> Option<AttemptAnswer> {
    Some(AttemptAnswer::beginning(None, text.as_bytes(), false))
}

fn failed_after(code: Code, status: i32, detail: &str, seconds: u64) -> Report {
    Report { retry_after: Some(Duration::from_secs(seconds)), ..Report::refused(code, Some(status), detail) }
}

#[tokio::test]
async fn what_a_destination_answers_decides() {
    let delivered = |status| Report::delivered(Some(status), format!("answered {status}"));
    let long = format!("HTTP/1.1 200 OK\ncontent-length: 1000000\n\n{}", "x".repeat(70_000));
    let cases: Vec<(Act, Report)> = vec![
        (answer(WHOLE), delivered(200)),
        (answer("HTTP/1.1 201 Created\ncontent-length: 0\n\n"), delivered(201)),
        (answer("HTTP/1.1 202 Accepted\ntransfer-encoding: chunked\n\n2\nok\n0\n\n"), delivered(202)),
        (answer("HTTP/1.1 204 No Content\n\n"), delivered(204)),
        (answer("HTTP/1.1 299 Whatever\ncontent-length: 0\n\n"), delivered(299)),
        (answer_and_close("HTTP/1.1 200 OK\n\nno length, so the end is the end"), delivered(200)),
        (answer_and_close("HTTP/1.0 200 OK\n\nok"), delivered(200)),
        (answer(&format!("HTTP/1.1 100 Continue\n\n{WHOLE}")), delivered(200)),
        (
            answer(&format!("HTTP/1.1 102 Processing\n\nHTTP/1.1 103 Early Hints\nlink: </a>\n\n{WHOLE}")),
            delivered(200),
        ),
        // Of a long answer the beginning is enough, whatever follows.
        (answer_and_hang(&long), delivered(200)),
        (answer_and_close(&long), delivered(200)),
        (
            answer("HTTP/1.1 101 Switching Protocols\nupgrade: x\nconnection: upgrade\n\n"),
            answered(101, "answered 101"),
        ),
        (
            answer("HTTP/1.1 301 Moved\nlocation: http://127.0.0.1:1/\ncontent-length: 0\n\n"),
            answered(301, "answered 301, which is not followed"),
        ),
        (
            answer("HTTP/1.1 302 Found\nlocation: /elsewhere\ncontent-length: 0\n\n"),
            answered(302, "answered 302, which is not followed"),
        ),
        (
            answer("HTTP/1.1 307 Temporary\nlocation: /elsewhere\ncontent-length: 0\n\n"),
            answered(307, "answered 307, which is not followed"),
        ),
        (answer("HTTP/1.1 304 Not Modified\n\n"), answered(304, "answered 304, which is not followed")),
        (answer("HTTP/1.1 400 Bad Request\ncontent-length: 0\n\n"), answered(400, "answered 400")),
        (
            answer("HTTP/1.1 404 Not Found\ncontent-length: 6\n\nsesame"),
            answered(404, "answered 404").with_answer(said("sesame")),
        ),
        (answer("HTTP/1.1 500 Oops\ncontent-length: 0\n\n"), answered(500, "answered 500")),
        (answer_and_hang("HTTP/1.1 500 Oops\ncontent-length: 100\n\n"), answered(500, "answered 500")),
        (answer("HTTP/1.1 501 No\ncontent-length: 0\n\n"), answered(501, "answered 501")),
        (answer("HTTP/1.1 505 No\ncontent-length: 0\n\n"), answered(505, "answered 505")),
        (answer("HTTP/1.1 431 Much\ncontent-length: 0\n\n"), answered(431, "answered 431")),
        (answer("HTTP/1.1 430 What\ncontent-length: 0\n\n"), answered(430, "answered 430")),
        // It is up, and asks for fewer.
        (answer("HTTP/1.1 429 Slow\ncontent-length: 0\n\n"), Report::busy(Code::Http(429), Some(429), "answered 429")),
        // Something in front of it says that it is down.
        (answer("HTTP/1.1 502 Bad\ncontent-length: 0\n\n"), Report::failed(Code::Http(502), Some(502), "answered 502")),
        (
            answer("HTTP/1.1 503 Away\ncontent-length: 0\n\n"),
            Report::failed(Code::Http(503), Some(503), "answered 503"),
        ),
        (
            answer("HTTP/1.1 504 Late\ncontent-length: 0\n\n"),
            Report::failed(Code::Http(504), Some(504), "answered 504"),
        ),
        (answer("HTTP/1.1 999 What\ncontent-length: 0\n\n"), answered(999, "answered 999")),
        // Half a body.
        (
            answer_and_close("HTTP/1.1 200 OK\ncontent-length: 100\n\n0123456789"),
            answered(200, "the answer broke off after 10 of 100 bytes"),
        ),
        (
            answer_and_close("HTTP/1.1 200 OK\ncontent-length: 100\n\n"),
            answered(200, "the answer broke off after 0 of 100 bytes"),
        ),
        (
            answer_and_close("HTTP/1.1 200 OK\ntransfer-encoding: chunked\n\n2\nok\n"),
            answered(200, "the answer broke off after 2 bytes"),
        ),
        // No answer at all.
        (answer_and_close(""), Report::failed(Code::CLOSED, None, "the connection was closed without an answer")),
        (
            answer_and_close("HTTP/1.1 200 O"),
            Report::failed(Code::CLOSED, None, "the connection was closed without an answer"),
        ),
        (answer_and_close("sesame, open\n\n"), Report::failed(Code::NOT_HTTP, None, "the answer is not HTTP")),
        (answer_and_close("HTTP/1.1 2000 OK\n\n"), Report::failed(Code::NOT_HTTP, None, "the answer is not HTTP")),
        (
            answer_and_close("HTTP/1.1 200 OK\ncontent-length: -1\n\n"),
            Report::failed(Code::NOT_HTTP, None, "the answer is not HTTP"),
        ),
    ];
    for (act, expected) in cases {
        let server = Server::start([act.clone()]).await;
        let shown = String::from_utf8_lossy(match &act {
            Act::Answer(bytes) | Act::AnswerAndClose(bytes) | Act::AnswerAndHang(bytes) => {
                &bytes[..bytes.len().min(200)]
            }
        })
        .into_owned();
        assert_eq!(deliver(to(&server.url()), PATIENCE, &attempt()).await, expected, "{shown}");
    }
}

#[tokio::test]
async fn what_hangs_ends_with_the_time() {
    let no_answer = Report::failed(Code::TIMEOUT, None, format!("no answer within {}", show_duration(BRIEF)));
    for begun in ["", "HTTP/1.1 200 OK\n", "HTTP/1.1 102 Processing\n\n"] {
        let server = Server::start([answer_and_hang(begun)]).await;
        assert_eq!(deliver(to(&server.url()), BRIEF, &attempt()).await, no_answer, "{begun}");
    }
    // Long enough for the beginning to come in on a busy machine.
    let timeout = Duration::from_secs(2);
    let server =
        Server::start([answer_and_hang("HTTP/1.1 200 OK\nretry-after: 7\ncontent-length: 100\n\n0123456789")]).await;
    let detail = format!("answered 200, but not to the end within {}", show_duration(timeout));
    assert_eq!(deliver(to(&server.url()), timeout, &attempt()).await, failed_after(Code::TIMEOUT, 200, &detail, 7));
}

#[tokio::test]
async fn where_nobody_answers_the_report_says_why() {
    let listener = std::net::TcpListener::bind("127.0.0.1:0").unwrap();
    let nobody = listener.local_addr().unwrap();
    drop(listener);
    let server = Server::start([]).await;
    let unresolvable = format!("http://{}.invalid/?token=sesame", "a".repeat(64));
    let cases = [
        (format!("http://{nobody}/"), Code::REFUSED, "connection refused"),
        (unresolvable, Code::DNS, "the name does not resolve"),
        ("/hook".to_owned(), Code::MISSING, "expected an address with http:// or https:// in front, found another one"),
        (
            "ftp://127.0.0.1/hook".to_owned(),
            Code::MISSING,
            "expected an address with http:// or https:// in front, found another one",
        ),
        (
            "https://a..b/hook".to_owned(),
            Code::MISSING,
            "expected a DNS name or an IP address behind https://, found another host",
        ),
    ];
    for (url, code, detail) in cases {
        assert_eq!(deliver(to(&url), PATIENCE, &attempt()).await, Report::failed(code, None, detail), "{url}");
    }
    assert_eq!(server.connections(), 0);
}

/// It speaks no TLS, and shows that by its first bytes.
#[tokio::test]
async fn a_failure_of_tls_is_told_as_one() {
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let url = format!("https://{}/", listener.local_addr().unwrap());
    let _server = tokio::spawn(async move {
        let (mut stream, _) = listener.accept().await.unwrap();
        let _ = stream.read(&mut [0; 1024]).await;
        stream.write_all(b"HTTP/1.1 400 Bad Request\r\n\r\n").await.unwrap();
        let _ = stream.read(&mut [0; 1024]).await;
    });
    let report = deliver(to(&url), PATIENCE, &attempt()).await;
    let details =
        ["TLS failed: the server does not speak TLS; use http://", "TLS failed: the system has no root certificates"];
    assert!(details.contains(&&*report.detail), "{report:?}");
    assert_eq!((report.delivered, report.status, report.code), (Delivered::No, None, Code::TLS));
}

#[tokio::test]
async fn a_destination_that_asks_for_a_pause_is_heard() {
    let started_at = attempt().started_at;
    assert_eq!(started_at.to_string(), "2023-11-14T22:14:20Z");
    let cases = [
        ("429 Slow", "120", Some(120)),
        ("503 Away", "0", Some(0)),
        ("503 Away", " 7 ", Some(7)),
        ("500 Oops", "7", Some(7)),
        ("302 Found", "7", Some(7)),
        ("429 Slow", "Tue, 14 Nov 2023 22:15:20 GMT", Some(60)),
        ("429 Slow", "Tue, 14 Nov 2023 22:10:00 GMT", Some(0)),
        ("429 Slow", "99999999999999999999999999", Some(u64::MAX)),
        ("429 Slow", "", None),
        ("429 Slow", "-7", None),
        ("429 Slow", "+7", None),
        ("429 Slow", "7.5", None),
        ("429 Slow", "soon", None),
        ("429 Slow", "Someday, 14 Nov 2023 22:15:20 GMT", None),
        ("429 Slow", "\u{e9}", None),
    ];
    for (status, value, seconds) in cases {
        let server =
            Server::start([answer(&format!("HTTP/1.1 {status}\nretry-after: {value}\ncontent-length: 0\n\n"))]).await;
        let report = deliver(to(&server.url()), PATIENCE, &attempt()).await;
        assert_eq!(report.retry_after, seconds.map(Duration::from_secs), "{status} {value}");
    }
    let server = Server::start([answer("HTTP/1.1 200 OK\nretry-after: 7\ncontent-length: 0\n\n")]).await;
    assert_eq!(deliver(to(&server.url()), PATIENCE, &attempt()).await.retry_after, None, "it arrived");
    let server = Server::start([answer_and_close("HTTP/1.1 200 OK\nretry-after: 7\ncontent-length: 9\n\n")]).await;
    let expected = failed_after(Code::CUT_OFF, 200, "the answer broke off after 0 of 9 bytes", 7);
    assert_eq!(deliver(to(&server.url()), PATIENCE, &attempt()).await, expected);
}

#[tokio::test]
async fn the_raw_body_and_the_original_headers_go_out() {
    let mut server = Server::start([answer(WHOLE)]).await;
    let pairs = [
        ("content-type", "application/json; charset=utf-8"),
        ("x-pylon-signature", "0123"),
        ("x-pylon-timestamp", "1700000000"),
        ("user-agent", "Pylon/1.0"),
        ("x-many", "one"),
        ("x-many", "two"),
        ("x-empty", ""),
        ("x-umlaut", "\u{fc}"),
    ];
    let body: Vec<u8> = (0..=255).collect();
    let sent = Attempt { headers: headers(&pairs), body: body.clone().into(), ..attempt() };
    assert_eq!(deliver(to(&server.url()), PATIENCE, &sent).await, Report::delivered(Some(200), "answered 200"));
    let request = server.request().await;
    assert_eq!(request.line, "POST /hook?token=sesame HTTP/1.1");
    assert_eq!(request.body, body);
    for (name, values) in [
        ("content-type", vec!["application/json; charset=utf-8"]),
        ("x-pylon-signature", vec!["0123"]),
        ("x-pylon-timestamp", vec!["1700000000"]),
        ("user-agent", vec!["Pylon/1.0"]),
        ("x-many", vec!["one", "two"]),
        ("x-empty", vec![""]),
        // Its two bytes of UTF-8, each read as one character.
        ("x-umlaut", vec!["\u{c3}\u{bc}"]),
        ("content-length", vec!["256"]),
        ("transfer-encoding", vec![]),
        ("host", vec![&*server.address.to_string()]),
        ("x-receiver-event-id", vec![EVENT]),
        ("x-receiver-attempt", vec!["3"]),
        ("x-receiver-name", vec!["Issue.New"]),
        ("x-receiver-kind", vec!["issue_new"]),
        ("x-receiver-endpoint", vec!["webhook"]),
        ("x-receiver-redelivery-of", vec![]),
    ] {
        assert_eq!(request.all(name), values, "{name}");
    }
}

#[tokio::test]
async fn a_redelivery_says_what_it_repeats_and_an_empty_body_is_one() {
    let mut server = Server::start([answer(WHOLE)]).await;
    let sent = Attempt { redelivery_of: Some(1), body: "".into(), ..attempt() };
    deliver(to(&server.url()), PATIENCE, &sent).await;
    let request = server.request().await;
    assert_eq!(request.all("x-receiver-redelivery-of"), [format!("{EVENT}.1")]);
    assert_eq!(request.all("content-length"), ["0"]);
}

#[tokio::test]
async fn headers_of_the_connection_and_forged_ones_stay_behind() {
    let mut server = Server::start([answer(WHOLE)]).await;
    let hostile = [
        ("connection", "keep-alive, X-Secret-Hop"),
        ("connection", ", ,\u{e9}, x-other-hop"),
        ("keep-alive", "timeout=5"),
        ("te", "trailers"),
        ("trailer", "x-end"),
        ("transfer-encoding", "chunked"),
        ("upgrade", "h2c"),
        ("proxy-authorization", "Basic abc"),
        ("proxy-connection", "keep-alive"),
        ("host", "pylon.example"),
        ("content-length", "3"),
        ("expect", "100-continue"),
        ("x-secret-hop", "1"),
        ("x-other-hop", "1"),
        ("x-receiver-event-id", "018bcfe5-6800-7707-8707-000000000000"),
        ("x-receiver-attempt", "1"),
        ("x-receiver-redelivery-of", "forged"),
        ("x-receiver-anything", "forged"),
        ("x-kept", "kept"),
    ];
    let sent = Attempt { headers: headers(&hostile), ..attempt() };
    deliver(to(&server.url()), PATIENCE, &sent).await;
    let request = server.request().await;
    for name in [
        "connection",
        "keep-alive",
        "te",
        "trailer",
        "transfer-encoding",
        "upgrade",
        "proxy-authorization",
        "proxy-connection",
        "expect",
        "x-secret-hop",
        "x-other-hop",
        "x-receiver-redelivery-of",
        "x-receiver-anything",
    ] {
        assert_eq!(request.all(name), [""; 0], "{name}");
    }
    assert_eq!(request.all("host"), [server.address.to_string()]);
    assert_eq!(request.all("content-length"), [BODY.len().to_string()]);
    assert_eq!(request.all("x-receiver-event-id"), [EVENT]);
    assert_eq!(request.all("x-receiver-attempt"), ["3"]);
    assert_eq!(request.all("x-kept"), ["kept"]);
}

/// A sender that knows one signed body can send it again with any of these.
#[tokio::test]
async fn headers_that_are_not_true_of_the_delivery_stay_behind() {
    const UNTRUE: [&str; 34] = [
        "content-encoding",
        "content-transfer-encoding",
        "content-range",
        "content-md5",
        "content-digest",
        "repr-digest",
        "digest",
        "want-content-digest",
        "accept-encoding",
        "accept-language",
        "accept-charset",
        "range",
        "if",
        "if-match",
        "if-none-match",
        "if-modified-since",
        "if-unmodified-since",
        "if-range",
        "early-data",
        "expect",
        "te",
        "upgrade",
        "http2-settings",
        "origin",
        "sec-fetch-site",
        "sec-websocket-key",
        "x-http-method-override",
        "x-http-method",
        "x-method-override",
        "x-original-url",
        "x-rewrite-url",
        "proxy-anything",
        "x-receiver-anything",
        "x-receiver-name",
    ];
    const TRUE: [&str; 10] = [
        "content-type",
        "content-language",
        "x-pylon-signature",
        "authorization",
        "cookie",
        "user-agent",
        "x-forwarded-for",
        "x-request-id",
        "x-receiver-dropped-headers",
        "x_team",
    ];
    let mut server = Server::start([answer(WHOLE)]).await;
    let pairs: Vec<_> =
        UNTRUE.iter().chain(&TRUE).map(|&name| (name, "sent")).chain([("accept", "text/x-sent")]).collect();
    let sent = Attempt { headers: headers(&pairs), name: "".into(), ..attempt() };
    deliver(to(&server.url()), PATIENCE, &sent).await;
    let request = server.request().await;
    let found = |names: &[&'static str]| -> Vec<&'static str> {
        names.iter().copied().filter(|name| request.all(name).contains(&"sent")).collect()
    };
    assert_eq!(found(&UNTRUE), [""; 0]);
    assert_eq!(found(&TRUE), TRUE);
    assert_eq!(request.all("accept"), ["*/*"]);
}

/// CGI and WSGI servers read both as one header.
#[tokio::test]
async fn a_name_that_passes_for_a_configured_one_stays_behind() {
    let mut server = Server::start([answer(WHOLE), answer(WHOLE)]).await;
    let pairs = [
        ("x_app-token", "forged"),
        ("x.app.token", "forged"),
        ("x-app-token", "forged"),
        ("x-under-score", "forged"),
        ("webhook_id", "sent"),
        ("x_app-tokens", "sent"),
    ];
    let sent = Attempt { headers: headers(&pairs), ..attempt() };
    let configured = [("x-app-token", "ours"), ("x_under_score", "ours"), ("if-match", "ours"), ("accept", "ours")];
    let TransportConfig::Http(to) = to_with(&server.url(), &configured) else { unreachable!("it is HTTP") };
    deliver(TransportConfig::Http(to.clone()), PATIENCE, &sent).await;
    let request = server.request().await;
    assert!(request.headers.iter().all(|(_, value)| value != "forged"), "{:?}", request.headers);
    for (name, _) in configured {
        assert_eq!(request.all(name), ["ours"], "{name}");
    }
    assert_eq!((request.all("webhook_id"), request.all("x_app-tokens")), (vec!["sent"], vec!["sent"]));
    // The headers of a signature are configured as well.
    let secret = SecretSource::given("whsec_c2VzYW1lLCBvcGVu");
    deliver(TransportConfig::Http(to.signing(Signing::StandardWebhooks(secret))), PATIENCE, &sent).await;
    let request = server.request().await;
    assert_eq!(request.all("webhook_id"), [""; 0]);
    assert_eq!(request.all("webhook-id"), [EVENT]);
}

/// As a ledger might hold them that somebody else wrote to.
#[tokio::test]
async fn stored_headers_of_no_valid_form_are_left_out() {
    let mut server = Server::start([answer(WHOLE)]).await;
    let stored = Headers::from_stored(&b"x-cr: a\rx-forged: 1\nbad name: 1\nno colon\nx-nul: a\0b\nx-kept: kept\n"[..]);
    deliver(to(&server.url()), PATIENCE, &Attempt { headers: stored, ..attempt() }).await;
    let request = server.request().await;
    for name in ["x-cr", "x-forged", "bad name", "no colon", "x-nul"] {
        assert_eq!(request.all(name), [""; 0], "{name}");
    }
    assert_eq!(request.all("x-kept"), ["kept"]);
}

#[tokio::test]
async fn a_name_that_no_header_can_hold_is_left_out() {
    let (longest, longer) = ("k".repeat(256), "k".repeat(257));
    let cases: [(&str, &[&str]); 12] = [
        ("ticket.created", &["ticket.created"]),
        ("a b", &["a b"]),
        (&longest, &[&longest]),
        (&longer, &[]),
        ("", &[]),
        (" padded", &[]),
        ("padded ", &[]),
        ("a\r\nx-forged: 1", &[]),
        ("a\nb", &[]),
        ("a\tb", &[]),
        ("a\0b", &[]),
        ("gr\u{fc}n", &[]),
    ];
    for (name, expected) in cases {
        let mut server = Server::start([answer(WHOLE)]).await;
        let sent = Attempt { name: name.into(), kind: None, endpoint: name.into(), ..attempt() };
        assert_eq!(deliver(to(&server.url()), PATIENCE, &sent).await.delivered, Delivered::Yes, "{name:?}");
        let request = server.request().await;
        assert_eq!(request.all("x-receiver-name"), expected, "{name:?}");
        assert_eq!(request.all("x-receiver-endpoint"), expected, "{name:?}");
        for missing in ["x-receiver-kind", "x-forged"] {
            assert_eq!(request.all(missing), [""; 0], "{name:?}");
        }
    }
}

#[tokio::test]
async fn the_query_is_passed_on_behind_the_configured_one_if_the_configuration_says_so() {
    // Passed on or not, the configured URL's path and query, the original query, what arrives.
    let cases = [
        (true, "/hook?token=sesame", Some("tenant=7&x"), "/hook?token=sesame&tenant=7&x"),
        (true, "/hook", Some("tenant=7"), "/hook?tenant=7"),
        (true, "/hook?", Some("tenant=7"), "/hook?tenant=7"),
        (true, "/hook?token=sesame", Some("token=forged"), "/hook?token=sesame&token=forged"),
        (true, "/hook", Some("a=%20%zz+b&\u{fc}"), "/hook?a=%20%zz+b&%C3%BC"),
        (true, "/hook", Some("a=1 HTTP/1.1\r\nx-forged: 1#b"), "/hook?a=1%20HTTP/1.1x-forged:%201%23b"),
        (true, "/hook", Some(""), "/hook"),
        (true, "/hook", None, "/hook"),
        (false, "/hook?token=sesame", Some("tenant=7"), "/hook?token=sesame"),
    ];
    for (is_passed_on, path, query, expected) in cases {
        let mut server = Server::start([answer(WHOLE)]).await;
        let url = format!("http://{}{path}", server.address).parse().unwrap();
        let transport = TransportConfig::Http(HttpTransport::new(url).query(is_passed_on));
        let sent = Attempt { query: query.map(Into::into), ..attempt() };
        assert_eq!(deliver(transport, PATIENCE, &sent).await.delivered, Delivered::Yes, "{path} {query:?}");
        assert_eq!(server.request().await.line, format!("POST {expected} HTTP/1.1"), "{path} {query:?}");
    }
}

#[tokio::test]
async fn configured_headers_stand_in_the_place_of_others() {
    let mut server = Server::start([answer(WHOLE)]).await;
    let configured = [
        ("authorization", "Bearer abc"),
        ("x-many", "first"),
        ("x-many", "second"),
        ("x-receiver-kind", "mine"),
        ("host", "app.internal"),
        ("content-length", "1"),
        ("transfer-encoding", "chunked"),
    ];
    let came = [("authorization", "Bearer theirs"), ("x-many", "theirs")];
    let sent = Attempt { headers: headers(&came), ..attempt() };
    let report = deliver(to_with(&server.url(), &configured), PATIENCE, &sent).await;
    assert_eq!(report.delivered, Delivered::Yes);
    let request = server.request().await;
    assert_eq!(request.all("authorization"), ["Bearer abc"]);
    assert_eq!(request.all("x-many"), ["first", "second"]);
    assert_eq!(request.all("x-receiver-kind"), ["mine"]);
    assert_eq!(request.all("host"), ["app.internal"]);
    assert_eq!(request.all("content-length"), [BODY.len().to_string()]);
    assert_eq!(request.all("transfer-encoding"), [""; 0]);
}

#[test]
fn secrets_are_read_when_the_transport_is_made() {
    let name = "PYLON_RECEIVER_TEST_NEVER_SET";
    let header = (HeaderName::from_static("authorization"), SecretSource::Environment(name.into()));
    let url = "http://127.0.0.1/".parse().unwrap();
    let missing = TransportConfig::Http(HttpTransport::new(url).headers(vec![header]));
    let malformed = to_with("http://127.0.0.1/", &[("authorization", "Bearer\nsesame")]);
    let expected = "the value of a header, without line ends and other control characters";
    for (config, fault) in [(missing, SecretFault::NotSet(name.into())), (malformed, SecretFault::Malformed(expected))]
    {
        assert_eq!(transport(&destination(config, PATIENCE), None).err(), Some(TransportFault::Secret(fault)));
    }
}

/// Answers one request on a new connection.
async fn serve_once(listener: &TcpListener) -> TcpStream {
    let (mut stream, _) = listener.accept().await.unwrap();
    assert_ne!(stream.read(&mut [0; 1024]).await.unwrap(), 0);
    stream.write_all(&WHOLE.replace('\n', "\r\n").into_bytes()).await.unwrap();
    stream
}

/// More connections than tokio lets a task read from in one go.
#[tokio::test]
async fn idle_connections_that_the_server_has_closed_cost_no_attempt() {
    const MANY: usize = 200;
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let mut there = destination(to(&format!("http://{}/", listener.local_addr().unwrap())), PATIENCE);
    there.concurrency = MANY;
    let transport = transport(&there, None).unwrap();
    let attempt = attempt();
    let serve = async {
        let mut streams = Vec::new();
        for _ in 0..MANY {
            let (mut stream, _) = listener.accept().await.unwrap();
            assert_ne!(stream.read(&mut [0; 1024]).await.unwrap(), 0);
            streams.push(stream);
        }
        for stream in &mut streams {
            stream.write_all(&WHOLE.replace('\n', "\r\n").into_bytes()).await.unwrap();
        }
        streams
    };
    let deliver = futures_util::future::join_all((0..MANY).map(|_| transport.deliver(&attempt)));
    let (reports, streams) = within("all are answered", async { tokio::join!(deliver, serve) }).await;
    let delivered = Report::delivered(Some(200), "answered 200");
    assert!(reports.iter().all(|report| *report == delivered), "{reports:?}");
    drop(streams);
    // The runtime takes in that the connections are closed.
    tokio::task::yield_now().await;
    let last = async { tokio::join!(transport.deliver(&attempt), serve_once(&listener)) };
    let (report, _) = within("it is answered", last).await;
    assert_eq!(report, delivered);
}

/// Delivers, and checks when the transport closes the idle connection. Repeats that with a second connection.
async fn idle_closes_within(seconds: RangeInclusive<u64>, server_closes: bool) {
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let url = format!("http://{}/", listener.local_addr().unwrap());
    let transport = transport(&destination(to(&url), PATIENCE), None).unwrap();
    let attempt = attempt();
    for _ in 0..2 {
        let delivered = async { tokio::join!(transport.deliver(&attempt), serve_once(&listener)) };
        let (report, mut stream) = within("it is answered", delivered).await;
        assert_eq!(report, Report::delivered(Some(200), "answered 200"));
        if server_closes {
            stream.shutdown().await.unwrap();
        }
        // The clock jumps to the next timer whenever nothing else is left to do.
        tokio::time::pause();
        let began = tokio::time::Instant::now();
        while began.elapsed() < Duration::from_secs(1_000) {
            if let Ok(read) = tokio::time::timeout(Duration::from_secs(1), stream.read(&mut [0])).await {
                assert_eq!(read.unwrap(), 0);
                break;
            }
        }
        let after = began.elapsed().as_secs();
        assert!(seconds.contains(&after), "{after}");
        tokio::time::resume();
    }
}

#[tokio::test]
async fn an_idle_connection_that_the_server_closed_is_closed_soon() {
    idle_closes_within(8..=12, true).await;
}

#[tokio::test]
async fn a_connection_that_is_idle_for_long_is_closed() {
    idle_closes_within(88..=112, false).await;
}

#[tokio::test]
async fn whoever_drops_the_future_ends_the_attempt() {
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let transport =
        transport(&destination(to(&format!("http://{}/", listener.local_addr().unwrap())), PATIENCE), None).unwrap();
    let attempt = attempt();
    let mut stream = tokio::select! {
        _ = transport.deliver(&attempt) => panic!("nobody answers"),
        accepted = within("a connection comes in", listener.accept()) => accepted.unwrap().0,
    };
    let mut rest = Vec::new();
    // It ends, and does not wait for an answer.
    let _ = within("the connection ends", stream.read_to_end(&mut rest)).await;
}
