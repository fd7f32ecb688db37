use super::*;

#[derive(Debug, Deserialize)]
struct Numbered {
    #[expect(dead_code, reason = "never read: the body does not fit")]
    issue_title: u64,
}

impl CustomEvent for Numbered {
    const NAME: &'static str = "issue_new";
}

#[derive(Deserialize)]
struct Titled {
    #[expect(dead_code, reason = "never read: that the body fits is enough")]
    issue_title: String,
}

impl CustomEvent for Titled {
    const NAME: &'static str = "issue_new";
}

/// Notes that it ran.
#[derive(Clone, Default)]
struct Ran(Arc<AtomicBool>);

impl Ran {
    fn note(&self) {
        self.0.store(true, Ordering::SeqCst);
    }

    fn taken(&self) -> bool {
        self.0.swap(false, Ordering::SeqCst)
    }
}

#[derive(Clone)]
struct Both {
    endpoint: Endpoint,
    ran: Ran,
}

impl FromRef<Both> for Endpoint {
    fn from_ref(both: &Both) -> Self {
        both.endpoint.clone()
    }
}

/// What a function of each framework that takes such events answers to a delivery of `issue_new`, with what is logged.
fn asked<E: pylon_webhooks::EventType>(endpoint: &Endpoint, ran: &Ran) -> [(u16, Value, bool, Vec<String>); 2] {
    let body = || BODY.as_bytes();
    let state = Both { endpoint: endpoint.clone(), ran: ran.clone() };
    let in_axum = |State(both): State<Both>, _: Verified<E>| async move { both.ran.note() };
    let app = Router::new().route("/webhook", post(in_axum)).with_state(state);
    let request = http_request("POST", "/webhook", &signed(body()), Pieces::cut(body(), 2));
    let (axum, axum_lines) = run(ask_axum(app, request));
    let axum = (axum.status, axum.json, ran.taken(), axum_lines);

    let in_actix = |ran: web::Data<Ran>, _: Verified<E>| async move {
        ran.note();
        HttpResponse::Ok().finish()
    };
    let (data, ran_data) = (web::Data::new(endpoint.clone()), web::Data::new(ran.clone()));
    let configure: Configure = Box::new(move |config| {
        _ = config.app_data(data).app_data(ran_data).route("/webhook", web::post().to(in_actix))
    });
    let (actix, actix_lines) = run(ask_actix(configure, "POST", "/webhook", &signed(body()), Pieces::cut(body(), 2)));
    [axum, (actix.status, actix.json, ran.taken(), actix_lines)]
}

fn none() -> Vec<String> {
    Vec::new()
}

#[test]
fn run_for_events_of_their_type_and_answer_for_themselves() {
    let (endpoint, ran) = (Endpoint::new(verifying()), Ran::default());
    for answers in [
        asked::<WebhookEvent>(&endpoint, &ran),
        asked::<IssueNewEvent>(&endpoint, &ran),
        asked::<pylon_webhooks::BaseIssueEvent>(&endpoint, &ran),
        asked::<Titled>(&endpoint, &ran),
    ] {
        for answer in answers {
            assert_eq!(answer, (200, Value::Null, true, none()));
        }
    }
}

#[test]
fn do_not_run_for_events_of_another_type_and_the_sender_is_content() {
    let (endpoint, ran) = (Endpoint::new(verifying()), Ran::default());
    // Told of once, whoever takes none of them.
    let mut lines = vec!["INFO message=no handler takes events of this name event=\"issue_new\"".to_owned()];
    for answers in [asked::<IssueAssignedEvent>(&endpoint, &ran), asked::<UnknownEvent>(&endpoint, &ran)] {
        for answer in answers {
            assert_eq!(answer, (200, json!({"status": "ignored"}), false, std::mem::take(&mut lines)));
        }
    }
}

#[test]
fn whose_own_type_the_body_does_not_fit_do_not_run_and_the_log_says_why() {
    let (endpoint, ran) = (Endpoint::new(verifying()), Ran::default());
    for (status, json, has_run, lines) in asked::<Numbered>(&endpoint, &ran) {
        assert_eq!((status, json, has_run), (500, json!({"error": "failed"}), false));
        assert_eq!(
            lines,
            ["ERROR message=a delivery was not handled outcome=\"failed\" reason=\"the body does not fit the type at \
              line 1 column 57\""]
        );
    }
}

#[test]
fn are_refused_an_endpoint_whose_promises_they_could_not_keep() {
    let line = "ERROR message=this endpoint has a replay guard or a background, which the extractor `Verified` does \
                not support: it cannot see whether your function succeeds; register a handler instead";
    let guard = || ReplayGuard::exact_request(MemoryReplayStore::new(10));
    let builders = [
        Endpoint::builder(verifying()).replay_guard(guard()),
        #[cfg(feature = "background")]
        Endpoint::builder(verifying()).background(pylon_webhooks::Background::default()),
        #[cfg(feature = "background")]
        Endpoint::builder(verifying()).replay_guard(guard()).background(pylon_webhooks::Background::default()),
    ];
    for endpoint in builders.map(|builder| builder.build()) {
        for answer in asked::<WebhookEvent>(&endpoint, &Ran::default()) {
            assert_eq!(answer, (500, json!({"error": "failed"}), false, vec![line.to_owned()]));
        }
    }
}

#[test]
fn of_a_closed_endpoint_do_not_run() {
    let endpoint = Endpoint::new(verifying());
    run(endpoint.close());
    for (status, json, has_run, lines) in asked::<WebhookEvent>(&endpoint, &Ran::default()) {
        assert_eq!((status, json, has_run), (503, json!({"error": "unavailable"}), false));
        assert_eq!(lines.len(), 1, "{lines:?}");
    }
}

#[test]
fn tell_those_on_error_of_a_refusal() {
    let mut handler = verifying();
    let told = Arc::new(AtomicUsize::new(0));
    let counted = Arc::clone(&told);
    handler.on_error(move |_: &pylon_webhooks::Error| _ = counted.fetch_add(1, Ordering::SeqCst));
    let endpoint = Endpoint::new(handler);
    async fn function(_: Verified<WebhookEvent>) {}
    let app: Router = Router::new().route("/webhook", post(function)).with_state(endpoint);
    let request = http_request("POST", "/webhook", &[], Pieces::cut(BODY.as_bytes(), 1));
    let (answer, _) = run(ask_axum(app, request));
    assert_eq!((answer, told.load(Ordering::SeqCst)), (Answer::of(Outcome::Unauthorized), 1));
}

#[test]
fn of_actix_web_without_an_endpoint_in_the_apps_data_fail_with_a_line_in_the_log() {
    async fn function(_: Verified<WebhookEvent>) -> HttpResponse {
        HttpResponse::Ok().finish()
    }
    // The endpoint itself, not in `web::Data`, is none either: each worker would have a copy, and that is not how apps
    // share what is theirs.
    for data in [None, Some(Endpoint::new(verifying()))] {
        let configure: Configure = Box::new(|config| {
            if let Some(data) = data {
                config.app_data(data);
            }
            config.route("/webhook", web::post().to(function));
        });
        let (headers, body) = (signed(BODY.as_bytes()), Pieces::cut(BODY.as_bytes(), 1));
        let (answer, lines) = run(ask_actix(configure, "POST", "/webhook", &headers, body));
        assert_eq!(answer, Answer::of(Outcome::Failed));
        assert_eq!(
            lines,
            ["ERROR message=the app's data has no `Endpoint`: call \
              `App::app_data(web::Data::new(endpoint.clone()))`"]
        );
    }
}

#[test]
fn may_take_the_endpoint_itself_as_their_apps_state() {
    async fn function(event: Verified<IssueNewEvent>) -> String {
        event.issue_title().into_owned()
    }
    let mut app: Router = Router::new().route("/webhook", post(function)).with_state(Endpoint::new(verifying()));
    let request = http_request("POST", "/webhook", &signed(BODY.as_bytes()), AxumBody::from(BODY));
    let (body, _) = run(async { app.call(request).await.unwrap().into_body().collect().await.unwrap().to_bytes() });
    assert_eq!(body, "Export fails");
}

#[test]
fn that_answer_to_post_alone_leave_other_methods_to_their_framework() {
    async fn function(_: Verified<WebhookEvent>) {}
    let mut app: Router = Router::new().route("/webhook", post(function)).with_state(Endpoint::new(verifying()));
    let request = Request::builder().method(Method::GET).uri("/webhook").body(AxumBody::empty()).unwrap();
    let (response, _) = run(app.call(request));
    let response = response.unwrap();
    assert_eq!((response.status().as_u16(), &response.headers()["allow"]), (405, &HeaderValue::from_static("POST")));
}
