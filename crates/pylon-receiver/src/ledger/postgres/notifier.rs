//! Where jobs say that other receivers have to be told that something is due.

use std::collections::BTreeSet;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use tokio::sync::Notify;

/// Where to say that something is due. It gathers each destination once, however long nobody can be told.
#[derive(Debug, Default)]
pub(super) struct Notifier {
    state: Mutex<State>,
    news: Notify,
}

#[derive(Debug, Default)]
struct State {
    due: BTreeSet<Arc<str>>,
    has_ended: bool,
}

impl Notifier {
    /// Tells other receivers that something is due at the destination.
    pub(super) fn tell(&self, destination: &Arc<str>) {
        let mut state = self.state();
        if !state.has_ended && !state.due.contains(destination) {
            state.due.insert(destination.clone());
            self.news.notify_one();
        }
    }

    /// Tells nobody any more.
    pub(super) fn end(&self) {
        self.state().has_ended = true;
        self.news.notify_one();
    }

    /// Waits until there is something to tell; false: never again. For the one who tells it.
    pub(super) async fn has_news(&self) -> bool {
        loop {
            {
                let state = self.state();
                if state.has_ended || !state.due.is_empty() {
                    return !state.has_ended;
                }
            }
            self.news.notified().await;
        }
    }

    /// What is to be told; from now on it is gathered anew.
    pub(super) fn take(&self) -> BTreeSet<Arc<str>> {
        std::mem::take(&mut self.state().due)
    }

    fn state(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

#[cfg(test)]
mod tests {
    use super::Notifier;
    use std::sync::Arc;

    #[tokio::test]
    async fn each_destination_is_gathered_once_until_it_is_told() {
        let notifier = Notifier::default();
        let names: [Arc<str>; 2] = ["app".into(), "log".into()];
        for _ in 0..1000 {
            names.iter().for_each(|name| notifier.tell(name));
        }
        assert!(notifier.has_news().await);
        assert!(notifier.take().iter().eq(&names));
        notifier.tell(&names[1]);
        assert!(notifier.has_news().await);
        assert!(notifier.take().iter().eq(&names[1..]));
        notifier.end();
        notifier.tell(&names[0]);
        assert!(!notifier.has_news().await);
        assert!(notifier.take().is_empty());
    }
}
