//! Text that customers and strangers wrote reaches no terminal as it stands.

use super::process::cli;
use super::tables::EVENT;
use pylon_test_support::http::Server;
use serde_json::{Value, json};

/// Clears the screen, forges a line, turns the direction of writing, hides, rings.
const HOSTILE: &str =
    "\u{1b}[2J\u{1b}]0;title\u{7}a\nb\r\tc\u{202e}d\u{2066}e\u{200b}f\u{9b}31mg\u{85}\u{2028}\u{feff}h\u{7f}\0";

fn is_harmless(text: &str) -> bool {
    let harmful = |character: char| {
        (character.is_control() && character != '\n')
            || matches!(character, '\u{200b}'..='\u{200f}' | '\u{2028}'..='\u{202e}' | '\u{2066}'..='\u{2069}' | '\u{feff}')
    };
    !text.contains(harmful)
}

fn answers() -> Vec<(Vec<&'static str>, Value)> {
    let event = json!({
        "id": EVENT, "received_at": "2026-11-23T08:00:00Z", "endpoint": HOSTILE, "name": HOSTILE, "kind": HOSTILE, "state": "parked",
        "parked": HOSTILE, "body_length": 1, "deliveries": 1, "issue": {"id": HOSTILE, "number": HOSTILE, "title": HOSTILE},
    });
    let delivery = json!({
        "id": format!("{EVENT}.1"), "destination": HOSTILE, "name": HOSTILE, "kind": HOSTILE, "state": "dead", "attempts": 1,
        "created_at": "2026-11-23T08:00:00Z", "reason": HOSTILE, "order_key": HOSTILE,
        "issue": {"number": HOSTILE, "title": HOSTILE},
        "log": [{"attempt": 1, "started_at": "2026-11-23T08:00:00Z", "took_milliseconds": 1, "detail": HOSTILE}],
    });
    let mut shown = event.clone();
    for (key, value) in [("method", HOSTILE), ("path", HOSTILE), ("query", HOSTILE)] {
        shown[key] = json!(value);
    }
    shown["headers"] = json!([[HOSTILE, HOSTILE]]);
    shown["body"] = json!({"text": HOSTILE});
    shown["deliveries"] = json!([delivery]);
    let refused = json!({
        "number": 1, "at": "2026-11-23T08:00:00Z", "endpoint": HOSTILE, "code": HOSTILE, "reason": HOSTILE, "status": 401,
        "method": HOSTILE, "path": HOSTILE, "remote": HOSTILE, "headers": [[HOSTILE, HOSTILE]], "body": {"text": HOSTILE},
        "body_length": 1,
    });
    let destination = json!({
        "destination": HOSTILE, "waiting": 0, "held": 0, "delivering": 0, "dead": 0, "circuit": "open",
    });
    let refused = json!({"refused": [refused], "next": null});
    vec![
        (vec!["events", "list"], json!({"events": [event], "next": null})),
        (vec!["events", "show", EVENT], shown),
        (vec!["deliveries", "list"], json!({"deliveries": [delivery], "next": null})),
        (vec!["refused", "list"], refused.clone()),
        (vec!["refused", "list", "--verbose"], refused),
        (
            vec!["stats"],
            json!({"events": 0, "parked": 0, "refused": 0, "ledger_bytes": 0, "destinations": [destination]}),
        ),
    ]
}

#[test]
fn no_table_passes_on_what_a_terminal_would_obey() {
    for (arguments, answer) in answers() {
        let server = Server::answering(200, &answer);
        let ran = cli(&[&arguments[..], &["--admin-url", &server.url]].concat()).run();
        assert_eq!((ran.code, ran.stderr.as_str()), (0, ""), "{arguments:?}");
        assert!(ran.stdout.contains("\\u{1b}[2J"), "{arguments:?}: {}", ran.stdout);
        assert!(is_harmless(&ran.stdout), "{arguments:?}: {:?}", ran.stdout);
    }
}

#[test]
fn json_is_the_same_value_and_nothing_that_a_terminal_would_obey() {
    for (arguments, answer) in answers() {
        let server = Server::answering(200, &answer);
        let ran = cli(&[&arguments[..], &["--json", "--admin-url", &server.url]].concat()).run();
        assert!(is_harmless(&ran.stdout), "{arguments:?}: {:?}", ran.stdout);
        let found: Value = serde_json::from_str(&ran.stdout).unwrap();
        let expected = ["events", "deliveries", "refused"].iter().find_map(|key| answer[*key].as_array());
        match expected {
            Some(records) if arguments[1] == "list" => assert_eq!(&found, &Value::from(records.clone())),
            _ => assert_eq!(found, answer),
        }
    }
}

#[test]
fn no_error_passes_it_on_either() {
    let refusal = json!({"error": HOSTILE, "message": HOSTILE});
    for (status, answer) in [(400, refusal.to_string()), (200, HOSTILE.into()), (500, HOSTILE.into())] {
        let server = Server::answering(status, answer);
        let ran = cli(&["stats", "--admin-url", &server.url]).run();
        assert_eq!((ran.code, ran.stdout.as_str()), (1, ""), "{status}");
        assert!(is_harmless(&ran.stderr) && ran.stderr.lines().count() == 1, "{:?}", ran.stderr);
    }
}

#[test]
fn no_answer_to_a_sent_request_passes_it_on() {
    let server = Server::answering(200, HOSTILE);
    for arguments in [&["send", "issue_new"][..], &["send", "issue_new", "--json"]] {
        let ran = cli(&[arguments, &["--to", &server.url]].concat()).run();
        assert_eq!((ran.code, ran.stderr.as_str()), (0, ""));
        assert!(is_harmless(&ran.stdout), "{:?}", ran.stdout);
    }
}

#[test]
fn a_cell_is_cut_by_the_columns_it_takes_and_columns_stay_in_line() {
    let wide = "漢".repeat(40);
    let piled = format!("e{}", "\u{301}".repeat(10_000));
    let records: Vec<Value> = [wide.as_str(), &piled, "plain"]
        .iter()
        .map(|kind| {
            json!({"id": EVENT, "received_at": "2026-11-23T08:00:00Z", "endpoint": "webhook", "name": kind,
                   "state": "pending", "body_length": 1, "deliveries": 1})
        })
        .collect();
    let server = Server::answering(200, json!({"events": records, "next": null}));
    let ran = cli(&["events", "list", "--admin-url", &server.url]).run();
    let lines: Vec<&str> = ran.stdout.lines().collect();
    // Fifteen characters of two columns and the ellipsis: a sixteenth does not fit into 32.
    assert!(lines[1].contains(&format!("  {}…  -      -      pending", "漢".repeat(15))), "{}", lines[1]);
    assert!(lines[2].len() < 1000, "{}", lines[2].len());
    let columns = |line: &&str| unicode_width(line);
    assert_eq!(columns(&lines[1]), columns(&lines[3]));
    assert_eq!(columns(&lines[2]), columns(&lines[3]));
}

/// Wide characters take two columns, marks none; nothing else is in that table.
fn unicode_width(line: &str) -> usize {
    line.chars()
        .map(|character| match character {
            '漢' => 2,
            '\u{301}' => 0,
            _ => 1,
        })
        .sum()
}
