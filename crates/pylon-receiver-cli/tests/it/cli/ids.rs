//! Ids that are shortened on the command line.

use super::process::{Ran, cli};
use super::tables::EVENT;
use pylon_test_support::http::{Reply, Server};
use serde_json::{Value, json};

/// A receiver with these events whose ids fit; it answers everything else with the path that was asked for.
fn receiver(fitting: usize) -> Server {
    let event = |number: usize| {
        json!({
            "id": format!("019aaf3c-9f10-7aa0-8000-0123456789a{number}"), "received_at": "2026-11-23T08:00:00Z", "endpoint": "webhook",
            "name": "issue_new", "state": "dead", "body_length": 2, "deliveries": 1, "issue": {"number": "1042", "title": "Export\u{1b} fails"},
        })
    };
    let mut events: Vec<Value> = (0..fitting).map(event).collect();
    if fitting == 1 {
        events[0]["id"] = json!(EVENT);
    }
    let found = json!({"events": events, "next": null}).to_string();
    let answer = json!({"deliveries": [], "matched": 1, "redelivered": 1, "dropped": 1, "next": null}).to_string();
    Server::start(move |request, _| {
        let is_search = request.target.starts_with("/api/events?id=");
        let body = if is_search { found.clone() } else { answer.clone() };
        Reply::Answer(200, body.into())
    })
}

fn ask(server: &Server, arguments: &[&str]) -> Ran {
    cli(&[arguments, &["--admin-url", &server.url]].concat()).run()
}

#[test]
fn a_shortened_id_that_fits_one_event_stands_for_it() {
    let short_delivery = "456789ab.2";
    let delivery = format!("{EVENT}.2");
    let cases: [(&[&str], &str, Value); 6] = [
        (&["events", "show", "456789AB", "--json"], &format!("/api/events/{EVENT}"), Value::Null),
        (&["events", "redeliver", "456789ab"], "/api/events/redeliver", json!({"ids": [EVENT], "dry_run": false})),
        (
            &["events", "redeliver", "456789ab", EVENT],
            "/api/events/redeliver",
            json!({"ids": [EVENT, EVENT], "dry_run": false}),
        ),
        (
            &["deliveries", "list", "--event", "456789ab"],
            &format!("/api/deliveries?event={EVENT}&limit=50&order=newest_first"),
            Value::Null,
        ),
        (&["dead", "redeliver", short_delivery], "/api/dead/redeliver", json!({"ids": [delivery], "dry_run": false})),
        (&["dead", "drop", short_delivery], "/api/dead/drop", json!({"ids": [delivery], "dry_run": false})),
    ];
    for (arguments, target, order) in cases {
        let server = receiver(1);
        let ran = ask(&server, arguments);
        assert_eq!((ran.code, ran.stderr.as_str()), (0, ""), "{arguments:?}");
        let requests = server.requests();
        assert_eq!(requests[0].target, "/api/events?id=456789ab&limit=6", "{arguments:?}");
        let last = requests.last().unwrap();
        assert_eq!(last.target, target);
        assert!(order.is_null() || last.json() == order, "{}", last.json());
    }
}

#[test]
fn a_shortened_id_that_fits_none_or_several_is_refused_and_nothing_is_ordered() {
    let none = "no event has an id that begins or ends with 019aaf3c; it may have been pruned";
    let several = |shown: usize, more: &str| {
        let candidate = |number: usize| {
            format!(
                "\n  019aaf3c-9f10-7aa0-8000-0123456789a{number}  2026-11-23T08:00:00Z  issue_new  #1042 Export\\u{{1b}} fails"
            )
        };
        let candidates: String = (0..shown).map(candidate).collect();
        format!(
            "several events have an id that begins or ends with 019aaf3c; give more of its digits, from the end if they are of one time:{candidates}{more}"
        )
    };
    for (fitting, sentence) in [(0, none.to_owned()), (2, several(2, "")), (6, several(5, "\n  ..."))] {
        for arguments in [
            &["events", "show", "019aaf3c"][..],
            &["events", "redeliver", "019a-af3c"],
            &["deliveries", "list", "--event", "019aaf3c"],
            &["dead", "list", "--event", "019aaf3c"],
            &["dead", "drop", "019aaf3c.1"],
        ] {
            let server = receiver(fitting);
            ask(&server, arguments).fails(1, &sentence);
            assert_eq!(server.requests().len(), 1, "{arguments:?}");
        }
    }
}

#[test]
fn what_is_no_part_of_an_id_is_refused_before_anything_is_asked() {
    let server = receiver(1);
    for part in ["", "7", "01a", "01az", "issue_new", "019aaf3c-9f10-7aa0-8000-0123456789ab0", "%", "019aaf3c.1", "--"]
    {
        for command in [&["events", "show"][..], &["events", "redeliver"], &["dead", "drop"]] {
            let part = if command[0] == "dead" { format!("{part}.x") } else { part.to_owned() };
            let ran = ask(&server, &[command, &[part.as_str()]].concat());
            assert_eq!((ran.code, ran.stdout.as_str()), (2, ""), "{command:?} {part:?}: {}", ran.stderr);
        }
    }
    assert!(server.requests().is_empty());
}
