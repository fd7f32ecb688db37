use super::*;

fn delivery(path: &str) -> Request<Pieces<io::Error>> {
    http_request("POST", path, &signed(BODY.as_bytes()), Pieces::cut(BODY.as_bytes(), 1))
}

#[test]
fn take_a_handler_or_an_endpoint_of_any_result() {
    let returning = || {
        let mut handler = WebhookHandler::returning(SECRET).unwrap();
        handler.on_any(|event: WebhookEvent| Ok::<_, io::Error>(event.event_type().to_owned()));
        handler
    };
    let ((), _) = run(async {
        let apps: [Router; 6] = [
            webhook_router(verifying(), "/webhook"),
            webhook_router(Endpoint::new(verifying()), "/webhook"),
            webhook_router(returning(), "/webhook"),
            webhook_router(Endpoint::new(returning()), "/webhook"),
            Router::new().route("/webhook", webhook_route(returning())),
            Router::new().route_service("/webhook", WebhookService::new(returning())),
        ];
        for app in apps {
            assert_eq!(ask_axum(app, delivery("/webhook")).await, Answer::of(Outcome::Handled));
        }
        let resources = [
            webhook_resource(verifying(), "/webhook"),
            webhook_resource(Endpoint::new(verifying()), "/webhook"),
            webhook_resource(returning(), "/webhook"),
            webhook_resource(Endpoint::new(returning()), "/webhook"),
        ];
        for resource in resources {
            let configure: Configure = Box::new(|config| _ = config.service(resource));
            let body = Pieces::cut(BODY.as_bytes(), 1);
            let answer = ask_actix(configure, "POST", "/webhook", &signed(BODY.as_bytes()), body).await;
            assert_eq!(answer, Answer::of(Outcome::Handled));
        }
        let mut service = WebhookService::new(returning());
        let response = service.call(delivery("/wherever")).await.unwrap();
        assert_eq!(Answer::of_http(response).await, Answer::of(Outcome::Handled));
    });
}

#[test]
fn stand_beside_an_apps_own_and_take_its_state() {
    async fn health(State(word): State<&'static str>) -> &'static str {
        word
    }
    let app = Router::new().route("/health", get(health)).merge(webhook_router(verifying(), "/webhook"));
    let mut app: Router = app.with_state("well");
    let ((), _) = run(async {
        assert_eq!(ask_axum(app.clone(), delivery("/webhook")).await.status, 200);
        let other = |path: &str| Request::get(path).body(AxumBody::empty()).unwrap();
        let health = app.call(other("/health")).await.unwrap().into_body().collect().await.unwrap();
        assert_eq!(health.to_bytes(), "well");
        for path in ["/webhook/", "/webhook/x", "/Webhook", "/"] {
            assert_eq!(app.call(other(path)).await.unwrap().status(), 404, "{path}");
        }
    });
}

#[test]
fn of_one_endpoint_share_its_replay_guard() {
    let guard = || ReplayGuard::exact_request(MemoryReplayStore::new(10));
    let ((), _) = run(async {
        let endpoint = Endpoint::builder(verifying()).replay_guard(guard()).build();
        let app = webhook_router(endpoint.clone(), "/a").merge(webhook_router(endpoint.clone(), "/b"));
        assert_eq!(ask_axum(app.clone(), delivery("/a")).await, Answer::of(Outcome::Handled));
        assert_eq!(ask_axum(app, delivery("/b")).await, Answer::of(Outcome::Duplicate));
        assert_eq!(ask_tower(WebhookService::new(endpoint), delivery("/")).await, Answer::of(Outcome::Duplicate));

        let endpoint = Endpoint::builder(verifying()).replay_guard(guard()).build();
        for (path, outcome) in [("/a", Outcome::Handled), ("/b", Outcome::Duplicate), ("/a", Outcome::Duplicate)] {
            let [one, other] = ["/a", "/b"].map(|path| webhook_resource(endpoint.clone(), path));
            let configure: Configure = Box::new(|config| _ = config.service(one).service(other));
            let body = Pieces::cut(BODY.as_bytes(), 1);
            assert_eq!(ask_actix(configure, "POST", path, &signed(BODY.as_bytes()), body).await, Answer::of(outcome));
        }
    });
}

#[test]
fn answer_that_they_are_unavailable_once_their_endpoint_is_closed() {
    let endpoint = Endpoint::new(verifying());
    let app: Router = webhook_router(endpoint.clone(), "/webhook");
    let ((), _) = run(async {
        assert_eq!(ask_axum(app.clone(), delivery("/webhook")).await, Answer::of(Outcome::Handled));
        endpoint.close().await;
        assert_eq!(ask_axum(app, delivery("/webhook")).await, Answer::of(Outcome::Unavailable));
    });
}

#[test]
fn a_signature_header_of_two_values_is_refused_as_two() {
    let mut headers = signed(BODY.as_bytes());
    headers.push(headers.last().unwrap().clone());
    for adapter in ADAPTERS {
        let (answer, lines) =
            run(adapter.ask(&Seen::default(), "POST", &headers, &[Some(Bytes::from_static(BODY.as_bytes()))]));
        assert_eq!(answer, Answer::of(Outcome::Unauthorized), "{adapter:?}");
        assert!(lines[0].contains("found the header more than once"), "{adapter:?}: {lines:?}");
    }
}

#[test]
fn every_outcome_is_a_response_of_each_framework() {
    for &outcome in Outcome::ALL {
        let ((tower, axum, actix), _) = run(async {
            let tower = Answer::of_http(Response::<http_body_util::Full<Bytes>>::from(outcome)).await;
            let axum = Answer::of_http(axum::response::IntoResponse::into_response(outcome)).await;
            let actix = outcome.error_response();
            let (status, headers) = (actix.status().as_u16(), actix.headers().clone());
            let body = actix_web::body::to_bytes(actix.into_body()).await.unwrap();
            let actix = Answer::new(status, &body, |name| Some(headers.get(name)?.to_str().unwrap()));
            (tower, axum, actix)
        });
        for answer in [tower, axum, actix] {
            assert_eq!(answer, Answer::of(outcome));
        }
        assert_eq!(outcome.status_code().as_u16(), outcome.status());
    }
}

#[test]
fn a_service_can_be_copied_and_printed_without_a_secret() {
    let service = WebhookService::new(verifying());
    let printed = format!("{:?}", service.clone());
    assert!(printed.contains("1 [redacted]") && !printed.contains(SECRET), "{printed}");
}
