//! The bodies to paste into Pylon's triggers: what they hold, and that what is put into them arrives.

use proptest::prelude::*;
use pylon_webhooks::{EventKind, Field, FieldValue, Shape, Variable, WebhookEvent, parse_webhook_event};
use serde_json::{Map, Value};

/// The fields of a kind that its template sends, each with its variable.
fn variables(kind: EventKind) -> impl Iterator<Item = (&'static Field, Variable)> {
    kind.fields().filter_map(|field| Some((field, field.variable?)))
}

/// A text as it stands between the quotes of a JSON string.
fn escaped(text: &str) -> String {
    let quoted = Value::from(text).to_string();
    quoted[1..quoted.len() - 1].to_owned()
}

/// The template with a text in place of each variable.
fn filled(kind: EventKind, text: impl Fn(&Field) -> String) -> String {
    // In the order of the template, so that what was put in is not taken for a variable.
    let template = kind.template();
    let (mut rest, mut body) = (template.as_str(), String::new());
    for (field, variable) in variables(kind) {
        let (before, after) = rest.split_once(&format!("{{{{{}}}}}", variable.name)).unwrap();
        body.extend([before, &text(field)]);
        rest = after;
    }
    body + rest
}

fn read(body: String) -> WebhookEvent {
    parse_webhook_event(body.into_bytes()).unwrap()
}

#[test]
fn that_of_a_message_is_this() {
    let template = r#"{
  "event_type": "issue_message_new",
  "issue_id": "{{issue.id}}",
  "issue_number": "{{issue.number}}",
  "issue_title": "{{issue.title}}",
  "issue_team_name": "{{issue.team.name}}",
  "issue_account_id": "{{issue.account.id}}",
  "issue_account_name": "{{issue.account.name}}",
  "issue_requester_email": "{{issue.requester.email}}",
  "issue_requesteer_id": "{{issue.requester.id}}",
  "issue_assignee_email": "{{issue.assignee.email}}",
  "issue_assignee_id": "{{issue.assignee.id}}",
  "message_id": "{{issue.last_message.id}}",
  "message_author_id": "{{issue.last_message.author.id}}",
  "message_author_name": "{{issue.last_message.author.name}}",
  "message_body_html": "{{issue.last_message.body_html}}",
  "message_ccs": "{{issue.last_message.ccs}}",
  "message_is_private": "{{issue.last_message.is_private}}",
  "message_sent_at": "{{issue.last_message.sent_at}}"
}
"#;
    assert_eq!(EventKind::IssueMessageNew.template(), template);
}

#[test]
fn that_of_any_other_kind_differs_in_its_name_alone() {
    let of_new = EventKind::IssueNew.template();
    for line in [
        r#"  "issue_title": "{{issue.title}}","#,
        r#"  "issue_status": "{{issue.status}}","#,
        r#"  "issue_attachment_urls": "{{issue.attachment_urls}}""#,
    ] {
        assert!(of_new.lines().any(|found| found == line), "{line} in {of_new}");
    }
    for kind in EventKind::ALL.iter().copied().filter(|kind| *kind != EventKind::IssueMessageNew) {
        assert_eq!(kind.template(), of_new.replace("\"issue_new\"", &format!("\"{kind}\"")));
    }
}

#[test]
fn each_has_a_line_for_every_field_with_a_variable_and_for_no_other() {
    for &kind in EventKind::ALL {
        let template = kind.template();
        let body: Map<String, Value> = serde_json::from_str(&template).unwrap();
        assert_eq!(body["event_type"], kind.name());
        for field in kind.fields() {
            let expected = field.variable.map(|variable| Value::from(format!("{{{{{}}}}}", variable.name)));
            assert_eq!(body.get(field.name), expected.as_ref(), "{kind}: {}", field.name);
        }
        assert_eq!(body.len(), 1 + variables(kind).count());
        assert_eq!(template.lines().count(), body.len() + 2, "a line each, so that one can be taken out");
    }
}

#[test]
fn a_variable_is_a_path_of_words_under_the_issue() {
    for (field, variable) in EventKind::ALL.iter().copied().flat_map(variables) {
        let words: Vec<&str> = variable.name.split('.').collect();
        assert_eq!((words[0], words.len() > 1), ("issue", true), "{}: {}", field.name, variable.name);
        let is_word = |word: &str| !word.is_empty() && word.bytes().all(|c| c.is_ascii_lowercase() || c == b'_');
        assert!(words.into_iter().all(is_word), "{}: {}", field.name, variable.name);
    }
}

#[test]
fn a_field_without_a_value_is_no_problem_where_it_may_be_empty() {
    for &kind in EventKind::ALL {
        let event = read(filled(kind, |_| String::new()));
        let problems: Vec<&str> = event.problems().iter().map(|problem| problem.field).collect();
        let typed = variables(kind)
            .filter(|(field, _)| matches!(field.shape, Shape::Number | Shape::Boolean | Shape::DateTime));
        assert_eq!(problems, typed.map(|(field, _)| field.name).collect::<Vec<_>>(), "{kind}");
    }
}

#[test]
fn odd_values_come_back_exactly() {
    for odd in [
        "\"",
        "\"quoted\" and 'quoted'",
        "\\",
        "C:\\new\\table",
        "\\n \\u0041 \\\"",
        "line\nline\r\nline\ttab",
        "\u{0}\u{1}\u{1f}\u{7f}",
        "\u{2028}\u{2029}\u{feff}",
        "😀 👩‍👩‍👧 Ça va? 日本語",
        "\u{e000}\u{fffd}\u{10ffff}",
        "{{issue.title}} and more",
        "{\"event_type\": \"issue_assigned\"}",
        "\", \"event_type\": \"issue_assigned",
        "</script><b>&amp;",
        " outer space ",
        "null and void",
        "a, b",
    ] {
        for &kind in EventKind::ALL {
            let event = read(filled(kind, |field| match field.shape {
                Shape::Text | Shape::Id => escaped(odd),
                _ => String::new(),
            }));
            assert_eq!(event.kind(), Some(kind), "{odd:?}");
            for (field, _) in variables(kind).filter(|(field, _)| matches!(field.shape, Shape::Text | Shape::Id)) {
                assert_eq!(event.text(field.name), odd, "{}", field.name);
                assert_eq!(event.read(field), Ok(FieldValue::Text(odd.into())), "{}", field.name);
            }
        }
    }
}

/// Whether Pylon escapes is not known; line feeds and the like can be read in one way only.
#[test]
fn values_that_were_put_in_without_escaping_come_back_where_they_can_be_told_from_the_template() {
    for odd in ["line\nline\r\nline\ttab", "\u{1}\u{1f}", "<p>Ça va 😀</p>", "it's"] {
        for &kind in EventKind::ALL {
            let event = read(filled(kind, |field| if field.shape == Shape::Text { odd.into() } else { String::new() }));
            assert_eq!(event.text("issue_title"), odd, "{kind}");
        }
    }
    for broken in ["\"", "say \"hi\" to them", "\\", "\\q"] {
        let body = filled(EventKind::IssueNew, |_| broken.into());
        assert!(parse_webhook_event(body.into_bytes()).is_err(), "{broken:?} can be read in more than one way");
    }
}

proptest! {
    #![proptest_config(ProptestConfig { failure_persistence: None, ..ProptestConfig::default() })]

    #[test]
    fn any_text_comes_back_through_a_template(text: String, kind in prop::sample::select(EventKind::ALL.to_vec())) {
        let event = read(filled(kind, |_| escaped(&text)));
        prop_assert_eq!(event.kind(), Some(kind));
        for (field, _) in variables(kind) {
            prop_assert_eq!(&*event.text(field.name), &text);
        }
        prop_assert!(event.extra().is_empty());
    }
}
