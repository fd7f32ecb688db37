//! A lease ends once, with the outcome of its attempt.

use super::*;

pub(crate) async fn a_delivered_one_is_finished<S: Subject>(desk: Desk<S>) {
    let event = desk.keep(event(0).to("app")).await;
    let id = desk.end(5, Verdict::Delivered).await;
    let record = desk.delivery(id).await;
    assert_eq!((record.state, record.attempts), (DeliveryState::Delivered, 1));
    assert_eq!((record.due_at, record.finished_at, record.reason), (None, Some(at(5)), None));
    assert_eq!(desk.event(event).await.record.state, EventState::Delivered);
    let got = desk.claim(claim(80_000)).await;
    assert_eq!((ids(&got), got.exhausted, got.next_due), (vec![], vec![], None));
}

pub(crate) async fn a_retry_waits_for_its_delay_and_keeps_its_count<S: Subject>(mut desk: Desk<S>) {
    let id = delivery(desk.keep(event(0).to("app")).await, 1);
    let lease = desk.take(0).await.lease;
    let told = attempt(503, "expected a 2xx, found 503");
    assert_eq!(desk.settle_with(lease, 1, retry(29), told).await, Settled::Recorded);
    for now in [28, 29] {
        let record = desk.delivery(id).await;
        assert_eq!((record.state, record.attempts), (DeliveryState::Waiting, 1), "at {now} s");
        assert_eq!((record.due_at, record.finished_at), (Some(at(30)), None), "at {now} s");
        assert_eq!(record.reason.as_deref(), Some("expected a 2xx, found 503"), "at {now} s");
        assert_eq!(desk.due(now).await, [], "at {now} s");
        desk.crash().await;
    }
    assert_eq!(desk.take(30).await.attempt, 2);
}

pub(crate) async fn an_attempt_that_does_not_count_has_a_number<S: Subject>(mut desk: Desk<S>) {
    let id = delivery(desk.keep(event(0).to("app")).await, 1);
    let once = |now| Ask { most_attempts: 1, ..claim(now) };
    for number in 1..=5 {
        let got = desk.claim(once(number)).await;
        let leased = &got.deliveries[0];
        assert_eq!((i64::from(leased.attempt), leased.counted, got.exhausted), (number, 0, vec![]));
        let verdict = Verdict::Retry { after: Duration::ZERO, counts: false };
        let told = attempt(429, "found 429");
        assert_eq!(desk.settle_with(leased.lease, number, verdict, told).await, Settled::Recorded);
        desk.crash().await;
    }
    assert_eq!(desk.delivery(id).await.attempts, 5);
    let lease = desk.claim(once(6)).await.deliveries[0].lease;
    desk.settle(lease, 6, retry(0)).await;
    let got = desk.claim(once(7)).await;
    assert_eq!((ids(&got), got.exhausted), (vec![], vec![id]), "one that counts");
    let numbers: Vec<_> = desk.event(id.event).await.deliveries[0].1.iter().map(|logged| logged.attempt).collect();
    assert_eq!(numbers, [1, 2, 3, 4, 5]);
}

pub(crate) async fn a_dead_one_has_its_reason_and_is_leased_no_more<S: Subject>(desk: Desk<S>) {
    let id = desk.keep(event(0).to("app")).await;
    desk.end(5, Verdict::Dead("too old: 'a\" %_".into())).await;
    let record = desk.delivery(delivery(id, 1)).await;
    assert_eq!((record.state, record.due_at, record.finished_at), (DeliveryState::Dead, None, Some(at(5))));
    assert_eq!(record.reason.as_deref(), Some("too old: 'a\" %_"));
    assert_eq!(desk.event(id).await.record.state, EventState::Dead);
    assert_eq!(desk.due(80_000).await, []);

    let second = desk.keep(event(80_010).to("app")).await;
    let lease = desk.take(80_010).await.lease;
    let told = attempt(500, "found 500");
    assert_eq!(desk.settle_with(lease, 80_011, Verdict::Dead("gave up".into()), told).await, Settled::Recorded);
    let reason = desk.delivery(delivery(second, 1)).await.reason;
    assert_eq!(reason.as_deref(), Some("gave up: found 500"), "with what the last attempt met");
}

pub(crate) async fn a_released_one_is_due_as_before_and_costs_no_attempt<S: Subject>(desk: Desk<S>) {
    desk.keep(event(0).to("app")).await;
    for round in 1..=5 {
        let got = desk.claim(Ask { most_attempts: 1, ..claim(round) }).await;
        assert_eq!(got.exhausted, [], "round {round}");
        let leased = &got.deliveries[0];
        assert_eq!(leased.attempt, 1, "round {round}");
        assert_eq!(desk.settle(leased.lease, round, Verdict::Released).await, Settled::Recorded);
        let record = desk.delivery(leased.lease.delivery).await;
        assert_eq!((record.state, record.attempts, record.due_at), (DeliveryState::Waiting, 0, Some(at(0))));
    }
}

pub(crate) async fn a_released_one_keeps_its_place_and_its_reason<S: Subject>(desk: Desk<S>) {
    let first = delivery(desk.keep(event(0).to("app")).await, 1);
    let lease = desk.take(0).await.lease;
    desk.settle_with(lease, 1, retry(5), attempt(500, "found 500")).await;
    let lease = desk.take(6).await.lease;
    let later = delivery(desk.keep(event(7).to("app")).await, 1);
    assert_eq!(desk.settle(lease, 8, Verdict::Released).await, Settled::Recorded);
    let record = desk.delivery(first).await;
    assert_eq!((record.attempts, record.due_at, record.reason.as_deref()), (1, Some(at(6)), Some("found 500")));
    assert_eq!(desk.due(9).await, [later, first], "a repeat, as before");
}

pub(crate) async fn a_released_attempt_may_be_logged_and_its_entry_is_replaced<S: Subject>(desk: Desk<S>) {
    let id = desk.keep(event(0).to("app")).await;
    for (verdict, detail) in [(Verdict::Released, "broken off"), (Verdict::Delivered, "found 200")] {
        let lease = desk.take(5).await.lease;
        assert_eq!(desk.settle_with(lease, 5, verdict, attempt(200, detail)).await, Settled::Recorded);
    }
    let logged: Vec<_> =
        desk.event(id).await.deliveries[0].1.iter().map(|log| (log.attempt, log.detail.clone())).collect();
    assert_eq!(logged, [(1, "found 200".to_owned())]);
}

pub(crate) async fn attempts_are_logged_in_their_order<S: Subject>(mut desk: Desk<S>) {
    let id = desk.keep(event(0).to("app")).await;
    let details = ["found 500", "", "Ünïcødé '%_\"\0", "timed out"];
    let mut expected = Vec::new();
    for ((detail, status), number) in details.into_iter().zip([Some(500), Some(-1), Some(i32::MAX), None]).zip(1..) {
        let now = 10 * i64::from(number);
        let lease = desk.take(now).await.lease;
        let told = NewAttempt { status, ..attempt(0, detail) };
        assert_eq!(desk.settle_with(lease, now, retry(10), told).await, Settled::Recorded);
        // It took a second and a half.
        let (started_at, detail) = (at(now).before(Duration::from_millis(1500)), detail.to_owned());
        let code = Some("http_0".into());
        expected.push(AttemptRecord {
            attempt: number,
            started_at,
            took_milliseconds: 1500,
            status,
            detail,
            code,
            answer: None,
        });
    }
    // One without an entry, and one that never ended.
    desk.end(50, retry(10)).await;
    desk.take(60).await;
    desk.crash().await;
    assert_eq!(desk.event(id).await.deliveries[0].1, expected);
    assert_eq!(desk.take(60).await.attempt, 7);
}

/// Every verdict, and what it must not do under a lease that is over.
fn verdicts() -> [Verdict; 4] {
    [Verdict::Delivered, retry(5000), Verdict::Dead("over".into()), Verdict::Released]
}

pub(crate) async fn a_stale_lease_is_fenced_and_changes_nothing<S: Subject>(desk: Desk<S>) {
    desk.keep(event(0).in_line("app", "a")).await;
    desk.keep(event(0).numbered(1).in_line("app", "a")).await;
    let stale = desk.take(0).await.lease;
    let lease = desk.take(60).await.lease;
    assert_eq!(stale.delivery, lease.delivery);
    let unknown = [
        stale,
        Lease { token: lease.token.wrapping_add(1), ..lease },
        Lease { token: lease.token ^ 1 << 64, ..lease },
        Lease { delivery: delivery(lease.delivery.event, 2), ..lease },
        Lease { delivery: delivery(named(99, 0), 1), ..lease },
        // Held, and never leased.
        Lease { delivery: delivery(named(0, 1), 1), ..lease },
    ];
    let before = desk.everything().await;
    for lease in unknown {
        for verdict in verdicts() {
            let settled = desk.settle_with(lease, 61, verdict, attempt(200, "found 200")).await;
            assert_eq!(settled, Settled::Fenced);
        }
    }
    // The lease itself, at another destination.
    let settlements = vec![Settlement { lease, verdict: Verdict::Delivered, attempt: None }];
    let elsewhere = Exchange { destination: "log".into(), settlements, claim: None };
    assert_eq!(desk.ledger().exchange(elsewhere).await.unwrap().settled, [Settled::Fenced]);
    assert_eq!(desk.everything().await, before);
    assert_eq!(desk.settle(lease, 61, Verdict::Delivered).await, Settled::Recorded);
}

pub(crate) async fn a_lease_settles_once<S: Subject>(desk: Desk<S>) {
    for (first, second) in verdicts().into_iter().zip(0..) {
        desk.keep(event(second).to("app")).await;
        let lease = desk.take(second).await.lease;
        assert_eq!(desk.settle(lease, second, first.clone()).await, Settled::Recorded);
        let before = desk.everything().await;
        for again in verdicts() {
            assert_eq!(desk.settle(lease, second, again.clone()).await, Settled::Fenced, "{first:?}, then {again:?}");
        }
        assert_eq!(desk.ledger().renew(vec![lease], Duration::from_secs(900)).await, Ok(vec![false]));
        assert_eq!(desk.everything().await, before);
        desk.claim(Ask { lease: 90_000, ..claim(second) }).await;
    }
}

pub(crate) async fn a_lease_that_ran_out_settles_while_nobody_has_asked_for_its_delivery<S: Subject>(desk: Desk<S>) {
    desk.keep(event(0).to("app").to("log")).await;
    let lease = desk.take(0).await.lease;
    // Others ask for other destinations.
    desk.claim(Ask { destination: "log".into(), ..claim(1000) }).await;
    assert_eq!(desk.settle(lease, 1000, Verdict::Delivered).await, Settled::Recorded);
    assert_eq!(desk.due(2000).await, []);
}

pub(crate) async fn a_renewed_lease_holds_longer<S: Subject>(desk: Desk<S>) {
    desk.keep(event(0).to("app")).await;
    desk.keep(event(0).numbered(1).to("app")).await;
    let renew = async |now, leases, seconds| desk.now(now).renew(leases, Duration::from_secs(seconds)).await;
    let leases: Vec<_> = desk.claim(claim(0)).await.deliveries.iter().map(|leased| leased.lease).collect();
    assert_eq!(renew(40, leases.clone(), 60).await, Ok(vec![true, true]));
    let got = desk.claim(claim(99)).await;
    assert_eq!((ids(&got), got.next_due), (vec![], Some(at(100))));
    // Run out, and asked for by nobody yet.
    assert_eq!(renew(100, vec![leases[1]], 100).await, Ok(vec![true]));
    assert_eq!(desk.due(100).await, [leases[0].delivery]);
    assert_eq!(desk.settle(leases[1], 150, Verdict::Delivered).await, Settled::Recorded);
    assert_eq!(renew(150, Vec::new(), 200).await, Ok(vec![]));
}

pub(crate) async fn a_lost_lease_is_not_renewed<S: Subject>(mut desk: Desk<S>) {
    for number in 0..3 {
        desk.keep(event(0).numbered(number).to("app")).await;
    }
    let leases: Vec<_> = desk.claim(claim(0)).await.deliveries.iter().map(|leased| leased.lease).collect();
    desk.settle(leases[0], 1, Verdict::Delivered).await;
    desk.ledger().renew(vec![leases[1]], Duration::from_secs(500)).await.unwrap();
    let next = desk.take(60).await.lease;
    assert_eq!(next.delivery, leases[2].delivery);
    let unknown = Lease { delivery: delivery(named(99, 0), 1), token: 1 };
    let asked = vec![leases[0], unknown, leases[1], leases[2], next];
    let renewed = desk.ledger().renew(asked.clone(), Duration::from_secs(300)).await;
    assert_eq!(renewed, Ok(vec![false, false, true, false, true]), "in the order in which they were asked for");
    desk.crash().await;
    let renewed = desk.ledger().renew(asked, Duration::from_secs(300)).await;
    assert_eq!(renewed, Ok(vec![false; 5]), "a crash ends every lease");
}

pub(crate) async fn settlements_and_a_claim_share_an_exchange<S: Subject>(desk: Desk<S>) {
    for number in 0..3 {
        desk.keep(event(0).numbered(number).in_line("app", "a")).await;
    }
    let [first, second] = [desk.take(1).await.lease, Lease { delivery: delivery(named(0, 1), 1), token: 0 }];
    let settlement =
        |lease| Settlement { lease, verdict: Verdict::Delivered, attempt: Some(attempt(200, "found 200")) };
    let exchange = Exchange { settlements: vec![settlement(first), settlement(second)], ..claim(2).exchange() };
    let answer = desk.now(2).exchange(exchange).await.unwrap();
    assert_eq!(answer.settled, [Settled::Recorded, Settled::Fenced], "in their order");
    let leased: Vec<_> = answer.claimed.deliveries.iter().map(|leased| leased.lease.delivery).collect();
    assert_eq!(leased, [second.delivery], "what the settlement let go is leased at once");
}
