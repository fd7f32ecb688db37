//! What an app's own tests are given: samples that mean what they say, requests that are signed as Pylon signs.

use pylon_webhooks::testing::{FixedClock, Sample, WebhookRequest, signed_headers};
use pylon_webhooks::{
    Clock, DateTime, EventKind, EventReader, FieldValue, IssueNewEvent, MemoryReplayStore, MessageNewEvent, Secret,
    Shape, Verifier, WebhookEvent, WebhookHandler,
};
use serde_json::{Value, json};

const NOW: u64 = 1_700_000_000;
/// The body of the vectors `valid` and `valid_timestamped` of `vectors/requests.json`, and their signatures.
const BODY: &str = r#"{"event_type": "issue_new", "issue_id": "5b0c0f0e", "issue_title": "Export fails"}"#;
const SIGNATURE: &str = "1511fa656138a1855527cba3b57eb0544409b4aaaedc84876a16991cf9d7357e";
const TIMESTAMPED_SIGNATURE: &str = "6b9b94f55ab4ac0ff14af486bcc1faec4a57cfaba371d1562756a3b68f7c1a3b";

fn secret() -> Secret {
    Secret::new("test-secret").unwrap()
}

fn handler() -> WebhookHandler {
    let verifier = Verifier::builder().secret("test-secret").clock(|| NOW).build().unwrap();
    WebhookHandler::from_parts(verifier, EventReader::new())
}

fn pair(name: &str, value: &str) -> (String, String) {
    (name.into(), value.into())
}

mod samples {
    use super::*;

    /// What a sample's text means, worked out without this crate's reading.
    fn meaning(shape: Shape, sample: &'static str) -> FieldValue<'static> {
        match shape {
            Shape::Number => FieldValue::Number(sample.parse().unwrap()),
            Shape::Boolean => FieldValue::Boolean(sample.parse().unwrap()),
            Shape::DateTime => FieldValue::DateTime(DateTime::parse(sample).unwrap()),
            Shape::List(_) => FieldValue::List(sample.split(", ").map(Into::into).collect()),
            _ => FieldValue::Text(sample.into()),
        }
    }

    #[test]
    fn that_of_each_kind_is_of_that_kind_and_without_a_problem() {
        for &kind in EventKind::ALL {
            let event = Sample::of(kind).event();
            assert_eq!((event.kind(), event.event_type()), (Some(kind), kind.name()));
            assert_eq!(event.problems(), []);
            assert!(event.extra().is_empty() && event.custom_fields().is_empty(), "{kind}");
        }
    }

    #[test]
    fn each_field_with_a_variable_reads_as_what_its_sample_means() {
        for &kind in EventKind::ALL {
            let event = Sample::of(kind).event();
            for field in kind.fields() {
                let expected = field.variable.map(|variable| meaning(field.shape, variable.sample));
                assert_eq!(event.read(field).ok(), expected, "{kind}: {}", field.name);
            }
        }
    }

    #[test]
    fn that_of_an_issue_reads_as_this() {
        let event = IssueNewEvent::of(&Sample::of(EventKind::IssueNew).event()).unwrap();
        assert_eq!((event.issue_number(), &*event.issue_title()), (Some(1042), "Export fails"));
        assert_eq!(event.issue_tags(), ["billing", "export"]);
        assert_eq!(event.issue_account_domains(), ["example.com", "example.org"]);
        assert_eq!(event.issue_attachment_urls(), ["https://files.example.com/log.txt"]);
        assert_eq!(event.issue_last_message_sent_at().unwrap().to_string(), "2026-01-02T03:04:05Z");
        assert_eq!(&*event.issue_status(), "waiting_on_you");
    }

    #[test]
    fn that_of_a_message_reads_as_this() {
        let event = MessageNewEvent::of(&Sample::of(EventKind::IssueMessageNew).event()).unwrap();
        assert_eq!((&*event.message_id(), &*event.message_author_name()), ("msg_1", "Sam Doe"));
        assert_eq!((event.message_is_private(), &*event.message_body_html()), (Some(false), "<p>Still failing</p>"));
        assert_eq!(event.message_ccs(), ["lee@example.com", "kim@example.org"]);
        assert_eq!(event.message_sent_at().unwrap().unix_seconds(), 1_767_323_045);
    }

    /// A domain that is somebody's would make tests write to them.
    #[test]
    fn their_addresses_are_of_domains_that_are_set_aside_for_examples() {
        for field in EventKind::ALL.iter().copied().flat_map(EventKind::fields) {
            let sample = field.variable.map_or("", |variable| variable.sample);
            for address in sample.split(", ").filter(|part| part.contains('@') || part.contains("://")) {
                let is_safe = ["@example.com", "@example.org", "//files.example.com/", "//app.usepylon.com/"];
                assert!(is_safe.into_iter().any(|domain| address.contains(domain)), "{}: {address}", field.name);
            }
        }
    }

    #[test]
    fn each_is_its_kinds_template_with_every_variable_replaced() {
        for &kind in EventKind::ALL {
            let mut body = kind.template();
            for variable in kind.fields().filter_map(|field| field.variable) {
                let quoted = Value::from(variable.sample).to_string();
                body = body.replace(&format!("{{{{{}}}}}", variable.name), &quoted[1..quoted.len() - 1]);
            }
            assert!(!body.contains("{{"), "{body}");
            let sample = Sample::of(kind).body();
            let read = |body: &[u8]| serde_json::from_slice::<Value>(body).unwrap();
            assert_eq!(read(body.as_bytes()), read(&sample));
            let in_one_line = body.replace("{\n  ", "{").replace(",\n  ", ", ").replace("\n}\n", "}");
            assert_eq!(in_one_line.as_bytes(), sample, "in the same order");
        }
    }

    #[test]
    fn a_value_is_replaced_where_it_stands_and_a_new_key_comes_last() {
        let sample = Sample::of(EventKind::IssueMessageNew);
        let sample = EventKind::IssueMessageNew.fields().fold(sample, |sample, field| sample.without(field.name));
        assert_eq!(sample.body(), br#"{"event_type": "issue_message_new"}"#);
        let sample =
            sample.with("a", 1).with("b", "two").with("a", Value::Null).with("\"c\"", json!([true, {"d": 1.5}]));
        assert_eq!(
            sample.body(),
            br#"{"event_type": "issue_message_new", "a": null, "b": "two", "\"c\"": [true,{"d":1.5}]}"#
        );
        assert_eq!(sample.clone().without("unknown"), sample);
        assert_eq!(sample.without("a").without("\"c\"").body(), br#"{"event_type": "issue_message_new", "b": "two"}"#);
    }

    #[test]
    fn a_name_may_be_replaced_or_left_out_like_any_other_value() {
        let sample = Sample::of(EventKind::IssueNew);
        assert_eq!(sample.clone().with("event_type", "ticket.created").event().kind(), None);
        assert_eq!(sample.without("event_type").event().event_type(), "");
    }

    #[test]
    fn odd_values_come_back_exactly() {
        for odd in
            ["\"quoted\"", "a\\b\\n", "line\nline\r\n\t", "😀 Ça va? 日本語", "\u{0}\u{1f}\u{2028}", "</script>", ""]
        {
            let sample = Sample::of(EventKind::IssueNew).with("issue_title", odd).with(odd, odd);
            let event = sample.event();
            assert_eq!(event.text("issue_title"), odd);
            assert_eq!(event.payload()[odd], odd);
        }
    }

    #[test]
    fn what_is_not_as_a_field_should_be_is_a_problem_and_no_panic() {
        let event = Sample::of(EventKind::IssueNew).with("issue_number", "soon").without("issue_last_message_sent_at");
        let problems: Vec<String> = event.event().problems().iter().map(ToString::to_string).collect();
        assert_eq!(problems, ["issue_number: not a whole number", "issue_last_message_sent_at: absent"]);
    }

    #[test]
    fn each_goes_the_whole_way_of_a_delivery() {
        let titles = std::sync::Arc::new(std::sync::Mutex::new(Vec::new()));
        let mut handler = handler();
        let noted = std::sync::Arc::clone(&titles);
        handler.on_any(move |event: WebhookEvent| noted.lock().unwrap().push(event.event_type().to_owned()));
        for &kind in EventKind::ALL {
            let request = WebhookRequest::new(Sample::of(kind).body()).signed_at(&secret(), NOW);
            handler.handle_headers(&request.body, request.header_pairs()).unwrap();
            handler.dispatch(Sample::of(kind).event()).unwrap();
        }
        assert_eq!(
            *titles.lock().unwrap(),
            EventKind::ALL.iter().flat_map(|kind| [kind.name(); 2]).collect::<Vec<_>>()
        );
    }
}

mod clocks {
    use super::*;

    #[test]
    fn one_stands_still_until_it_is_moved() {
        let clock = FixedClock::new(NOW);
        assert_eq!([clock.unix_seconds(), clock.unix_seconds()], [NOW, NOW]);
        clock.advance(60);
        clock.advance(0);
        assert_eq!(clock.unix_seconds(), NOW + 60);
        clock.set(7);
        assert_eq!(clock.unix_seconds(), 7, "back as well");
    }

    #[test]
    fn copies_show_the_same_time() {
        let clock = FixedClock::new(NOW);
        let verifier = Verifier::builder().secret("test-secret").clock(clock.clone()).build().unwrap();
        let store = MemoryReplayStore::new(1).clock(clock.clone());
        assert!(store.is_first("a", Some(NOW + 1)));
        assert!(!store.is_first("a", Some(NOW + 1)));
        clock.advance(1);
        assert_eq!(verifier.unix_seconds(), NOW + 1);
        assert!(store.is_first("a", Some(NOW + 2)));
    }

    #[test]
    fn a_signed_request_grows_stale_with_one() {
        let clock = FixedClock::new(NOW);
        let verifier = Verifier::builder().secret("test-secret").clock(clock.clone()).build().unwrap();
        let handler = WebhookHandler::from_parts(verifier, EventReader::new());
        let request = WebhookRequest::new("{}").signed_at(&secret(), NOW);
        let code = || handler.handle_headers(&request.body, request.header_pairs()).err().map(|error| error.code());
        for (moved_to, expected) in [
            (NOW - 301, Some("timestamp_future")),
            (NOW - 300, None),
            (NOW, None),
            (NOW + 300, None),
            (NOW + 301, Some("timestamp_stale")),
        ] {
            clock.set(moved_to);
            assert_eq!(code(), expected, "{moved_to}");
        }
    }
}

mod requests {
    use super::*;

    #[test]
    fn the_headers_of_a_signed_body_are_those_of_the_vectors() {
        assert_eq!(signed_headers(&secret(), BODY.as_bytes(), None), [pair("X-Pylon-Signature", SIGNATURE)]);
        assert_eq!(
            signed_headers(&secret(), BODY.as_bytes(), Some(NOW)),
            [pair("X-Pylon-Signature", TIMESTAMPED_SIGNATURE), pair("X-Pylon-Timestamp", "1700000000")]
        );
        assert_eq!(pylon_webhooks::testing::sign(&secret(), BODY.as_bytes(), None), SIGNATURE);
    }

    #[test]
    fn one_is_a_post_of_json_and_unsigned_until_it_is_changed() {
        let request = WebhookRequest::new(BODY);
        assert_eq!((&*request.method, &*request.path, &*request.body), ("POST", "/webhook", BODY.as_bytes()));
        assert_eq!(request.headers, [pair("Content-Type", "application/json")]);
        let changed = request.clone().signed_at(&secret(), NOW).header("X-More", "1").to("/elsewhere");
        assert_eq!((&*changed.path, &changed.body), ("/elsewhere", &request.body));
        assert_eq!(
            changed.header_pairs().collect::<Vec<_>>(),
            [
                ("Content-Type", "application/json"),
                ("X-Pylon-Signature", TIMESTAMPED_SIGNATURE),
                ("X-Pylon-Timestamp", "1700000000"),
                ("X-More", "1"),
            ]
        );
        assert_ne!(changed, request);
    }

    #[test]
    fn each_is_accepted_or_refused_as_it_was_made() {
        let other = Secret::new("another-secret").unwrap();
        let mut tampered = WebhookRequest::new(BODY).signed(&secret());
        tampered.body = b"{}".into();
        let table = [
            (WebhookRequest::new(BODY).signed(&secret()), None),
            (WebhookRequest::new(BODY).signed_at(&secret(), NOW), None),
            (WebhookRequest::new(BODY.to_owned()).signed_at(&secret(), NOW - 300), None),
            (WebhookRequest::new(BODY.as_bytes()), Some("signature_missing")),
            (WebhookRequest::new(BODY).signed(&other), Some("signature_mismatch")),
            (WebhookRequest::new(BODY).signed_at(&other, NOW), Some("signature_mismatch")),
            (tampered, Some("signature_mismatch")),
            (WebhookRequest::new(BODY).signed_at(&secret(), NOW - 301), Some("timestamp_stale")),
            (WebhookRequest::new(BODY).signed_at(&secret(), NOW + 301), Some("timestamp_future")),
            (
                WebhookRequest::new(BODY).signed(&secret()).header("X-Pylon-Timestamp", "soon"),
                Some("timestamp_malformed"),
            ),
            (WebhookRequest::new(BODY).signed(&secret()).signed(&secret()), Some("signature_malformed")),
            (WebhookRequest::new("event=issue_new").signed(&secret()), Some("payload")),
        ];
        for (request, code) in table {
            let handled = handler().handle_headers(&request.body, request.header_pairs());
            assert_eq!(handled.err().map(|error| error.code()), code, "{request:?}");
        }
    }

    #[cfg(feature = "tower")]
    #[test]
    fn one_becomes_a_request_of_http_with_all_that_it_has() {
        let mut made = WebhookRequest::new(BODY).signed_at(&secret(), NOW).header("X-More", "1").header("X-More", "2");
        made.method = "PUT".into();
        let request: http::Request<Vec<u8>> = made.clone().to("/elsewhere?a=b").into();
        assert_eq!((request.method().as_str(), request.uri().to_string().as_str()), ("PUT", "/elsewhere?a=b"));
        assert_eq!(request.body(), BODY.as_bytes());
        let headers: Vec<_> =
            request.headers().iter().map(|(name, value)| (name.as_str(), value.to_str().unwrap())).collect();
        assert_eq!(
            headers,
            [
                ("content-type", "application/json"),
                ("x-pylon-signature", TIMESTAMPED_SIGNATURE),
                ("x-pylon-timestamp", "1700000000"),
                ("x-more", "1"),
                ("x-more", "2"),
            ]
        );
        let _shared: http::Request<bytes::Bytes> = made.into();
    }

    #[cfg(feature = "tower")]
    #[test]
    #[should_panic(expected = "a test's method, path and headers must be valid HTTP")]
    fn one_that_is_no_valid_http_panics_when_it_becomes_a_request() {
        let _: http::Request<Vec<u8>> = WebhookRequest::new(BODY).header("X Bad", "1").into();
    }
}

#[cfg(feature = "proptest")]
mod strategies {
    use super::*;
    use proptest::prelude::*;
    use proptest::strategy::ValueTree;
    use proptest::test_runner::TestRunner;
    use pylon_webhooks::testing::strategies::{kinds, samples, values};
    use std::collections::BTreeSet;

    /// So many of what a strategy makes, the same in each run.
    fn some<S: Strategy>(strategy: S, count: usize) -> Vec<S::Value> {
        let mut runner = TestRunner::deterministic();
        (0..count).map(|_| strategy.new_tree(&mut runner).unwrap().current()).collect()
    }

    #[test]
    fn every_kind_comes_up() {
        assert_eq!(some(kinds(), 200).into_iter().collect::<BTreeSet<_>>(), EventKind::ALL.iter().copied().collect());
        let of_samples = some(samples(), 200).into_iter().filter_map(|sample| sample.event().kind());
        assert_eq!(of_samples.collect::<BTreeSet<_>>(), EventKind::ALL.iter().copied().collect());
    }

    #[test]
    fn values_of_every_type_and_no_values_come_up() {
        let values = some(values(), 500);
        for (what, is_such) in [
            ("null", Value::is_null as fn(&Value) -> bool),
            ("boolean", Value::is_boolean),
            ("number", Value::is_number),
            ("list", Value::is_array),
            ("object", Value::is_object),
            ("empty text", |value| value == ""),
            ("placeholder", |value| value.as_str().is_some_and(|text| text.starts_with("{{"))),
            ("text outside ASCII", |value| value.as_str().is_some_and(|text| !text.is_ascii())),
        ] {
            assert!(values.iter().any(is_such), "{what}");
        }
    }

    #[test]
    fn samples_with_up_to_five_odd_values_and_two_further_keys_come_up() {
        let differences = |sample: &Sample| -> (usize, usize) {
            let event = sample.event();
            let plain = Sample::of(event.kind().unwrap()).event();
            let (body, plain) = (event.payload().as_object().unwrap(), plain.payload().as_object().unwrap());
            let added = body.keys().filter(|key| !plain.contains_key(*key));
            let is_field = |key: &str| event.fields().any(|field| field.name == key);
            let replaced = body.iter().filter(|(key, value)| is_field(key) && plain.get(*key) != Some(value));
            (replaced.count(), added.filter(|key| !is_field(key)).count())
        };
        let found: Vec<_> = some(samples(), 500).iter().map(differences).collect();
        assert_eq!(found.iter().map(|(replaced, _)| replaced).max(), Some(&5));
        assert_eq!(found.iter().map(|(_, added)| added).max(), Some(&2));
        assert!(found.contains(&(0, 0)), "plain ones as well");
    }

    proptest! {
        #![proptest_config(ProptestConfig { failure_persistence: None, ..ProptestConfig::default() })]

        #[test]
        fn whatever_a_sample_holds_it_is_read_signed_and_handled(sample in samples()) {
            let event = sample.event();
            prop_assert!(event.kind().is_some_and(|kind| kind.name() == event.event_type()));
            event.problems();
            event.extra();
            let request = WebhookRequest::new(sample.body()).signed(&secret());
            let handled = handler().handle_headers(&request.body, request.header_pairs()).unwrap();
            prop_assert_eq!(handled.event, event.into_inner());
        }
    }
}
