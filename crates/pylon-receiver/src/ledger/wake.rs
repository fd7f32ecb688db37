//! Messages that something is due, so that nobody has to look all the time.

use std::sync::Arc;
use tokio::sync::broadcast::{self, error::RecvError};

/// Messages that a slow listener may be behind; one that is further behind has to look everywhere.
const MOST_BEHIND: usize = 1024;

/// Where something is due.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Wake {
    /// At this destination.
    At(Arc<str>),
    /// It may be anywhere: messages may have been missed.
    Everywhere,
}

/// A stream of destinations that have something due.
#[derive(Debug)]
pub struct Wakes(broadcast::Receiver<Wake>);

impl Wakes {
    /// Waits for the next message; none: the ledger is gone.
    ///
    /// Dropping the future loses no message.
    pub async fn next(&mut self) -> Option<Wake> {
        match self.0.recv().await {
            Ok(wake) => Some(wake),
            Err(RecvError::Lagged(_)) => Some(Wake::Everywhere),
            Err(RecvError::Closed) => None,
        }
    }
}

/// The sending side of [`Wakes`], for implementations of the ledger. Clones ring for the same listeners.
#[derive(Debug, Clone)]
pub struct Bell(broadcast::Sender<Wake>);

impl Default for Bell {
    fn default() -> Self {
        Self(broadcast::Sender::new(MOST_BEHIND))
    }
}

impl Bell {
    /// Tells every listener that something is due at the destination.
    pub fn ring(&self, destination: &Arc<str>) {
        // Without a listener there is nobody to tell.
        let _ = self.0.send(Wake::At(destination.clone()));
    }

    /// Tells every listener that something may be due anywhere.
    pub fn ring_everywhere(&self) {
        let _ = self.0.send(Wake::Everywhere);
    }

    /// A new listener: hears what is rung from now on.
    pub fn wakes(&self) -> Wakes {
        Wakes(self.0.subscribe())
    }
}
