use super::*;

/// When a delivery is verified, and what was signed with it.
#[derive(Clone, Copy)]
struct Signed {
    now: u64,
    timestamp: Option<u64>,
    tolerance_seconds: u64,
}

const SIGNED: Signed = Signed { now: NOW, timestamp: None, tolerance_seconds: 300 };

/// The event of a delivery that was signed so.
fn received(reader: &EventReader, body: &str, signed: Signed) -> Verified<WebhookEvent> {
    let Signed { now, timestamp, tolerance_seconds } = signed;
    let tolerance = Duration::from_secs(tolerance_seconds);
    let verifier = Verifier::builder().secret(SECRET).tolerance(tolerance).clock(move || now).build().unwrap();
    let timestamp = timestamp.map(|timestamp| timestamp.to_string());
    let signature = sign(&Secret::new(SECRET).unwrap(), body.as_bytes(), timestamp.as_deref());
    let verified = verifier.verify(body.as_bytes(), Some(&signature), timestamp.as_deref()).unwrap();
    reader.read(verified).unwrap()
}

fn key_of(rule: &ReplayRule, body: &Value, signed: Signed) -> Option<ReplayKey> {
    rule.key(&received(&EventReader::new(), &body.to_string(), signed))
}

fn pointer(pointer: &str) -> ReplayRule {
    ReplayRule::pointer(pointer, None).unwrap()
}

fn at(pointer_text: &str, body: &Value) -> Option<String> {
    key_of(&pointer(pointer_text), body, SIGNED).map(|key| key.key)
}

#[test]
fn each_is_64_hexadecimal_digits_whatever_it_is_made_of() {
    let rules = [ReplayRule::ExactRequest, pointer("/id"), ReplayRule::BodyHash { window: Duration::from_secs(60) }];
    let bodies = [json!({"id": "Jo Confidential"}), json!({"id": "x".repeat(100_000)}), json!({"id": "\0\u{1F600}"})];
    let mut keys = BTreeSet::new();
    for (rule, body) in rules.iter().flat_map(|rule| bodies.iter().map(move |body| (rule, body))) {
        let key = key_of(rule, body, SIGNED).unwrap().key;
        assert!(key.len() == 64 && key.bytes().all(|byte| matches!(byte, b'0'..=b'9' | b'a'..=b'f')), "{key}");
        keys.insert(key);
    }
    assert_eq!(keys.len(), 9, "no rule makes the key of another");
}

/// What other machines remember under these keys must be found again after an update.
#[test]
fn each_stays_what_it_was() {
    let event = |timestamp| received(&EventReader::new(), BODY, Signed { timestamp, ..SIGNED });
    let of = |rule: &ReplayRule, timestamp| rule.key(&event(timestamp)).unwrap().key;
    let body_hash = ReplayRule::BodyHash { window: Duration::from_secs(60) };
    for (key, expected) in [
        (of(&ReplayRule::ExactRequest, None), EXACT),
        (of(&ReplayRule::ExactRequest, Some(NOW)), EXACT_TIMESTAMPED),
        (of(&pointer("/issue_id"), None), POINTER),
        (of(&body_hash, None), BODY_HASH),
    ] {
        assert_eq!(key, expected);
    }
}

// Calculated with Python's hashlib: each part behind its length in eight bytes, big-endian.
const EXACT: &str = "a1f6026c043860b50b2cc785f9a856bacfce8fe6881e2e73f3e7c38444a75e20";
const EXACT_TIMESTAMPED: &str = "8838b3e6289fca93c28cfd8dc2230d39ea9f86e0de71a4d445d1dcd528b3f8da";
const POINTER: &str = "2075dad00914e40e85729a88af80fda0c3728359e4e62292b0a6db3be66b9172";
const BODY_HASH: &str = "70df93204a6a1594579a788e840683c16325f45f2f2603db641f83c0f9984602";

#[test]
fn exact_request_goes_by_timestamp_and_body() {
    let key = |body: &Value, timestamp| key_of(&ReplayRule::ExactRequest, body, Signed { timestamp, ..SIGNED });
    let (one, other) = (json!({"id": 1}), json!({"id": 2}));
    let keys: Vec<_> = [(&one, None), (&other, None), (&one, Some(NOW)), (&other, Some(NOW)), (&one, Some(NOW + 1))]
        .map(|(body, timestamp)| key(body, timestamp).unwrap().key)
        .into();
    assert_eq!(keys.iter().collect::<BTreeSet<_>>().len(), 5);
    assert_eq!(key(&one, Some(NOW)), key(&one, Some(NOW)));
}

#[test]
fn exact_request_is_remembered_as_long_as_its_timestamp_is_fresh() {
    let expires = |timestamp: Option<u64>, tolerance_seconds| {
        // As late as the timestamp is accepted, but not before now.
        let now = timestamp.map_or(NOW, |timestamp| {
            NOW.clamp(timestamp.saturating_sub(tolerance_seconds), timestamp.saturating_add(tolerance_seconds))
        });
        let signed = Signed { now, timestamp, tolerance_seconds };
        key_of(&ReplayRule::ExactRequest, &json!({}), signed).unwrap().expires
    };
    for (timestamp, tolerance, end) in [
        (None, 300, None),
        (Some(NOW), 300, Some(NOW + 301)),
        (Some(NOW - 300), 300, Some(NOW + 1)),
        (Some(NOW + 300), 300, Some(NOW + 601)),
        (Some(NOW), 0, Some(NOW + 1)),
        (Some(0), 0, Some(1)),
        (Some(NOW), u64::MAX, Some(u64::MAX)),
        (Some(9_999_999_999_999_999_999), u64::MAX, Some(u64::MAX)),
    ] {
        assert_eq!(expires(timestamp, tolerance), end, "{timestamp:?} {tolerance}");
    }
}

#[test]
fn a_window_counts_from_now_in_whole_seconds() {
    for (window, end) in [
        (Duration::ZERO, NOW),
        (Duration::from_millis(999), NOW),
        (Duration::from_secs(1), NOW + 1),
        (Duration::from_millis(60_999), NOW + 60),
        (Duration::MAX, u64::MAX),
    ] {
        // Of the timestamp it knows nothing: the same body is signed anew with each retry.
        let signed = Signed { timestamp: Some(NOW - 200), ..SIGNED };
        let by_hash = key_of(&ReplayRule::BodyHash { window }, &json!({"id": 1}), signed).unwrap();
        assert_eq!(by_hash.expires, Some(end), "{window:?}");
        let by_pointer = key_of(&ReplayRule::pointer("/id", Some(window)).unwrap(), &json!({"id": 1}), signed);
        assert_eq!(by_pointer.unwrap().expires, Some(end), "{window:?}");
    }
}

#[test]
fn a_pointer_leads_to_a_text_a_whole_number_or_a_boolean() {
    let deep = json!({"a": {"b": [{"c": "here"}]}, "a/b": "slash", "m~n": "tilde", "": "empty", "~1": "both"});
    for (pointer, body) in [
        ("/id", json!({"id": "i1"})),
        ("/id", json!({"id": " i1 "})),
        ("/id", json!({"id": "0"})),
        ("/id", json!({"id": "null and void"})),
        ("/id", json!({"id": "{{"})),
        ("/id", json!({"id": 0})),
        ("/id", json!({"id": -7})),
        ("/id", json!({"id": u64::MAX})),
        ("/id", json!({"id": i64::MIN})),
        ("/id", json!({"id": false})),
        ("/id", json!({"id": true})),
        ("/a/b/0/c", deep.clone()),
        ("/a~1b", deep.clone()),
        ("/m~0n", deep.clone()),
        ("/~01", deep.clone()),
        ("/", deep),
    ] {
        assert!(at(pointer, &body).is_some(), "{pointer} {body}");
    }
}

/// Events that have nothing there would otherwise all be the same one, and all but the first be lost.
#[test]
fn a_pointer_that_leads_to_nothing_or_to_no_such_value_makes_no_key() {
    let deep = json!({"a": {"b": [{"c": "here"}]}, "a/b": "slash"});
    for (pointer, body) in [
        ("/id", json!({})),
        ("/id", json!({"ID": "i1"})),
        ("/id", json!({"id": null})),
        ("/id", json!({"id": ""})),
        ("/id", json!({"id": " \t\n\u{a0}"})),
        ("/id", json!({"id": "null"})),
        ("/id", json!({"id": " NULL "})),
        ("/id", json!({"id": "{{issue.id}}"})),
        ("/id", json!({"id": " {{ issue.last_message.id }} "})),
        ("/id", json!({"id": {}})),
        ("/id", json!({"id": {"id": "i1"}})),
        ("/id", json!({"id": []})),
        ("/id", json!({"id": ["i1"]})),
        ("/id", json!({"id": 1.5})),
        ("/id", json!({"id": 1e30})),
        ("/id/", json!({"id": "i1"})),
        ("/id/0", json!({"id": "i1"})),
        ("/a", deep.clone()),
        ("/a/b", deep.clone()),
        ("/a/b/0", deep.clone()),
        ("/a/b/1/c", deep.clone()),
        ("/a/b/00/c", deep.clone()),
        ("/a/b/-/c", deep.clone()),
        ("/A/b/0/c", deep.clone()),
        ("/a~1c", deep),
        ("/0", json!([[]])),
        ("/id", json!("i1")),
        ("/id", json!(7)),
    ] {
        assert_eq!(at(pointer, &body), None, "{pointer} {body}");
    }
}

/// Read as a double, these two are one number.
#[test]
fn two_numbers_beyond_64_bits_are_never_taken_for_each_other() {
    let key = |body: &str| pointer("/id").key(&received(&EventReader::new(), body, SIGNED));
    for body in [r#"{"id": 123456789012345678901}"#, r#"{"id": 123456789012345678902}"#] {
        assert_eq!(key(body), None, "{body}");
    }
}

#[test]
fn a_value_counts_by_its_text_whatever_its_type() {
    assert_eq!(at("/id", &json!({"id": 7})), at("/id", &json!({"id": "7"})));
    assert_eq!(at("/id", &json!({"id": true})), at("/id", &json!({"id": "true"})));
    assert_ne!(at("/id", &json!({"id": "7"})), at("/id", &json!({"id": "07"})));
    assert_ne!(at("/id", &json!({"id": "a"})), at("/id", &json!({"id": "A"})));
    assert_ne!(at("/id", &json!({"id": "a"})), at("/id", &json!({"id": " a"})));
    assert_eq!(at("/id", &json!({"id": "a"})), at("/id", &json!({"id": "a", "more": 1})), "the rest does not count");
    assert_ne!(at("/id", &json!({"id": "a"})), at("/ID", &json!({"ID": "a"})), "a store may serve several guards");
}

#[test]
fn the_same_value_under_another_event_name_is_another_event() {
    let of = |name: &str| at("/id", &json!({"event_type": name, "id": "i1"})).unwrap();
    for same in ["issue_new", "issue.new", "Issue-New", " ISSUE NEW "] {
        assert_eq!(of(same), of("issue_new"), "{same}: of one kind");
    }
    let others = ["issue_assigned", "issue.created", "issue_created", "ticket.created", "Ticket.Created", ""];
    let keys: BTreeSet<String> = others.into_iter().chain(["issue_new"]).map(of).collect();
    assert_eq!(keys.len(), 7, "names of no kind count as they were sent");
}

#[test]
fn a_name_that_is_configured_to_mean_a_kind_counts_as_that_kind() {
    let reader = EventReader::builder().name("issue.created", EventKind::IssueNew).build().unwrap();
    let of = |name: &str| {
        let body = json!({"event_type": name, "id": "i1"}).to_string();
        pointer("/id").key(&received(&reader, &body, SIGNED))
    };
    assert_eq!(of("issue.created"), of("issue_new"));
}

#[test]
fn nothing_in_a_name_or_a_value_shifts_into_the_other() {
    let of = |name: &str, id: &str| at("/id", &json!({"event_type": name, "id": id})).unwrap();
    assert_ne!(of("a", "/id\0b"), of("a\0/id", "b"));
    assert_ne!(of("a", "b\0"), of("a\0b", "\0"));
    assert_ne!(of("ab", "c"), of("a", "bc"));
}

#[test]
fn a_pointer_without_its_slash_is_refused() {
    for pointer in ["", "id", "#/id", " /id", "~0"] {
        assert_eq!(ReplayRule::pointer(pointer, None), Err(ConfigError::Pointer), "{pointer:?}");
        let guard = ReplayGuard::pointer(pointer, None, MemoryReplayStore::new(1));
        assert_eq!(guard.unwrap_err(), ConfigError::Pointer, "{pointer:?}");
    }
}
