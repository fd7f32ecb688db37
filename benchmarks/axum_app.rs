//! The axum app that `make bench` loads: `webhook_router`, one worker thread, one handler that reads the title.
//!
//! Usage: PYLON_WEBHOOK_SECRET=... ADDRESS=127.0.0.1:8000 bench_axum

use axum::Router;
use pylon_webhooks::{IssueNewEvent, WebhookHandler, axum::webhook_router};
use std::hint::black_box;

#[tokio::main(flavor = "multi_thread", worker_threads = 1)]
async fn main() -> Result<(), Box<dyn std::error::Error>> {
    let mut handler = WebhookHandler::from_env("PYLON_WEBHOOK_SECRET")?;
    handler.on(|event: IssueNewEvent| {
        black_box(event.issue_title());
    });
    let app: Router = Router::new().merge(webhook_router(handler, "/webhook"));
    let listener = tokio::net::TcpListener::bind(std::env::var("ADDRESS")?).await?;
    axum::serve(listener, app).await?;
    Ok(())
}
