//! Whether the process lives, and whether it keeps its promises.

use super::fake::{Admin, Mood, spooling};
use pylon_receiver::Role;
use pylon_receiver::internals::Access;
use pylon_receiver::ledger::{LedgerError, SpoolStatus};
use pylon_test_support::log::logged;
use serde_json::json;
use std::sync::atomic::Ordering;
use std::time::Duration;
use zeroize::Zeroizing;

/// A check holds no longer.
const CHECK_HOLDS: Duration = Duration::from_secs(1);

#[tokio::test]
async fn a_receiver_that_keeps_its_promises_is_live_and_ready() {
    let admin = Admin::new(Access::Loopback);
    assert_eq!(admin.get("/livez").await.json(200), json!({ "status": "live" }));
    assert_eq!(admin.get("/readyz").await.json(200), json!({ "status": "ready", "role": "accept_and_deliver" }));
    let head = admin.send("HEAD", "/livez", &[("host", "localhost")], "").await;
    assert_eq!((head.status.as_u16(), head.text()), (200, ""));
}

#[tokio::test(start_paused = true)]
async fn every_promise_that_is_not_met_is_told() {
    let admin = Admin::new(Access::Loopback);
    *admin.running.unmet.lock().unwrap() = vec!["endpoint support has no secret".to_owned()];
    let unmet =
        json!({ "status": "not_ready", "role": "accept_and_deliver", "unmet": ["endpoint support has no secret"] });
    assert_eq!(admin.get("/readyz").await.json(503), unmet);
    *admin.ledger.mood.lock().unwrap() = Mood::Failing(LedgerError::Full);
    tokio::time::advance(CHECK_HOLDS).await;
    let full = "the ledger is full: expected room for more, found none; make room where it is stored";
    *admin.running.role.lock().unwrap() = Role::Deliver;
    let unmet = json!({ "status": "not_ready", "role": "deliver", "unmet": [full, "endpoint support has no secret"] });
    assert_eq!(admin.get("/readyz").await.json(503), unmet);
    assert_eq!(admin.get("/livez").await.json(200), json!({ "status": "live" }));
}

#[tokio::test(start_paused = true)]
async fn a_ledger_that_never_answers_is_told_in_time() {
    let admin = Admin::new(Access::Loopback);
    *admin.ledger.mood.lock().unwrap() = Mood::Hanging;
    let slow = "the ledger is slow: expected a commit within 2 s, found none";
    assert_eq!(
        admin.get("/readyz").await.json(503),
        json!({ "status": "not_ready", "role": "accept_and_deliver", "unmet": [slow] })
    );
}

#[tokio::test]
async fn a_ledger_that_is_only_read_is_not_ready() {
    let unmet = json!({ "status": "not_ready", "unmet": ["no receiver is running: the ledger is only read"] });
    assert_eq!(Admin::reading().get("/readyz").await.json(503), unmet);
}

#[tokio::test(start_paused = true)]
async fn the_ledger_is_checked_once_a_second_however_many_ask() {
    let admin = Admin::new(Access::Loopback);
    let checks = || admin.ledger.checks.load(Ordering::Relaxed);
    for _ in 0..100 {
        assert_eq!(admin.get("/readyz").await.status, 200);
    }
    assert_eq!(checks(), 1);
    tokio::time::advance(CHECK_HOLDS - Duration::from_millis(1)).await;
    *admin.ledger.mood.lock().unwrap() = Mood::Failing(LedgerError::Full);
    assert_eq!((admin.get("/readyz").await.status.as_u16(), checks()), (200, 1));
    tokio::time::advance(Duration::from_millis(1)).await;
    assert_eq!((admin.get("/readyz").await.status.as_u16(), checks()), (503, 2));
    assert_eq!((admin.get("/readyz").await.status.as_u16(), checks()), (503, 2));
    assert_eq!(admin.get("/livez").await.status, 200);
}

#[tokio::test(start_paused = true)]
async fn a_check_under_way_is_waited_for_by_whoever_asks_also_when_the_first_hangs_up() {
    let admin = Admin::new(Access::Loopback);
    *admin.ledger.mood.lock().unwrap() = Mood::Hanging;
    for _ in 0..10 {
        tokio::time::timeout(Duration::from_millis(100), admin.get("/readyz")).await.unwrap_err();
    }
    let (one, other) = tokio::join!(admin.get("/readyz"), admin.get("/readyz"));
    assert_eq!((one.status.as_u16(), other.status.as_u16()), (503, 503));
    assert_eq!(admin.ledger.checks.load(Ordering::Relaxed), 1);
}

#[tokio::test]
async fn whoever_has_no_token_is_not_told_which_promise_is_not_met() {
    let admin = Admin::new(Access::token(Zeroizing::new(b"correct horse".to_vec())));
    let ask = async |headers: &[(&str, &str)], status| admin.send("GET", "/readyz", headers, "").await.json(status);
    let token = [("authorization", "Bearer correct horse")];
    let strangers = [&[][..], &[("authorization", "Bearer correct")], &[token[0], token[0]]];
    for headers in strangers {
        assert_eq!(ask(headers, 200).await, json!({ "status": "ready" }));
    }
    *admin.running.unmet.lock().unwrap() = vec!["endpoint support has no secret".to_owned()];
    for headers in strangers {
        assert_eq!(ask(headers, 503).await, json!({ "status": "not_ready" }));
    }
    let told =
        json!({ "status": "not_ready", "role": "accept_and_deliver", "unmet": ["endpoint support has no secret"] });
    assert_eq!(ask(&token, 503).await, told);
}

#[test]
fn what_waits_in_the_spool_is_told_to_operators_and_the_receiver_is_ready_all_the_same() {
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap();
    let ((), lines) = logged(|| {
        runtime.block_on(async {
            let admin = Admin::new(Access::token(Zeroizing::new(b"correct horse".to_vec())));
            let ask = async |headers: &[(&str, &str)]| admin.send("GET", "/readyz", headers, "").await.json(200);
            let token = [("authorization", "Bearer correct horse")];
            for events in [311, 312] {
                *admin.ledger.spool.lock().unwrap() = Some(SpoolStatus { events, ..spooling() });
                let waits = format!(
                    "spooling since 2026-11-23T07:59:00Z: {events} events (1.2 MiB) wait for the ledger; a 200 means one disk meanwhile \
                     ({})",
                    LedgerError::Slow
                );
                let refused = "the ledger refused 2 events of the spool /var/spool.db: the log has the reasons; mend the cause, and \
                               they are handed over";
                assert_eq!(ask(&token).await, json!({ "status": "ready", "role": "accept_and_deliver", "warnings": [waits, refused] }));
                assert_eq!(ask(&[]).await, json!({ "status": "ready" }));
            }
        });
    });
    assert_eq!(lines, [""; 0], "the spool has lines of its own");
}
