use super::*;

fn poll_once<T>(future: Pin<&mut impl Future<Output = T>>) -> Poll<T> {
    future.poll(&mut Context::from_waker(Waker::noop()))
}

/// Drops a delivery when it has nothing left but to wait.
async fn give_up(endpoint: &Endpoint) {
    let mut delivery = pin!(deliver(endpoint, BODY, None));
    for _ in 0..10 {
        assert!(poll_once(delivery.as_mut()).is_pending());
    }
}

#[test]
fn a_delivery_dropped_while_its_handler_runs_may_come_again() {
    for guard in [ReplayGuard::exact_request(MemoryReplayStore::new(10)), ReplayGuard::exact_request(Moody::quick())] {
        let held = Held::new(guard);
        let ((), lines) = run(async {
            give_up(&held.endpoint).await;
            held.begun.notified().await;
            let again = held.begin().await;
            held.go.notify_one();
            assert_eq!(again.await.unwrap(), Outcome::Handled);
        });
        assert_eq!((held.runs(), lines), (2, vec![]));
    }
}

#[test]
fn a_delivery_dropped_while_the_store_remembers_it_may_come_again() {
    let store = Moody::quick();
    let (endpoint, runs) = Time::new().endpoint(ReplayGuard::exact_request(store.clone()));
    store.first_seen_will(Manner::Stalls);
    let ((), lines) = run(async {
        give_up(&endpoint).await;
        assert_eq!(store.calls(), ["first_seen", "forget"]);
        store.first_seen_will(Manner::Answers);
        assert_eq!(deliver(&endpoint, BODY, None).await, Outcome::Handled);
    });
    assert_eq!((runs.load(Ordering::SeqCst), lines), (1, vec![]));
}

#[test]
fn of_a_store_that_has_to_be_waited_for_the_log_says_that_it_did_not_forget() {
    let store = Moody::default();
    let held = Held::new(ReplayGuard::exact_request(store.clone()));
    let ((), lines) = run(async {
        give_up(&held.endpoint).await;
        assert_eq!(held.copy().await, Outcome::Duplicate, "and no longer in flight");
    });
    assert_eq!(lines, [not_forgotten(DROPPED), DUPLICATE.into()]);
    assert_eq!(store.calls(), ["first_seen", "first_seen"]);
}

#[test]
fn of_a_store_that_cannot_forget_at_once_the_log_says_why() {
    for (manner, reason) in
        [(Manner::Fails, "the store is gone"), (Manner::Stalls, DROPPED), (Manner::Panics, "it panicked")]
    {
        let store = Moody::quick();
        store.forget_will(manner);
        let held = Held::new(ReplayGuard::exact_request(store.clone()));
        let ((), lines) = run(async {
            give_up(&held.endpoint).await;
            assert_eq!(held.copy().await, Outcome::Duplicate);
        });
        assert_eq!(lines, [not_forgotten(reason), DUPLICATE.into()]);
    }
}

#[test]
fn a_delivery_dropped_while_the_store_forgets_it_is_forgotten_all_the_same() {
    let store = Moody::quick();
    let held = Held::new(ReplayGuard::exact_request(store.clone()));
    held.fails.store(true, Ordering::SeqCst);
    store.forget_will(Manner::Stalls);
    held.go.notify_one();
    let ((), lines) = run(async {
        let mut delivery = Box::pin(deliver(&held.endpoint, BODY, None));
        while store.calls() != ["first_seen", "forget"] {
            assert!(poll_once(delivery.as_mut()).is_pending());
        }
        store.forget_will(Manner::Answers);
        drop(delivery);
        assert_eq!(store.calls(), ["first_seen", "forget", "forget"]);
        held.go.notify_one();
        assert_eq!(held.copy().await, Outcome::Failed);
    });
    assert_eq!((held.runs(), lines), (2, vec![FAILED.to_owned(); 2]));
}

#[test]
fn what_was_handled_or_is_a_duplicate_is_never_forgotten() {
    let store = Moody::quick();
    let (endpoint, _) = Time::new().endpoint(ReplayGuard::exact_request(store.clone()));
    for outcome in [Outcome::Handled, Outcome::Duplicate, Outcome::Duplicate] {
        assert_eq!(delivered(&endpoint, BODY, None), outcome);
    }
    assert_eq!(store.calls(), ["first_seen"; 3]);
}

/// A panic in the store while another one unwinds would end the process, if it were let through.
#[test]
fn a_store_that_panics_ends_neither_the_process_nor_the_endpoint() {
    let store = Moody::quick();
    let (endpoint, runs) = Time::new().endpoint(ReplayGuard::exact_request(store.clone()));
    let panics = || {
        let endpoint = endpoint.clone();
        async move { tokio::spawn(async move { deliver(&endpoint, BODY, None).await }).await.unwrap_err().is_panic() }
    };
    let ((), lines) = run(async {
        store.first_seen_will(Manner::Panics);
        assert!(panics().await);
        assert_eq!(store.calls(), ["first_seen", "forget"]);
        store.forget_will(Manner::Panics);
        assert!(panics().await);
        assert!(panics().await, "the second time as well: it is no longer in flight");
        store.first_seen_will(Manner::Answers);
        assert_eq!(deliver(&endpoint, BODY, None).await, Outcome::Duplicate, "as the log foretold");
        assert_eq!(deliver(&endpoint, OTHER_BODY, None).await, Outcome::Handled);
    });
    assert_eq!(lines, [not_forgotten("it panicked"), not_forgotten("it panicked"), DUPLICATE.into()]);
    assert_eq!(runs.load(Ordering::SeqCst), 1);
}

#[test]
fn a_store_that_panics_when_it_is_asked_to_forget_hides_no_failure() {
    let store = Moody::quick();
    store.forget_will(Manner::Panics);
    let held = Held::new(ReplayGuard::exact_request(store.clone()));
    held.fails.store(true, Ordering::SeqCst);
    let ((), lines) = run(async {
        let first = held.begin().await;
        held.go.notify_one();
        assert!(first.await.unwrap_err().is_panic());
        assert_eq!(held.copy().await, Outcome::Duplicate);
    });
    assert_eq!(lines, [FAILED.to_owned(), not_forgotten("it panicked"), DUPLICATE.into()]);
}
