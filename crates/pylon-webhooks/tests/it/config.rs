//! Configurations that are refused, and those that are kept.

use pylon_webhooks::{
    ConfigError, DEFAULT_DEPTH_LIMIT, DEFAULT_TOLERANCE, EventKind, EventReader, NameSource, Secret, TimestampRule,
    Verifier, WebhookHandler, parse_webhook_event, sign,
};
use std::time::Duration;

#[test]
fn a_verifier_without_a_secret_is_refused() {
    let error = Verifier::builder().build().unwrap_err();
    assert_eq!(error, ConfigError::NoSecret);
    assert_eq!(error.to_string(), "no secret: pass the secret that Pylon shows for the webhook destination");
}

#[test]
fn an_empty_secret_is_refused_wherever_it_is_given() {
    let sentence = "a secret is empty, or only white space and quotes, so anyone could sign: pass the secret that Pylon \
                    shows for the webhook destination";
    assert_eq!(Secret::new("").unwrap_err().to_string(), sentence);
    assert_eq!(WebhookHandler::new("").unwrap_err(), ConfigError::EmptySecret);
    for secrets in [["", "good"], ["good", ""]] {
        let builder = secrets.iter().fold(Verifier::builder(), |builder, secret| builder.secret(secret));
        assert_eq!(builder.build().unwrap_err(), ConfigError::EmptySecret);
    }
}

#[test]
fn a_variable_that_holds_no_secret_is_named() {
    const VARIABLE: &str = "PYLON_TEST_SECRET_THAT_NOBODY_SETS";
    let sentence = format!(
        "no secret: the environment variable {VARIABLE} is not set; set it to the secret that Pylon shows for the webhook \
         destination"
    );
    let errors = [
        Secret::from_env(VARIABLE).unwrap_err(),
        WebhookHandler::from_env(VARIABLE).unwrap_err(),
        Verifier::builder().secret("good").secret_env(VARIABLE).build().unwrap_err(),
    ];
    for error in errors {
        assert_eq!(error, ConfigError::SecretVariable { variable: VARIABLE.into(), is_set: false });
        assert_eq!(error.to_string(), sentence);
        // What `main` prints.
        assert_eq!(format!("{:?}", Box::<dyn std::error::Error>::from(error)), sentence);
    }
    let empty = ConfigError::SecretVariable { variable: "X".into(), is_set: true }.to_string();
    assert!(
        empty.starts_with("no secret: the environment variable X is empty, or only white space and quotes; set it to"),
        "{empty}"
    );
    // Cargo sets this one.
    let verifier = Verifier::builder().secret_env("CARGO_PKG_NAME").build().unwrap();
    let signature = sign(&Secret::new("pylon-webhooks").unwrap(), b"{}", None);
    assert!(verifier.verify(b"{}", Some(&signature), None).is_ok());
}

#[test]
fn one_header_for_both_is_refused() {
    let builder = Verifier::builder().secret("s").signature_header("X-Sig").timestamp_header("x-sig");
    let error = builder.build().unwrap_err();
    assert_eq!(error, ConfigError::SameHeader);
    assert_eq!(error.to_string(), "the signature header and the timestamp header must have different names");
}

#[test]
fn a_header_name_that_http_does_not_allow_is_refused() {
    for name in ["", " ", "X Pylon", "X-Pylon:", "X-Pylon\r\n", "X-Pylon-Signatüre"] {
        let signature = Verifier::builder().secret("s").signature_header(name).build();
        assert_eq!(signature.unwrap_err(), ConfigError::HeaderName, "{name:?}");
        let timestamp = Verifier::builder().secret("s").timestamp_header(name).build();
        assert_eq!(timestamp.unwrap_err(), ConfigError::HeaderName, "{name:?}");
    }
    assert_eq!(
        ConfigError::HeaderName.to_string(),
        "a header name must be letters, digits and `-`, for instance X-Pylon-Signature"
    );
}

#[test]
fn a_verifier_tells_how_it_is_configured() {
    let usual = Verifier::builder().secret("s").build().unwrap();
    assert_eq!(usual.header_names(), ("X-Pylon-Signature", "X-Pylon-Timestamp"));
    assert_eq!((usual.tolerance(), usual.timestamp_rule()), (DEFAULT_TOLERANCE, TimestampRule::Optional));
    let other = Verifier::builder()
        .secret("s")
        .signature_header("X-A")
        .timestamp_header("X-B")
        .tolerance(Duration::from_millis(1999))
        .timestamp_rule(TimestampRule::Required)
        .clock(|| 7)
        .build()
        .unwrap();
    assert_eq!(other.header_names(), ("X-A", "X-B"));
    assert_eq!(other.tolerance(), Duration::from_secs(1), "whole seconds");
    assert_eq!((other.timestamp_rule(), other.unix_seconds()), (TimestampRule::Required, 7));
}

#[test]
fn a_pointer_without_its_slash_is_refused() {
    for pointer in ["", "event", "#/event"] {
        let reader = EventReader::builder().name_source(NameSource::Pointer(pointer.into())).build();
        assert_eq!(reader.unwrap_err(), ConfigError::Pointer, "{pointer:?}");
    }
    assert_eq!(ConfigError::Pointer.to_string(), "a JSON pointer must start with `/`, for instance /meta/event");
}

#[test]
fn an_empty_event_name_is_refused_wherever_it_is_given() {
    assert_eq!(
        EventReader::builder().name_source(NameSource::Fixed(" ".into())).build().unwrap_err(),
        ConfigError::EmptyName
    );
    assert_eq!(EventReader::builder().name("\t", EventKind::IssueNew).build().unwrap_err(), ConfigError::EmptyName);
    assert_eq!(
        ConfigError::EmptyName.to_string(),
        "an event name is empty: pass the name that the trigger's template sends, for instance issue_new"
    );
}

#[test]
fn a_depth_limit_outside_its_bounds_is_refused() {
    for limit in [0, DEFAULT_DEPTH_LIMIT + 1, usize::MAX] {
        assert_eq!(EventReader::builder().depth_limit(limit).build().unwrap_err(), ConfigError::DepthLimit, "{limit}");
    }
    assert_eq!(ConfigError::DepthLimit.to_string(), "the depth limit must be between 1 and 100");
    assert_eq!(DEFAULT_DEPTH_LIMIT, 100, "which the sentence names");
}

#[test]
fn a_lower_depth_limit_holds_to_the_level() {
    let reader = EventReader::builder().depth_limit(1).build().unwrap();
    reader.parse(b"{}").unwrap();
    reader.parse(br#"{"a": "[[["}"#).unwrap();
    let error = reader.parse(br#"{"a": {}}"#).unwrap_err();
    assert_eq!(error.to_string(), "unreadable payload: expected at most 1 levels of nesting, found more");
    assert_eq!(reader.parse(b"[[]]").unwrap_err().to_string(), error.to_string());
}

#[test]
fn of_a_name_mapped_twice_the_later_kind_counts() {
    let builder = EventReader::builder().name("created", EventKind::IssueNew);
    let reader = builder.name("CREATED", EventKind::IssueMessageNew).build().unwrap();
    assert_eq!(reader.kind_of("created"), Some(EventKind::IssueMessageNew));
}

#[test]
fn every_template_is_read_without_a_problem_but_its_placeholders() {
    for &kind in EventKind::ALL {
        let event = parse_webhook_event(kind.template().into_bytes()).unwrap();
        assert_eq!(event.kind(), Some(kind));
        assert_eq!(event.extra(), serde_json::Map::new());
        for problem in event.problems() {
            assert_eq!(problem.reason.to_string(), "an unresolved placeholder", "{kind}: {problem}");
        }
    }
}

#[test]
fn a_delivery_that_came_twice_makes_equal_events() {
    let body = br#"{"event_type": "issue_new", "issue_id": "i1"}"#;
    let (once, again) = (parse_webhook_event(body).unwrap(), parse_webhook_event(body).unwrap());
    assert_eq!(once, again);
    assert_ne!(once, parse_webhook_event(br#"{"event_type": "issue_new", "issue_id": "i2"}"#).unwrap());
}
