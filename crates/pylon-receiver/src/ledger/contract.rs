//! What every ledger promises.

use super::backup::Backup;
use super::chore::{Prune, Pruned};
use super::durability::Durability;
use super::error::LedgerError;
use super::event::{NewEvent, Recorded};
use super::exchange::{Exchange, Exchanged};
use super::lease::{Lease, Owner};
use super::order::{BegunOrder, Carried, NewOrder, OrderEnd, OrderPart, OrderRecord};
use super::read::{
    DeadGroup, DeliveryFilter, DeliveryRecord, EventDetail, EventFilter, EventRecord, FoundEvents, Page, RefusedFilter,
    RefusedRecord, Stats,
};
use super::refused::NewRefused;
use super::spool_status::SpoolStatus;
use super::wake::Wakes;
use crate::id::{DeliveryId, EventId};
use crate::time::Moment;
use std::pin::Pin;
use std::time::Duration;

/// The answer of a ledger, as a future.
pub type LedgerFuture<'a, T> = Pin<Box<dyn Future<Output = Result<T, LedgerError>> + Send + 'a>>;

/// Keeps events, their deliveries, and the outcome of each delivery.
///
/// **This trait is not stable yet.** A later 0.x or 1.x version may add or change methods.
///
/// Several receivers may share one ledger. Every method may be called from many tasks and processes at once. What a method
/// has answered with `Ok` is durable. A caller may stop waiting for an answer: the work is done all the same.
///
/// # Time
/// Time belongs to the ledger. Callers pass durations; the ledger counts them from its own present. When its clock is set
/// back, no retry waits longer than the delay that was given for it, and no lease and no deduplication key lasts longer than
/// its length. Two moments are the caller's, because a request brings them: the arrival in an event's id, and
/// [`NewRefused::at`].
///
/// # Order
/// Deliveries that share a destination and an order key form a line. Only the first unfinished delivery of a line is ever
/// [waiting](super::DeliveryState::Waiting) or [delivering](super::DeliveryState::Delivering); those behind it are
/// [held](super::DeliveryState::Held). When it is delivered, dead or dropped, the next one becomes waiting and is due at once.
/// This holds with any number of writers: of two events in one line, the one whose [`record`](Self::record) answered before
/// the other was called goes first.
///
/// # What goes first
/// A delivery is *new* as long as it was made with its event and none of its attempts has failed. All others are *repeats*: those of
/// which an attempt failed, counted or not, those that were interrupted more than once, and those that an operator ordered. What is
/// new goes first, so that nothing that fails again and again, and no redelivery of many, holds up what comes in. A
/// [`Claim`](super::Claim) says how many repeats go before it all the same, so that they are not kept waiting for ever.
///
/// # Leases and attempts
/// [`exchange`](Self::exchange) leases deliveries to an [`Owner`]. A lease ends when its attempt is settled, when its owner
/// gives it back, or when its time is over. A later lease of the same delivery makes it worthless: a settlement of it is
/// [`Fenced`](super::Settled::Fenced). A lease by itself costs no attempt; a settled attempt counts as one, unless it is
/// [`Released`](super::Verdict::Released) or its verdict says otherwise.
///
/// A lease that ends without its owner's word (its time is over, or the process died) is an *interruption*. Nobody knows
/// whether the attempt began, so the first interruption of a delivery is not counted against it. From then on the delivery is
/// a suspect: the process may die of it. A suspect is leased for a free slot only, never ahead, and each further interruption
/// counts as an attempt. So an event that kills the process is dead in the end. And a crash kills no delivery that did not
/// begin, even if it may have one attempt only, with one exception: a suspect that was leased for a free slot at that very
/// moment. In the *number* of an attempt, which destinations see, every attempt and every interruption counts: the app may have
/// seen it.
pub trait Ledger: Send + Sync + 'static {
    /// Keeps an event and its deliveries, all or nothing.
    ///
    /// The call is idempotent: the same event id again is [`Recorded::Stored`] again and changes nothing, as long as the event
    /// or its deduplication key is kept. A caller that lost the answer may ask again.
    ///
    /// An event whose deduplication key is remembered for its endpoint is not kept: the answer names the event that was. Of
    /// several events at once with one key, one is kept. A duplicate does not prolong the key's time.
    ///
    /// An event that has [passed](NewEvent::passed) this ledger is not kept, whatever its key.
    ///
    /// # Errors
    /// [`LedgerError::Busy`] at once when too much waits to be committed; any other error if the commit failed.
    fn record(&self, event: NewEvent) -> LedgerFuture<'_, Recorded>;

    /// Keeps events that waited elsewhere, in their order, each all or nothing, as [`record`](Self::record) does; says for each what
    /// became of it. Of two in one line, the earlier one goes first.
    ///
    /// An event that is refused for its own sake, with [`LedgerError::Failed`], stops none of those behind it. Any other error
    /// would meet every event: then none behind that one is kept, and all of them get that answer.
    ///
    /// # Errors
    /// As [`record`](Self::record), if nothing of it could be tried.
    fn hand_over(&self, events: Vec<NewEvent>) -> LedgerFuture<'_, Vec<Result<Recorded, LedgerError>>> {
        Box::pin(async move {
            let mut answers = Vec::with_capacity(events.len());
            let mut stopped = None;
            for event in events {
                let answer = match &stopped {
                    None => self.record(event).await,
                    Some(error) => Err(LedgerError::clone(error)),
                };
                if let Err(error) = &answer
                    && !matches!(error, LedgerError::Failed(_))
                {
                    stopped = Some(error.clone());
                }
                answers.push(answer);
            }
            Ok(answers)
        })
    }

    /// What an answer of 200 means at present; none: nobody has looked, or there is nothing to look at.
    fn durability(&self) -> Option<Durability> {
        None
    }

    /// What waits in a spool in front of the ledger; none: there is no spool.
    fn spool(&self) -> Option<SpoolStatus> {
        None
    }

    /// Keeps a refused request for the operator to see. When there are too many, another one gives way: while more than a quarter
    /// of all name no endpoint, the oldest of these; else the oldest of the most frequent endpoint and code, and of equally frequent
    /// ones the oldest.
    ///
    /// Nobody waits for this: a ledger under load drops the request instead.
    fn keep_refused(&self, refused: NewRefused);

    /// Settles attempts and leases what is due, in one commit: first the settlements, then the claim.
    ///
    /// Due deliveries are leased in this order: first as many repeats as the claim puts first, then what is new, then further
    /// repeats. Among the new ones, and among the repeats, they go in the order of their due time; of those due at the same
    /// time, the one made first. A delivery whose lease ended keeps the due time that it had. A delivery that has used up its
    /// attempts becomes dead instead of being leased, and the next one of its line goes on.
    fn exchange(&self, exchange: Exchange) -> LedgerFuture<'_, Exchanged>;

    /// Extends leases to this length from now; says for each lease whether it still holds.
    fn renew(&self, leases: Vec<Lease>, length: Duration) -> LedgerFuture<'_, Vec<bool>>;

    /// Ends all leases of an owner and gives their deliveries back, due as before, without an attempt or an interruption.
    /// Says how many there were. The owner must not be at work any more.
    fn release(&self, owner: Owner) -> LedgerFuture<'_, u64>;

    /// Tells which destinations have something due, from now on.
    ///
    /// Messages may be lost or late, so look at the ledger every 30 s as well.
    fn wakes(&self) -> Wakes;

    /// Begins an order: from here on it is listed, and under way for [`OrderRecord::LEASE`]. An order whose key began one before is that
    /// one: nothing begins, however many ask at once.
    ///
    /// The newest [`OrderRecord::MOST_KEPT`] orders are kept, and those that are running.
    fn begin_order(&self, order: NewOrder) -> LedgerFuture<'_, BegunOrder>;

    /// Does a part of an order that is under way, adds what it did to the order's numbers in the same commit, and renews its lease.
    /// Of an order that is not under way it does nothing. A delivery that is made, moved or dropped names the order.
    ///
    /// A large part may be done in several commits. After [`cancel_order`](Self::cancel_order) has answered, nothing more of the order is
    /// done, also of a part that began before.
    fn carry_out(&self, number: u64, part: OrderPart) -> LedgerFuture<'_, Carried>;

    /// Ends an order that is under way; says what became of the order, whether it ended now or before. None: it is unknown.
    fn end_order(&self, number: u64, end: OrderEnd) -> LedgerFuture<'_, Option<OrderRecord>>;

    /// Cancels an order that is under way: what is done stays done, and nothing more is done. Says what became of the order, whether it
    /// was cancelled now or ended before. None: it is unknown.
    fn cancel_order(&self, number: u64) -> LedgerFuture<'_, Option<OrderRecord>>;

    /// A page of the orders. One whose lease is over is [broken off](super::OrderState::BrokenOff).
    fn orders(&self, page: Page<u64>) -> LedgerFuture<'_, Vec<OrderRecord>>;

    /// One order; none if it is unknown.
    fn order(&self, number: u64) -> LedgerFuture<'_, Option<OrderRecord>>;

    /// The present by the clock with which the ledger says when a delivery died.
    fn present(&self) -> LedgerFuture<'_, Moment>;

    /// Forgets events that arrived longer ago than they are kept for, and deduplication keys whose time is over: a limited
    /// number at a call.
    ///
    /// An event with a waiting, held, delivering or dead delivery stays, and so does a parked event that was never
    /// redelivered: nobody has received it. One owner at a time prunes; its place is kept in the ledger.
    fn prune(&self, prune: Prune) -> LedgerFuture<'_, Pruned>;

    /// A page of the events that match.
    fn events(&self, filter: EventFilter, page: Page<EventId>) -> LedgerFuture<'_, Vec<EventRecord>>;

    /// A page of the events that match, as far as they are found within this time. What the index of the ledger cannot tell is searched for
    /// in bodies, which may take longer: then the answer says how far the search came.
    fn search(&self, filter: EventFilter, page: Page<EventId>, within: Duration) -> LedgerFuture<'_, FoundEvents> {
        let _ = within;
        Box::pin(async move { Ok(FoundEvents { events: self.events(filter, page).await?, searched_to: None }) })
    }

    /// One event with its headers, body, newest deliveries and their newest attempts; none if it is unknown.
    fn event(&self, id: EventId) -> LedgerFuture<'_, Option<EventDetail>>;

    /// A page of the deliveries that match.
    fn deliveries(&self, filter: DeliveryFilter, page: Page<DeliveryId>) -> LedgerFuture<'_, Vec<DeliveryRecord>>;

    /// The dead deliveries in groups, by destination and code. It costs the same however many are dead.
    fn dead_groups(&self) -> LedgerFuture<'_, Vec<DeadGroup>>;

    /// A page of the refused requests that match.
    fn refused(&self, filter: RefusedFilter, page: Page<u64>) -> LedgerFuture<'_, Vec<RefusedRecord>>;

    /// The numbers of the ledger. They cost the same however many events are kept, and may be 15 s old.
    fn stats(&self) -> LedgerFuture<'_, Stats>;

    /// Commits something that changes nothing, to find out whether events could be kept now.
    fn check(&self) -> LedgerFuture<'_, ()>;

    /// Copies everything, as it is at one moment, while others go on to record and deliver. It takes as long as the disk takes.
    ///
    /// # Errors
    /// [`LedgerError::Failed`] if there is no room for a copy, or if the ledger is backed up by means of its own.
    fn backup(&self) -> LedgerFuture<'_, Backup> {
        Box::pin(async {
            Err(LedgerError::Failed(
                "expected a file, found a ledger that is backed up by means of its own, such as pg_dump".into(),
            ))
        })
    }

    /// Commits what waits, and closes. All later calls answer [`LedgerError::Closed`], except to close again, which is no
    /// error.
    fn close(&self) -> LedgerFuture<'_, ()>;
}
