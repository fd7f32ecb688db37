//! Where jobs say that other receivers have to be told that something is due.

use std::sync::{Arc, Mutex, PoisonError};
use tokio::sync::mpsc::{UnboundedReceiver, UnboundedSender, unbounded_channel};

/// Where to say that something is due.
pub(super) struct Notifier {
    due: Mutex<Option<UnboundedSender<Arc<str>>>>,
    gathered: Mutex<Option<UnboundedReceiver<Arc<str>>>>,
}

impl Default for Notifier {
    fn default() -> Self {
        let (due, gathered) = unbounded_channel();
        Self { due: Mutex::new(Some(due)), gathered: Mutex::new(Some(gathered)) }
    }
}

impl Notifier {
    /// Tells other receivers that something is due at the destination.
    pub(super) fn tell(&self, destination: &Arc<str>) {
        if let Some(due) = &*self.due.lock().unwrap_or_else(PoisonError::into_inner) {
            // Nobody tells when nobody listens, as in a command.
            let _ = due.send(destination.clone());
        }
    }

    /// Tells nobody any more.
    pub(super) fn end(&self) {
        self.due.lock().unwrap_or_else(PoisonError::into_inner).take();
    }

    /// What is to be told, for the one who tells it.
    pub(super) fn take(&self) -> Option<UnboundedReceiver<Arc<str>>> {
        self.gathered.lock().unwrap_or_else(PoisonError::into_inner).take()
    }
}
