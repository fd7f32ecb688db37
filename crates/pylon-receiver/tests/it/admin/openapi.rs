//! The description of the API: complete, and in order with itself. Whether the answers are as described is tested over HTTP in
//! `tests/surroundings/test_openapi.py`.

use super::fake::Admin;
use pylon_receiver::internals::Access;
use serde_json::Value;
use std::collections::BTreeSet;

async fn document() -> Value {
    Admin::new(Access::Loopback).get("/api/openapi.json").await.json(200)
}

#[tokio::test]
async fn every_path_of_the_api_is_described_and_no_other() {
    let document = document().await;
    assert_eq!(document["openapi"], "3.1.0");
    let described: BTreeSet<&str> = document["paths"].as_object().unwrap().keys().map(String::as_str).collect();
    let declared = include_str!("../../../src/wire/path.rs").lines().filter_map(|line| {
        let (_, path) = line.strip_prefix("pub const ")?.split_once(": &str = \"")?;
        path.strip_suffix("\";")
    });
    assert_eq!(described, declared.collect());
}

#[tokio::test]
async fn what_is_described_is_there() {
    let document = document().await;
    let admin = Admin::new(Access::Loopback).with_events(1);
    let event = admin.get("/api/events").await.json(200)["events"][0]["id"].as_str().unwrap().to_owned();
    for (path, item) in document["paths"].as_object().unwrap() {
        let path = path.replace("{id}", &event);
        for method in item.as_object().unwrap().keys() {
            let answer = match method.as_str() {
                "get" => admin.get(&path).await,
                "post" => admin.post(&path, "{}").await,
                other => panic!("{other}"),
            };
            assert!(![404, 405].contains(&answer.status.as_u16()), "{method} {path}: {}", answer.status);
        }
    }
}

#[tokio::test]
async fn everything_that_is_referred_to_is_there_and_has_a_description() {
    let document = document().await;
    let schemas = document["components"]["schemas"].as_object().unwrap();
    let mut referred = BTreeSet::new();
    references(&document, &mut referred);
    let there: BTreeSet<String> = schemas.keys().map(|name| format!("#/components/schemas/{name}")).collect();
    assert_eq!(referred, there);
    for (name, schema) in schemas {
        assert!(schema["description"].is_string(), "{name}");
        for (member, described) in schema["properties"].as_object().into_iter().flatten() {
            assert!(described.to_string().contains("\"description\""), "{name}.{member}: {described}");
        }
    }
}

fn references(value: &Value, found: &mut BTreeSet<String>) {
    match value {
        Value::Object(members) => members.iter().for_each(|(name, member)| match (name.as_str(), member) {
            ("$ref", Value::String(to)) => _ = found.insert(to.clone()),
            _ => references(member, found),
        }),
        Value::Array(entries) => entries.iter().for_each(|entry| references(entry, found)),
        _ => {}
    }
}
