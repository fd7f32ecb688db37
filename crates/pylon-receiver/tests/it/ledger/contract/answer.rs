//! What came of an attempt: its code, and what the destination answered; and the dead, in groups by it.

use super::*;

/// A failed attempt with this code and this answer.
fn failed(code: &'static str, answer: Option<AttemptAnswer>) -> NewAttempt {
    NewAttempt { took: Duration::from_millis(5), status: None, detail: "it failed".into(), code: code.into(), answer }
}

fn said(text: &str) -> Option<AttemptAnswer> {
    Some(AttemptAnswer::beginning(Some(b"text/plain"), text.as_bytes(), false))
}

pub(crate) async fn an_attempt_keeps_its_code_and_its_answer_byte_for_byte<S: Subject>(mut desk: Desk<S>) {
    let id = desk.keep(event(0).to("app")).await;
    let long = "é".repeat(3000);
    let answers = [
        None,
        said("no such customer"),
        Some(AttemptAnswer::beginning(None, &[0, 0xFF, 0x1B, b'[', b'm', b'\n'], true)),
        Some(AttemptAnswer::beginning(Some(b"text/html; charset=\xff"), long.as_bytes(), false)),
        Some(AttemptAnswer::end(long.as_bytes(), false)),
        Some(AttemptAnswer::beginning(Some(b""), b"", false)),
    ];
    for (answer, number) in answers.clone().into_iter().zip(1..) {
        let lease = desk.take(10 * number).await.lease;
        let told = failed("http_500", answer);
        assert_eq!(desk.settle_with(lease, 10 * number, retry(10), told).await, Settled::Recorded);
    }
    desk.crash().await;
    let log = desk.event(id).await.deliveries.remove(0).1;
    let kept: Vec<_> = log.iter().map(|attempt| (attempt.code.as_deref(), attempt.answer.clone())).collect();
    assert_eq!(kept, answers.map(|answer| (Some("http_500"), answer)));
    let cut = log[3].answer.as_ref().unwrap();
    assert!(cut.is_cut && cut.text() == Some(&long[..AttemptAnswer::MOST]), "{cut:?}");
}

pub(crate) async fn a_delivery_has_the_code_of_its_last_failure_until_it_is_delivered<S: Subject>(desk: Desk<S>) {
    let id = delivery(desk.keep(event(0).to("app")).await, 1);
    let code = async || desk.delivery(id).await.code;
    assert_eq!(code().await, None);
    for (number, (verdict, told, expected)) in [
        (retry(10), Some("timeout"), Some("timeout")),
        (Verdict::Released, None, Some("timeout")),
        (retry(10), Some("http_503"), Some("http_503")),
        (Verdict::Delivered, Some("ok"), None),
    ]
    .into_iter()
    .enumerate()
    {
        let now = 100 * (number as i64 + 1);
        let lease = desk.take(now).await.lease;
        match told {
            Some(told) => desk.settle_with(lease, now, verdict, failed(told, None)).await,
            None => desk.settle(lease, now, verdict).await,
        };
        assert_eq!(code().await.as_deref(), expected, "after attempt {number}");
    }
    assert_eq!(desk.groups().await, []);
}

pub(crate) async fn of_many_answers_the_first_and_the_last_are_kept<S: Subject>(desk: Desk<S>) {
    let id = desk.keep(event(0).to("app")).await;
    for number in 1..=23_i64 {
        let lease = desk.claim(Ask { most_attempts: 100, ..claim(10 * number) }).await.deliveries[0].lease;
        let verdict = if number < 23 { retry(10) } else { Verdict::Dead("gave up".into()) };
        let told = failed("http_500", said(&format!("answer {number}")));
        assert_eq!(desk.settle_with(lease, 10 * number, verdict, told).await, Settled::Recorded);
        let log = desk.event(id).await.deliveries.remove(0).1;
        assert_eq!(log.len() as i64, number);
        let kept: Vec<i64> =
            log.iter().filter(|attempt| attempt.answer.is_some()).map(|attempt| attempt.attempt.into()).collect();
        let expected: Vec<i64> = (1..=number).filter(|&kept| kept <= 5 || kept > number - 5).collect();
        assert_eq!(kept, expected, "after attempt {number}");
        assert!(log.iter().all(|attempt| attempt.code.as_deref() == Some("http_500")), "codes stay");
    }
    assert_eq!(desk.groups().await[0].answer, said("answer 23"));
}

pub(crate) async fn what_never_ended_has_a_code_of_its_own<S: Subject>(desk: Desk<S>) {
    let id = delivery(desk.keep(event(0).to("app")).await, 1);
    let lease = desk.take(0).await.lease;
    desk.settle_with(lease, 1, retry(0), failed("http_500", None)).await;
    // Leases that run out: the first one is free.
    for now in [100, 200, 300] {
        desk.claim(Ask { most_attempts: 3, ..claim(now) }).await;
    }
    let got = desk.claim(Ask { most_attempts: 3, ..claim(400) }).await;
    assert_eq!(got.exhausted, [id]);
    assert_eq!(desk.delivery(id).await.code.as_deref(), Some("interrupted"));
    // One that had its attempts, and may have fewer now, failed as it did.
    let id = delivery(desk.keep(event(500).to("app")).await, 1);
    let lease = desk.take(500).await.lease;
    desk.settle_with(lease, 500, retry(0), failed("http_500", None)).await;
    let got = desk.claim(Ask { most_attempts: 1, ..claim(501) }).await;
    assert_eq!(got.exhausted, [id]);
    assert_eq!(desk.delivery(id).await.code.as_deref(), Some("http_500"));
    let groups: Vec<_> = desk.groups().await.into_iter().map(|group| (group.code, group.dead, group.sample)).collect();
    let [first, second] = &groups[..] else { panic!("{groups:?}") };
    assert_eq!((first.0.as_deref(), first.1, first.2), (Some("http_500"), 1, id));
    assert_eq!((second.0.as_deref(), second.1), (Some("interrupted"), 1));
}

/// Has an event's delivery to the destination die at that moment.
async fn die<S: Subject>(
    desk: &Desk<S>,
    now: i64,
    destination: &'static str,
    code: Option<&'static str>,
) -> DeliveryId {
    let id = delivery(desk.keep(event(now).to(destination)).await, 1);
    let lease = desk.claim(Ask { destination: destination.into(), ..claim(now) }).await.deliveries[0].lease;
    assert_eq!(lease.delivery, id);
    let attempt = code.map(|code| failed(code, said(&format!("died at {now}"))));
    let settlements = vec![Settlement { lease, verdict: Verdict::Dead("gave up".into()), attempt }];
    let exchange = Exchange { destination: destination.into(), settlements, claim: None };
    assert_eq!(desk.now(now).exchange(exchange).await.unwrap().settled, [Settled::Recorded]);
    id
}

fn group(destination: &str, code: Option<&str>, dead: u64, first: i64, last: (i64, DeliveryId)) -> DeadGroup {
    let (last_at, sample) = last;
    DeadGroup {
        destination: destination.into(),
        code: code.map(str::to_owned),
        dead,
        first_at: at(first),
        last_at: at(last_at),
        sample,
        reason: Some(if code.is_some() { "gave up: it failed" } else { "gave up" }.to_owned()),
        answer: code.and_then(|_| said(&format!("died at {last_at}"))),
    }
}

pub(crate) async fn the_dead_are_told_in_groups<S: Subject>(mut desk: Desk<S>) {
    assert_eq!(desk.groups().await, []);
    die(&desk, 10, "app", Some("http_500")).await;
    let late = die(&desk, 20, "app", Some("timeout")).await;
    let other = die(&desk, 30, "log", Some("http_500")).await;
    let last = die(&desk, 40, "app", Some("http_500")).await;
    let unknown = die(&desk, 50, "app", None).await;
    desk.keep(event(60).to("app")).await;
    desk.end(60, Verdict::Delivered).await;
    let expected = [
        group("app", None, 1, 50, (50, unknown)),
        group("app", Some("http_500"), 2, 10, (40, last)),
        group("app", Some("timeout"), 1, 20, (20, late)),
        group("log", Some("http_500"), 1, 30, (30, other)),
    ];
    assert_eq!(desk.groups().await, expected);
    desk.crash().await;
    assert_eq!(desk.groups().await, expected);
}

pub(crate) async fn what_becomes_of_the_dead_changes_their_groups<S: Subject>(desk: Desk<S>) {
    let mut dead = Vec::new();
    for now in 1..=8 {
        dead.push(die(&desk, 10 * now, "app", Some("http_500")).await);
    }
    let unknown = die(&desk, 90, "app", None).await;
    let counts = async || -> Vec<(String, Option<String>, u64, DeliveryId)> {
        let groups = desk.groups().await.into_iter();
        groups.map(|group| (group.destination, group.code, group.dead, group.sample)).collect()
    };
    let of = |destination: &str, code: Option<&str>, number, sample| {
        (destination.to_owned(), code.map(str::to_owned), number, sample)
    };
    let ledger = desk.now(100);
    assert_eq!(ledger.drop_dead(vec![dead[7], unknown]).await, Ok(2));
    assert_eq!(counts().await, [of("app", Some("http_500"), 7, dead[6])]);
    assert_eq!(ledger.redeliver_dead(vec![dead[6]]).await, Ok(1));
    assert_eq!(counts().await, [of("app", Some("http_500"), 6, dead[5])]);
    assert_eq!(ledger.redeliver(vec![dead[5].event], None).await, Ok(1));
    assert_eq!(counts().await, [of("app", Some("http_500"), 5, dead[4])]);
    while ledger.move_deliveries("app".into(), "new".into()).await.unwrap() > 0 {}
    assert_eq!(counts().await, [of("new", Some("http_500"), 5, dead[4])]);
    while ledger.drop_deliveries("new".into()).await.unwrap() > 0 {}
    assert_eq!(counts().await, []);
}

pub(crate) async fn deliveries_are_listed_by_their_code<S: Subject>(desk: Desk<S>) {
    let first = die(&desk, 10, "app", Some("http_500")).await;
    let late = die(&desk, 20, "app", Some("timeout")).await;
    let second = die(&desk, 30, "log", Some("http_500")).await;
    let unknown = die(&desk, 40, "app", None).await;
    let waiting = delivery(desk.keep(event(50).to("app")).await, 1);
    let lease = desk.take(50).await.lease;
    desk.settle_with(lease, 50, retry(500), failed("http_500", None)).await;
    let dead = Some(DeliveryState::Dead);
    for (code, destination, state, expected) in [
        ("http_500", None, None, vec![first, second, waiting]),
        ("http_500", None, dead, vec![first, second]),
        ("http_500", Some("app"), dead, vec![first]),
        ("timeout", None, None, vec![late]),
        ("none", None, dead, vec![unknown]),
        ("http_50", None, None, vec![]),
        ("%", None, None, vec![]),
        ("", None, None, vec![]),
        ("http_500\0", None, None, vec![]),
    ] {
        let destination = destination.map(str::to_owned);
        let filter = DeliveryFilter { code: Some(code.into()), destination, state, ..DeliveryFilter::default() };
        let listed = desk.ledger().deliveries(filter, all()).await.unwrap();
        assert_eq!(listed.iter().map(|record| record.id).collect::<Vec<_>>(), expected, "{code:?}, {state:?}");
    }
}
