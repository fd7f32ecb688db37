//! What holds for any input.

use proptest::collection::vec;
use proptest::prelude::*;
use proptest::sample::{Index, select};
use pylon_webhooks::{
    DateTime, EventKind, EventReader, NameSource, Secret, Verifier, WebhookHandler, names_match, parse_webhook_event,
    sign,
};
use serde_json::{Map, Value};

const NOW: u64 = 1_700_000_000;

fn config() -> ProptestConfig {
    // What fails is told with its smallest input; it becomes a vector, not a file beside the tests.
    ProptestConfig { failure_persistence: None, ..ProptestConfig::default() }
}

fn verifier(secret: &[u8]) -> Verifier {
    Verifier::builder().secret(secret).clock(|| NOW).build().unwrap()
}

fn signed(secret: &[u8], body: &[u8], timestamp: Option<&str>) -> String {
    sign(&Secret::new(secret).unwrap(), body, timestamp)
}

/// Bytes that begin with no timestamp: without one in its header, such a body is refused before its signature is looked at.
fn bytes() -> impl Strategy<Value = Vec<u8>> {
    vec(any::<u8>(), 0..200).prop_filter("it begins with a timestamp", |bytes| {
        let digits = bytes.iter().take_while(|byte| byte.is_ascii_digit()).count();
        digits == 0 || bytes.get(digits) != Some(&b'.')
    })
}

fn secret() -> impl Strategy<Value = Vec<u8>> {
    vec(any::<u8>(), 1..100).prop_filter("it is blank", |secret| Secret::new(secret).is_ok())
}

fn fresh_timestamp() -> impl Strategy<Value = Option<String>> {
    prop::option::of((NOW - 300..=NOW + 300).prop_map(|time| time.to_string()))
}

/// Any JSON, with the keys that mean something among its keys.
fn json() -> impl Strategy<Value = Value> {
    let scalar = prop_oneof![
        Just(Value::Null),
        any::<bool>().prop_map(Value::from),
        any::<i64>().prop_map(Value::from),
        any::<u64>().prop_map(Value::from),
        any::<f64>().prop_map(Value::from),
        any::<String>().prop_map(Value::from),
        select(vec!["", " ", "null", "{{issue.id}}", "issue_new", "a, b", "[\"a\"]", "{\"event\": \"issue_new\"}"])
            .prop_map(Value::from),
    ];
    scalar.prop_recursive(6, 64, 8, |inner| {
        prop_oneof![
            vec(inner.clone(), 0..8).prop_map(Value::from),
            vec((key(), inner), 0..8).prop_map(|members| Value::Object(Map::from_iter(members))),
        ]
    })
}

fn key() -> impl Strategy<Value = String> {
    let known = ["event_type", "event", "type", "trigger", "data", "client_payload", "webhook_payload", "issue", "id"];
    let fields = EventKind::ALL.iter().copied().flat_map(EventKind::fields).map(|field| field.name);
    let more = ["custom_fields", "issue_custom_field_", "issue_custom_field_a-b", "account", "requester", "ticket_id"];
    prop_oneof![
        select(known.into_iter().chain(fields).chain(more).map(str::to_owned).collect::<Vec<_>>()),
        any::<String>()
    ]
}

/// JSON text with what a template breaks in it: raw control characters, missing values, lone surrogates, huge numbers.
fn broken_json() -> impl Strategy<Value = String> {
    let string = vec(
        prop_oneof![
            "[a-z{}:,\\[\\]]{0,4}",
            any::<char>().prop_map(|c| if matches!(c, '"' | '\\') { "x".to_owned() } else { c.to_string() }),
            (0u8..0x20).prop_map(|control| char::from(control).to_string()),
            (0u16..=u16::MAX).prop_map(|unit| format!("\\u{unit:04x}")),
            (0xD800u16..=0xDFFF).prop_map(|unit| format!("\\u{unit:04X}")),
            select(vec!["\\\"", "\\\\", "\\n", "\\/"]).prop_map(str::to_owned),
        ],
        0..6,
    )
    .prop_map(|parts| format!("\"{}\"", parts.concat()));
    let number = prop_oneof![
        (any::<i64>(), -400i32..400).prop_map(|(whole, exponent)| format!("{whole}e{exponent}")),
        ("[1-9][0-9]{0,400}", 250i32..330).prop_map(|(digits, exponent)| format!("{digits}E+{exponent}")),
        "-?[1-9][0-9]{0,20}\\.[0-9]{1,20}e30[0-9]",
        // The neighbourhood of the greatest double, where readers round differently.
        "17976931348623157[0-9]{0,30}".prop_map(|digits| {
            let exponent = 309 - digits.len();
            format!("{digits}e{exponent}")
        }),
    ];
    let value = prop_oneof![string.clone(), number, select(vec!["null", "true", "[]", "{}"]).prop_map(str::to_owned)];
    value.prop_recursive(4, 32, 5, move |inner| {
        let member = (string.clone(), prop::option::weighted(0.8, inner.clone()))
            .prop_map(|(key, value)| format!("{key}: {}", value.unwrap_or_default()));
        prop_oneof![
            vec(inner, 0..5).prop_map(|elements| format!("[{}]", elements.join(","))),
            vec(member, 0..5).prop_map(|members| format!("{{{}}}", members.join(", "))),
        ]
    })
}

/// Reads everything that there is to read; the return values do not matter, only that they come.
fn read_all(event: &pylon_webhooks::WebhookEvent) {
    for field in EventKind::ALL.iter().copied().flat_map(EventKind::fields) {
        let _ = (event.read(field), event.text(field.name));
    }
    let _ = (event.problems(), event.custom_fields(), event.extra(), event.payload(), event.typed(), event.text("id"));
}

proptest! {
    #![proptest_config(config())]

    #[test]
    fn any_body_and_any_header_texts_get_an_answer(
        body in bytes(), signature in any::<Option<String>>(), timestamp in any::<Option<String>>(),
    ) {
        let error = WebhookHandler::new("s").unwrap().handle(&body, signature.as_deref(), timestamp.as_deref());
        prop_assert!(error.is_err_and(|error| error.is_refusal() && !error.to_string().is_empty()));
    }

    #[test]
    fn any_headers_get_an_answer(
        body in bytes(),
        headers in vec((prop_oneof![any::<String>(), Just("X-Pylon-Signature".into()), Just("x-pylon-timestamp".into())], bytes()), 0..5),
    ) {
        let verified = verifier(b"s").verify_headers(&body, headers);
        prop_assert!(verified.is_err_and(|error| error.is_refusal() && !error.to_string().is_empty()));
    }

    #[test]
    fn any_authentic_body_is_an_event_or_a_payload_error_that_holds_it(body in bytes()) {
        let handled = WebhookHandler::new("s").unwrap().handle(&body, Some(&signed(b"s", &body, None)), None);
        match handled {
            Ok(handled) => {
                prop_assert_eq!(handled.event.raw(), &body);
                read_all(&handled.event);
            }
            Err(pylon_webhooks::Error::Payload(error)) => prop_assert_eq!(error.payload(), &body),
            Err(error) => prop_assert!(false, "{}", error),
        }
    }

    #[test]
    fn what_was_signed_is_accepted_in_every_form(
        secret in secret(), body in bytes(), timestamp in fresh_timestamp(), upper in any::<bool>(), prefix in any::<bool>(),
    ) {
        let mut signature = signed(&secret, &body, timestamp.as_deref());
        prop_assert!(signature.len() == 64 && signature.bytes().all(|digit| b"0123456789abcdef".contains(&digit)));
        if upper {
            signature.make_ascii_uppercase();
        }
        if prefix {
            signature.insert_str(0, "sha256=");
        }
        let verified = verifier(&secret).verify(&body, Some(&signature), timestamp.as_deref());
        let verified = verified.unwrap();
        prop_assert_eq!(verified.as_bytes(), body.as_slice());
    }

    #[test]
    fn each_of_several_secrets_is_accepted(secrets in vec(secret(), 1..6), which in any::<Index>(), body in bytes()) {
        let builder = secrets.iter().fold(Verifier::builder(), |builder, secret| builder.secret(secret));
        let signature = signed(&secrets[which.index(secrets.len())], &body, None);
        prop_assert!(builder.build().unwrap().verify(&body, Some(&signature), None).is_ok());
    }

    #[test]
    fn one_bit_off_in_the_body_refuses(
        body in vec(any::<u8>(), 1..200), at in any::<Index>(), bit in 0..8u32, timestamp in fresh_timestamp(),
    ) {
        let signature = signed(b"s", &body, timestamp.as_deref());
        let mut other = body;
        *at.get_mut(&mut other) ^= 1 << bit;
        let error = verifier(b"s").verify(&other, Some(&signature), timestamp.as_deref()).unwrap_err();
        prop_assert!(["signature_mismatch", "timestamp_missing"].contains(&error.code()), "{}", error);
    }

    #[test]
    fn one_bit_off_in_the_signature_refuses(
        body in bytes(), at in any::<Index>(), bit in 0..8u32, timestamp in fresh_timestamp(),
    ) {
        let signature = signed(b"s", &body, timestamp.as_deref());
        let mut other = signature.clone().into_bytes();
        *at.get_mut(&mut other) ^= 1 << bit;
        // The bit that makes a letter a capital means nothing in hexadecimal.
        prop_assume!(!other.eq_ignore_ascii_case(signature.as_bytes()));
        let timestamp = timestamp.map(String::into_bytes).map(|value| ("x-pylon-timestamp", value));
        let headers = [("x-pylon-signature", other)].into_iter().chain(timestamp);
        let error = verifier(b"s").verify_headers(&body, headers).unwrap_err();
        prop_assert!(["signature_mismatch", "signature_malformed"].contains(&error.code()), "{}", error);
    }

    #[test]
    fn one_bit_off_in_the_timestamp_refuses(
        body in bytes(), time in NOW - 300..=NOW + 300, at in any::<Index>(), bit in 0..8u32,
    ) {
        let signature = signed(b"s", &body, Some(&time.to_string()));
        let mut other = time.to_string().into_bytes();
        *at.get_mut(&mut other) ^= 1 << bit;
        let headers = [("x-pylon-signature", signature.into_bytes()), ("x-pylon-timestamp", other)];
        let error = verifier(b"s").verify_headers(&body, headers).unwrap_err();
        prop_assert!(["signature_mismatch", "timestamp_malformed"].contains(&error.code()), "{}", error);
    }

    #[test]
    fn a_timestamp_is_fresh_within_the_tolerance_and_at_no_other_time(
        now in any::<u64>(), time in 0..10_000_000_000_000_000_000u64, near in prop::option::of(0..=700u64), tolerance in prop_oneof![0..=400u64, any::<u64>()],
    ) {
        let time = near.map_or(time, |near| now.saturating_sub(350).saturating_add(near).min(9_999_999_999_999_999_999));
        let verifier = Verifier::builder()
            .secret("s")
            .tolerance(std::time::Duration::from_secs(tolerance))
            .clock(move || now)
            .build()
            .unwrap();
        let text = time.to_string();
        let code = verifier.verify(b"{}", Some(&signed(b"s", b"{}", Some(&text))), Some(&text)).err().map(|error| error.code());
        let distance = i128::from(now) - i128::from(time);
        let expected = if distance > i128::from(tolerance) {
            Some("timestamp_stale")
        } else if -distance > i128::from(tolerance) {
            Some("timestamp_future")
        } else {
            None
        };
        prop_assert_eq!(code, expected);
    }

    #[test]
    fn a_signature_with_a_timestamp_never_fits_one_without(body in bytes(), time in NOW - 300..=NOW + 300) {
        let (time, verifier) = (time.to_string(), verifier(b"s"));
        let (with, without) = (signed(b"s", &body, Some(&time)), signed(b"s", &body, None));
        // A body that begins as what a timestamp's signature covers is refused before its signature is looked at.
        let without_time = verifier.verify(&body, Some(&with), None).unwrap_err().code();
        prop_assert!(["signature_mismatch", "timestamp_missing"].contains(&without_time));
        prop_assert_eq!(verifier.verify(&body, Some(&without), Some(&time)).unwrap_err().code(), "signature_mismatch");
    }

    #[test]
    fn every_json_value_is_an_event_whose_payload_equals_it(value in json()) {
        let text = value.to_string();
        let event = parse_webhook_event(text.as_bytes()).unwrap();
        read_all(&event);
        // The reader's own rounding of fractions is not ours to judge.
        prop_assert_eq!(event.payload(), &serde_json::from_str::<Value>(&text).unwrap());
        prop_assert_eq!(event.json(), text.as_str());
        let mended = event.problems().iter().any(|problem| problem.field == "payload");
        prop_assert!(!mended);
    }

    #[test]
    fn every_json_text_is_an_event_wherever_its_name_is_looked_for(value in json(), pointer in "(/[a-z0-9_~]{0,3}){1,3}") {
        let text = value.to_string();
        for source in [NameSource::Pointer(pointer.as_str().into()), NameSource::Fixed("issue_new".into())] {
            read_all(&EventReader::builder().name_source(source).build().unwrap().parse(text.as_bytes()).unwrap());
        }
    }

    #[test]
    fn a_pointer_leads_where_the_json_reader_leads(value in json(), pointer in "(/[a-z0-2_~]{0,2}){1,3}") {
        let text = value.to_string();
        let reader = EventReader::builder().name_source(NameSource::Pointer(pointer.as_str().into())).build().unwrap();
        let event = reader.parse(text.as_bytes()).unwrap();
        let found = serde_json::from_str::<Value>(&text).unwrap();
        if let Some(Value::String(name)) = found.pointer(&pointer) {
            let says_nothing = ["", "null"].contains(&name.trim().to_ascii_lowercase().as_str()) || name.starts_with("{{");
            let expected = if says_nothing { "" } else { name };
            prop_assert_eq!(event.event_type(), expected);
        } else if !matches!(found.pointer(&pointer), Some(Value::Number(_) | Value::Bool(_))) {
            prop_assert_eq!(event.event_type(), "");
        }
    }

    #[test]
    fn what_a_template_breaks_is_an_event_and_its_json_is_read_by_every_reader(text in broken_json()) {
        let event = parse_webhook_event(text.as_bytes()).unwrap();
        read_all(&event);
        let mended: Value = serde_json::from_str(&event.json()).unwrap();
        prop_assert_eq!(event.payload(), &mended);
        prop_assert_eq!(event.raw(), text.as_bytes());
        let told = event.problems().iter().any(|problem| problem.field == "payload");
        prop_assert!(told || serde_json::from_str::<Value>(&text).is_ok(), "mended without a word");
    }

    #[test]
    fn whatever_is_accepted_has_json_that_every_reader_takes(text in "[\\[\\]{}:,\"\\\\ue0-9.+a-f \n-]{0,24}") {
        if let Ok(event) = parse_webhook_event(text.as_bytes()) {
            read_all(&event);
            prop_assert!(serde_json::from_str::<Value>(&event.json()).is_ok());
        } else {
            prop_assert!(serde_json::from_str::<Value>(&text).is_err());
        }
    }

    #[test]
    fn names_match_both_ways_and_themselves(one in "[ A-Ca-c._-]{0,4}", other in "[ A-Ca-c._-]{0,4}") {
        prop_assert_eq!(names_match(&one, &other), names_match(&other, &one));
        prop_assert!(names_match(&one, &one));
        prop_assert!(names_match(&one, &one.to_uppercase()));
    }

    #[test]
    fn a_known_name_is_known_in_every_spelling(kind in select(EventKind::ALL.to_vec()), separators in vec(select(vec!['_', '.', '-', ' ']), 3), capitals in any::<u32>()) {
        let mut separators = separators.into_iter();
        let spelled: String = kind
            .name()
            .chars()
            .enumerate()
            .map(|(at, c)| match c {
                '_' => separators.next().unwrap(),
                c if capitals >> at & 1 == 1 => c.to_ascii_uppercase(),
                c => c,
            })
            .collect();
        prop_assert_eq!(EventKind::from_name(&spelled), Some(kind));
        prop_assert_eq!(EventKind::probably_meant(&spelled), None);
    }

    #[test]
    fn a_date_time_that_is_read_prints_as_text_that_reads_the_same(text in "[0-9]{4}-[01][0-9]-[0-3][0-9][Tt ][0-2][0-9]:[0-5][0-9]:[0-6][0-9](\\.[0-9]{1,9})?(Z|[+-][0-2][0-9]:[0-5][0-9])") {
        if let Some(time) = DateTime::parse(&text) {
            prop_assert_eq!(DateTime::parse(&time.to_string()), Some(time));
            prop_assert!((1..=9999).contains(&time.utc_parts().0));
        }
    }

    #[test]
    fn any_text_is_a_date_time_or_none(text in any::<String>()) {
        prop_assert!(DateTime::parse(&text).is_none_or(|time| time.to_string().ends_with('Z')));
    }
}
