//! What every transport promises.

use super::attempt::Attempt;
use super::report::Report;
use std::pin::Pin;

/// The report of a transport, as a future.
pub type TransportFuture<'a> = Pin<Box<dyn Future<Output = Report> + Send + 'a>>;

/// A way to deliver to one destination.
pub trait Transport: Send + Sync + 'static {
    /// Tries to deliver. The future ends by itself within the destination's time-out.
    ///
    /// To abort the attempt, drop the future: everything that it started ends too.
    fn deliver<'a>(&'a self, attempt: &'a Attempt) -> TransportFuture<'a>;
}
