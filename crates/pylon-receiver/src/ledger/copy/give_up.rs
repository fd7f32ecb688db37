//! Gives a copy up: the source can be served again.

use super::copying::{Tell, discard};
use super::fault::CopyFault;
use super::source::CopySource;
use super::target::{CopyState, CopyTarget};

/// What was given up.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct GivenUp {
    /// Where the source was moved to; none: it was not moved, and a copy had at most begun.
    pub moved_to: Option<Box<str>>,
    /// How many copies were taken out of the target; none: no target was asked.
    pub discarded: Option<u64>,
}

/// Takes unreleased copies of the source out of the target, and has the source forget that it was moved.
///
/// Without a target, whatever the target has delivered of the source, or delivers, is delivered by the source too.
///
/// # Errors
/// [`CopyFault::InUse`] if the target has everything of the source in use; [`CopyFault::Source`], [`CopyFault::Target`].
pub async fn give_up(
    source: &dyn CopySource,
    target: Option<&dyn CopyTarget>,
    tell: Tell<'_>,
) -> Result<GivenUp, CopyFault> {
    let mut discarded = None;
    if let Some(target) = target {
        let id = source.source_place().await.map_err(CopyFault::Source)?.id;
        let known = target.copies().await.map_err(CopyFault::Target)?;
        let ours: Vec<_> = known.iter().filter(|incoming| incoming.source.id == id).collect();
        if ours.iter().any(|incoming| incoming.state == CopyState::InUse) {
            return Err(CopyFault::InUse);
        }
        // Before the source forgets: whatever was moved is in use in one of the two at most.
        for incoming in &ours {
            discard(target, incoming.copy, tell).await?;
        }
        discarded = Some(ours.len() as u64);
    }
    let moved_to = source.unmark().await.map_err(CopyFault::Source)?;
    Ok(GivenUp { moved_to, discarded })
}
