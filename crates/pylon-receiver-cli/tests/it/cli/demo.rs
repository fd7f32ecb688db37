//! The demo, with a receiver of its own and with another one.

use super::process::cli;
use pylon_test_support::http::{Reply, Server, nowhere};
use serde_json::{Value, json};

/// The names of the requests, and whether each is accepted.
const REQUESTS: [(&str, u16); 13] = [
    ("issue_new", 200),
    ("issue_assigned", 200),
    ("issue_status_changed", 200),
    ("issue_field_changed", 200),
    ("issue_tags_changed", 200),
    ("issue_reaction", 200),
    ("issue_message_new", 200),
    ("with a timestamp", 200),
    ("unknown event", 200),
    ("not JSON", 200),
    ("forged", 401),
    ("an hour old", 401),
    ("unsigned", 401),
];

#[test]
fn every_accepted_event_arrives_and_the_output_differs_only_in_its_ids() {
    let shown = |ran: super::process::Ran| {
        assert_eq!((ran.code, ran.stderr.as_str()), (0, ""), "{}", ran.stdout);
        let words =
            |line: &str| line.split(' ').map(|word| if word.len() == 36 { "ID" } else { word }.to_owned()).collect();
        ran.stdout.lines().map(words).collect::<Vec<Vec<String>>>()
    };
    // It needs no secret of the user.
    let first = shown(cli(&["demo"]).without_secret().run());
    assert_eq!(first, shown(cli(&["demo"]).run()));
    assert_eq!(first.last().unwrap()[..3].join(" "), "Nothing is lost.");
    let answers = |text: &str| first.iter().filter(|line| line.iter().any(|word| word == text)).count();
    assert_eq!((answers("200"), answers("401")), (10, 3));
}

#[test]
fn in_json_it_is_one_document() {
    let ran = cli(&["demo", "--json"]).run();
    assert_eq!((ran.code, ran.stderr.as_str()), (0, ""));
    let document: Value = serde_json::from_str(&ran.stdout).unwrap();
    let answers = document["answers"].as_array().unwrap().iter();
    let found: Vec<_> = answers.map(|answer| (answer["sent"].as_str().unwrap(), answer["status"].clone())).collect();
    assert_eq!(found, REQUESTS.map(|(name, status)| (name, json!(status))));
    assert_eq!((document["delivered"].as_object().unwrap().len(), &document["complete"]), (9, &json!(true)));
}

#[test]
fn it_sends_the_same_to_another_receiver_and_fails_when_an_answer_is_not_as_expected() {
    let server = Server::start(|request, _| match request.header("x-pylon-signature") {
        Some(_) => Reply::Answer(200, json!({"status": "accepted", "id": "1"}).to_string().into()),
        None => Reply::Answer(401, json!({"error": "unauthorized"}).to_string().into()),
    });
    let ran = cli(&["demo", "--to", &format!("{}/webhook", server.url)]).run();
    // This one believes every signature.
    assert_eq!((ran.code, ran.stderr.as_str()), (1, "error: not every answer and delivery was as expected\n"));
    let lines: Vec<&str> = ran.stdout.lines().collect();
    assert_eq!(lines[0], "  issue_new            200  1");
    assert_eq!(lines[10], "  forged               200  1  <- expected 401");
    assert_eq!(lines[12], "  unsigned             401  unauthorized");
    assert_eq!((lines.len(), server.requests().len()), (13, 13));
    assert!(server.requests().iter().all(|request| request.target == "/webhook"));
}

#[test]
fn without_a_receiver_or_a_secret_it_says_so() {
    let url = format!("{}/webhook", nowhere());
    cli(&["demo", "--to", &url]).run().fails(4, &format!("nothing answers at {url}"));
    let ran = cli(&["demo", "--to", &url]).without_secret().run();
    assert_eq!((ran.code, ran.stdout.as_str()), (5, ""));
    assert!(ran.stderr.contains("PYLON_WEBHOOK_SECRET"), "{}", ran.stderr);
}
