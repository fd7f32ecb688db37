//! What is listed, counted and searched for.

use super::*;

/// Events that differ in whatever a filter asks for, one a second.
async fn various<S: Subject>(desk: &Desk<S>) -> Vec<EventId> {
    let drafts = [
        event(0).named("issue_new").to("app"),
        event(1).named("Issue.New").through("second").to("app").to("log"),
        event(2).named("issue-new ").parked("it is not JSON"),
        event(3).named("issue_new2"),
        event(4).named("").to("log"),
        event(5).named("100%_new").through("second").to("other"),
    ];
    let mut ids = Vec::new();
    for draft in drafts {
        ids.push(desk.keep(draft).await);
    }
    for (destination, verdicts) in [
        ("app", vec![Verdict::Dead("over".into()), Verdict::Delivered]),
        ("log", vec![Verdict::Delivered, Verdict::Delivered]),
    ] {
        let claimed = desk.claim(Ask { destination: destination.into(), ..claim(9) }).await;
        for (leased, verdict) in claimed.deliveries.iter().zip(verdicts) {
            desk.settle(leased.lease, 9, verdict).await;
        }
    }
    ids
}

fn of_kind(kind: &str) -> EventFilter {
    EventFilter { kind: Some(kind.into()), ..EventFilter::default() }
}

fn in_state(state: EventState) -> EventFilter {
    EventFilter { state: Some(state), ..EventFilter::default() }
}

fn between(since: impl Into<Option<i64>>, until: impl Into<Option<i64>>) -> EventFilter {
    EventFilter { since: since.into().map(at), until: until.into().map(at), ..EventFilter::default() }
}

fn through(endpoint: &str) -> EventFilter {
    EventFilter { endpoint: Some(endpoint.into()), ..EventFilter::default() }
}

pub(crate) async fn each_filter_of_events_alone<S: Subject>(desk: Desk<S>) {
    let ids = various(&desk).await;
    let cases: Vec<(EventFilter, &[usize])> = vec![
        (EventFilter::default(), &[0, 1, 2, 3, 4, 5]),
        (of_kind("issue_new"), &[0, 1, 2]),
        (of_kind(" ISSUE new"), &[0, 1, 2]),
        (of_kind("issue_new2"), &[3]),
        (of_kind("issue%"), &[]),
        (of_kind("issue_ne_"), &[]),
        (of_kind(""), &[4]),
        (of_kind("100%-NEW"), &[5]),
        (of_kind("nothing"), &[]),
        (through("main"), &[0, 2, 3, 4]),
        (through("second"), &[1, 5]),
        (through("Second"), &[]),
        (through("sec%"), &[]),
        (through(""), &[]),
        (in_state(EventState::Pending), &[5]),
        (in_state(EventState::Dead), &[0]),
        (in_state(EventState::Delivered), &[1, 4]),
        (in_state(EventState::Parked), &[2]),
        (in_state(EventState::Unrouted), &[3]),
        (between(3, None), &[3, 4, 5]),
        (between(None, 3), &[0, 1, 2]),
        (between(3, 3), &[]),
        (between(2, 4), &[2, 3]),
        (between(4, 2), &[]),
        (between(-1_700_000_000, 6), &[0, 1, 2, 3, 4, 5]),
        (between(6, None), &[]),
    ];
    for (filter, expected) in cases {
        let expected: Vec<_> = expected.iter().map(|&index| ids[index]).collect();
        assert_eq!(desk.matching(filter.clone()).await, expected, "{filter:?}");
        let newest_first = Page { order: Order::NewestFirst, ..all() };
        let records = desk.ledger().events(filter.clone(), newest_first).await.unwrap();
        let listed: Vec<_> = records.iter().rev().map(|record| record.id).collect();
        assert_eq!(listed, expected, "{filter:?}, the newest first");
        for record in records {
            assert_eq!(record, desk.event(record.id).await.record, "a list says the same as the event's own page");
        }
    }
}

pub(crate) async fn filters_of_events_together<S: Subject>(desk: Desk<S>) {
    let ids = various(&desk).await;
    let whole = EventFilter {
        since: Some(at(1)),
        until: Some(at(2)),
        kind: Some("issue new".into()),
        endpoint: Some("second".into()),
        state: Some(EventState::Delivered),
        contains: Some("{".into()),
        ..EventFilter::default()
    };
    assert_eq!(desk.matching(whole.clone()).await, [ids[1]]);
    // Each of them counts.
    for other in [
        EventFilter { since: Some(at(2)), ..whole.clone() },
        EventFilter { until: Some(at(1)), ..whole.clone() },
        EventFilter { kind: Some("issue_new2".into()), ..whole.clone() },
        EventFilter { endpoint: Some("main".into()), ..whole.clone() },
        EventFilter { state: Some(EventState::Dead), ..whole.clone() },
        EventFilter { contains: Some("[".into()), ..whole.clone() },
    ] {
        assert_eq!(desk.matching(other.clone()).await, [], "{other:?}");
    }
    let page = Page { after: Some(ids[0]), limit: 1, order: Order::OldestFirst };
    let records = desk.ledger().events(of_kind("issue_new"), page).await.unwrap();
    assert_eq!(records.iter().map(|record| record.id).collect::<Vec<_>>(), [ids[1]], "a filter and a page");
    // A page may begin behind one that the filter leaves out.
    let page = Page { after: Some(ids[4]), limit: 9, order: Order::NewestFirst };
    let records = desk.ledger().events(of_kind("issue_new"), page).await.unwrap();
    assert_eq!(records.iter().map(|record| record.id).collect::<Vec<_>>(), [ids[2], ids[1], ids[0]]);
}

pub(crate) async fn text_in_bodies_is_found_however_json_writes_it<S: Subject>(desk: Desk<S>) {
    let bodies: [&[u8]; 10] = [
        b"{\"a\": \"100%\"}",
        b"a_b'c\"d\\e",
        b"\xff\xfeneedle\xff",
        "Größe".as_bytes(),
        b"",
        b"before\0after",
        b"NEEDLE a.b",
        b"{\"issue_number\": \"1042\",\n  \"tags\" : [ 1 , 2 ], \"t\": \"say \\\"hi\\\" to\\nthem\"}",
        b"{\"issue_number\":\"1042\",\"t\":\"Caf\\u00e9 \\u003cb\\u003e \\ud83d\\ude00 a\\/b\"}",
        b"C:\\\\new \\ud83d broken \\u12",
    ];
    let mut ids = Vec::new();
    for (body, second) in bodies.into_iter().zip(0..) {
        ids.push(desk.keep(event(second).with_body(body)).await);
    }
    let cases: [(&str, &[usize]); 37] = [
        ("", &[0, 1, 2, 3, 4, 5, 6, 7, 8, 9]),
        ("%", &[0]),
        ("100%", &[0]),
        ("1%0", &[]),
        ("_", &[1, 7, 8]),
        ("a_b", &[1]),
        ("a.b", &[6]),
        ("'", &[1]),
        ("'c\"d\\", &[1]),
        ("\\e", &[1]),
        ("needle", &[2, 6]),
        ("NEEDLE", &[2, 6]),
        ("Needle", &[2, 6]),
        ("Größe", &[3]),
        ("GRÖßE", &[3]),
        ("Gro\u{308}ße", &[]),
        ("before\0after", &[5]),
        ("\0", &[5]),
        ("after", &[5]),
        ("{\"a\": \"100%\"} ", &[0]),
        ("\"a\":\"100%\"", &[0]),
        ("\"issue_number\":\"1042\"", &[7, 8]),
        ("\"issue_number\": \"1042\"", &[7, 8]),
        ("\"issue_number\" : \"1042\",\"t", &[7, 8]),
        ("\"tags\":[1,2]", &[7]),
        ("say \"hi\" to", &[7]),
        ("say \\\"hi\\\" to", &[7]),
        ("hi\" to them", &[7]),
        ("hi\" to\\nthem", &[7]),
        ("CAFÉ <B> 😀 a/b", &[8]),
        ("Caf\\u00e9", &[8]),
        ("Cafe", &[]),
        ("a b", &[]),
        ("C:\\new", &[9]),
        ("C:\\\\new", &[9]),
        ("broken \\u12", &[9]),
        ("\\ud83d", &[8, 9]),
    ];
    for (text, expected) in cases {
        let filter = EventFilter { contains: Some(text.into()), ..EventFilter::default() };
        let expected: Vec<_> = expected.iter().map(|&index| ids[index]).collect();
        assert_eq!(desk.matching(filter).await, expected, "{text:?}");
    }
}

pub(crate) async fn an_issue_is_found_by_its_number_or_its_id<S: Subject>(desk: Desk<S>) {
    let bodies = [
        (
            "issue_new",
            r#"{"event_type": "issue_new", "issue_id": "5B0C-1", "issue_number": "1042", "issue_title": "Export fails"}"#,
        ),
        ("issue_message_new", r#"{"event_type": "issue_message_new", "issue_number": 1042, "message_id": "1043"}"#),
        (
            "ticket.created",
            r##"{"event": "ticket.created", "data": {"ticket_number": "# 1042", "title": "In a wrapper"}}"##,
        ),
        (
            "issue_new",
            r#"{"event_type": "issue_new", "issue_number": "10420", "issue_link": "https://x/?issueNumber=1042"}"#,
        ),
        (
            "issue_new",
            r#"{"event_type": "issue_new", "issue_number": "{{issue.number}}", "issue_id": "", "issue_title": " "}"#,
        ),
        ("", "not JSON: 1042"),
        ("", "1042"),
    ];
    let mut ids = Vec::new();
    for ((name, body), second) in bodies.into_iter().zip(0..) {
        ids.push(desk.keep(event(second).named(name).with_body(body).to("app")).await);
    }
    let summary = |id: Option<&str>, number: Option<&str>, title: Option<&str>| {
        let owned = |text: Option<&str>| text.map(str::to_owned);
        Some(IssueSummary { id: owned(id), number: owned(number), title: owned(title) })
    };
    let expected = [
        summary(Some("5B0C-1"), Some("1042"), Some("Export fails")),
        summary(None, Some("1042"), None),
        summary(None, Some("1042"), Some("In a wrapper")),
        summary(None, Some("10420"), None),
        None,
        None,
        None,
    ];
    let events = desk.ledger().events(EventFilter::default(), all()).await.unwrap();
    assert_eq!(events.into_iter().map(|record| record.issue).collect::<Vec<_>>(), expected);
    let deliveries = desk.ledger().deliveries(DeliveryFilter::default(), all()).await.unwrap();
    assert_eq!(deliveries.into_iter().map(|record| record.issue).collect::<Vec<_>>(), expected);
    assert_eq!(desk.event(ids[0]).await.record.issue, expected[0]);
    let cases: [(&str, &[usize]); 10] = [
        ("1042", &[0, 1, 2]),
        ("#1042", &[0, 1, 2]),
        (" # 1042 ", &[0, 1, 2]),
        ("10420", &[3]),
        ("5b0c-1", &[0]),
        ("5b0c", &[]),
        ("1043", &[]),
        ("104", &[]),
        ("{{issue.number}}", &[]),
        ("Export fails", &[]),
    ];
    for (called, expected) in cases {
        let expected: Vec<_> = expected.iter().map(|&index| ids[index]).collect();
        let filter = EventFilter { issue: Some(called.into()), ..EventFilter::default() };
        assert_eq!(desk.matching(filter).await, expected, "{called:?}");
        let filter = DeliveryFilter { issue: Some(called.into()), ..DeliveryFilter::default() };
        let found = desk.ledger().deliveries(filter, all()).await.unwrap();
        assert_eq!(found.into_iter().map(|record| record.id.event).collect::<Vec<_>>(), expected, "{called:?}");
    }
}

fn with_term(term: &str) -> EventFilter {
    EventFilter { term: Some(term.into()), ..EventFilter::default() }
}

pub(crate) async fn an_event_is_found_by_each_of_its_terms<S: Subject>(desk: Desk<S>) {
    let bodies = [
        (
            "issue_new",
            r##"{"event_type": "issue_new", "issue_id": "5B0C-1", "issue_number": "#1042", "issue_requester_email": "Sam@Example.com",
                "issue_assignee_email": "kim@example.org", "issue_account_id": "acc_1", "issue_account_name": "Ex\u00e4mple GmbH"}"##,
        ),
        ("issue_message_new", r#"{"event_type": "issue_message_new", "issue_number": 10420, "message_id": "1042-m"}"#),
        ("ticket.created", r#"{"event": "ticket.created", "data": {"number": 1042, "requester": "sam@example.com"}}"#),
        (
            "issue_new",
            r#"{"issue_number": "{{issue.number}}", "issue_account_name": "{{issue.account.name}}", "issue_title": "1042"}"#,
        ),
        ("", "not JSON: 1042"),
    ];
    let mut ids = Vec::new();
    for ((name, body), second) in bodies.into_iter().zip(0..) {
        ids.push(desk.keep(event(second).named(name).with_body(body).to("app")).await);
    }
    let cases: [(&str, &[usize]); 14] = [
        ("1042", &[0, 2]),
        (" # 1042 ", &[0, 2]),
        ("10420", &[1]),
        ("104", &[]),
        ("5b0c-1", &[0]),
        ("SAM@EXAMPLE.COM", &[0, 2]),
        ("example.com", &[]),
        ("kim@example.org", &[0]),
        ("ACC_1", &[0]),
        ("exÄmple gmbh", &[0]),
        ("1042-M", &[1]),
        ("{{issue.number}}", &[]),
        ("#", &[]),
        ("nobody@example.com", &[]),
    ];
    for (term, expected) in cases {
        let expected: Vec<_> = expected.iter().map(|&index| ids[index]).collect();
        assert_eq!(desk.matching(with_term(term)).await, expected, "{term:?}");
    }
    let both = EventFilter { since: Some(at(1)), ..with_term("1042") };
    assert_eq!(desk.matching(both).await, [ids[2]]);
    let both = EventFilter { kind: Some("issue_new".into()), contains: Some("gmbh".into()), ..with_term("1042") };
    assert_eq!(desk.matching(both).await, [ids[0]]);
    let both = EventFilter { issue: Some("5B0C-1".into()), ..with_term("kim@example.org") };
    assert_eq!(desk.matching(both).await, [ids[0]]);
    assert_eq!(desk.matching(EventFilter { issue: Some("10420".into()), ..with_term("1042") }).await, []);
}

/// An event about one of seven issues, of one of three people, and of one account.
fn of_many(second: i64) -> NewEvent {
    let body = format!(
        r#"{{"issue_number": {}, "issue_requester_email": "p{}@example.com", "issue_account_name": "All"}}"#,
        second % 7,
        second % 3
    );
    event(second).with_body(body)
}

/// Goes through the events with a term, a few a page, in both orders.
async fn pages_of<S: Subject>(desk: &Desk<S>, term: &str, limit: u32) -> Vec<EventId> {
    let mut both = Vec::new();
    for order in [Order::OldestFirst, Order::NewestFirst] {
        let (mut found, mut after) = (Vec::new(), None);
        loop {
            let page = desk.ledger().events(with_term(term), Page { after, limit, order }).await.unwrap();
            found.extend(page.iter().map(|record| record.id));
            if page.len() < limit as usize {
                break;
            }
            after = found.last().copied();
        }
        both.push(found);
    }
    let newest_first = both.pop().unwrap();
    assert!(newest_first.iter().rev().eq(&both[0]), "{term:?}: {both:?}, {newest_first:?}");
    both.remove(0)
}

pub(crate) async fn terms_are_found_among_many_page_by_page<S: Subject>(desk: Desk<S>) {
    let mut ids = Vec::new();
    // Not in the order of their ids.
    for second in (0..120_i64).map(|number| number * 47 % 120) {
        let id = desk.keep(of_many(second).in_line("app", "one")).await;
        desk.record(of_many(second).in_line("app", "one")).await;
        ids.push((second, id));
    }
    ids.sort_unstable();
    let having = |has: &dyn Fn(i64) -> bool| -> Vec<EventId> {
        ids.iter().filter(|(second, _)| has(*second)).map(|&(_, id)| id).collect()
    };
    for limit in [1, 4, 100] {
        assert_eq!(pages_of(&desk, "5", limit).await, having(&|second| second % 7 == 5));
        assert_eq!(pages_of(&desk, "P2@example.com", limit).await, having(&|second| second % 3 == 2));
        assert_eq!(pages_of(&desk, "all", limit).await, having(&|_| true));
        assert_eq!(pages_of(&desk, "7", limit).await, []);
    }
    let (mut found, mut after) = (Vec::new(), None);
    loop {
        let filter = DeliveryFilter { issue: Some("#3".into()), ..DeliveryFilter::default() };
        let page = Page { after, limit: 5, order: Order::NewestFirst };
        let deliveries = desk.ledger().deliveries(filter, page).await.unwrap();
        found.extend(deliveries.iter().map(|delivery| delivery.id.event));
        after = deliveries.last().map(|delivery| delivery.id);
        if deliveries.len() < 5 {
            break;
        }
    }
    found.reverse();
    assert_eq!(found, having(&|second| second % 7 == 3));
}

pub(crate) async fn what_is_forgotten_is_found_no_more_and_what_comes_is<S: Subject>(desk: Desk<S>) {
    for second in 0..30 {
        desk.keep(of_many(second)).await;
    }
    assert_eq!(desk.matching(with_term("all")).await.len(), 30);
    // All of them, so that what comes may take their places.
    assert_eq!(desk.prune(200, 100).await, 30);
    assert_eq!(desk.matching(with_term("all")).await, []);
    let mut ids = Vec::new();
    for second in 200..240 {
        ids.push(desk.keep(of_many(second)).await);
    }
    assert_eq!(desk.matching(with_term("ALL")).await, ids);
    assert_eq!(desk.matching(with_term("#6")).await, [ids[2], ids[9], ids[16], ids[23], ids[30], ids[37]]);
}

pub(crate) async fn a_search_in_parts_finds_everything_once<S: Subject>(desk: Desk<S>) {
    let mut ids = Vec::new();
    for second in 0..600 {
        ids.push(desk.keep(event(second).with_body(format!("{{\"a\": {}}}", second % 100))).await);
    }
    let filter = EventFilter { contains: Some("\"A\":7}".into()), ..EventFilter::default() };
    for (order, expected) in [
        (Order::OldestFirst, [ids[7], ids[107], ids[207], ids[307], ids[407], ids[507]]),
        (Order::NewestFirst, [ids[507], ids[407], ids[307], ids[207], ids[107], ids[7]]),
    ] {
        let (mut found, mut after) = (Vec::new(), None);
        loop {
            // Time for one part alone.
            let page = Page { after, limit: 50, order };
            let FoundEvents { events, searched_to } =
                desk.ledger().search(filter.clone(), page, Duration::ZERO).await.unwrap();
            found.extend(events.iter().map(|event| event.id));
            let Some(searched_to) = searched_to else { break };
            assert_ne!(Some(searched_to), after, "each part comes further");
            after = Some(searched_to);
        }
        assert_eq!(found, expected);
    }
}

pub(crate) async fn what_a_list_shows_of_an_issue_is_bounded<S: Subject>(desk: Desk<S>) {
    let (title, number) = ("\u{e4}".repeat(1000), "1".repeat(1000));
    let body = format!(r#"{{"event_type": "issue_new", "issue_number": "{number}", "issue_title": "{title}"}}"#);
    desk.keep(event(0).with_body(body)).await;
    let record = desk.ledger().events(EventFilter::default(), all()).await.unwrap().remove(0);
    assert_eq!(record.issue, Some(IssueSummary { id: None, number: None, title: Some("\u{e4}".repeat(200)) }));
}

pub(crate) async fn an_event_is_found_by_the_beginning_or_the_end_of_its_id<S: Subject>(desk: Desk<S>) {
    let mut ids = Vec::new();
    for number in [1, 2, 0x12] {
        ids.push(desk.keep(event(0).numbered(number)).await);
    }
    ids.push(desk.keep(event(100_000).numbered(1)).await);
    let start = &ids[0].to_string()[..13];
    let cases: [(&str, &[usize]); 8] = [
        (start, &[0, 1, 2]),
        ("01010101", &[0, 3]),
        ("0101-0101", &[0, 3]),
        ("1212", &[2]),
        ("0202020202", &[1]),
        (&ids[3].to_string()[..13], &[3]),
        ("ffff", &[]),
        ("1202", &[]),
    ];
    for (part, expected) in cases {
        let filter = EventFilter { id: Some(part.parse().unwrap()), ..EventFilter::default() };
        let expected: Vec<_> = expected.iter().map(|&index| ids[index]).collect();
        assert_eq!(desk.matching(filter).await, expected, "{part:?}");
    }
}

pub(crate) async fn each_filter_of_deliveries_alone_and_together<S: Subject>(desk: Desk<S>) {
    let ids = various(&desk).await;
    let every = [(0, 1), (1, 1), (1, 2), (4, 1), (5, 1)];
    let none = DeliveryFilter::default;
    let cases: Vec<(DeliveryFilter, &[(usize, u32)])> = vec![
        (none(), &every),
        (DeliveryFilter { event: Some(ids[1]), ..none() }, &[(1, 1), (1, 2)]),
        (DeliveryFilter { event: Some(ids[3]), ..none() }, &[]),
        (DeliveryFilter { event: Some(named(99, 0)), ..none() }, &[]),
        (DeliveryFilter { destination: Some("app".into()), ..none() }, &[(0, 1), (1, 1)]),
        (DeliveryFilter { destination: Some("a%".into()), ..none() }, &[]),
        (DeliveryFilter { destination: Some("App".into()), ..none() }, &[]),
        (DeliveryFilter { state: Some(DeliveryState::Dead), ..none() }, &[(0, 1)]),
        (DeliveryFilter { state: Some(DeliveryState::Delivered), ..none() }, &[(1, 1), (1, 2), (4, 1)]),
        (DeliveryFilter { state: Some(DeliveryState::Waiting), ..none() }, &[(5, 1)]),
        (DeliveryFilter { state: Some(DeliveryState::Held), ..none() }, &[]),
        (DeliveryFilter { since: Some(at(1)), ..none() }, &every[1..]),
        (DeliveryFilter { until: Some(at(1)), ..none() }, &every[..1]),
        (DeliveryFilter { since: Some(at(1)), until: Some(at(5)), ..none() }, &every[1..4]),
        (
            DeliveryFilter {
                event: Some(ids[1]),
                destination: Some("log".into()),
                state: Some(DeliveryState::Delivered),
                since: Some(at(1)),
                until: Some(at(2)),
                issue: None,
                code: None,
                died_before: None,
            },
            &[(1, 2)],
        ),
        (DeliveryFilter { event: Some(ids[1]), state: Some(DeliveryState::Dead), ..none() }, &[]),
        (DeliveryFilter { died_before: Some(at(1000)), ..none() }, &[(0, 1)]),
        (DeliveryFilter { died_before: Some(at(0)), ..none() }, &[]),
    ];
    for (filter, expected) in cases {
        let expected: Vec<_> = expected.iter().map(|&(index, number)| delivery(ids[index], number)).collect();
        for order in [Order::OldestFirst, Order::NewestFirst] {
            let page = Page { order, ..all() };
            let records = desk.ledger().deliveries(filter.clone(), page).await.unwrap();
            let mut listed: Vec<_> = records.iter().map(|record| record.id).collect();
            if order == Order::NewestFirst {
                listed.reverse();
            }
            assert_eq!(listed, expected, "{filter:?}, {order:?}");
            for record in records {
                assert_eq!(record, desk.delivery(record.id).await);
            }
        }
    }
}

pub(crate) async fn pages_have_no_gaps_and_no_repeats<S: Subject>(desk: Desk<S>) {
    let mut expected = Vec::new();
    // Several of one moment, and not in their order.
    for number in [5, 3, 9, 1, 7] {
        for second in [4, 0, 2] {
            expected.push(desk.keep(event(second).numbered(number)).await);
        }
    }
    expected.sort();
    for order in [Order::OldestFirst, Order::NewestFirst] {
        for limit in [1, 2, 4, 15, 16, u32::MAX] {
            let mut listed = Vec::new();
            let mut after = None;
            loop {
                let page = Page { after, limit, order };
                let records = desk.ledger().events(EventFilter::default(), page).await.unwrap();
                assert!(records.len() as u64 <= u64::from(limit));
                let Some(last) = records.last() else { break };
                after = Some(last.id);
                listed.extend(records.iter().map(|record| record.id));
            }
            if order == Order::NewestFirst {
                listed.reverse();
            }
            assert_eq!(listed, expected, "{order:?}, {limit} a page");
        }
    }
    let none = Page { limit: 0, ..all() };
    assert_eq!(desk.ledger().events(EventFilter::default(), none).await, Ok(vec![]));
    // A page may begin behind a name that is not kept.
    let page = Page { after: Some(named(1, 0)), ..all() };
    let records = desk.ledger().events(EventFilter::default(), page).await.unwrap();
    assert_eq!(records.iter().map(|record| record.id).collect::<Vec<_>>(), expected[5..]);
}

pub(crate) async fn pages_go_on_undisturbed_while_events_come_in<S: Subject>(desk: Desk<S>) {
    let mut before = Vec::new();
    for second in 0..40 {
        before.push(desk.keep(event(second)).await);
    }
    let ledger = desk.ledger();
    let incoming = tokio::spawn(async move {
        for second in 40..140 {
            ledger.record(event(second)).await.unwrap();
        }
    });
    let mut listed: Vec<EventId> = Vec::new();
    loop {
        let page = Page { after: listed.last().copied(), limit: 3, order: Order::NewestFirst };
        let records = desk.ledger().events(EventFilter::default(), page).await.unwrap();
        if records.is_empty() {
            break;
        }
        listed.extend(records.iter().map(|record| record.id));
    }
    incoming.await.unwrap();
    assert!(listed.is_sorted_by(|one, other| one > other), "none twice");
    before.reverse();
    assert!(listed.ends_with(&before), "none missing");
}

pub(crate) async fn pages_of_deliveries_go_through_the_numbers_of_an_event<S: Subject>(desk: Desk<S>) {
    let mut expected = Vec::new();
    for second in [1, 0] {
        let mut new = event(second);
        for number in 0..12 {
            new = new.to(&format!("app-{number}"));
        }
        let id = desk.keep(new).await;
        expected.extend((1..=12).map(|number| delivery(id, number)));
    }
    // By number, not by how the number is written.
    expected.sort();
    for order in [Order::OldestFirst, Order::NewestFirst] {
        let mut listed: Vec<DeliveryId> = Vec::new();
        loop {
            let page = Page { after: listed.last().copied(), limit: 5, order };
            let records = desk.ledger().deliveries(DeliveryFilter::default(), page).await.unwrap();
            if records.is_empty() {
                break;
            }
            listed.extend(records.iter().map(|record| record.id));
        }
        if order == Order::NewestFirst {
            listed.reverse();
        }
        assert_eq!(listed, expected, "{order:?}");
    }
}

pub(crate) async fn refused_requests_by_endpoint_and_code<S: Subject>(desk: Desk<S>) {
    let mut keep = Vec::new();
    for (number, (endpoint, code)) in [
        (Some("main"), "signature_mismatch"),
        (Some("second"), "too_large"),
        (None, "not_found"),
        (Some("main"), "too_large"),
    ]
    .into_iter()
    .enumerate()
    {
        let reason = format!("refusal {number}");
        desk.ledger().keep_refused(NewRefused { endpoint: endpoint.map(Arc::from), ..refused(0, code, &reason) });
        desk.refused_up_to(&reason, RefusedFilter::default()).await;
        keep.push(reason);
    }
    let cases: [(Option<&str>, Option<&str>, &[usize]); 8] = [
        (None, None, &[0, 1, 2, 3]),
        (Some("main"), None, &[0, 3]),
        (Some("second"), None, &[1]),
        (Some("ma%"), None, &[]),
        (None, Some("too_large"), &[1, 3]),
        (None, Some("too-large"), &[]),
        (Some("main"), Some("too_large"), &[3]),
        (Some("main"), Some("not_found"), &[]),
    ];
    for (endpoint, code, expected) in cases {
        let filter = RefusedFilter { endpoint: endpoint.map(str::to_owned), code: code.map(str::to_owned) };
        let records = desk.ledger().refused(filter.clone(), all()).await.unwrap();
        let listed: Vec<_> = records.into_iter().map(|record| record.reason).collect();
        assert_eq!(listed, expected.iter().map(|&index| keep[index].clone()).collect::<Vec<_>>(), "{filter:?}");
    }
    let mut listed = Vec::new();
    let mut after = None;
    loop {
        let page = Page { after, limit: 3, order: Order::NewestFirst };
        let records = desk.ledger().refused(RefusedFilter::default(), page).await.unwrap();
        let Some(last) = records.last() else { break };
        after = Some(last.number);
        listed.extend(records.into_iter().map(|record| record.reason));
    }
    listed.reverse();
    assert_eq!(listed, keep, "page for page");
    for after in [0, u64::MAX] {
        let page = Page { after: Some(after), limit: 9, order: Order::OldestFirst };
        let found = desk.ledger().refused(RefusedFilter::default(), page).await.unwrap().len();
        assert_eq!(found, if after == 0 { 4 } else { 0 });
    }
}

pub(crate) async fn stats_count_what_there_is<S: Subject>(desk: Desk<S>) {
    let empty = desk.stats(0).await;
    assert_eq!((empty.events, empty.parked, empty.refused, empty.destinations), (0, 0, 0, vec![]));

    various(&desk).await;
    for second in [20, 21, 22] {
        desk.keep(event(second).in_line("app", "a")).await;
    }
    desk.keep(event(23).to("app")).await;
    desk.ledger().keep_refused(refused(0, "too_large", "one"));
    desk.refused_up_to("one", RefusedFilter::default()).await;
    let destination = |destination: &str| DestinationStats { destination: destination.into(), ..Default::default() };
    let app = DestinationStats { waiting: 2, held: 2, dead: 1, ..destination("app") };
    let other = DestinationStats { waiting: 1, ..destination("other") };
    let due = |since, stats: &DestinationStats| DestinationStats { oldest_due_at: Some(at(since)), ..stats.clone() };
    for now in [23, 99] {
        let stats = desk.stats(now).await;
        assert_eq!((stats.events, stats.parked, stats.refused), (10, 1, 1));
        assert!(stats.ledger_bytes > 0);
        assert_eq!(stats.destinations, [due(20, &app), due(5, &other)], "at {now} s");
    }
    let first = desk.claim(Ask { free: 1, ..claim(99) }).await.deliveries[0].lease;
    let delivering = DestinationStats { waiting: 1, delivering: 1, ..app.clone() };
    assert_eq!(desk.stats(99).await.destinations[0], due(23, &delivering));
    desk.settle(first, 99, retry(1)).await;
    assert_eq!(desk.stats(99).await.destinations[0], due(23, &app), "one waits, and is not due yet");
    assert_eq!(desk.due(99).await.len(), 1);
    assert_eq!(desk.stats(99).await.destinations[0], delivering, "nothing is due");
    assert_eq!(desk.stats(100).await.destinations[0], due(100, &delivering));
}

pub(crate) async fn of_an_event_with_many_deliveries_and_attempts_the_newest_are_told<S: Subject>(desk: Desk<S>) {
    const MANY: u32 = EventDetail::MOST_SHOWN as u32 + 7;
    let id = desk.keep(event(0).to("app")).await;
    for number in 1..=MANY {
        let claimed = desk.claim(Ask { most_attempts: 2 * MANY, ..claim(i64::from(number)) }).await;
        desk.settle_with(claimed.deliveries[0].lease, i64::from(number), retry(1), attempt(500, &number.to_string()))
            .await;
    }
    let detail = desk.event(id).await;
    let [(_, log)] = detail.deliveries.as_slice() else { panic!("{detail:?}") };
    assert_eq!(log.iter().map(|attempt| attempt.attempt).collect::<Vec<_>>(), (8..=MANY).collect::<Vec<_>>());
    for _ in 1..MANY {
        assert_eq!(desk.ledger().redeliver(vec![id], None).await, Ok(1));
    }
    let detail = desk.event(id).await;
    let told: Vec<_> = detail.deliveries.iter().map(|(record, _)| record.id.number).collect();
    assert_eq!((told, detail.record.deliveries), ((8..=MANY).collect(), MANY));
    let listed = desk.ledger().deliveries(DeliveryFilter::default(), all()).await.unwrap();
    assert_eq!(listed.len(), MANY as usize, "the list has all");
}
