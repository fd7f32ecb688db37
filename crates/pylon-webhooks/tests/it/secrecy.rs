//! What is printed never shows a secret, an expected signature or a body.

use pylon_webhooks::{
    CustomEvent, Error, EventReader, IssueNewEvent, Payload, Secret, Verified, Verifier, WebhookHandler,
    parse_webhook_event, sign,
};
use std::fmt::{Debug, Display};

const SECRET: &str = "kX9-never-shown-secret";
const OLD_SECRET: &str = "qZ3-never-shown-either";
/// Stands in every body here, and in every header value that is refused.
const MARK: &str = "Jo Confidential";
const NOW: u64 = 1_700_000_000;

fn body() -> String {
    format!(r#"{{"event_type": "issue_new", "issue_title": "{MARK}", "issue_number": "{MARK}"}}"#)
}

fn handler() -> WebhookHandler {
    let verifier = Verifier::builder().secret(SECRET).secret(OLD_SECRET).clock(|| NOW).build().unwrap();
    WebhookHandler::from_parts(verifier, EventReader::new())
}

fn signed(body: &str, timestamp: Option<&str>) -> String {
    sign(&Secret::new(SECRET).unwrap(), body.as_bytes(), timestamp)
}

#[track_caller]
fn is_discreet(text: &str) {
    let bytes_of = |text: &str| format!("{:?}", text.as_bytes()).trim_matches(['[', ']']).to_owned();
    let signatures = [SECRET, OLD_SECRET].into_iter().flat_map(|secret| {
        let secret = Secret::new(secret).unwrap();
        [None, Some("1700000000"), Some("1"), Some("9999999999")]
            .map(|timestamp| sign(&secret, body().as_bytes(), timestamp))
    });
    for hidden in signatures.chain([SECRET, OLD_SECRET, MARK].map(str::to_owned)) {
        assert!(!text.contains(&hidden), "{hidden} in {text}");
        assert!(!text.contains(&bytes_of(&hidden)), "the bytes of {hidden} in {text}");
    }
}

#[track_caller]
fn is_printed_discreetly(value: &(impl Debug + Display)) {
    is_discreet(&format!("{value}"));
    is_discreet(&format!("{value:?}"));
    is_discreet(&format!("{value:#?}"));
}

#[track_caller]
fn is_debugged_discreetly(value: &impl Debug) {
    is_discreet(&format!("{value:?}"));
    is_discreet(&format!("{value:#?}"));
}

#[test]
#[should_panic(expected = "never-shown")]
fn the_check_finds_a_secret() {
    is_discreet(&format!("Secret({SECRET})"));
}

#[test]
#[should_panic(expected = "the bytes of")]
fn the_check_finds_a_secret_printed_as_bytes() {
    is_debugged_discreetly(&SECRET.as_bytes());
}

#[test]
fn secrets_and_what_holds_them_print_redacted() {
    let secret = Secret::new(SECRET).unwrap();
    assert_eq!(format!("{secret:?}"), "Secret([redacted])");
    let builder = Verifier::builder().secret(SECRET).secret(OLD_SECRET);
    assert_eq!(format!("{builder:?}"), "VerifierBuilder { secrets: 2 [redacted], .. }");
    let mut handler = handler();
    handler.on(|_: IssueNewEvent| {});
    is_debugged_discreetly(&handler);
    is_debugged_discreetly(handler.verifier());
    assert!(format!("{:?}", handler.verifier()).contains("2 [redacted]"));
}

#[test]
fn events_and_payloads_print_their_length_and_not_the_body() {
    let event = parse_webhook_event(body().into_bytes()).unwrap();
    assert_eq!(event.text("issue_title"), MARK, "the event holds what must not show");
    is_debugged_discreetly(&event);
    is_debugged_discreetly(&event.typed());
    is_debugged_discreetly(&IssueNewEvent::of(&event).unwrap());
    is_debugged_discreetly(&Verified::stored(event.clone()));
    is_debugged_discreetly(&event.problems());
    is_debugged_discreetly(&Payload::from(body().into_bytes()));
    assert!(format!("{event:?}").contains(&format!("raw_bytes: {}", body().len())));
    let handled = handler().handle(body().as_bytes(), Some(&signed(&body(), None)), None).unwrap();
    is_debugged_discreetly(&handled);
}

#[test]
fn every_refusal_keeps_silent_about_what_it_refused() {
    let handler = handler();
    let body = body();
    let genuine = signed(&body, None);
    let (old, ahead) = (signed(&body, Some("1")), signed(&body, Some("9999999999")));
    let refused = [
        (None, None),
        (Some(MARK), None),
        (Some("sha256="), None),
        (Some(&genuine[1..]), None),
        (Some(&*format!("{genuine},{genuine}")), None),
        (Some(&*"0".repeat(64)), None),
        (Some(&*genuine), Some("1700000000")),
        (Some(&*genuine), Some(MARK)),
        (Some(&*old), Some("1")),
        (Some(&*ahead), Some("9999999999")),
    ]
    .map(|(signature, timestamp)| handler.handle(body.as_bytes(), signature, timestamp).unwrap_err());
    let codes: std::collections::BTreeSet<&str> = refused.iter().map(Error::code).collect();
    assert_eq!(codes.len(), 6, "{codes:?}");
    for error in &refused {
        is_printed_discreetly(error);
    }
}

#[test]
fn a_refused_header_name_or_value_is_not_echoed() {
    let headers = [("Stripe-Signature", MARK), ("X-Pylon-Signature", MARK)];
    let error = handler().handle_headers(body().as_bytes(), headers).unwrap_err();
    is_printed_discreetly(&error);
}

#[test]
fn a_payload_error_holds_the_body_and_does_not_print_it() {
    let body = format!("{{\"event_type\": \"{MARK}");
    let error = handler().handle(body.as_bytes(), Some(&signed(&body, None)), None).unwrap_err();
    is_printed_discreetly(&error);
    let Error::Payload(error) = error else { panic!("a payload error") };
    assert_eq!(error.payload(), body.as_bytes());
    is_printed_discreetly(&error);
    assert!(format!("{error:?}").contains(&format!("payload_bytes: {}", body.len())));
}

#[test]
fn the_errors_of_handlers_do_not_print_the_event() {
    let mut handler = handler();
    handler.on(|_: IssueNewEvent| Err::<(), _>("the database is gone"));
    let error = handler.handle(body().as_bytes(), Some(&signed(&body(), None)), None).unwrap_err();
    assert_eq!(error.to_string(), "a handler failed: the database is gone");
    is_printed_discreetly(&error);
}

#[test]
fn a_type_of_ones_own_that_the_body_does_not_fit_is_told_without_the_body() {
    #[derive(Debug, serde::Deserialize)]
    struct Numbered {
        #[expect(dead_code, reason = "never read: the body does not fit")]
        issue_number: u64,
    }
    impl CustomEvent for Numbered {
        const NAME: &'static str = "issue_new";
    }
    let mut handler = handler();
    handler.on(|_: Numbered| {});
    let error = handler.handle(body().as_bytes(), Some(&signed(&body(), None)), None).unwrap_err();
    is_printed_discreetly(&error);
    let Error::Handlers(errors) = &error else { panic!("an error of handlers") };
    let failure = &*errors.failures()[0].error;
    is_printed_discreetly(&failure);
    assert_eq!(failure.to_string(), "the body does not fit the type at line 1 column 95");
}

#[test]
fn problems_name_the_field_and_not_its_value() {
    let event = parse_webhook_event(body().into_bytes()).unwrap();
    let problems: Vec<String> = event.problems().iter().map(ToString::to_string).collect();
    assert_eq!(problems, ["issue_number: not a whole number", "issue_last_message_sent_at: absent"]);
}
