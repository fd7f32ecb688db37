//! What is acknowledged is kept, once.

use super::*;
use std::future::poll_fn;
use std::task::Poll;

pub(crate) async fn an_event_is_kept_with_everything_that_came_with_it<S: Subject>(desk: Desk<S>) {
    let new = event(3).through("second").of_kind("Ticket.Created").to("app").in_line("log", "issue-1");
    let (headers, body) = (new.headers.clone(), new.body.as_bytes().to_vec());
    let id = desk.keep(new).await;

    let record = EventRecord {
        id,
        received_at: at(3),
        endpoint: "second".into(),
        kind: "Ticket.Created".into(),
        state: EventState::Pending,
        parked: None,
        body_length: 2,
        deliveries: 2,
    };
    let made = |number, destination: &str, order_key: Option<&str>| DeliveryRecord {
        id: delivery(id, number),
        destination: destination.into(),
        kind: "Ticket.Created".into(),
        state: DeliveryState::Waiting,
        attempts: 0,
        created_at: at(3),
        due_at: Some(at(3)),
        finished_at: None,
        order_key: order_key.map(str::to_owned),
        redelivery_of: None,
        reason: None,
    };
    let deliveries = [made(1, "app", None), made(2, "log", Some("issue-1"))];
    assert_eq!(desk.ledger().events(EventFilter::default(), all()).await.unwrap(), std::slice::from_ref(&record));
    assert_eq!(desk.ledger().deliveries(DeliveryFilter::default(), all()).await.unwrap(), deliveries);
    let deliveries = deliveries.into_iter().map(|record| (record, Vec::new())).collect();
    assert_eq!(
        desk.event(id).await,
        EventDetail { record, headers: headers.clone(), body: body.clone().into(), deliveries }
    );

    let leased = desk.take(3).await;
    assert_eq!(leased.lease.delivery, delivery(id, 1));
    assert_eq!((leased.attempt, leased.redelivery_of, leased.created_at), (1, None, at(3)));
    assert_eq!((&*leased.endpoint, &*leased.kind), ("second", "Ticket.Created"));
    assert_eq!((leased.headers, leased.body), (headers, body.into()));

    assert_eq!(desk.ledger().event(named(4, 0)).await, Ok(None), "nobody has recorded it");
}

pub(crate) async fn bodies_and_texts_come_back_byte_for_byte<S: Subject>(mut desk: Desk<S>) {
    let every_byte: Vec<u8> = (0..=255).collect();
    let bodies: [&[u8]; 9] = [
        b"",
        b"\0",
        b"\0{}\0",
        b"{\"a\": 1}\r\n",
        b"\xff\xfe\x00\xd8",
        &every_byte,
        "\u{feff}Ünïcødé 🦀 \u{202e}".as_bytes(),
        b"'); DROP TABLE events; --",
        &every_byte.repeat(4096),
    ];
    let texts = [
        "",
        "Ünïcødé 🦀 \u{202e}",
        "'); DROP TABLE events; --",
        "a\nb\tc\u{7f}",
        "100%_",
        "\"quoted\"",
        "\\",
        "1",
        "NULL",
    ];
    let mut ids = Vec::new();
    for ((body, text), number) in bodies.iter().zip(texts).zip(1..) {
        let mut new = event(0).numbered(number).through(text).of_kind(text).parked(text).with_body(body);
        new.headers = Headers::from_stored([b"x-bytes: \xff", text.replace('\n', " ").as_bytes(), b"\n"].concat());
        // An empty key is a key.
        ids.push(desk.keep(new.in_line(&format!("app{text}"), text).keyed(text, None)).await);
    }
    for when in ["at once", "after a crash"] {
        for ((body, text), &id) in bodies.iter().zip(texts).zip(&ids) {
            let detail = desk.event(id).await;
            assert!(detail.body == *body, "{when}: the body beside {text:?}");
            assert_eq!(detail.record.body_length, body.len() as u64, "{when}");
            assert_eq!((&*detail.record.endpoint, &*detail.record.kind), (text, text), "{when}");
            assert_eq!(detail.record.parked.as_deref(), Some(text), "{when}");
            let headers = [b"x-bytes: \xff", text.replace('\n', " ").as_bytes(), b"\n"].concat();
            assert!(detail.headers.as_bytes() == headers, "{when}: the headers beside {text:?}");
            let (record, _) = &detail.deliveries[0];
            assert_eq!(record.destination, format!("app{text}"), "{when}");
            assert_eq!(record.order_key.as_deref(), Some(text), "{when}");

            let destination = format!("app{text}");
            let claimed = desk.claim(Claim { destination: destination.into(), lease_until: at(0), ..claim(0) }).await;
            assert!(claimed.deliveries[0].body == *body, "{when}: the claimed body beside {text:?}");
            assert!(claimed.deliveries[0].headers.as_bytes() == headers, "{when}: the claimed headers beside {text:?}");
        }
        desk.crash().await;
    }
}

pub(crate) async fn an_event_that_cannot_be_kept_leaves_nothing_behind_and_harms_no_other<S: Subject>(desk: Desk<S>) {
    let id = desk.keep(event(0).to("app")).await;
    let before = desk.everything().await;
    // Its name is taken, so that it cannot be kept; others are on their way together with it.
    let tasks: Vec<_> = (1..=20)
        .flat_map(|number| {
            let taken = event(0).with_body("other").keyed(&number.to_string(), None).to("app").to("log");
            [taken, event(1).numbered(number)]
        })
        .map(|new| {
            let ledger = desk.ledger();
            tokio::spawn(async move { (new.id, ledger.record(new).await) })
        })
        .collect();
    for task in tasks {
        let (recorded, answer) = task.await.unwrap();
        match recorded == id {
            true => assert!(matches!(answer, Err(LedgerError::Failed(_))), "{answer:?}"),
            false => assert_eq!(answer, Ok(Recorded::Stored)),
        }
    }
    assert_eq!(desk.event(id).await, before[0]);
    assert_eq!(desk.stats(0).await.events, 21);
    assert_eq!(desk.due(0).await, [delivery(id, 1)]);
    // None of the keys is remembered.
    for number in 1..=20 {
        desk.keep(event(2).numbered(number).keyed(&number.to_string(), None)).await;
    }
}

pub(crate) async fn a_duplicate_names_the_kept_event_and_is_not_kept<S: Subject>(desk: Desk<S>) {
    let id = desk.keep(event(0).keyed("a", None).to("app")).await;
    let before = desk.everything().await;
    for number in 1..4 {
        let again = event(1).numbered(number).keyed("a", None).with_body("other").to("app").to("log");
        assert_eq!(desk.record(again).await, Recorded::Duplicate(id));
    }
    // The very same one, sent again because the answer was lost.
    assert_eq!(desk.record(event(0).keyed("a", None).to("app")).await, Recorded::Duplicate(id));
    assert_eq!(desk.everything().await, before);
    desk.keep(event(1).keyed("b", None)).await;
    desk.keep(event(2)).await;
    desk.keep(event(3)).await;
}

pub(crate) async fn a_key_counts_at_its_endpoint_alone<S: Subject>(desk: Desk<S>) {
    let first = desk.keep(event(0).keyed("a", None)).await;
    let second = desk.keep(event(1).through("second").keyed("a", None)).await;
    assert_eq!(desk.record(event(2).keyed("a", None)).await, Recorded::Duplicate(first));
    assert_eq!(desk.record(event(2).through("second").keyed("a", None)).await, Recorded::Duplicate(second));
    desk.keep(event(2).through("MAIN").keyed("a", None)).await;
    desk.keep(event(3).keyed("A", None)).await;
}

pub(crate) async fn a_key_is_remembered_until_its_expiry_which_a_duplicate_does_not_prolong<S: Subject>(
    mut desk: Desk<S>,
) {
    let id = desk.keep(event(0).keyed("a", Some(at(10)))).await;
    for (seconds, expires_at) in [(0, None), (1, Some(at(1000))), (9, Some(at(5)))] {
        let again = event(seconds).numbered(1).keyed("a", expires_at);
        assert_eq!(desk.record(again).await, Recorded::Duplicate(id), "after {seconds} s");
    }
    desk.crash().await;
    assert_eq!(desk.record(event(9).keyed("a", None)).await, Recorded::Duplicate(id), "after a crash");
    let next = desk.keep(event(10).keyed("a", Some(at(20)))).await;
    assert_eq!(desk.record(event(19).keyed("a", None)).await, Recorded::Duplicate(next));
    let last = desk.keep(event(20).keyed("a", None)).await;
    assert_eq!(desk.record(event(2_000_000_000).keyed("a", None)).await, Recorded::Duplicate(last));

    // One that has expired when it comes.
    desk.keep(event(0).numbered(2).keyed("b", Some(at(0)))).await;
    desk.keep(event(0).numbered(3).keyed("b", Some(at(0)))).await;
}

pub(crate) async fn a_key_without_expiry_is_remembered_as_long_as_its_event<S: Subject>(desk: Desk<S>) {
    let id = desk.keep(event(0).keyed("a", None)).await;
    desk.ledger().prune(at(0), at(1000)).await.unwrap();
    assert_eq!(desk.record(event(1).keyed("a", None)).await, Recorded::Duplicate(id));
    assert_eq!(desk.ledger().prune(at(1), at(1000)).await.unwrap().events, 1);
    desk.keep(event(2).keyed("a", None)).await;
}

pub(crate) async fn a_key_with_expiry_is_remembered_even_without_its_event<S: Subject>(desk: Desk<S>) {
    let id = desk.keep(event(0).keyed("a", Some(at(10)))).await;
    assert_eq!(desk.ledger().prune(at(5), at(9)).await.unwrap().events, 1);
    assert_eq!(desk.record(event(9).keyed("a", None)).await, Recorded::Duplicate(id));
    desk.ledger().prune(at(5), at(10)).await.unwrap();
    desk.keep(event(10).keyed("a", None)).await;
}

pub(crate) async fn of_many_at_once_with_one_key_one_is_kept<S: Subject>(desk: Desk<S>) {
    let record = |number| {
        let (ledger, new) = (desk.ledger(), event(0).numbered(number).keyed("a", None).to("app"));
        tokio::spawn(async move { (new.id, ledger.record(new).await.unwrap()) })
    };
    let mut kept = Vec::new();
    let mut named = Vec::new();
    for task in (0..64).map(record).collect::<Vec<_>>() {
        match task.await.unwrap() {
            (id, Recorded::Stored) => kept.push(id),
            (_, Recorded::Duplicate(id)) => named.push(id),
        }
    }
    assert_eq!(kept.len(), 1);
    assert_eq!(named, [kept[0]; 63]);
    assert_eq!(desk.matching(EventFilter::default()).await, kept);
    assert_eq!(desk.due(0).await, [delivery(kept[0], 1)]);
}

pub(crate) async fn a_caller_who_stops_waiting_has_it_kept_all_the_same<S: Subject>(desk: Desk<S>) {
    let ledger = desk.ledger();
    let mut recording = ledger.record(event(0).to("app"));
    // Asked once, and then no more.
    poll_fn(|context| {
        let _ = recording.as_mut().poll(context);
        Poll::Ready(())
    })
    .await;
    drop(recording);
    // What comes after is done after.
    desk.ledger().check().await.unwrap();
    assert_eq!(desk.due(0).await, [delivery(named(0, 0), 1)]);
}
