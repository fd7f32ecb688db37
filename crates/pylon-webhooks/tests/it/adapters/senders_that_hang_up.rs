use super::*;

/// A handler that says when it has begun, and ends when it is let.
struct Slow {
    handler: WebhookHandler,
    begun: Arc<Notify>,
    go: Arc<Notify>,
    ended: Arc<Notify>,
}

fn slow() -> Slow {
    let mut handler = verifying();
    let notify = || Arc::new(Notify::new());
    let (begun, go, ended) = (notify(), notify(), notify());
    let (in_begun, in_go, in_ended) = (Arc::clone(&begun), Arc::clone(&go), Arc::clone(&ended));
    handler.on_async(move |_: IssueNewEvent| {
        let (begun, go, ended) = (Arc::clone(&in_begun), Arc::clone(&in_go), Arc::clone(&in_ended));
        async move {
            begun.notify_one();
            go.notified().await;
            ended.notify_one();
        }
    });
    Slow { handler, begun, go, ended }
}

/// Polls the request's future until the handler has begun, then drops it, as servers do.
async fn hangs_up<T>(request: impl Future<Output = T>, begun: &Notify) {
    tokio::select! {
        _ = request => panic!("it is answered before the handler is through"),
        () = begun.notified() => {}
    }
}

#[test]
fn a_handler_that_has_begun_runs_to_its_end() {
    let request = || http_request("POST", "/webhook", &signed(BODY.as_bytes()), Pieces::cut(BODY.as_bytes(), 2));
    let ((), lines) = run(async {
        let Slow { handler, begun, go, ended } = slow();
        hangs_up(ask_tower(WebhookService::new(handler), request()), &begun).await;
        go.notify_one();
        ended.notified().await;

        let Slow { handler, begun, go, ended } = slow();
        hangs_up(ask_axum(webhook_router(handler, "/webhook"), request()), &begun).await;
        go.notify_one();
        ended.notified().await;

        let Slow { handler, begun, go, ended } = slow();
        let resource = webhook_resource(handler, "/webhook");
        let configure: Configure = Box::new(|config| _ = config.service(resource));
        let (headers, body) = (signed(BODY.as_bytes()), Pieces::cut(BODY.as_bytes(), 2));
        hangs_up(ask_actix(configure, "POST", "/webhook", &headers, body), &begun).await;
        go.notify_one();
        ended.notified().await;
    });
    assert_eq!(lines, [""; 0]);
}

#[test]
fn a_delivery_that_was_not_whole_by_then_is_not_handled() {
    let seen = Seen::default();
    let pieces = [Bytes::from_static(BODY.as_bytes())];
    let (_, _) = run(async {
        let body = Pieces::<io::Error>::new(pieces.into_iter().map(Ok)).endless();
        let request = http_request("POST", "/webhook", &signed(BODY.as_bytes()), body);
        tokio::select! {
            biased;
            _ = ask_tower(WebhookService::new(handler(&seen)), request) => panic!("its body has not ended"),
            () = async { for _ in 0..10 { yield_now().await } } => {}
        }
    });
    assert_eq!(seen.taken(), [""; 0]);
}

#[test]
fn the_replay_guard_knows_what_came_of_it() {
    let ((), _) = run(async {
        let Slow { handler, begun, go, ended } = slow();
        let guard = ReplayGuard::exact_request(MemoryReplayStore::new(10));
        let service = WebhookService::new(Endpoint::builder(handler).replay_guard(guard).build());
        let request =
            || http_request("POST", "/", &signed(BODY.as_bytes()), Pieces::<io::Error>::cut(BODY.as_bytes(), 1));
        hangs_up(ask_tower(service.clone(), request()), &begun).await;
        assert_eq!(ask_tower(service.clone(), request()).await, Answer::of(Outcome::Unavailable));
        go.notify_one();
        ended.notified().await;
        assert_eq!(ask_tower(service, request()).await, Answer::of(Outcome::Duplicate));
    });
}

fn poll_once<T>(future: Pin<&mut (impl Future<Output = T> + ?Sized)>) -> Poll<T> {
    future.poll(&mut Context::from_waker(Waker::noop()))
}

/// A request to a route of each framework that has the endpoint.
fn requests(endpoint: &Endpoint) -> [Pin<Box<dyn Future<Output = Answer>>>; 3] {
    let request = || http_request("POST", "/webhook", &signed(BODY.as_bytes()), Pieces::cut(BODY.as_bytes(), 2));
    let resource = webhook_resource(endpoint.clone(), "/webhook");
    let actix = async {
        let configure: Configure = Box::new(|config| _ = config.service(resource));
        let (headers, body) = (signed(BODY.as_bytes()), Pieces::cut(BODY.as_bytes(), 2));
        ask_actix(configure, "POST", "/webhook", &headers, body).await
    };
    [
        Box::pin(ask_tower(WebhookService::new(endpoint.clone()), request())),
        Box::pin(ask_axum(webhook_router(endpoint.clone(), "/webhook"), request())),
        Box::pin(actix),
    ]
}

#[test]
fn close_waits_for_the_handlers_of_what_they_sent() {
    for adapter in 0..3 {
        let ((), lines) = run(async {
            let Slow { handler, begun, go, ended } = slow();
            let endpoint = Endpoint::new(handler);
            let request = requests(&endpoint).into_iter().nth(adapter).unwrap();
            hangs_up(request, &begun).await;
            let mut closing = pin!(endpoint.close());
            for _ in 0..100 {
                assert!(poll_once(closing.as_mut()).is_pending());
                yield_now().await;
            }
            go.notify_one();
            closing.await;
            assert!(poll_once(pin!(ended.notified())).is_ready(), "it closed before the handler was through");
        });
        assert_eq!(lines, [""; 0]);
    }
}

#[test]
fn close_waits_for_all_of_them_whether_they_began_before_it_or_meanwhile() {
    let ((), lines) = run(async {
        let Slow { handler, begun, go, ended } = slow();
        let endpoint = Endpoint::new(handler);
        let [first, mut admitted, _] = requests(&endpoint);
        hangs_up(first, &begun).await;
        assert!(poll_once(admitted.as_mut()).is_pending(), "its body is not there yet");
        let mut closing = pin!(endpoint.close());
        assert!(poll_once(closing.as_mut()).is_pending());
        hangs_up(admitted, &begun).await;
        // The first of them goes on.
        go.notify_one();
        ended.notified().await;
        for _ in 0..100 {
            assert!(poll_once(closing.as_mut()).is_pending(), "the other runs");
            yield_now().await;
        }
        go.notify_one();
        closing.await;
        assert!(poll_once(pin!(ended.notified())).is_ready());
    });
    assert_eq!(lines, [""; 0]);
}

#[test]
fn what_was_admitted_before_close_is_handled_after_it() {
    let ((), lines) = run(async {
        let mut handler = verifying();
        handler.on_any(|_| ());
        let endpoint = Endpoint::new(handler);
        let mut admitted = requests(&endpoint);
        for request in &mut admitted[..2] {
            assert!(poll_once(request.as_mut()).is_pending());
        }
        endpoint.close().await;
        let [tower, axum, actix] = admitted;
        assert_eq!(tower.await, Answer::of(Outcome::Handled));
        assert_eq!(axum.await, Answer::of(Outcome::Handled));
        assert_eq!(actix.await, Answer::of(Outcome::Unavailable), "it came after");
        endpoint.close().await;
    });
    assert_eq!(lines, ["WARN message=a request was answered 503: the app is shutting down outcome=\"unavailable\""]);
}

#[test]
fn what_a_runtime_that_ends_has_left_unhandled_may_come_again_and_is_not_waited_for() {
    for adapter in 0..3 {
        let Slow { handler, begun, go, .. } = slow();
        let guard = ReplayGuard::exact_request(MemoryReplayStore::new(10));
        let endpoint = Endpoint::builder(handler).replay_guard(guard).build();
        let request = || requests(&endpoint).into_iter().nth(adapter).unwrap();
        let ((), lines) = run(hangs_up(request(), &begun));
        let cut_short = "ERROR message=a delivery was cut short: the runtime ended before its handlers did";
        assert_eq!(lines, [cut_short]);
        go.notify_one();
        let (answer, lines) = run(request());
        assert_eq!((answer, lines), (Answer::of(Outcome::Handled), vec![]));
        run(endpoint.close());
    }
}

#[test]
fn a_store_that_panics_fails_the_delivery_and_is_told_of() {
    struct Panics;
    impl ReplayStore for Panics {
        fn first_seen<'a>(&'a self, _: &'a str, _: Option<u64>) -> StoreFuture<'a, bool> {
            panic!("it panics on purpose")
        }
        fn forget<'a>(&'a self, _: &'a str) -> StoreFuture<'a, ()> {
            panic!("it panics on purpose")
        }
    }
    let endpoint = Endpoint::builder(verifying()).replay_guard(ReplayGuard::exact_request(Panics)).build();
    let request = http_request("POST", "/", &signed(BODY.as_bytes()), Pieces::<io::Error>::cut(BODY.as_bytes(), 1));
    let (answer, lines) = run(ask_tower(WebhookService::new(endpoint), request));
    assert_eq!(answer, Answer::of(Outcome::Failed));
    assert_eq!(
        lines,
        [
            "ERROR message=the replay store did not forget a failed delivery: a retry of it counts as a duplicate \
             reason=\"it panicked\"",
            "ERROR message=a delivery was not handled: the replay store or the clock panicked outcome=\"failed\"",
        ]
    );
}
