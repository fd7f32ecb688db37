//! Where an event goes, and in which order.

use super::*;
use pylon_receiver::config::Condition;

/// A destination that takes these kinds, of these endpoints.
fn filtered(name: &str, kinds: &[&str], endpoints: &[&str]) -> DestinationConfig {
    let texts = |texts: &[&str]| texts.iter().map(|&text| text.to_owned()).collect();
    destination(name).kinds(texts(kinds)).endpoints(texts(endpoints))
}

#[test]
fn an_event_goes_to_the_destinations_that_take_it() {
    let endpoints = ["/one", "/two"].map(|path| EndpointConfig::signed(path, [SecretSource::given(SECRET)]));
    let config = config().endpoints(endpoints.to_vec()).destinations(vec![
        filtered("all", &[], &[]),
        filtered("new", &["issue.new"], &[]),
        filtered("tickets", &["ticket_created", "Ticket Closed"], &[]),
        filtered("one", &[], &["one"]),
        filtered("tickets of two", &["ticket.created"], &["two", "three"]),
        filtered("none", &[], &["three"]),
    ]);
    let cases: [(&str, &str, &[&str]); 5] = [
        ("/one", "issue_new", &["all", "new", "one"]),
        ("/two", "Issue-New", &["all", "new"]),
        ("/one", "ticket.created", &["all", "tickets", "one"]),
        ("/two", "ticket.created", &["all", "tickets", "tickets of two"]),
        ("/two", "", &["all"]),
    ];
    for (path, name, expected) in cases {
        run(async {
            let front = Front::new(&config).await;
            let body = json!({"type": name}).to_string();
            front.ask(&request("POST", path, &signed(body.as_bytes()), body.as_bytes())).await.id();
            let deliveries = front.event().deliveries;
            let names: Vec<_> = deliveries.iter().map(|delivery| &*delivery.destination).collect();
            assert_eq!(names, expected, "{path} {name}");
            assert_eq!(&*front.event().endpoint, &path[1..]);
        });
    }
}

/// Conditions, a body, and whether it meets them.
type Filtered = (&'static [(&'static str, &'static [&'static str])], &'static str, bool);

const STATUS: (&str, &[&str]) = ("/issue_status", &["closed", "on_hold"]);
const NUMBER: (&str, &[&str]) = ("/issue_number", &["1042"]);

const FILTERED: [Filtered; 32] = [
    (&[], "{}", true),
    (&[STATUS], r#"{"issue_status": "closed"}"#, true),
    (&[STATUS], r#"{"issue_status": "on_hold"}"#, true),
    (&[STATUS], r#"{"issue_status": "clos\u0065d"}"#, true),
    (&[STATUS], r#"{"issue_status": "new"}"#, false),
    (&[STATUS], r#"{"issue_status": "Closed"}"#, false),
    (&[STATUS], r#"{"issue_status": "closed "}"#, false),
    (&[STATUS], r#"{"issue_status": ""}"#, false),
    (&[STATUS], r#"{"issue_status": null}"#, false),
    (&[STATUS], r#"{"issue_status": ["closed"]}"#, false),
    (&[STATUS], r#"{"issue_status": {"closed": "closed"}}"#, false),
    (&[STATUS], r#"{"data": {"issue_status": "closed"}}"#, false),
    (&[STATUS], r#"["closed"]"#, false),
    (&[STATUS], r#""closed""#, false),
    (&[STATUS], "{}", false),
    (&[NUMBER], r#"{"issue_number": 1042}"#, true),
    (&[NUMBER], r#"{"issue_number": "1042"}"#, true),
    (&[NUMBER], r##"{"issue_number": "#1042"}"##, false),
    (&[NUMBER], r#"{"issue_number": 1042.0}"#, false),
    (&[NUMBER], r#"{"issue_number": 10420}"#, false),
    (&[("/is_private", &["true"])], r#"{"is_private": true}"#, true),
    (&[("/is_private", &["true"])], r#"{"is_private": "true"}"#, true),
    (&[("/is_private", &["true"])], r#"{"is_private": "True"}"#, false),
    (&[("/is_private", &["true"])], r#"{"is_private": 1}"#, false),
    (&[("/note", &[""])], r#"{"note": ""}"#, true),
    (&[("/note", &[""])], "{}", false),
    (&[("/data/tags/1", &["vip"])], r#"{"data": {"tags": ["a", "vip"]}}"#, true),
    (&[("/a~1b/c~0d", &["x"])], r#"{"a/b": {"c~d": "x"}}"#, true),
    (&[("/a~01b", &["x"])], r#"{"a~1b": "x"}"#, true),
    (&[STATUS, NUMBER], r#"{"issue_status": "closed", "issue_number": 1042}"#, true),
    (&[STATUS, NUMBER], r#"{"issue_status": "closed", "issue_number": 1}"#, false),
    (&[STATUS, NUMBER], r#"{"issue_status": "closed"}"#, false),
];

#[test]
fn a_destination_takes_the_events_whose_body_meets_all_of_its_conditions() {
    for (conditions, body, is_met) in FILTERED {
        let conditions = conditions.iter().map(|(pointer, values)| Condition {
            pointer: (*pointer).into(),
            values: values.iter().map(|&value| value.to_owned()).collect(),
        });
        let some = destination("some").conditions(conditions.collect());
        run(async {
            let front = Front::new(&config().destinations(vec![some, destination("all")])).await;
            front.webhook(body).await.id();
            let deliveries = front.event().deliveries;
            let names: Vec<_> = deliveries.iter().map(|delivery| &*delivery.destination).collect();
            assert_eq!(names, if is_met { vec!["some", "all"] } else { vec!["all"] }, "{body}");
        });
    }
}

#[test]
fn a_body_that_is_not_json_meets_no_condition() {
    run(async {
        let condition = Condition { pointer: "/a".into(), values: vec!["b".into()] };
        let front = Front::new(&config().destinations(vec![destination("app").conditions(vec![condition])])).await;
        front.webhook("a=b").await.id();
        assert_eq!(front.event().deliveries, []);
    });
}

#[test]
fn an_event_that_goes_nowhere_is_kept_all_the_same() {
    run(async {
        let front = Front::new(&config().destinations(vec![])).await;
        front.webhook("{}").await.id();
        assert_eq!((front.event().deliveries, front.event().parked), (vec![], None));
    });
}

#[test]
fn events_go_in_the_order_of_the_value_that_the_destination_names() {
    let long = "x".repeat(201);
    let long_body = format!(r#"{{"issue_id": "{long}"}}"#);
    let cases: [(&str, &str, Option<&str>); 16] = [
        ("issue_id", r#"{"issue_id": "i1"}"#, Some("i1")),
        ("issue_id", r#"{"data": {"issue": {"id": 1042}}}"#, Some("1042")),
        ("issue_id", r#"{"issue_id": ""}"#, None),
        ("issue_id", r#"{"issue_id": "  "}"#, None),
        ("issue_id", r#"{"issue_id": null}"#, None),
        ("issue_id", "{}", None),
        ("region", r#"{"region": "eu"}"#, Some("eu")),
        ("/a/b", r#"{"a": {"b": "text"}}"#, Some("text")),
        ("/a/b", r#"{"a": {"b": 12345678901234567890}}"#, Some("12345678901234567890")),
        ("/a/b", r#"{"a": {"b": false}}"#, Some("false")),
        ("/a/b", r#"{"a": {"b": ""}}"#, None),
        ("/a/b", r#"{"a": {"b": null}}"#, None),
        ("/a/b", r#"{"a": {"b": []}}"#, None),
        ("/a/b", r#"{"a": {"b": {}}}"#, None),
        ("/a/b", r#"{"a": 1}"#, None),
        ("/a/1", r#"{"a": ["x", "y"]}"#, Some("y")),
    ];
    let order_key = |order_by: &str, body: &str| {
        let destination = destination("app").order_by(Some(order_by.into()));
        let config = config().destinations(vec![destination]);
        let (key, _) = run(async {
            let front = Front::new(&config).await;
            front.webhook(body).await.id();
            front.event().deliveries[0].order_key.clone()
        });
        key
    };
    for (order_by, body, expected) in cases {
        assert_eq!(order_key(order_by, body).as_deref(), expected, "{order_by} {body}");
    }
    let key = order_key("issue_id", &long_body).unwrap();
    assert!(key.len() == 64 && key.bytes().all(|digit| digit.is_ascii_hexdigit()), "{key}");
    assert_eq!(order_key("/issue_id", &long_body).unwrap(), key);
    assert_ne!(order_key("issue_id", &long_body.replace("xx", "xy")).unwrap(), key);
}

#[test]
fn a_destination_without_an_order_gets_no_key() {
    run(async {
        let front = Front::new(&config()).await;
        front.webhook(r#"{"issue_id": "i1"}"#).await.id();
        assert_eq!(front.event().deliveries[0].order_key, None);
    });
}
