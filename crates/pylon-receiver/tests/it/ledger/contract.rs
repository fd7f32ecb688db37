//! What every implementation promises: one test a promise, made for it by [`contract`].

pub(crate) mod answer;
pub(crate) mod claim;
pub(crate) mod clock;
pub(crate) mod interrupt;
pub(crate) mod keep;
pub(crate) mod list;
pub(crate) mod order;
pub(crate) mod orders;
pub(crate) mod prune;
pub(crate) mod reassign;
pub(crate) mod record;
pub(crate) mod redeliver;
pub(crate) mod repeat;
pub(crate) mod settle;
pub(crate) mod wake;

pub(crate) use super::by_hand::{ByHand, another_order, new_order};
use pylon_receiver::ledger::*;
use pylon_receiver::{DeliveryId, EventId, Headers, Moment, WallClock};
use pylon_webhooks::testing::verified;
use pylon_webhooks::{EventKind, Payload};
use std::collections::HashMap;
use std::path::PathBuf;
use std::sync::atomic::{AtomicI64, Ordering};
use std::sync::{Arc, Mutex};
use std::time::Duration;

/// How many refused requests the ledgers under test keep.
pub(crate) const REFUSED: usize = 5;

/// A clock that stands where the test puts it. Clones are the same clock.
#[derive(Debug, Clone)]
pub(crate) struct Hands {
    now: Arc<AtomicI64>,
    /// Where the time is written as well, for clocks that others read.
    copies: Arc<Mutex<Vec<PathBuf>>>,
}

impl Hands {
    /// A clock at the second in which the tests begin.
    pub(crate) fn new() -> Self {
        Self { now: Arc::new(AtomicI64::new(at(0).unix_milliseconds())), copies: Arc::default() }
    }

    pub(crate) fn set(&self, moment: Moment) {
        self.now.store(moment.unix_milliseconds(), Ordering::SeqCst);
        self.write();
    }

    /// Writes the time into this file from now on, in milliseconds.
    pub(crate) fn copy_to(&self, file: PathBuf) {
        self.copies.lock().unwrap().push(file);
        self.write();
    }

    /// In one step, so that nobody reads half of it.
    fn write(&self) {
        for file in &*self.copies.lock().unwrap() {
            let new = file.with_extension("new");
            std::fs::write(&new, self.now().unix_milliseconds().to_string()).unwrap();
            std::fs::rename(&new, file).unwrap();
        }
    }
}

impl WallClock for Hands {
    fn now(&self) -> Moment {
        Moment::from_unix_milliseconds(self.now.load(Ordering::SeqCst))
    }
}

/// An implementation under test.
pub(crate) trait Subject: Send + 'static {
    /// Whether this machine has what it needs; where not, the tests say so and pass.
    fn is_here() -> bool {
        true
    }

    /// A new and empty ledger that goes by this clock and keeps [`REFUSED`] refused requests.
    fn fresh(clock: Hands) -> impl Future<Output = Self> + Send;

    /// The ledger.
    fn ledger(&self) -> Arc<dyn Ledger>;

    /// Another handle of the same ledger, as another receiver would have it; the same handle if the ledger allows one only.
    fn second(&self) -> Arc<dyn Ledger>;

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
                the_same_event_again_is_stored_again_and_changes_nothing
                an_event_whose_key_outlives_it_is_not_kept_a_second_time
                an_event_that_has_passed_the_ledger_is_not_kept_again
                a_caller_that_lost_its_answer_may_ask_again
                a_duplicate_names_the_kept_event_and_is_not_kept
                a_key_counts_at_its_endpoint_alone
                a_key_is_remembered_until_its_expiry_which_a_duplicate_does_not_prolong
                an_event_whose_key_has_passed_to_another_is_stored_all_the_same
                a_key_without_expiry_is_remembered_as_long_as_its_event
                a_key_with_expiry_is_remembered_even_without_its_event
                of_many_at_once_with_one_key_one_is_kept
                a_caller_who_stops_waiting_has_it_kept_all_the_same
                what_is_handed_over_is_kept_in_its_order_and_each_is_answered
                what_is_handed_over_twice_is_kept_once
            ]
            claim: [
                the_longest_due_comes_first_and_of_equals_the_first_made
                no_more_than_the_limit_are_leased
                only_what_is_due_at_this_destination_is_leased
                what_is_leased_comes_with_its_event_and_its_age
                no_two_leases_have_one_token
                next_due_is_when_something_will_be_due
                a_filled_claim_says_to_come_again
                bodies_that_are_leased_ahead_are_bounded
                many_claimers_never_get_the_same_delivery
            ]
            repeat: [
                what_has_failed_goes_behind_what_is_new
                what_an_operator_ordered_goes_behind_what_is_new
                what_was_interrupted_once_is_as_new_as_before
                as_many_repeats_as_the_claim_puts_first_go_first
                a_suspect_among_those_that_go_first_waits_for_a_free_slot
                the_latest_of_what_is_new_goes_first_where_that_is_asked
                within_a_line_nothing_new_overtakes_a_repeat
                the_next_repeat_is_told_as_well
            ]
            interrupt: [
                a_lease_that_ran_out_is_due_again_since_it_was
                the_first_interruption_costs_nothing
                what_was_interrupted_is_never_leased_ahead
                a_filled_claim_tells_of_those_that_it_passed_over
                what_is_interrupted_again_and_again_is_dead
                the_exhausted_make_room_for_others_and_let_those_behind_them_go
                what_an_owner_gives_back_is_no_interruption
                what_an_owner_gives_back_another_one_has_at_once
            ]
            settle: [
                a_delivered_one_is_finished
                a_retry_waits_for_its_delay_and_keeps_its_count
                an_attempt_that_does_not_count_has_a_number
                a_dead_one_has_its_reason_and_is_leased_no_more
                a_released_one_is_due_as_before_and_costs_no_attempt
                a_released_one_keeps_its_place_and_its_reason
                a_released_attempt_may_be_logged_and_its_entry_is_replaced
                attempts_are_logged_in_their_order
                a_stale_lease_is_fenced_and_changes_nothing
                a_lease_settles_once
                a_lease_that_ran_out_settles_while_nobody_has_asked_for_its_delivery
                a_renewed_lease_holds_longer
                a_lost_lease_is_not_renewed
                settlements_and_a_claim_share_an_exchange
            ]
            answer: [
                an_attempt_keeps_its_code_and_its_answer_byte_for_byte
                a_delivery_has_the_code_of_its_last_failure_until_it_is_delivered
                of_many_answers_the_first_and_the_last_are_kept
                what_never_ended_has_a_code_of_its_own
                the_dead_are_told_in_groups
                what_becomes_of_the_dead_changes_their_groups
                deliveries_are_listed_by_their_code
            ]
            clock: [
                no_retry_waits_longer_than_its_delay
                a_step_back_between_two_starts_holds_up_nothing
                what_is_recorded_after_a_step_back_is_due_at_once
                no_lease_lasts_longer_than_its_length
                no_deduplication_key_lasts_longer_than_its_time
                the_due_time_that_is_shown_goes_by_the_clock_as_it_is
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
            wake: [
                whatever_makes_something_due_wakes_its_destination
                what_is_not_due_wakes_nobody
                a_listener_that_is_far_behind_is_told_to_look_everywhere
            ]
            redeliver: [
                an_event_is_redelivered_to_every_destination_that_it_went_to
                an_event_is_redelivered_to_a_given_destination
                a_dead_delivery_of_a_redelivered_event_is_redelivered
                the_dead_of_other_destinations_stay_dead
                parked_and_unrouted_events_go_where_they_are_sent
                events_that_went_nowhere_are_routed_once
                unknown_events_are_passed_over
                each_dead_delivery_is_redelivered_in_its_place
                what_is_not_dead_is_neither_redelivered_nor_dropped
                a_dropped_delivery_is_given_up_for_good
                a_redelivery_is_not_swallowed_by_deduplication
            ]
            orders: [
                an_order_is_listed_from_its_begin_to_its_end
                of_many_with_one_key_at_once_one_begins
                what_an_order_makes_moves_or_drops_names_it
                nothing_is_done_of_an_order_that_is_over
                an_order_without_a_word_for_its_lease_is_broken_off
                after_a_cancel_nothing_more_is_done
                an_event_that_no_destination_takes_is_counted
                pages_of_orders_go_from_either_end
                the_dead_are_told_apart_by_when_they_died
            ]
            reassign: [
                everything_left_of_a_destination_goes_to_another
                what_is_moved_keeps_what_is_known_of_it
                a_line_that_is_moved_keeps_its_order
                in_a_line_that_two_destinations_share_the_first_made_goes_first
                nothing_overtakes_an_attempt_in_progress
                what_is_being_attempted_stays_with_its_line
                everything_left_of_a_destination_is_dropped
                many_are_moved_or_dropped_a_limited_number_at_a_call
                nothing_is_done_where_nothing_is_left
            ]
            prune: [                what_is_unfinished_or_dead_is_spared
                an_event_as_old_as_the_bound_is_spared
                many_are_forgotten_a_limited_number_at_a_call
                what_was_spared_is_forgotten_once_it_is_done
                nothing_of_a_forgotten_event_is_left
                one_owner_prunes_and_another_takes_over
            ]
            list: [
                each_filter_of_events_alone
                filters_of_events_together
                text_in_bodies_is_found_however_json_writes_it
                an_issue_is_found_by_its_number_or_its_id
                an_event_is_found_by_each_of_its_terms
                terms_are_found_among_many_page_by_page
                what_is_forgotten_is_found_no_more_and_what_comes_is
                a_search_in_parts_finds_everything_once
                what_a_list_shows_of_an_issue_is_bounded
                an_event_is_found_by_the_beginning_or_the_end_of_its_id
                each_filter_of_deliveries_alone_and_together
                pages_have_no_gaps_and_no_repeats
                pages_go_on_undisturbed_while_events_come_in
                pages_of_deliveries_go_through_the_numbers_of_an_event
                refused_requests_by_endpoint_and_code
                of_an_event_with_many_deliveries_and_attempts_the_newest_are_told
                stats_count_what_there_is
            ]
            keep: [
                everything_is_there_after_a_crash
                a_crash_frees_leases_and_fences_those_who_had_them
                whatever_comes_after_closing_is_refused
                a_closed_ledger_opens_with_everything
                the_newest_refused_requests_are_kept
                a_flood_of_one_kind_pushes_out_no_other
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
                    use $crate::ledger::contract::{Desk, Subject, $module};
                    if !<$subject>::is_here() {
                        return;
                    }
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
        name: "issue_new".into(),
        kind: Some("issue_new".into()),
        method: "POST".into(),
        target: "/pylon".into(),
        query: None,
        headers: Headers::from_stored("content-type: application/json\n"),
        passed: Vec::new(),
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
    fn named(self, name: &str) -> Self;
    fn with_body(self, body: impl AsRef<[u8]>) -> Self;
    fn parked(self, reason: &str) -> Self;
    fn keyed(self, key: &str, lasts: Option<u64>) -> Self;
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

    fn named(mut self, name: &str) -> Self {
        self.name = name.into();
        self.kind = EventKind::from_name(name).map(|kind| kind.name().into());
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

    fn keyed(mut self, key: &str, lasts: Option<u64>) -> Self {
        self.deduplication = Some(DeduplicationKey { key: key.into(), lasts: lasts.map(Duration::from_secs) });
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

/// What is asked of a ledger at a second after the tests begin.
#[derive(Debug, Clone)]
pub(crate) struct Ask {
    pub(crate) now: i64,
    pub(crate) destination: Arc<str>,
    pub(crate) owner: Owner,
    /// In seconds.
    pub(crate) lease: u64,
    pub(crate) free: usize,
    pub(crate) ahead: usize,
    pub(crate) ahead_bytes: usize,
    pub(crate) repeats_first: usize,
    pub(crate) most_repeats: usize,
    pub(crate) latest_first: bool,
    pub(crate) most_attempts: u32,
}

/// A claim of everything that is due now at "app": leased for a minute, ten attempts.
pub(crate) fn claim(now: i64) -> Ask {
    Ask {
        now,
        destination: "app".into(),
        owner: owner(1),
        lease: 60,
        free: 100,
        ahead: 0,
        ahead_bytes: 1 << 20,
        repeats_first: 0,
        most_repeats: 100,
        latest_first: false,
        most_attempts: 10,
    }
}

/// An owner; the number tells it from others.
pub(crate) fn owner(number: u8) -> Owner {
    Owner::random(&move |bytes: &mut [u8]| bytes.fill(number))
}

impl Ask {
    pub(crate) fn claim(&self) -> Claim {
        let &Self { owner, free, ahead, ahead_bytes, repeats_first, most_repeats, latest_first, most_attempts, .. } =
            self;
        let lease = Duration::from_secs(self.lease);
        Claim { owner, lease, free, ahead, ahead_bytes, repeats_first, most_repeats, latest_first, most_attempts }
    }

    pub(crate) fn exchange(&self) -> Exchange {
        Exchange { destination: self.destination.clone(), settlements: Vec::new(), claim: Some(self.claim()) }
    }
}

/// What was leased, and when to ask again.
#[derive(Debug)]
pub(crate) struct Got {
    pub(crate) deliveries: Vec<LeasedDelivery>,
    pub(crate) exhausted: Vec<DeliveryId>,
    pub(crate) next_due: Option<Moment>,
    pub(crate) suspects_wait: bool,
}

/// What is logged of an attempt; it took a second and a half.
pub(crate) fn attempt(status: i32, detail: &str) -> NewAttempt {
    let code = format!("http_{status}").into();
    NewAttempt { took: Duration::from_millis(1500), status: Some(status), detail: detail.into(), code, answer: None }
}

/// A retry after this many seconds.
pub(crate) fn retry(seconds: u64) -> Verdict {
    Verdict::Retry { after: Duration::from_secs(seconds), counts: true }
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

/// The ids of what was leased, in its order.
pub(crate) fn ids(got: &Got) -> Vec<DeliveryId> {
    got.deliveries.iter().map(|leased| leased.lease.delivery).collect()
}

/// The event, whose deliveries name no orders: these stay behind when a ledger is moved.
pub(crate) fn without_orders(mut event: EventDetail) -> EventDetail {
    event.deliveries.iter_mut().for_each(|(record, _)| record.order = None);
    event
}

/// A ledger under test, and what is asked of it everywhere. Every question comes at a second after the tests begin.
pub(crate) struct Desk<S> {
    subject: S,
    clock: Hands,
    /// Where each lease belongs.
    leased: Mutex<HashMap<Lease, Arc<str>>>,
}

impl<S: Subject> Desk<S> {
    pub(crate) async fn open() -> Self {
        let clock = Hands::new();
        Self { subject: S::fresh(clock.clone()).await, clock, leased: Mutex::default() }
    }

    pub(crate) fn subject(&self) -> &S {
        &self.subject
    }

    pub(crate) fn ledger(&self) -> Arc<dyn Ledger> {
        self.subject.ledger()
    }

    /// The ledger as another receiver has it.
    pub(crate) fn second(&self) -> Arc<dyn Ledger> {
        self.subject.second()
    }

    pub(crate) async fn crash(&mut self) {
        self.subject.crash().await;
    }

    /// The ledger, at this second.
    #[track_caller]
    pub(crate) fn now(&self, seconds: i64) -> Arc<dyn Ledger> {
        assert!(at(seconds) >= self.clock.now(), "only `set_back` sets the clock back");
        self.clock.set(at(seconds));
        self.ledger()
    }

    pub(crate) fn set_back(&self, seconds: i64) {
        self.clock.set(at(seconds));
    }

    /// Keeps an event, which is no duplicate.
    pub(crate) async fn keep(&self, event: NewEvent) -> EventId {
        let id = event.id;
        assert_eq!(self.record(event).await, Recorded::Stored);
        id
    }

    /// Records an event when it arrives, or now if that is over.
    pub(crate) async fn record(&self, event: NewEvent) -> Recorded {
        self.clock.set(self.clock.now().max(event.id.received_at()));
        self.ledger().record(event).await.unwrap()
    }

    pub(crate) async fn claim(&self, ask: Ask) -> Got {
        let ledger = self.now(ask.now);
        let claimed = ledger.exchange(ask.exchange()).await.unwrap().claimed;
        let Claimed { deliveries, exhausted, next_due, suspects_wait } = claimed;
        let of = deliveries.iter().map(|leased| (leased.lease, ask.destination.clone()));
        self.leased.lock().unwrap().extend(of);
        Got { deliveries, exhausted, next_due: next_due.map(|left| at(ask.now).after(left)), suspects_wait }
    }

    /// The deliveries to "app" that are due now.
    pub(crate) async fn due(&self, now: i64) -> Vec<DeliveryId> {
        ids(&self.claim(claim(now)).await)
    }

    /// A lease of the one delivery to "app" that is due now.
    pub(crate) async fn take(&self, now: i64) -> LeasedDelivery {
        let got = self.claim(claim(now)).await;
        let [leased] = got.deliveries.try_into().expect("one delivery is due");
        leased
    }

    pub(crate) async fn settle(&self, lease: Lease, now: i64, verdict: Verdict) -> Settled {
        self.settle_with(lease, now, verdict, None).await
    }

    pub(crate) async fn settle_with(
        &self,
        lease: Lease,
        now: i64,
        verdict: Verdict,
        attempt: impl Into<Option<NewAttempt>>,
    ) -> Settled {
        let destination = self.leased.lock().unwrap().get(&lease).cloned().unwrap_or_else(|| "app".into());
        let settlements = vec![Settlement { lease, verdict, attempt: attempt.into() }];
        let exchange = Exchange { destination, settlements, claim: None };
        let [settled] = self.now(now).exchange(exchange).await.unwrap().settled.try_into().expect("one answer");
        settled
    }

    /// Has the one delivery to "app" that is due now end like this.
    pub(crate) async fn end(&self, now: i64, verdict: Verdict) -> DeliveryId {
        let lease = self.take(now).await.lease;
        assert_eq!(self.settle(lease, now, verdict).await, Settled::Recorded);
        lease.delivery
    }

    /// Has this delivery to "app", the only one due now, fail at no cost, to be tried again after this many seconds.
    pub(crate) async fn end_uncounted(&self, now: i64, after: u64, id: DeliveryId) {
        let got = self.claim(Ask { most_repeats: 0, ..claim(now) }).await;
        assert_eq!(ids(&got), [id]);
        let verdict = Verdict::Retry { after: Duration::from_secs(after), counts: false };
        assert_eq!(self.settle(got.deliveries[0].lease, now, verdict).await, Settled::Recorded);
    }

    /// Prunes, call for call, what is older than this many seconds; says how many it forgot.
    pub(crate) async fn prune(&self, now: i64, kept_for: u64) -> u64 {
        let prune = Prune { owner: owner(1), kept_for: Some(Duration::from_secs(kept_for)) };
        let mut forgotten = 0;
        for _ in 0..1000 {
            let Pruned::Here { events, more } = self.now(now).prune(prune).await.unwrap() else {
                panic!("nobody else prunes");
            };
            forgotten += events;
            if !more {
                return forgotten;
            }
        }
        panic!("there is always more");
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

    pub(crate) async fn groups(&self) -> Vec<DeadGroup> {
        self.ledger().dead_groups().await.unwrap()
    }

    pub(crate) async fn stats(&self, now: i64) -> Stats {
        self.now(now).stats().await.unwrap()
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
