//! A tower [`Service`] that answers webhook requests, for every server and framework that takes one.

use super::respond_to_the_end;
use crate::arrival::{Admitted, Received, RequestFault};
use crate::endpoint::{Endpoint, Outcome};
use bytes::{Buf, Bytes};
use http::{Method, Request, Response};
use http_body::Body;
use http_body_util::{BodyExt, Full};
use std::convert::Infallible;
use std::pin::{Pin, pin};
use std::task::{Context, Poll};
use tower_service::Service;

/// Answers webhook requests at the path where you mount it. Needs the tokio runtime.
///
/// ```
/// use pylon_webhooks::{IssueNewEvent, WebhookHandler, tower::WebhookService};
///
/// let mut handler = WebhookHandler::new("your-webhook-secret")?;
/// handler.on(|event: IssueNewEvent| println!("New issue: {}", event.issue_title()));
/// let service = WebhookService::new(handler);
/// # Ok::<(), pylon_webhooks::ConfigError>(())
/// ```
#[derive(Debug)]
pub struct WebhookService<R = ()> {
    endpoint: Endpoint<R>,
}

impl<R> WebhookService<R> {
    /// Makes a service from a [`WebhookHandler`](crate::WebhookHandler) or an [`Endpoint`].
    pub fn new(endpoint: impl Into<Endpoint<R>>) -> Self {
        Self { endpoint: endpoint.into() }
    }
}

impl<R> Clone for WebhookService<R> {
    fn clone(&self) -> Self {
        Self { endpoint: self.endpoint.clone() }
    }
}

impl<R, B> Service<Request<B>> for WebhookService<R>
where
    R: Send + 'static,
    B: Body<Data: Send, Error: Into<Box<dyn std::error::Error + Send + Sync>>> + Send + 'static,
{
    type Response = Response<Full<Bytes>>;
    type Error = Infallible;
    type Future = Pin<Box<dyn Future<Output = Result<Self::Response, Infallible>> + Send>>;

    fn poll_ready(&mut self, _: &mut Context<'_>) -> Poll<Result<(), Infallible>> {
        Poll::Ready(Ok(()))
    }

    fn call(&mut self, request: Request<B>) -> Self::Future {
        let endpoint = self.endpoint.clone();
        Box::pin(async move {
            let is_head = request.method() == Method::HEAD;
            let outcome = match receive(&endpoint, request).await {
                Ok(received) => respond_to_the_end(endpoint, received).await,
                Err(outcome) => outcome,
            };
            let response = Response::<Full<Bytes>>::from(outcome);
            Ok(if is_head { response.map(|_| Full::default()) } else { response })
        })
    }
}

impl From<Outcome> for Response<Full<Bytes>> {
    fn from(outcome: Outcome) -> Self {
        let mut response = Response::builder().status(outcome.status());
        for (name, value) in outcome.headers() {
            response = response.header(*name, *value);
        }
        let body = Full::from(outcome.body());
        response.body(body).expect("an outcome's status and headers are valid HTTP, as its tests show")
    }
}

/// The request as the endpoint takes it, or what to answer.
pub(super) async fn receive<R, B: Body>(
    endpoint: &Endpoint<R>,
    request: Request<B>,
) -> Result<Received<'static>, Outcome> {
    let admitted = endpoint.admit(request.method().as_str(), request.headers())?;
    read(admitted, request.into_body()).await.map_err(|fault| endpoint.refuse(fault))
}

/// Reads a body, at most one piece beyond the limit.
async fn read<B: Body>(admitted: Admitted, body: B) -> Result<Received<'static>, RequestFault> {
    let limit = admitted.body_limit();
    // A body may know its size where no header says it.
    if body.size_hint().lower() > limit as u64 {
        return Err(RequestFault::TooLarge { limit });
    }
    let fault = admitted.broken();
    let (mut body, mut arriving) = (pin!(body), admitted.arriving());
    while let Some(frame) = body.frame().await {
        let frame = frame.map_err(|_| fault)?;
        // Trailers are not signed.
        if let Ok(mut piece) = frame.into_data() {
            arriving.push(piece.copy_to_bytes(piece.remaining()))?;
        }
    }
    arriving.end()
}
