//! A resource of actix-web 4 that answers webhook requests, and [`Verified`] as an extractor.
//!
//! ```
//! use actix_web::App;
//! use pylon_webhooks::{Endpoint, IssueNewEvent, WebhookHandler, actix_web::webhook_resource};
//!
//! let mut handler = WebhookHandler::new("your-webhook-secret")?;
//! handler.on(|event: IssueNewEvent| println!("New issue: {}", event.issue_title()));
//! let endpoint = Endpoint::new(handler);
//! // Made once, for all the workers: `HttpServer::new(move || ...)` takes this closure.
//! let app = move || App::new().service(webhook_resource(endpoint.clone(), "/webhook"));
//! # Ok::<(), pylon_webhooks::ConfigError>(())
//! ```

use super::{event_for_function, respond_to_the_end};
use crate::arrival::{Received, RequestFault};
use crate::endpoint::{Endpoint, Outcome};
use crate::event::EventType;
use crate::verified::Verified;
use actix_web::dev::Payload;
use actix_web::http::StatusCode;
use actix_web::{FromRequest, HttpRequest, HttpResponse, Resource, ResponseError, web};
use std::pin::Pin;

/// A resource that answers webhook requests at one path.
///
/// Takes a [`WebhookHandler`](crate::WebhookHandler) or an [`Endpoint`], and a path in actix-web's form, such as
/// `/webhook`.
pub fn webhook_resource<R: Send + 'static>(endpoint: impl Into<Endpoint<R>>, path: &str) -> Resource {
    let endpoint = endpoint.into();
    let answer = move |request: HttpRequest, body: web::Payload| {
        let endpoint = endpoint.clone();
        async move {
            match fetch(&endpoint, &request, body).await {
                Ok(received) => respond_to_the_end(endpoint, received).await.error_response(),
                Err(outcome) => outcome.error_response(),
            }
        }
    };
    web::resource(path).route(web::route().to(answer))
}

/// Passes the event of an authentic delivery to an actix-web function. The app's data must have the [`Endpoint`].
///
/// When the event is of a type that the function does not take, the answer is 200 and the function does not run. An
/// endpoint with a replay guard or a background is not supported: the answer is 500, and the log has the reason.
///
/// ```
/// use actix_web::{App, HttpResponse, web};
/// use pylon_webhooks::{Endpoint, IssueNewEvent, Verified, WebhookHandler};
///
/// async fn webhook(event: Verified<IssueNewEvent>) -> HttpResponse {
///     println!("New issue: {}", event.issue_title());
///     HttpResponse::Ok().finish()
/// }
///
/// let endpoint = Endpoint::new(WebhookHandler::new("your-webhook-secret")?);
/// let app = move || App::new().app_data(web::Data::new(endpoint.clone())).route("/webhook", web::post().to(webhook));
/// # Ok::<(), pylon_webhooks::ConfigError>(())
/// ```
impl<E: EventType> FromRequest for Verified<E> {
    type Error = Outcome;
    type Future = Pin<Box<dyn Future<Output = Result<Self, Outcome>>>>;

    fn from_request(request: &HttpRequest, payload: &mut Payload) -> Self::Future {
        let (request, payload) = (request.clone(), payload.take());
        Box::pin(async move {
            let Some(endpoint) = request.app_data::<web::Data<Endpoint>>() else {
                tracing::error!(
                    "the app's data has no `Endpoint`: call `App::app_data(web::Data::new(endpoint.clone()))`"
                );
                return Err(Outcome::Failed);
            };
            endpoint.is_for_functions()?;
            let body = web::Payload::from_request(&request, &mut { payload }).into_inner();
            let body = body.map_err(|_| endpoint.refuse(RequestFault::Broken))?;
            event_for_function(endpoint, endpoint.receive(fetch(endpoint, &request, body).await?).await?)
        })
    }
}

/// The request as the endpoint takes it.
async fn fetch<R>(
    endpoint: &Endpoint<R>,
    request: &HttpRequest,
    body: web::Payload,
) -> Result<Received<'static>, Outcome> {
    let admitted = endpoint.admit(request.method().as_str(), request.headers())?;
    let limit = admitted.body_limit();
    let received = match body.to_bytes_limited(limit).await {
        Ok(Ok(body)) => admitted.whole(body),
        Ok(Err(_)) => Err(admitted.broken()),
        Err(_) => Err(RequestFault::TooLarge { limit }),
    };
    received.map_err(|fault| endpoint.refuse(fault))
}

impl ResponseError for Outcome {
    fn status_code(&self) -> StatusCode {
        StatusCode::from_u16(self.status()).expect("an outcome's status is valid HTTP, as its tests show")
    }

    fn error_response(&self) -> HttpResponse {
        let mut response = HttpResponse::build(self.status_code());
        for header in self.headers() {
            response.insert_header(*header);
        }
        response.body(self.body())
    }
}
