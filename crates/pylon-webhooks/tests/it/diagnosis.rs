//! What the log is told of a mismatch: bodies that something wrote again, and secrets that something went wrong with. The vectors
//! have a case for each; here is what holds for all of them.

use proptest::prelude::*;
use pylon_test_support::log::logged;
use pylon_webhooks::{
    Error, EventKind, EventReader, Hint, Secret, SecretFlaw, Verifier, WebhookHandler, parse_webhook_event, sign,
};
use serde_json::Value;

const SECRET: &str = "test-secret";

/// The hint for a body that arrived in place of the one that was signed.
fn hint(signed: &str, arrived: &[u8]) -> Option<Hint> {
    let signature = sign(&Secret::new(SECRET).unwrap(), signed.as_bytes(), None);
    match Verifier::builder().secret(SECRET).build().unwrap().verify(arrived, Some(&signature), None) {
        Err(Error::SignatureMismatch { hint }) => hint,
        other => panic!("{other:?}"),
    }
}

/// Our template, each variable replaced by a text.
fn filled(kind: EventKind, text: &str) -> String {
    let quoted = Value::from(text).to_string();
    let (mut body, mut rest) = (String::new(), kind.template());
    while let Some((before, after)) = rest.split_once("{{") {
        body.extend([before, &quoted[1..quoted.len() - 1]]);
        rest = after.split_once("}}").unwrap().1.to_owned();
    }
    body + &rest
}

/// What serde_json makes of a body: keys sorted, numbers as they are, no escapes but those that JSON demands.
fn rewritten(body: &str) -> [String; 2] {
    let value: Value = serde_json::from_str(body).unwrap();
    [value.to_string(), serde_json::to_string_pretty(&value).unwrap()]
}

#[test]
fn the_template_of_every_kind_is_recognised_after_a_rewrite() {
    for &kind in EventKind::ALL {
        for text in ["", "1042", "Ça <b>va</b> & \"non\" \u{1F600}\n", "a/b\\c"] {
            let template = filled(kind, text);
            assert_eq!(parse_webhook_event(template.as_bytes()).unwrap().kind(), Some(kind));
            let pasted = [template.clone(), template.trim_end().to_owned(), template.replace('\n', "\r\n")];
            for signed in &pasted {
                for arrived in rewritten(signed) {
                    assert_eq!(hint(signed, arrived.as_bytes()), Some(Hint::BodyReserialized), "{kind}: {arrived}");
                }
            }
        }
    }
}

#[test]
fn a_body_that_is_no_json_gets_no_hint_on_its_form() {
    for arrived in ["{", "{\"a\":1", "{\"a\":1}}", "[1,]", "a=1&b=2", "\u{feff}{}", "{\"a\": \u{1}}", "nul"] {
        assert_eq!(hint("{\"a\":1}", arrived.as_bytes()), None, "{arrived:?}");
    }
    assert_eq!(hint("{\"a\":1}", b"{\"a\": \"\xff\"}"), None);
    assert_eq!(hint("{\"a\":1}", b""), Some(Hint::BodyEmpty));
}

#[test]
fn a_body_that_is_compressed_is_told_also_where_no_header_says_so() {
    for (arrived, expected) in [
        (b"\x1f\x8b\x08\x00".as_slice(), Some(Hint::BodyCompressed("gzip"))),
        (b"\x78\x01\xab", Some(Hint::BodyCompressed("deflate"))),
        (b"\x78\x9c\xab", Some(Hint::BodyCompressed("deflate"))),
        (b"\x78\xda\x03", Some(Hint::BodyCompressed("deflate"))),
        (b"\x28\xb5\x2f\xfd", Some(Hint::BodyCompressed("zstd"))),
        (b"\x1f", None),
        (b"\x78\x9d\xab", None),
        (b"\x28\xb5\x2f", None),
        // Text that begins so.
        (b"x^", None),
        (b"\xff\x1f\x8b", None),
    ] {
        assert_eq!(hint("{}", arrived), expected, "{arrived:x?}");
    }
}

/// A forged body costs little more than a genuine one of the default limit, whatever it is made of.
#[test]
fn forged_bodies_of_every_make_are_refused() {
    let deep = format!("{}1{}", "[".repeat(100), "]".repeat(100));
    let many_keys = (0..1000).map(|key| format!("\"{}\":\"é<\"", key * 7919 % 1000)).collect::<Vec<_>>().join(",");
    let bodies = [
        deep,
        format!("{{{many_keys}}}"),
        format!("[{}1]", "1,".repeat(7000)),
        format!("[{}\"\"]", "\"\",".repeat(5000)),
        format!("[{}{{}}]", "{},".repeat(5000)),
        format!("\"{}\"", "\\u00e9".repeat(2700)),
        format!("{{\"a\":\"{}\"}}", "x".repeat(1024 * 1024)),
        format!("{}1", "\n".repeat(1024 * 1024)),
        format!("1{}", "\r\n".repeat(1024 * 512)),
    ];
    for body in bodies {
        assert_eq!(hint("{}", body.as_bytes()), None);
    }
}

#[test]
fn what_is_wrong_with_a_secret_shows_before_the_first_delivery() {
    let cases: [(&[u8], SecretFlaw); 16] = [
        (b"test-secret\n", SecretFlaw::OuterSpace),
        (b"test-secret\r\n", SecretFlaw::OuterSpace),
        (b" test-secret", SecretFlaw::OuterSpace),
        (b"\ttest-secret ", SecretFlaw::OuterSpace),
        ("test-secret\u{a0}".as_bytes(), SecretFlaw::OuterSpace),
        ("\u{200b}test-secret".as_bytes(), SecretFlaw::OuterSpace),
        ("test-secret\u{feff}".as_bytes(), SecretFlaw::OuterSpace),
        (b"\"test-secret\"", SecretFlaw::Quotes),
        (b"'test-secret'", SecretFlaw::Quotes),
        (b"`test-secret`", SecretFlaw::Quotes),
        ("“test-secret”".as_bytes(), SecretFlaw::Quotes),
        ("‘test-secret’".as_bytes(), SecretFlaw::Quotes),
        (b"'test-secret'\n", SecretFlaw::OuterSpace),
        ("\u{feff}test-secret".as_bytes(), SecretFlaw::ByteOrderMark),
        (b"\xff\xfet\0e\0s\0t\0", SecretFlaw::ByteOrderMark),
        (b"\xfe\xff\0t\0e\0s\0t", SecretFlaw::ByteOrderMark),
    ];
    for (secret, flaw) in cases {
        assert_eq!(Secret::new(secret).unwrap().flaw(), Some(flaw), "{secret:?}");
        let (_, lines) = logged(|| WebhookHandler::new(secret).unwrap());
        assert_eq!(lines, [format!("WARN message={flaw}")], "{secret:?}");
        assert!(!lines[0].contains("test"), "the line shows the secret");
    }
}

#[test]
fn a_secret_that_may_be_as_pylon_shows_it_is_not_warned_of() {
    let secrets: [&[u8]; 7] = [
        b"test-secret",
        b"two words",
        b"dGVzdC1zZWNyZXQ=",
        b"b6ee61d26a3494ddc3437b55028299a9",
        b"'a",
        b"\xff\xfea",
        b"\xb5\xeb\x2d",
    ];
    for secret in secrets {
        assert_eq!(Secret::new(secret).unwrap().flaw(), None, "{secret:?}");
        assert_eq!(logged(|| WebhookHandler::new(secret).unwrap()).1, [""; 0], "{secret:?}");
    }
}

#[test]
fn each_secret_of_a_rotation_is_looked_at() {
    let verifier = Verifier::builder().secret("'new'").secret("good").secret("old\n").build().unwrap();
    let (_, lines) = logged(|| WebhookHandler::from_parts(verifier, EventReader::new()));
    let expected = [SecretFlaw::Quotes, SecretFlaw::OuterSpace].map(|flaw| format!("WARN message={flaw}"));
    assert_eq!(lines, expected);
}

proptest! {
    #![proptest_config(ProptestConfig { failure_persistence: None, ..ProptestConfig::default() })]

    #[test]
    fn a_filled_template_is_recognised_whatever_texts_it_has(kind in prop::sample::select(EventKind::ALL.to_vec()), text in "[^\u{0}-\u{1f}]{0,20}") {
        let signed = filled(kind, &text.replace("{{", "").replace("}}", ""));
        for arrived in rewritten(&signed) {
            prop_assert_eq!(hint(&signed, arrived.as_bytes()), Some(Hint::BodyReserialized));
        }
    }

    #[test]
    fn no_secret_and_no_body_makes_a_diagnosis_panic(secret in prop::collection::vec(any::<u8>(), 1..12), body in prop::collection::vec(any::<u8>(), 0..40), timestamp: bool) {
        // Such a secret is refused before.
        prop_assume!(Secret::new(&secret).is_ok());
        let verifier = Verifier::builder().secret(&secret).clock(|| 1_700_000_000).build().unwrap();
        let refused = verifier.verify(&body, Some(&"0".repeat(64)), timestamp.then_some("1700000000"));
        prop_assert!(refused.is_err());
    }

    #[test]
    fn a_timestamped_delivery_is_never_accepted_as_its_signed_text(timestamp in 0..=9_999_999_999_999_999_999u64, body in "[^0-9 \t\r\neE][^\0]{0,20}") {
        let secret = Secret::new(SECRET).unwrap();
        let digits = timestamp.to_string();
        let moved = format!("{digits}.{body}");
        let verifier = Verifier::builder().secret(SECRET).clock(move || timestamp).build().unwrap();
        let signature = sign(&secret, body.as_bytes(), Some(&digits));
        prop_assert!(verifier.verify(body.as_bytes(), Some(&signature), Some(&digits)).is_ok());
        let refused = verifier.verify(moved.as_bytes(), Some(&signature), None).unwrap_err();
        prop_assert_eq!(refused.code(), "timestamp_missing");
    }
}
