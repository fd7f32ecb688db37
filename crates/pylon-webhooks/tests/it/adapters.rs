//! Each adapter: what it answers to the requests of `vectors/requests.json` and to senders that break off, and what it
//! makes of an endpoint that it cannot keep the word of.

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
use pylon_test_support::log::logged;
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

mod table;

mod bodies;

mod senders_that_hang_up;

mod routes;

mod functions;
