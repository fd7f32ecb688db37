//! What is kept of an accepted event.

use super::*;

const BODY: &str = r#"{"event_type": "Issue.New", "issue_id": "i1"}"#;

#[test]
fn an_event_is_kept_byte_for_byte_before_it_is_answered() {
    run(async {
        let front = Front::new(&config()).await;
        front.now.store(1_700_000_123_456, Ordering::Relaxed);
        let answer = front.webhook(BODY).await;
        let event = front.event();
        assert_eq!(answer.json(), json!({"status": "accepted", "id": event.id}));
        assert_eq!(event.id.received_at(), Moment::from_unix_milliseconds(1_700_000_123_456));
        assert_eq!(
            (&*event.endpoint, &*event.name, event.kind.as_deref()),
            ("webhook", "Issue.New", Some("issue_new"))
        );
        assert_eq!(event.body.as_bytes(), BODY.as_bytes());
        assert_eq!((event.parked, event.deduplication), (None, None));
        assert!(front.counted(r#"pylon_receiver_accepted_total{endpoint="webhook"} 1"#));
    });
}

#[test]
fn an_answer_says_no_more_than_it_must() {
    let (answer, _) = run(async { Front::new(&config()).await.webhook(BODY).await });
    let names: Vec<_> = answer.headers.iter().map(|(name, _)| name.as_str()).collect();
    assert_eq!(names, ["content-type", "content-length", "date"]);
}

/// Sent beside the signature, whether it is kept.
const HEADERS: [(&str, &str, bool); 19] = [
    ("Content-Type", "text/plain", true),
    ("X-Anything", "kept; as=it is ", true),
    ("X-Anything", "twice", true),
    ("Authorization", "Bearer for-the-app", true),
    ("Cookie", "for=the-app", true),
    ("User-Agent", "Pylon", true),
    ("Connection", "keep-alive, X-Hop , te", false),
    ("X-Hop", "named by Connection", false),
    ("Keep-Alive", "timeout=5", false),
    ("Proxy-Connection", "keep-alive", false),
    ("Proxy-Authorization", "Basic c2VjcmV0", false),
    ("Proxy-Authenticate", "Basic", false),
    ("TE", "trailers", false),
    ("Trailer", "X-Sum", false),
    ("Upgrade", "h2c", false),
    ("Expect", "nothing-that-there-is", false),
    ("X-Receiver-Event-Id", "forged", false),
    ("X-Receiver-Attempt", "1", false),
    ("X-Receivers", "another word", true),
];

#[test]
fn its_headers_are_kept_but_those_of_the_connection_and_our_own() {
    run(async {
        let front = Front::new(&config()).await;
        let sent = HEADERS.map(|(name, value, _)| (name.to_owned(), value.to_owned()));
        front.post(&[signed(b"{}"), sent.to_vec()].concat(), b"{}").await.id();
        let found = front.event().headers;
        let found: Vec<_> = found.iter().map(|(name, value)| (name, std::str::from_utf8(value).unwrap())).collect();
        for (name, value, is_kept) in HEADERS {
            let name = name.to_ascii_lowercase();
            assert_eq!(found.contains(&(name.as_str(), value.trim_end())), is_kept, "{name}: {value}");
        }
        assert!(found.contains(&("x-pylon-signature", &*signed(b"{}")[0].1)));
        assert!(found.contains(&("host", "receiver")));
    });
}

#[test]
fn a_required_header_is_not_kept() {
    run(async {
        let mut config = config();
        config.endpoints[0].header = Some(secrets::bearer("authorization"));
        let front = Front::new(&config).await;
        let headers = [signed(b"{}"), header("Authorization", secrets::BEARER), header("Cookie", "a=b")].concat();
        front.post(&headers, b"{}").await.id();
        let headers = front.event().headers;
        let names: Vec<_> = headers.iter().map(|(name, _)| name).collect();
        assert!(!names.contains(&"authorization") && names.contains(&"cookie"), "{names:?}");
    });
}

#[test]
fn a_header_that_another_endpoint_requires_is_not_kept_here() {
    run(async {
        let mut config = config();
        let mut other = EndpointConfig::signed("/other", [SecretSource::given(SECRET)]);
        other.name = "other".into();
        other.header = Some(secrets::bearer("x-token"));
        config.endpoints.push(other);
        let front = Front::new(&config).await;
        let headers = [signed(b"{}"), header("X-Token", secrets::BEARER), header("X-Other", "kept")].concat();
        front.post(&headers, b"{}").await.id();
        let headers = front.event().headers;
        let names: Vec<_> = headers.iter().map(|(name, _)| name).collect();
        assert!(!names.contains(&"x-token") && names.contains(&"x-other"), "{names:?}");
    });
}

/// Names, and whether servers that read anything but letters and digits as `-` may get them: CGI, WSGI, PHP.
const TWINS: [(&str, bool); 24] = [
    ("X_Receiver_Event_Id", false),
    ("X-Receiver_Attempt", false),
    ("x.receiver.attempt", false),
    ("X_Pylon_Signature", false),
    ("x_pylon-timestamp", false),
    ("x!pylon!signature", false),
    ("X-Pylon.Anything", false),
    // Of a header that an endpoint requires.
    ("X_Token", false),
    ("x.token", false),
    ("X_Under_Score", false),
    ("X-Under-Score", false),
    // Of the headers that say how the body is to be read, and where it goes.
    ("Content_Type", false),
    ("Content_Length", false),
    ("Content_Encoding", false),
    ("Transfer_Encoding", false),
    ("Proxy_Authorization", false),
    ("X_HTTP_Method_Override", false),
    // Of another header of the request.
    ("X_Forwarded_For", false),
    ("X_Forwarded_Host", true),
    ("X_Other_Name", true),
    ("x.dotted", true),
    ("xx_pylon_signature", true),
    ("x_receivers", true),
    ("_", true),
];

#[test]
fn names_that_some_servers_take_for_another_are_not_kept() {
    run(async {
        let mut config = config();
        let mut other = EndpointConfig::signed("/other", [SecretSource::given(SECRET)]);
        other.name = "other".into();
        other.header = Some(secrets::bearer("x-token"));
        let mut another = EndpointConfig::signed("/another", [SecretSource::given(SECRET)]);
        another.name = "another".into();
        another.header = Some(secrets::bearer("x_under-score"));
        config.endpoints.extend([other, another]);
        let front = Front::new(&config).await;
        let twins = TWINS.map(|(name, _)| (name.to_owned(), "forged".to_owned()));
        front.post(&[signed(b"{}"), twins.to_vec(), header("X-Forwarded-For", "192.0.2.1")].concat(), b"{}").await.id();
        let headers = front.event().headers;
        let forged: Vec<_> = headers.iter().filter(|(_, value)| *value == b"forged").map(|(name, _)| name).collect();
        let kept: Vec<_> =
            TWINS.iter().filter(|(_, is_kept)| *is_kept).map(|(name, _)| name.to_ascii_lowercase()).collect();
        assert_eq!(forged, kept);
        assert!(headers.iter().any(|header| header == ("x-forwarded-for", b"192.0.2.1")));
    });
}

/// Headers of these lengths, sent before the signature and the proxy's, and how many of all headers are dropped.
const TOO_MANY: [(&[usize], usize); 8] = [
    (&[20; 58], 0),
    (&[20; 59], 0),
    (&[20; 60], 1),
    (&[20; 90], 31),
    (&[4000], 0),
    (&[4097], 1),
    (&[7_000, 20, 7_000], 2),
    (&[3900, 3900, 3900, 20], 1),
];

#[test]
fn what_is_kept_of_the_headers_has_a_bound() {
    for (lengths, dropped) in TOO_MANY {
        let ((), lines) = run(async {
            let front = Front::new(&config()).await;
            let filler =
                lengths.iter().enumerate().map(|(number, length)| (format!("x-{number}"), "x".repeat(*length)));
            let proxy = [header("X-Forwarded-For", "192.0.2.1"), header("Content-Type", "application/json")].concat();
            front.post(&[filler.collect(), signed(b"{}"), proxy].concat(), b"{}").await.id();
            let headers = front.event().headers;
            let found: Vec<_> = headers.iter().collect();
            assert!(headers.as_bytes().len() <= 8 * 1024 + 64 && found.len() <= 65, "{headers:?}");
            for name in ["x-pylon-signature", "content-type", "x-forwarded-for"] {
                assert!(found.iter().any(|(found, _)| *found == name), "{name}: {headers:?}");
            }
            let told = found.iter().find(|(name, _)| *name == "x-receiver-dropped-headers").map(|(_, value)| *value);
            let expected = (dropped > 0).then(|| dropped.to_string());
            assert_eq!(told, expected.as_deref().map(str::as_bytes), "{lengths:?}");
            // Host, length, signature, and those two.
            let of_pylon =
                found.iter().filter(|(_, value)| !value.starts_with(b"xxx")).count() - usize::from(dropped > 0);
            assert_eq!((of_pylon, found.len() - usize::from(dropped > 0)), (5, 5 + lengths.len() - dropped));
            // What is kept is kept whole, in its order.
            let kept: Vec<usize> = found
                .iter()
                .filter_map(|(name, value)| value.starts_with(b"xxx").then_some(name))
                .map(|name| name[2..].parse().unwrap())
                .collect();
            assert!(kept.is_sorted());
            assert!(kept.iter().all(|&number| {
                found.iter().any(|(name, value)| *name == format!("x-{number}") && value.len() == lengths[number])
            }));
        });
        let warning = format!(
            "WARN message=headers of a webhook are too many or too long: some were not kept endpoint=webhook dropped={dropped}"
        );
        assert_eq!(lines.contains(&warning), dropped > 0, "{lines:?}");
    }
}

/// A sender cannot fill the room with names that come first either.
#[test]
fn the_signature_is_kept_whatever_else_a_sender_names_first() {
    run(async {
        let front = Front::new(&config()).await;
        let filler: Vec<_> =
            ["Content-Type", "Forwarded", "Via", "X-Forwarded-For", "X-Pylon-Anything", "Authorization"]
                .into_iter()
                .flat_map(|name| (0..14).map(move |_| (name.to_owned(), "x".repeat(150))))
                .collect();
        front.post(&[filler, signed(b"{}")].concat(), b"{}").await.id();
        let headers = front.event().headers;
        for (name, value) in signed(b"{}") {
            let expected = (name.to_ascii_lowercase(), value.into_bytes());
            assert!(headers.iter().any(|(name, value)| (name, value) == (&*expected.0, &*expected.1)), "{name}");
        }
    });
}

#[test]
fn an_encoding_is_kept_where_it_may_be_true() {
    let gzip = [0x1f, 0x8b, 8, 0, 0, 0, 0, 0, 0, 3];
    for (body, is_kept) in [(&b"{}"[..], false), (&gzip[..], true), (b"issue=1", true)] {
        run(async {
            let front = Front::new(&config()).await;
            let encodings =
                [header("Content-Encoding", "gzip"), header("Content-Transfer-Encoding", "base64")].concat();
            front.post(&[signed(body), encodings].concat(), body).await.id();
            let event = front.event();
            assert_eq!(event.parked.is_some(), is_kept);
            let found: Vec<_> = event.headers.iter().filter(|(name, _)| name.ends_with("-encoding")).collect();
            let expected = [("content-encoding", &b"gzip"[..]), ("content-transfer-encoding", b"base64")];
            assert_eq!(found, if is_kept { &expected[..] } else { &[] });
        });
    }
}

#[test]
fn a_connection_header_takes_nothing_away_that_the_app_needs() {
    run(async {
        let front = Front::new(&config()).await;
        let connection = header("Connection", "x-pylon-signature, X-Pylon-Timestamp,content-type, x-hop");
        let named = [header("Content-Type", "application/json"), header("X-Hop", "of the hop")].concat();
        let sent = signed(b"{}");
        front.post(&[sent.clone(), connection, named].concat(), b"{}").await.id();
        let headers = front.event().headers;
        let found: Vec<_> = headers.iter().collect();
        for (name, value) in &sent {
            assert!(found.contains(&(name.to_ascii_lowercase().as_str(), value.as_bytes())), "{name}");
        }
        assert!(found.contains(&("content-type", b"application/json")));
        assert!(!found.iter().any(|(name, _)| *name == "x-hop"), "{headers:?}");
    });
}

/// Bodies that are not JSON, each with the reason.
const NOT_JSON: [(&str, &str); 4] = [
    ("", "expected JSON, found an empty body"),
    ("issue=1", "expected JSON, found a form body"),
    (r#"{"a": "b"#, "expected JSON, found the end of the body too early, at line 1 column 8"),
    (
        r#"{"event_type": "issue_new", "a": "b" c"}"#,
        "expected JSON, found a syntax error at line 1 column 38; usually a value has a quote or a backslash that is \
         not escaped: remove that variable from the trigger's template",
    ),
];

#[test]
fn an_authentic_body_that_is_not_json_is_parked() {
    for (body, reason) in NOT_JSON {
        let (_, lines) = run(async {
            let front = Front::new(&config()).await;
            let id = front.webhook(body).await.id();
            let event = front.event();
            assert_eq!((event.id.to_string(), event.parked.as_deref()), (id, Some(reason)), "{body}");
            assert_eq!((event.body.as_bytes(), &*event.name, &event.kind), (body.as_bytes(), "", &None), "{body}");
            assert_eq!(event.deliveries, vec![], "{body}");
            assert!(front.counted(r#"pylon_receiver_accepted_total{endpoint="webhook"} 1"#));
        });
        let line = lines.last().unwrap();
        assert!(line.starts_with("WARN message=a webhook was accepted and parked: it is not JSON event_id="), "{line}");
        assert!(line.ends_with(&format!("endpoint=\"webhook\" reason={reason}")), "{line}");
    }
}

#[test]
fn the_log_says_what_was_accepted_and_shows_nothing_of_it() {
    let ((), lines) = run(async {
        let front = Front::new(&config()).await;
        let name = format!("issue\nforged {}", "x".repeat(5000));
        let body = json!({"event_type": name, "issue_title": "Jo Confidential"}).to_string();
        front.webhook(&body).await.id();
        assert_eq!(&*front.event().name, &name[..256], "what is longer is no name");
    });
    let [line] = lines.as_slice() else { panic!("{lines:?}") };
    let name = format!("name=\"issue\\nforged {}\"", "x".repeat(187));
    assert!(line.starts_with("INFO message=a webhook was accepted event_id=018bcfe5-6"), "{line}");
    assert!(line.ends_with(&format!("endpoint=\"webhook\" {name} deliveries=1")), "{line}");
    assert!(!line.contains("Confidential") && !line.contains(SECRET), "{line}");
}

#[test]
fn method_path_and_query_of_the_request_are_kept() {
    let longest = "q".repeat(4096);
    let cases = [
        ("/webhook", None),
        ("/webhook?", Some("")),
        ("/webhook?tenant=7&a=%20%zz", Some("tenant=7&a=%20%zz")),
        (&format!("/webhook?{longest}"), Some(longest.as_str())),
    ];
    for (target, query) in cases {
        run(async {
            let front = Front::new(&config()).await;
            front.ask(&request("POST", target, &signed(b"{}"), b"{}")).await.id();
            let event = front.event();
            assert_eq!((&*event.method, &*event.target, event.query.as_deref()), ("POST", "/webhook", query));
        });
    }
}

#[test]
fn a_query_that_is_too_long_is_dropped_and_the_log_says_so() {
    let ((), lines) = run(async {
        let front = Front::new(&config()).await;
        let target = format!("/webhook?{}", "q".repeat(4097));
        front.ask(&request("POST", &target, &signed(b"{}"), b"{}")).await.id();
        assert_eq!(front.event().query, None);
    });
    let expected =
        "WARN message=the query of a webhook is too long and was not kept endpoint=\"webhook\" bytes=4097 most=4096";
    assert_eq!(lines[0], expected);
}

#[test]
fn the_name_is_read_where_the_endpoint_says() {
    use pylon_webhooks::NameSource;
    let cases = [
        (NameSource::Pointer("/meta/name".into()), "ticket.created", None),
        (NameSource::Fixed("issue-new".into()), "issue-new", Some("issue_new")),
        (NameSource::Keys, "closed", None),
    ];
    for (source, name, kind) in cases {
        run(async {
            let mut config = config();
            config.endpoints[0].event_name = source;
            let front = Front::new(&config).await;
            front.webhook(r#"{"meta": {"name": "ticket.created"}, "type": "closed"}"#).await.id();
            let event = front.event();
            assert_eq!((&*event.name, event.kind.as_deref()), (name, kind));
        });
    }
}

#[test]
fn method_path_and_query_are_kept_as_they_were_sent() {
    for (target, query) in [("/webhook", None), ("/webhook?", Some("")), ("/webhook?a=1&a=%20?", Some("a=1&a=%20?"))] {
        run(async {
            let front = Front::new(&config()).await;
            front.ask(&request("POST", target, &signed(b"{}"), b"{}")).await.id();
            let event = front.event();
            assert_eq!((&*event.method, &*event.target, event.query.as_deref()), ("POST", "/webhook", query));
        });
    }
}
