//! What each page says, and where it leads.

use crate::admin::fake::{Admin, Mood, NOW, delivery, destination, event, event_id};
use pylon_receiver::internals::Access;
use pylon_receiver::ledger::{
    AttemptAnswer, AttemptRecord, DeadGroup, DeliveryState, DestinationStats, EventState, LedgerError, Stats,
};
use pylon_receiver::wire::CircuitStatus;

fn receiver() -> Admin {
    let admin = Admin::new(Access::Loopback);
    let stats =
        DestinationStats { destination: "app".to_owned(), waiting: 1234, dead: 2, ..DestinationStats::default() };
    *admin.ledger.stats.lock().unwrap() = Stats { events: 1_000_000, destinations: vec![stats], ..Stats::default() };
    admin
}

#[tokio::test]
async fn the_root_leads_to_the_overview_behind_any_prefix() {
    let admin = receiver();
    for path in ["/", "/ui"] {
        let answer = admin.get(path).await;
        assert_eq!((answer.status.as_u16(), answer.header("location")), (303, "ui/"), "{path}");
    }
}

#[tokio::test]
async fn a_prefix_that_a_proxy_keeps_is_known_by_the_public_address() {
    let admin = Admin::behind(Access::Loopback, "https://ops.example.com/ops/pylon/");
    for path in ["/ops/pylon/ui/", "/ui/", "/ops/pylon/ui/events", "/ops/pylon/api/events", "/ops/pylon/livez"] {
        assert_eq!(admin.get(path).await.status, 200, "{path}");
    }
    assert_eq!(admin.get("/ops/pylon/").await.header("location"), "ui/");
    for path in ["/ops/ui/", "/ops/pylon/ops/pylon/ui/", "/pylon/ui/", "/ops/pylonui/"] {
        assert_eq!(admin.get(path).await.status, 404, "{path}");
    }
    assert!(admin.get("/ops/pylon/ui/").await.text().contains("acme &#60;production&#62;"));
}

#[tokio::test]
async fn every_link_form_and_file_is_relative_and_leads_to_something() {
    let admin = receiver();
    let id = event_id(9);
    let mut shown = event(id, "issue_new", br#"{"issue_number": 1042, "issue_title": "Export fails"}"#);
    shown.deliveries = vec![(delivery(id, 1, DeliveryState::Dead), Vec::new())];
    admin.ledger.events.lock().unwrap().push(shown);
    admin.ledger.deliveries.lock().unwrap().push(delivery(id, 1, DeliveryState::Dead));
    let mut waiting = vec!["/ui/".to_owned()];
    let mut seen = std::collections::BTreeSet::new();
    while let Some(path) = waiting.pop() {
        if !seen.insert(path.clone()) || seen.len() > 200 {
            continue;
        }
        let answer = admin.get(&path).await;
        assert!(matches!(answer.status.as_u16(), 200 | 303), "{path}: {}", answer.status);
        if !answer.header("content-type").starts_with("text/html") {
            continue;
        }
        for attribute in ["href=\"", "src=\"", "action=\""] {
            for (_, rest) in
                answer.text().match_indices(attribute).map(|(at, _)| answer.text().split_at(at + attribute.len()))
            {
                let link = rest.split('"').next().unwrap().split('#').next().unwrap();
                assert!(!link.starts_with('/') && !link.contains("//") && !link.contains(':'), "{path}: {link}");
                if link.is_empty() || link.ends_with("send-again") || link.ends_with("sign-out") || link == "../orders"
                {
                    continue;
                }
                let base = url_of(&path);
                let target = base.join(&link.replace("&amp;", "&"));
                waiting.push(target);
            }
        }
    }
    for page in [
        "/ui/events",
        "/ui/dead",
        "/ui/orders",
        "/ui/refused",
        "/ui/setup",
        "/ui/health",
        "/ui/help",
        "/ui/destinations/app",
    ] {
        assert!(seen.contains(page), "{page} is reached by links: {seen:?}");
    }
    assert!(seen.contains(&format!("/ui/events/{id}")), "{seen:?}");
}

/// The folder of a page, to follow relative links as a browser does.
struct Folder(String, String);

fn url_of(path: &str) -> Folder {
    let page = path.split('?').next().unwrap();
    Folder(page[..=page.rfind('/').unwrap()].to_owned(), page.to_owned())
}

impl Folder {
    fn join(&self, link: &str) -> String {
        let (path, query) = link.split_once('?').map_or((link, None), |(path, query)| (path, Some(query)));
        let mut parts: Vec<&str> = self.0.trim_end_matches('/').split('/').collect();
        for part in path.split('/') {
            match part {
                "" | "." => {}
                ".." => drop(parts.pop()),
                part => parts.push(part),
            }
        }
        let folder = if path.ends_with('/') || path.ends_with("..") { "/" } else { "" };
        let found = if path.is_empty() { self.1.clone() } else { parts.join("/") + folder };
        query.map_or(found.clone(), |query| format!("{found}?{query}"))
    }
}

#[tokio::test]
async fn the_overview_says_what_needs_somebody() {
    let admin = receiver();
    let page = admin.get("/ui/").await;
    for text in ["ready", "1,234", ">2 dead deliveries<", ">1,000,000<", "destinations/app"] {
        assert!(page.text().contains(text), "{text}: {}", page.text());
    }
    *admin.running.destinations.lock().unwrap() = vec![destination("app", CircuitStatus::Open)];
    *admin.running.unmet.lock().unwrap() = vec!["endpoint webhook: no secret".to_owned()];
    let page = admin.get("/ui/").await;
    for text in [">1 destination failing<", "next probe in 2 s", ">not ready<", "endpoint webhook: no secret"] {
        assert!(page.text().contains(text), "{text}: {}", page.text());
    }
}

#[tokio::test]
async fn an_event_shows_each_attempt_and_what_comes_next() {
    let admin = receiver();
    let id = event_id(60);
    let said = |attempt| match attempt {
        // The second answer is like the first one.
        1 | 2 => Some(AttemptAnswer::beginning(Some(b"application/json"), b"{\"error\": \"no such customer\"}", false)),
        3 => Some(AttemptAnswer::beginning(Some(b"text/html"), b"<h1>Oops</h1>\n\x1b[31m", true)),
        30 => Some(AttemptAnswer::beginning(None, b"\xff\xfe", false)),
        _ => None,
    };
    let attempt = |attempt| AttemptRecord {
        attempt,
        started_at: NOW,
        took_milliseconds: 412,
        status: Some(500),
        detail: format!("answered 500, the {attempt}th time"),
        code: Some("http_500".to_owned()),
        answer: said(attempt),
    };
    let mut shown = event(
        id,
        "issue_new",
        br#"{"issue_number": 1042, "issue_title": "Export fails", "issue_team_name": "{{issue.team.name}}"}"#,
    );
    let mut waiting = delivery(id, 1, DeliveryState::Waiting);
    waiting.attempts = 30;
    waiting.due_at = Some(NOW);
    shown.deliveries = vec![(waiting, (1..=30).map(attempt).collect())];
    admin.ledger.events.lock().unwrap().push(shown);
    let page = admin.get(&format!("/ui/events/{id}")).await;
    for text in [
        "<bdi dir=\"auto\">Export fails</bdi>",
        "30 attempts",
        "next attempt <time datetime=\"2026-11-23T08:00:00Z\">2026-11-23 08:00:00</time>",
        "412 ms",
        "the 1th time",
        "the 5th time",
        "20 more between these",
        "the 26th time",
        "the 30th time",
        "issue_team_name: an unresolved placeholder",
        "<code><bdi dir=\"auto\">http_500</bdi></code>",
        "Answer (<bdi dir=\"auto\">application/json, all of it</bdi>):",
        "{&quot;error&quot;: &quot;no such customer&quot;}</pre>",
        "The same answer as to attempt 1.",
        "Answer (<bdi dir=\"auto\">text/html, a part</bdi>):",
        "&lt;h1&gt;Oops&lt;/h1&gt;\n<span class=\"code-point\">U+001B</span>[31m</pre>",
        "Answer (<bdi dir=\"auto\">all of it</bdi>): 2 bytes that are no text.",
    ] {
        assert!(page.text().contains(text), "{text}: {}", page.text());
    }
    assert!(!page.text().contains("the 6th time"));
}

/// The dead, by destination and cause: each group leads to its deliveries by an address.
#[tokio::test]
async fn the_dead_are_shown_in_groups_that_lead_to_their_deliveries() {
    let admin = receiver();
    assert!(admin.get("/ui/dead").await.text().contains("None is dead."));
    let group = |destination: &str, code: Option<&str>, dead, seconds| DeadGroup {
        destination: destination.to_owned(),
        code: code.map(str::to_owned),
        dead,
        first_at: NOW.before(std::time::Duration::from_secs(3600)),
        last_at: NOW,
        sample: pylon_receiver::DeliveryId { event: event_id(seconds), number: 1 },
        reason: Some("gave up after 30 attempts: answered 500".to_owned()),
        answer: code.map(|_| AttemptAnswer::beginning(Some(b"text/plain"), b"the disk is full", false)),
    };
    *admin.ledger.groups.lock().unwrap() = vec![
        group("an app", None, 3, 1),
        group("an app", Some("http_500"), 123_456, 2),
        group("log", Some("timeout"), 1, 3),
    ];
    let dead = |seconds, destination: &str, code: Option<&str>| {
        let mut dead = delivery(event_id(seconds), 1, DeliveryState::Dead);
        (dead.destination, dead.code) = (destination.to_owned(), code.map(str::to_owned));
        dead
    };
    *admin.ledger.deliveries.lock().unwrap() =
        vec![dead(1, "an app", None), dead(2, "an app", Some("http_500")), dead(3, "log", Some("timeout"))];
    let page = admin.get("/ui/dead").await;
    let largest = page.text().find(">123,456<").expect("the number");
    assert!(largest < page.text().find(">3</td>").unwrap(), "the largest first");
    for text in ["the disk is full</pre>", "gave up after 30 attempts", "2026-11-23 07:00:00", "2026-11-23 08:00:00"] {
        assert!(page.text().contains(text), "{text}: {}", page.text());
    }
    for (link, shown, hidden) in [
        ("dead?destination=an%20app&amp;code=http%5F500", [2], [1, 3]),
        ("dead?destination=an%20app&amp;code=none", [1], [2, 3]),
        ("dead?destination=log&amp;code=timeout", [3], [1, 2]),
    ] {
        assert!(page.text().contains(&format!("href=\"{link}\"")), "{link}: {}", page.text());
        let list = admin.get(&format!("/ui/{}", link.replace("&amp;", "&"))).await;
        let row = |seconds: &i64| list.text().contains(&format!("<tr id=\"d-{}.1\">", event_id(*seconds)));
        assert!(shown.iter().all(row) && !hidden.iter().any(row), "{link}: {}", list.text());
        assert_eq!(list.text().matches("<tr aria-current=\"true\">").count(), 1, "{link}");
        assert!(list.text().contains("<a href=\"dead\">Show all</a>"), "{link}");
    }
}

#[tokio::test]
async fn a_search_finds_by_id_and_by_issue_and_never_by_half_a_number() {
    let admin = receiver();
    for (seconds, number) in [(1, "1042"), (2, "10420"), (3, "7")] {
        let body = format!(r#"{{"issue_number": {number}, "issue_id": "abcd-{number}"}}"#);
        admin.ledger.events.lock().unwrap().push(event(event_id(seconds), "issue_new", body.as_bytes()));
    }
    let (id, other) = (event_id(1), event_id(2));
    let ways = [
        id.to_string(),
        id.to_string().to_uppercase(),
        id.to_string().replace('-', ""),
        format!("+{id}+"),
        format!("{id}.1"),
        format!("{}.2", id.to_string().replace('-', "")),
    ];
    for search in ways {
        let answer = admin.get(&format!("/ui/events?q={search}")).await;
        assert_eq!((answer.status.as_u16(), answer.header("location")), (303, &*format!("events/{id}")), "{search}");
    }
    for search in ["1042", "%231042", "abcd-1042", "ABCD-1042"] {
        let page = admin.get(&format!("/ui/events?q={search}")).await;
        assert!(page.text().contains(&id.to_string()), "{search}: {}", page.text());
        assert!(!page.text().contains(&other.to_string()), "{search}");
    }
    let nothing = admin.get("/ui/events?q=9999").await;
    assert!(nothing.text().contains("No event matches.") && nothing.text().contains("Show all events"));
    assert!(Admin::new(Access::Loopback).get("/ui/events").await.text().contains("No event has come yet."));
}

#[tokio::test]
async fn a_search_finds_terms_and_offers_to_look_anywhere() {
    let admin = receiver();
    let body =
        br#"{"issue_number": 1042, "issue_requester_email": "sam@example.com", "issue_account_name": "Example & Co"}"#;
    admin.ledger.events.lock().unwrap().push(event(event_id(1), "issue_new", body));
    for search in ["SAM%40EXAMPLE.com", "example+%26+co", "1042"] {
        let page = admin.get(&format!("/ui/events?q={search}")).await;
        assert!(page.text().contains(&event_id(1).to_string()), "{search}: {}", page.text());
        assert!(!page.text().contains("Search anywhere in bodies"), "{search}");
    }
    let page = admin.get("/ui/events?q=Example+%26").await;
    assert!(page.text().contains("No event matches."), "{}", page.text());
    assert!(
        page.text().contains("<a href=\"events?contains=Example%20%26\">Search anywhere in bodies</a>"),
        "{}",
        page.text()
    );
    let page = admin.get("/ui/events?contains=EXAMPLE%20%26").await;
    assert!(
        page.text().contains(&event_id(1).to_string()) && page.text().contains("value=\"EXAMPLE &#38;\""),
        "{}",
        page.text()
    );
    // The beginning of an id that one event has leads to it.
    let end = event_id(1).to_string();
    let answer = admin.get(&format!("/ui/events?q={}", &end[..13])).await;
    assert_eq!(answer.header("location"), format!("events/{end}"), "{}", answer.text());
}

#[tokio::test]
async fn a_search_that_takes_too_long_says_how_far_it_came_and_leads_on() {
    let admin = receiver().with_events(3);
    *admin.ledger.searched_to.lock().unwrap() = Some(event_id(2));
    let page = admin.get("/ui/events?contains=x&state=pending").await;
    let link = format!(
        "<a rel=\"next\" href=\"?contains=x&#38;state=pending&#38;after={}\">Search on from there</a>",
        event_id(2).to_string().replace('-', "%2D")
    );
    for text in ["0 events so far: searched back to <time datetime=\"2026-11-23T07:59:58Z\">", &link] {
        assert!(page.text().contains(text), "{text}: {}", page.text());
    }
    assert!(!page.text().contains("No event matches") && !page.text().contains("Next page"));
    let json = admin.get("/api/events?contains=x").await.json(200);
    assert_eq!(
        (json["searched_to"].as_str(), json["next"].as_str()),
        (Some("2026-11-23T07:59:58Z"), Some(&*event_id(2).to_string()))
    );
    *admin.ledger.searched_to.lock().unwrap() = None;
    assert!(admin.get("/ui/events?contains=x").await.text().contains("No event matches."));
    assert_eq!(admin.get("/api/events?contains=x").await.json(200)["searched_to"].as_str(), None);
}

#[tokio::test]
async fn a_list_is_its_address_and_leads_to_the_next_page() {
    let admin = receiver().with_events(120);
    let first = admin.get("/ui/events?state=pending&since=30d").await;
    assert!(first.text().contains("50+ events") && first.text().contains("value=\"30d\""), "{}", first.text());
    let next = first
        .text()
        .split("rel=\"next\" href=\"")
        .nth(1)
        .unwrap()
        .split('"')
        .next()
        .unwrap()
        .replace("&#38;", "&")
        .replace("&amp;", "&");
    assert!(next.starts_with("?state=pending&since=30d&after="), "{next}");
    let second = admin.get(&format!("/ui/events{next}")).await;
    assert!(second.text().contains("50+ events"));
    let since = admin.get("/ui/events?since=90s").await;
    assert!(since.text().contains("50+ events"), "{}", since.text());
    assert!(admin.get("/ui/events?since=10s").await.text().contains("10 events"));
}

#[tokio::test]
async fn what_cannot_be_read_is_said_on_a_page() {
    let admin = receiver();
    for (path, status, sentence) in [
        ("/ui/events?since=yesterday", 400, "malformed parameter since: expected a time such as"),
        ("/ui/events?state=gone", 400, "malformed parameter state: expected"),
        ("/ui/events?colour=red", 400, "unknown parameter `colour`"),
        ("/ui/events/not-an-id", 404, "there is no such event"),
        (&format!("/ui/events/{}", event_id(99)), 404, "there is no such event"),
        ("/ui/destinations/nobody", 404, "there is no such destination"),
        ("/ui/nothing", 404, "there is no such page"),
        ("/ui/a/b/c", 404, "there is no such page"),
    ] {
        let answer = admin.get(path).await;
        assert_eq!(answer.status, status, "{path}");
        assert!(answer.text().contains(sentence), "{path}: {}", answer.text());
        assert!(answer.header("content-type").starts_with("text/html"), "{path}");
    }
    *admin.ledger.mood.lock().unwrap() = Mood::Failing(LedgerError::Slow);
    for path in ["/ui/", "/ui/events", "/ui/dead", "/ui/refused", "/ui/health"] {
        let answer = admin.get(path).await;
        assert_eq!(answer.status, 503, "{path}");
        assert!(answer.text().contains("The ledger does not answer"), "{path}: {}", answer.text());
    }
}

#[tokio::test]
async fn a_page_that_a_browser_has_already_is_not_sent_again() {
    let admin = receiver().with_events(3);
    let first = admin.get("/ui/events").await;
    let tag = first.header("etag").to_owned();
    let known = [("host", "localhost:8081"), ("if-none-match", &*tag)];
    let again = admin.send("GET", "/ui/events", &known, "").await;
    assert_eq!((again.status.as_u16(), again.body.len()), (304, 0));
    admin.ledger.events.lock().unwrap()[0].record.state = EventState::Delivered;
    assert_eq!(admin.send("GET", "/ui/events", &known, "").await.status, 200);
}

#[tokio::test]
async fn files_may_be_kept_and_their_names_change_with_them() {
    let admin = receiver();
    let html = admin.get("/ui/").await.text().to_owned();
    for (before, content_type) in
        [("stylesheet\" href=\"", "text/css; charset=utf-8"), ("<script src=\"", "text/javascript; charset=utf-8")]
    {
        let name = html.split(before).nth(1).unwrap().split('"').next().unwrap();
        let file = admin.get(&format!("/ui/{name}")).await;
        assert_eq!((file.status.as_u16(), file.header("content-type")), (200, content_type));
        assert_eq!(file.header("cache-control"), "private, max-age=31536000, immutable");
    }
    assert_eq!(admin.get("/ui/assets/another.css").await.status, 404);
}

#[tokio::test]
async fn one_event_is_sent_again_to_all_or_to_one() {
    let admin = receiver();
    let id = event_id(9);
    admin.ledger.events.lock().unwrap().push(event(id, "issue_new", b"{}"));
    let form = [
        ("host", "localhost:8081"),
        ("sec-fetch-site", "same-origin"),
        ("content-type", "application/x-www-form-urlencoded"),
    ];
    let path = format!("/ui/events/{id}/send-again");
    for (body, order, number) in [("", "redeliver 1 to all", 1), ("destination=archive", "redeliver 1 to archive", 2)] {
        let answer = admin.send("POST", &path, &form, body).await;
        assert_eq!(answer.header("location"), format!("../{id}?order={number}"), "{}", answer.text());
        assert_eq!(admin.ledger.orders.lock().unwrap().last().unwrap(), order);
    }
    assert!(admin.get(&format!("/ui/events/{id}?order=1")).await.text().contains("Sent again: 1 new delivery."));
    let count = admin.ledger.orders.lock().unwrap().len();
    for (path, body, sentence) in [
        (&*path, "destination=nobody", "expected one of the configured destinations"),
        (&*path, "where=archive", "unknown parameter"),
        ("/ui/events/not-an-id/send-again", "", "expected"),
        (&*format!("/ui/events/{}/send-again", event_id(99)), "", "found none"),
    ] {
        let answer = admin.send("POST", path, &form, body).await;
        assert!(matches!(answer.status.as_u16(), 400 | 404), "{path} {body}: {}", answer.status);
        assert!(answer.text().contains(sentence), "{path} {body}: {}", answer.text());
    }
    assert_eq!(admin.ledger.orders.lock().unwrap().len(), count);
}
