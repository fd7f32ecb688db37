//! What every implementation promises: one test a promise, made for it by [`contract`].

pub(crate) mod claim;
pub(crate) mod keep;
pub(crate) mod list;
pub(crate) mod order;
pub(crate) mod prune;
pub(crate) mod record;
pub(crate) mod redeliver;
pub(crate) mod settle;

use pylon_receiver::ledger::*;
use pylon_receiver::{DeliveryId, EventId, Headers, Moment};
use pylon_webhooks::Payload;
use pylon_webhooks::testing::verified;
use std::sync::Arc;
use std::time::Duration;

/// How many refused requests the ledgers under test keep.
pub(crate) const REFUSED: usize = 5;

/// An implementation under test.
pub(crate) trait Subject: Send + 'static {
    /// A new and empty ledger, which keeps [`REFUSED`] refused requests.
    fn fresh() -> impl Future<Output = Self> + Send;

    /// The ledger.
    fn ledger(&self) -> Arc<dyn Ledger>;

    /// Ends whatever serves the ledger as a crash ends it, unless it was closed before, and opens the same ledger again. Nobody else
    /// has [`ledger`](Self::ledger)'s answer any more.
    fn crash(&mut self) -> impl Future<Output = ()> + Send;
}

/// Makes the tests of the contract for a [`Subject`].
macro_rules! contract {
    ($subject:ty) => {
        $crate::ledger::contract::tests! { $subject:
            record: [
                an_event_is_kept_with_everything_that_came_with_it
                bodies_and_texts_come_back_byte_for_byte
                an_event_that_cannot_be_kept_leaves_nothing_behind_and_harms_no_other
                a_duplicate_names_the_kept_event_and_is_not_kept
                a_key_counts_at_its_endpoint_alone
                a_key_is_remembered_until_its_expiry_which_a_duplicate_does_not_prolong
                a_key_without_expiry_is_remembered_as_long_as_its_event
                a_key_with_expiry_is_remembered_even_without_its_event
                of_many_at_once_with_one_key_one_is_kept
                a_caller_who_stops_waiting_has_it_kept_all_the_same
            ]
            claim: [
                the_longest_due_comes_first_and_of_equals_the_first_made
                no_more_than_the_limit_are_claimed
                only_what_is_due_at_this_destination_is_claimed
                what_seems_due_later_than_anything_can_be_is_due
                a_lease_that_ran_out_is_due_again_with_one_more_attempt
                no_two_leases_have_one_token
                one_that_never_settled_its_last_attempt_is_dead
                the_exhausted_make_room_for_others_and_let_those_behind_them_go
                next_due_is_when_something_will_be_due
                many_claimers_never_get_the_same_delivery
            ]
            settle: [
                a_delivered_one_is_finished
                a_retry_waits_until_its_moment_and_keeps_its_count
                a_dead_one_has_its_reason_and_is_claimed_no_more
                a_released_one_is_due_at_once_and_gets_its_attempt_back
                a_released_attempt_may_be_told_and_is_told_anew_when_it_counts
                attempts_are_told_in_their_order
                a_stale_lease_is_fenced_and_changes_nothing
                a_lease_settles_once
                a_lease_that_ran_out_settles_while_nobody_has_asked_for_its_delivery
                a_renewed_lease_holds_longer
                a_lost_lease_is_not_renewed
            ]
            order: [
                the_first_unfinished_one_alone_is_claimed
                every_end_lets_the_next_one_go_at_once
                a_retry_holds_up_those_behind_it
                a_lease_that_ran_out_holds_up_those_behind_it
                other_destinations_other_keys_and_no_key_are_not_held_up
                the_order_is_that_of_recording_not_that_of_names
                a_redelivery_joins_at_the_end_of_its_line
                dropping_or_redelivering_a_dead_one_lets_nobody_overtake
                a_line_is_kept_through_a_crash
            ]
            redeliver: [
                an_event_is_redelivered_to_every_destination_that_it_went_to
                an_event_is_redelivered_to_a_given_destination
                a_dead_delivery_of_a_redelivered_event_is_redelivered
                the_dead_of_other_destinations_stay_dead
                parked_and_unrouted_events_go_where_they_are_sent
                unknown_events_are_passed_over
                each_dead_delivery_is_redelivered_in_its_place
                what_is_not_dead_is_neither_redelivered_nor_dropped
                a_dropped_delivery_is_given_up_for_good
                a_redelivery_is_not_swallowed_by_deduplication
            ]
            prune: [
                what_is_unfinished_or_dead_is_spared
                an_event_as_old_as_the_bound_is_spared
                many_are_forgotten_a_limited_number_at_a_call
                what_was_spared_is_forgotten_once_it_is_done
                nothing_of_a_forgotten_event_is_left
            ]
            list: [
                each_filter_of_events_alone
                filters_of_events_together
                text_in_bodies_is_found_byte_for_byte
                each_filter_of_deliveries_alone_and_together
                pages_have_no_gaps_and_no_repeats
                pages_go_on_undisturbed_while_events_come_in
                pages_of_deliveries_go_through_the_numbers_of_an_event
                refused_requests_by_endpoint_and_code
                stats_count_what_there_is
            ]
            keep: [
                everything_is_there_after_a_crash
                a_crash_frees_leases_and_fences_those_who_had_them
                whatever_comes_after_closing_is_refused
                a_closed_ledger_opens_with_everything
                the_newest_refused_requests_are_kept
                refused_requests_come_back_as_they_were
                a_check_changes_nothing
            ]
        }
    };
}
pub(super) use contract;

/// A module for each of these, with a test for each name in it.
macro_rules! tests {
    ($subject:ty: $($module:ident: [$($promise:ident)*])*) => {$(
        mod $module {
            $(
                #[tokio::test(flavor = "multi_thread", worker_threads = 2)]
                async fn $promise() {
                    use $crate::ledger::contract::{Desk, $module};
                    $module::$promise(Desk::<$subject>::open().await).await;
                }
            )*
        }
    )*};
}
pub(super) use tests;

/// The moment so many seconds after the tests begin.
pub(crate) fn at(seconds: i64) -> Moment {
    Moment::from_unix_milliseconds(1_700_000_000_000 + 1000 * seconds)
}

/// The name of an event that came in so many seconds after the tests began; the number tells it from others of that moment.
pub(crate) fn named(seconds: i64, number: u8) -> EventId {
    EventId::new(at(seconds), [number; 10])
}

/// An event that came in so many seconds after the tests began.
pub(crate) fn event(seconds: i64) -> NewEvent {
    NewEvent {
        id: named(seconds, 0),
        endpoint: "main".into(),
        kind: "issue_new".into(),
        headers: Headers::from_stored("content-type: application/json\n"),
        body: verified(Payload::from(b"{}".to_vec())),
        parked: None,
        deduplication: None,
        deliveries: Vec::new(),
    }
}

/// What makes an event another one.
pub(crate) trait Draft: Sized {
    fn numbered(self, number: u8) -> Self;
    fn through(self, endpoint: &str) -> Self;
    fn of_kind(self, kind: &str) -> Self;
    fn with_body(self, body: impl AsRef<[u8]>) -> Self;
    fn parked(self, reason: &str) -> Self;
    fn keyed(self, key: &str, expires_at: Option<Moment>) -> Self;
    fn to(self, destination: &str) -> Self;
    fn in_line(self, destination: &str, order_key: &str) -> Self;
}

impl Draft for NewEvent {
    fn numbered(mut self, number: u8) -> Self {
        self.id = EventId::new(self.id.received_at(), [number; 10]);
        self
    }

    fn through(mut self, endpoint: &str) -> Self {
        self.endpoint = endpoint.into();
        self
    }

    fn of_kind(mut self, kind: &str) -> Self {
        self.kind = kind.into();
        self
    }

    fn with_body(mut self, body: impl AsRef<[u8]>) -> Self {
        self.body = verified(Payload::from(body.as_ref().to_vec()));
        self
    }

    fn parked(mut self, reason: &str) -> Self {
        self.parked = Some(reason.into());
        self
    }

    fn keyed(mut self, key: &str, expires_at: Option<Moment>) -> Self {
        self.deduplication = Some(DeduplicationKey { key: key.into(), expires_at });
        self
    }

    fn to(mut self, destination: &str) -> Self {
        self.deliveries.push(NewDelivery { destination: destination.into(), order_key: None });
        self
    }

    fn in_line(mut self, destination: &str, order_key: &str) -> Self {
        self.deliveries.push(NewDelivery { destination: destination.into(), order_key: Some(order_key.into()) });
        self
    }
}

/// The delivery of an event with this number.
pub(crate) fn delivery(event: EventId, number: u32) -> DeliveryId {
    DeliveryId { event, number }
}

/// A whole list in the order of its names.
pub(crate) fn all<K>() -> Page<K> {
    Page { after: None, limit: u32::MAX, order: Order::OldestFirst }
}

/// A claim of everything that is due now at "app": leased for a minute, ten attempts, nothing due later than in a day.
pub(crate) fn claim(now: i64) -> Claim {
    Claim {
        destination: "app".into(),
        now: at(now),
        latest_due: at(now + 86_400),
        lease_until: at(now + 60),
        limit: 100,
        most_attempts: 10,
    }
}

/// What is told of an attempt that began at this moment.
pub(crate) fn attempt(began: i64, status: i32, detail: &str) -> NewAttempt {
    NewAttempt { started_at: at(began), took: Duration::from_millis(1500), status: Some(status), detail: detail.into() }
}

/// A refused request.
pub(crate) fn refused(seconds: i64, code: &'static str, reason: &str) -> NewRefused {
    NewRefused {
        at: at(seconds),
        endpoint: Some("main".into()),
        code,
        reason: reason.into(),
        status: 401,
        method: "POST".into(),
        path: "/pylon".into(),
        remote: "127.0.0.1:49152".into(),
        headers: Headers::from_stored("user-agent: a\n"),
        body: "{}".into(),
        body_length: 2,
    }
}

/// Which deliveries were claimed, in their order.
pub(crate) fn names(claimed: &Claimed) -> Vec<DeliveryId> {
    claimed.deliveries.iter().map(|leased| leased.lease.delivery).collect()
}

/// A ledger under test, and what is asked of it everywhere.
pub(crate) struct Desk<S> {
    subject: S,
}

impl<S: Subject> Desk<S> {
    pub(crate) async fn open() -> Self {
        Self { subject: S::fresh().await }
    }

    pub(crate) fn ledger(&self) -> Arc<dyn Ledger> {
        self.subject.ledger()
    }

    pub(crate) async fn crash(&mut self) {
        self.subject.crash().await;
    }

    /// Keeps an event, which is no duplicate.
    pub(crate) async fn keep(&self, event: NewEvent) -> EventId {
        let id = event.id;
        assert_eq!(self.record(event).await, Recorded::Stored);
        id
    }

    pub(crate) async fn record(&self, event: NewEvent) -> Recorded {
        self.ledger().record(event).await.unwrap()
    }

    pub(crate) async fn claim(&self, claim: Claim) -> Claimed {
        self.ledger().claim(claim).await.unwrap()
    }

    /// The deliveries to "app" that are due now.
    pub(crate) async fn due(&self, now: i64) -> Vec<DeliveryId> {
        names(&self.claim(claim(now)).await)
    }

    /// A lease of the one delivery to "app" that is due now.
    pub(crate) async fn take(&self, now: i64) -> LeasedDelivery {
        let claimed = self.claim(claim(now)).await;
        let [leased] = claimed.deliveries.try_into().expect("one delivery is due");
        leased
    }

    pub(crate) async fn settle(&self, lease: Lease, now: i64, verdict: Verdict) -> Settled {
        self.ledger().settle(Settlement { lease, at: at(now), verdict, attempt: None }).await.unwrap()
    }

    /// Has the one delivery to "app" that is due now end like this.
    pub(crate) async fn end(&self, now: i64, verdict: Verdict) -> DeliveryId {
        let lease = self.take(now).await.lease;
        assert_eq!(self.settle(lease, now, verdict).await, Settled::Recorded);
        lease.delivery
    }

    pub(crate) async fn event(&self, id: EventId) -> EventDetail {
        self.ledger().event(id).await.unwrap().expect("the event is kept")
    }

    pub(crate) async fn delivery(&self, id: DeliveryId) -> DeliveryRecord {
        let of_event = self.event(id.event).await.deliveries;
        of_event.into_iter().map(|(record, _)| record).find(|record| record.id == id).expect("the delivery is kept")
    }

    pub(crate) async fn state(&self, id: DeliveryId) -> DeliveryState {
        self.delivery(id).await.state
    }

    /// The names of the events that match, the oldest first.
    pub(crate) async fn matching(&self, filter: EventFilter) -> Vec<EventId> {
        self.ledger().events(filter, all()).await.unwrap().into_iter().map(|record| record.id).collect()
    }

    pub(crate) async fn stats(&self, now: i64) -> Stats {
        self.ledger().stats(at(now)).await.unwrap()
    }

    /// All that is kept of events.
    pub(crate) async fn everything(&self) -> Vec<EventDetail> {
        let mut details = Vec::new();
        for id in self.matching(EventFilter::default()).await {
            details.push(self.event(id).await);
        }
        details
    }

    /// The refused requests that match, the oldest first, once the newest of all has this reason.
    pub(crate) async fn refused_up_to(&self, reason: &str, filter: RefusedFilter) -> Vec<RefusedRecord> {
        let newest = Page { after: None, limit: 1, order: Order::NewestFirst };
        for _ in 0..1000 {
            // Nobody is told when a refused request is kept: it is no promise that it is by now.
            let newest = self.ledger().refused(RefusedFilter::default(), newest).await.unwrap();
            if newest.first().is_some_and(|newest| newest.reason == reason) {
                return self.ledger().refused(filter, all()).await.unwrap();
            }
            tokio::time::sleep(Duration::from_millis(5)).await;
        }
        panic!("the refused request is not kept");
    }
}
