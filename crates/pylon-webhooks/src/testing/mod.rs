//! For the tests of your app: sample bodies, signed requests, and a fixed clock.
//!
//! ```
//! use pylon_webhooks::testing::{FixedClock, Sample, WebhookRequest};
//! use pylon_webhooks::{EventKind, EventReader, Secret, Verifier, WebhookHandler};
//!
//! let clock = FixedClock::new(1_700_000_000);
//! let verifier = Verifier::builder().secret("your-webhook-secret").clock(clock.clone()).build()?;
//! let handler = WebhookHandler::from_parts(verifier, EventReader::new());
//!
//! let body = Sample::of(EventKind::IssueNew).with("issue_title", "Export fails").body();
//! let request = WebhookRequest::new(body).signed_at(&Secret::new("your-webhook-secret")?, 1_700_000_000);
//! handler.handle_headers(&request.body, request.header_pairs())?;
//!
//! clock.advance(301);
//! assert_eq!(handler.handle_headers(&request.body, request.header_pairs()).unwrap_err().code(), "timestamp_stale");
//! # Ok::<(), Box<dyn std::error::Error>>(())
//! ```

mod clock;
mod request;
mod sample;
#[cfg(feature = "proptest")]
pub mod strategies;
mod trust;

pub use crate::signature::sign;
pub use clock::FixedClock;
pub use request::{WebhookRequest, signed_headers};
pub use sample::Sample;
pub use trust::verified;
