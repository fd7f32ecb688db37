//! Receive [Pylon](https://usepylon.com) webhooks: verify each delivery, read its event, call your handlers.
//!
//! ```
//! use pylon_webhooks::{IssueNewEvent, WebhookEvent, WebhookHandler};
//!
//! let mut handler = WebhookHandler::new("your-webhook-secret")?;
//! handler.on(|event: IssueNewEvent| println!("New issue: {}", event.issue_title()));
//! handler.on_any(|event: WebhookEvent| println!("Event: {}", event.event_type()));
//!
//! // With the request's raw body and its two headers, or with all its headers:
//! let refused = handler.handle(b"{}", None, None).unwrap_err();
//! assert_eq!(refused.code(), "signature_missing");
//! let refused = handler.handle_headers(b"{}", [("X-Pylon-Signature", "forged")]).unwrap_err();
//! assert_eq!(refused.code(), "signature_malformed");
//! # Ok::<(), pylon_webhooks::ConfigError>(())
//! ```
//!
//! | idea | type |
//! | --- | --- |
//! | the whole way of a delivery | [`WebhookHandler`] |
//! | is it Pylon's? | [`Verifier`], [`Secret`], [`sign`] |
//! | what does it say? | [`EventReader`], [`WebhookEvent`], the typed events |
//! | what went wrong? | [`Error`], [`ConfigError`], [`Problem`] |
//! | what is answered to a request? | [`Endpoint`], [`Outcome`], [`ReplayGuard`] |
//!
//! | feature | what it adds |
//! | --- | --- |
//! | `axum` | `axum::webhook_router`, and [`Verified`] as an extractor |
//! | `actix-web` | `actix_web::webhook_resource`, and [`Verified`] as an extractor |
//! | `tower` | `tower::WebhookService` |
//! | `background` | handlers that run after the answer |
//! | `testing` | samples, signed requests, a clock that stands still |
//! | `proptest` | `testing::strategies` |
//!
//! No feature is enabled by default. The crate opens no socket and no file, only [`SystemClock`] reads the clock, and only
//! [`Secret::from_env`] the environment.
//! It stores no events: to keep each event until your app has handled it, put `pylon-receiver` in front of the app.

#![forbid(unsafe_code)]

#[cfg(any(feature = "tower", feature = "actix-web"))]
mod adapters;
mod arrival;
#[doc(hidden)]
pub mod bindings;
mod clock;
mod config_error;
mod diagnosis;
mod dispatch;
mod endpoint;
mod error;
mod event;
mod failure;
mod freshness;
mod handler;
mod handler_error;
mod hint;
mod replay;
mod secret;
mod secret_flaw;
mod signature;
#[cfg(feature = "testing")]
pub mod testing;
mod told_names;
mod verified;
mod verify;

#[cfg(feature = "actix-web")]
pub use adapters::actix_web;
#[cfg(feature = "axum")]
pub use adapters::axum;
#[cfg(feature = "tower")]
pub use adapters::tower;
pub use arrival::{
    Admission, Admitted, ArrivingBody, DEFAULT_BODY_LIMIT, Payload, Received, RequestFault, SIGNATURE_HEADER,
    TIMESTAMP_HEADER,
};
pub use clock::{Clock, SystemClock};
pub use config_error::ConfigError;
pub use dispatch::{Handled, IntoHandlerResult};
#[cfg(feature = "background")]
pub use endpoint::Background;
pub use endpoint::{Endpoint, EndpointBuilder, Outcome};
pub use error::Error;
pub use event::{
    BaseIssueEvent, CustomEvent, DEFAULT_DEPTH_LIMIT, DateTime, EventKind, EventReader, EventReaderBuilder, EventType,
    Field, FieldValue, IssueAssignedEvent, IssueFieldChangedEvent, IssueMessageNewEvent, IssueNewEvent,
    IssueReactionEvent, IssueSnapshotEvent, IssueStateChangedEvent, IssueStatusChangedEvent, IssueTagsChangedEvent,
    MessageNewEvent, NameSource, PayloadError, PayloadFault, Problem, Reason, Shape, TypedEvent, UnknownEvent,
    Variable, WebhookEvent, names_match, parse_webhook_event,
};
pub use failure::{HandlerErrors, HandlerFailure, HandlerId};
pub use freshness::TimestampFault;
pub use handler::WebhookHandler;
pub use handler_error::HandlerError;
pub use hint::Hint;
pub use replay::{MemoryReplayStore, ReplayGuard, ReplayKey, ReplayRule, ReplayStore, StoreFuture};
pub use secret::Secret;
pub use secret_flaw::SecretFlaw;
pub use signature::{SignatureFault, sign};
pub use verified::{Signed, Verified};
pub use verify::{DEFAULT_TOLERANCE, TimestampRule, Verifier, VerifierBuilder};
