//! The way of a request to a body that can be verified. Each state is a type that leads only to the next one:
//!
//! [`Admission`] (the rules) makes [`Admitted`] (method and headers are accepted), which makes [`Received`] (the body
//! is complete), at once or through [`ArrivingBody`]. A [`Verifier`](crate::Verifier) makes
//! [`Verified`](crate::Verified).

mod admission;
mod admitted;
mod credentials;
mod encoding;
mod fault;
mod payload;
mod received;

pub use admission::{Admission, DEFAULT_BODY_LIMIT, HeaderWalk, SIGNATURE_HEADER, TIMESTAMP_HEADER};
pub use admitted::{Admitted, ArrivingBody};
pub(crate) use credentials::Presented;
pub use credentials::{Credentials, HeaderValue};
pub(crate) use encoding::compression_of;
pub use fault::RequestFault;
pub use payload::Payload;
pub use received::Received;
