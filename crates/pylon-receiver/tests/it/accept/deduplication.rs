//! What makes two events the same.

use super::*;

fn with(deduplication: Deduplication) -> Config {
    let mut config = config();
    config.endpoints[0].deduplication = deduplication;
    config
}

fn pointer(window: Option<u64>) -> Deduplication {
    Deduplication::Pointer { pointer: "/id".into(), window: window.map(Duration::from_secs) }
}

fn body_hash() -> Deduplication {
    Deduplication::BodyHash { window: Duration::from_secs(60) }
}

/// A rule, the headers' timestamp, the body, and when the key may be forgotten (in Unix seconds; none: never), where there is one.
type Case = (Deduplication, Option<u64>, &'static str, Option<Option<u64>>);

#[test]
fn each_rule_gives_its_key() {
    let cases: [Case; 16] = [
        (Deduplication::Off, Some(NOW), "{}", None),
        (Deduplication::Off, None, "{}", None),
        (Deduplication::ExactRequest, Some(NOW), "{}", Some(Some(NOW + 301))),
        (Deduplication::ExactRequest, Some(NOW + 300), "{}", Some(Some(NOW + 601))),
        (Deduplication::ExactRequest, None, "{}", None),
        (Deduplication::ExactRequest, Some(NOW), "not JSON", Some(Some(NOW + 301))),
        (Deduplication::ExactRequest, None, "not JSON", None),
        (body_hash(), None, "{}", Some(Some(NOW + 60))),
        (body_hash(), Some(NOW), "{}", Some(Some(NOW + 60))),
        (body_hash(), None, "not JSON", Some(Some(NOW + 60))),
        (pointer(None), None, r#"{"id": "a"}"#, Some(None)),
        (pointer(Some(9)), Some(NOW), r#"{"id": 7}"#, Some(Some(NOW + 9))),
        (pointer(Some(u64::MAX)), None, r#"{"id": 7}"#, Some(Some(u64::MAX))),
        (pointer(None), None, r#"{"id": ""}"#, None),
        (pointer(None), None, r#"{"other": 1}"#, None),
        (pointer(None), None, "not JSON", None),
    ];
    for (rule, timestamp, body, expected) in cases {
        run(async {
            let front = Front::new(&with(rule.clone())).await;
            let headers = match timestamp {
                Some(timestamp) => signed_at(body.as_bytes(), timestamp),
                None => signed(body.as_bytes()),
            };
            front.post(&headers, body.as_bytes()).await.id();
            let found = front.event().deduplication;
            let lasts = found.as_ref().map(|key| key.lasts);
            let expected = expected.map(|expires| expires.map(|expires| Duration::from_secs(expires - NOW)));
            assert_eq!(lasts, expected, "{rule:?} {timestamp:?} {body}");
            assert!(found.is_none_or(|found| found.key.len() == 64));
        });
    }
}

#[test]
fn a_parked_body_has_the_key_that_it_would_have_as_an_event() {
    run(async {
        let front = Front::new(&with(body_hash())).await;
        let first = front.webhook("not JSON").await.id();
        let again = front.webhook("not JSON").await;
        assert_eq!(again.json(), json!({"status": "duplicate", "id": first}));
        front.webhook("nor this").await;
        assert_eq!(front.events().len(), 2);
    });
}

#[test]
fn a_duplicate_is_answered_with_the_id_of_the_one_that_is_kept() {
    let (first, lines) = run(async {
        let front = Front::new(&with(pointer(None))).await;
        let first = front.webhook(r#"{"type": "issue_new", "id": "a", "n": 1}"#).await.id();
        let again = front.webhook(r#"{"type": "issue_new", "id": "a", "n": 2}"#).await;
        assert_eq!((again.status, again.json()), (200, json!({"status": "duplicate", "id": first})));
        front.event();
        assert!(front.counted(r#"pylon_receiver_accepted_total{endpoint="webhook"} 1"#));
        assert!(front.counted(r#"pylon_receiver_duplicates_total{endpoint="webhook"} 1"#));
        assert_eq!(front.refused(), []);
        front.webhook(r#"{"type": "closed", "id": "a"}"#).await.id();
        assert_eq!(front.events().len(), 2, "another name, another event");
        first
    });
    let expected = format!(
        "INFO message=a duplicate of an accepted webhook was answered and not kept event_id={first} endpoint=\"webhook\" \
         name=\"issue_new\" kind=\"issue_new\""
    );
    assert_eq!(lines[1], expected);
}

#[test]
fn an_unsigned_timestamp_counts_for_nothing() {
    run(async {
        let mut config = with(Deduplication::ExactRequest);
        config.endpoints[0].signature = None;
        config.endpoints[0].header = Some(secrets::bearer("x-token"));
        let front = Front::new(&config).await;
        let headers = [header("X-Token", secrets::BEARER), header("X-Pylon-Timestamp", &NOW.to_string())].concat();
        front.post(&headers, b"{}").await.id();
        assert_eq!(front.event().deduplication, None);
    });
}
