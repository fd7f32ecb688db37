//! The task of a connection: moves its bytes, passes on what the server says unasked, and ends a connection on which the server owes an
//! answer for too long.

use super::pulse::Pulse;
use super::stream::Stream;
use std::future::poll_fn;
use std::pin::pin;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;
use tokio::sync::mpsc;
use tokio::time::{MissedTickBehavior, interval};
use tokio_postgres::error::Severity;
use tokio_postgres::{AsyncMessage, Connection, Notification};

/// How often a driver looks whether the server still says something.
const LOOK: Duration = Duration::from_millis(250);

/// What the server says unasked.
#[derive(Debug)]
pub(super) struct Unasked {
    /// Warnings so far. On a connection that records, a warning means that a wait for a standby was given up, whatever its language.
    warnings: Arc<AtomicU64>,
    notifications: mpsc::UnboundedSender<Notification>,
}

/// How a connection ended.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Ended {
    /// Nobody uses it any more.
    Unused,
    /// The server or the network ended it.
    Broken,
    /// The server owed an answer for too long.
    Silent,
}

impl Unasked {
    pub(super) fn new(warnings: Arc<AtomicU64>) -> (Self, mpsc::UnboundedReceiver<Notification>) {
        let (notifications, heard) = mpsc::unbounded_channel();
        (Self { warnings, notifications }, heard)
    }

    fn take(&self, message: AsyncMessage) {
        match message {
            AsyncMessage::Notice(notice) => {
                let severity = notice.parsed_severity();
                // Before the answer that follows is passed on: who gets the answer sees the warning.
                if severity == Some(Severity::Warning) {
                    self.warnings.fetch_add(1, Ordering::AcqRel);
                    tracing::warn!(code = notice.code().code(), "the database warns: {}", notice.message());
                }
            }
            // Nobody listens on most connections.
            AsyncMessage::Notification(notification) => drop(self.notifications.send(notification)),
            _ => {}
        }
    }
}

/// Drives a connection to its end; the server may be silent for so long while it owes an answer. It ends early when `renewed` is over.
pub(super) async fn drive(
    mut connection: Connection<Stream, Stream>,
    pulse: Arc<Pulse>,
    patience: Duration,
    unasked: Unasked,
    renewed: impl Future<Output = ()>,
) -> Ended {
    let mut renewed = pin!(renewed);
    let mut look = interval(LOOK);
    look.set_missed_tick_behavior(MissedTickBehavior::Delay);
    loop {
        tokio::select! {
            biased;
            message = poll_fn(|context| connection.poll_message(context)) => match message {
                Some(Ok(message)) => unasked.take(message),
                Some(Err(error)) => {
                    tracing::debug!(%error, "a connection to the database broke");
                    return Ended::Broken;
                }
                None => return Ended::Unused,
            },
            () = &mut renewed => return Ended::Unused,
            _ = look.tick() => {
                if pulse.silence() > patience {
                    tracing::warn!(seconds = patience.as_secs(), "the database owes an answer for too long: the connection is given up");
                    return Ended::Silent;
                }
            }
        }
    }
}
