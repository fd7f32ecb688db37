//! Bodies of any kind: every JSON text is an event, and everything of an event can be read.

use pylon_webhooks::{EventKind, EventReader, NameSource, PayloadFault, WebhookEvent, parse_webhook_event};
use serde_json::Value;

/// Reads a body.
///
/// # Panics
/// When the reader breaks a promise.
pub fn event(data: &[u8]) {
    let known = serde_json::from_slice::<Value>(data);
    match (parse_webhook_event(data), known) {
        (Ok(event), Ok(known)) => {
            assert_eq!(event.payload(), &known);
            read_all(&event);
        }
        (Ok(event), Err(_)) => {
            let told = event.problems().iter().any(|problem| problem.field == "payload");
            assert!(told || data.starts_with(b"\xEF\xBB\xBF"), "mended without a word");
            assert_eq!(event.payload(), &serde_json::from_str::<Value>(&event.json()).expect("mended JSON"));
            read_all(&event);
        }
        (Err(error), known) => {
            assert_eq!(error.payload(), data);
            assert!(known.is_err() || matches!(error.fault(), PayloadFault::TooDeep { .. }), "{error}");
        }
    }
    for source in ["/event_type", "/data/event", "/0/1", "/~1/~0"].map(|pointer| NameSource::Pointer(pointer.into())) {
        let reader = EventReader::builder().name_source(source).build().expect("a good pointer");
        if let Ok(event) = reader.parse(data) {
            read_all(&event);
        }
    }
}

fn read_all(event: &WebhookEvent) {
    for &kind in EventKind::ALL {
        for field in kind.fields().chain(kind.views()) {
            let (value, text) = (event.read(field), event.text(field.name));
            assert!(value.is_ok() || text.len() <= event.raw().len());
        }
    }
    let (extra, custom_fields) = (event.extra(), event.custom_fields());
    assert!(extra.len() + custom_fields.len() <= event.raw().len());
    assert!(event.problems().len() < 24);
    assert!(event.is_named(event.event_type()));
    // Another kind reads the same members in another way.
    let again = WebhookEvent::from_stored(event.raw(), "issue_message_new", Some(EventKind::IssueMessageNew));
    assert!(again.is_ok_and(|event| event.problems().len() < 24 && event.extra().len() <= event.raw().len()));
}
