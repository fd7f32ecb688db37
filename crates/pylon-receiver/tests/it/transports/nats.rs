//! Messages to JetStream, of the `nats-server` that Debian has. Without it, these tests say so and pass.

use super::secure::Authority;
use super::*;
use crate::wait::until;
use pylon_receiver::config::{ClientCertificate, NatsTransport, SecretSource};
use pylon_receiver::internals::{Delivered, Transport};
use pylon_test_support::log::logged;
use pylon_test_support::nats::{NatsClient, NatsServer, Stored};
use rustix::process::Signal;
use serde_json::{Value, json};
use std::net::SocketAddr;
use std::path::PathBuf;
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::{TcpListener, TcpStream};

mod credentials;

/// The time-out of an attempt that needs all of it.
const SHORT: Duration = Duration::from_secs(2);

fn nats(servers: &str) -> NatsTransport {
    NatsTransport::new(SecretSource::given(servers))
}

/// The transport of a destination at NATS.
fn at(nats: NatsTransport, timeout: Duration) -> Arc<dyn Transport> {
    transport(&destination(TransportConfig::Nats(nats), timeout), None).unwrap()
}

async fn publish(transport: &Arc<dyn Transport>, attempt: &Attempt) -> Report {
    within("the attempt ends", transport.deliver(attempt)).await
}

/// A client without a user.
fn client(server: &NatsServer) -> NatsClient {
    NatsClient::connect(server.address, |_| json!({}))
}

/// A server with a stream of `pylon.>`, and a client of it.
fn server(stream: &Value) -> Option<(NatsServer, NatsClient)> {
    let server = NatsServer::start("")?;
    let mut client = client(&server);
    client.create_stream("EVENTS", &["pylon.>"], stream);
    Some((server, client))
}

fn stored(number: u64) -> Report {
    Report::delivered(None, "stored").with_detail(format!("stored as message {number} of stream EVENTS"))
}

fn duplicate(number: u64) -> Report {
    let detail = format!("a duplicate of message {number} of stream EVENTS");
    Report::delivered(None, "a duplicate: not stored again").with_detail(detail)
}

/// Another event.
fn another(number: u8) -> Attempt {
    let event = EventId::new(NOW, [number; 10]);
    Attempt { delivery: DeliveryId { event, number: 1 }, ..attempt() }
}

#[tokio::test]
async fn a_message_is_the_body_and_its_headers() {
    let Some((server, mut client)) = server(&json!({})) else { return };
    let sent = Attempt {
        body: b"{\"a\": \"\r\nMSG x 1 2\r\n\0\xff\"}".to_vec().into(),
        headers: headers(&[
            ("content-type", "application/json"),
            ("x-pylon-signature", "abc"),
            ("x-many", "one"),
            ("x-many", "two"),
            ("authorization", "Bearer hidden"),
            ("cookie", "hidden"),
            ("nats-rollup", "all"),
            ("nats-msg-id", "forged"),
            ("x-receiver-event-id", "forged"),
            ("connection", "close"),
            ("x-odd", "Nats-Msg-Id: forged"),
        ]),
        redelivery_of: Some(1),
        ..attempt()
    };
    let transport = at(nats(&server.url()), PATIENCE);
    assert_eq!(publish(&transport, &sent).await, stored(1));
    let headers = [
        ("Content-Type", "application/json"),
        ("Nats-Msg-Id", &format!("{EVENT}.2")),
        ("X-Many", "one"),
        ("X-Many", "two"),
        ("X-Pylon-Signature", "abc"),
        ("X-Receiver-Attempt", "3"),
        ("X-Receiver-Endpoint", "webhook"),
        ("X-Receiver-Event-Id", EVENT),
        ("X-Receiver-Kind", "issue_new"),
        ("X-Receiver-Name", "Issue.New"),
        ("X-Receiver-Redelivery-Of", &format!("{EVENT}.1")),
    ];
    let headers = headers.map(|(name, value)| (name.to_owned(), value.to_owned())).to_vec();
    let expected = Stored { subject: "pylon.issue_new".to_owned(), headers, body: sent.body.to_vec() };
    assert_eq!(client.messages("EVENTS"), [expected]);
}

#[tokio::test]
async fn a_stream_has_each_delivery_once() {
    let Some((server, mut client)) = server(&json!({})) else { return };
    let transport = at(nats(&server.url()), PATIENCE);
    let event = EventId::new(NOW, [7; 10]);
    let delivery = |number, attempt_number, redelivery_of| Attempt {
        delivery: DeliveryId { event, number },
        number: attempt_number,
        redelivery_of,
        ..attempt()
    };
    for (sent, expected) in [
        (delivery(1, 1, None), stored(1)),
        (delivery(1, 2, None), duplicate(1)),
        // To another destination, with the same stream.
        (delivery(2, 1, None), stored(2)),
        // On an operator's order.
        (delivery(3, 1, Some(1)), stored(3)),
        (delivery(3, 2, Some(1)), duplicate(3)),
    ] {
        assert_eq!(publish(&transport, &sent).await, expected);
    }
    let ids: Vec<_> = client.messages("EVENTS").iter().map(|stored| stored.all("Nats-Msg-Id").concat()).collect();
    assert_eq!(ids, [EVENT.to_owned(), format!("{EVENT}.2"), format!("{EVENT}.3")]);
}

/// nats-server 2.9 looks for the first place with the name of the header, and then whether a line begins there.
#[tokio::test]
async fn no_header_of_the_sender_hides_the_id_of_the_message() {
    let Some((server, mut client)) = server(&json!({})) else { return };
    let names: Vec<String> = (0..20).map(|number| format!("x-{number}")).collect();
    let mut pairs: Vec<_> = names.iter().map(|name| (name.as_str(), "Nats-Msg-Id: forged")).collect();
    pairs.push(("x-nats-msg-id", "forged"));
    let sent = Attempt { headers: headers(&pairs), ..attempt() };
    let transport = at(nats(&server.url()), PATIENCE);
    assert_eq!(publish(&transport, &sent).await, stored(1));
    assert_eq!(publish(&transport, &sent).await, duplicate(1));
    assert_eq!(client.messages("EVENTS").len(), 1);
}

#[tokio::test]
async fn the_subject_is_that_of_the_event_whatever_it_is_called() {
    let Some((server, mut client)) = server(&json!({})) else { return };
    let long = "x".repeat(300);
    let cases: [(&str, Option<EventKind>, &str, &str, &str); 8] = [
        ("pylon.{kind}", Some(EventKind::IssueNew), "webhook", "Issue.New", "pylon.issue_new"),
        ("pylon.{kind}", None, "webhook", "x", "pylon._"),
        ("pylon.{endpoint}.{name}", None, "eu support", "a.b", "pylon.eu_support.a_b"),
        ("pylon.{name}", None, "webhook", "", "pylon._"),
        ("pylon.{name}", None, "webhook", "*.>", "pylon.___"),
        ("pylon.{name}", None, "webhook", "a\r\nPUB x 0\r\n", "pylon.a__PUB_x_0__"),
        ("pylon.{name}-{endpoint}", None, "gr\u{fc}n", "$JS\t\u{2028}\0", "pylon._JS___-gr_n"),
        ("pylon.{name}", None, "webhook", &long, &format!("pylon.{}", &long[..256])),
    ];
    for (number, (template, kind, endpoint, name, _)) in (1..).zip(cases) {
        let to = nats(&server.url()).subject(template.parse().unwrap());
        let sent = Attempt { kind, endpoint: endpoint.into(), name: name.into(), ..another(number) };
        assert_eq!(publish(&at(to, PATIENCE), &sent).await, stored(number.into()), "{name:?}");
    }
    let subjects: Vec<_> = client.messages("EVENTS").into_iter().map(|stored| stored.subject).collect();
    assert_eq!(subjects, cases.map(|(.., subject)| subject.to_owned()));
}

#[tokio::test]
async fn a_stream_that_takes_no_more_says_so() {
    let full = |key: &str| Report::busy(Code::NO_ROOM, None, format!("the stream is full: it has reached its `{key}`"));
    let of_subject = "the stream is full for subject `pylon.issue_new`: it has reached `max_msgs_per_subject`";
    let cases = [
        (json!({ "max_msgs": 1, "discard": "new" }), full("max_msgs")),
        (json!({ "max_bytes": 600, "discard": "new" }), full("max_bytes")),
        (
            json!({ "max_msgs_per_subject": 1, "discard": "new", "discard_new_per_subject": true, "max_msgs": 9 }),
            Report::refused(Code::NO_ROOM, None, of_subject),
        ),
    ];
    for (stream, expected) in cases {
        let Some((server, mut client)) = server(&stream) else { return };
        let transport = at(nats(&server.url()), PATIENCE);
        assert_eq!(publish(&transport, &another(1)).await, stored(1), "{stream}");
        assert_eq!(publish(&transport, &another(2)).await, expected, "{stream}");
        assert_eq!(client.messages("EVENTS").len(), 1);
        // It is the connection from before.
        client.ask("$JS.API.STREAM.PURGE.EVENTS", "");
        assert_eq!(publish(&transport, &another(2)).await, stored(2), "{stream}");
    }
}

#[tokio::test]
async fn a_message_that_is_too_large_is_refused_and_the_next_one_is_stored() {
    let Some((server, mut client)) = server(&json!({ "max_msg_size": 4000 })) else { return };
    let transport = at(nats(&server.url()), PATIENCE);
    let of = |length: usize| Attempt { body: vec![b' '; length].into(), ..attempt() };
    let of_server = "the body of 1048576 bytes and the headers are larger than the server takes, 1048576 bytes: raise its \
                     `max_payload`";
    assert_eq!(publish(&transport, &of(1 << 20)).await, Report::refused(Code::TOO_LARGE, None, of_server));
    let of_stream = "the message is larger than the stream takes: raise its `max_msg_size`";
    assert_eq!(publish(&transport, &of(4000)).await, Report::refused(Code::TOO_LARGE, None, of_stream));
    assert_eq!(publish(&transport, &of(3000)).await, stored(1));
    assert_eq!(client.messages("EVENTS")[0].body.len(), 3000);
}

#[tokio::test]
async fn a_subject_that_no_stream_takes_is_refused() {
    let Some((server, _)) = server(&json!({})) else { return };
    let to = |server: &NatsServer| at(nats(&server.url()).subject("other.{kind}".parse().unwrap()), PATIENCE);
    let missing = "no stream takes subject `other.issue_new`: add it to the `subjects` of a stream";
    assert_eq!(publish(&to(&server), &attempt()).await, Report::refused(Code::NO_STREAM, None, missing));
    let Some(without) = NatsServer::start_without_jetstream("") else { return };
    let disabled =
        "no stream takes subject `other.issue_new`: JetStream is not enabled on the server that is connected";
    assert_eq!(publish(&to(&without), &attempt()).await, Report::refused(Code::NO_STREAM, None, disabled));
}

#[tokio::test]
async fn an_answer_that_is_no_acknowledgement_is_refused() {
    let sentence = "expected an acknowledgement of JetStream on subject `pylon.issue_new`, found another answer";
    let error = |code: u16, err_code: u32| {
        json!({ "error": { "code": code, "err_code": err_code, "description": "hidden\u{1b}words" }, "stream": "A", "seq": 0 })
            .to_string()
    };
    let told = |report: fn(Code, Option<i32>, String) -> Report, code, sentence: &str| {
        report(code, None, sentence.to_owned()).with_detail(format!("{sentence}: hidden\\u{{1b}}words"))
    };
    let cases = [
        ("".to_owned(), Report::refused(Code::NOT_NATS, None, sentence)),
        ("+ACK".to_owned(), Report::refused(Code::NOT_NATS, None, sentence)),
        ("{}".to_owned(), Report::refused(Code::NOT_NATS, None, sentence)),
        (r#"{"stream":"","seq":1}"#.to_owned(), Report::refused(Code::NOT_NATS, None, sentence)),
        (r#"{"stream":"A","seq":0}"#.to_owned(), Report::refused(Code::NOT_NATS, None, sentence)),
        (error(503, 10_008), told(Report::failed, Code::UNAVAILABLE, "JetStream is not available (error 10008)")),
        (error(503, 10_023), told(Report::busy, Code::NO_ROOM, "JetStream has no room left (error 10023)")),
        (error(503, 10_077), told(Report::failed, Code::UNAVAILABLE, "JetStream is not available (error 10077)")),
        (
            error(400, 10_060),
            told(Report::refused, Code::NOT_STORED, "JetStream does not store the message (error 10060)"),
        ),
    ];
    for (answer, expected) in cases {
        let Some(server) = NatsServer::start_without_jetstream("") else { return };
        client(&server).answer("pylon.issue_new", &answer);
        assert_eq!(publish(&at(nats(&server.url()), PATIENCE), &attempt()).await, expected, "{answer}");
    }
}

#[tokio::test]
async fn without_an_acknowledgement_nothing_counts_as_delivered() {
    let Some((server, mut client)) = server(&json!({ "no_ack": true })) else { return };
    let report = publish(&at(nats(&server.url()), SHORT), &attempt()).await;
    assert_eq!(report, Report::failed(Code::TIMEOUT, None, "no acknowledgement within 2s"));
    assert_eq!(client.messages("EVENTS").len(), 1);
}

/// A user, a password and what it may not do.
const USERS: &str = r#"
    authorization { users = [
        { user: "admin", password: "admin" }
        { user: "writer", password: "pass word", permissions: { publish: "pylon.>", subscribe: "_INBOX.>" } }
        { user: "deaf", password: "deaf", permissions: { publish: "pylon.>", subscribe: { deny: ">" } } }
        { user: "reader", password: "reader", permissions: { publish: { deny: "pylon.>" } } }
    ] }
"#;

#[tokio::test]
async fn a_user_may_do_what_the_server_allows() {
    let Some(server) = NatsServer::start(USERS) else { return };
    let mut client = NatsClient::connect(server.address, |_| json!({ "user": "admin", "pass": "admin" }));
    client.create_stream("EVENTS", &["pylon.>"], &json!({}));
    let unknown = "the server refuses the login: expected credentials that it knows, found none or others";
    let unheard = "the server does not allow this user to subscribe to `_INBOX.>`, where acknowledgements arrive";
    let denied = "the server does not allow this user to publish to subject `pylon.issue_new`";
    for (user, expected) in [
        ("writer:pass%20word@", stored(1)),
        ("writer:sesame@", Report::failed(Code::LOGIN, None, unknown)),
        ("", Report::failed(Code::LOGIN, None, unknown)),
        ("sesame@", Report::failed(Code::LOGIN, None, unknown)),
        ("reader:reader@", Report::refused(Code::DENIED, None, denied)),
        ("deaf:deaf@", Report::failed(Code::DENIED, None, unheard)),
    ] {
        let transport = at(nats(&format!("nats://{user}{}", server.address)), PATIENCE);
        // The same on a connection that is open.
        for attempt in [another(1), Attempt { number: 4, ..another(1) }] {
            let expected = if expected == stored(1) && attempt.number == 4 { duplicate(1) } else { expected.clone() };
            assert_eq!(publish(&transport, &attempt).await, expected, "{user}");
        }
    }
}

#[tokio::test]
async fn a_token_is_a_secret_or_stands_in_the_url() {
    let Some(server) = NatsServer::start("authorization { token: \"sesame\" }") else { return };
    let mut client = NatsClient::connect(server.address, |_| json!({ "auth_token": "sesame" }));
    client.create_stream("EVENTS", &["pylon.>"], &json!({}));
    let token = |token: &str| nats(&server.url()).token(Some(SecretSource::given(token)));
    assert_eq!(publish(&at(token("sesame"), PATIENCE), &another(1)).await, stored(1));
    let in_url = nats(&format!("nats://sesame@{}", server.address));
    assert_eq!(publish(&at(in_url, PATIENCE), &another(2)).await, stored(2));
    assert_eq!(publish(&at(token("other"), PATIENCE), &another(3)).await.delivered, Delivered::No);
}

/// What a listener does with a connection.
#[derive(Clone, Copy)]
enum Peer {
    SaysNothing,
    Closes,
    Says(&'static str),
}

async fn listen(peer: Peer) -> SocketAddr {
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let address = listener.local_addr().unwrap();
    tokio::spawn(async move {
        loop {
            let (mut stream, _) = listener.accept().await.unwrap();
            tokio::spawn(async move {
                match peer {
                    Peer::Closes => return,
                    Peer::SaysNothing => {}
                    Peer::Says(text) => stream.write_all(text.as_bytes()).await.unwrap(),
                }
                let _ = stream.read_to_end(&mut Vec::new()).await;
            });
        }
    });
    address
}

#[tokio::test]
async fn why_there_is_no_connection_is_one_sentence() {
    const INFO: &str = "INFO {\"server_id\":\"a\",\"max_payload\":1000,\"headers\":true}\r\n";
    let not_nats = "the server does not speak NATS";
    let broke_off = "the connection broke off before the login";
    let late = "no connection within 2s";
    let says = |text| async move { listen(Peer::Says(text)).await.to_string() };
    let cases = [
        ("127.0.0.1:1".to_owned(), "connection refused"),
        ("pylon.invalid".to_owned(), "the name does not resolve"),
        (listen(Peer::SaysNothing).await.to_string(), late),
        (listen(Peer::Closes).await.to_string(), broke_off),
        (says("HTTP/1.1 400 Bad Request\r\n\r\n").await, not_nats),
        (says("INFO hidden\r\n").await, not_nats),
        (says("PING\r\n").await, broke_off),
        (
            says("INFO {\"server_id\":\"a\"}\r\n-ERR 'Hidden words'\r\n").await,
            "the server refuses the connection: Hidden words",
        ),
        (says(INFO).await, late),
    ];
    for (server, expected) in cases {
        let timeout = if expected == late { SHORT } else { PATIENCE };
        let report = publish(&at(nats(&format!("nats://{server}")), timeout), &attempt()).await;
        assert_eq!((report.delivered, &*report.detail), (Delivered::No, expected), "{server}");
        assert!(!report.cause.contains("Hidden"), "{report:?}");
    }
}

#[tokio::test]
async fn a_server_that_was_down_gets_the_next_attempt() {
    let Some((mut server, mut client)) = server(&json!({})) else { return };
    let transport = at(nats(&server.url()), PATIENCE);
    assert_eq!(publish(&transport, &another(1)).await, stored(1));
    drop(client);
    server.kill();
    let mut reports = Vec::new();
    // The first one may still find the connection that has ended.
    for number in 2..5 {
        reports.push(publish(&transport, &another(number)).await);
    }
    assert!(reports.iter().all(|report| report.delivered == Delivered::No), "{reports:?}");
    assert_eq!(reports[2], Report::failed(Code::REFUSED, None, "connection refused"));
    server.restart();
    for number in 2..5 {
        assert_eq!(publish(&transport, &another(number)).await, stored(number.into()));
    }
    client = self::client(&server);
    assert_eq!(client.messages("EVENTS").len(), 4);
}

#[tokio::test]
async fn a_server_that_ends_before_it_answers_has_nothing_twice() {
    let Some((mut server, _)) = server(&json!({})) else { return };
    let transport = at(nats(&server.url()), PATIENCE);
    assert_eq!(publish(&transport, &another(1)).await, stored(1));
    // It takes the message and does nothing with it.
    server.pause();
    let (first, second) = (another(2), another(3));
    let mut publishing = std::pin::pin!(async { tokio::join!(transport.deliver(&first), transport.deliver(&second)) });
    let waiting = tokio::time::timeout(BRIEF, &mut publishing).await;
    assert!(waiting.is_err(), "{waiting:?}");
    server.kill();
    let broke_off = || Report::failed(Code::CLOSED, None, "the connection broke off before the acknowledgement");
    assert_eq!(within("the attempts end", publishing).await, (broke_off(), broke_off()));
    server.restart();
    assert_eq!(publish(&transport, &first).await, stored(2));
    assert_eq!(publish(&transport, &second).await, stored(3));
    assert_eq!(client(&server).messages("EVENTS").len(), 3);
}

/// What becomes of the first connection once the server says a text.
#[derive(Clone, Copy)]
enum Cut {
    Closed(&'static [u8]),
    Silent(&'static [u8]),
}

/// Passes connections on to a server.
struct Passage {
    address: SocketAddr,
    /// How many there were.
    connections: Arc<AtomicUsize>,
    /// How many are open.
    open: Arc<AtomicUsize>,
}

impl Passage {
    async fn to(server: SocketAddr, cut: Option<Cut>) -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let address = listener.local_addr().unwrap();
        let (connections, open) = (Arc::<AtomicUsize>::default(), Arc::<AtomicUsize>::default());
        let (counted, counted_open) = (connections.clone(), open.clone());
        tokio::spawn(async move {
            loop {
                let (mut inner, _) = listener.accept().await.unwrap();
                let is_first = counted.fetch_add(1, Ordering::SeqCst) == 0;
                let cut = cut.filter(|_| is_first);
                let open = Open::one_more(&counted_open);
                tokio::spawn(async move {
                    let _open = open;
                    let mut outer = TcpStream::connect(server).await.unwrap();
                    let Some(cut) = cut else {
                        let _ = tokio::io::copy_bidirectional(&mut inner, &mut outer).await;
                        return;
                    };
                    let ((mut from, mut to), (mut back_from, mut back_to)) = (inner.split(), outer.split());
                    let back = async {
                        let mut said = Vec::new();
                        while back_from.read_buf(&mut said).await.unwrap() > 0 {
                            let (Cut::Closed(text) | Cut::Silent(text)) = cut;
                            if said.windows(text.len()).any(|part| part == text) {
                                match cut {
                                    Cut::Closed(_) => return,
                                    Cut::Silent(_) => std::future::pending().await,
                                }
                            }
                            to.write_all(&said).await.unwrap();
                            said.clear();
                        }
                    };
                    tokio::select! {
                        _ = tokio::io::copy(&mut from, &mut back_to) => {}
                        () = back => {}
                    }
                });
            }
        });
        Self { address, connections, open }
    }

    fn url(&self) -> String {
        format!("nats://{}", self.address)
    }
}

/// Counts an open connection.
struct Open(Arc<AtomicUsize>);

impl Open {
    fn one_more(open: &Arc<AtomicUsize>) -> Self {
        open.fetch_add(1, Ordering::SeqCst);
        Self(open.clone())
    }
}

impl Drop for Open {
    fn drop(&mut self) {
        self.0.fetch_sub(1, Ordering::SeqCst);
    }
}

#[tokio::test]
async fn a_lost_acknowledgement_stores_nothing_twice() {
    let Some((server, mut client)) = server(&json!({})) else { return };
    let passage = Passage::to(server.address, Some(Cut::Closed(b"\"seq\""))).await;
    let transport = at(nats(&passage.url()), PATIENCE);
    let broke_off = Report::failed(Code::CLOSED, None, "the connection broke off before the acknowledgement");
    assert_eq!(publish(&transport, &attempt()).await, broke_off);
    assert_eq!(publish(&transport, &Attempt { number: 4, ..attempt() }).await, duplicate(1));
    assert_eq!(client.messages("EVENTS").len(), 1);
}

#[tokio::test]
async fn a_connection_on_which_nothing_comes_back_is_given_up() {
    for (silent_from, late) in [("INFO", "no connection within 2s"), ("\"seq\"", "no acknowledgement within 2s")] {
        let Some((server, mut client)) = server(&json!({})) else { return };
        let passage = Passage::to(server.address, Some(Cut::Silent(silent_from.as_bytes()))).await;
        let transport = at(nats(&passage.url()), SHORT);
        assert_eq!(publish(&transport, &attempt()).await, Report::failed(Code::TIMEOUT, None, late));
        let report = publish(&transport, &attempt()).await;
        assert!(report == stored(1) || report == duplicate(1), "{report:?}");
        assert_eq!((client.messages("EVENTS").len(), passage.connections.load(Ordering::SeqCst)), (1, 2));
        until("the first connection ends", || passage.open.load(Ordering::SeqCst) == 1).await;
    }
}

#[tokio::test]
async fn all_attempts_share_one_connection() {
    let Some((server, mut client)) = server(&json!({})) else { return };
    let passage = Passage::to(server.address, None).await;
    let transport = at(nats(&passage.url()), PATIENCE);
    let attempts: Vec<_> = (1..=50).map(another).collect();
    let reports = futures_util::future::join_all(attempts.iter().map(|attempt| transport.deliver(attempt)));
    let reports = within("the attempts end", reports).await;
    assert!(reports.iter().all(|report| report.delivered == Delivered::Yes), "{reports:?}");
    assert_eq!((client.messages("EVENTS").len(), passage.connections.load(Ordering::SeqCst)), (50, 1));
    // It ends with the transport.
    drop(transport);
    until("the connection ends", || passage.open.load(Ordering::SeqCst) == 0).await;
}

#[tokio::test]
async fn an_attempt_that_is_dropped_leaves_the_others_their_connection() {
    let Some((server, _)) = server(&json!({})) else { return };
    let passage = Passage::to(server.address, None).await;
    let transport = at(nats(&passage.url()), PATIENCE);
    let (first, second) = (another(1), another(2));
    {
        // It has begun to connect.
        let mut dropped = transport.deliver(&first);
        assert!(tokio::time::timeout(Duration::ZERO, &mut dropped).await.is_err());
    }
    assert_eq!(publish(&transport, &second).await, stored(1));
    assert_eq!(passage.connections.load(Ordering::SeqCst), 1);
}

#[tokio::test]
async fn one_server_of_several_is_enough() {
    let Some((mut server, _)) = server(&json!({})) else { return };
    let silent = listen(Peer::SaysNothing).await;
    let three = format!("nats://127.0.0.1:1, nats://{silent}, nats://{}", server.address);
    let transport = at(nats(&three), Duration::from_secs(3));
    assert_eq!(publish(&transport, &another(1)).await, stored(1));
    assert_eq!(publish(&transport, &another(2)).await, stored(2));
    server.kill();
    assert_eq!(publish(&transport, &another(3)).await.delivered, Delivered::No);
}

/// Certificates of both sides as settings of a server; the second says whether clients need one.
fn tls(server: &NatsServer, authority: &Authority, verify: bool) -> String {
    let (certificate, key) = authority.certify(&[&server.address.ip().to_string()]);
    std::fs::write(server.folder().join("certificate.pem"), certificate).unwrap();
    std::fs::write(server.folder().join("key.pem"), key).unwrap();
    std::fs::copy(authority.file(), server.folder().join("ca.pem")).unwrap();
    format!(
        "jetstream {{ store_dir: \"FOLDER/store\" }}\n\
         tls {{ cert_file: \"FOLDER/certificate.pem\", key_file: \"FOLDER/key.pem\", ca_file: \"FOLDER/ca.pem\", verify: {verify} }}"
    )
}

#[tokio::test]
async fn tls_is_held_to_the_authority_of_the_file() {
    let Some((mut server, client)) = server(&json!({})) else { return };
    drop(client);
    let (ours, theirs) = (Authority::new(), Authority::new());
    let settings = tls(&server, &ours, true);
    server.kill();
    server.restart_with(&settings);
    let own: [PathBuf; 2] = ["client.pem", "client.key"].map(|name| ours.folder.path().join(name));
    let (certificate, key) = ours.certify(&["receiver"]);
    std::fs::write(&own[0], certificate).unwrap();
    std::fs::write(&own[1], key).unwrap();
    let shown = || Some(ClientCertificate::new(&own[0], &own[1]));
    let to = |scheme: &str, authority: &Authority, client| {
        nats(&format!("{scheme}://{}", server.address)).ca(Some(authority.file())).client(client)
    };
    let demanded = "TLS failed: the server expects a client certificate; configure `client_certificate`";
    let unknown = "TLS failed: the issuer of the certificate is not known here";
    assert_eq!(publish(&at(to("tls", &ours, shown()), PATIENCE), &another(1)).await, stored(1));
    // A server that demands TLS gets it.
    assert_eq!(publish(&at(to("nats", &ours, shown()), PATIENCE), &another(2)).await, stored(2));
    let report = publish(&at(to("tls", &theirs, shown()), PATIENCE), &another(3)).await;
    assert_eq!(report, Report::failed(Code::TLS, None, unknown));
    let report = publish(&at(to("tls", &ours, None), PATIENCE), &another(3)).await;
    assert_eq!(report, Report::failed(Code::TLS, None, demanded));
}

#[tokio::test]
async fn tls_is_demanded_where_the_url_says_so() {
    let Some((server, mut client)) = server(&json!({})) else { return };
    let authority = Authority::new();
    let to = nats(&format!("tls://user:sesame@{}", server.address)).ca(Some(authority.file()));
    let report = publish(&at(to, PATIENCE), &attempt()).await;
    assert_eq!(report, Report::failed(Code::TLS, None, "TLS failed: the server does not speak TLS; use nats://"));
    assert_eq!(client.messages("EVENTS"), []);
}

#[test]
fn the_log_tells_of_connections_and_shows_no_secret() {
    let Some(mut server) = NatsServer::start(USERS) else { return };
    let url = format!("nats://writer:pass%20word@{}", server.address);
    let shown = format!("{:?}", TransportConfig::Nats(nats(&url)));
    assert!(!shown.contains("word"), "{shown}");
    let mut client = NatsClient::connect(server.address, |_| json!({ "user": "admin", "pass": "admin" }));
    client.create_stream("EVENTS", &["pylon.>"], &json!({}));
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap();
    let name = server.url();
    let ((), lines) = logged(|| {
        runtime.block_on(async {
            let transport = at(nats(&url), PATIENCE);
            assert_eq!(publish(&transport, &another(1)).await, stored(1));
            server.signal(Signal::USR2);
            // In lame duck mode a server takes no connection, and goes on with those that it has.
            within("the server stops to listen", async {
                while TcpStream::connect(server.address).await.is_ok() {
                    tokio::time::sleep(Duration::from_millis(5)).await;
                }
            })
            .await;
            assert_eq!(publish(&transport, &another(2)).await, stored(2));
            server.kill();
            within("nobody listens", async {
                while publish(&transport, &another(3)).await
                    != Report::failed(Code::REFUSED, None, "connection refused")
                {}
            })
            .await;
        });
    });
    let expected = [
        format!("INFO message=connected to NATS destination=app server={name}"),
        format!("WARN message=the NATS server is about to stop (lame duck mode) destination=app server={name}"),
        format!(
            "WARN message=the connection to NATS has ended: the next attempt opens another one destination=app server={name}"
        ),
    ];
    assert_eq!(lines, expected);
}

#[test]
fn what_cannot_be_used_makes_no_transport() {
    let folder = tempfile::tempdir().unwrap();
    let file = |name: &str, text: &str| {
        std::fs::write(folder.path().join(name), text).unwrap();
        Some(folder.path().join(name))
    };
    let url = "malformed secret: expected the URL of a NATS server such as `nats://user:password@127.0.0.1:4222`, or several \
               with commas between them, found another form";
    let beside = "malformed secret: expected a URL without a user beside `nats_token` and `nats_credentials`, found another form";
    let cases = [
        (nats("http://sesame"), url),
        (nats("nats://a:sesame@b,nats://a:other@b"), url),
        (nats("nats://a_b c"), url),
        (nats("nats://a:sesame@b").token(Some(SecretSource::given("sesame"))), beside),
        (nats("nats://a@b").credentials(file("any", "sesame")), beside),
        (
            nats("nats://b").credentials(Some(folder.path().join("none"))),
            "no NATS credentials: expected a JWT and a seed in FOLDER/none, found that it cannot be read (entity not found)",
        ),
        (
            nats("nats://b").credentials(file("other", "sesame")),
            "no NATS credentials: expected a JWT and a seed in FOLDER/other, found something else",
        ),
        (
            nats("nats://b").token(Some(SecretSource::Environment("PYLON_RECEIVER_TEST_UNSET".into()))),
            "no secret: expected one in environment variable PYLON_RECEIVER_TEST_UNSET, found it not set; set it",
        ),
        (
            nats("tls://b").ca(Some(folder.path().join("none"))),
            "no TLS: expected PEM in FOLDER/none, cannot read it (entity not found)",
        ),
    ];
    for (to, expected) in cases {
        let made = transport(&destination(TransportConfig::Nats(to), PATIENCE), None);
        let fault = made.err().map(|fault| fault.to_string()).unwrap_or_default();
        assert_eq!(fault.replace(folder.path().to_str().unwrap(), "FOLDER"), expected);
    }
}
