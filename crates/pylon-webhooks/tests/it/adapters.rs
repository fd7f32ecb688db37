//! Each adapter: what it answers to the requests of `vectors/requests.json` and to senders that break off, and what it
//! makes of an endpoint that it cannot keep the word of.

use crate::log::logged;
use actix_web::dev::Payload as ActixPayload;
use actix_web::error::PayloadError;
use actix_web::http::header::{HeaderName as ActixName, HeaderValue as ActixValue};
use actix_web::test::{TestRequest, init_service, read_body, try_call_service};
use actix_web::{App, HttpResponse, ResponseError, web};
use axum::Router;
use axum::body::Body as AxumBody;
use axum::extract::{FromRef, State};
use axum::routing::{any, get, post};
use bytes::Bytes;
use http::{HeaderName, HeaderValue, Method, Request, Response};
use http_body::{Body, Frame, SizeHint};
use http_body_util::{BodyDataStream, BodyExt};
use pylon_webhooks::actix_web::webhook_resource;
use pylon_webhooks::axum::{webhook_route, webhook_router};
use pylon_webhooks::testing::WebhookRequest;
use pylon_webhooks::tower::WebhookService;
use pylon_webhooks::{
    CustomEvent, Endpoint, EventReader, IssueAssignedEvent, IssueNewEvent, MemoryReplayStore, Outcome, ReplayGuard,
    ReplayStore, RequestFault, Secret, StoreFuture, UnknownEvent, Verified, Verifier, WebhookEvent, WebhookHandler,
};
use serde::Deserialize;
use serde_json::{Value, json};
use std::collections::VecDeque;
use std::future::{Future, poll_fn};
use std::io;
use std::pin::{Pin, pin};
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use std::sync::{Arc, Mutex};
use std::task::{Context, Poll, Waker};
use tokio::sync::Notify;
use tokio::task::yield_now;
use tower_service::Service;

const SECRET: &str = "test-secret";
const NOW: u64 = 1_700_000_000;
const LIMIT: usize = 1024 * 1024;
const BODY: &str = r#"{"event_type": "issue_new", "issue_title": "Export fails"}"#;

/// The names of handled events, in order.
#[derive(Clone, Default)]
struct Seen(Arc<Mutex<Vec<String>>>);

impl Seen {
    fn note(&self, event: &WebhookEvent) {
        self.0.lock().unwrap().push(event.event_type().to_owned());
    }

    fn taken(&self) -> Vec<String> {
        std::mem::take(&mut self.0.lock().unwrap())
    }
}

fn verifying() -> WebhookHandler {
    let verifier = Verifier::builder().secret(SECRET).clock(|| NOW).build().unwrap();
    WebhookHandler::from_parts(verifier, EventReader::new())
}

/// A handler as the table asks for it.
fn handler(seen: &Seen) -> WebhookHandler {
    let mut handler = verifying();
    let seen = seen.clone();
    handler.on_any(move |event: WebhookEvent| seen.note(&event));
    handler.on_names(["raise_value_error"], |_| Err::<(), _>(io::Error::from(io::ErrorKind::InvalidInput)));
    handler.on_names_async(["raise_error"], |event| async move { assert_eq!(event.event_type(), "", "on purpose") });
    handler
}

/// A function that takes events, as the table asks for it.
fn handle(seen: &Seen, event: &WebhookEvent) -> Outcome {
    seen.note(event);
    if event.event_type().starts_with("raise_") { Outcome::Failed } else { Outcome::Handled }
}

#[derive(Clone)]
struct AppState {
    endpoint: Endpoint,
    seen: Seen,
}

impl FromRef<AppState> for Endpoint {
    fn from_ref(app: &AppState) -> Self {
        app.endpoint.clone()
    }
}

/// A body that comes in pieces, each after the reader has waited for it.
struct Pieces<E> {
    pieces: VecDeque<Result<Bytes, E>>,
    has_waited: bool,
    hint: SizeHint,
    /// It never ends: the sender says nothing more and does not hang up.
    is_endless: bool,
}

impl<E> Pieces<E> {
    fn new(pieces: impl IntoIterator<Item = Result<Bytes, E>>) -> Self {
        Self { pieces: pieces.into_iter().collect(), has_waited: false, hint: SizeHint::default(), is_endless: false }
    }

    fn cut(body: &[u8], count: usize) -> Self {
        let pieces = body.chunks(body.len().div_ceil(count).max(1));
        Self::new(pieces.map(|piece| Ok(Bytes::copy_from_slice(piece))))
    }

    fn endless(mut self) -> Self {
        self.is_endless = true;
        self
    }
}

impl<E: Unpin> Body for Pieces<E> {
    type Data = Bytes;
    type Error = E;

    fn poll_frame(self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<Option<Result<Frame<Bytes>, E>>> {
        let this = self.get_mut();
        this.has_waited = !this.has_waited;
        if this.has_waited {
            context.waker().wake_by_ref();
            return Poll::Pending;
        }
        match this.pieces.pop_front() {
            None if this.is_endless => Poll::Pending,
            piece => Poll::Ready(piece.map(|piece| piece.map(Frame::data))),
        }
    }

    fn size_hint(&self) -> SizeHint {
        self.hint
    }
}

/// Runs it on a runtime of this thread that actix-web takes as well, so that what it logs is seen.
///
/// Nothing here waits for anything outside: what has not ended after so many turns never will, and shall fail and not hang.
fn run<T>(test: impl Future<Output = T>) -> (T, Vec<String>) {
    let bounded = async {
        let mut test = pin!(test);
        for _ in 0..100_000 {
            if let Poll::Ready(result) = poll_fn(|context| Poll::Ready(test.as_mut().poll(context))).await {
                return result;
            }
            yield_now().await;
        }
        panic!("it waits for what never comes");
    };
    logged(|| actix_web::rt::System::new().block_on(bounded))
}

/// What was answered.
#[derive(Debug, PartialEq)]
struct Answer {
    status: u16,
    json: Value,
    allow: Option<String>,
    content_type: Option<String>,
}

impl Answer {
    fn of(outcome: Outcome) -> Self {
        let header =
            |name| outcome.headers().iter().find(|(found, _)| *found == name).map(|(_, value)| value.to_string());
        Self {
            status: outcome.status(),
            json: serde_json::from_str(outcome.body()).unwrap(),
            allow: header("allow"),
            content_type: header("content-type"),
        }
    }

    fn new<'a>(status: u16, body: &[u8], header: impl Fn(&str) -> Option<&'a str>) -> Self {
        let json = if body.is_empty() { Value::Null } else { serde_json::from_slice(body).unwrap() };
        let header = |name| header(name).map(str::to_owned);
        Self { status, json, allow: header("allow"), content_type: header("content-type") }
    }

    async fn of_http<B: Body<Error: std::fmt::Debug>>(response: Response<B>) -> Self {
        let (head, body) = response.into_parts();
        let body = body.collect().await.unwrap().to_bytes();
        Self::new(head.status.as_u16(), &body, |name| Some(head.headers.get(name)?.to_str().unwrap()))
    }
}

fn http_request<B>(method: &str, path: &str, headers: &[(String, Vec<u8>)], body: B) -> Request<B> {
    let mut request = Request::builder().method(method).uri(path).body(body).unwrap();
    for (name, value) in headers {
        let (name, value) = (HeaderName::try_from(name).unwrap(), HeaderValue::from_bytes(value).unwrap());
        request.headers_mut().append(name, value);
    }
    request
}

async fn ask_tower<B>(mut service: WebhookService, request: Request<B>) -> Answer
where
    B: Body<Data: Send, Error: Into<Box<dyn std::error::Error + Send + Sync>>> + Send + 'static,
{
    Answer::of_http(service.call(request).await.unwrap()).await
}

async fn ask_axum(mut app: Router, request: Request<Pieces<io::Error>>) -> Answer {
    Answer::of_http(app.call(request.map(AxumBody::new)).await.unwrap()).await
}

type Configure = Box<dyn FnOnce(&mut web::ServiceConfig)>;

async fn ask_actix(
    configure: Configure,
    method: &str,
    path: &str,
    headers: &[(String, Vec<u8>)],
    body: Pieces<PayloadError>,
) -> Answer {
    let app = init_service(App::new().configure(configure)).await;
    let mut request = TestRequest::with_uri(path).method(method.parse().unwrap());
    for (name, value) in headers {
        let name: ActixName = name.parse().unwrap();
        request = request.append_header((name, ActixValue::from_bytes(value).unwrap()));
    }
    let stream = ActixPayload::Stream { payload: Box::pin(BodyDataStream::new(body)) as _ };
    let (request, _) = request.to_request().replace_payload(stream);
    match try_call_service(&app, request).await {
        Ok(response) => {
            let (status, headers) = (response.status().as_u16(), response.headers().clone());
            let body = read_body(response).await;
            Answer::new(status, &body, |name| Some(headers.get(name)?.to_str().unwrap()))
        }
        Err(error) => panic!("{error}: what is refused is an answer and no error of the service"),
    }
}

/// What is asked, by all adapters.
#[derive(Debug, Clone, Copy, PartialEq)]
enum Adapter {
    /// `admit` and `respond` alone.
    Endpoint,
    Tower,
    Axum,
    AxumExtractor,
    Actix,
    ActixExtractor,
}

const ADAPTERS: [Adapter; 6] =
    [Adapter::Endpoint, Adapter::Tower, Adapter::Axum, Adapter::AxumExtractor, Adapter::Actix, Adapter::ActixExtractor];

impl Adapter {
    /// Asks it; the pieces are made anew for each, with its own kind of error.
    async fn ask(self, seen: &Seen, method: &str, headers: &[(String, Vec<u8>)], pieces: &[Option<Bytes>]) -> Answer {
        let broken = || io::Error::from(io::ErrorKind::ConnectionReset);
        let body = || Pieces::new(pieces.iter().cloned().map(|piece| piece.ok_or_else(broken)));
        let incomplete = || PayloadError::Incomplete(Some(broken()));
        let actix_body = || Pieces::new(pieces.iter().cloned().map(|piece| piece.ok_or_else(incomplete)));
        let request = || http_request(method, "/webhook", headers, body());
        match self {
            Self::Endpoint => {
                let endpoint = Endpoint::new(handler(seen));
                let named = headers.iter().map(|(name, value)| (name, value));
                let outcome = match endpoint.admit(method, named) {
                    Err(outcome) => outcome,
                    Ok(admitted) => match pieces.iter().cloned().collect::<Option<Vec<_>>>() {
                        None => endpoint.refuse(RequestFault::Broken),
                        Some(pieces) => endpoint.respond(admitted, pieces.concat()).await,
                    },
                };
                Answer::of(outcome)
            }
            Self::Tower => ask_tower(WebhookService::new(handler(seen)), request()).await,
            Self::Axum => ask_axum(webhook_router(handler(seen), "/webhook"), request()).await,
            Self::AxumExtractor => {
                async fn function(State(app): State<AppState>, event: Verified<WebhookEvent>) -> Outcome {
                    handle(&app.seen, &event)
                }
                let state = AppState { endpoint: Endpoint::new(verifying()), seen: seen.clone() };
                ask_axum(Router::new().route("/webhook", any(function)).with_state(state), request()).await
            }
            Self::Actix => {
                let resource = webhook_resource(handler(seen), "/webhook");
                ask_actix(Box::new(|config| _ = config.service(resource)), method, "/webhook", headers, actix_body())
                    .await
            }
            Self::ActixExtractor => {
                async fn function(seen: web::Data<Seen>, event: Verified<WebhookEvent>) -> HttpResponse {
                    handle(&seen, &event).error_response()
                }
                let (endpoint, seen) = (web::Data::new(Endpoint::new(verifying())), web::Data::new(seen.clone()));
                let configure: Configure = Box::new(|config| {
                    _ = config.app_data(endpoint).app_data(seen).route("/webhook", web::to(function))
                });
                ask_actix(configure, method, "/webhook", headers, actix_body()).await
            }
        }
    }

    /// Whether it leaves it to its server not to send a body that answers HEAD.
    fn leaves_head_to_the_server(self) -> bool {
        matches!(self, Self::Endpoint | Self::Actix | Self::ActixExtractor)
    }
}

/// The headers of an authentic delivery.
fn signed(body: &[u8]) -> Vec<(String, Vec<u8>)> {
    let headers = WebhookRequest::new(body).signed(&Secret::new(SECRET).unwrap()).headers;
    headers.into_iter().map(|(name, value)| (name, value.into_bytes())).collect()
}

mod table {
    use super::*;

    #[derive(Deserialize)]
    struct Table {
        schema: u32,
        secret: String,
        now: u64,
        cases: Vec<Case>,
    }

    #[derive(Deserialize)]
    #[serde(deny_unknown_fields)]
    struct Case {
        id: String,
        #[serde(rename = "comment")]
        _comment: String,
        method: String,
        headers: Vec<(String, String)>,
        body: Option<String>,
        body_base64: Option<String>,
        body_repeat: Option<Vec<(String, usize)>>,
        #[serde(default)]
        transfer: Transfer,
        pieces: Option<usize>,
        expect: Expected,
    }

    #[derive(Deserialize, Default)]
    #[serde(rename_all = "lowercase")]
    enum Transfer {
        #[default]
        #[serde(skip)]
        Plain,
        Chunked,
        Declared(u64),
    }

    #[derive(Deserialize)]
    #[serde(deny_unknown_fields)]
    struct Expected {
        status: u16,
        answer: Value,
        allow: Option<String>,
        handled: Vec<String>,
    }

    fn table() -> Table {
        let path = concat!(env!("CARGO_MANIFEST_DIR"), "/../../vectors/requests.json");
        let table: Table = serde_json::from_str(&std::fs::read_to_string(path).unwrap()).unwrap();
        assert_eq!((table.schema, table.secret.as_str(), table.now), (1, SECRET, NOW));
        table
    }

    impl Case {
        fn body(&self) -> Option<Vec<u8>> {
            let repeated =
                |parts: &Vec<(String, usize)>| parts.iter().map(|(text, count)| text.repeat(*count)).collect();
            let text = self.body.clone().or_else(|| self.body_repeat.as_ref().map(repeated));
            text.map(String::into_bytes).or_else(|| self.body_base64.as_deref().map(from_base64))
        }

        /// The headers as they stand on the wire.
        fn headers(&self) -> Vec<(String, Vec<u8>)> {
            let latin_1 = |text: &str| text.chars().map(|c| u8::try_from(u32::from(c)).unwrap()).collect();
            let mut headers: Vec<_> = self.headers.iter().map(|(name, value)| (name.clone(), latin_1(value))).collect();
            let length = match self.transfer {
                Transfer::Plain => self.body().map(|body| body.len() as u64),
                Transfer::Declared(length) => Some(length),
                Transfer::Chunked => None,
            };
            headers.extend(length.map(|length| ("Content-Length".to_owned(), length.to_string().into_bytes())));
            if matches!(self.transfer, Transfer::Chunked) {
                headers.push(("Transfer-Encoding".into(), b"chunked".into()));
            }
            headers
        }

        fn pieces(&self) -> Vec<Option<Bytes>> {
            let body = self.body().unwrap_or_default();
            let pieces = Pieces::<()>::cut(&body, self.pieces.unwrap_or(1)).pieces;
            pieces.into_iter().map(Result::ok).collect()
        }
    }

    fn from_base64(text: &str) -> Vec<u8> {
        const DIGITS: &[u8] = b"ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+/";
        let digits: Vec<u32> = text
            .bytes()
            .filter_map(|digit| DIGITS.iter().position(|&known| known == digit))
            .map(|at| at as u32)
            .collect();
        let bytes = digits.chunks(4).flat_map(|digits| {
            let bits = digits.iter().zip([18, 12, 6, 0]).map(|(digit, place)| digit << place).sum::<u32>();
            bits.to_be_bytes()[1..digits.len()].to_vec()
        });
        bytes.collect()
    }

    fn answers_the_table(adapter: Adapter) {
        let (wrong, _) = run(async {
            let mut wrong = Vec::new();
            for case in table().cases {
                let seen = Seen::default();
                let found = adapter.ask(&seen, &case.method, &case.headers(), &case.pieces()).await;
                let expected = Answer {
                    status: case.expect.status,
                    json: match &case.expect.answer {
                        Value::Null if adapter.leaves_head_to_the_server() => json!({"error": "method_not_allowed"}),
                        answer => answer.clone(),
                    },
                    allow: case.expect.allow,
                    content_type: Some("application/json".into()),
                };
                let handled = seen.taken();
                if found != expected || handled != case.expect.handled {
                    wrong.push(format!("{}: {found:?}, {handled:?}", case.id));
                }
            }
            wrong
        });
        assert!(wrong.is_empty(), "{}", wrong.join("\n"));
    }

    #[test]
    fn an_endpoint_alone_answers_it() {
        answers_the_table(Adapter::Endpoint);
    }

    #[test]
    fn the_tower_service_answers_it() {
        answers_the_table(Adapter::Tower);
    }

    #[test]
    fn the_routes_of_axum_answer_it() {
        answers_the_table(Adapter::Axum);
    }

    #[test]
    fn a_function_of_axum_answers_it() {
        answers_the_table(Adapter::AxumExtractor);
    }

    #[test]
    fn the_resource_of_actix_web_answers_it() {
        answers_the_table(Adapter::Actix);
    }

    #[test]
    fn a_function_of_actix_web_answers_it() {
        answers_the_table(Adapter::ActixExtractor);
    }
}

mod bodies {
    use super::*;

    #[test]
    fn one_that_breaks_off_is_unreadable_and_runs_no_handler() {
        let body = BODY.as_bytes();
        let (half, rest) = body.split_at(20);
        let piece = |bytes: &'static [u8]| Some(Bytes::from_static(bytes));
        // Even where all of it had come: the server says that the request was not whole.
        for pieces in [
            vec![None],
            vec![piece(half), None],
            vec![piece(half), piece(rest), None],
            vec![piece(half), None, piece(rest)],
        ] {
            for adapter in ADAPTERS {
                let seen = Seen::default();
                let (answer, lines) = run(adapter.ask(&seen, "POST", &signed(body), &pieces));
                assert_eq!(answer, Answer::of(Outcome::Unreadable), "{adapter:?}");
                assert_eq!(seen.taken(), [""; 0], "{adapter:?}");
                assert_eq!(
                    lines,
                    ["WARN message=a request was refused: incomplete body: the connection broke before its end \
                      outcome=\"unreadable\""],
                    "{adapter:?}"
                );
            }
        }
    }

    #[test]
    fn one_that_ends_before_its_declared_length_is_unreadable() {
        let mut headers = signed(BODY.as_bytes());
        headers.push(("Content-Length".into(), b"1000".into()));
        for adapter in ADAPTERS {
            let seen = Seen::default();
            let (answer, _) = run(adapter.ask(&seen, "POST", &headers, &[Some(Bytes::from_static(BODY.as_bytes()))]));
            assert_eq!((answer, seen.taken()), (Answer::of(Outcome::Unreadable), vec![]), "{adapter:?}");
        }
    }

    #[test]
    fn one_of_which_nothing_comes_is_unreadable_and_no_fault_of_the_apps() {
        let mut headers = signed(BODY.as_bytes());
        headers.push(("Content-Length".into(), b"58".into()));
        for adapter in ADAPTERS {
            let seen = Seen::default();
            let (answer, lines) = run(adapter.ask(&seen, "POST", &headers, &[]));
            assert_eq!((answer, seen.taken()), (Answer::of(Outcome::Unreadable), vec![]), "{adapter:?}");
            assert_eq!(
                lines,
                [
                    "WARN message=a request was refused: incomplete body: expected 58 bytes, as the headers declare, found \
                  none; the sender hung up, or something before this had read them outcome=\"unreadable\""
                ],
                "{adapter:?}"
            );
        }
    }

    #[test]
    fn one_with_a_transfer_encoding_is_judged_by_what_is_read_and_not_by_what_is_declared() {
        let chunked = || ("Transfer-Encoding".to_owned(), b"chunked".to_vec());
        for declared in ["0", "59", "1048577"] {
            let length = || ("Content-Length".to_owned(), declared.as_bytes().to_vec());
            for both in [[chunked(), length()], [length(), chunked()]] {
                for adapter in ADAPTERS {
                    let seen = Seen::default();
                    let mut headers = signed(BODY.as_bytes());
                    headers.extend(both.clone());
                    let pieces = [Some(Bytes::from_static(BODY.as_bytes()))];
                    let (answer, _) = run(adapter.ask(&seen, "POST", &headers, &pieces));
                    assert_eq!((answer.status, seen.taken()), (200, vec!["issue_new".into()]), "{adapter:?} {both:?}");

                    let pieces = [Some(Bytes::from(vec![b' '; LIMIT])), Some(Bytes::from_static(b" "))];
                    let (answer, _) = run(adapter.ask(&seen, "POST", &headers, &pieces));
                    assert_eq!(answer, Answer::of(Outcome::TooLarge), "{adapter:?} {both:?}");
                }
            }
        }
    }

    #[test]
    fn one_byte_beyond_the_limit_is_too_large_however_it_comes() {
        let body = vec![b' '; LIMIT + 1];
        let whole = vec![Some(Bytes::from(body.clone()))];
        let byte_last = vec![Some(Bytes::from(vec![b' '; LIMIT])), Some(Bytes::from_static(b" "))];
        let then_broken = vec![Some(Bytes::from(body.clone())), None];
        for pieces in [whole, byte_last, then_broken] {
            for adapter in ADAPTERS.into_iter().filter(|adapter| *adapter != Adapter::Endpoint) {
                let (answer, _) = run(adapter.ask(&Seen::default(), "POST", &signed(&body), &pieces));
                assert_eq!(answer, Answer::of(Outcome::TooLarge), "{adapter:?}");
            }
        }
    }

    #[test]
    fn one_that_never_ends_is_given_up_at_the_limit() {
        let pieces = || std::iter::repeat_n(Bytes::from(vec![b' '; 1000]), LIMIT / 1000 + 1);
        let ((tower, actix), _) = run(async {
            let body = Pieces::<io::Error>::new(pieces().map(Ok)).endless();
            let tower = ask_tower(WebhookService::new(verifying()), http_request("POST", "/", &[], body)).await;
            let resource = webhook_resource(verifying(), "/webhook");
            let body = Pieces::new(pieces().map(Ok)).endless();
            let actix = ask_actix(Box::new(|config| _ = config.service(resource)), "POST", "/webhook", &[], body).await;
            (tower, actix)
        });
        assert_eq!((tower, actix), (Answer::of(Outcome::TooLarge), Answer::of(Outcome::TooLarge)));
    }

    #[test]
    fn one_that_knows_itself_too_large_is_not_read_where_no_header_says_so() {
        for (lower, outcome) in [
            (LIMIT as u64, Outcome::Unauthorized),
            (LIMIT as u64 + 1, Outcome::TooLarge),
            (u64::MAX, Outcome::TooLarge),
        ] {
            // Read, it would be waited for without end.
            let mut body = Pieces::<io::Error>::new([]);
            body.is_endless = outcome == Outcome::TooLarge;
            body.hint.set_lower(lower);
            let (answer, _) = run(ask_tower(WebhookService::new(verifying()), http_request("POST", "/", &[], body)));
            assert_eq!(answer, Answer::of(outcome), "{lower}");
        }
    }

    #[test]
    fn one_that_the_headers_refuse_is_not_read() {
        for (method, length) in [("GET", "5"), ("PUT", "5"), ("POST", "1048577")] {
            let headers = [("Content-Length".to_owned(), length.as_bytes().to_vec())];
            let ((tower, actix), _) = run(async {
                let body = Pieces::<io::Error>::new([]).endless();
                let tower =
                    ask_tower(WebhookService::new(verifying()), http_request(method, "/", &headers, body)).await;
                let resource = webhook_resource(verifying(), "/webhook");
                let configure: Configure = Box::new(|config| _ = config.service(resource));
                (tower, ask_actix(configure, method, "/webhook", &headers, Pieces::new([]).endless()).await)
            });
            assert_eq!(tower, actix);
            assert_eq!(tower.status, if method == "POST" { 413 } else { 405 });
        }
    }

    #[test]
    fn trailers_behind_one_change_nothing() {
        struct Trailed(Option<Bytes>, bool);
        impl Body for Trailed {
            type Data = Bytes;
            type Error = io::Error;

            fn poll_frame(
                mut self: Pin<&mut Self>,
                _: &mut Context<'_>,
            ) -> Poll<Option<Result<Frame<Bytes>, io::Error>>> {
                if let Some(body) = self.0.take() {
                    return Poll::Ready(Some(Ok(Frame::data(body))));
                }
                let was_sent = std::mem::replace(&mut self.1, true);
                Poll::Ready((!was_sent).then(|| Ok(Frame::trailers(http::HeaderMap::new()))))
            }
        }
        let body = Trailed(Some(Bytes::from_static(BODY.as_bytes())), false);
        let request = http_request("POST", "/", &signed(BODY.as_bytes()), body);
        let (answer, _) = run(ask_tower(WebhookService::new(verifying()), request));
        assert_eq!(answer, Answer::of(Outcome::Handled));
    }

    #[test]
    fn an_answer_to_head_has_none() {
        for body in [Pieces::<io::Error>::new([]), Pieces::cut(BODY.as_bytes(), 2)] {
            let request = http_request("HEAD", "/", &[], body);
            let (answer, _) = run(ask_tower(WebhookService::new(verifying()), request));
            assert_eq!(answer, Answer { json: Value::Null, ..Answer::of(Outcome::MethodNotAllowed) });
        }
    }
}

mod senders_that_hang_up {
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
            let endpoint = Endpoint::new(verifying());
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
        assert_eq!(lines, ["WARN message=a request was turned away: the app is shutting down outcome=\"unavailable\""]);
    }

    #[test]
    fn what_a_runtime_that_ends_has_left_unhandled_may_come_again_and_is_not_waited_for() {
        for adapter in 0..3 {
            let Slow { handler, begun, go, .. } = slow();
            let guard = ReplayGuard::exact_request(MemoryReplayStore::new(10));
            let endpoint = Endpoint::builder(handler).replay_guard(guard).build();
            let request = || requests(&endpoint).into_iter().nth(adapter).unwrap();
            let ((), lines) = run(hangs_up(request(), &begun));
            let cut_short = "ERROR message=a delivery was cut short, for the runtime ended before its handlers did";
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
                "ERROR message=the replay store did not forget a delivery that failed: sent again, it is taken for a \
                 duplicate reason=\"it panicked\"",
                "ERROR message=a delivery was not handled: what stands before the handlers panicked outcome=\"failed\"",
            ]
        );
    }
}

mod routes {
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
                assert_eq!(
                    ask_actix(configure, "POST", path, &signed(BODY.as_bytes()), body).await,
                    Answer::of(outcome)
                );
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
        for outcome in Outcome::ALL {
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
}

mod functions {
    use super::*;

    #[derive(Debug, Deserialize)]
    struct Numbered {
        #[expect(dead_code, reason = "never read: the body does not fit")]
        issue_title: u64,
    }

    impl CustomEvent for Numbered {
        const KIND: &'static str = "issue_new";
    }

    #[derive(Deserialize)]
    struct Titled {
        #[expect(dead_code, reason = "never read: that the body fits is enough")]
        issue_title: String,
    }

    impl CustomEvent for Titled {
        const KIND: &'static str = "issue_new";
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
        let (actix, actix_lines) =
            run(ask_actix(configure, "POST", "/webhook", &signed(body()), Pieces::cut(body(), 2)));
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
        for answers in [asked::<IssueAssignedEvent>(&endpoint, &ran), asked::<UnknownEvent>(&endpoint, &ran)] {
            for answer in answers {
                assert_eq!(answer, (200, json!({"status": "ignored"}), false, none()));
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
                [
                    "ERROR message=a delivery was not handled outcome=\"failed\" reason=\"the body does not fit the type at \
                  line 1 column 57\""
                ]
            );
        }
    }

    #[test]
    fn are_refused_an_endpoint_whose_promises_they_could_not_keep() {
        let line = "ERROR message=this endpoint has a replay guard or a background queue, and `Verified` as an extractor \
                    can keep neither promise: it does not see whether your function succeeds; register a handler instead";
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
        assert_eq!(
            (response.status().as_u16(), &response.headers()["allow"]),
            (405, &HeaderValue::from_static("POST"))
        );
    }
}
