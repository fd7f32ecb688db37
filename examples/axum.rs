// Run it:  PYLON_WEBHOOK_SECRET=your-webhook-secret cargo run --example axum --features axum
//! An axum app with the handlers of the document "Webhook Handling".

use axum::Router;
use pylon_webhooks::axum::webhook_router;
use pylon_webhooks::{
    Error, IssueAssignedEvent, IssueNewEvent, IssueStateChangedEvent, MessageNewEvent, WebhookEvent, WebhookHandler,
};

#[tokio::main]
async fn main() -> Result<(), Box<dyn std::error::Error>> {
    let mut handler = WebhookHandler::from_env("PYLON_WEBHOOK_SECRET")?;
    handler.on(|event: IssueNewEvent| println!("New issue: {}", event.issue_title()));
    handler.on(|event: IssueAssignedEvent| println!("Assigned to: {}", event.issue_assignee_id()));
    handler.on(|event: IssueStateChangedEvent| println!("New state: {}", event.new_state()));
    handler.on_async(|event: MessageNewEvent| async move { println!("Message from: {}", event.message_author_name()) });
    handler.on_any(|event: WebhookEvent| println!("Event: {}", event.event_type()));
    handler.on_error(|error: &Error| println!("Refused: {error}"));

    let app = Router::new().merge(webhook_router(handler, "/webhook"));
    let address = std::env::var("ADDRESS").unwrap_or_else(|_| "127.0.0.1:8000".into());
    axum::serve(tokio::net::TcpListener::bind(address).await?, app).await?;
    Ok(())
}
