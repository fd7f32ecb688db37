//! Events that come back.

use super::*;
use pylon_receiver::EventId;

fn id(number: u8) -> EventId {
    EventId::new(Moment::from_unix_milliseconds(1_600_000_000_000), [number; 10])
}

/// Sends an event with these headers, again and again another one.
async fn send(front: &Front, headers: &[(&str, &str)], body: &str) -> Answer {
    let headers = headers.iter().map(|&(name, value)| (name.to_owned(), value.to_owned()));
    front.post(&[signed(body.as_bytes()), headers.collect()].concat(), body.as_bytes()).await
}

#[test]
fn an_event_that_this_ledger_has_sent_is_refused() {
    let (own, lines) = run(async {
        let front = Front::new(&config()).await;
        let own = front.webhook("{}").await.id();
        let answer = send(&front, &[("X-Receiver-Event-Id", &own)], "{}").await;
        assert_eq!((answer.status, answer.json()), (508, json!({"error": "loop_detected"})));
        assert!(answer.header("retry-after").is_none());
        let refused = front.refusal();
        assert_eq!((refused.code, refused.status, &*refused.body), ("loop_detected", 508, b"{}".as_slice()));
        assert!(front.counted(r#"pylon_receiver_refused_total{endpoint="webhook",reason="loop_detected"} 1"#));
        front.event();
        own
    });
    let reason = format!(
        "loop: expected a new event, found one that this receiver itself has sent, as {own}; check the `url` of the \
         destinations, here and at the receivers in between"
    );
    assert!(lines[1].contains(&reason), "{}", lines[1]);
}

#[test]
fn nobody_learns_about_ids_who_cannot_sign() {
    run(async {
        let front = Front::new(&config()).await;
        let own = front.webhook("{}").await.id();
        let forged = signed_headers(&Secret::new("another").unwrap(), b"{}", None);
        for id in [own, id(1).to_string()] {
            let answer = front.post(&[forged.clone(), header("X-Receiver-Event-Id", &id)].concat(), b"{}").await;
            assert_eq!((answer.status, answer.json()), (401, json!({"error": "unauthorized"})));
        }
    });
}

#[test]
fn an_event_that_comes_back_by_way_of_other_receivers_is_refused() {
    run(async {
        let front = Front::new(&config()).await;
        let own = front.webhook("{}").await.id();
        let (other, third) = (id(2).to_string(), id(3).to_string());
        let several = format!("{third}, {own}");
        for passed in [&own, &several, &format!("nonsense,{own}"), &format!(" {own} ")] {
            let headers = [("X-Receiver-Passed", passed.as_str()), ("X-Receiver-Event-Id", &other)];
            assert_eq!(send(&front, &headers, "{}").await.status, 508, "{passed}");
        }
        let headers = [("X-Receiver-Passed", &*third), ("X-Receiver-Passed", &own), ("X-Receiver-Event-Id", &other)];
        assert_eq!(send(&front, &headers, "{}").await.status, 508);
        front.event();
    });
}

/// What a request says of receivers before, and what is kept of it for the next one.
type Way<'a> = (&'a [(&'a str, &'a str)], Option<&'a str>);

#[test]
fn the_receivers_before_are_told_to_the_next_one() {
    let (first, second) = (id(1).to_string(), id(2).to_string());
    let both = format!("{first}, {second}");
    let cases: [Way<'_>; 9] = [
        (&[], None),
        (&[("X-Receiver-Event-Id", &first)], Some(&first)),
        (&[("X-Receiver-Passed", &first), ("X-Receiver-Event-Id", &second)], Some(&both)),
        (&[("X-Receiver-Event-Id", &second), ("X-Receiver-Passed", &first)], Some(&both)),
        (&[("X-Receiver-Passed", &first)], Some(&first)),
        (&[("X-Receiver-Event-Id", "nonsense")], None),
        (&[("X-Receiver-Event-Id", "")], None),
        (&[("X-Receiver-Passed", "a, b,,")], None),
        // Some servers take it for the header.
        (&[("X_Receiver_Passed", &first), ("x_receiver-event-id", &first)], None),
    ];
    for (headers, expected) in cases {
        run(async {
            let front = Front::new(&config()).await;
            assert_eq!(send(&front, headers, "{}").await.status, 200, "{headers:?}");
            let event = front.event();
            let kept: Vec<_> = event.headers.iter().filter(|(name, _)| name.contains("receiver")).collect();
            let expected: Vec<_> = expected.into_iter().map(|ids| ("x-receiver-passed", ids.as_bytes())).collect();
            assert_eq!(kept, expected, "{headers:?}");
        });
    }
}

#[test]
fn the_way_through_receivers_has_an_end() {
    run(async {
        let front = Front::new(&config()).await;
        let way = |receivers: u8| (1..=receivers).map(|number| id(number).to_string()).collect::<Vec<_>>().join(",");
        assert_eq!(send(&front, &[("X-Receiver-Passed", &way(8))], "{}").await.status, 200);
        for receivers in [9, 100] {
            let answer = send(&front, &[("X-Receiver-Passed", &way(receivers))], "{}").await;
            assert_eq!((answer.status, answer.json()), (508, json!({"error": "loop_detected"})));
        }
        let headers = [("X-Receiver-Passed", &*way(8)), ("X-Receiver-Event-Id", &*id(9).to_string())];
        assert_eq!(send(&front, &headers, "{}").await.status, 508);
        assert_eq!(
            &*front.refused()[0].reason,
            "loop: expected an event that has passed 8 receivers at most, found more; check where they deliver to"
        );
        front.event();
    });
}
