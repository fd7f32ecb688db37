//! The table of requests that every adapter of the core answers; what differs here is said in one place.

use super::*;
use pylon_test_support::requests::{Case, Table};

/// What is to come of a case here.
#[derive(Debug, PartialEq)]
enum Outcome {
    Accepted { kind: String },
    Parked,
    Refused { status: u16, answer: Value, allow: Option<String> },
}

/// No handler runs before the answer here, so none can fail; and an authentic body that is not JSON is parked.
fn outcome(case: &Case) -> Outcome {
    match (case.expect.status, case.expect.handled.first()) {
        (200 | 500, Some(kind)) => Outcome::Accepted { kind: kind.clone() },
        (400, _) => Outcome::Parked,
        (status, _) => {
            Outcome::Refused { status, answer: case.expect.answer.clone(), allow: case.expect.allow.clone() }
        }
    }
}

fn head(case: &Case) -> Vec<u8> {
    let mut head = format!("{} /webhook HTTP/1.1\r\nHost: receiver\r\n", case.method).into_bytes();
    for (name, value) in case.headers() {
        head.extend([name.as_bytes(), b": ", &value, b"\r\n"].concat());
    }
    [head, b"\r\n".to_vec()].concat()
}

/// The pieces of the body as they are on the wire.
fn pieces(case: &Case) -> Vec<Vec<u8>> {
    if !case.is_chunked() {
        return case.pieces();
    }
    let chunk = |piece: Vec<u8>| [format!("{:x}\r\n", piece.len()).as_bytes(), &piece, b"\r\n"].concat();
    case.pieces().into_iter().map(chunk).chain([b"0\r\n\r\n".to_vec()]).collect()
}

#[test]
fn it_is_answered_as_the_table_says() {
    let table = Table::read();
    assert_eq!((table.secret.as_str(), table.now), (SECRET, NOW));
    let (wrong, _) = run(async {
        let mut wrong = Vec::new();
        for case in table.cases {
            let front = Front::new(&config()).await;
            let mut peer = front.connect().await;
            peer.send(&head(&case)).await;
            for piece in pieces(&case) {
                peer.send_what_is_taken(&piece).await;
                tokio::task::yield_now().await;
            }
            let Some(answer) = peer.next_of(&case.method).await else {
                wrong.push(format!("{}: no answer", case.id));
                continue;
            };
            assert_eq!(answer.header("content-type"), Some("application/json"), "{}", case.id);
            let found = match (answer.status, front.events().as_slice(), front.refused().as_slice()) {
                (200, [event], []) => {
                    assert_eq!(answer.json(), json!({"status": "accepted", "id": event.id}), "{}", case.id);
                    assert_eq!(event.body.as_bytes(), case.body().unwrap_or_default(), "{}", case.id);
                    match &event.parked {
                        None => Outcome::Accepted { kind: event.kind.as_deref().unwrap_or(&event.name).to_owned() },
                        Some(_) => Outcome::Parked,
                    }
                }
                (status, [], [refused]) => {
                    assert_eq!(refused.status, status, "{}", case.id);
                    let body = if case.method == "HEAD" { Value::Null } else { answer.json() };
                    Outcome::Refused { status, answer: body, allow: answer.header("allow").map(str::to_owned) }
                }
                other => panic!("{}: {other:?}", case.id),
            };
            if found != outcome(&case) {
                wrong.push(format!("{}: {found:?}", case.id));
            }
        }
        wrong
    });
    assert!(wrong.is_empty(), "{}", wrong.join("\n"));
}
