// Run it:  PYLON_WEBHOOK_SECRET=your-webhook-secret cargo run --example tower --features tower
//! A hyper server without a framework that receives Pylon's webhooks at every path, as a tower service.

use hyper_util::rt::{TokioExecutor, TokioIo};
use hyper_util::server::conn::auto;
use hyper_util::service::TowerToHyperService;
use pylon_webhooks::tower::WebhookService;
use pylon_webhooks::{IssueNewEvent, WebhookEvent, WebhookHandler};
use tokio::net::TcpListener;

#[tokio::main]
async fn main() -> Result<(), Box<dyn std::error::Error>> {
    tracing_subscriber::fmt().init(); // logs why a delivery was refused
    let mut handler = WebhookHandler::from_env("PYLON_WEBHOOK_SECRET")?;
    handler.on(|event: IssueNewEvent| println!("New issue: {}", event.issue_title()));
    handler.on_any(|event: WebhookEvent| println!("Event: {}", event.event_type()));

    let service = TowerToHyperService::new(WebhookService::new(handler));
    let listener = TcpListener::bind(std::env::var("ADDRESS").unwrap_or_else(|_| "127.0.0.1:8000".into())).await?;
    loop {
        let (connection, _) = listener.accept().await?;
        let service = service.clone();
        tokio::spawn(async move {
            let server = auto::Builder::new(TokioExecutor::new());
            if let Err(error) = server.serve_connection(TokioIo::new(connection), service).await {
                eprintln!("a connection broke: {error}");
            }
        });
    }
}
