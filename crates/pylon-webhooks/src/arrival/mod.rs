//! From what a request presents to a body that can be verified. Each state is a type of its own, and leads to the next alone:
//!
//! [`Admission`] (the rules) gives [`Admitted`] (method and headers are right), which gives [`Received`] (the body is there and
//! whole), at once or through [`ArrivingBody`]. A [`Verifier`](crate::Verifier) makes a [`Verified`](crate::Verified) of it.

mod admission;
mod admitted;
mod credentials;
mod fault;
mod payload;
mod received;

pub use admission::{Admission, DEFAULT_BODY_LIMIT, HeaderWalk, SIGNATURE_HEADER, TIMESTAMP_HEADER};
pub use admitted::{Admitted, ArrivingBody};
pub(crate) use credentials::Presented;
pub use credentials::{Credentials, HeaderValue};
pub use fault::RequestFault;
pub use payload::Payload;
pub use received::Received;
