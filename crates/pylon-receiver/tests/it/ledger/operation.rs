//! What may be asked of a ledger, and how it is made up.

use proptest::collection::vec;
use proptest::prelude::*;
use proptest::sample::select;
use pylon_receiver::ledger::*;

const DESTINATIONS: [&str; 3] = ["app", "log", "other"];
const ENDPOINTS: [&str; 2] = ["main", "second"];
const KINDS: [&str; 4] = ["issue_new", "Issue.New", "ticket", ""];
pub(crate) const BODIES: [&[u8]; 5] = [
    b"{\"a\": \"100%\"}",
    b"\xff\0needle_",
    b"",
    b"{\"a\": 'needle'}",
    b"{\"issue_number\": \"#42\", \"issue_title\": \"100% \\u003cneedle\"}",
];
const CODES: [&str; 2] = ["signature_mismatch", "too_large"];

/// What is asked of a ledger. Times are seconds from the present one; events, deliveries and leases are named by their place among
/// all that there have been, as often round as it takes.
#[derive(Debug, Clone)]
pub(crate) enum Op {
    /// Time goes on, or the clock is set back.
    Wait(i64),
    Crash,
    Record {
        /// Tells it from others of the same moment, and puts it before or behind them; twice the same: the same event again.
        random: u8,
        endpoint: &'static str,
        name: &'static str,
        body: usize,
        is_parked: bool,
        key: Option<(&'static str, Option<u64>)>,
        deliveries: Vec<(&'static str, Option<&'static str>)>,
    },
    Claim {
        destination: &'static str,
        owner: u8,
        free: usize,
        ahead: usize,
        repeats_first: usize,
        most_repeats: usize,
        latest_first: bool,
        lease: u64,
        most_attempts: u32,
    },
    Settle {
        lease: usize,
        end: End,
        is_told: bool,
    },
    Renew {
        leases: Vec<usize>,
        length: u64,
    },
    Release(u8),
    Redeliver {
        event: usize,
        destination: Option<&'static str>,
    },
    Route {
        event: usize,
        deliveries: Vec<(&'static str, Option<&'static str>)>,
    },
    RedeliverDead(Vec<usize>),
    DropDead(Vec<usize>),
    Move(&'static str, &'static str),
    DropAll(&'static str),
    /// By an owner, what is older than so many seconds.
    Prune(u8, Option<u64>),
    Refuse {
        endpoint: Option<&'static str>,
        code: &'static str,
    },
    Events {
        filter: Asked,
        page: AskedPage,
    },
    Deliveries {
        filter: Asked,
        page: AskedPage,
    },
    RefusedRequests {
        filter: Asked,
        page: AskedPage,
    },
    Stats,
}

#[derive(Debug, Clone)]
pub(crate) enum End {
    Delivered,
    Retry { after: u64, counts: bool },
    Dead,
    Released,
}

/// A filter of any list: each takes from it what it knows.
#[derive(Debug, Clone)]
pub(crate) struct Asked {
    pub(crate) since: Option<i64>,
    pub(crate) until: Option<i64>,
    pub(crate) kind: Option<&'static str>,
    pub(crate) endpoint: Option<&'static str>,
    pub(crate) event_state: Option<EventState>,
    pub(crate) contains: Option<&'static str>,
    pub(crate) issue: Option<&'static str>,
    pub(crate) term: Option<&'static str>,
    pub(crate) event: Option<usize>,
    pub(crate) destination: Option<&'static str>,
    pub(crate) delivery_state: Option<DeliveryState>,
    pub(crate) code: Option<&'static str>,
    pub(crate) attempt_code: Option<&'static str>,
    pub(crate) died_before: Option<i64>,
}

#[derive(Debug, Clone)]
pub(crate) struct AskedPage {
    pub(crate) after: Option<usize>,
    pub(crate) limit: u32,
    pub(crate) order: Order,
}

/// Any operation.
pub(crate) fn operation() -> impl Strategy<Value = Op> {
    prop_oneof![
        4 => prop_oneof![4 => 0..20_i64, 1 => -40..0_i64, 1 => 20..200_i64].prop_map(Op::Wait),
        1 => Just(Op::Crash),
        12 => record(),
        12 => claim(),
        12 => (0..6_usize, end(), any::<bool>()).prop_map(|(lease, end, is_told)| Op::Settle { lease, end, is_told }),
        2 => (vec(0..6_usize, 0..4), 0..30_u64).prop_map(|(leases, length)| Op::Renew { leases, length }),
        1 => (1..3_u8).prop_map(Op::Release),
        3 => (0..8_usize, prop::option::of(destination()))
            .prop_map(|(event, destination)| Op::Redeliver { event, destination }),
        2 => (0..8_usize, vec((destination(), prop::option::of(select(&["a", "b"][..]))), 0..3))
            .prop_map(|(event, deliveries)| Op::Route { event, deliveries }),
        3 => vec(0..8_usize, 1..4).prop_map(Op::RedeliverDead),
        3 => vec(0..8_usize, 1..4).prop_map(Op::DropDead),
        2 => (destination(), select(&DESTINATIONS[..])).prop_map(|(from, to)| Op::Move(from, to)),
        1 => select(&DESTINATIONS[..]).prop_map(Op::DropAll),
        2 => (prop_oneof![4 => Just(1_u8), 1 => Just(2)], prop::option::weighted(0.9, 0..60_u64))
            .prop_map(|(owner, kept_for)| Op::Prune(owner, kept_for)),
        1 => (prop::option::of(select(&ENDPOINTS[..])), select(&CODES[..]))
            .prop_map(|(endpoint, code)| Op::Refuse { endpoint, code }),
        2 => (asked(), page()).prop_map(|(filter, page)| Op::Events { filter, page }),
        2 => (asked(), page()).prop_map(|(filter, page)| Op::Deliveries { filter, page }),
        1 => (asked(), page()).prop_map(|(filter, page)| Op::RefusedRequests { filter, page }),
        1 => Just(Op::Stats),
    ]
}

fn destination() -> impl Strategy<Value = &'static str> {
    // Mostly one, so that much meets there.
    prop_oneof![4 => Just(DESTINATIONS[0]), 1 => select(&DESTINATIONS[1..])]
}

fn record() -> impl Strategy<Value = Op> {
    let key = (select(&["a", "b"][..]), prop::option::of(0..60_u64));
    let order_key = prop::option::of(select(&["a", "b"][..]));
    let deliveries = (order_key.clone(), order_key, 0..6_u8).prop_map(|(one, other, choice)| match choice {
        0 => vec![],
        1 => vec![(DESTINATIONS[1], one), (DESTINATIONS[0], other)],
        2 => vec![(DESTINATIONS[0], one), (DESTINATIONS[2], other)],
        _ => vec![(DESTINATIONS[0], one)],
    });
    (
        prop_oneof![1 => 0..3_u8, 3 => any::<u8>()],
        select(&ENDPOINTS[..]),
        select(&KINDS[..]),
        0..BODIES.len(),
        prop::bool::weighted(0.1),
        prop::option::weighted(0.4, key),
        deliveries,
    )
        .prop_map(|(random, endpoint, name, body, is_parked, key, deliveries)| Op::Record {
            random,
            endpoint,
            name,
            body,
            is_parked,
            key,
            deliveries,
        })
}

fn claim() -> impl Strategy<Value = Op> {
    let most_attempts = prop_oneof![Just(1_u32), Just(2), Just(9)];
    let places = (0..5_usize, prop_oneof![2 => Just(0_usize), 1 => 1..4_usize]);
    let order = (prop_oneof![2 => Just(0_usize), 1 => 1..3_usize], 0..4_usize, prop::bool::weighted(0.2));
    (destination(), 1..3_u8, places, order, 0..30_u64, most_attempts).prop_map(
        |(destination, owner, (free, ahead), (repeats_first, most_repeats, latest_first), lease, most_attempts)| {
            Op::Claim {
                destination,
                owner,
                free,
                ahead,
                repeats_first,
                most_repeats,
                latest_first,
                lease,
                most_attempts,
            }
        },
    )
}

fn end() -> impl Strategy<Value = End> {
    prop_oneof![
        2 => Just(End::Delivered),
        3 => (0..60_u64, prop::bool::weighted(0.7)).prop_map(|(after, counts)| End::Retry { after, counts }),
        3 => Just(End::Dead),
        1 => Just(End::Released),
    ]
}

fn asked() -> impl Strategy<Value = Asked> {
    let time = || prop::option::weighted(0.2, -40..10_i64);
    (
        (time(), time(), time()),
        prop::option::weighted(0.2, select(&["ISSUE new", "ticket", ""][..])),
        prop::option::weighted(0.2, select(&ENDPOINTS[..])),
        prop::option::weighted(0.4, select(EventState::ALL)),
        prop::option::weighted(0.2, select(&["needle", "%", "_", "", "Needle", "'", "<needle", ":\"100%"][..])),
        (
            prop::option::weighted(0.1, select(&["42", "#42", "7"][..])),
            prop::option::weighted(0.1, select(&["#42", "4"][..])),
        ),
        prop::option::weighted(0.2, 0..8_usize),
        prop::option::weighted(0.2, destination()),
        prop::option::weighted(0.4, select(DeliveryState::ALL)),
        (
            prop::option::weighted(0.2, select(&CODES[..])),
            prop::option::weighted(0.2, select(&["exit_0", "exit_1", "interrupted", "none", "exit", "a\0"][..])),
        ),
    )
        .prop_map(
            |(
                (since, until, died_before),
                kind,
                endpoint,
                event_state,
                contains,
                (issue, term),
                event,
                destination,
                delivery_state,
                (code, attempt_code),
            )| Asked {
                since,
                until,
                kind,
                endpoint,
                event_state,
                contains,
                issue,
                term,
                event,
                destination,
                delivery_state,
                code,
                attempt_code,
                died_before,
            },
        )
}

fn page() -> impl Strategy<Value = AskedPage> {
    let limit = prop_oneof![Just(1_u32), Just(3), Just(100)];
    (prop::option::weighted(0.3, 0..8_usize), limit, select(&[Order::OldestFirst, Order::NewestFirst][..]))
        .prop_map(|(after, limit, order)| AskedPage { after, limit, order })
}
