//! What is refused, in which order, and what the operator is told of it.

use super::*;
use pylon_receiver::Headers;

const UNAUTHORIZED: (u16, &str) = (401, r#"{"error":"unauthorized"}"#);

#[test]
fn each_fault_has_its_answer_code_and_reason() {
    let unsigned: Vec<(String, String)> = vec![];
    let cases = [
        (
            request("POST", "/other", &signed(b"{}"), b"{}"),
            (404, r#"{"error":"not_found"}"#),
            ("unknown_path", "unknown path: expected the path of an endpoint, found another"),
        ),
        (
            request("GET", "/webhook/", &unsigned, b""),
            (404, r#"{"error":"not_found"}"#),
            ("unknown_path", "unknown path: expected the path of an endpoint, found another"),
        ),
        (
            request("OPTIONS", "*", &unsigned, b""),
            (404, r#"{"error":"not_found"}"#),
            ("unknown_path", "unknown path: expected the path of an endpoint, found another"),
        ),
        (
            request("GET", "/webhook?x=1", &unsigned, b""),
            (405, r#"{"error":"method_not_allowed"}"#),
            (
                "method_not_allowed",
                "wrong method: expected POST, PUT or PATCH, found another; choose POST as the method of the webhook in Pylon",
            ),
        ),
        (
            request("POST", "/webhook", &signed(b"{}"), &[b' '; 101]),
            (413, r#"{"error":"too_large"}"#),
            ("too_large", "body too large: expected at most 100 bytes, found more"),
        ),
        (
            request("POST", "/webhook", &unsigned, b"{}"),
            UNAUTHORIZED,
            (
                "signature_missing",
                "missing signature: expected 64 hexadecimal digits in X-Pylon-Signature, found no such header",
            ),
        ),
        (
            request("POST", "/webhook", &signed_at(b"{}", NOW - 301), b"{}"),
            UNAUTHORIZED,
            (
                "timestamp_stale",
                "stale timestamp: 301 seconds old, at most 300 accepted; a replay, a late delivery, or this machine's clock \
                 is fast",
            ),
        ),
    ];
    for (request, answer, (code, reason)) in cases {
        let ((), lines) = run(async {
            let mut config = config();
            config.endpoints[0].body_limit = 100;
            let front = Front::new(&config).await;
            let found = front.ask(&request).await;
            assert_eq!((found.status, found.body.as_str()), answer, "{code}");
            let refusal = front.refusal();
            let endpoint = (code != "unknown_path").then_some("webhook");
            assert_eq!((refusal.code, &*refusal.reason, refusal.endpoint.as_deref()), (code, reason, endpoint));
            assert_eq!((refusal.at.unix_seconds(), refusal.status), (NOW, answer.0), "{code}");
            assert!(!refusal.path.contains('?'), "{code}");
            assert!(refusal.remote.starts_with("127.0.0.1:"), "{code}");
            let endpoint = endpoint.unwrap_or_default();
            let counter = format!("pylon_receiver_refused_total{{endpoint=\"{endpoint}\",reason=\"{code}\"}} 1");
            assert!(front.counted(&counter), "{counter}");
        });
        let [line] = lines.as_slice() else { panic!("{lines:?}") };
        let endpoint = if code == "unknown_path" { "" } else { "webhook" };
        let expected =
            format!("WARN message=a request was refused endpoint={endpoint} code=\"{code}\" reason={reason} path=\"");
        assert!(line.starts_with(&expected), "{line}");
    }
}

#[test]
fn freshness_goes_by_the_clock_that_was_given() {
    run(async {
        let front = Front::new(&config()).await;
        front.now.fetch_add(301_000, Ordering::Relaxed);
        assert_eq!(front.post(&signed_at(b"{}", NOW), b"{}").await.status, 401);
        assert_eq!(front.post(&signed_at(b"{}", NOW + 1), b"{}").await.status, 200);
    });
}

#[test]
fn of_several_faults_the_first_one_in_order_is_told() {
    let (get, post) = ("GET", "POST");
    let right = header("X-Token", secrets::BEARER);
    let large = [b' '; 101];
    // Path, method, size, header, signature: each case has one fault fewer.
    let cases = [
        (request(get, "/other", &[], &large), 404, "unknown_path"),
        (request(get, "/webhook", &[], &large), 405, "method_not_allowed"),
        (request(post, "/webhook", &[], &large), 413, "too_large"),
        (request(post, "/webhook", &[], b"not JSON"), 401, "header_missing"),
        (request(post, "/webhook", &right, b"not JSON"), 401, "signature_missing"),
    ];
    for (request, status, code) in cases {
        run(async {
            let mut config = config();
            config.endpoints[0].body_limit = 100;
            config.endpoints[0].header = Some(secrets::bearer("x-token"));
            let front = Front::new(&config).await;
            assert_eq!(front.ask(&request).await.status, status);
            assert_eq!(front.refusal().code, code);
        });
    }
}

#[test]
fn more_than_the_rate_are_told_when_to_come_again() {
    run(async {
        let mut config = config();
        config.endpoints[0].rate = Some(0.01);
        let front = Front::new(&config).await;
        // What is no webhook does not count.
        assert_eq!(front.ask(&request("GET", "/webhook", &[], b"")).await.status, 405);
        assert_eq!(front.webhook("{}").await.status, 200);
        let answer = front.webhook("{}").await;
        assert_eq!((answer.status, answer.json()), (429, json!({"error": "rate_limited"})));
        let wait: u64 = answer.header("retry-after").unwrap().parse().unwrap();
        assert!((60..=100).contains(&wait), "{wait}");
        let refused = front.refused();
        assert_eq!(
            (refused[1].code, &*refused[1].reason),
            ("rate_limited", "too many requests: expected at most 0.01 a second, found more")
        );
        assert_eq!(front.events().len(), 1);
    });
}

#[test]
fn what_is_not_stored_uses_up_nothing_of_the_rate() {
    const COPIES: usize = 20;
    run(async {
        let mut config = config();
        config.endpoints[0].rate = Some(3.0);
        config.endpoints[0].deduplication = Deduplication::BodyHash { window: LONG };
        let front = Front::new(&config).await;
        let first = front.webhook("{}").await.id();
        for _ in 0..COPIES {
            assert_eq!(front.webhook("{}").await.json(), json!({"status": "duplicate", "id": first}));
        }
        // Many at once, none of which is answered yet.
        front.ledger.hang();
        let (headers, mut peers) = (signed(b"{}"), Vec::new());
        for _ in 0..COPIES {
            let mut peer = front.connect().await;
            peer.send(&request("POST", "/webhook", &headers, b"{}")).await;
            peers.push(peer);
        }
        until("all wait for the ledger", || front.ledger.begun() == 1 + 2 * COPIES).await;
        let event = async {
            let answer = front.webhook(r#"{"genuine": 1}"#);
            let go = async {
                until("it waits too", || front.ledger.begun() == 2 + 2 * COPIES).await;
                front.ledger.go.add_permits(COPIES + 1);
            };
            tokio::join!(answer, go).0
        };
        assert_eq!(event.await.json()["status"], "accepted");
        for peer in &mut peers {
            assert_eq!(peer.answer().await.status, 200);
        }
        front.ledger.go.add_permits(COPIES);
        // Nor does what comes back, or what the ledger does not take.
        let back = [signed(b"[]"), header("X-Receiver-Event-Id", &first)].concat();
        assert_eq!(front.post(&back, b"[]").await.status, 508);
        assert_eq!(front.refused().iter().filter(|refused| refused.code == "rate_limited").count(), 0);
    });
}

#[test]
fn what_the_ledger_refuses_uses_up_nothing_of_the_rate() {
    run(async {
        let mut config = config();
        config.endpoints[0].rate = Some(0.01);
        let front = Front::new(&config).await;
        front.ledger.fail(Some(LedgerError::Full));
        for _ in 0..3 {
            assert_eq!(front.webhook("{}").await.status, 503);
        }
        front.ledger.fail(None);
        assert_eq!(front.webhook("{}").await.status, 200);
        assert_eq!(front.webhook("{}").await.status, 429);
    });
}

#[test]
fn forged_requests_use_up_nothing_of_the_rate() {
    run(async {
        let mut config = config();
        config.endpoints[0].rate = Some(0.01);
        let front = Front::new(&config).await;
        let forged = signed_headers(&Secret::new("another").unwrap(), b"{}", None);
        for _ in 0..10 {
            assert_eq!(front.post(&forged, b"{}").await.status, 401);
        }
        assert_eq!(front.webhook("{}").await.status, 200);
        let answer = front.webhook("{}").await;
        assert!(answer.status == 429 && answer.header("retry-after").is_some(), "{answer:?}");
        // Whoever cannot sign does not learn that it is used up.
        assert_eq!(front.post(&forged, b"{}").await.status, 401);
    });
}

#[test]
fn what_strangers_look_for_is_answered_and_counted_and_seldom_told() {
    const REQUESTS: usize = 200;
    let (asked, lines) = run(async {
        let front = Front::new(&config()).await;
        let ask = async || {
            let request = http::Request::get("/.env").body(http_body_util::Full::<bytes::Bytes>::default()).unwrap();
            assert_eq!(front.acceptor.answer(request, front.address).await.status(), 404);
        };
        let began = std::time::Instant::now();
        for _ in 0..REQUESTS {
            ask().await;
        }
        let kept = front.refused().len();
        let most = 11.0 + 10.0 * began.elapsed().as_secs_f64();
        assert!(kept >= 10 && kept as f64 <= most, "{kept} in {:?}", began.elapsed());
        assert!(
            front.counted(&format!(r#"pylon_receiver_refused_total{{endpoint="",reason="unknown_path"}} {REQUESTS}"#))
        );
        // One more is told before long, and says how many were not.
        let mut asked = REQUESTS;
        let asking = async {
            while front.refused().len() == kept {
                ask().await;
                asked += 1;
                tokio::time::sleep(Duration::from_millis(1)).await;
            }
        };
        within("one more is logged", asking).await;
        // An endpoint's refusals are told all the same.
        assert_eq!(front.post(&[], b"{}").await.status, 401);
        assert_eq!(front.refused().last().unwrap().code, "signature_missing");
        asked
    });
    let not_logged = |line: &String| line.rsplit_once("not_logged=").unwrap().1.parse::<usize>().unwrap();
    let (of_endpoint, elsewhere) = lines.split_last().unwrap();
    assert_eq!(not_logged(of_endpoint), 0, "{of_endpoint}");
    assert!(not_logged(elsewhere.last().unwrap()) > 0, "{elsewhere:?}");
    assert_eq!(elsewhere.len() + elsewhere.iter().map(not_logged).sum::<usize>(), asked, "{elsewhere:?}");
}

/// What a refused request brings, whether its value is kept.
const OF_REFUSED: [(&str, bool); 19] = [
    ("accept", true),
    ("accept-encoding", true),
    ("connection", true),
    ("content-encoding", true),
    ("content-type", true),
    ("forwarded", true),
    ("via", true),
    ("x-forwarded-for", true),
    ("x-pylon-timestamp", true),
    // Another endpoint requires it.
    ("user-agent", false),
    ("x-pylon-signature", false),
    ("x_pylon_signature", false),
    ("authorization", false),
    ("proxy-authorization", false),
    ("cookie", false),
    ("x-api-key", false),
    ("x-receiver-event-id", false),
    ("referer", false),
    ("x-anything", false),
];

#[test]
fn of_a_refused_request_every_name_is_kept_and_the_values_that_are_no_credentials() {
    run(async {
        let mut config = config();
        let mut other = EndpointConfig::signed("/other", [SecretSource::given(SECRET)]);
        other.name = "other".into();
        other.header = Some(secrets::bearer("user-agent"));
        config.endpoints.push(other);
        let front = Front::new(&config).await;
        let headers = OF_REFUSED.map(|(name, _)| (name.to_owned(), format!("value of {name}")));
        for path in ["/webhook", "/nowhere"] {
            front.ask(&request("POST", path, &headers, b"")).await;
        }
        for refused in front.refused() {
            let found: Vec<_> = refused.headers.iter().collect();
            for (name, is_kept) in OF_REFUSED {
                let value = if is_kept { format!("value of {name}") } else { Headers::NOT_KEPT.to_owned() };
                assert!(found.contains(&(name, value.as_bytes())), "{}: {name}: {value}", refused.path);
            }
            assert_eq!(found.len(), OF_REFUSED.len() + 2, "Host and Content-Length besides");
        }
        assert_eq!(front.refused().len(), 2);
    });
}

#[test]
fn of_a_strangers_headers_a_bounded_beginning_is_kept() {
    let value = |length: usize| "v".repeat(length);
    let cut = format!("{}...", value(256));
    run(async {
        let front = Front::new(&config()).await;
        let headers = [header("User-Agent", &value(256)), header("Via", &value(257)), header("Accept", &value(20_000))];
        front.post(&headers.concat(), b"").await;
        let many: Vec<_> = (0..80).map(|number| (format!("X-{number}"), "v".to_owned())).collect();
        front.post(&many, b"").await;
        let long: Vec<_> = (0..40).map(|_| ("User-Agent".to_owned(), value(600))).collect();
        front.post(&long, b"").await;
        front.post(&header(&"n".repeat(5000), "v"), b"").await;
        let kept: Vec<Vec<(String, String)>> = front
            .refused()
            .iter()
            .map(|refused| {
                assert!(refused.headers.as_bytes().len() < 4500);
                let texts = |(name, value): (&str, &[u8])| (name.into(), String::from_utf8(value.into()).unwrap());
                refused.headers.iter().map(texts).collect()
            })
            .collect();
        let value_of = |name: &str| &kept[0].iter().find(|(found, _)| found == name).unwrap().1;
        assert_eq!((value_of("user-agent"), value_of("via"), value_of("accept")), (&value(256), &cut, &cut));
        assert_eq!(kept[1].len(), 51);
        assert_eq!(kept[1].last().unwrap(), &("x-receiver-dropped-headers".to_owned(), "32".to_owned()));
        let (last, rest) = kept[2].split_last().unwrap();
        assert_eq!(rest.iter().filter(|(name, value)| name == "user-agent" && *value == cut).count(), 14);
        assert_eq!(last, &("x-receiver-dropped-headers".to_owned(), "26".to_owned()));
        assert_eq!(kept[3].last().unwrap(), &("x-receiver-dropped-headers".to_owned(), "1".to_owned()));
        assert_eq!(kept[3].len(), 3, "the others are kept");
    });
}

#[test]
fn every_refusal_that_can_occur_is_counted_from_the_start() {
    let series = |front: &Front| -> Vec<String> {
        let metrics = front.metrics.encode().unwrap();
        let all = metrics.lines().filter_map(|line| line.strip_prefix("pylon_receiver_refused_total"));
        all.filter(|line| line.ends_with(" 0")).map(str::to_owned).collect()
    };
    let has = |front: &Front, endpoint: &str, reason: &str| {
        series(front).contains(&format!("{{endpoint=\"{endpoint}\",reason=\"{reason}\"}} 0"))
    };
    run(async {
        let front = Front::new(&config()).await;
        assert!(has(&front, "", "unknown_path"));
        for reason in ["method_not_allowed", "too_large", "body_timeout", "ledger_full", "no_secret", "loop_detected"] {
            assert!(has(&front, "webhook", reason), "{reason}");
        }
        for reason in ["signature_missing", "signature_mismatch", "timestamp_stale", "timestamp_malformed"] {
            assert!(has(&front, "webhook", reason), "{reason}");
        }
        for reason in ["header_missing", "rate_limited", "forbidden_source"] {
            assert!(!has(&front, "webhook", reason), "{reason} cannot occur");
        }
        let mut other = EndpointConfig::signed("/other", [SecretSource::given(SECRET)]);
        (other.name, other.signature, other.rate) = ("other".into(), None, Some(1.0));
        (other.header, other.sources) = (Some(secrets::bearer("x-token")), vec!["us".parse().unwrap()]);
        let mut reloaded = config();
        reloaded.endpoints.push(other);
        front.reload(&reloaded);
        for reason in ["header_missing", "header_mismatch", "rate_limited", "forbidden_source"] {
            assert!(has(&front, "other", reason), "{reason}");
        }
        assert!(!has(&front, "other", "signature_missing"));
        assert!(front.counted(r#"pylon_receiver_accepted_total{endpoint="other"} 0"#));
    });
}

#[test]
fn a_flood_of_one_refusal_hides_no_other() {
    run(async {
        let mut config = config();
        config.endpoints.push(EndpointConfig::signed("/other", [SecretSource::given(SECRET)]).name("other".into()));
        let front = Front::new(&config).await;
        let flood = async || {
            for _ in 0..200 {
                let request =
                    http::Request::get("/webhook").body(http_body_util::Full::<bytes::Bytes>::default()).unwrap();
                assert_eq!(front.acceptor.answer(request, front.address).await.status(), 405);
            }
        };
        flood().await;
        assert!(front.refused().len() < 200, "there is a limit");
        assert_eq!(front.post(&[], b"{}").await.status, 401);
        assert_eq!(front.refused().last().unwrap().code, "signature_missing");
        flood().await;
        assert_eq!(front.ask(&request("GET", "/other", &[], b"")).await.status, 405);
        assert_eq!(front.refused().last().unwrap().endpoint.as_deref(), Some("other"));
    });
}

#[test]
fn a_refused_request_is_kept_without_what_could_be_presented_again() {
    const SHOWN: &str = "never-shown";
    let ((), lines) = run(async {
        let mut config = config();
        config.endpoints[0].header = Some(secrets::bearer("x-token"));
        let front = Front::new(&config).await;
        let names = ["Authorization", "Proxy-Authorization", "Cookie", "X-Token", "X-Pylon-Signature"];
        let mut headers: Vec<_> = names.iter().map(|name| (name.to_string(), format!("{SHOWN} {name}"))).collect();
        headers.extend(header("X-Pylon-Timestamp", "1"));
        headers.extend(header("X-Kept", "shown"));
        let body = format!("{}{}", "Jo Confidential ", "x".repeat(10_000));
        for path in ["/webhook", "/webhoook"] {
            front.ask(&request("POST", &format!("{path}?{SHOWN}"), &headers, body.as_bytes())).await;
        }
        let refused = front.refused();
        for (refused, path) in refused.iter().zip(["/webhook", "/webhoook"]) {
            let kept = |(name, value): (&str, &[u8])| (value != Headers::NOT_KEPT.as_bytes()).then(|| name.to_owned());
            let kept: Vec<_> = refused.headers.iter().filter_map(kept).collect();
            assert_eq!(kept, ["host", "content-length", "x-pylon-timestamp"], "{path}");
            assert_eq!(refused.headers.iter().count(), 9, "the names of the others are told");
            assert_eq!((&*refused.method, &*refused.path), ("POST", path));
        }
        assert_eq!((refused[0].body.as_ref(), refused[0].body_length), (&body.as_bytes()[..4096], body.len() as u64));
        assert_eq!((refused[1].body.as_ref(), refused[1].body_length), (&b""[..], 0), "it was not read");
    });
    assert_eq!(lines.len(), 2);
    for line in lines {
        assert!(!line.contains(SHOWN) && !line.contains("Confidential") && !line.contains(SECRET), "{line}");
    }
}

#[test]
fn what_a_stranger_writes_breaks_no_line_of_the_log() {
    let ((), lines) = run(async {
        let front = Front::new(&config()).await;
        let path = format!("/a%0Ab\"{}", "x".repeat(5000));
        assert_eq!(front.ask(&request("POST", &path, &[], b"")).await.status, 404);
        assert_eq!(&*front.refusal().path, &path[..200]);
        front.ask(&request(&"M".repeat(5000), "/", &[], b"")).await;
        assert!(front.refused()[1].method.len() == 200);
    });
    assert!(lines[0].contains("path=\"/a%0Ab\\\"xxx") && lines[0].len() < 600, "{}", lines[0]);
}

#[test]
fn a_head_request_is_refused_without_a_body() {
    run(async {
        let front = Front::new(&config()).await;
        let mut peer = front.connect().await;
        peer.send(&request("HEAD", "/webhook", &[], b"")).await;
        assert_eq!(peer.next_of("HEAD").await.unwrap().status, 405);
        peer.send(&request("HEAD", "/other", &[], b"")).await;
        assert_eq!(peer.next_of("HEAD").await.unwrap().status, 404);
    });
}
