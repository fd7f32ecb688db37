//! Who is called for an event, in which order, and what comes of it.

use pylon_test_support::log::logged;
use pylon_webhooks::{
    BaseIssueEvent, CustomEvent, Error, EventKind, EventReader, Handled, IssueAssignedEvent, IssueNewEvent,
    IssueSnapshotEvent, MessageNewEvent, Secret, UnknownEvent, Verified, Verifier, WebhookEvent, WebhookHandler,
    parse_webhook_event, sign,
};
use std::convert::Infallible;
use std::future::{Future, pending, poll_fn, ready};
use std::pin::pin;
use std::sync::{Arc, Mutex};
use std::task::{Context, Poll, Waker};

const SECRET: &str = "test-secret";

/// The order in which handlers ran.
#[derive(Clone, Default)]
struct Calls(Arc<Mutex<Vec<String>>>);

impl Calls {
    fn note(&self, call: impl ToString) {
        self.0.lock().unwrap().push(call.to_string());
    }

    /// A handler that notes its name.
    fn to<E>(&self, name: &'static str) -> impl Fn(E) + Send + Sync + use<E> {
        let calls = self.clone();
        move |_| calls.note(name)
    }

    /// An async handler that notes its name when it is awaited, not before.
    fn later<E>(&self, name: &'static str) -> impl Fn(E) -> BoxedFuture + Send + Sync + use<E> {
        let calls = self.clone();
        move |_| {
            let calls = calls.clone();
            Box::pin(async move { calls.note(name) })
        }
    }

    fn taken(&self) -> Vec<String> {
        std::mem::take(&mut self.0.lock().unwrap())
    }
}

type BoxedFuture = std::pin::Pin<Box<dyn Future<Output = ()> + Send>>;

fn new_handler() -> (WebhookHandler, Calls) {
    (WebhookHandler::new(SECRET).unwrap(), Calls::default())
}

fn named(name: &str) -> Verified<WebhookEvent> {
    let body = serde_json::json!({"event_type": name, "issue_title": "Export fails"}).to_string();
    Verified::stored(parse_webhook_event(body.into_bytes()).unwrap())
}

fn signed(body: &[u8]) -> String {
    sign(&Secret::new(SECRET).unwrap(), body, None)
}

fn failures(error: &Error) -> Vec<String> {
    let Error::Handlers(errors) = error else { panic!("an error of handlers, not {error:?}") };
    errors.failures().iter().map(|failure| failure.error.to_string()).collect()
}

/// Drives a future that never waits.
fn now<T>(future: impl Future<Output = T>) -> T {
    match pin!(future).poll(&mut Context::from_waker(Waker::noop())) {
        Poll::Ready(value) => value,
        Poll::Pending => panic!("it waits"),
    }
}

mod matching {
    use super::*;

    #[test]
    fn handlers_run_in_order_of_registration_whatever_they_are_for() {
        let (mut handler, calls) = new_handler();
        handler.on_any(calls.to::<WebhookEvent>("any"));
        handler.on_names(["issue_new"], calls.to("name"));
        handler.on(calls.to::<IssueNewEvent>("type"));
        handler.on(calls.to::<BaseIssueEvent>("base"));
        handler.on_any(calls.to("any again"));
        handler.dispatch(named("issue_new")).unwrap();
        assert_eq!(calls.taken(), ["any", "name", "type", "base", "any again"]);
    }

    #[test]
    fn a_handler_runs_for_its_own_type_alone() {
        let (mut handler, calls) = new_handler();
        handler.on(calls.to::<IssueNewEvent>("new"));
        handler.on(calls.to::<IssueAssignedEvent>("assigned"));
        handler.on(calls.to::<MessageNewEvent>("message"));
        handler.on(calls.to::<UnknownEvent>("unknown"));
        for (name, called) in [
            ("issue_new", "new"),
            ("issue_assigned", "assigned"),
            ("issue.message.new", "message"),
            ("ticket.created", "unknown"),
        ] {
            handler.dispatch(named(name)).unwrap();
            assert_eq!(calls.taken(), [called], "{name}");
        }
        handler.dispatch(named("issue_reaction")).unwrap();
        assert_eq!(calls.taken(), [""; 0]);
    }

    #[test]
    fn a_handler_of_a_wider_type_runs_for_all_that_it_covers() {
        let (mut handler, calls) = new_handler();
        handler.on(calls.to::<BaseIssueEvent>("base"));
        handler.on(calls.to::<IssueSnapshotEvent>("snapshot"));
        handler.dispatch(named("issue_tags_changed")).unwrap();
        assert_eq!(calls.taken(), ["base", "snapshot"]);
        handler.dispatch(named("issue_message_new")).unwrap();
        assert_eq!(calls.taken(), ["base"]);
        handler.dispatch(named("ticket.created")).unwrap();
        assert_eq!(calls.taken(), [""; 0]);
    }

    #[test]
    fn a_handler_of_several_names_runs_once_for_each_of_them() {
        let (mut handler, calls) = new_handler();
        handler.on_names(["ticket.created", "issue.new", "ISSUE_NEW"], calls.to("several"));
        handler.dispatch(named("Ticket-Created")).unwrap();
        assert_eq!(calls.taken(), ["several"]);
        handler.dispatch(named("issue_new")).unwrap();
        assert_eq!(calls.taken(), ["several"], "once, though two of its names fit");
        handler.dispatch(named("issue_assigned")).unwrap();
        assert_eq!(calls.taken(), [""; 0]);
    }

    #[test]
    fn a_handler_of_no_names_never_runs() {
        let (mut handler, calls) = new_handler();
        handler.on_names([""; 0], calls.to("none"));
        handler.dispatch(named("issue_new")).unwrap();
        assert_eq!(calls.taken(), [""; 0]);
    }

    #[test]
    fn a_mapped_name_is_found_under_itself_its_kind_and_its_type() {
        let verifier = Verifier::builder().secret(SECRET).build().unwrap();
        let reader = EventReader::builder().name("ticket.created", EventKind::IssueNew).build().unwrap();
        let (mut handler, calls) = (WebhookHandler::from_parts(verifier, reader), Calls::default());
        handler.on_names(["ticket_created"], calls.to("its name"));
        handler.on_names(["issue_new"], calls.to("its kind"));
        handler.on(calls.to::<IssueNewEvent>("its type"));
        handler.on(calls.to::<UnknownEvent>("unknown"));
        let body = br#"{"event": "ticket.created"}"#;
        handler.handle(body, Some(&signed(body)), None).unwrap();
        assert_eq!(calls.taken(), ["its name", "its kind", "its type"]);
    }

    #[test]
    fn a_body_without_a_name_reaches_those_who_take_unknown_events() {
        let (mut handler, calls) = new_handler();
        handler.on(calls.to::<UnknownEvent>("unknown"));
        handler.on_any(calls.to("any"));
        handler.on(calls.to::<BaseIssueEvent>("base"));
        let body = b"[1, 2]";
        handler.handle(body, Some(&signed(body)), None).unwrap();
        assert_eq!(calls.taken(), ["unknown", "any"]);
    }

    #[test]
    fn an_event_nobody_takes_is_handled() {
        let handled = WebhookHandler::new(SECRET).unwrap().dispatch(named("issue_new")).unwrap();
        assert_eq!((handled.event.event_type(), handled.results.len()), ("issue_new", 0));
    }

    #[test]
    fn a_handler_that_was_removed_runs_no_more() {
        let (mut handler, calls) = new_handler();
        let first = handler.on(calls.to::<IssueNewEvent>("first"));
        let second = handler.on_names(["issue_new"], calls.to("second"));
        handler.on_any(calls.to("third"));
        assert!(handler.remove(second));
        handler.dispatch(named("issue_new")).unwrap();
        assert_eq!(calls.taken(), ["first", "third"]);
        assert!(handler.remove(first));
        assert!(!handler.remove(first), "it was removed before");
        handler.dispatch(named("issue_new")).unwrap();
        assert_eq!(calls.taken(), ["third"]);
    }

    #[test]
    fn a_removed_handler_leaves_its_id_to_nobody() {
        let (mut handler, calls) = new_handler();
        let removed = handler.on_any(calls.to("removed"));
        handler.remove(removed);
        let kept = handler.on_any(calls.to("kept"));
        assert_ne!(removed, kept);
        assert!(!handler.remove(removed));
        handler.dispatch(named("issue_new")).unwrap();
        assert_eq!(calls.taken(), ["kept"]);
    }

    #[test]
    fn an_error_handler_that_was_removed_is_told_no_more() {
        let (mut handler, calls) = new_handler();
        let told = calls.clone();
        let id = handler.on_error(move |error: &Error| told.note(error.code()));
        handler.handle(b"{}", None, None).unwrap_err();
        assert!(handler.remove(id));
        handler.handle(b"{}", None, None).unwrap_err();
        assert_eq!(calls.taken(), ["signature_missing"]);
    }
}

mod results {
    use super::*;

    #[test]
    fn what_handlers_return_is_gathered_in_order() {
        let mut handler = WebhookHandler::returning(SECRET).unwrap();
        handler.on(|event: IssueNewEvent| Ok::<_, Infallible>(event.issue_title().into_owned()));
        handler.on(|_: IssueAssignedEvent| Ok::<_, Infallible>("not for this event".to_owned()));
        handler.on_any(|event| Ok::<_, Infallible>(event.event_type().to_owned()));
        let body = br#"{"event_type": "issue_new", "issue_title": "Export fails"}"#;
        let handled = handler.handle(body, Some(&signed(body)), None).unwrap();
        assert_eq!(handled.results, ["Export fails", "issue_new"]);
        assert_eq!(handled.event.raw(), body.as_slice());
    }

    #[test]
    fn all_handlers_run_and_their_failures_are_gathered_in_order() {
        let (mut handler, calls) = new_handler();
        handler.on_any(calls.to("before"));
        let first = handler.on(|_: IssueNewEvent| Err::<(), _>("the database is gone"));
        handler.on_any(calls.to("between"));
        let second = handler.on_names(["issue_new"], |_| Err::<(), _>("the queue is full"));
        handler.on_any(calls.to("after"));
        let error = handler.dispatch(named("issue_new")).unwrap_err();
        assert_eq!(calls.taken(), ["before", "between", "after"]);
        assert_eq!(error.to_string(), "2 handlers failed: the database is gone; the queue is full");
        assert_eq!((error.code(), error.is_refusal()), ("handlers", false));
        let Error::Handlers(errors) = &error else { panic!("an error of handlers") };
        assert_eq!(errors.event().text("issue_title"), "Export fails");
        assert_eq!(errors.failures().iter().map(|failure| failure.handler).collect::<Vec<_>>(), [first, second]);
    }

    #[test]
    fn a_panic_is_a_failure_that_keeps_no_other_handler_from_running() {
        let (mut handler, calls) = new_handler();
        handler.on_any(|event| assert!(event.event_type().is_empty(), "a bug"));
        handler.on_any(calls.to("after"));
        let told = calls.clone();
        handler.on_error(move |error| told.note(error));
        let error = handler.dispatch(named("issue_new")).unwrap_err();
        assert_eq!(error.to_string(), "a handler failed: it panicked");
        assert_eq!(calls.taken(), ["after", "a handler failed: it panicked"]);

        handler.on_any_async(|_| -> BoxedFuture { panic!("before there is a future") });
        handler.on_any_async(|event| async move { assert!(event.event_type().is_empty(), "within the future") });
        handler.on_any_async(calls.later("last"));
        let error = now(handler.dispatch_async(named("issue_new"))).unwrap_err();
        assert_eq!(failures(&error), ["it panicked"; 3]);
        assert_eq!(calls.taken(), ["after", "last", "3 handlers failed: it panicked; it panicked; it panicked"]);
    }

    #[test]
    fn one_failure_is_told_in_its_own_words_and_is_the_source() {
        let mut handler = WebhookHandler::new(SECRET).unwrap();
        handler.on_any(|_| Err::<(), _>(std::io::Error::other("the disk is full")));
        let error = handler.dispatch(named("issue_new")).unwrap_err();
        assert_eq!(error.to_string(), "a handler failed: the disk is full");
        let source = std::error::Error::source(&error).expect("the handler's own error");
        assert!(source.downcast_ref::<std::io::Error>().is_some());
    }

    #[test]
    fn one_failure_takes_the_place_of_all_results() {
        let mut handler = WebhookHandler::returning(SECRET).unwrap();
        handler.on_any(|_| Ok::<_, &str>(1));
        handler.on_any(|_| Err::<i32, _>("no"));
        let handled: Result<Handled<i32>, Error> = handler.dispatch(named("issue_new"));
        assert_eq!(failures(&handled.unwrap_err()), ["no"]);
    }

    #[test]
    fn no_handler_runs_for_a_delivery_that_is_refused_or_unreadable() {
        let (mut handler, calls) = new_handler();
        handler.on_any(calls.to("any"));
        handler.handle(b"{}", None, None).unwrap_err();
        handler.handle(b"{}", Some(&"0".repeat(64)), None).unwrap_err();
        handler.handle(b"{", Some(&signed(b"{")), None).unwrap_err();
        assert_eq!(calls.taken(), [""; 0]);
    }

    #[test]
    fn headers_lead_to_the_same_handlers() {
        let (mut handler, calls) = new_handler();
        handler.on(calls.to::<IssueNewEvent>("new"));
        let body = br#"{"event_type": "issue_new"}"#;
        handler.handle_headers(body, [("x-pylon-signature", signed(body))]).unwrap();
        now(handler.handle_headers_async(body, [("x-pylon-signature", signed(body))])).unwrap();
        assert_eq!(calls.taken(), ["new", "new"]);
        let error = now(handler.handle_headers_async(body, [("host", "example.com")])).unwrap_err();
        assert_eq!(error.code(), "signature_missing");
    }
}

mod own_types {
    use super::*;

    #[derive(serde::Deserialize, Debug, PartialEq)]
    struct AccountUpdated {
        account_id: String,
    }

    impl CustomEvent for AccountUpdated {
        const NAME: &'static str = "account.updated";
    }

    fn handler() -> (WebhookHandler<String>, Calls) {
        let mut handler = WebhookHandler::returning(SECRET).unwrap();
        handler.on(|event: AccountUpdated| Ok::<_, Infallible>(event.account_id));
        (handler, Calls::default())
    }

    fn event(body: &str) -> Verified<WebhookEvent> {
        Verified::stored(parse_webhook_event(body.as_bytes()).unwrap())
    }

    #[test]
    fn a_type_of_ones_own_takes_the_events_of_its_kind() {
        let (handler, _) = handler();
        let handled = handler.dispatch(event(r#"{"type": "Account-Updated", "account_id": "acc_1"}"#)).unwrap();
        assert_eq!(handled.results, ["acc_1"]);
        let handled = handler.dispatch(event(r#"{"type": "account.deleted", "account_id": "acc_1"}"#)).unwrap();
        assert_eq!(handled.results, [""; 0]);
    }

    #[test]
    fn a_body_that_does_not_fit_the_type_counts_as_that_handlers_failure() {
        let (mut handler, calls) = handler();
        let noted = calls.clone();
        handler.on_any(move |_| {
            noted.note("any");
            Ok::<_, Infallible>(String::new())
        });
        let error = handler.dispatch(event(r#"{"type": "account.updated"}"#)).unwrap_err();
        assert_eq!(failures(&error), ["missing field `account_id` at line 1 column 27"]);
        assert_eq!(calls.taken(), ["any"], "the others run all the same");
        let error = handler.dispatch(event(r#"{"type": "account.updated", "account_id": 7}"#)).unwrap_err();
        assert_eq!(failures(&error), ["the body does not fit the type at line 1 column 43"]);
    }

    #[test]
    fn a_type_of_ones_own_reads_a_body_that_was_mended() {
        let (handler, _) = handler();
        let body = "{\"type\": \"account.updated\", \"account_id\": \"a\nb\", \"size\": }";
        assert_eq!(handler.dispatch(event(body)).unwrap().results, ["a\nb"]);
    }

    #[test]
    fn a_type_of_ones_own_may_be_awaited() {
        let mut handler = WebhookHandler::returning(SECRET).unwrap();
        handler.on_async(|event: AccountUpdated| ready(Ok::<_, Infallible>(event.account_id)));
        let good = event(r#"{"type": "account.updated", "account_id": "acc_1"}"#);
        assert_eq!(now(handler.dispatch_async(good)).unwrap().results, ["acc_1"]);
        let bad = event(r#"{"type": "account.updated"}"#);
        let error = now(handler.dispatch_async(bad)).unwrap_err();
        assert_eq!(failures(&error), ["missing field `account_id` at line 1 column 27"]);
    }
}

mod asynchronous {
    use super::*;

    #[test]
    fn handle_refuses_before_anything_runs_where_a_handler_must_be_awaited() {
        let (mut handler, calls) = new_handler();
        handler.on_any(calls.to("sync"));
        handler.on_async(calls.later::<IssueNewEvent>("async"));
        let body = br#"{"event_type": "issue_new"}"#;
        let error = handler.handle(body, Some(&signed(body)), None).unwrap_err();
        assert_eq!(
            error.to_string(),
            "a matching handler is async, and `handle` cannot await it: call `handle_async` instead"
        );
        assert_eq!((error.code(), error.is_refusal()), ("async_handler", false));
        assert_eq!(calls.taken(), [""; 0]);
        assert_eq!(handler.dispatch(named("issue_new")).unwrap_err().code(), "async_handler");
    }

    #[test]
    fn handle_does_not_mind_an_async_handler_that_is_not_due() {
        let (mut handler, calls) = new_handler();
        handler.on_async(calls.later::<IssueAssignedEvent>("async"));
        handler.on_any(calls.to("sync"));
        handler.dispatch(named("issue_new")).unwrap();
        assert_eq!(calls.taken(), ["sync"]);
    }

    #[test]
    fn handle_async_runs_both_kinds_one_after_the_other() {
        let (mut handler, calls) = new_handler();
        handler.on_async(calls.later::<IssueNewEvent>("first"));
        handler.on(calls.to::<IssueNewEvent>("second"));
        handler.on_names_async(["issue_new"], calls.later("third"));
        handler.on_any_async(calls.later("fourth"));
        let body = br#"{"event_type": "issue_new"}"#;
        now(handler.handle_async(body, Some(&signed(body)), None)).unwrap();
        assert_eq!(calls.taken(), ["first", "second", "third", "fourth"]);
    }

    #[test]
    fn a_handler_begins_only_when_the_one_before_has_ended() {
        let (mut handler, calls) = new_handler();
        let noted = calls.clone();
        handler.on_any_async(move |_| {
            let (noted, mut waited) = (noted.clone(), false);
            async move {
                noted.note("begins");
                poll_fn(|_| if std::mem::replace(&mut waited, true) { Poll::Ready(()) } else { Poll::Pending }).await;
                noted.note("ends");
            }
        });
        handler.on_any(calls.to("next"));
        let mut handled = pin!(handler.dispatch_async(named("issue_new")));
        let mut context = Context::from_waker(Waker::noop());
        assert!(handled.as_mut().poll(&mut context).is_pending());
        assert_eq!(calls.taken(), ["begins"]);
        assert!(handled.as_mut().poll(&mut context).is_ready());
        assert_eq!(calls.taken(), ["ends", "next"]);
    }

    #[test]
    fn failures_of_both_kinds_are_gathered_and_all_run() {
        let (mut handler, calls) = new_handler();
        handler.on_any_async(|_| async { Err::<(), _>("async") });
        handler.on_any(|_| Err::<(), _>("sync"));
        handler.on_any_async(calls.later("after"));
        let error = now(handler.dispatch_async(named("issue_new"))).unwrap_err();
        assert_eq!(failures(&error), ["async", "sync"]);
        assert_eq!(calls.taken(), ["after"]);
    }

    #[test]
    fn results_of_both_kinds_are_gathered_in_order() {
        let mut handler = WebhookHandler::returning(SECRET).unwrap();
        handler.on_any_async(|_| ready(Ok::<_, Infallible>(1)));
        handler.on_any(|_| Ok::<_, Infallible>(2));
        handler.on_any_async(|_| ready(Ok::<_, Infallible>(3)));
        assert_eq!(now(handler.dispatch_async(named("issue_new"))).unwrap().results, [1, 2, 3]);
    }

    #[test]
    fn handle_async_refuses_as_handle_does() {
        let (handler, _) = new_handler();
        assert_eq!(now(handler.handle_async(b"{}", None, None)).unwrap_err().code(), "signature_missing");
        let error = now(handler.handle_async(b"{", Some(&signed(b"{")), None)).unwrap_err();
        assert_eq!(error.code(), "payload");
    }

    #[test]
    fn a_handler_that_waits_for_ever_can_be_left() {
        let (mut handler, calls) = new_handler();
        handler.on_any_async(|_| pending::<()>());
        handler.on_any(calls.to("after"));
        {
            let mut handled = pin!(handler.dispatch_async(named("issue_new")));
            assert!(handled.as_mut().poll(&mut Context::from_waker(Waker::noop())).is_pending());
        }
        assert_eq!(calls.taken(), [""; 0]);
    }

    #[tokio::test(flavor = "multi_thread", worker_threads = 2)]
    async fn one_handler_serves_several_threads() {
        let (mut handler, calls) = new_handler();
        handler.on_async(calls.later::<IssueNewEvent>("async"));
        handler.on(calls.to::<IssueNewEvent>("sync"));
        let handler = Arc::new(handler);
        let tasks: Vec<_> = (0..16)
            .map(|_| {
                let handler = handler.clone();
                tokio::spawn(async move {
                    let body = br#"{"event_type": "issue_new"}"#;
                    handler.handle_async(body, Some(&signed(body)), None).await.map(|handled| handled.results.len())
                })
            })
            .collect();
        for task in tasks {
            assert_eq!(task.await.unwrap().unwrap(), 2);
        }
        assert_eq!(calls.taken().len(), 32);
    }
}

mod on_error {
    use super::*;

    fn telling(calls: &Calls, name: &'static str) -> impl Fn(&Error) + Send + Sync + use<> {
        let calls = calls.clone();
        move |error| calls.note(format!("{name}: {}", error.code()))
    }

    #[test]
    fn error_handlers_are_told_of_every_error_in_order() {
        let (mut handler, calls) = new_handler();
        handler.on_error(telling(&calls, "first"));
        handler.on_error(telling(&calls, "second"));
        handler.on_names(["fails"], |_| Err::<(), _>("no"));
        let failing = br#"{"event": "fails"}"#;
        handler.handle(b"{}", None, None).unwrap_err();
        handler.handle(b"{", Some(&signed(b"{")), None).unwrap_err();
        handler.handle(failing, Some(&signed(failing)), None).unwrap_err();
        handler.handle_headers(b"{}", [("X-Pylon-Signature", "a")]).unwrap_err();
        handler.dispatch(named("fails")).unwrap_err();
        let told = ["signature_missing", "payload", "handlers", "signature_malformed", "handlers"];
        let told: Vec<String> =
            told.iter().flat_map(|code| ["first", "second"].map(|name| format!("{name}: {code}"))).collect();
        assert_eq!(calls.taken(), told);
    }

    #[test]
    fn error_handlers_are_not_told_where_nothing_failed() {
        let (mut handler, calls) = new_handler();
        handler.on_error(telling(&calls, "told"));
        handler.handle(b"{}", Some(&signed(b"{}")), None).unwrap();
        now(handler.handle_async(b"{}", Some(&signed(b"{}")), None)).unwrap();
        assert_eq!(calls.taken(), [""; 0]);
    }

    #[test]
    fn a_failing_error_handler_hides_neither_the_first_error_nor_the_next_handler() {
        let (mut handler, calls) = new_handler();
        handler.on_error(|_: &Error| Err::<(), _>("the log is full"));
        handler.on_error(telling(&calls, "next"));
        let (error, lines) = logged(|| handler.handle(b"{}", None, None).unwrap_err());
        assert_eq!(error.code(), "signature_missing");
        assert_eq!(calls.taken(), ["next: signature_missing"]);
        assert_eq!(lines, ["ERROR message=an on_error handler failed error=the log is full"]);
    }

    #[test]
    fn a_panicking_error_handler_hides_neither_the_first_error_nor_the_next_handler() {
        let (mut handler, calls) = new_handler();
        handler.on_error(|error: &Error| assert!(error.code().is_empty(), "an error handler's own bug"));
        handler.on_error(telling(&calls, "next"));
        let (error, lines) = logged(|| handler.handle(b"{}", None, None).unwrap_err());
        assert_eq!(error.code(), "signature_missing");
        assert_eq!(calls.taken(), ["next: signature_missing"]);
        assert_eq!(lines, ["ERROR message=an on_error handler failed error=it panicked"]);
    }

    #[test]
    fn async_error_handlers_are_awaited_in_order_with_the_others() {
        let (mut handler, calls) = new_handler();
        let noted = calls.clone();
        handler.on_error_async(move |error: &Error| {
            let (noted, code) = (noted.clone(), error.code());
            async move { noted.note(format!("first: {code}")) }
        });
        handler.on_error(telling(&calls, "second"));
        now(handler.handle_async(b"{}", None, None)).unwrap_err();
        assert_eq!(calls.taken(), ["first: signature_missing", "second: signature_missing"]);
    }

    #[test]
    fn an_async_error_handler_that_fails_or_panics_at_either_time_hides_nothing() {
        let (mut handler, calls) = new_handler();
        handler.on_error_async(|_: &Error| async { Err::<(), _>("the log is full") });
        handler.on_error_async(|error: &Error| {
            assert!(error.code().is_empty(), "before it gives its future");
            async {}
        });
        handler.on_error_async(|error: &Error| {
            let code = error.code();
            async move { assert!(code.is_empty(), "while it is awaited") }
        });
        handler.on_error(telling(&calls, "next"));
        let (error, lines) = logged(|| now(handler.handle_async(b"{}", None, None)).unwrap_err());
        assert_eq!(error.code(), "signature_missing");
        assert_eq!(calls.taken(), ["next: signature_missing"]);
        let failed = "ERROR message=an on_error handler failed error=";
        assert_eq!(lines, ["the log is full", "it panicked", "it panicked"].map(|error| format!("{failed}{error}")));
    }

    #[test]
    fn an_async_error_handler_is_passed_over_by_handle_with_a_warning() {
        let (mut handler, calls) = new_handler();
        handler.on_error_async(|_: &Error| async {});
        handler.on_error(telling(&calls, "sync"));
        let (_, lines) = logged(|| handler.handle(b"{}", None, None).unwrap_err());
        assert_eq!(calls.taken(), ["sync: signature_missing"]);
        assert_eq!(lines, ["WARN message=an async on_error handler was not run: call `handle_async`"]);
    }
}

mod misspelt_names {
    use super::*;

    fn warnings(register: impl FnOnce(&mut WebhookHandler)) -> Vec<String> {
        let verifier = Verifier::builder().secret(SECRET).build().unwrap();
        let reader = EventReader::builder().name("issue_mew", EventKind::IssueNew).build().unwrap();
        let mut handler = WebhookHandler::from_parts(verifier, reader);
        logged(|| register(&mut handler)).1
    }

    fn warning(name: &str, meant: &str) -> String {
        format!("WARN message=no event is likely to have this name name={name} probably_meant={meant}")
    }

    #[test]
    fn a_name_that_is_nearly_one_of_ours_is_warned_of_at_registration() {
        let lines = warnings(|handler| {
            handler.on_names(["isue_new", "ticket.created", "Issue.Asigned", "isue_nw"], |_| {});
            handler.on_names_async(["issue_mesage_new"], |_| async {});
        });
        assert_eq!(
            lines,
            [
                warning("isue_new", "issue_new"),
                warning("Issue.Asigned", "issue_assigned"),
                warning("isue_nw", "issue_new"),
                warning("issue_mesage_new", "issue_message_new"),
            ]
        );
    }

    /// Templates send `issue_message_new`, handlers take `MessageNewEvent`: people mix the two.
    #[test]
    fn a_name_that_is_cut_short_or_taken_from_a_type_is_warned_of() {
        let cases = [
            ("message_new", "issue_message_new"),
            ("Message-New", "issue_message_new"),
            ("MessageNew", "issue_message_new"),
            ("message_new_event", "issue_message_new"),
            ("mesage_new", "issue_message_new"),
            ("new_message", "issue_message_new"),
            ("issue_new_message", "issue_message_new"),
            ("issue_message", "issue_message_new"),
            ("IssueMessage", "issue_message_new"),
            ("IssueNew", "issue_new"),
            ("issuenew", "issue_new"),
            ("issue_new_event", "issue_new"),
            ("IssueStateChanged", "issue_status_changed"),
            ("issue_state_changed", "issue_status_changed"),
            ("state_changed", "issue_status_changed"),
            ("status.changed", "issue_status_changed"),
            ("issue_status", "issue_status_changed"),
            ("tags_changed", "issue_tags_changed"),
            ("issue_tag", "issue_tags_changed"),
            ("field_changed", "issue_field_changed"),
        ];
        for (name, meant) in cases {
            assert_eq!(EventKind::probably_meant(name).map(EventKind::name), Some(meant), "{name}");
            let lines = warnings(|handler| {
                handler.on_names([name], |_| {});
            });
            assert_eq!(lines, [warning(name, meant)]);
        }
    }

    #[test]
    fn names_that_templates_in_use_send_are_not_warned_of() {
        for name in [
            "assignee_changed",
            "issue-reassigned",
            "issue.resolved",
            "issue.escalated",
            "issue.tag_added",
            "resolved",
            "issue.created",
            "issue.updated",
            "issue.closed",
            "issue.message.created",
            "ticket.created",
            "ticket.status_changed",
            "new-issue",
            "assigned",
            "closed",
            "reaction",
            "message",
            "issue",
            "issue_changed",
            "Event",
            "event",
            "",
        ] {
            assert_eq!(EventKind::probably_meant(name), None, "{name}");
        }
    }

    #[test]
    fn the_name_of_a_type_means_its_kind() {
        let (mut handler, calls) = new_handler();
        let (_, lines) = logged(|| {
            for &kind in EventKind::ALL {
                assert_eq!(EventKind::from_name(kind.type_name()), Some(kind));
                handler.on_names([kind.type_name()], calls.to(kind.type_name()));
            }
            handler.on_names(["IssueMessageNewEvent"], calls.to("by the event's name"));
        });
        assert_eq!(lines, [""; 0]);
        handler.dispatch(named("issue.message-new")).unwrap();
        assert_eq!(calls.taken(), ["MessageNewEvent", "by the event's name"]);
        handler.dispatch(named("issue_status_changed")).unwrap();
        assert_eq!(calls.taken(), ["IssueStateChangedEvent"]);
        for name in ["messagenewevent", "MessageNew", "Event", "WebhookEvent", "UnknownEvent", "BaseIssueEvent"] {
            assert_eq!(EventKind::from_name(name), None, "{name}");
        }
    }

    #[test]
    fn a_slip_in_the_kind_of_a_type_of_ones_own_is_warned_of() {
        #[derive(serde::Deserialize)]
        struct Slip {}

        impl CustomEvent for Slip {
            const NAME: &'static str = "issue_reacton";
        }

        let lines = warnings(|handler| {
            handler.on(|_: Slip| {});
            handler.on_async(|_: Slip| async {});
        });
        assert_eq!(lines, [warning("issue_reacton", "issue_reaction"), warning("issue_reacton", "issue_reaction")]);
    }

    #[test]
    fn a_misspelt_name_is_registered_all_the_same() {
        let (mut handler, calls) = new_handler();
        logged(|| handler.on_names(["isue_new"], calls.to("misspelt")));
        handler.dispatch(named("isue_new")).unwrap();
        assert_eq!(calls.taken(), ["misspelt"]);
    }

    #[test]
    fn known_mapped_and_far_names_are_not_warned_of() {
        let lines = warnings(|handler| {
            handler.on_names(EventKind::ALL, |_| {});
            handler.on_names(["Issue.New", "issue-tags changed", "issue_mew", "ISSUE.MEW"], |_| {});
            handler.on_names(["issue.created", "ticket.status_changed", "assigned", "", "iue_nw"], |_| {});
            handler.on(|_: IssueNewEvent| {});
            handler.on_any(|_| {});
        });
        assert_eq!(lines, [""; 0]);
    }
}

mod untaken_events {
    use super::*;

    fn untaken(name: &str) -> String {
        format!("INFO message=no handler takes events of this name event={name:?}")
    }

    fn lines_of(handler: &WebhookHandler, names: &[&str]) -> Vec<String> {
        logged(|| {
            for name in names {
                handler.dispatch(named(name)).unwrap();
                now(handler.dispatch_async(named(name))).unwrap();
            }
        })
        .1
    }

    #[test]
    fn each_name_that_no_handler_takes_has_one_line() {
        let (mut handler, calls) = new_handler();
        handler.on(calls.to::<IssueNewEvent>("new"));
        let found = lines_of(&handler, &["issue_new", "ticket.created", "ticket\n.created", "ticket.created"]);
        assert_eq!(found, [untaken("ticket.created"), untaken("ticket\n.created")]);
    }

    #[test]
    fn a_handler_without_handlers_is_warned_of_once() {
        let (handler, _) = new_handler();
        let warning = "WARN message=events arrive, and no handler is registered: register handlers, or call `receive` \
                       for the event alone";
        assert_eq!(lines_of(&handler, &["", ""]), [warning.to_owned(), untaken("")]);
    }

    #[test]
    fn no_line_is_logged_where_a_handler_fails() {
        let (mut handler, _) = new_handler();
        handler.on_names(["fails"], |_| Err::<(), _>("no"));
        let (_, lines) = logged(|| handler.dispatch(named("fails")).unwrap_err());
        assert_eq!(lines, [""; 0]);
    }

    #[test]
    fn a_hundred_names_are_told_and_of_each_a_hundred_characters() {
        let (mut handler, calls) = new_handler();
        handler.on(calls.to::<IssueNewEvent>("new"));
        let names: Vec<String> = (0..200).map(|number| format!("{number:03}{}", "ü".repeat(1000))).collect();
        let found = lines_of(&handler, &names.iter().map(String::as_str).collect::<Vec<_>>());
        let expected: Vec<String> = (0..100).map(|number| untaken(&format!("{number:03}{}", "ü".repeat(97)))).collect();
        assert_eq!(found, expected);
    }
}
