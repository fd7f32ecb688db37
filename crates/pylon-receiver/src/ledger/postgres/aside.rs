//! Events set aside because others have locked a line of theirs, so that those of other lines go on.

use super::behind::part;
use super::line::lines_of;
use super::sharing::Sharing;
use super::waiting::Waiting;
use crate::ledger::LedgerError;
use std::collections::{HashSet, VecDeque};
use std::time::Duration;
use tokio::time::Instant;
use uuid::Uuid;

/// Events that one writer sets aside at most; further ones of their lines are refused.
const MOST: usize = 1024;
/// How long after a try in vain the next one is made.
const PAUSE: Duration = Duration::from_millis(50);

/// Events that wait for lines that others have locked, and those behind them, in their order.
pub(super) struct Aside {
    ledger: Uuid,
    waiting: VecDeque<Waiting>,
    /// The lines of all of them.
    lines: HashSet<i64>,
    try_at: Instant,
}

impl Aside {
    pub(super) fn new(ledger: Uuid) -> Self {
        Self { ledger, waiting: VecDeque::new(), lines: HashSet::new(), try_at: Instant::now() }
    }

    /// When to try them again; none: there are none.
    pub(super) fn try_at(&self) -> Option<Instant> {
        (!self.waiting.is_empty()).then_some(self.try_at)
    }

    /// Takes in those that come behind one of these in a line; gives back the others.
    pub(super) fn take_in(&mut self, batch: Vec<Waiting>) -> Vec<Waiting> {
        if self.waiting.is_empty() {
            return batch;
        }
        let (behind, others) = part(self.ledger, batch, &mut self.lines);
        self.put(behind);
        others
    }

    /// Sets these aside, behind those that are there.
    pub(super) fn put(&mut self, later: Vec<Waiting>) {
        if self.waiting.is_empty() && !later.is_empty() {
            self.try_at = Instant::now() + PAUSE;
        }
        for waiting in later {
            if self.waiting.len() < MOST {
                self.lines.extend(lines_of(self.ledger, &waiting.event));
                self.waiting.push_back(waiting);
            } else {
                // A caller who left is no error.
                let _ = waiting.reply.send(Err(LedgerError::Unreachable("others hold up too many of its line".into())));
            }
        }
    }

    /// The first of them, as many as can share a commit, if it is time to try them. Those that nobody waits for any more are let go.
    pub(super) fn take_due(&mut self) -> Vec<Waiting> {
        let (mut batch, mut sharing) = (Vec::new(), Sharing::default());
        if self.try_at > Instant::now() {
            return batch;
        }
        for waiting in std::mem::take(&mut self.waiting) {
            if waiting.reply.is_closed() {
                continue;
            }
            match !sharing.is_full() && sharing.takes(&waiting.event) {
                true => batch.push(waiting),
                false => self.waiting.push_back(waiting),
            }
        }
        batch
    }

    /// Puts those back that were tried in vain, of so many.
    pub(super) fn put_back(&mut self, tried: usize, in_vain: Vec<Waiting>) {
        let pause = if in_vain.len() < tried { Duration::ZERO } else { PAUSE };
        self.try_at = Instant::now() + pause;
        let behind = std::mem::take(&mut self.waiting);
        self.waiting = in_vain.into_iter().chain(behind).collect();
        self.lines = self.waiting.iter().flat_map(|waiting| lines_of(self.ledger, &waiting.event)).collect();
    }
}
