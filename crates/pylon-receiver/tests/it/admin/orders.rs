//! Orders: what is done, to how many, and that they end.

use super::fake::{Admin, Mood, NOW, delivery, event, event_id};
use pylon_receiver::EventId;
use pylon_receiver::internals::Access;
use pylon_receiver::ledger::{
    DeliveryRecord, DeliveryState, DestinationStats, EventState, LedgerError, NewDelivery, Stats,
};
use serde_json::json;
use std::sync::atomic::Ordering;
use std::time::Duration;

fn orders(admin: &Admin) -> Vec<String> {
    admin.ledger.orders.lock().unwrap().clone()
}

fn with_dead(admin: Admin, count: i64) -> Admin {
    let states = [DeliveryState::Dead, DeliveryState::Delivered, DeliveryState::Waiting];
    let of_event = |seconds| (1..).zip(states).map(move |(number, state)| delivery(event_id(seconds), number, state));
    *admin.ledger.deliveries.lock().unwrap() = (1..=count).flat_map(of_event).collect();
    admin
}

#[tokio::test]
async fn events_are_redelivered_by_their_ids_each_once() {
    let admin = Admin::new(Access::Loopback).with_events(5);
    let (first, second) = (event_id(2), event_id(5));
    let body = json!({ "ids": [first, second, first] }).to_string();
    let answer = admin.post("/api/events/redeliver", &body).await;
    assert_eq!(answer.result(), json!({ "matched": 2, "redelivered": 2 }));
    assert_eq!(orders(&admin), ["redeliver 2 to all"]);
    assert_eq!(*admin.ledger.redelivered.lock().unwrap(), [first, second]);
}

#[tokio::test]
async fn an_order_that_names_what_it_cannot_select_is_refused_as_a_whole() {
    let admin = with_dead(Admin::new(Access::Loopback).with_events(2), 2);
    let unknown = event_id(77);
    let of = |number: u32| format!("{}.{number}", event_id(1));
    let cases = [
        (
            "/api/events/redeliver",
            json!({ "ids": [event_id(1), unknown] }),
            format!(
                "unknown event: expected one that is kept, found none with the id {unknown}; it may have been pruned; nothing was redelivered"
            ),
        ),
        (
            "/api/events/redeliver",
            json!({ "ids": [unknown], "destination": "app", "dry_run": true }),
            format!(
                "unknown event: expected one that is kept, found none with the id {unknown}; it may have been pruned; nothing was redelivered"
            ),
        ),
        (
            "/api/dead/redeliver",
            json!({ "ids": [of(1), of(9)] }),
            format!(
                "unknown delivery: expected one that is kept, found none with the id {}; it may have been pruned; nothing was redelivered",
                of(9)
            ),
        ),
        (
            "/api/dead/redeliver",
            json!({ "ids": [of(1), of(2)] }),
            format!("not a dead delivery: expected one, found that {} is delivered; nothing was redelivered", of(2)),
        ),
        (
            "/api/dead/drop",
            json!({ "ids": [of(3)] }),
            format!("not a dead delivery: expected one, found that {} is waiting; nothing was dropped", of(3)),
        ),
    ];
    for (target, order, message) in cases {
        admin.post(target, &order.to_string()).await.refused(404, "not_found", &message);
    }
    assert_eq!(orders(&admin), [""; 0]);
}

#[tokio::test]
async fn what_went_nowhere_is_redelivered_to_those_that_would_take_it_now() {
    let admin = Admin::new(Access::Loopback);
    let unrouted = |seconds, name: &str, body: &str| {
        let mut event = event(event_id(seconds), name, body.as_bytes());
        event.record.state = EventState::Unrouted;
        event
    };
    let issue = r#"{"event_type": "issue_new", "issue_number": "7"}"#;
    let mut parked = unrouted(1, "", "not JSON");
    (parked.record.state, parked.record.parked) = (EventState::Parked, Some("not JSON".to_owned()));
    let events = [
        event(event_id(5), "issue_new", issue.as_bytes()),
        unrouted(4, "issue_new", issue),
        unrouted(3, "ticket.created", "{}"),
        unrouted(2, "issue_new", "{}"),
        parked,
    ];
    *admin.ledger.events.lock().unwrap() = events.to_vec();
    let answer = admin.post("/api/events/redeliver", "{\"all\":true}").await;
    assert_eq!(answer.result(), json!({ "matched": 5, "redelivered": 3, "unrouted": 2 }));
    assert_eq!(orders(&admin), ["redeliver 1 to all", "route 2"]);
    assert_eq!(*admin.ledger.redelivered.lock().unwrap(), [event_id(5)]);
    let to = |order_key: Option<&str>| NewDelivery { destination: "app".into(), order_key: order_key.map(Into::into) };
    let expected = [(event_id(4), vec![to(Some("7"))]), (event_id(2), vec![to(None)])];
    assert_eq!(*admin.ledger.routed.lock().unwrap(), expected);

    // By id it is the same; to a destination that is named, everything goes.
    let answer = admin.post("/api/events/redeliver", &json!({ "ids": [event_id(3)] }).to_string()).await;
    assert_eq!(answer.result(), json!({ "matched": 1, "redelivered": 0, "unrouted": 1 }));
    let answer = admin.post("/api/events/redeliver", "{\"all\":true,\"destination\":\"app\"}").await;
    assert_eq!(answer.result(), json!({ "matched": 5, "redelivered": 5 }));
    let answer = admin.post("/api/events/redeliver", "{\"all\":true,\"dry_run\":true}").await;
    assert_eq!(answer.result(), json!({ "matched": 5, "redelivered": 0 }));
}

#[tokio::test]
async fn an_order_about_a_destination_that_nobody_knows_is_refused_with_the_nearest_name() {
    let admin = with_dead(Admin::new(Access::Loopback), 1);
    let left = DestinationStats { destination: "removed".to_owned(), dead: 1, ..DestinationStats::default() };
    *admin.ledger.stats.lock().unwrap() = Stats { destinations: vec![left], ..Stats::default() };
    for (name, advice) in [("ap", "; did you mean `app`?"), ("remuved", "; did you mean `removed`?"), ("other", "")] {
        let order = json!({ "filter": { "destination": name } }).to_string();
        for target in ["/api/dead/redeliver", "/api/dead/drop"] {
            let message = format!(
                "malformed field filter.destination: expected a destination that is configured or has deliveries, found `{name}`{advice}"
            );
            admin.post(target, &order).await.refused(400, "bad_request", &message);
        }
    }
    let order = json!({ "filter": { "destination": "removed" } }).to_string();
    assert_eq!(admin.post("/api/dead/drop", &order).await.result(), json!({ "matched": 0, "dropped": 0 }));
    assert_eq!(orders(&admin), [""; 0]);
}

#[tokio::test]
async fn a_kind_may_be_named_by_its_type() {
    let admin = Admin::new(Access::Loopback).with_events(2);
    let order = json!({ "filter": { "kind": "IssueNewEvent" }, "dry_run": true }).to_string();
    assert_eq!(admin.post("/api/events/redeliver", &order).await.json(200)["matched"], 2);
    let listed = admin.get("/api/events?kind=IssueNewEvent").await.json(200);
    assert_eq!(listed["events"].as_array().unwrap().len(), 2);
    assert_eq!(admin.get("/api/events?kind=MessageNewEvent").await.json(200)["events"], json!([]));
}

#[tokio::test]
async fn events_are_redelivered_to_one_destination() {
    let admin = Admin::new(Access::Loopback).with_events(5);
    let answer = admin.post("/api/events/redeliver", "{\"all\":true,\"destination\":\"archive\"}").await;
    assert_eq!(answer.result(), json!({ "matched": 5, "redelivered": 5 }));
    assert_eq!(orders(&admin), ["redeliver 5 to archive"]);
}

#[tokio::test]
async fn what_matches_a_filter_is_redelivered_from_the_oldest_on_batch_by_batch() {
    let admin = Admin::new(Access::Loopback).with_events(1201);
    for body in ["{\"all\":true}", "{\"all\":true,\"filter\":{}}", "{\"filter\":{\"kind\":\"issue_new\"}}"] {
        admin.ledger.orders.lock().unwrap().clear();
        admin.ledger.redelivered.lock().unwrap().clear();
        let answer = admin.post("/api/events/redeliver", body).await;
        assert_eq!(answer.result(), json!({ "matched": 1201, "redelivered": 1201 }));
        assert_eq!(orders(&admin), ["redeliver 500 to all", "redeliver 500 to all", "redeliver 201 to all"]);
        let oldest_first: Vec<EventId> = (1..=1201).rev().map(event_id).collect();
        assert_eq!(*admin.ledger.redelivered.lock().unwrap(), oldest_first);
    }
}

#[tokio::test]
async fn a_filter_narrows_also_beside_all() {
    let admin = Admin::new(Access::Loopback).with_events(10);
    let since = event_id(3).received_at();
    for all in [json!(null), json!(true)] {
        let body = json!({ "all": all, "filter": { "since": since, "until": event_id(1).received_at() } });
        let answer = admin.post("/api/events/redeliver", &body.to_string()).await;
        assert_eq!(answer.result(), json!({ "matched": 2, "redelivered": 2 }));
    }
}

#[tokio::test]
async fn what_came_in_after_the_order_is_not_redelivered() {
    let admin = Admin::new(Access::Loopback).with_events(2);
    let ids = [event_id(0), event_id(-1)];
    admin.ledger.events.lock().unwrap().extend(ids.map(|id| event(id, "issue_new", b"{}")));
    let last_of_all = json!({ "filter": { "until": "2099-01-01T00:00:00Z" } }).to_string();
    for body in ["{\"all\":true}", &last_of_all] {
        let answer = admin.post("/api/events/redeliver", body).await;
        assert_eq!(answer.result(), json!({ "matched": 3, "redelivered": 3 }));
    }
    assert_eq!(ids[0].received_at(), NOW);
}

#[tokio::test]
async fn a_dry_run_counts_and_does_nothing() {
    let admin = with_dead(Admin::new(Access::Loopback).with_events(501), 501);
    for (target, verb, matched) in [
        ("/api/events/redeliver", "redelivered", 501),
        ("/api/dead/redeliver", "redelivered", 501),
        ("/api/dead/drop", "dropped", 501),
    ] {
        let answer = admin.post(target, "{\"all\":true,\"dry_run\":true}").await;
        assert_eq!(answer.result(), json!({ "matched": matched, verb: 0 }));
    }
    let ids = json!({ "ids": [event_id(1)], "dry_run": true }).to_string();
    assert_eq!(admin.post("/api/events/redeliver", &ids).await.result(), json!({ "matched": 1, "redelivered": 0 }));
    assert_eq!(orders(&admin), [""; 0]);
}

#[tokio::test]
async fn an_order_about_nothing_does_nothing() {
    let admin = Admin::new(Access::Loopback);
    for (target, verb) in [
        ("/api/events/redeliver", "redelivered"),
        ("/api/dead/redeliver", "redelivered"),
        ("/api/dead/drop", "dropped"),
    ] {
        for body in ["{\"ids\":[]}", "{\"all\":true}"] {
            assert_eq!(admin.post(target, body).await.result(), json!({ "matched": 0, verb: 0 }));
        }
    }
    assert_eq!(orders(&admin), [""; 0]);
}

#[tokio::test]
async fn dead_deliveries_are_redelivered_and_dropped_and_no_others() {
    let admin = with_dead(Admin::new(Access::Loopback), 3);
    let ids = json!({ "ids": [format!("{}.1", event_id(1))] });
    let answer = admin.post("/api/dead/redeliver", &ids.to_string()).await;
    assert_eq!(answer.result(), json!({ "matched": 1, "redelivered": 1 }));
    let answer = admin.post("/api/dead/drop", &json!({ "filter": { "event": event_id(2) } }).to_string()).await;
    assert_eq!(answer.result(), json!({ "matched": 1, "dropped": 1 }));
    let answer = admin.post("/api/dead/drop", "{\"filter\":{\"destination\":\"archive\"}}").await;
    assert_eq!(answer.result(), json!({ "matched": 0, "dropped": 0 }));
    let answer = admin.post("/api/dead/drop", "{\"filter\":{\"state\":\"dead\",\"destination\":\"app\"}}").await;
    assert_eq!(answer.result(), json!({ "matched": 1, "dropped": 1 }));
    assert_eq!(orders(&admin), ["redeliver dead 1", "drop 1", "drop 1"]);
    let states = |state| admin.ledger.deliveries.lock().unwrap().iter().filter(|one| one.state == state).count();
    assert_eq!((states(DeliveryState::Delivered), states(DeliveryState::Dead)), (3, 0));
}

#[tokio::test]
async fn an_order_ends_although_what_it_redelivers_dies_at_once() {
    let admin = with_dead(Admin::new(Access::Loopback), 0);
    // One event, as many dead deliveries as fill a batch: what the order makes stands behind them.
    let id = event_id(1);
    *admin.ledger.deliveries.lock().unwrap() =
        (1..=500).map(|number| delivery(id, number * 10, DeliveryState::Dead)).collect();
    admin.ledger.redelivers_die.store(true, Ordering::Relaxed);
    let answer = admin.post("/api/dead/redeliver", "{\"all\":true}").await;
    assert_eq!(answer.result(), json!({ "matched": 500, "redelivered": 500 }));
}

#[tokio::test]
async fn a_dead_redelivery_is_selected_by_its_id_after_the_clock_was_set_back() {
    let id = event_id(1);
    for (target, verb) in [("/api/dead/redeliver", "redelivered"), ("/api/dead/drop", "dropped")] {
        let admin = with_dead(Admin::new(Access::Loopback), 0);
        let created_at = NOW.after(Duration::from_secs(3600));
        let dead = delivery(id, 2, DeliveryState::Dead);
        *admin.ledger.deliveries.lock().unwrap() = vec![DeliveryRecord { redelivery_of: Some(1), created_at, ..dead }];
        let body = json!({ "ids": [format!("{id}.2")] }).to_string();
        assert_eq!(admin.post(target, &body).await.result(), json!({ "matched": 1, verb: 1 }));
    }
}

#[tokio::test]
async fn an_order_that_fails_on_its_way_tells_how_far_it_came() {
    let admin = Admin::new(Access::Loopback).with_events(1201);
    *admin.ledger.mood.lock().unwrap() = Mood::FailingAfter(2, LedgerError::Full);
    let message = "the ledger is full: expected room for more, found none; make room where it is stored; 1000 were redelivered before that";
    admin.post("/api/events/redeliver", "{\"all\":true}").await.refused(503, "ledger_full", message);
}

/// Three deliveries of a destination that is gone, of three states, and one that is being attempted.
fn with_orphans(admin: Admin) -> Admin {
    use DeliveryState::{Dead, Delivered, Delivering, Held, Waiting};
    let orphan =
        |(number, state)| DeliveryRecord { destination: "gone".into(), ..delivery(event_id(1), number, state) };
    let orphans = (1..).zip([Waiting, Held, Dead, Delivering, Delivered]).map(orphan);
    admin.ledger.deliveries.lock().unwrap().extend(orphans);
    let stats = |name: &str, [waiting, held, delivering, dead]: [u64; 4]| DestinationStats {
        destination: name.into(),
        waiting,
        held,
        delivering,
        dead,
        oldest_due_at: None,
    };
    let destinations = vec![stats("app", [9, 0, 0, 0]), stats("gone", [1, 1, 1, 1])];
    *admin.ledger.stats.lock().unwrap() = Stats { destinations, ..Stats::default() };
    admin
}

fn destinations_and_states(admin: &Admin) -> Vec<(String, &'static str)> {
    let deliveries = admin.ledger.deliveries.lock().unwrap();
    deliveries.iter().map(|delivery| (delivery.destination.clone(), delivery.state.name())).collect()
}

#[tokio::test]
async fn what_is_left_of_a_destination_is_moved_call_after_call() {
    let admin = with_orphans(Admin::new(Access::Loopback));
    let answer = admin.post("/api/deliveries/move", r#"{"from":"gone","to":"archive"}"#).await;
    assert_eq!(answer.result(), json!({ "matched": 4, "moved": 3 }));
    assert_eq!(orders(&admin), vec!["move from gone to archive"; 3]);
    let expected = [
        ("archive", "waiting"),
        ("archive", "held"),
        ("archive", "dead"),
        ("gone", "delivering"),
        ("gone", "delivered"),
    ];
    assert_eq!(destinations_and_states(&admin), expected.map(|(destination, state)| (destination.to_owned(), state)));
}

#[tokio::test]
async fn what_is_left_of_a_destination_is_dropped_call_after_call() {
    let admin = with_orphans(Admin::new(Access::Loopback));
    let answer = admin.post("/api/deliveries/drop", r#"{"destination":"gone"}"#).await;
    assert_eq!(answer.result(), json!({ "matched": 4, "dropped": 3 }));
    assert_eq!(orders(&admin), vec!["drop all of gone"; 3]);
    let states: Vec<_> = destinations_and_states(&admin).into_iter().map(|(_, state)| state).collect();
    assert_eq!(states, ["dropped", "dropped", "dropped", "delivering", "delivered"]);
}

#[tokio::test]
async fn a_dry_run_about_a_destination_counts_and_does_nothing() {
    let admin = with_orphans(Admin::new(Access::Loopback));
    for (target, body, verb) in [
        ("/api/deliveries/move", r#"{"from":"gone","to":"archive","dry_run":true}"#, "moved"),
        ("/api/deliveries/drop", r#"{"destination":"gone","dry_run":true}"#, "dropped"),
    ] {
        assert_eq!(admin.post(target, body).await.result(), json!({ "matched": 4, verb: 0 }));
    }
    assert_eq!(orders(&admin), [""; 0]);
}

#[tokio::test]
async fn a_ledger_that_fails_half_way_through_a_move_is_told_with_what_was_done() {
    let admin = with_orphans(Admin::new(Access::Loopback));
    *admin.ledger.mood.lock().unwrap() = Mood::FailingAfter(1, LedgerError::Full);
    let answer = admin.post("/api/deliveries/move", r#"{"from":"gone","to":"archive"}"#).await;
    answer.refused(503, "ledger_full", &format!("{}; 2 were moved before that", LedgerError::Full));
}

/// A ledger file that no receiver serves may be changed, where it may be written: nobody knows which destinations there will be.
#[tokio::test]
async fn without_a_receiver_any_name_will_do() {
    let admin = with_orphans(Admin::reading());
    let answer = admin.post("/api/deliveries/move", r#"{"from":"gone","to":"anywhere"}"#).await;
    assert_eq!(answer.result(), json!({ "matched": 4, "moved": 3 }));
    let answer = admin.post("/api/deliveries/drop", r#"{"destination":"app"}"#).await;
    assert_eq!(answer.result(), json!({ "matched": 9, "dropped": 0 }));
    let blank = "malformed field to: expected a name, found a blank one";
    admin.post("/api/deliveries/move", r#"{"from":"gone","to":" "}"#).await.refused(400, "bad_request", blank);
    *admin.ledger.mood.lock().unwrap() = Mood::FailingAfter(0, LedgerError::ReadOnly);
    let answer = admin.post("/api/deliveries/drop", r#"{"destination":"gone"}"#).await;
    answer.refused(503, "ledger_read_only", &format!("{}; 0 were dropped before that", LedgerError::ReadOnly));
}
