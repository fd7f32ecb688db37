//! Orders: what is sent to the receiver, and what never is.

use super::process::cli;
use super::tables::EVENT;
use pylon_test_support::http::{Server, nowhere};
use serde_json::{Value, json};

#[test]
fn orders_are_about_ids_a_filter_or_all() {
    let server = Server::answering(200, json!({"matched": 3, "redelivered": 2}));
    let delivery = format!("{EVENT}.1");
    let cases: [(&[&str], &str, Value); 9] = [
        (&["events", "redeliver", EVENT], "/api/events/redeliver", json!({"ids": [EVENT], "dry_run": false})),
        (
            &["events", "redeliver", EVENT, EVENT, "--destination", "app"],
            "/api/events/redeliver",
            json!({"ids": [EVENT, EVENT], "destination": "app", "dry_run": false}),
        ),
        (
            &["events", "redeliver", "--kind", "issue_new", "--state", "dead", "--since", "2026-11-23"],
            "/api/events/redeliver",
            json!({
                "filter": {"kind": "issue_new", "state": "dead", "since": "2026-11-23T00:00:00Z"}, "dry_run": false,
            }),
        ),
        (&["events", "redeliver", "--all"], "/api/events/redeliver", json!({"all": true, "dry_run": false})),
        (&["dead", "redeliver", &delivery], "/api/dead/redeliver", json!({"ids": [delivery], "dry_run": false})),
        (
            &["dead", "redeliver", "--destination", "app"],
            "/api/dead/redeliver",
            json!({"filter": {"destination": "app"}, "dry_run": false}),
        ),
        (&["dead", "drop", "--all"], "/api/dead/drop", json!({"all": true, "dry_run": false})),
        (
            &["dead", "drop", "--died-before", "2026-11-23", "--limit", "5", "--note", "of no use"],
            "/api/dead/drop",
            json!({
                "filter": {"died_before": "2026-11-23T00:00:00Z"}, "dry_run": false, "limit": 5, "note": "of no use",
            }),
        ),
        (
            &["events", "redeliver", "--all", "--limit", "1"],
            "/api/events/redeliver",
            json!({"all": true, "dry_run": false, "limit": 1}),
        ),
    ];
    for (arguments, path, order) in cases {
        let ran = cli(&[arguments, &["--admin-url", &server.url]].concat()).run();
        ran.prints("3 matched, 2 will be redelivered\n");
        let request = server.requests().pop().unwrap();
        assert_eq!((request.method.as_str(), request.target.as_str()), ("POST", path), "{arguments:?}");
        assert_eq!(request.json(), order, "{arguments:?}");
        assert_eq!(request.header("content-type"), Some("application/json"));
    }
}

#[test]
fn what_came_of_an_order_is_said() {
    let cases = [
        (&["dead", "drop", "--all"][..], json!({"matched": 3, "dropped": 3}), "3 matched, 3 dropped\n"),
        (
            &["events", "redeliver", "--all", "--dry-run"],
            json!({"matched": 3, "redelivered": 0}),
            "3 match; dry run, nothing was changed\n",
        ),
        (
            &["dead", "redeliver", "--issue", "1042"],
            json!({"matched": 1, "redelivered": 1}),
            "1 matched, 1 will be redelivered\n",
        ),
        (
            &["events", "redeliver", "--all", "--json"],
            json!({"matched": 3, "redelivered": 4}),
            "{\n  \"matched\": 3,\n  \"redelivered\": 4\n}\n",
        ),
    ];
    for (arguments, answer, printed) in cases {
        let server = Server::answering(200, answer);
        cli(&[arguments, &["--admin-url", &server.url]].concat()).run().prints(printed);
        let is_dry = arguments.contains(&"--dry-run");
        assert_eq!(server.requests()[0].json()["dry_run"], is_dry);
    }
}

#[test]
fn events_that_no_destination_takes_are_told() {
    let server = Server::answering(200, json!({"matched": 3, "redelivered": 1, "unrouted": 2}));
    let ran = cli(&["events", "redeliver", "--state", "unrouted", "--admin-url", &server.url]).run();
    assert_eq!((ran.code, ran.stdout.as_str()), (0, "3 matched, 1 will be redelivered\n"));
    assert_eq!(ran.stderr, "2 of them are taken by no destination; name one with --destination\n");
}

#[test]
fn nothing_is_ordered_for_everything_by_mistake() {
    let server = Server::answering(200, json!({"matched": 3, "redelivered": 2}));
    let none = "expected ids, a filter or --all, found none of them; --help lists the filters";
    let several = "expected ids, a filter or --all, found more than one of them; give one";
    let delivery = format!("{EVENT}.1");
    for (arguments, sentence) in [
        (&["events", "redeliver"][..], none),
        (&["events", "redeliver", "--destination", "app"], none),
        (&["dead", "redeliver"], none),
        (&["dead", "drop", "--dry-run"], none),
        (&["events", "redeliver", EVENT, "--all"], several),
        (&["events", "redeliver", EVENT, "--kind", "issue_new"], several),
        (&["events", "redeliver", "--all", "--kind", "issue_new"], several),
        (&["dead", "drop", &delivery, "--destination", "app"], several),
    ] {
        cli(&[arguments, &["--admin-url", &server.url]].concat()).run().fails(2, sentence);
    }
    assert!(server.requests().is_empty());
}

#[test]
fn an_order_without_a_receiver_fails_also_where_a_ledger_is() {
    let url = nowhere();
    for arguments in
        [&["events", "redeliver", "--all"][..], &["dead", "redeliver", "--all"], &["dead", "drop", "--all"]]
    {
        let ran = cli(&[arguments, &["--admin-url", &url]].concat()).file("pylon.db", "").run();
        ran.fails(
            4,
            &format!(
                "no receiver answers at {url}/: Connection refused (os error 111); start one with `pylon-receiver serve`, or \
                 give its address with --admin-url"
            ),
        );
    }
}

#[test]
fn what_is_left_of_a_destination_is_moved_or_dropped() {
    let rest = "the rest is being attempted, or waits behind an attempt: give the order again when it is over\n";
    let cases = [
        (
            &["deliveries", "move", "--from", "old", "--to", "new"][..],
            "/api/deliveries/move",
            json!({"from": "old", "to": "new", "dry_run": false}),
            json!({"matched": 5, "moved": 5}),
            "5 matched, 5 moved\n",
            "",
        ),
        (
            &["deliveries", "move", "--from", "old", "--to", "new"],
            "/api/deliveries/move",
            json!({"from": "old", "to": "new", "dry_run": false}),
            json!({"matched": 5, "moved": 3}),
            "5 matched, 3 moved\n",
            rest,
        ),
        (
            &["deliveries", "drop", "--destination", "old"],
            "/api/deliveries/drop",
            json!({"destination": "old", "dry_run": false}),
            json!({"matched": 5, "dropped": 4}),
            "5 matched, 4 dropped\n",
            rest,
        ),
        (
            &["deliveries", "drop", "--destination", "old", "--dry-run"],
            "/api/deliveries/drop",
            json!({"destination": "old", "dry_run": true}),
            json!({"matched": 5, "dropped": 0}),
            "5 match; dry run, nothing was changed\n",
            "",
        ),
    ];
    for (arguments, path, order, answer, printed, noted) in cases {
        let server = Server::answering(200, answer);
        let ran = cli(&[arguments, &["--admin-url", &server.url]].concat()).run();
        assert_eq!((ran.code, &*ran.stdout, &*ran.stderr), (0, printed, noted), "{arguments:?}");
        let request = server.requests().pop().unwrap();
        assert_eq!((request.method.as_str(), request.target.as_str()), ("POST", path), "{arguments:?}");
        assert_eq!(request.json(), order, "{arguments:?}");
    }
    for (arguments, said) in [
        (&["deliveries", "move", "--from", "old"][..], "--to <NAME>"),
        (&["deliveries", "move", "--to", "new"], "--from <NAME>"),
        (&["deliveries", "drop"], "--destination <NAME>"),
    ] {
        let ran = cli(arguments).run();
        assert!(ran.code == 2 && ran.stderr.contains(said), "{arguments:?}: {}", ran.stderr);
    }
}

#[test]
fn orders_are_listed_shown_and_cancelled() {
    let order = json!({
        "number": 17, "state": "broken_off", "verb": "redeliver", "what": {"filter": {"destination": "app"}}, "who": "anna\u{202e}",
        "source": "page", "note": "mended", "counted": 5000, "taken": 1500, "done": 1500, "began_at": "2026-11-23T19:53:14Z",
    });
    let list = Server::answering(200, json!({"orders": [order], "next": null}));
    cli(&["orders", "list", "--admin-url", &list.url]).run().prints(
        "ORDER  BEGAN                 WHO           FROM  VERB       STATE       COUNTED  TAKEN  DONE  NOTE\n   \
         17  2026-11-23T19:53:14Z  anna\\u{202e}  page  redeliver  broken_off     5000   1500  1500  mended\n",
    );
    assert_eq!(list.requests()[0].target, "/api/orders?limit=50&order=newest_first");
    let one = Server::answering(200, order);
    cli(&["orders", "show", "17", "--admin-url", &one.url]).run().prints(
        "order     17\nstate     broken_off\nverb      redeliver\nwhat      {\"filter\":{\"destination\":\"app\"}}\n\
         given by  anna\\u{202e}, page\nnote      mended\nbegan     2026-11-23T19:53:14Z\ncounted   5000\n\
         taken up  1500\ndone      1500\n",
    );
    let ran = cli(&["orders", "cancel", "17", "--admin-url", &one.url]).run();
    assert_eq!((ran.code, ran.stdout.lines().nth(1)), (0, Some("state     broken_off")));
    let requests = one.requests();
    let asked: Vec<_> = requests.iter().map(|request| (request.method.as_str(), request.target.as_str())).collect();
    assert_eq!(asked, [("GET", "/api/orders/17"), ("POST", "/api/orders/17/cancel")]);
}

/// What is no backup is not kept as one.
#[test]
fn an_answer_that_is_no_backup_is_refused() {
    let server = Server::answering(200, "<html>");
    let ran = cli(&["backup", "copy.db", "--admin-url", &server.url]).run();
    ran.fails(
        1,
        "expected an answer of the admin API of a pylon-receiver of this version, found another one; check --admin-url",
    );
}
