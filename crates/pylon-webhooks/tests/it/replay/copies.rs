use super::*;

fn guards() -> [ReplayGuard; 2] {
    [
        ReplayGuard::exact_request(MemoryReplayStore::new(10)),
        ReplayGuard::body_hash(Duration::from_secs(60), Moody::default()),
    ]
}

#[test]
fn of_one_that_is_being_handled_are_turned_away_and_are_duplicates_once_it_was() {
    for held in guards().map(Held::new) {
        let ((), lines) = run(async {
            let first = held.begin().await;
            assert_eq!(held.copy().await, Outcome::Unavailable);
            assert_eq!(held.copy().await, Outcome::Unavailable);
            held.go.notify_one();
            assert_eq!(first.await.unwrap(), Outcome::Handled);
            assert_eq!(held.copy().await, Outcome::Duplicate);
        });
        assert_eq!(lines, [IN_FLIGHT, IN_FLIGHT, DUPLICATE]);
        assert_eq!(held.runs(), 1);
    }
}

/// Told that they are duplicates, the sender would be content, and nobody would ever handle the event.
#[test]
fn of_one_that_is_being_handled_are_handled_when_they_come_after_it_has_failed() {
    for held in guards().map(Held::new) {
        let ((), lines) = run(async {
            held.fails.store(true, Ordering::SeqCst);
            let first = held.begin().await;
            assert_eq!(held.copy().await, Outcome::Unavailable);
            held.go.notify_one();
            assert_eq!(first.await.unwrap(), Outcome::Failed);

            held.fails.store(false, Ordering::SeqCst);
            let second = held.begin().await;
            assert_eq!(held.copy().await, Outcome::Unavailable);
            held.go.notify_one();
            assert_eq!(second.await.unwrap(), Outcome::Handled);
            assert_eq!(held.copy().await, Outcome::Duplicate);
        });
        assert_eq!(lines, [IN_FLIGHT, FAILED, IN_FLIGHT, DUPLICATE]);
        assert_eq!(held.runs(), 2);
    }
}

#[test]
fn are_turned_away_until_a_failed_one_is_forgotten_and_not_only_until_it_has_failed() {
    let store = Moody::default();
    store.forget_will(Manner::Stalls);
    let held = Held::new(ReplayGuard::exact_request(store.clone()));
    let ((), lines) = run(async {
        held.fails.store(true, Ordering::SeqCst);
        let first = held.begin().await;
        held.go.notify_one();
        while store.calls() != ["first_seen", "forget"] {
            yield_now().await;
        }
        assert_eq!(held.copy().await, Outcome::Unavailable);
        assert_eq!(store.calls(), ["first_seen", "forget"], "nobody asks about what is in flight");
        first.abort();
        assert!(first.await.unwrap_err().is_cancelled());
    });
    assert_eq!(lines, [FAILED.to_owned(), IN_FLIGHT.into(), not_forgotten(DROPPED)]);
}

#[test]
fn hold_up_nothing_but_each_other() {
    let held = Held::new(ReplayGuard::exact_request(MemoryReplayStore::new(10)));
    let ((), lines) = run(async {
        let first = held.begin().await;
        assert_eq!(deliver(&held.endpoint, OTHER_BODY, None).await, Outcome::Handled);
        assert_eq!(deliver(&held.endpoint, OTHER_BODY, Some(NOW)).await, Outcome::Handled);
        held.go.notify_one();
        assert_eq!(first.await.unwrap(), Outcome::Handled);
    });
    assert_eq!((held.runs(), lines), (3, vec![]));
}

#[test]
fn are_none_where_there_is_nothing_to_go_by() {
    let guard = ReplayGuard::pointer("/no_such_id", None, MemoryReplayStore::new(10)).unwrap();
    let held = Held::new(guard);
    let ((), lines) = run(async {
        let (first, second) = (held.begin().await, held.begin().await);
        // Both wait by now, so that both are woken.
        held.go.notify_waiters();
        assert_eq!(first.await.unwrap(), Outcome::Handled);
        assert_eq!(second.await.unwrap(), Outcome::Handled);
    });
    assert_eq!(held.runs(), 2);
    let warning = "WARN message=the replay guard finds no key in events of this name: their duplicates are handled \
                   again event=\"issue_new\"";
    assert_eq!(lines, [warning], "once for the name");
}

#[test]
fn are_known_by_every_endpoint_of_a_guard_and_by_none_of_another() {
    let store = Moody::default();
    let guard = ReplayGuard::exact_request(store.clone());
    let held = Held::new(guard.clone());
    let time = Time::new();
    let (same, _) = time.endpoint(guard);
    let (another, _) = time.endpoint(ReplayGuard::exact_request(store));
    let (alone, _) = time.endpoint(ReplayGuard::exact_request(Moody::default()));
    let ((), lines) = run(async {
        let first = held.begin().await;
        assert_eq!(deliver(&same, BODY, None).await, Outcome::Unavailable);
        assert_eq!(deliver(&another, BODY, None).await, Outcome::Duplicate, "all that it can ask is the store");
        assert_eq!(deliver(&alone, BODY, None).await, Outcome::Handled);
        held.go.notify_one();
        assert_eq!(first.await.unwrap(), Outcome::Handled);
        assert_eq!(deliver(&same, BODY, None).await, Outcome::Duplicate);
    });
    assert_eq!(lines, [IN_FLIGHT, DUPLICATE, DUPLICATE]);
}
