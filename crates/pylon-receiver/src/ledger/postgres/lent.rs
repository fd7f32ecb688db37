//! A connection that goes back to its pool only when its user says that nothing is under way on it.

use super::connection::Connection;
use super::error::Fault;
use std::ops::{Deref, DerefMut};

/// A connection on loan. Dropped, it is closed: an answer may be under way, or a transaction open.
pub(super) struct Lent(Option<Connection>);

impl Lent {
    pub(super) fn new(connection: Connection) -> Self {
        Self(Some(connection))
    }

    /// Gives the connection back: nothing is under way on it, and no transaction is open.
    pub(super) fn done(mut self) {
        drop(self.0.take());
    }

    /// Gives the connection back, unless the result shows that it is of no use any more.
    pub(super) fn give_back<T>(mut self, result: Result<T, Fault>) -> Result<T, Fault> {
        if !matches!(result, Err(Fault::Away(_))) {
            // To drop it is to give it back.
            drop(self.0.take());
        }
        result
    }
}

impl Drop for Lent {
    fn drop(&mut self) {
        if let Some(connection) = self.0.take() {
            drop(Connection::take(connection));
        }
    }
}

impl Deref for Lent {
    type Target = Connection;

    fn deref(&self) -> &Connection {
        self.0.as_ref().expect("it is here until it is given back")
    }
}

impl DerefMut for Lent {
    fn deref_mut(&mut self) -> &mut Connection {
        self.0.as_mut().expect("it is here until it is given back")
    }
}
