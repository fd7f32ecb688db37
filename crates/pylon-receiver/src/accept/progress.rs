//! How far a connection is with its requests.

use super::beginning::Beginning;
use super::connection_refusal::ConnectionRefusal;
use std::sync::{Mutex, MutexGuard, PoisonError};
use std::time::Instant;
use tokio::sync::Notify;

/// How far a connection is, as its socket and its requests see it.
#[derive(Default)]
pub(super) struct Progress {
    state: Mutex<State>,
    retired: Notify,
}

#[derive(Default)]
struct State {
    phase: Phase,
    /// How many requests have been answered.
    answered: u32,
    /// Whether the last answer was a refusal, so that the rest of its request may be unread.
    is_refused: bool,
    /// What has come of the present head.
    head: Beginning,
    /// Whether the head took too long.
    is_late: bool,
    /// When the last request was answered.
    answered_at: Option<Instant>,
    /// Whether its place is for another connection.
    is_retired: bool,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub(super) enum Phase {
    /// Nothing has come of the next request.
    #[default]
    Quiet,
    /// A head has begun.
    Head,
    /// A request is at work.
    Busy,
}

impl Progress {
    /// The peer said this.
    pub(super) fn said(&self, bytes: &[u8]) {
        let mut state = self.state();
        if state.phase == Phase::Busy {
            return;
        }
        if state.phase == Phase::Quiet {
            state.head = Beginning::default();
        }
        state.head.add(bytes);
        if !state.head.is_empty() {
            state.phase = Phase::Head;
        }
    }

    /// A request begins.
    pub(super) fn begins(&self) {
        self.state().phase = Phase::Busy;
    }

    /// A request is answered. Returns how many have been.
    pub(super) fn answered(&self, is_refused: bool) -> u32 {
        let mut state = self.state();
        state.phase = Phase::Quiet;
        state.is_refused = is_refused;
        state.answered = state.answered.saturating_add(1);
        state.answered_at = Some(Instant::now());
        state.answered
    }

    /// The head takes too long.
    pub(super) fn is_late(&self) {
        self.state().is_late = true;
    }

    /// The phase, and how many requests have been answered.
    pub(super) fn now(&self) -> (Phase, u32) {
        let state = self.state();
        (state.phase, state.answered)
    }

    /// Since when the connection waits for a further request, unless it is retired.
    pub(super) fn idle_since(&self) -> Option<Instant> {
        let state = self.state();
        state.answered_at.filter(|_| state.phase == Phase::Quiet && !state.is_retired)
    }

    /// Asks the connection to end, and says whether it is idle.
    pub(super) fn retire(&self) -> bool {
        let mut state = self.state();
        if state.phase != Phase::Quiet {
            return false;
        }
        state.is_retired = true;
        // Its peer has read the answer long since, and the place is needed.
        state.is_refused = false;
        self.retired.notify_one();
        true
    }

    /// Waits until the connection is asked to end.
    pub(super) async fn retired(&self) {
        self.retired.notified().await;
    }

    /// Whether the peer may still be sending what nobody will read.
    pub(super) fn may_leave_unread(&self) -> bool {
        let state = self.state();
        state.is_refused || state.phase == Phase::Head
    }

    /// Why the connection ended with this error, if what the peer sent was refused.
    pub(super) fn refusal(&self, error: &hyper::Error, head_limit: usize) -> Option<ConnectionRefusal> {
        let state = self.state();
        let is_head = state.phase == Phase::Head;
        if state.is_late {
            Some(ConnectionRefusal::HeadTimeout)
        } else if error.is_parse_too_large() {
            let is_large = state.head.length() >= head_limit;
            Some(if is_large { ConnectionRefusal::HeadTooLarge } else { ConnectionRefusal::TooManyHeaders })
        } else if error.is_parse() {
            let other = is_head.then(|| state.head.instead_of_http()).flatten();
            Some(other.unwrap_or(ConnectionRefusal::Malformed))
        } else {
            (is_head && error.is_incomplete_message()).then_some(ConnectionRefusal::HeadCut)
        }
    }

    fn state(&self) -> MutexGuard<'_, State> {
        // A panic while the lock is held cannot leave the state half changed.
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }
}
