//! What an endpoint decides to answer, what it tells the operator, and in which order it looks at things.

use pylon_test_support::log::logged;
use pylon_webhooks::bindings::outcome_of_code;
use pylon_webhooks::{
    DEFAULT_BODY_LIMIT, Endpoint, Error, EventReader, MemoryReplayStore, Outcome, ReplayGuard, RequestFault, Secret,
    TimestampRule, Verifier, WebhookEvent, WebhookHandler, sign,
};
use std::collections::BTreeSet;
use std::future::Future;
use std::sync::{Arc, Mutex};
use tokio::task::yield_now;

/// Names and values.
type Headers = &'static [(&'static str, &'static str)];

const SECRET: &str = "kX9-never-shown-secret";
const NOW: u64 = 1_700_000_000;
const BODY: &str = r#"{"event_type": "issue_new", "issue_title": "Jo Confidential"}"#;

fn handler() -> WebhookHandler {
    let verifier = Verifier::builder().secret(SECRET).clock(|| NOW).build().unwrap();
    WebhookHandler::from_parts(verifier, EventReader::new())
}

fn signed(body: &str, timestamp: Option<&str>) -> String {
    sign(&Secret::new(SECRET).unwrap(), body.as_bytes(), timestamp)
}

/// Runs it on a runtime of this thread, so that what it logs is seen.
fn run<T>(test: impl Future<Output = T>) -> (T, Vec<String>) {
    let runtime = tokio::runtime::Builder::new_current_thread().build().unwrap();
    logged(|| runtime.block_on(test))
}

async fn post<R: Send + 'static>(endpoint: &Endpoint<R>, headers: &[(&str, &str)], body: &str) -> Outcome {
    match endpoint.admit("POST", headers.iter().copied()) {
        Ok(admitted) => endpoint.respond(admitted, body.as_bytes()).await,
        Err(outcome) => outcome,
    }
}

mod outcomes {
    use super::*;

    #[test]
    fn each_has_its_status_body_and_headers() {
        const JSON: (&str, &str) = ("content-type", "application/json");
        let table: [(Outcome, u16, &str, Headers); 11] = [
            (Outcome::Handled, 200, r#"{"status":"handled"}"#, &[JSON]),
            (Outcome::Accepted, 200, r#"{"status":"accepted"}"#, &[JSON]),
            (Outcome::Duplicate, 200, r#"{"status":"duplicate"}"#, &[JSON]),
            (Outcome::Ignored, 200, r#"{"status":"ignored"}"#, &[JSON]),
            (Outcome::Unreadable, 400, r#"{"error":"unreadable"}"#, &[JSON]),
            (Outcome::Unauthorized, 401, r#"{"error":"unauthorized"}"#, &[JSON]),
            (
                Outcome::MethodNotAllowed,
                405,
                r#"{"error":"method_not_allowed"}"#,
                &[JSON, ("allow", "POST, PUT, PATCH")],
            ),
            (Outcome::LengthRequired, 411, r#"{"error":"length_required"}"#, &[JSON]),
            (Outcome::TooLarge, 413, r#"{"error":"too_large"}"#, &[JSON]),
            (Outcome::Failed, 500, r#"{"error":"failed"}"#, &[JSON]),
            (Outcome::Unavailable, 503, r#"{"error":"unavailable"}"#, &[JSON]),
        ];
        assert_eq!(table.map(|(outcome, ..)| outcome), *Outcome::ALL);
        for (outcome, status, body, headers) in table {
            assert_eq!((outcome.status(), outcome.body(), outcome.headers()), (status, body, headers), "{outcome}");
        }
    }

    #[test]
    fn each_is_named_once_and_its_body_is_json_of_that_name() {
        let names: BTreeSet<&str> = Outcome::ALL.iter().map(|outcome| outcome.name()).collect();
        assert_eq!(names.len(), Outcome::ALL.len());
        for outcome in Outcome::ALL {
            let key = if outcome.status() == 200 { "status" } else { "error" };
            let body: serde_json::Value = serde_json::from_str(outcome.body()).unwrap();
            assert_eq!(body, serde_json::json!({ key: outcome.name() }));
            assert_eq!(outcome.to_string(), outcome.name());
        }
    }

    /// The adapters expect as much, and panic where it is not so.
    #[test]
    fn each_is_valid_http() {
        for outcome in Outcome::ALL {
            assert!((200..=599).contains(&outcome.status()), "{outcome}");
            for (name, value) in outcome.headers() {
                assert!(name.bytes().all(|byte| byte.is_ascii_lowercase() || byte == b'-'), "{outcome}: {name}");
                assert!(value.bytes().all(|byte| byte == b' ' || byte.is_ascii_graphic()), "{outcome}: {value}");
            }
        }
    }

    #[test]
    fn every_error_has_one_and_a_refusal_alone_is_unauthorized() {
        let required = Verifier::builder().secret(SECRET).clock(|| NOW).timestamp_rule(TimestampRule::Required);
        let strict = WebhookHandler::from_parts(required.build().unwrap(), EventReader::new());
        let mut failing = handler();
        failing.on_names(["fails"], |_| Err::<(), _>("the database is gone"));
        failing.on_names_async(["waits"], |_| async {});
        let failing = |body: &str, timestamp| {
            let signature = signed(body, timestamp);
            failing.handle(body.as_bytes(), Some(&signature), timestamp).unwrap_err()
        };
        let errors = [
            handler().handle(b"{}", None, None).unwrap_err(),
            handler().handle(b"{}", Some("x"), None).unwrap_err(),
            handler().handle(b"{}", Some(&"0".repeat(64)), None).unwrap_err(),
            strict.handle(b"{}", Some(&signed("{}", None)), None).unwrap_err(),
            handler().handle(b"{}", Some(&signed("{}", None)), Some("soon")).unwrap_err(),
            failing("{}", Some("1699999699")),
            failing("{}", Some("1700000301")),
            failing("event=issue_new", None),
            failing(r#"{"event_type": "fails"}"#, None),
            failing(r#"{"event_type": "waits"}"#, None),
        ];
        let table = errors.each_ref().map(|error| (error.code(), Outcome::from(error)));
        assert_eq!(
            table,
            [
                ("signature_missing", Outcome::Unauthorized),
                ("signature_malformed", Outcome::Unauthorized),
                ("signature_mismatch", Outcome::Unauthorized),
                ("timestamp_missing", Outcome::Unauthorized),
                ("timestamp_malformed", Outcome::Unauthorized),
                ("timestamp_stale", Outcome::Unauthorized),
                ("timestamp_future", Outcome::Unauthorized),
                ("payload", Outcome::Unreadable),
                ("handlers", Outcome::Failed),
                ("async_handler", Outcome::Failed),
            ]
        );
        for error in &errors {
            assert_eq!(outcome_of_code(error.code()), Outcome::from(error));
            assert_eq!(error.is_refusal(), Outcome::from(error) == Outcome::Unauthorized, "{error}");
        }
    }

    #[test]
    fn a_code_that_does_not_exist_is_a_failure_and_no_refusal() {
        for code in ["", "signature", "Signature_Missing", "signature_missing ", "payload_too_large", "unauthorized"] {
            assert_eq!(outcome_of_code(code), Outcome::Failed, "{code:?}");
        }
    }
}

mod requests {
    use super::*;

    #[test]
    fn nothing_but_method_and_headers_is_needed_to_admit() {
        let endpoint = Endpoint::builder(handler()).body_limit(10).build();
        assert_eq!(endpoint.body_limit(), 10);
        let table: [(&str, Headers, Option<Outcome>); 19] = [
            ("POST", &[], None),
            ("POST", &[("Content-Length", "10")], None),
            ("POST", &[("Content-Length", "eleven")], None),
            ("POST", &[("X-Content-Length", "11"), ("Content-Lengths", "11")], None),
            ("POST", &[("Content-Length", "11")], Some(Outcome::TooLarge)),
            ("POST", &[("content-length", "11")], Some(Outcome::TooLarge)),
            ("POST", &[("CONTENT-LENGTH", "18446744073709551615")], Some(Outcome::TooLarge)),
            ("POST", &[("Content-Length", "11"), ("Transfer-Encoding", "chunked")], None),
            ("POST", &[("Content-Length", "11"), ("X-Transfer-Encoding", "chunked")], Some(Outcome::TooLarge)),
            ("PUT", &[("Content-Length", "10")], None),
            ("PATCH", &[], None),
            ("PUT", &[("Content-Length", "11")], Some(Outcome::TooLarge)),
            ("PATCH", &[("Content-Length", "11")], Some(Outcome::TooLarge)),
            ("post", &[], Some(Outcome::MethodNotAllowed)),
            ("PUTS", &[], Some(Outcome::MethodNotAllowed)),
            ("", &[], Some(Outcome::MethodNotAllowed)),
            ("DELETE", &[("Content-Length", "11")], Some(Outcome::MethodNotAllowed)),
            ("GET", &[("Transfer-Encoding", "chunked")], Some(Outcome::MethodNotAllowed)),
            ("GET", &[], Some(Outcome::MethodNotAllowed)),
        ];
        for (method, headers, refused) in table {
            let admitted = endpoint.admit(method, headers.iter().copied());
            assert_eq!(admitted.err(), refused, "{method} {headers:?}");
        }
    }

    /// HTTP forbids it and servers refuse it; whoever passes it on has the limit checked against what arrives.
    #[test]
    fn of_two_declared_lengths_the_last_counts_and_the_limit_holds_all_the_same() {
        let endpoint = Endpoint::builder(handler()).body_limit(10).build();
        let twice = |one, other| endpoint.admit("POST", [("Content-Length", one), ("Content-Length", other)]);
        assert_eq!(twice("5", "11").err(), Some(Outcome::TooLarge));
        for (one, other) in [("11", "5"), ("11", "")] {
            let admitted = twice(one, other).unwrap();
            let (outcome, _) = run(endpoint.respond(admitted, b"01234567890"));
            assert_eq!(outcome, Outcome::TooLarge);
        }
    }

    #[test]
    fn a_body_beyond_the_limit_is_refused_before_its_signature_is_looked_at() {
        let mut handler = handler();
        handler.on_error(|_| -> () { panic!("a body that is too large is no error of the delivery's") });
        let endpoint = Endpoint::builder(handler).body_limit(BODY.len() - 1).build();
        let (outcome, lines) = run(post(&endpoint, &[("X-Pylon-Signature", &signed(BODY, None))], BODY));
        assert_eq!(outcome, Outcome::TooLarge);
        assert_eq!(
            lines,
            ["WARN message=a request was refused: body too large: expected at most 60 bytes, found more \
                 outcome=\"too_large\""]
        );
    }

    #[test]
    fn a_body_that_ended_early_or_never_came_is_unreadable() {
        let mut handler = handler();
        handler.on_any(|_| ());
        let endpoint = Endpoint::new(handler);
        let signature = signed(BODY, None);
        let headers = [("X-Pylon-Signature", &*signature), ("Content-Length", "61")];
        assert_eq!(BODY.len(), 61);
        let (outcomes, lines) = run(async {
            [
                post(&endpoint, &headers, BODY).await,
                post(&endpoint, &headers, &BODY[..60]).await,
                post(&endpoint, &headers, "").await,
            ]
        });
        assert_eq!(outcomes, [Outcome::Handled, Outcome::Unreadable, Outcome::Unreadable]);
        assert_eq!(
            lines,
            [
                "WARN message=a request was refused: incomplete body: expected 61 bytes, as the headers declare, \
                 found 60 \
                 outcome=\"unreadable\"",
                "WARN message=a request was refused: incomplete body: expected 61 bytes, as the headers declare, \
                 found none; the sender disconnected, or something else read the body first outcome=\"unreadable\"",
            ]
        );
    }

    #[test]
    fn a_body_that_an_adapter_knows_to_be_taken_away_is_the_apps_own_fault() {
        let endpoint = Endpoint::new(handler());
        let (outcome, lines) = logged(|| endpoint.refuse(RequestFault::Consumed));
        assert_eq!(outcome, Outcome::Failed);
        assert_eq!(
            lines,
            ["ERROR message=a delivery could not be read: body already read: something else in the app read the \
                 body first; keep middleware and form parsing away from this path outcome=\"failed\""]
        );
    }

    /// As HTTP has it: RFC 9112, section 6.3.
    #[test]
    fn a_transfer_encoding_overrides_the_declared_length_whatever_their_order_and_case() {
        let endpoint = Endpoint::builder(handler()).body_limit(BODY.len()).build();
        let too_long = format!("{BODY} ");
        let encodings = ["Transfer-Encoding", "transfer-encoding", "TRANSFER-ENCODING"];
        let lengths = ["Content-Length", "content-length", "CONTENT-LENGTH"];
        for (encoding, length) in encodings.into_iter().flat_map(|encoding| lengths.map(|length| (encoding, length))) {
            let encoding = (encoding, "chunked");
            for declared in ["1", "61", "62", "18446744073709551615"] {
                let length = (length, declared);
                for both in [vec![encoding, length], vec![length, encoding], vec![length, encoding, length]] {
                    for (body, outcome) in [
                        (BODY, Outcome::Handled),
                        ("{}", Outcome::Handled),
                        (&*too_long, Outcome::TooLarge),
                        ("", Outcome::Unreadable),
                    ] {
                        let signature = signed(body, None);
                        let headers = [both.as_slice(), &[("X-Pylon-Signature", &signature)]].concat();
                        let (found, lines) = run(post(&endpoint, &headers, body));
                        assert_eq!(found, outcome, "{both:?} {body:?}");
                        assert!(!lines.iter().any(|line| line.contains("as the headers declare")), "{lines:?}");
                    }
                }
            }
        }
    }

    /// The order is the same whatever is wrong besides: method, declared size, shutdown; then what was read, the signature,
    /// the JSON, the replay guard, the handlers.
    #[test]
    fn of_several_faults_the_first_in_the_order_is_told() {
        let forged = [("X-Pylon-Signature", "0".repeat(64))];
        let open = Endpoint::builder(handler()).body_limit(10).build();
        let closed = open.clone();
        let ((), _) = run(async {
            let admitted = open.admit("POST", forged.clone()).unwrap();
            let larger = open.admit("POST", forged.clone()).unwrap();
            closed.close().await;
            assert_eq!(open.admit("GET", [("Content-Length", "11")]).unwrap_err(), Outcome::MethodNotAllowed);
            assert_eq!(open.admit("POST", [("Content-Length", "11")]).unwrap_err(), Outcome::TooLarge);
            assert_eq!(open.admit("POST", forged.clone()).unwrap_err(), Outcome::Unavailable);
            // What was admitted before is seen to its end.
            assert_eq!(open.respond(larger, b"not JSON, and more").await, Outcome::TooLarge);
            assert_eq!(open.respond(admitted, b"not JSON").await, Outcome::Unauthorized);
        });
    }

    #[test]
    fn once_closed_it_answers_that_it_is_unavailable_through_every_handle() {
        let mut handler = handler();
        handler.on_any(|_| {});
        let endpoint = Endpoint::new(handler);
        let copy = endpoint.clone();
        let signature = signed(BODY, None);
        let headers = [("X-Pylon-Signature", &*signature)];
        let ((), lines) = run(async {
            assert_eq!(post(&copy, &headers, BODY).await, Outcome::Handled);
            let admitted = copy.admit("POST", headers).unwrap();
            endpoint.close().await;
            endpoint.close().await;
            assert_eq!(post(&copy, &headers, BODY).await, Outcome::Unavailable);
            assert_eq!(copy.respond(admitted, BODY.as_bytes()).await, Outcome::Handled, "it was admitted before");
        });
        assert_eq!(
            lines,
            ["WARN message=a request was answered 503: the app is shutting down \
                            outcome=\"unavailable\""]
        );
    }

    #[test]
    fn headers_may_be_bytes_that_are_no_text() {
        let endpoint = Endpoint::new(handler());
        let headers =
            [("X-Pylon-Signature", b"\xFF\xFE".as_slice()), ("X-Other", b"\x80"), ("Content-Length", b"\xFF")];
        let admitted = endpoint.admit("POST", headers).unwrap();
        let (outcome, _) = run(endpoint.respond(admitted, BODY.as_bytes()));
        assert_eq!(outcome, Outcome::Unauthorized);
    }

    #[test]
    fn the_headers_of_the_verifiers_configuration_are_those_that_count() {
        let verifier = Verifier::builder().secret(SECRET).signature_header("X-Sig").timestamp_header("X-Time");
        let verifier = verifier.clock(|| NOW).build().unwrap();
        let endpoint = Endpoint::new(WebhookHandler::from_parts(verifier, EventReader::new()));
        let signature = signed(BODY, Some("1700000000"));
        let (outcomes, _) = run(async {
            [
                post(&endpoint, &[("x-sig", &signature), ("X-TIME", "1700000000")], BODY).await,
                post(&endpoint, &[("X-Pylon-Signature", &signature), ("X-Pylon-Timestamp", "1700000000")], BODY).await,
                post(&endpoint, &[("x-sig", &signature), ("X-Time", "1700000000"), ("x-time", "1700000000")], BODY)
                    .await,
            ]
        });
        assert_eq!(outcomes, [Outcome::Handled, Outcome::Unauthorized, Outcome::Unauthorized]);
    }

    #[test]
    fn the_handler_of_an_endpoint_can_be_asked_and_used() {
        let endpoint = Endpoint::from(handler());
        assert_eq!(endpoint.handler().verifier().header_names().0, "X-Pylon-Signature");
        assert_eq!(endpoint.body_limit(), DEFAULT_BODY_LIMIT);
        endpoint.handler().handle(BODY.as_bytes(), Some(&signed(BODY, None)), None).unwrap();
    }
}

mod told {
    use super::*;

    fn noting() -> (WebhookHandler, Arc<Mutex<Vec<String>>>) {
        let mut handler = handler();
        let told = Arc::new(Mutex::new(Vec::new()));
        let (at_once, later) = (Arc::clone(&told), Arc::clone(&told));
        handler.on_error(move |error: &Error| at_once.lock().unwrap().push(format!("at once: {}", error.code())));
        handler.on_error_async(move |error: &Error| {
            let (code, later) = (error.code(), Arc::clone(&later));
            async move {
                yield_now().await;
                later.lock().unwrap().push(format!("later: {code}"));
            }
        });
        (handler, told)
    }

    #[test]
    fn those_on_error_are_told_once_of_each_refusal_and_failure() {
        let (mut handler, told) = noting();
        handler.on_any(|_| Err::<(), _>("the database is gone"));
        let endpoint = Endpoint::new(handler);
        let (_, _) = run(async {
            let _ = post(&endpoint, &[], BODY).await;
            let _ =
                post(&endpoint, &[("X-Pylon-Signature", &signed("event=issue_new", None))], "event=issue_new").await;
            let _ = post(&endpoint, &[("X-Pylon-Signature", &signed(BODY, None))], BODY).await;
        });
        assert_eq!(
            *told.lock().unwrap(),
            [
                "at once: signature_missing",
                "later: signature_missing",
                "at once: payload",
                "later: payload",
                "at once: handlers",
                "later: handlers",
            ]
        );
    }

    /// They concern the request and not a delivery: there is no error to tell.
    #[test]
    fn those_on_error_are_not_told_of_what_stands_before_a_signature() {
        let (handler, told) = noting();
        let endpoint = Endpoint::builder(handler).body_limit(10).build();
        let (_, lines) = run(async {
            _ = endpoint.admit("GET", [("Accept", "*/*")]);
            let _ = post(&endpoint, &[("Content-Length", "11")], "").await;
            let _ = post(&endpoint, &[], "01234567890").await;
            let _ = post(&endpoint, &[("Content-Length", "5")], "").await;
            let _ = endpoint.refuse(RequestFault::Broken);
            endpoint.close().await;
            let _ = post(&endpoint, &[], "{}").await;
        });
        assert_eq!(*told.lock().unwrap(), [""; 0]);
        assert_eq!(lines.len(), 6, "the log is: {lines:?}");
    }

    #[test]
    fn one_on_error_that_fails_changes_no_answer() {
        let mut handler = handler();
        handler.on_error(|_: &Error| -> () { panic!("it panics on purpose") });
        handler.on_error_async(|_: &Error| async { Err::<(), _>("the pager is gone") });
        let endpoint = Endpoint::new(handler);
        let (outcome, lines) = run(post(&endpoint, &[], BODY));
        assert_eq!(outcome, Outcome::Unauthorized);
        assert_eq!(
            lines,
            [
                "ERROR message=an on_error handler failed error=it panicked",
                "ERROR message=an on_error handler failed error=the pager is gone",
                "WARN message=a delivery was refused: missing signature: expected 64 hexadecimal digits in \
                 X-Pylon-Signature, found no such header outcome=\"unauthorized\" code=\"signature_missing\"",
            ]
        );
    }

    #[test]
    fn each_class_of_answer_has_its_line_in_the_log() {
        let mut handler = handler();
        handler.on_names(["issue_new"], |_| ());
        handler.on_names(["fails"], |_| Err::<(), _>("the database is gone"));
        handler.on_names(["panics"], |_| -> () { panic!("it panics on purpose") });
        let guard = ReplayGuard::exact_request(MemoryReplayStore::new(10));
        let endpoint = Endpoint::builder(handler).body_limit(100).replay_guard(guard).build();
        let send = |method: &str, headers: &[(&str, &str)], body: &str| {
            run(async {
                match endpoint.admit(method, headers.iter().copied()) {
                    Ok(admitted) => endpoint.respond(admitted, body.as_bytes()).await,
                    Err(outcome) => outcome,
                }
            })
        };
        let delivery = |body: &str| send("POST", &[("X-Pylon-Signature", &signed(body, None))], body);
        let line = |text: &str| vec![text.to_owned()];

        assert_eq!(delivery(BODY), (Outcome::Handled, vec![]), "what goes well is told at the level of debugging");
        assert_eq!(
            delivery(BODY),
            (Outcome::Duplicate, line("INFO message=a duplicate was answered and not handled event=\"issue_new\""))
        );
        assert_eq!(
            send("GET", &[], ""),
            (
                Outcome::MethodNotAllowed,
                line(
                    "WARN message=a request was refused: wrong method: expected POST, PUT or PATCH, found another; \
                     choose POST as the method of the webhook in Pylon outcome=\"method_not_allowed\""
                )
            )
        );
        assert_eq!(
            send("POST", &[("Content-Length", "101")], ""),
            (
                Outcome::TooLarge,
                line(
                    "WARN message=a request was refused: body too large: expected at most 100 bytes, found more \
                     outcome=\"too_large\""
                )
            )
        );
        assert_eq!(
            send("POST", &[("X-Pylon-Signature", &signed(BODY, Some("1"))), ("X-Pylon-Timestamp", "1")], BODY),
            (
                Outcome::Unauthorized,
                line(
                    "WARN message=a delivery was refused: stale timestamp: 1699999999 seconds old, at most 300 \
                     accepted; \
                     a replay, a late delivery, or this machine's clock is fast outcome=\"unauthorized\" \
                     code=\"timestamp_stale\""
                )
            )
        );
        assert_eq!(
            delivery("event=issue_new"),
            (
                Outcome::Unreadable,
                line(
                    "WARN message=a delivery was refused: unreadable payload: expected JSON, found a form body \
                     outcome=\"unreadable\" code=\"payload\""
                )
            )
        );
        assert_eq!(
            delivery(r#"{"event_type": "fails"}"#),
            (
                Outcome::Failed,
                line(
                    "ERROR message=a delivery was not handled outcome=\"failed\" code=\"handlers\" reason=\"a \
                     handler \
                     failed: the database is gone\""
                )
            )
        );
        assert_eq!(
            delivery(r#"{"event_type": "panics"}"#),
            (
                Outcome::Failed,
                line(
                    "ERROR message=a delivery was not handled outcome=\"failed\" code=\"handlers\" reason=\"a \
                     handler \
                     failed: it panicked\""
                )
            )
        );
        let (outcome, lines) = logged(|| endpoint.refuse(RequestFault::Broken));
        assert_eq!(outcome, Outcome::Unreadable);
        assert_eq!(
            lines,
            ["WARN message=a request was refused: incomplete body: the connection closed before the end of the body \
              outcome=\"unreadable\""]
        );
    }

    /// Whoever reads the log line by line, or in a terminal, is shown nothing that the app did not say.
    #[test]
    fn what_a_handler_or_a_sender_says_is_escaped_in_the_log() {
        let mut handler = handler();
        let says = "it broke at\r\nERROR the disk is full \u{1b}[2J\u{1b}[31mred \u{7}\"quoted\"";
        handler.on_names(["fails"], move |_| Err::<(), _>(says));
        handler.on_names_async(["fails_later"], move |_| async move { Err::<(), _>(says) });
        let guard = ReplayGuard::exact_request(MemoryReplayStore::new(10));
        let endpoint = Endpoint::builder(handler).replay_guard(guard).build();
        let delivery = |body: &str| run(post(&endpoint, &[("X-Pylon-Signature", &signed(body, None))], body));
        for body in [r#"{"event_type": "fails"}"#, r#"{"event_type": "fails_later"}"#] {
            let (outcome, lines) = delivery(body);
            assert_eq!(outcome, Outcome::Failed);
            assert_eq!(
                lines,
                [
                    r#"ERROR message=a delivery was not handled outcome="failed" code="handlers" reason="a handler failed: it broke at\r\nERROR the disk is full \u{1b}[2J\u{1b}[31mred \u{7}\"quoted\"""#
                ]
            );
        }
        let named = r#"{"event_type": "one\nERROR two\u001b[31m"}"#;
        let untaken = r#"INFO message=no handler takes events of this name event="one\nERROR two\u{1b}[31m""#;
        assert_eq!(delivery(named), (Outcome::Handled, vec![untaken.to_owned()]));
        assert_eq!(
            delivery(named),
            (
                Outcome::Duplicate,
                vec![
                    r#"INFO message=a duplicate was answered and not handled event="one\nERROR two\u{1b}[31m""#.into()
                ]
            )
        );
    }

    #[test]
    fn neither_answer_nor_log_nor_debug_shows_a_secret_a_header_or_a_body() {
        let mut handler = handler();
        handler.on_any(|_: WebhookEvent| Err::<(), _>("the database is gone"));
        let guard = ReplayGuard::exact_request(MemoryReplayStore::new(10));
        let endpoint = Endpoint::builder(handler).body_limit(1000).replay_guard(guard).build();
        let long = format!("{{\"pad\": \"{}\"}}", "Jo Confidential".repeat(100));
        let not_json = "Jo Confidential".to_owned();
        let bodies = [BODY.to_owned(), long, not_json];
        let signatures: Vec<String> = bodies
            .iter()
            .flat_map(|body| [signed(body, None), signed(body, Some("1700000000")), signed(body, Some("1"))])
            .collect();
        let mut printed = Vec::new();
        for body in &bodies {
            for signature in
                signatures.iter().map(String::as_str).chain(["", "Jo Confidential", "sha256=Jo Confidential"])
            {
                for timestamp in [None, Some("1700000000"), Some("1"), Some("Jo Confidential")] {
                    for length in [None, Some("Jo Confidential"), Some("7")] {
                        let headers = [("X-Pylon-Signature", Some(signature)), ("X-Pylon-Timestamp", timestamp)];
                        let others = [("Content-Length", length), ("Cookie", Some("Jo Confidential"))];
                        let headers = headers.into_iter().chain(others);
                        let headers: Vec<_> = headers.filter_map(|(name, value)| Some((name, value?))).collect();
                        let (outcome, lines) = run(async {
                            let admitted = endpoint.admit("POST", headers.iter().copied()).unwrap();
                            let shown = format!("{admitted:?}");
                            (endpoint.respond(admitted, body.as_bytes()).await, shown)
                        });
                        printed.extend(lines);
                        printed.extend([outcome.0.body().to_owned(), outcome.1]);
                    }
                }
            }
        }
        let builder =
            Endpoint::builder(self::handler()).replay_guard(ReplayGuard::exact_request(MemoryReplayStore::new(1)));
        printed.extend([format!("{endpoint:?}"), format!("{endpoint:#?}"), format!("{builder:?}")]);
        let outcomes: BTreeSet<&str> =
            printed.iter().filter(|text| text.starts_with('{')).map(String::as_str).collect();
        assert_eq!(outcomes.len(), 4, "too large, forged, not JSON and failed were all among them: {outcomes:?}");
        for text in &printed {
            for hidden in signatures.iter().map(String::as_str).chain([SECRET, "Confidential"]) {
                assert!(!text.contains(hidden), "{hidden} in {text}");
            }
        }
    }

    #[test]
    fn an_endpoint_prints_its_configuration_and_counts_its_secrets() {
        let guard = ReplayGuard::exact_request(MemoryReplayStore::new(10));
        let endpoint = Endpoint::builder(handler()).body_limit(7).replay_guard(guard).build();
        let printed = format!("{endpoint:?}");
        for part in [
            "Endpoint {",
            "secrets: 1 [redacted]",
            "body_limit: 7",
            "ReplayGuard { rule: ExactRequest, .. \
                      }",
        ] {
            assert!(printed.contains(part), "{part} in {printed}");
        }
    }
}
