use super::*;

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
    #[serde(default)]
    transfer: Transfer,
    pieces: Option<usize>,
    expect: Expected,
}

#[derive(Deserialize, Default)]
#[serde(rename_all = "lowercase")]
enum Transfer {
    #[default]
    #[serde(skip)]
    Plain,
    Chunked,
    Declared(u64),
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct Expected {
    status: u16,
    answer: Value,
    allow: Option<String>,
    handled: Vec<String>,
}

fn table() -> Table {
    let path = concat!(env!("CARGO_MANIFEST_DIR"), "/../../vectors/requests.json");
    let table: Table = serde_json::from_str(&std::fs::read_to_string(path).unwrap()).unwrap();
    assert_eq!((table.schema, table.secret.as_str(), table.now), (1, SECRET, NOW));
    table
}

impl Case {
    fn body(&self) -> Option<Vec<u8>> {
        let repeated = |parts: &Vec<(String, usize)>| parts.iter().map(|(text, count)| text.repeat(*count)).collect();
        let text = self.body.clone().or_else(|| self.body_repeat.as_ref().map(repeated));
        text.map(String::into_bytes).or_else(|| self.body_base64.as_deref().map(from_base64))
    }

    /// The headers as they stand on the wire.
    fn headers(&self) -> Vec<(String, Vec<u8>)> {
        let latin_1 = |text: &str| text.chars().map(|c| u8::try_from(u32::from(c)).unwrap()).collect();
        let mut headers: Vec<_> = self.headers.iter().map(|(name, value)| (name.clone(), latin_1(value))).collect();
        let length = match self.transfer {
            Transfer::Plain => self.body().map(|body| body.len() as u64),
            Transfer::Declared(length) => Some(length),
            Transfer::Chunked => None,
        };
        headers.extend(length.map(|length| ("Content-Length".to_owned(), length.to_string().into_bytes())));
        if matches!(self.transfer, Transfer::Chunked) {
            headers.push(("Transfer-Encoding".into(), b"chunked".into()));
        }
        headers
    }

    fn pieces(&self) -> Vec<Option<Bytes>> {
        let body = self.body().unwrap_or_default();
        let pieces = Pieces::<()>::cut(&body, self.pieces.unwrap_or(1)).pieces;
        pieces.into_iter().map(Result::ok).collect()
    }
}

fn from_base64(text: &str) -> Vec<u8> {
    const DIGITS: &[u8] = b"ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+/";
    let digits: Vec<u32> =
        text.bytes().filter_map(|digit| DIGITS.iter().position(|&known| known == digit)).map(|at| at as u32).collect();
    let bytes = digits.chunks(4).flat_map(|digits| {
        let bits = digits.iter().zip([18, 12, 6, 0]).map(|(digit, place)| digit << place).sum::<u32>();
        bits.to_be_bytes()[1..digits.len()].to_vec()
    });
    bytes.collect()
}

fn answers_the_table(adapter: Adapter) {
    let (wrong, _) = run(async {
        let mut wrong = Vec::new();
        for case in table().cases {
            let seen = Seen::default();
            let found = adapter.ask(&seen, &case.method, &case.headers(), &case.pieces()).await;
            let expected = Answer {
                status: case.expect.status,
                json: match &case.expect.answer {
                    Value::Null if adapter.leaves_head_to_the_server() => json!({"error": "method_not_allowed"}),
                    answer => answer.clone(),
                },
                allow: case.expect.allow,
                content_type: Some("application/json".into()),
            };
            let handled = seen.taken();
            if found != expected || handled != case.expect.handled {
                wrong.push(format!("{}: {found:?}, {handled:?}", case.id));
            }
        }
        wrong
    });
    assert!(wrong.is_empty(), "{}", wrong.join("\n"));
}

#[test]
fn an_endpoint_alone_answers_it() {
    answers_the_table(Adapter::Endpoint);
}

#[test]
fn the_tower_service_answers_it() {
    answers_the_table(Adapter::Tower);
}

#[test]
fn the_routes_of_axum_answer_it() {
    answers_the_table(Adapter::Axum);
}

#[test]
fn a_function_of_axum_answers_it() {
    answers_the_table(Adapter::AxumExtractor);
}

#[test]
fn the_resource_of_actix_web_answers_it() {
    answers_the_table(Adapter::Actix);
}

#[test]
fn a_function_of_actix_web_answers_it() {
    answers_the_table(Adapter::ActixExtractor);
}
