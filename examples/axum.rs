// Run it:  PYLON_WEBHOOK_SECRET=your-webhook-secret cargo run --example axum
//! The handlers of the document "Webhook Handling" behind an axum route.

use axum::body::Bytes;
use axum::extract::State;
use axum::http::{HeaderMap, StatusCode};
use axum::{Router, routing::post};
use pylon_webhooks::{
    Error, IssueAssignedEvent, IssueNewEvent, IssueStateChangedEvent, MessageNewEvent, WebhookEvent, WebhookHandler,
};
use std::sync::Arc;

#[tokio::main]
async fn main() -> Result<(), Box<dyn std::error::Error>> {
    let mut handler = WebhookHandler::new(std::env::var("PYLON_WEBHOOK_SECRET")?)?;
    handler.on(|event: IssueNewEvent| println!("New issue: {}", event.issue_title()));
    handler.on(|event: IssueAssignedEvent| println!("Assigned to: {}", event.issue_assignee_id()));
    handler.on(|event: IssueStateChangedEvent| println!("New state: {}", event.new_state()));
    handler.on_async(|event: MessageNewEvent| async move { println!("Message from: {}", event.message_author_name()) });
    handler.on_any(|event: WebhookEvent| println!("Event: {}", event.event_type()));
    handler.on_error(|error: &Error| println!("Refused: {error}"));

    let app = Router::new().route("/webhook", post(webhook)).with_state(Arc::new(handler));
    let address = std::env::var("ADDRESS").unwrap_or_else(|_| "127.0.0.1:8000".into());
    axum::serve(tokio::net::TcpListener::bind(address).await?, app).await?;
    Ok(())
}

async fn webhook(State(handler): State<Arc<WebhookHandler>>, headers: HeaderMap, body: Bytes) -> StatusCode {
    match handler.handle_headers_async(body, &headers).await {
        Ok(_) => StatusCode::OK,
        Err(error) if error.is_refusal() => StatusCode::UNAUTHORIZED,
        Err(Error::Payload(_)) => StatusCode::BAD_REQUEST,
        Err(_) => StatusCode::INTERNAL_SERVER_ERROR,
    }
}
