//! The methods of the typed events: each reads the field whose name it bears.

use pylon_webhooks::{
    BaseIssueEvent, DateTime, IssueMessageNewEvent, IssueNewEvent, IssueSnapshotEvent, IssueStateChangedEvent,
    IssueStatusChangedEvent, MessageNewEvent, UnknownEvent, WebhookEvent, parse_webhook_event,
};
use serde_json::{Value, json};

fn event(body: Value) -> WebhookEvent {
    parse_webhook_event(body.to_string().into_bytes()).unwrap()
}

fn issue_body() -> Value {
    json!({
        "event_type": "issue_new", "issue_id": "a", "issue_number": "12", "issue_title": "b", "issue_team_name": "c",
        "issue_account_id": "d", "issue_account_name": "e", "issue_requester_email": "f", "issue_requesteer_id": "g",
        "issue_assignee_email": "h", "issue_assignee_id": "i", "issue_salesforce_account_id": "j", "issue_body": "k",
        "issue_status": "l", "issue_sf_type": "m", "issue_last_message_sent_at": "2025-03-04T05:06:07Z",
        "issue_link": "n", "issue_tags": "o, p", "issue_account_domains": ["q"], "issue_attachment_urls": ["r"],
    })
}

#[test]
fn each_method_of_an_issue_event_reads_its_own_field() {
    let event = IssueNewEvent::of(&event(issue_body())).unwrap();
    let texts = [
        event.issue_id(),
        event.issue_title(),
        event.issue_team_name(),
        event.issue_account_id(),
        event.issue_account_name(),
        event.issue_requester_email(),
        event.issue_requesteer_id(),
        event.issue_assignee_email(),
        event.issue_assignee_id(),
        event.issue_salesforce_account_id(),
        event.issue_body(),
        event.issue_status(),
        event.issue_sf_type(),
        event.issue_link(),
    ];
    assert_eq!(texts.concat(), "abcdefghijklmn");
    assert_eq!(event.issue_requester_id(), event.issue_requesteer_id());
    assert_eq!(event.issue_number(), Some(12));
    assert_eq!(event.issue_last_message_sent_at(), DateTime::parse("2025-03-04T05:06:07Z"));
    assert_eq!(event.issue_tags(), ["o", "p"]);
    assert_eq!(event.issue_account_domains(), ["q"]);
    assert_eq!(event.issue_attachment_urls(), ["r"]);
}

#[test]
fn each_method_of_a_message_reads_its_own_field() {
    let event = event(json!({
        "event_type": "issue_message_new", "issue_id": "a", "message_id": "b", "message_author_id": "c",
        "message_author_name": "d", "message_body_html": "e", "message_ccs": "f@example.com",
        "message_is_private": "True", "message_sent_at": "2025-03-04T05:06:07Z",
    }));
    let event = MessageNewEvent::of(&event).unwrap();
    let texts = [
        event.issue_id(),
        event.message_id(),
        event.message_author_id(),
        event.message_author_name(),
        event.message_body_html(),
    ];
    assert_eq!(texts.concat(), "abcde");
    assert_eq!(event.message_ccs(), ["f@example.com"]);
    assert_eq!(event.message_is_private(), Some(true));
    assert_eq!(event.message_sent_at(), DateTime::parse("2025-03-04T05:06:07Z"));
}

#[test]
fn a_method_whose_field_is_absent_reads_nothing() {
    let event = event(json!({"event_type": "issue_message_new"}));
    let event = IssueMessageNewEvent::of(&event).unwrap();
    assert_eq!((&*event.message_id(), event.message_is_private(), event.message_sent_at()), ("", None, None));
    assert_eq!((event.issue_number(), event.message_ccs().len()), (None, 0));
}

#[test]
fn the_types_nest_as_their_names_say() {
    let (issue, mut message) = (event(issue_body()), issue_body());
    message["event_type"] = json!("issue_message_new");
    let (message, unknown) = (event(message), event(json!({"event_type": "ticket.created"})));
    let accepting = |event: &WebhookEvent| {
        [
            BaseIssueEvent::of(event).is_some(),
            IssueSnapshotEvent::of(event).is_some(),
            IssueNewEvent::of(event).is_some(),
            IssueStateChangedEvent::of(event).is_some(),
            MessageNewEvent::of(event).is_some(),
            UnknownEvent::of(event).is_some(),
        ]
    };
    assert_eq!(accepting(&issue), [true, true, true, false, false, false]);
    assert_eq!(accepting(&message), [true, false, false, false, true, false]);
    assert_eq!(accepting(&unknown), [false, false, false, false, false, true]);
}

#[test]
fn the_other_name_of_a_type_is_the_same_type() {
    let event = event(json!({"event_type": "issue_status_changed", "new_state": "closed"}));
    let event: IssueStateChangedEvent = IssueStatusChangedEvent::of(&event).unwrap();
    assert_eq!(event.new_state(), "closed");
}

#[test]
fn a_date_time_has_the_parts_of_its_utc_clock() {
    let time = DateTime::parse("2025-03-04T23:06:07.000000009-02:00").unwrap();
    assert_eq!(time.utc_parts(), (2025, 3, 5, 1, 6, 7));
    assert_eq!((time.unix_seconds(), time.nanoseconds()), (1_741_136_767, 9));
    let before = DateTime::parse("1969-12-31T23:59:59.25Z").unwrap();
    assert_eq!((before.unix_seconds(), before.nanoseconds()), (-1, 250_000_000));
    let since: std::time::SystemTime = before.into();
    assert_eq!(std::time::UNIX_EPOCH.duration_since(since).unwrap().as_millis(), 750);
}

#[test]
fn an_event_read_again_keeps_the_name_and_kind_that_it_had() {
    use pylon_webhooks::{EventKind, WebhookEvent};
    let body = br#"{"type": "x", "issue_id": "a", "region": "eu"}"#;
    let event = WebhookEvent::from_stored(body, "ticket.created", Some(EventKind::IssueNew)).unwrap();
    assert_eq!((event.event_type(), event.kind()), ("ticket.created", Some(EventKind::IssueNew)));
    assert_eq!(event.text("issue_id"), "a");
    assert_eq!(Value::Object(event.extra()), json!({"type": "x", "region": "eu"}), "the name is not of the body");
    let same = WebhookEvent::from_stored(body, "x", None).unwrap();
    assert_eq!(Value::Object(same.extra()), json!({"issue_id": "a", "region": "eu"}));
}
