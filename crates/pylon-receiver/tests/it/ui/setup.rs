//! What the page knows of the running receiver: set-up, and whether destinations are up.

use crate::admin::fake::{Admin, NOW, activity, delivery, destination, event, event_id};
use pylon_receiver::DeliveryId;
use pylon_receiver::internals::Access;
use pylon_receiver::ledger::{DeliveryState, Stats};
use pylon_receiver::wire::{
    Activity, AttemptOutcome, CircuitStatus, DestinationSeen, LastAccepted, LastRefused, MinuteCount, SecretStatus,
};
use pylon_webhooks::EventKind;
use std::time::Duration;

const STRANGE: &str = "<b>\u{202e}";

/// A receiver that has seen this.
fn receiver(change: impl FnOnce(&mut Activity)) -> Admin {
    let admin = Admin::new(Access::Loopback);
    let mut seen = activity();
    change(&mut seen);
    *admin.running.activity.lock().unwrap() = Some(seen);
    admin
}

async fn page(admin: &Admin, path: &str) -> String {
    let answer = admin.get(path).await;
    assert_eq!(answer.status, 200, "{}", answer.text());
    answer.text().to_owned()
}

/// The text between two headings.
fn step<'p>(page: &'p str, heading: &str) -> &'p str {
    let (_, rest) = page.split_once(&format!("<h2 id=\"{heading}\">")).unwrap_or_else(|| panic!("{heading}: {page}"));
    rest.split("</li>\n<li aria-labelledby").next().unwrap()
}

#[track_caller]
fn is_done(page: &str, heading: &str, is_done: bool) {
    let done = step(page, heading).split("</h2>").next().unwrap().contains(">done<");
    assert_eq!(done, is_done, "{heading}: {page}");
}

fn failed(at: pylon_receiver::Moment) -> AttemptOutcome {
    AttemptOutcome {
        at,
        delivery: DeliveryId { event: event_id(9), number: 1 },
        attempt: 2,
        delivered: false,
        status: Some(500),
        detail: format!("answered 500 {STRANGE}"),
        took_milliseconds: 412,
    }
}

#[tokio::test]
async fn a_new_receiver_says_what_is_missing_and_leads_to_the_set_up() {
    let admin = receiver(|seen| {
        let endpoint = &mut seen.endpoints[0];
        (endpoint.name, endpoint.can_authenticate) = ("a&b".to_owned(), false);
        endpoint.secrets = vec![SecretStatus {
            source: "environment variable SUPPORT_SECRET".to_owned(),
            fault: Some("no secret: expected one".to_owned()),
        }];
    });
    let overview = page(&admin, "/ui/").await;
    for text in [
        "The endpoint a&amp;b has no secret: it refuses every webhook.",
        "href=\"setup?endpoint=a%26b\"",
        "No event has come yet.",
        "href=\"setup\"",
    ] {
        assert!(overview.contains(text), "{text}: {overview}");
    }
    let setup = page(&admin, "/ui/setup?endpoint=a%26b").await;
    is_done(&setup, "url", false);
    is_done(&setup, "secret", false);
    is_done(&setup, "event", false);
    is_done(&setup, "arrival", false);
    let secret = step(&setup, "secret");
    for text in [">missing<", "SUPPORT_SECRET", "no secret: expected one", "restart the receiver"] {
        assert!(secret.contains(text), "{text}: {secret}");
    }
    assert!(step(&setup, "url").contains("http://127.0.0.1:8080") && step(&setup, "url").contains("/support"));
    assert!(step(&setup, "event").contains("pylon-receiver send issue_new"));
    assert!(!setup.contains("style="));

    let admin = receiver(|_| {});
    *admin.ledger.stats.lock().unwrap() = Stats { events: 1, ..Stats::default() };
    let overview = page(&admin, "/ui/").await;
    assert!(!overview.contains("No event has come yet.") && !overview.contains("has no secret"), "{overview}");
}

#[tokio::test]
async fn every_template_is_what_the_command_prints() {
    let admin = receiver(|_| {});
    for kind in EventKind::ALL {
        let setup = page(&admin, &format!("/ui/setup?kind={kind}")).await;
        let template = kind.template().replace('"', "&quot;");
        assert!(
            setup.contains(&format!("<pre id=\"template-text\" tabindex=\"0\">{template}</pre>")),
            "{kind}: {setup}"
        );
        assert!(setup.contains("<button type=\"button\" data-copy=\"template-text\" hidden>Copy</button>"));
    }
}

#[tokio::test]
async fn a_refusal_says_why_and_what_to_do_until_something_is_accepted() {
    let refused =
        LastRefused { at: NOW, code: "signature_mismatch".to_owned(), reason: format!("signature mismatch {STRANGE}") };
    let admin = receiver(|seen| {
        seen.endpoints[0].seen.refused = Some(refused.clone());
        seen.elsewhere = Some(LastRefused { code: "unknown_path".to_owned(), ..refused.clone() });
    });
    let setup = page(&admin, "/ui/setup").await;
    is_done(&setup, "url", true);
    let event = step(&setup, "event");
    for text in [
        ">refused<",
        "<code><bdi dir=\"auto\">signature_mismatch</bdi></code>",
        "signature mismatch &lt;b&gt;<span class=\"code-point\">U+202E</span>",
        "Set the secret that Pylon shows",
        "href=\"refused?endpoint=support\"",
    ] {
        assert!(event.contains(text), "{text}: {event}");
    }
    assert!(!setup.contains("a path of no endpoint"), "the endpoint itself was found");

    let accepted =
        LastAccepted { at: NOW.after(Duration::from_secs(1)), event: event_id(9), kind: None, duplicate: false };
    let admin = receiver(|seen| {
        (seen.endpoints[0].seen.refused, seen.endpoints[0].seen.accepted) = (Some(refused.clone()), Some(accepted));
    });
    assert!(!page(&admin, "/ui/setup").await.contains("What to do"));

    let admin = receiver(|seen| seen.elsewhere = Some(LastRefused { code: "unknown_path".to_owned(), ..refused }));
    let setup = page(&admin, "/ui/setup").await;
    is_done(&setup, "url", false);
    assert!(step(&setup, "url").contains("a path of no endpoint"), "{setup}");
}

#[tokio::test]
async fn the_first_event_names_what_was_not_replaced() {
    let admin = receiver(|_| {});
    let body = br#"{"issue_number": 7, "issue_team_name": "{{issue.team.name}}", "more": " {{ <b> }} ", "text": "{{ and more"}"#;
    let mut odd = event(event_id(9), "issue_new", body);
    odd.headers = pylon_receiver::Headers::from_stored(bytes::Bytes::from_static(b"host: hooks.example.com\n"));
    odd.deliveries = vec![(delivery(event_id(9), 1, DeliveryState::Waiting), Vec::new())];
    let mut elsewhere = event(event_id(1), "issue_assigned", b"{}");
    elsewhere.record.endpoint = "another".to_owned();
    *admin.ledger.events.lock().unwrap() = vec![odd, elsewhere];
    let setup = page(&admin, "/ui/setup?endpoint=support&kind=").await;
    is_done(&setup, "url", true);
    is_done(&setup, "template", false);
    is_done(&setup, "event", true);
    assert!(step(&setup, "url").contains("hooks.example.com"));
    let found = step(&setup, "event");
    for text in [
        &*format!("href=\"events/{}\"", event_id(9)),
        "{{issue.team.name}}</bdi></code> in <bdi dir=\"auto\">issue_team_name<",
        "{{ &lt;b&gt; }} </bdi></code> in <bdi dir=\"auto\">more<",
    ] {
        assert!(found.contains(text), "{text}: {found}");
    }
    assert!(!found.contains("and more"));
    assert!(step(&setup, "arrival").contains(">waiting<") && step(&setup, "arrival").contains(">not for this event<"));
    let other = page(&admin, "/ui/setup?kind=issue_assigned").await;
    is_done(&other, "event", false);
    assert!(step(&other, "event").contains("None has come of this kind"));
}

#[tokio::test]
async fn the_last_step_is_done_once_every_destination_has_taken_an_event() {
    let admin = receiver(|seen| seen.destinations[1].seen.last_delivered_at = Some(NOW));
    let mut sound = event(event_id(9), "issue_new", br#"{"issue_number": 7, "issue_team_name": "Support"}"#);
    sound.deliveries = vec![(delivery(event_id(9), 1, DeliveryState::Waiting), Vec::new())];
    admin.ledger.events.lock().unwrap().push(sound);
    let setup = page(&admin, "/ui/setup").await;
    is_done(&setup, "template", true);
    is_done(&setup, "arrival", false);
    assert!(!setup.contains("Events come in and are delivered."));
    admin.ledger.events.lock().unwrap()[0].deliveries[0].0.state = DeliveryState::Delivered;
    let setup = page(&admin, "/ui/setup").await;
    is_done(&setup, "arrival", true);
    assert!(setup.contains("Events come in and are delivered."));
}

#[tokio::test]
async fn an_event_that_only_this_receiver_remembers_is_found_too() {
    let accepted =
        LastAccepted { at: NOW, event: event_id(5000), kind: Some("issue_new".to_owned()), duplicate: false };
    let admin = receiver(|seen| seen.endpoints[0].seen.accepted = Some(accepted)).with_events(60);
    for event in admin.ledger.events.lock().unwrap().iter_mut() {
        event.record.endpoint = "busy".to_owned();
    }
    admin.ledger.events.lock().unwrap().push(event(event_id(5000), "issue_new", b"{}"));
    let link = format!("href=\"events/{}\"", event_id(5000));
    assert!(page(&admin, "/ui/setup").await.contains(&link));
    assert!(page(&admin, "/ui/setup?kind=issue_new").await.contains(&link));
    assert!(!page(&admin, "/ui/setup?kind=issue_assigned").await.contains(&link));
}

#[tokio::test]
async fn a_set_up_that_is_not_here_is_said() {
    let admin = receiver(|_| {});
    for (path, sentence) in [
        ("/ui/setup?endpoint=nobody", "there is no such endpoint"),
        ("/ui/setup?kind=nothing", "there is no such kind"),
    ] {
        let answer = admin.get(path).await;
        assert_eq!(answer.status, 404, "{path}");
        assert!(answer.text().contains(sentence), "{path}: {}", answer.text());
    }
    let delivers = receiver(|seen| seen.endpoints.clear());
    assert!(page(&delivers, "/ui/setup").await.contains("This receiver accepts no webhooks"));
    assert!(!page(&delivers, "/ui/").await.contains("No event has come yet."));
}

#[tokio::test]
async fn a_destination_whose_circuit_is_closed_can_be_failing() {
    let minute = |number: u64, delivered, failed| {
        let at = NOW.before(Duration::from_secs(60 * number));
        MinuteCount { at, delivered, failed }
    };
    let admin = receiver(|seen| {
        seen.destinations[0].seen = DestinationSeen {
            failing: true,
            last_delivered_at: Some(NOW),
            minutes: vec![minute(59, 1, 0), minute(5, 20, 0), minute(4, 0, 2), minute(0, 3, 1)],
            latest: vec![failed(NOW)],
        };
    });
    let mut app = destination("app", CircuitStatus::Closed);
    let up = page(&admin, "/ui/").await;
    assert!(up.contains("all is well") && !up.contains("answered 500"), "{up}");
    app.is_failing = Some(true);
    *admin.running.destinations.lock().unwrap() = vec![app, destination("archive", CircuitStatus::Closed)];
    let overview = page(&admin, "/ui/").await;
    for text in [
        ">1 destination failing<",
        "<span class=\"state bad\">failing</span>",
        "answered 500 &lt;b&gt;<span class=\"code-point\">U+202E</span>",
        "role=\"img\" aria-label=\"in the last hour 24 attempts delivered and 3 failed\"",
        "aria-label=\"no attempt in the last hour\"",
        "what this receiver has seen since its start",
    ] {
        assert!(overview.contains(text), "{text}: {overview}");
    }
    let there = page(&admin, "/ui/destinations/app").await;
    for text in [
        ">failing<",
        "The circuit is closed.",
        "In the last 5 minutes 3 delivered, 3 failed",
        "http://app:8000/webhook",
        "given up after 30 attempts, or at an age of 3d",
        &*format!("href=\"../events/{}\"", event_id(9)),
        "412 ms",
        // The first minute of the hour is at the left end, the present one at the right; a rare failure is seen on top.
        "<rect class=\"ended\" x=\"0\" y=\"22\" width=\"2\" height=\"2\"/>",
        "<rect class=\"ended\" x=\"108\" y=\"0\" width=\"2\" height=\"24\"/>",
        "<rect class=\"failed\" x=\"110\" y=\"21\" width=\"2\" height=\"3\"/>",
        "<rect class=\"failed\" x=\"118\" y=\"18\" width=\"2\" height=\"2\"/>",
    ] {
        assert!(there.contains(text), "{text}: {there}");
    }
    assert!(!there.contains("style="));
}
