use super::*;
use pylon_receiver::internals::TransportFault;
use pylon_receiver::text::show_duration;
use pylon_receiver::{DeliveredEvent, Handlers, handlers_of};
use pylon_webhooks::{EventKind, HandlerError, IssueNewEvent, WebhookHandler};
use std::sync::{Arc, Mutex};
use tokio::sync::Notify;

async fn deliver(handlers: impl Handlers, timeout: Duration, attempt: &Attempt) -> Report {
    deliver_to(&in_process(handlers), timeout, attempt).await
}

async fn deliver_to(handlers: &Arc<dyn Handlers>, timeout: Duration, attempt: &Attempt) -> Report {
    let destination = destination(TransportConfig::InProcess, timeout);
    within("the attempt ends", transport(&destination, Some(handlers)).unwrap().deliver(attempt)).await
}

fn in_process(handlers: impl Handlers) -> Arc<dyn Handlers> {
    Arc::new(handlers)
}

#[test]
fn a_destination_of_this_process_needs_handlers() {
    let made = transport(&destination(TransportConfig::InProcess, PATIENCE), None);
    assert_eq!(made.err(), Some(TransportFault::NoHandlers));
    assert_eq!(TransportFault::NoHandlers.to_string(), "expected handlers of the program, found none");
}

fn handled() -> Report {
    Report::delivered(None, "handled")
}

#[tokio::test]
async fn a_closure_gets_the_event_and_the_attempt() {
    let seen = Arc::new(Mutex::new(Vec::new()));
    let tell = Arc::clone(&seen);
    let handlers = handlers_of(move |event: DeliveredEvent| {
        let tell = Arc::clone(&tell);
        async move {
            let name = event.event_type().to_owned();
            tell.lock().unwrap().push((name, event.attempt.delivery.to_string(), event.attempt.number));
            Ok(())
        }
    });
    assert_eq!(deliver(handlers, PATIENCE, &attempt()).await, handled());
    assert_eq!(*seen.lock().unwrap(), [("Issue.New".to_owned(), format!("{EVENT}.2"), 3)]);
}

#[tokio::test]
async fn a_webhook_handler_is_called_as_if_the_event_had_just_come_in() {
    let seen = Arc::new(Mutex::new(Vec::new()));
    let tell = Arc::clone(&seen);
    let mut handler = WebhookHandler::new("not asked for").unwrap();
    handler.on(move |event: IssueNewEvent| tell.lock().unwrap().push(event.issue_title().to_string()));
    assert_eq!(deliver(handler, PATIENCE, &attempt()).await, handled());
    assert_eq!(*seen.lock().unwrap(), ["Export fails"]);

    let mut handler = WebhookHandler::new("not asked for").unwrap();
    handler.on_async(|_: IssueNewEvent| async { Err::<(), _>("the database is away") });
    let report = deliver(handler, PATIENCE, &attempt()).await;
    assert_eq!(report, handler_failed("a handler failed: the database is away"));

    let mut handler = WebhookHandler::new("not asked for").unwrap();
    handler.on(|_: IssueNewEvent| -> () { panic!("on purpose") });
    let report = deliver(handler, PATIENCE, &attempt()).await;
    assert_eq!(report, handler_failed("a handler failed: it panicked"));
}

#[tokio::test]
async fn an_event_has_the_name_and_kind_that_it_had_when_it_came_in() {
    use EventKind::{IssueAssigned, IssueNew};
    let cases = [
        (r#"{"event_type": "Issue.New"}"#, "Issue.New", Some(IssueNew)),
        (r#"{"event_type": "ticket.created"}"#, "ticket.created", None),
        ("{}", "", None),
        // The endpoint's rules found another name, or take a name for another kind.
        ("{}", "issue_new", Some(IssueNew)),
        ("[]", "ticket.created", None),
        (r#"{"event_type": "ticket.created"}"#, "ticket.created", Some(IssueNew)),
        (r#"{"event_type": "issue_new"}"#, "issue_assigned", Some(IssueAssigned)),
        (r#"{"event_type": "issue_new"}"#, "issue_new", None),
        (r#"{"event_type": "issue_new"}"#, "", None),
    ];
    for (body, name, expected) in cases {
        let handlers = handlers_of(move |event: DeliveredEvent| async move {
            let found = (event.event_type(), event.kind());
            if found == (name, expected) { Ok(()) } else { Err(format!("{found:?}").into()) }
        });
        let sent = Attempt { body: body.into(), name: name.into(), kind: expected, ..attempt() };
        assert_eq!(deliver(handlers, PATIENCE, &sent).await, handled(), "{body} as {name}");
    }
}

/// What it said goes into the ledger alone.
fn handler_failed(detail: &str) -> Report {
    Report::refused(Code::HANDLER_ERROR, None, "a handler failed").with_detail(detail)
}

#[tokio::test]
async fn a_failure_is_told_in_one_line() {
    let long = "x".repeat(300);
    let cases = [
        ("the database is away", "the database is away"),
        ("two\nlines \u{1b}[31m", r"two\nlines \u{1b}[31m"),
        ("  ", "a handler failed and gave no reason"),
        (&long, &long[..200]),
    ];
    for (error, detail) in cases {
        let error = error.to_owned();
        let handlers = handlers_of(move |_| {
            let error = error.clone();
            async move { Err(error.into()) }
        });
        assert_eq!(deliver(handlers, PATIENCE, &attempt()).await, handler_failed(detail));
    }
}

#[tokio::test]
async fn a_panic_is_a_failure() {
    let at_once = handlers_of(|_| -> std::future::Ready<Result<(), HandlerError>> { panic!("at once") });
    let later = handlers_of(|event: DeliveredEvent| async move {
        tokio::task::yield_now().await;
        panic!("attempt {}", event.attempt.number)
    });
    let wordless = handlers_of(|_| async { std::panic::panic_any(7) });
    for (handlers, detail) in [
        (in_process(at_once), "a handler panicked: at once"),
        (in_process(later), "a handler panicked: attempt 3"),
        (in_process(wordless), "a handler panicked"),
    ] {
        let expected = Report::refused(Code::PANIC, None, "a handler panicked").with_detail(detail);
        assert_eq!(deliver_to(&handlers, PATIENCE, &attempt()).await, expected);
    }
}

#[tokio::test]
async fn a_body_that_is_not_json_fails_and_says_so() {
    let cases: [(&[u8], &str); 4] = [
        (b"", "handlers cannot read the body: expected JSON, found an empty body"),
        (b"a=b", "handlers cannot read the body: expected JSON, found a form body"),
        (b"\xff{}", "handlers cannot read the body: expected JSON in UTF-8, found other bytes at offset 0"),
        (b"{", "handlers cannot read the body: expected JSON, found the end of the body too early, at line 1 column 1"),
    ];
    for (body, detail) in cases {
        let handlers = handlers_of(|_| async { panic!("it cannot get this") });
        let sent = Attempt { body: body.to_vec().into(), ..attempt() };
        assert_eq!(deliver(handlers, PATIENCE, &sent).await, Report::refused(Code::UNREADABLE, None, detail));
    }
}

/// Tells when it is dropped.
struct Dropped(Arc<Notify>);

impl Drop for Dropped {
    fn drop(&mut self) {
        self.0.notify_one();
    }
}

/// Handlers that never end, what says that they began, and what says that they were dropped.
fn endless() -> (impl Handlers, Arc<Notify>, Arc<Notify>) {
    let (begun, dropped) = (Arc::new(Notify::new()), Arc::new(Notify::new()));
    let (tell_begun, tell_dropped) = (Arc::clone(&begun), Arc::clone(&dropped));
    let handlers = handlers_of(move |_| {
        let (begun, dropped) = (Arc::clone(&tell_begun), Dropped(Arc::clone(&tell_dropped)));
        async move {
            let _dropped = dropped;
            begun.notify_one();
            std::future::pending().await
        }
    });
    (handlers, begun, dropped)
}

#[tokio::test(start_paused = true)]
async fn a_handler_that_hangs_is_broken_off() {
    let (handlers, _, dropped) = endless();
    let detail = format!("not handled within {}", show_duration(PATIENCE));
    assert_eq!(deliver(handlers, PATIENCE, &attempt()).await, Report::failed(Code::TIMEOUT, None, detail));
    within("the handler is dropped", dropped.notified()).await;
}

#[tokio::test]
async fn whoever_drops_the_future_breaks_the_handler_off() {
    let (handlers, begun, dropped) = endless();
    let sent = attempt();
    tokio::select! {
        _ = deliver(handlers, PATIENCE, &sent) => panic!("it never ends"),
        () = within("the handler begins", begun.notified()) => {}
    }
    within("the handler is dropped", dropped.notified()).await;
}
