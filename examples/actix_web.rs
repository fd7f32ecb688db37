// Run it:  PYLON_WEBHOOK_SECRET=your-webhook-secret cargo run --example actix_web --features actix-web
//! An actix-web app that receives Pylon's webhooks.

use actix_web::{App, HttpServer};
use pylon_webhooks::actix_web::webhook_resource;
use pylon_webhooks::{Endpoint, IssueNewEvent, WebhookEvent, WebhookHandler};

#[actix_web::main]
async fn main() -> Result<(), Box<dyn std::error::Error>> {
    tracing_subscriber::fmt().init(); // logs why a delivery was refused
    let mut handler = WebhookHandler::from_env("PYLON_WEBHOOK_SECRET")?;
    handler.on(|event: IssueNewEvent| println!("New issue: {}", event.issue_title()));
    handler.on_any(|event: WebhookEvent| println!("Event: {}", event.event_type()));

    let endpoint = Endpoint::new(handler);
    let address = std::env::var("ADDRESS").unwrap_or_else(|_| "127.0.0.1:8000".into());
    let app = move || App::new().service(webhook_resource(endpoint.clone(), "/webhook"));
    HttpServer::new(app).bind(address)?.run().await?;
    Ok(())
}
