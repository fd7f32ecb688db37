//! What is acknowledged is kept, once.

use super::*;
use std::future::poll_fn;
use std::task::Poll;

pub(crate) async fn an_event_is_kept_with_everything_that_came_with_it<S: Subject>(desk: Desk<S>) {
    let query = Some("a=1".into());
    let new = NewEvent { method: "PUT".into(), target: "/a".into(), query, ..event(3) };
    let new = new.through("second").named("Ticket.Created").to("app").in_line("log", "issue-1");
    let (headers, body) = (new.headers.clone(), new.body.as_bytes().to_vec());
    let id = desk.keep(new).await;

    let record = EventRecord {
        id,
        received_at: at(3),
        endpoint: "second".into(),
        name: "Ticket.Created".into(),
        kind: None,
        state: EventState::Pending,
        parked: None,
        issue: None,
        body_length: 2,
        deliveries: 2,
    };
    let made = |number, destination: &str, order_key: Option<&str>| DeliveryRecord {
        id: delivery(id, number),
        destination: destination.into(),
        name: "Ticket.Created".into(),
        kind: None,
        issue: None,
        state: DeliveryState::Waiting,
        attempts: 0,
        created_at: at(3),
        due_at: Some(at(3)),
        finished_at: None,
        order_key: order_key.map(str::to_owned),
        redelivery_of: None,
        reason: None,
        code: None,
        order: None,
    };
    let deliveries = [made(1, "app", None), made(2, "log", Some("issue-1"))];
    assert_eq!(desk.ledger().events(EventFilter::default(), all()).await.unwrap(), std::slice::from_ref(&record));
    assert_eq!(desk.ledger().deliveries(DeliveryFilter::default(), all()).await.unwrap(), deliveries);
    let deliveries = deliveries.into_iter().map(|record| (record, Vec::new())).collect();
    assert_eq!(
        desk.event(id).await,
        EventDetail {
            record,
            method: "PUT".into(),
            target: "/a".into(),
            query: Some("a=1".into()),
            headers: headers.clone(),
            body: body.clone().into(),
            deliveries
        }
    );

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
        let mut new = event(0).numbered(number).through(text).named(text).parked(text).with_body(body);
        new.headers = Headers::from_stored([b"x-bytes: \xff", text.replace('\n', " ").as_bytes(), b"\n"].concat());
        // An empty key is a key.
        ids.push(desk.keep(new.in_line(&format!("app{text}"), text).keyed(text, None)).await);
    }
    for when in ["at once", "after a crash"] {
        for ((body, text), &id) in bodies.iter().zip(texts).zip(&ids) {
            let detail = desk.event(id).await;
            assert!(detail.body == *body, "{when}: the body beside {text:?}");
            assert_eq!(detail.record.body_length, body.len() as u64, "{when}");
            assert_eq!((&*detail.record.endpoint, &*detail.record.name), (text, text), "{when}");
            assert_eq!(detail.record.parked.as_deref(), Some(text), "{when}");
            let headers = [b"x-bytes: \xff", text.replace('\n', " ").as_bytes(), b"\n"].concat();
            assert!(detail.headers.as_bytes() == headers, "{when}: the headers beside {text:?}");
            let (record, _) = &detail.deliveries[0];
            assert_eq!(record.destination, format!("app{text}"), "{when}");
            assert_eq!(record.order_key.as_deref(), Some(text), "{when}");

            let destination = format!("app{text}");
            let claimed = desk.claim(Ask { destination: destination.into(), lease: 0, ..claim(0) }).await;
            assert!(claimed.deliveries[0].body == *body, "{when}: the claimed body beside {text:?}");
            assert!(claimed.deliveries[0].headers.as_bytes() == headers, "{when}: the claimed headers beside {text:?}");
        }
        desk.crash().await;
    }
}

pub(crate) async fn the_same_event_again_is_stored_again_and_changes_nothing<S: Subject>(mut desk: Desk<S>) {
    let new = event(0).keyed("a", Some(10)).to("app").in_line("log", "a");
    let plain = event(0).numbered(1).to("app");
    desk.keep(new.clone()).await;
    desk.keep(plain.clone()).await;
    let before = desk.everything().await;
    let numbers = async |desk: &Desk<S>, now| Stats { ledger_bytes: 0, ..desk.stats(now).await };
    let stats = numbers(&desk, 0).await;
    for (when, now) in [("at once", 0), ("after a crash", 0), ("when its key is forgotten", 20)] {
        desk.now(now);
        for again in [&new, &plain] {
            // Whatever else the caller says now.
            for again in [again.clone(), again.clone().with_body("other").to("log").parked("so")] {
                assert_eq!(desk.record(again).await, Recorded::Stored, "{when}");
            }
        }
        assert_eq!(desk.everything().await, before, "{when}");
        assert_eq!(numbers(&desk, now).await, stats, "{when}");
        desk.crash().await;
    }
    // It goes on as it was.
    assert_eq!(desk.due(20).await, [delivery(new.id, 1), delivery(plain.id, 1)]);
    assert_eq!(desk.record(new.clone()).await, Recorded::Stored, "while it is delivered");
    // Its key, forgotten by now, is not remembered anew.
    desk.keep(event(20).keyed("a", None)).await;
}

pub(crate) async fn an_event_whose_key_outlives_it_is_not_kept_a_second_time<S: Subject>(desk: Desk<S>) {
    let new = event(0).keyed("a", Some(100));
    desk.keep(new.clone()).await;
    assert_eq!(desk.prune(10, 5).await, 1);
    assert_eq!(desk.record(new).await, Recorded::Stored);
    assert_eq!(desk.stats(10).await.events, 0);
}

pub(crate) async fn a_caller_that_lost_its_answer_may_ask_again<S: Subject>(desk: Desk<S>) {
    let mut recordings = Vec::new();
    for number in 0..32_u8 {
        let new = event(0).numbered(number).keyed(&(number / 2).to_string(), None).in_line("app", "a");
        let (one, other) = (desk.ledger(), desk.second());
        recordings.push(tokio::spawn(async move {
            // The answer is lost: nobody waits for it.
            let mut lost = one.record(new.clone());
            poll_fn(|context| {
                let _ = lost.as_mut().poll(context);
                Poll::Ready(())
            })
            .await;
            drop(lost);
            other.record(new).await.unwrap()
        }));
    }
    let mut stored = 0;
    for recording in recordings {
        stored += usize::from(recording.await.unwrap() == Recorded::Stored);
    }
    assert_eq!((stored, desk.stats(0).await.events), (16, 16));
    for _ in 0..16 {
        desk.end(0, Verdict::Delivered).await;
    }
    assert_eq!(desk.due(0).await, []);
}

pub(crate) async fn a_duplicate_names_the_kept_event_and_is_not_kept<S: Subject>(desk: Desk<S>) {
    let id = desk.keep(event(0).keyed("a", None).to("app")).await;
    let before = desk.everything().await;
    for number in 1..4 {
        let again = event(1).numbered(number).keyed("a", None).with_body("other").to("app").to("log");
        assert_eq!(desk.record(again).await, Recorded::Duplicate(id));
    }
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
    let id = desk.keep(event(0).keyed("a", Some(10))).await;
    for (seconds, lasts) in [(0, None), (1, Some(1000)), (9, Some(0))] {
        let again = event(seconds).numbered(1).keyed("a", lasts);
        assert_eq!(desk.record(again).await, Recorded::Duplicate(id), "after {seconds} s");
    }
    desk.crash().await;
    assert_eq!(desk.record(event(9).keyed("a", None)).await, Recorded::Duplicate(id), "after a crash");
    let next = desk.keep(event(10).keyed("a", Some(10))).await;
    assert_eq!(desk.record(event(19).keyed("a", None)).await, Recorded::Duplicate(next));
    let last = desk.keep(event(20).keyed("a", None)).await;

    // One that has expired when it comes.
    desk.keep(event(20).numbered(2).keyed("b", Some(0))).await;
    desk.keep(event(20).numbered(3).keyed("b", Some(0))).await;
    assert_eq!(desk.record(event(2_000_000_000).keyed("a", None)).await, Recorded::Duplicate(last));
}

pub(crate) async fn an_event_whose_key_has_passed_to_another_is_stored_all_the_same<S: Subject>(mut desk: Desk<S>) {
    for (key, seconds, lasts) in [("a", 0, Some(100)), ("b", 20, None)] {
        let first = event(seconds).keyed(key, Some(10)).to("app");
        let second = event(seconds + 10).keyed(key, lasts).to("app");
        desk.keep(first.clone()).await;
        desk.keep(second.clone()).await;
        let before = desk.everything().await;
        for when in ["at once", "after a crash"] {
            assert_eq!(desk.record(first.clone()).await, Recorded::Stored, "{key}, {when}");
            assert_eq!(desk.everything().await, before, "{key}, {when}");
            // The key belongs to the second event as before.
            let third = event(seconds + 10).numbered(1).keyed(key, None);
            assert_eq!(desk.record(third).await, Recorded::Duplicate(second.id), "{key}, {when}");
            desk.crash().await;
        }
    }
}

pub(crate) async fn a_key_without_expiry_is_remembered_as_long_as_its_event<S: Subject>(desk: Desk<S>) {
    let id = desk.keep(event(0).keyed("a", None)).await;
    assert_eq!(desk.prune(1000, 1000).await, 0);
    assert_eq!(desk.record(event(1).keyed("a", None)).await, Recorded::Duplicate(id));
    assert_eq!(desk.prune(1000, 999).await, 1);
    desk.keep(event(2).keyed("a", None)).await;
}

pub(crate) async fn a_key_with_expiry_is_remembered_even_without_its_event<S: Subject>(desk: Desk<S>) {
    let id = desk.keep(event(0).keyed("a", Some(10))).await;
    assert_eq!(desk.prune(9, 5).await, 1);
    assert_eq!(desk.record(event(9).keyed("a", None)).await, Recorded::Duplicate(id));
    desk.prune(10, 5).await;
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
            (_, Recorded::Looped(_)) => unreachable!("it has passed no ledger"),
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
    // It is kept sooner or later.
    for _ in 0..1000 {
        if desk.due(0).await == [delivery(named(0, 0), 1)] {
            return;
        }
        tokio::time::sleep(Duration::from_millis(5)).await;
    }
    panic!("it is never kept");
}

pub(crate) async fn an_event_that_has_passed_the_ledger_is_not_kept_again<S: Subject>(mut desk: Desk<S>) {
    let first = desk.keep(event(0).to("app").keyed("a", None)).await;
    let (second, unknown) = (desk.keep(event(1)).await, named(9, 9));
    let back = |passed: &[EventId]| NewEvent { passed: passed.to_vec(), ..event(2).to("app") };
    let cases: [(&[EventId], Recorded); 5] = [
        (&[first], Recorded::Looped(first)),
        (&[unknown, first], Recorded::Looped(first)),
        (&[second, first], Recorded::Looped(second)),
        (&[first, unknown], Recorded::Looped(first)),
        (&[unknown], Recorded::Stored),
    ];
    for (passed, expected) in cases {
        assert_eq!(desk.ledger().record(back(passed)).await, Ok(expected), "{passed:?}");
    }
    assert_eq!(desk.everything().await.len(), 3, "that of the last case alone");
    // It is no duplicate, and takes no key.
    let keyed = |key: &str| back(&[first]).keyed(key, None);
    for key in ["a", "b"] {
        assert_eq!(desk.ledger().record(keyed(key)).await, Ok(Recorded::Looped(first)));
    }
    assert_eq!(desk.ledger().record(event(3).keyed("b", None)).await, Ok(Recorded::Stored));
    desk.crash().await;
    assert_eq!(desk.ledger().record(back(&[first])).await, Ok(Recorded::Looped(first)));
}

pub(crate) async fn what_is_handed_over_is_kept_in_its_order_and_each_is_answered<S: Subject>(desk: Desk<S>) {
    let kept = desk.keep(event(5).keyed("a", None).in_line("app", "line")).await;
    // They came in before that one, are known by their ids, and come in another order than that of their ids.
    let in_line = |seconds| event(seconds).in_line("app", "line");
    let (first, second, third) = (in_line(3), in_line(1), in_line(2));
    let batch = vec![
        first.clone(),
        event(1).numbered(1).keyed("a", None),
        second.clone().keyed("b", Some(60)),
        event(2).numbered(1).keyed("b", Some(60)),
        NewEvent { passed: vec![kept], ..event(4) },
        first.clone(),
        third.clone().parked("it is not JSON"),
    ];
    let answers = desk.ledger().hand_over(batch).await.unwrap();
    let expected = [
        Recorded::Stored,
        Recorded::Duplicate(kept),
        Recorded::Stored,
        Recorded::Duplicate(second.id),
        Recorded::Looped(kept),
        Recorded::Stored,
        Recorded::Stored,
    ];
    assert_eq!(answers, expected.map(Ok));
    assert_eq!(desk.matching(EventFilter::default()).await, [second.id, third.id, first.id, kept]);
    assert_eq!(desk.event(third.id).await.record.parked.as_deref(), Some("it is not JSON"));
    for id in [kept, first.id, second.id, third.id] {
        assert_eq!(desk.end(5, Verdict::Delivered).await, delivery(id, 1), "the line is that of handing over");
    }
    assert_eq!(desk.ledger().hand_over(Vec::new()).await, Ok(Vec::new()));
}

pub(crate) async fn what_is_handed_over_twice_is_kept_once<S: Subject>(mut desk: Desk<S>) {
    let batch: Vec<_> = (0..300).map(|number| event(number).keyed(&number.to_string(), Some(60)).to("app")).collect();
    let (one, other) = (desk.ledger(), desk.second());
    let (first, second) = tokio::join!(one.hand_over(batch.clone()), other.hand_over(batch.clone()));
    assert_eq!((first, second), (Ok(vec![Ok(Recorded::Stored); 300]), Ok(vec![Ok(Recorded::Stored); 300])));
    drop((one, other));
    let before = desk.everything().await;
    desk.crash().await;
    assert_eq!(desk.ledger().hand_over(batch.clone()).await, Ok(vec![Ok(Recorded::Stored); 300]));
    assert_eq!(desk.everything().await, before);
    assert_eq!(before.iter().map(|detail| detail.deliveries.len()).sum::<usize>(), 300);
}
