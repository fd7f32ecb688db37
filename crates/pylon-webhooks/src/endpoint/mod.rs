//! Decides what to answer a request, independent of the web framework.

#[cfg(feature = "background")]
mod background;
#[expect(clippy::module_inception, reason = "the endpoint is what the folder is about")]
mod endpoint;
mod outcome;

#[cfg(feature = "background")]
pub use background::Background;
pub use endpoint::{Endpoint, EndpointBuilder};
pub use outcome::Outcome;
