//! What is kept stays, whatever ends: the process, the ledger, the room for refused requests.

use super::*;

/// Something of every kind.
async fn fill<S: Subject>(desk: &Desk<S>) {
    desk.keep(event(0).keyed("a", None).to("app")).await;
    desk.end(0, Verdict::Dead("over".into())).await;
    desk.keep(event(1).keyed("b", Some(99)).to("app").in_line("log", "a")).await;
    let lease = desk.take(1).await.lease;
    desk.settle_with(lease, 2, retry(48), attempt(503, "found 503")).await;
    desk.keep(event(2).in_line("log", "a")).await;
    desk.keep(event(3).parked("it is not JSON")).await;
    desk.now(4).redeliver(vec![named(0, 0)], None).await.unwrap();
    desk.ledger().keep_refused(refused(4, "too_large", "filled"));
    desk.refused_up_to("filled", RefusedFilter::default()).await;
}

pub(crate) async fn everything_is_there_after_a_crash<S: Subject>(mut desk: Desk<S>) {
    fill(&desk).await;
    let told = async |desk: &Desk<S>| {
        let stats = Stats { ledger_bytes: 0, ..desk.stats(60).await };
        // A ledger that was moved has no orders: that the others keep them is tested with orders.
        let everything = desk.everything().await.into_iter().map(without_orders).collect::<Vec<_>>();
        (everything, stats, desk.refused_up_to("filled", RefusedFilter::default()).await)
    };
    let before = told(&desk).await;
    for _ in 0..3 {
        desk.crash().await;
        assert_eq!(told(&desk).await, before);
    }
    assert_eq!(desk.record(event(9).keyed("a", None)).await, Recorded::Duplicate(named(0, 0)));
    assert_eq!(desk.record(event(9).keyed("b", None)).await, Recorded::Duplicate(named(1, 0)));
}

pub(crate) async fn a_crash_frees_leases_and_fences_those_who_had_them<S: Subject>(mut desk: Desk<S>) {
    let mut ids = Vec::new();
    for second in 0..3 {
        ids.push(delivery(desk.keep(event(second).to("app")).await, 1));
    }
    let claimed = desk.claim(Ask { lease: 1_000_000, ..claim(5) }).await;
    let mut leases = claimed.deliveries.iter().map(|leased| leased.lease);
    desk.settle(leases.next().unwrap(), 5, Verdict::Delivered).await;
    desk.crash().await;
    let record = desk.delivery(ids[1]).await;
    assert_eq!((record.state, record.attempts), (DeliveryState::Waiting, 1), "it may have been an attempt");
    assert_eq!(record.due_at, Some(at(1)), "due since it was");
    let before = desk.everything().await;
    for lease in leases {
        assert_eq!(desk.settle(lease, 6, Verdict::Delivered).await, Settled::Fenced);
    }
    assert_eq!(desk.everything().await, before);
    let claimed = desk.claim(claim(6)).await;
    assert_eq!(super::ids(&claimed), ids[1..]);
    assert!(claimed.deliveries.iter().all(|leased| leased.attempt == 2));
}

pub(crate) async fn whatever_comes_after_closing_is_refused<S: Subject>(desk: Desk<S>) {
    fill(&desk).await;
    let ledger = desk.ledger();
    let lease = Lease { delivery: delivery(named(1, 0), 1), token: 1 };
    assert_eq!(ledger.close().await, Ok(()));
    assert_eq!(ledger.record(event(9)).await, Err(LedgerError::Closed));
    assert_eq!(ledger.exchange(claim(9).exchange()).await.unwrap_err(), LedgerError::Closed);
    assert_eq!(ledger.renew(vec![lease], Duration::from_secs(9)).await, Err(LedgerError::Closed));
    assert_eq!(ledger.release(owner(1)).await, Err(LedgerError::Closed));
    assert_eq!(ledger.redeliver(vec![named(0, 0)], None).await, Err(LedgerError::Closed));
    assert_eq!(ledger.redeliver_dead(vec![lease.delivery]).await, Err(LedgerError::Closed));
    assert_eq!(ledger.drop_dead(vec![lease.delivery]).await, Err(LedgerError::Closed));
    assert_eq!(ledger.prune(Prune { owner: owner(1), kept_for: None }).await, Err(LedgerError::Closed));
    assert_eq!(ledger.check().await, Err(LedgerError::Closed));
    assert_eq!(ledger.events(EventFilter::default(), all()).await, Err(LedgerError::Closed));
    assert_eq!(ledger.event(named(0, 0)).await, Err(LedgerError::Closed));
    assert_eq!(ledger.deliveries(DeliveryFilter::default(), all()).await, Err(LedgerError::Closed));
    assert_eq!(ledger.refused(RefusedFilter::default(), all()).await, Err(LedgerError::Closed));
    assert_eq!(ledger.stats().await, Err(LedgerError::Closed));
    // Nobody waits for an answer to this one.
    ledger.keep_refused(refused(9, "too_large", "late"));
    assert_eq!(ledger.close().await, Ok(()), "to close what is closed is no error");
}

pub(crate) async fn a_closed_ledger_opens_with_everything<S: Subject>(mut desk: Desk<S>) {
    fill(&desk).await;
    let before = desk.everything().await;
    // What waits when it is closed is kept, or its caller is told that it is not.
    let tasks: Vec<_> = (0..50)
        .map(|number| {
            let ledger = desk.ledger();
            tokio::spawn(async move { (named(60, number), ledger.record(event(60).numbered(number)).await) })
        })
        .collect();
    desk.ledger().close().await.unwrap();
    let mut kept = Vec::new();
    for task in tasks {
        match task.await.unwrap() {
            (id, Ok(Recorded::Stored)) => kept.push(id),
            (_, answer) => assert_eq!(answer, Err(LedgerError::Closed)),
        }
    }
    desk.crash().await;
    kept.sort();
    let after = desk.everything().await;
    assert_eq!(after[..before.len()], before);
    assert_eq!(after[before.len()..].iter().map(|detail| detail.record.id).collect::<Vec<_>>(), kept);
}

pub(crate) async fn the_newest_refused_requests_are_kept<S: Subject>(mut desk: Desk<S>) {
    let mut numbers = Vec::new();
    for second in 0..12 {
        let reason = format!("refusal {second}");
        desk.ledger().keep_refused(refused(second, "signature_mismatch", &reason));
        let kept = desk.refused_up_to(&reason, RefusedFilter::default()).await;
        numbers.push(kept.last().unwrap().number);
        assert_eq!(kept.len(), REFUSED.min(numbers.len()));
        let first = numbers.len().saturating_sub(REFUSED);
        assert_eq!(kept.iter().map(|record| record.number).collect::<Vec<_>>(), numbers[first..]);
        if second == 8 {
            desk.crash().await;
        }
    }
    assert!(numbers.is_sorted_by(|one, other| one < other), "later ones have higher numbers: {numbers:?}");
    assert_eq!(desk.stats(0).await.refused, REFUSED as u64);
    desk.prune(1_000_000, 0).await;
    assert_eq!(desk.stats(1_000_000).await.refused, REFUSED as u64, "they are pushed out, not pruned");
}

pub(crate) async fn refused_requests_come_back_as_they_were<S: Subject>(desk: Desk<S>) {
    let hostile = "'); DROP TABLE refused; -- \0 \u{202e}🦀 %_\\\"";
    let new = NewRefused {
        at: Moment::from_unix_milliseconds(-1),
        endpoint: None,
        code: "not_found",
        reason: hostile.into(),
        status: 599,
        method: hostile.into(),
        path: hostile.into(),
        remote: "[::1]:65535".into(),
        headers: Headers::from_stored(b"x-bytes: \xff\xfe\n".to_vec()),
        body: (0..=255).collect::<Vec<u8>>().into(),
        body_length: 1 << 40,
    };
    desk.ledger().keep_refused(new.clone());
    let [record] = desk.refused_up_to(hostile, RefusedFilter::default()).await.try_into().unwrap();
    let expected = RefusedRecord {
        number: record.number,
        at: new.at,
        endpoint: None,
        code: new.code.into(),
        reason: hostile.into(),
        status: 599,
        method: hostile.into(),
        path: hostile.into(),
        remote: "[::1]:65535".into(),
        headers: new.headers,
        body: new.body,
        body_length: 1 << 40,
    };
    assert_eq!(record, expected);
}

pub(crate) async fn a_check_changes_nothing<S: Subject>(desk: Desk<S>) {
    fill(&desk).await;
    let before = desk.everything().await;
    for _ in 0..3 {
        assert_eq!(desk.ledger().check().await, Ok(()));
    }
    assert_eq!(desk.everything().await, before);
}

/// Endpoint and code of what was refused, in its order, and the indexes of what is kept.
type Refusals = (&'static [(Option<&'static str>, &'static str)], &'static [usize]);

pub(crate) async fn a_flood_of_one_kind_pushes_out_no_other<S: Subject>(mut desk: Desk<S>) {
    const NOWHERE: (Option<&str>, &str) = (None, "unknown_path");
    const FORGED: (Option<&str>, &str) = (Some("main"), "signature_mismatch");
    const STALE: (Option<&str>, &str) = (Some("main"), "timestamp_stale");
    const SECOND: (Option<&str>, &str) = (Some("second"), "signature_mismatch");
    let cases: [Refusals; 8] = [
        (&[FORGED, NOWHERE, NOWHERE, NOWHERE, NOWHERE, NOWHERE, NOWHERE], &[0, 3, 4, 5, 6]),
        // Beyond its share, what names no endpoint gives way.
        (&[NOWHERE, NOWHERE, NOWHERE, FORGED, FORGED, FORGED, FORGED, FORGED], &[1, 2, 5, 6, 7]),
        (&[FORGED, FORGED, FORGED, FORGED, FORGED, NOWHERE, NOWHERE, NOWHERE, NOWHERE], &[2, 3, 4, 7, 8]),
        (&[NOWHERE, NOWHERE, NOWHERE, NOWHERE, NOWHERE, NOWHERE], &[1, 2, 3, 4, 5]),
        // One reason, and another.
        (&[STALE, FORGED, FORGED, FORGED, FORGED, FORGED, FORGED], &[0, 3, 4, 5, 6]),
        (&[FORGED, FORGED, FORGED, FORGED, FORGED, STALE, STALE, STALE, STALE], &[3, 4, 6, 7, 8]),
        // One endpoint, and another.
        (&[FORGED, SECOND, SECOND, SECOND, SECOND, SECOND, SECOND, FORGED], &[0, 4, 5, 6, 7]),
        // Of equally frequent ones, the oldest.
        (&[SECOND, STALE, FORGED, SECOND, STALE, FORGED], &[1, 2, 3, 4, 5]),
    ];
    for (case, (refusals, expected)) in cases.into_iter().enumerate() {
        for (index, (endpoint, code)) in refusals.iter().enumerate() {
            let reason = format!("{case}.{index}");
            let new = NewRefused { endpoint: endpoint.map(Arc::from), ..refused(0, code, &reason) };
            desk.ledger().keep_refused(new);
            desk.refused_up_to(&reason, RefusedFilter::default()).await;
        }
        let kept = desk.ledger().refused(RefusedFilter::default(), all()).await.unwrap();
        let kept: Vec<_> = kept.into_iter().map(|record| record.reason).collect();
        assert_eq!(kept, expected.iter().map(|index| format!("{case}.{index}")).collect::<Vec<_>>(), "{refusals:?}");
        assert_eq!(desk.stats(0).await.refused, REFUSED as u64);
        desk = Desk::open().await;
    }
}
