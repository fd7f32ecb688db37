use super::*;
use pylon_test_support::requests::{Case, Table};

fn pieces(case: &Case) -> Vec<Option<Bytes>> {
    case.pieces().into_iter().map(|piece| Some(piece.into())).collect()
}

fn answers_the_table(adapter: Adapter) {
    let (wrong, _) = run(async {
        let table = Table::read();
        assert_eq!((table.secret.as_str(), table.now), (SECRET, NOW));
        let mut wrong = Vec::new();
        for case in table.cases {
            let seen = Seen::default();
            let found = adapter.ask(&seen, &case.method, &case.headers(), &pieces(&case)).await;
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
