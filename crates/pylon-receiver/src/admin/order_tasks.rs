//! The tasks in which orders are carried out: they go on when a caller hangs up, and stop before the ledger is closed.

use std::sync::{Mutex, PoisonError};
use tokio::sync::{oneshot, watch};
use tokio::task::JoinSet;

/// The tasks of the orders that this process carries out.
#[derive(Debug, Default)]
pub struct OrderTasks {
    tasks: Mutex<JoinSet<()>>,
    is_stopping: watch::Sender<bool>,
}

impl OrderTasks {
    /// Has the orders stop after the part that each is at, and waits until they have. None begins from now on.
    pub async fn stop(&self) {
        self.is_stopping.send_replace(true);
        let mut tasks = std::mem::take(&mut *self.tasks.lock().unwrap_or_else(PoisonError::into_inner));
        while tasks.join_next().await.is_some() {}
    }

    /// Works in a task of its own; the answer comes where somebody waits for it.
    pub(super) fn spawn<T: Send + 'static>(
        &self,
        work: impl Future<Output = T> + Send + 'static,
    ) -> oneshot::Receiver<T> {
        let (done, waiting) = oneshot::channel();
        let mut tasks = self.tasks.lock().unwrap_or_else(PoisonError::into_inner);
        // Those that have ended need no room.
        while tasks.try_join_next().is_some() {}
        tasks.spawn(async move {
            // Whoever waited may be gone.
            let _ = done.send(work.await);
        });
        waiting
    }

    /// Waits until orders are to stop.
    pub(super) fn stopping(&self) -> impl Future<Output = ()> + Send + 'static {
        let mut is_stopping = self.is_stopping.subscribe();
        async move {
            let told = is_stopping.wait_for(|is_stopping| *is_stopping).await.is_ok();
            if !told {
                // Nobody is left to say so.
                std::future::pending::<()>().await;
            }
        }
    }
}
