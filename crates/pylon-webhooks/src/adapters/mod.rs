//! Web frameworks: each adapter passes a request to the [`Endpoint`] and answers with its [`Outcome`].

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

/// Responds in a task of its own: servers drop their futures when the sender disconnects, and a handler must run to its
/// end.
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
        // Panics of handlers are caught, so it was the replay store or the clock.
        true => {
            tracing::error!(
                outcome = Outcome::Failed.name(),
                "a delivery was not handled: the replay store or the clock panicked"
            );
            Outcome::Failed
        }
        // The runtime is shutting down.
        false => Outcome::Unavailable,
    })
}

/// A delivery that is being answered. Dropped, its handlers were cut short, and the log says so.
struct Unfinished;

impl Drop for Unfinished {
    fn drop(&mut self) {
        // A panic is logged where the task is awaited.
        if !std::thread::panicking() {
            tracing::error!("a delivery was cut short: the runtime ended before its handlers did");
        }
    }
}

/// An event as the type that a function takes.
#[cfg(any(feature = "axum", feature = "actix-web"))]
fn event_for_function<E: EventType>(
    endpoint: &Endpoint,
    event: Verified<WebhookEvent>,
) -> Result<Verified<E>, Outcome> {
    if !E::accepts(&event) {
        endpoint.handler().tell_untaken(&event);
        return Err(Outcome::Ignored);
    }
    event.try_map(|event| E::from_event(&event)).map_err(|error| {
        let reason = error.to_string();
        tracing::error!(outcome = Outcome::Failed.name(), ?reason, "a delivery was not handled");
        Outcome::Failed
    })
}
