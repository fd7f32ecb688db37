//! Large answers, a few at a time: each is in memory until its caller has read it.

use super::answer::Refusal;
use axum::body::Body;
use axum::extract::{Request, State};
use axum::middleware::Next;
use axum::response::{IntoResponse, Response};
use bytes::Bytes;
use http::StatusCode;
use http_body::{Frame, SizeHint};
use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context, Poll};
use std::time::Duration;
use tokio::sync::{OwnedSemaphorePermit, Semaphore};
use tokio::time::timeout;

/// Large answers at a time.
const MOST: usize = 4;
/// How long a request waits for its turn.
const PATIENCE: Duration = Duration::from_secs(10);

/// The turns of large answers.
#[derive(Clone)]
pub(super) struct Turns(Arc<Semaphore>);

impl Default for Turns {
    fn default() -> Self {
        Self(Arc::new(Semaphore::new(MOST)))
    }
}

/// Answers when it is the request's turn, which lasts until the answer has been read.
pub(super) async fn take(State(Turns(turns)): State<Turns>, request: Request, next: Next) -> Response {
    let Ok(Ok(turn)) = timeout(PATIENCE, turns.acquire_owned()).await else {
        let message = format!("too busy: expected at most {MOST} large answers at a time, found more; ask again");
        return Refusal::new(StatusCode::SERVICE_UNAVAILABLE, "busy", message).into_response();
    };
    next.run(request).await.map(|body| Body::new(InTurn { body, _turn: turn }))
}

/// A body whose turn ends with it.
struct InTurn {
    body: Body,
    _turn: OwnedSemaphorePermit,
}

impl http_body::Body for InTurn {
    type Data = Bytes;
    type Error = axum::Error;

    fn poll_frame(
        mut self: Pin<&mut Self>,
        context: &mut Context<'_>,
    ) -> Poll<Option<Result<Frame<Bytes>, axum::Error>>> {
        Pin::new(&mut self.body).poll_frame(context)
    }

    fn is_end_stream(&self) -> bool {
        self.body.is_end_stream()
    }

    fn size_hint(&self) -> SizeHint {
        self.body.size_hint()
    }
}
