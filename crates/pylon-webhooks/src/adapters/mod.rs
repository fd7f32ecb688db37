//! Web frameworks: each adapter fetches a request for the [`Endpoint`] and answers with its [`Outcome`].

#[cfg(feature = "actix-web")]
pub mod actix_web;
#[cfg(feature = "axum")]
pub mod axum;
#[cfg(feature = "tower")]
pub mod tower;

use crate::arrival::Received;
use crate::endpoint::{Endpoint, Outcome};
#[cfg(any(feature = "axum", feature = "actix-web"))]
use crate::{event::EventType, event::WebhookEvent, verified::Verified};

/// Responds in a task of its own: servers drop what they await when the sender hangs up, and a handler must not be dropped
/// half-way.
async fn respond_to_the_end<R: Send + 'static>(endpoint: Endpoint<R>, received: Received<'static>) -> Outcome {
    // Before the task is first polled: `close` waits from here on.
    let begun = endpoint.begin_task();
    let unfinished = Unfinished;
    let task = tokio::spawn(async move {
        let outcome = endpoint.respond_to(received).await;
        std::mem::forget(unfinished);
        drop(begun);
        outcome
    });
    task.await.unwrap_or_else(|error| match error.is_panic() {
        // Those of handlers are caught: what is left is a replay store, or a clock.
        true => {
            tracing::error!(
                outcome = Outcome::Failed.name(),
                "a delivery was not handled: what stands before the handlers panicked"
            );
            Outcome::Failed
        }
        // The runtime is shutting down.
        false => Outcome::Unavailable,
    })
}

/// A delivery that is being answered; dropped, its handlers were cut short, and the log says so.
struct Unfinished;

impl Drop for Unfinished {
    fn drop(&mut self) {
        // A panic is told of by whoever waits for the task.
        if !std::thread::panicking() {
            tracing::error!("a delivery was cut short, for the runtime ended before its handlers did");
        }
    }
}

/// An event as the type that a function takes.
#[cfg(any(feature = "axum", feature = "actix-web"))]
fn event_for_function<E: EventType>(event: Verified<WebhookEvent>) -> Result<Verified<E>, Outcome> {
    if !E::accepts(&event) {
        tracing::debug!(event = ?event.event_type(), "a delivery is of another type than the function takes");
        return Err(Outcome::Ignored);
    }
    event.try_map(|event| E::from_event(&event)).map_err(|error| {
        let reason = error.to_string();
        tracing::error!(outcome = Outcome::Failed.name(), ?reason, "a delivery was not handled");
        Outcome::Failed
    })
}
