use super::*;

#[test]
fn a_timestamped_delivery_is_a_duplicate_until_its_timestamp_is_refused() {
    for timestamp in [NOW - 300, NOW - 1, NOW, NOW + 1, NOW + 300] {
        let time = Time::new();
        let (endpoint, runs) = time.endpoint(ReplayGuard::exact_request(time.store()));
        assert_eq!(delivered(&endpoint, BODY, Some(timestamp)), Outcome::Handled);
        for second in NOW..=timestamp + 300 {
            time.set(second);
            assert_eq!(delivered(&endpoint, BODY, Some(timestamp)), Outcome::Duplicate, "{timestamp} at {second}");
        }
        for second in [timestamp + 301, timestamp + 302, timestamp + 100_000] {
            time.set(second);
            assert_eq!(delivered(&endpoint, BODY, Some(timestamp)), Outcome::Unauthorized, "{timestamp} at {second}");
        }
        assert_eq!(runs.load(Ordering::SeqCst), 1);
    }
}

#[test]
fn a_key_is_let_go_in_the_second_in_which_its_timestamp_is_refused() {
    let time = Time::new();
    let store = Moody::default();
    let (endpoint, _) = time.endpoint(ReplayGuard::exact_request(store.clone()));
    let _ = delivered(&endpoint, BODY, Some(NOW));
    let (_, key, expires) = store.0.calls.lock().unwrap()[0].clone();
    let memory = MemoryReplayStore::new(1);
    assert!(is_first_at(&memory, &key, expires, NOW));
    assert!(!is_first_at(&memory, &key, expires, NOW + 300));
    assert!(is_first_at(&memory, &key, expires, NOW + 301));
}

#[test]
fn a_delivery_without_a_timestamp_is_a_duplicate_for_ever() {
    let time = Time::new();
    let (endpoint, runs) = time.endpoint(ReplayGuard::exact_request(time.store()));
    assert_eq!(delivered(&endpoint, BODY, None), Outcome::Handled);
    for second in [NOW, NOW + 301, NOW + 1_000_000_000, u64::MAX - 1, 0] {
        time.set(second);
        assert_eq!(delivered(&endpoint, BODY, None), Outcome::Duplicate, "at {second}");
    }
    assert_eq!(delivered(&endpoint, OTHER_BODY, None), Outcome::Handled);
    assert_eq!(runs.load(Ordering::SeqCst), 2);
}

#[test]
fn exact_request_takes_a_body_that_was_signed_anew_for_a_new_delivery() {
    let time = Time::new();
    let (endpoint, runs) = time.endpoint(ReplayGuard::exact_request(time.store()));
    for timestamp in [None, Some(NOW), Some(NOW + 1)] {
        assert_eq!(delivered(&endpoint, BODY, timestamp), Outcome::Handled, "{timestamp:?}");
    }
    assert_eq!(runs.load(Ordering::SeqCst), 3);
}

#[test]
fn body_hash_knows_the_body_again_whatever_its_timestamp_while_the_window_lasts() {
    let time = Time::new();
    let guard = ReplayGuard::body_hash(Duration::from_secs(60), time.store());
    let (endpoint, runs) = time.endpoint(guard);
    assert_eq!(delivered(&endpoint, BODY, Some(NOW)), Outcome::Handled);
    for (second, timestamp) in [(NOW, None), (NOW + 1, Some(NOW + 1)), (NOW + 59, Some(NOW)), (NOW + 59, None)] {
        time.set(second);
        assert_eq!(delivered(&endpoint, BODY, timestamp), Outcome::Duplicate, "at {second}");
    }
    assert_eq!(delivered(&endpoint, OTHER_BODY, None), Outcome::Handled);
    time.set(NOW + 60);
    assert_eq!(delivered(&endpoint, BODY, Some(NOW)), Outcome::Handled, "a duplicate does not prolong the window");
    time.set(NOW + 119);
    assert_eq!(delivered(&endpoint, BODY, None), Outcome::Duplicate, "a new window has begun");
    assert_eq!(runs.load(Ordering::SeqCst), 3);
}

#[test]
fn a_pointer_knows_an_event_again_by_its_value() {
    let time = Time::new();
    let guard = ReplayGuard::pointer("/issue_id", Some(Duration::from_secs(60)), time.store()).unwrap();
    let (endpoint, runs) = time.endpoint(guard);
    let spaced = r#"{"issue_id":"i1","event_type":"issue.new","issue_title":"another"}"#;
    let assigned = r#"{"event_type": "issue_assigned", "issue_id": "i1"}"#;
    for (body, outcome) in [
        (BODY, Outcome::Handled),
        (BODY, Outcome::Duplicate),
        (spaced, Outcome::Duplicate),
        (assigned, Outcome::Handled),
        (OTHER_BODY, Outcome::Handled),
        // Nothing to go by: no duplicate, however often.
        ("{}", Outcome::Handled),
        ("{}", Outcome::Handled),
        (r#"{"event_type": "issue_new", "issue_id": "{{issue.id}}"}"#, Outcome::Handled),
        (r#"{"event_type": "issue_new", "issue_id": "{{issue.id}}"}"#, Outcome::Handled),
    ] {
        assert_eq!(delivered(&endpoint, body, None), outcome, "{body}");
    }
    time.set(NOW + 60);
    assert_eq!(delivered(&endpoint, BODY, None), Outcome::Handled);
    assert_eq!(runs.load(Ordering::SeqCst), 8);
}

#[test]
fn what_is_refused_is_not_remembered_and_the_store_is_not_asked() {
    let time = Time::new();
    let store = Moody::default();
    let (endpoint, _) = time.endpoint(ReplayGuard::exact_request(store.clone()));
    let headers = [("X-Pylon-Signature", "0".repeat(64))];
    let admitted = endpoint.admit("POST", headers).unwrap();
    assert_eq!(run(endpoint.respond(admitted, BODY.as_bytes())).0, Outcome::Unauthorized);
    assert_eq!(delivered(&endpoint, BODY, Some(NOW - 301)), Outcome::Unauthorized);
    assert_eq!(delivered(&endpoint, "event=issue_new", None), Outcome::Unreadable);
    assert_eq!(store.calls(), [""; 0]);
    assert_eq!(delivered(&endpoint, BODY, None), Outcome::Handled);
    assert_eq!(store.calls(), ["first_seen"]);
}

#[test]
fn a_delivery_whose_handler_failed_or_panicked_may_come_again() {
    let time = Time::new();
    let mut handler = time.handler(300);
    let runs = Arc::new(AtomicUsize::new(0));
    let (counted, counted_later) = (Arc::clone(&runs), Arc::clone(&runs));
    handler.on_any(move |_| match counted.fetch_add(1, Ordering::SeqCst) {
        0 => Err("the database is gone"),
        1 => panic!("it panics on purpose"),
        _ => Ok(()),
    });
    handler.on_any_async(move |_| {
        let run = counted_later.load(Ordering::SeqCst);
        async move {
            assert_ne!(run, 3, "an async handler panics on purpose");
            if run == 4 { Err("the other database is gone") } else { Ok(()) }
        }
    });
    let store = Moody::default();
    let endpoint = Endpoint::builder(handler).replay_guard(ReplayGuard::exact_request(store.clone())).build();
    for _ in 0..4 {
        assert_eq!(delivered(&endpoint, BODY, Some(NOW)), Outcome::Failed);
    }
    assert_eq!(delivered(&endpoint, BODY, Some(NOW)), Outcome::Handled);
    assert_eq!(delivered(&endpoint, BODY, Some(NOW)), Outcome::Duplicate);
    assert_eq!(runs.load(Ordering::SeqCst), 5);
    let failed = ["first_seen", "forget"].repeat(4);
    assert_eq!(store.calls(), [failed, vec!["first_seen"; 2]].concat());
}

/// It may have remembered, and the sender will come again.
#[test]
fn a_store_that_fails_to_remember_fails_the_delivery_and_is_asked_to_forget_it() {
    let time = Time::new();
    let store = Moody::default();
    let (endpoint, runs) = time.endpoint(ReplayGuard::exact_request(store.clone()));
    store.first_seen_will(Manner::Fails);
    let (outcome, lines) = run(deliver(&endpoint, BODY, None));
    assert_eq!((outcome, runs.load(Ordering::SeqCst)), (Outcome::Failed, 0));
    assert_eq!(lines, [STORE_FAILED]);
    assert_eq!(store.calls(), ["first_seen", "forget"]);
    store.first_seen_will(Manner::Answers);
    assert_eq!(delivered(&endpoint, BODY, None), Outcome::Handled);
    assert_eq!(runs.load(Ordering::SeqCst), 1);
}

#[test]
fn a_store_that_fails_altogether_fails_the_delivery_and_both_are_told_of() {
    let time = Time::new();
    let store = Moody::default();
    let (endpoint, runs) = time.endpoint(ReplayGuard::exact_request(store.clone()));
    store.first_seen_will(Manner::Fails);
    store.forget_will(Manner::Fails);
    for _ in 0..2 {
        let (outcome, lines) = run(deliver(&endpoint, BODY, None));
        assert_eq!(outcome, Outcome::Failed, "the second time as well: it is no longer in flight");
        assert_eq!(lines, [not_forgotten("the store is gone"), STORE_FAILED.into()]);
    }
    assert_eq!(runs.load(Ordering::SeqCst), 0);
}

const STORE_FAILED: &str =
    "ERROR message=the replay store failed: the delivery was not handled reason=\"the store is gone\"";

#[test]
fn a_store_that_fails_to_forget_is_told_of_in_the_log() {
    let time = Time::new();
    let mut handler = time.handler(300);
    handler.on_any(|_| Err::<(), _>("the database is gone"));
    let store = Moody::default();
    store.forget_will(Manner::Fails);
    let endpoint = Endpoint::builder(handler).replay_guard(ReplayGuard::exact_request(store)).build();
    let (outcome, lines) = run(deliver(&endpoint, BODY, None));
    assert_eq!(outcome, Outcome::Failed);
    assert_eq!(lines, [FAILED.to_owned(), not_forgotten("the store is gone")]);
    assert_eq!(delivered(&endpoint, BODY, None), Outcome::Duplicate, "as the log foretold");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 4)]
async fn of_64_that_come_at_once_one_is_handled_and_the_others_are_copies() {
    let time = Time::new();
    let stores: [fn(&Time) -> ReplayGuard; 2] =
        [|time| ReplayGuard::exact_request(time.store()), |_| ReplayGuard::exact_request(Moody::default())];
    for guard in stores {
        let (endpoint, runs) = time.endpoint(guard(&time));
        let barrier = Arc::new(Barrier::new(64));
        let tasks: Vec<_> = (0..64)
            .map(|_| {
                let (endpoint, barrier) = (endpoint.clone(), Arc::clone(&barrier));
                tokio::spawn(async move {
                    barrier.wait().await;
                    deliver(&endpoint, BODY, Some(NOW)).await
                })
            })
            .collect();
        let mut outcomes = Vec::new();
        for task in tasks {
            outcomes.push(task.await.unwrap());
        }
        let handled = outcomes.iter().filter(|&&outcome| outcome == Outcome::Handled).count();
        // By then it is being handled, or has been.
        let is_copy = |outcome: &&Outcome| matches!(outcome, Outcome::Unavailable | Outcome::Duplicate);
        let copies = outcomes.iter().filter(is_copy).count();
        assert_eq!((handled, copies, runs.load(Ordering::SeqCst)), (1, 63, 1));
        assert_eq!(deliver(&endpoint, BODY, Some(NOW)).await, Outcome::Duplicate);
    }
}

#[test]
fn what_one_guard_has_seen_another_with_a_store_of_its_own_has_not() {
    let time = Time::new();
    let (one, _) = time.endpoint(ReplayGuard::exact_request(time.store()));
    let (other, _) = time.endpoint(ReplayGuard::exact_request(time.store()));
    let without = Endpoint::new(time.handler(300));
    assert_eq!(delivered(&one, BODY, None), Outcome::Handled);
    assert_eq!(delivered(&other, BODY, None), Outcome::Handled);
    for _ in 0..2 {
        assert_eq!(delivered(&without, BODY, None), Outcome::Handled);
    }
}

#[test]
fn copies_of_a_guard_or_of_an_endpoint_share_what_they_have_seen() {
    let time = Time::new();
    let guard = ReplayGuard::exact_request(time.store());
    let (one, _) = time.endpoint(guard.clone());
    let (other, _) = time.endpoint(guard);
    assert_eq!(delivered(&one, BODY, None), Outcome::Handled);
    assert_eq!(delivered(&other, BODY, None), Outcome::Duplicate);
    assert_eq!(delivered(&one.clone(), BODY, None), Outcome::Duplicate);
}

#[test]
fn guards_of_different_rules_do_not_get_into_each_others_way_in_one_store() {
    let time = Time::new();
    let store = Moody::default();
    let guards = [
        ReplayGuard::exact_request(store.clone()),
        ReplayGuard::body_hash(Duration::from_secs(60), store.clone()),
        ReplayGuard::pointer("/issue_id", None, store.clone()).unwrap(),
        ReplayGuard::pointer("/event_type", None, store).unwrap(),
    ];
    for guard in guards {
        let rule = guard.rule().clone();
        let (endpoint, _) = time.endpoint(guard);
        assert_eq!(delivered(&endpoint, BODY, None), Outcome::Handled, "{rule:?}");
        assert_eq!(delivered(&endpoint, BODY, None), Outcome::Duplicate, "{rule:?}");
    }
}

#[test]
fn the_results_of_handlers_change_nothing() {
    let mut handler = WebhookHandler::returning(SECRET).unwrap();
    handler.on_any(|_| Ok::<_, HandlerError>("a result".to_owned()));
    let guard = ReplayGuard::exact_request(MemoryReplayStore::new(1));
    let endpoint = Endpoint::builder(handler).replay_guard(guard).build();
    let (outcomes, _) = run(async { [deliver(&endpoint, BODY, None).await, deliver(&endpoint, BODY, None).await] });
    assert_eq!(outcomes, [Outcome::Handled, Outcome::Duplicate]);
}
