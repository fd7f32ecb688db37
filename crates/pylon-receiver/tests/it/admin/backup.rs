//! A copy of the ledger over the admin API.

use super::fake::{Admin, Mood};
use crate::sqlite::polled;
use crate::wait::within;
use pylon_receiver::internals::Access;
use pylon_receiver::ledger::LedgerError;
use zeroize::Zeroizing;

#[tokio::test]
async fn a_copy_comes_whole_and_says_how_long_it_is() {
    let admin = Admin::new(Access::Loopback);
    for length in [0, 1, 256 * 1024, 3 * 256 * 1024 + 1] {
        let copy: Vec<u8> = (0..length).map(|place| (place % 251) as u8).collect();
        *admin.ledger.copy.lock().unwrap() = copy.clone();
        let answer = admin.get("/api/backup").await;
        assert_eq!(answer.status, 200);
        assert_eq!(answer.header("content-type"), "application/vnd.sqlite3");
        assert_eq!(answer.header("content-length"), length.to_string());
        assert_eq!(answer.header("cache-control"), "no-store");
        assert!(answer.body == copy, "{length}");
    }
}

#[tokio::test]
async fn one_copy_is_made_at_a_time_also_if_its_caller_hangs_up() {
    let admin = Admin::new(Access::Loopback);
    *admin.ledger.mood.lock().unwrap() = Mood::Hanging;
    let mut first = Box::pin(admin.get("/api/backup"));
    assert!(polled(first.as_mut()).await.is_none());
    tokio::task::yield_now().await;
    let message = "a backup is under way: expected no other, found one that is made or sent; ask again when it is over";
    within("an answer", admin.get("/api/backup")).await.refused(409, "backup_under_way", message);
    drop(first);
    *admin.ledger.mood.lock().unwrap() = Mood::Well;
    within("an answer", admin.get("/api/backup")).await.refused(409, "backup_under_way", message);
}

#[tokio::test]
async fn the_next_copy_can_be_made_when_one_is_sent_or_has_failed() {
    let admin = Admin::new(Access::Loopback);
    assert_eq!(admin.get("/api/backup").await.status, 200);
    *admin.ledger.mood.lock().unwrap() = Mood::Failing(LedgerError::Failed("no room".into()));
    admin.get("/api/backup").await.refused(503, "ledger_failed", "the ledger failed: no room");
    *admin.ledger.mood.lock().unwrap() = Mood::Well;
    assert_eq!(admin.get("/api/backup").await.status, 200);
}

#[tokio::test]
async fn a_copy_is_for_operators_of_a_receiver_that_runs() {
    let message = "no receiver is running: expected one, found a ledger that is only read; start the receiver, and ask its own admin address";
    Admin::reading().get("/api/backup").await.refused(409, "not_running", message);
    let admin = Admin::new(Access::Loopback);
    let unknown = "unknown parameter `file`: expected nothing, found another name";
    admin.get("/api/backup?file=/etc/passwd").await.refused(400, "bad_request", unknown);
    let guarded = Admin::new(Access::token(Zeroizing::new(b"the token".to_vec())));
    assert_eq!(guarded.get("/api/backup").await.status, 401);
}
