//! What remembers the deliveries that have been here.

use crate::failure::HandlerError;
use std::pin::Pin;

/// What a [`ReplayStore`] answers, as a future: most stores have to ask a server.
pub type StoreFuture<'a, T> = Pin<Box<dyn Future<Output = Result<T, HandlerError>> + Send + 'a>>;

/// Remembers keys; one that several machines share makes the guard hold for all of them.
///
/// A key is 64 hexadecimal digits and tells nothing of the delivery. With Redis, `first_seen` is `SET key 1 NX EXAT expires`
/// and `forget` is `DEL key`.
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
    /// Remembers the key, and says whether it was not remembered already: of several calls at once, one is told so.
    ///
    /// `expires` is the Unix second from which on it may be forgotten; none: never, as far as there is room.
    fn first_seen<'a>(&'a self, key: &'a str, expires: Option<u64>) -> StoreFuture<'a, bool>;

    /// Forgets the key: its delivery was not handled, and may come again.
    fn forget<'a>(&'a self, key: &'a str) -> StoreFuture<'a, ()>;
}
