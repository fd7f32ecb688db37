//! The table of requests that every adapter of the core answers; what differs here is said in one place.

use super::*;
use base64::Engine;
use serde::Deserialize;

#[derive(Deserialize)]
struct Table {
    schema: u32,
    secret: String,
    now: u64,
    cases: Vec<Case>,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct Case {
    id: String,
    #[serde(rename = "comment")]
    _comment: String,
    method: String,
    headers: Vec<(String, String)>,
    body: Option<String>,
    body_base64: Option<String>,
    body_repeat: Option<Vec<(String, usize)>>,
    transfer: Option<Value>,
    pieces: Option<usize>,
    expect: Expected,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct Expected {
    status: u16,
    answer: Value,
    allow: Option<String>,
    handled: Vec<String>,
}

/// What is to come of a case here.
#[derive(Debug, PartialEq)]
enum Outcome {
    Accepted { kind: String },
    Parked,
    Refused { status: u16, answer: Value, allow: Option<String> },
}

impl Case {
    /// No handler runs before the answer here, so that none can fail; and an authentic body that is not JSON is parked.
    fn outcome(&self) -> Outcome {
        match (self.expect.status, self.expect.handled.first()) {
            (200 | 500, Some(kind)) => Outcome::Accepted { kind: kind.clone() },
            (400, _) => Outcome::Parked,
            (status, _) => {
                Outcome::Refused { status, answer: self.expect.answer.clone(), allow: self.expect.allow.clone() }
            }
        }
    }

    fn body(&self) -> Vec<u8> {
        let repeated = |parts: &Vec<(String, usize)>| parts.iter().map(|(text, count)| text.repeat(*count)).collect();
        let text = self.body.clone().or_else(|| self.body_repeat.as_ref().map(repeated));
        let base64 = |text: &String| base64::prelude::BASE64_STANDARD.decode(text).unwrap();
        text.map(String::into_bytes).or_else(|| self.body_base64.as_ref().map(base64)).unwrap_or_default()
    }

    fn head(&self) -> Vec<u8> {
        let latin_1 = |text: &str| text.chars().map(|c| u8::try_from(u32::from(c)).unwrap()).collect::<Vec<u8>>();
        let framing = match &self.transfer {
            None => format!("Content-Length: {}", self.body().len()),
            Some(Value::String(_)) => "Transfer-Encoding: chunked".into(),
            Some(declared) => format!("Content-Length: {}", declared["declared"]),
        };
        let mut head = format!("{} /webhook HTTP/1.1\r\nHost: receiver\r\n{framing}\r\n", self.method).into_bytes();
        for (name, value) in &self.headers {
            head.extend([name.as_bytes(), b": ", &latin_1(value), b"\r\n"].concat());
        }
        [head, b"\r\n".to_vec()].concat()
    }

    /// The parts of the body as they stand on the wire.
    fn pieces(&self) -> Vec<Vec<u8>> {
        let body = self.body();
        let length = body.len().div_ceil(self.pieces.unwrap_or(1)).max(1);
        let is_chunked = matches!(self.transfer, Some(Value::String(_)));
        let chunk = |piece: &[u8]| [format!("{:x}\r\n", piece.len()).as_bytes(), piece, b"\r\n"].concat();
        let piece = |piece: &[u8]| if is_chunked { chunk(piece) } else { piece.to_vec() };
        let end = is_chunked.then(|| b"0\r\n\r\n".to_vec());
        body.chunks(length).map(piece).chain(end).collect()
    }
}

#[test]
fn it_is_answered_as_the_table_says() {
    let path = concat!(env!("CARGO_MANIFEST_DIR"), "/../../vectors/requests.json");
    let table: Table = serde_json::from_str(&std::fs::read_to_string(path).unwrap()).unwrap();
    assert_eq!((table.schema, table.secret.as_str(), table.now), (1, SECRET, NOW));
    let (wrong, _) = run(async {
        let mut wrong = Vec::new();
        for case in table.cases {
            let front = Front::new(&config()).await;
            let mut peer = front.connect().await;
            peer.send(&case.head()).await;
            for piece in case.pieces() {
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
                    assert_eq!(event.body.as_bytes(), case.body(), "{}", case.id);
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
            if found != case.outcome() {
                wrong.push(format!("{}: {found:?}", case.id));
            }
        }
        wrong
    });
    assert!(wrong.is_empty(), "{}", wrong.join("\n"));
}
