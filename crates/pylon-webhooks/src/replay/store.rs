//! The store of a replay guard.

use crate::handler_error::HandlerError;
use std::pin::Pin;

/// The future of a [`ReplayStore`]'s answer.
pub type StoreFuture<'a, T> = Pin<Box<dyn Future<Output = Result<T, HandlerError>> + Send + 'a>>;

/// Remembers keys. A store that several machines share makes the guard work across them.
///
/// A key is 64 hexadecimal digits and reveals nothing about the delivery. With Redis, `first_seen` is `SET key 1 NX
/// EXAT expires` and `forget` is `DEL key`.
///
/// ```
/// use pylon_webhooks::{ReplayStore, StoreFuture};
/// use std::collections::HashSet;
/// use std::sync::Mutex;
///
/// #[derive(Default)]
/// struct Everlasting(Mutex<HashSet<String>>);
///
/// impl ReplayStore for Everlasting {
///     fn first_seen<'a>(&'a self, key: &'a str, _expires: Option<u64>) -> StoreFuture<'a, bool> {
///         Box::pin(async move { Ok(self.0.lock().expect("no panic while locked").insert(key.into())) })
///     }
///     fn forget<'a>(&'a self, key: &'a str) -> StoreFuture<'a, ()> {
///         Box::pin(async move {
///             self.0.lock().expect("no panic while locked").remove(key);
///             Ok(())
///         })
///     }
/// }
/// ```
pub trait ReplayStore: Send + Sync + 'static {
    /// Remembers the key. Returns true when the key was new; of several concurrent calls, exactly one gets true.
    ///
    /// `expires` is the Unix time in seconds at which the key may be forgotten; none: never, as long as there is room.
    fn first_seen<'a>(&'a self, key: &'a str, expires: Option<u64>) -> StoreFuture<'a, bool>;

    /// Forgets the key, because its delivery was not handled and may be sent again.
    fn forget<'a>(&'a self, key: &'a str) -> StoreFuture<'a, ()>;
}
