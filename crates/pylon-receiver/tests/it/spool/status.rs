//! What operators see of a spool: its status, and the log.

use super::*;
use crate::ledger::contract::{Draft, at, event};
use pylon_test_support::log::logged;

/// Runs on this thread, so that its lines are found.
fn run(stage: &Stage, test: impl AsyncFnOnce(&Stage)) -> Vec<String> {
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap();
    let ((), lines) = logged(|| runtime.block_on(test(stage)));
    let path = stage.path().canonicalize().unwrap().display().to_string();
    lines.into_iter().map(|line| line.replace(&path, "SPOOL")).collect()
}

#[test]
fn the_log_has_the_beginning_what_waits_and_the_end() {
    let mut stage = Stage::new();
    stage.options.reminder = Duration::from_millis(50);
    let lines = run(&stage, async |stage| {
        let ledger = stage.start().await;
        stage.clock.set(at(60));
        stage.beyond.away();
        keep(&ledger, event(1)).await;
        tokio::time::sleep(Duration::from_millis(130)).await;
        stage.beyond.refuse(Some(("bad", LedgerError::Failed("no".into()))));
        keep(&ledger, event(2).through("bad")).await;
        stage.beyond.turn(Way::Up);
        direct(&ledger).await;
    });
    let away = "the ledger cannot be reached: no route; check that it runs, and that the address, the user and the password are right";
    let waits = format!(
        "WARN message=spooling since 2023-11-14T22:14:20Z: 1 events (560 B) wait for the ledger; a 200 means one disk meanwhile ({away})"
    );
    let expected = [
        "INFO message=created a new ledger path=SPOOL".to_owned(),
        format!("ERROR message=the ledger is away: events go to the spool, on one disk error={away} path=SPOOL"),
        format!(
            "ERROR message=the ledger refused a spooled event: it stays in the spool event_id={} reason=the ledger failed: no",
            event(2).id
        ),
        "INFO message=the spool is empty: events go to the ledger again since=2023-11-14T22:14:20Z in_all=1 path=SPOOL"
            .to_owned(),
    ];
    let (reminders, others): (Vec<_>, Vec<_>) = lines.into_iter().partition(|line| line.starts_with("WARN"));
    assert_eq!(others, expected);
    assert!(reminders.len() > 1 && reminders[..2] == [waits.clone(), waits], "{reminders:#?}");
}

#[test]
fn flapping_is_told_once() {
    let stage = Stage::new();
    let lines = run(&stage, async |stage| {
        let ledger = stage.start().await;
        for second in 0..20 {
            stage.beyond.away();
            keep(&ledger, event(second)).await;
            stage.beyond.turn(Way::Up);
            direct(&ledger).await;
        }
    });
    let of = |word: &str| lines.iter().filter(|line| line.contains(word)).count();
    assert_eq!((of("the ledger is away"), of("the spool is empty")), (1, 1), "{lines:#?}");
}

#[test]
fn a_full_spool_is_in_the_log_once() {
    let mut stage = Stage::patient();
    stage.options.size = 1024;
    let lines = run(&stage, async |stage| {
        let ledger = stage.start().await;
        stage.beyond.away();
        keep(&ledger, event(0)).await;
        for second in 1..5 {
            assert_eq!(ledger.record(event(second)).await, Err(LedgerError::Full));
        }
    });
    let full = "ERROR message=the spool is full: webhooks get 503 until the ledger is back size=1024";
    assert_eq!(lines.iter().filter(|line| **line == full).count(), 1, "{lines:#?}");
}

#[test]
fn sentences_say_what_waits_and_what_a_200_means() {
    let status = SpoolStatus {
        path: std::path::Path::new("/var/spool.db").into(),
        since: None,
        events: 0,
        refused: 0,
        bytes: 0,
        size: 1 << 30,
        is_full: false,
        handed_over: 7,
        last_error: None,
    };
    let since = Some(at(0));
    let spooling = SpoolStatus { since, events: 312, bytes: 1_258_291, ..status.clone() };
    let full =
        SpoolStatus { bytes: 1 << 30, is_full: true, last_error: Some(LedgerError::ReadOnly), ..spooling.clone() };
    let refused = SpoolStatus { refused: 3, ..status.clone() };
    let cases: [(SpoolStatus, &[&str]); 4] = [
        (status, &[]),
        (
            spooling,
            &[
                "spooling since 2023-11-14T22:13:20Z: 312 events (1.2 MiB) wait for the ledger; a 200 means one disk meanwhile",
            ],
        ),
        (
            full,
            &[
                "spooling since 2023-11-14T22:13:20Z: 312 events (1.0 GiB) wait for the ledger, and the spool is full (1.0 GiB): what has \
               no room gets 503; a 200 means one disk meanwhile (the ledger is read-only: expected to write, found that this is not \
               allowed; let the receiver write where the ledger is stored)",
            ],
        ),
        (
            refused,
            &[
                "the ledger refused 3 events of the spool /var/spool.db: the log has the reasons; mend the cause, and they are handed over",
            ],
        ),
    ];
    for (status, expected) in cases {
        assert_eq!(status.sentences(), expected);
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn it_is_ready_as_long_as_it_can_keep_events_somewhere() {
    let mut stage = Stage::patient();
    stage.options.answer = Duration::from_millis(50);
    let ledger = stage.start().await;
    let away = LedgerError::Unreachable("no route".into());
    let failed = LedgerError::Failed("no".into());
    let cases = [
        (Way::Up, Ok(())),
        (Way::Away(away), Ok(())),
        (Way::Away(LedgerError::Full), Ok(())),
        (Way::Silent, Ok(())),
        (Way::Away(failed.clone()), Err(failed)),
        (Way::Away(LedgerError::Busy), Err(LedgerError::Busy)),
    ];
    for (way, expected) in cases {
        stage.beyond.turn(way.clone());
        assert_eq!((ledger.check().await, is_spooling(&ledger)), (expected, false), "{way:?}");
    }
    // While events go to the spool, the ledger is not asked.
    spool_patiently(&stage, &ledger, event(0)).await;
    for way in [Way::Up, Way::Silent, Way::Away(LedgerError::Busy)] {
        stage.beyond.turn(way);
        assert_eq!(ledger.check().await, Ok(()));
    }
}
