//! An app behind each adapter on a real socket, as `vectors/requests.json` asks for it: `served KIND PORT`.
//!
//! The names of handled events are appended to the file that `PYLON_SEEN` names, a line each.

use actix_web::{App, HttpResponse, HttpServer, ResponseError, web};
use axum::Router;
use axum::extract::{FromRef, State};
use axum::routing::any;
use hyper_util::rt::{TokioExecutor, TokioIo};
use hyper_util::server::conn::auto;
use hyper_util::service::TowerToHyperService;
use pylon_webhooks::actix_web::webhook_resource;
use pylon_webhooks::axum::webhook_router;
use pylon_webhooks::tower::WebhookService;
use pylon_webhooks::{Endpoint, EventReader, Outcome, Verified, Verifier, WebhookEvent, WebhookHandler};
use std::fs::OpenOptions;
use std::io::{self, Write};
use std::net::{Ipv4Addr, SocketAddr};
use std::path::PathBuf;
use std::sync::Arc;
use tokio::net::TcpListener;

type Failure = Box<dyn std::error::Error>;

const USAGE: &str = "PYLON_SEEN=file served axum|tower|actix-web|axum-extractor|actix-web-extractor PORT";

fn main() -> Result<(), Failure> {
    let mut arguments = std::env::args().skip(1);
    let (kind, port) = arguments.next().zip(arguments.next()).ok_or(USAGE)?;
    let address = SocketAddr::from((Ipv4Addr::LOCALHOST, port.parse()?));
    let seen = Seen(PathBuf::from(std::env::var_os("PYLON_SEEN").ok_or(USAGE)?).into());
    // One of the handlers panics on purpose.
    std::panic::set_hook(Box::new(|_| {}));
    match kind.as_str() {
        "axum" => serve_axum(webhook_router(handler(&seen)?, "/webhook"), address),
        "axum-extractor" => {
            // For any method: what an app does with the others is for the endpoint to say, as it is for the routes.
            let app = AppState { endpoint: Endpoint::new(verifying()?), seen };
            serve_axum(Router::new().route("/webhook", any(axum_function)).with_state(app), address)
        }
        "tower" => serve_tower(WebhookService::new(handler(&seen)?), address),
        "actix-web" => {
            let endpoint = Endpoint::new(handler(&seen)?);
            serve_actix(move |config| _ = config.service(webhook_resource(endpoint.clone(), "/webhook")), address)
        }
        "actix-web-extractor" => {
            let endpoint = web::Data::new(Endpoint::new(verifying()?));
            let seen = web::Data::new(seen);
            let configure = move |config: &mut web::ServiceConfig| {
                config.app_data(endpoint.clone()).app_data(seen.clone()).route("/webhook", web::to(actix_function));
            };
            serve_actix(configure, address)
        }
        _ => Err(USAGE.into()),
    }
}

/// Where the names of handled events are noted.
#[derive(Clone)]
struct Seen(Arc<PathBuf>);

impl Seen {
    /// One write for each name, so that names noted at once do not mix.
    fn note(&self, name: &str) -> io::Result<()> {
        let mut file = OpenOptions::new().create(true).append(true).open(&*self.0)?;
        file.write_all(format!("{name}\n").as_bytes())
    }
}

fn verifying() -> Result<WebhookHandler, Failure> {
    let verifier = Verifier::builder().secret("test-secret").clock(|| 1_700_000_000).build()?;
    Ok(WebhookHandler::from_parts(verifier, EventReader::new()))
}

fn handler(seen: &Seen) -> Result<WebhookHandler, Failure> {
    let mut handler = verifying()?;
    let seen = seen.clone();
    handler.on_any_async(move |event: WebhookEvent| {
        let seen = seen.clone();
        async move { seen.note(event.event_type()) }
    });
    handler.on_names(["raise_value_error"], |_| Err::<(), _>(io::Error::from(io::ErrorKind::InvalidInput)));
    handler.on_names(["raise_error"], |_| -> () { panic!("as the table of requests asks") });
    Ok(handler)
}

/// What the functions that take an event do and answer, as the handlers do it.
fn handle(seen: &Seen, event: &WebhookEvent) -> Outcome {
    match seen.note(event.event_type()) {
        Ok(()) if !event.event_type().starts_with("raise_") => Outcome::Handled,
        _ => Outcome::Failed,
    }
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

async fn axum_function(State(app): State<AppState>, event: Verified<WebhookEvent>) -> Outcome {
    handle(&app.seen, &event)
}

async fn actix_function(seen: web::Data<Seen>, event: Verified<WebhookEvent>) -> HttpResponse {
    handle(&seen, &event).error_response()
}

#[tokio::main]
async fn serve_axum(app: Router, address: SocketAddr) -> Result<(), Failure> {
    Ok(axum::serve(TcpListener::bind(address).await?, app).await?)
}

#[tokio::main]
async fn serve_tower(service: WebhookService, address: SocketAddr) -> Result<(), Failure> {
    let listener = TcpListener::bind(address).await?;
    let service = TowerToHyperService::new(service);
    loop {
        let (connection, _) = listener.accept().await?;
        let service = service.clone();
        tokio::spawn(async move {
            // A sender that hangs up is no news.
            _ = auto::Builder::new(TokioExecutor::new()).serve_connection(TokioIo::new(connection), service).await;
        });
    }
}

#[actix_web::main]
async fn serve_actix(
    configure: impl FnOnce(&mut web::ServiceConfig) + Clone + Send + 'static,
    address: SocketAddr,
) -> Result<(), Failure> {
    Ok(HttpServer::new(move || App::new().configure(configure.clone())).workers(2).bind(address)?.run().await?)
}
