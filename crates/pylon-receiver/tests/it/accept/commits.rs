//! The answer waits for the ledger, and never says more than the ledger did.

use super::*;

#[test]
fn what_the_ledger_does_not_keep_is_never_answered_200() {
    let text = || Box::from("page 3");
    let faults = [
        (LedgerError::Busy, "ledger_busy"),
        (LedgerError::Closed, "ledger_closed"),
        (LedgerError::Full, "ledger_full"),
        (LedgerError::ReadOnly, "ledger_read_only"),
        (LedgerError::Unreachable(text()), "ledger_unreachable"),
        (LedgerError::Unconfirmed(text()), "ledger_unconfirmed"),
        (LedgerError::Damaged(text()), "ledger_damaged"),
        (LedgerError::Displaced(text()), "ledger_displaced"),
        (LedgerError::InUse(text()), "ledger_in_use"),
        (LedgerError::Unknown(text()), "ledger_unknown"),
        (LedgerError::Moved(text()), "ledger_moved"),
        (LedgerError::Failed(text()), "ledger_failed"),
    ];
    for (fault, code) in faults {
        run(async {
            let front = Front::new(&config()).await;
            front.ledger.fail(Some(fault.clone()));
            let answer = front.webhook("{}").await;
            assert_eq!((answer.status, answer.json()), (503, json!({"error": "unavailable"})), "{code}");
            assert_eq!(answer.header("retry-after"), Some("5"), "{code}");
            assert_eq!((front.refusal().code, &*front.refusal().reason), (code, &*fault.to_string()));
            assert_eq!(front.events().len(), 0, "{code}");
            front.ledger.fail(None);
            front.webhook("{}").await.id();
        });
    }
}

#[test]
fn no_answer_comes_before_the_commit() {
    run(async {
        let front = Front::new(&config()).await;
        front.ledger.hang();
        let mut peer = front.connect().await;
        peer.send(&request("POST", "/webhook", &signed(b"{}"), b"{}")).await;
        until("the commit begins", || front.ledger.begun() == 1).await;
        assert!(tokio::time::timeout(SHORT, peer.next()).await.is_err(), "it was answered");
        front.ledger.go.add_permits(1);
        peer.answer().await.id();
    });
}

#[test]
fn a_sender_that_hangs_up_during_the_commit_undoes_nothing() {
    let ((), lines) = run(async {
        let front = Front::new(&config()).await;
        front.ledger.hang();
        let mut peer = front.connect().await;
        peer.send(&request("POST", "/webhook", &signed(b"{}"), b"{}")).await;
        until("the commit begins", || front.ledger.begun() == 1).await;
        drop(peer);
        // Long enough for the hang-up to be seen: another connection is opened, answered and closed after it.
        assert_eq!(front.ask(&request("GET", "/webhook", &[], b"")).await.status, 405);
        front.ledger.go.add_permits(1);
        until("the event is kept", || front.events().len() == 1).await;
        assert_eq!((front.event().body.as_bytes(), front.ledger.begun()), (&b"{}"[..], 1));
        assert!(front.counted(r#"pylon_receiver_accepted_total{endpoint="webhook"} 1"#));
    });
    assert!(lines[1].starts_with("INFO message=a webhook was accepted"), "{lines:?}");
}

#[test]
fn a_sender_that_hangs_up_before_a_commit_that_fails_harms_nobody() {
    run(async {
        let front = Front::new(&config()).await;
        front.ledger.hang();
        front.ledger.fail(Some(LedgerError::Full));
        let mut peer = front.connect().await;
        peer.send(&request("POST", "/webhook", &signed(b"{}"), b"{}")).await;
        until("the commit begins", || front.ledger.begun() == 1).await;
        drop(peer);
        front.ledger.go.add_permits(2);
        front.ledger.fail(None);
        front.webhook("{}").await.id();
    });
}

#[test]
fn many_at_once_are_each_kept_and_answered() {
    run(async {
        let front = Front::new(&config()).await;
        let mut peers = Vec::new();
        for number in 0..50 {
            let mut peer = front.connect().await;
            let body = json!({"id": number}).to_string();
            peer.send(&request("POST", "/webhook", &signed(body.as_bytes()), body.as_bytes())).await;
            peers.push(peer);
        }
        let mut ids = Vec::new();
        for mut peer in peers {
            ids.push(peer.answer().await.id());
        }
        let mut kept: Vec<_> = front.events().iter().map(|event| event.id.to_string()).collect();
        ids.sort();
        kept.sort();
        kept.dedup();
        assert_eq!((kept.len(), ids), (50, kept));
    });
}
