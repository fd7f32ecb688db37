//! What an app answers, from its socket to the page, with a receiver between them; and never into the log.

use crate::receiver::{ask, builder_on, id_of, now, webhook};
use crate::wait::within;
use pylon_receiver::config::{DestinationConfig, HttpTransport, TransportConfig};
use pylon_receiver::ledger::{Ledger, SqliteLedger, SqliteOptions};
use pylon_test_support::log::logged;
use std::net::SocketAddr;
use std::sync::Arc;
use std::time::Duration;
use tempfile::TempDir;
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpListener;

/// Answers every request so.
async fn app(answer: &'static str) -> SocketAddr {
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let address = listener.local_addr().unwrap();
    tokio::spawn(async move {
        loop {
            let (mut stream, _) = listener.accept().await.unwrap();
            let mut request = Vec::new();
            while !request.ends_with(b"}") {
                assert_ne!(stream.read_buf(&mut request).await.unwrap(), 0);
            }
            stream.write_all(answer.as_bytes()).await.unwrap();
        }
    });
    address
}

#[test]
fn what_an_app_answers_is_on_the_page_and_in_the_api_and_never_in_the_log() {
    const ANSWER: &str = "HTTP/1.1 500 Oops\r\nContent-Type: application/problem+json\r\nConnection: close\r\n\r\n\
        {\"error\": \"no such customer: <b>Anna</b>\"}";
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap();
    let folder = TempDir::new().unwrap();
    let work = async {
        let ledger = SqliteLedger::open(folder.path().join("pylon.db"), SqliteOptions::default()).unwrap();
        let ledger: Arc<dyn Ledger> = Arc::new(ledger);
        let url = format!("http://{}/hook", app(ANSWER).await).parse().unwrap();
        let mut destination = DestinationConfig::new("app", TransportConfig::Http(HttpTransport::new(url)));
        (destination.retry.attempts, destination.retry.first_delay) = (2, Duration::from_millis(1));
        let receiver = within("it starts", builder_on(ledger).destination(destination).start()).await.unwrap();
        let admin = receiver.admin().ip().unwrap();
        let id = id_of(webhook(receiver.webhooks().unwrap().ip().unwrap(), now()).await);
        let get = async |path: String| {
            let request = format!("GET {path} HTTP/1.1\r\nHost: {admin}\r\nConnection: close\r\n\r\n");
            ask(admin, &request).await.unwrap()
        };
        let json = async |path: &str| -> serde_json::Value {
            let answer = get(path.to_owned()).await;
            serde_json::from_str(answer.split_once("\r\n\r\n").unwrap().1).unwrap()
        };
        let mut groups = serde_json::Value::Null;
        while groups["groups"].as_array().is_none_or(Vec::is_empty) {
            groups = json("/api/dead/groups").await;
        }
        let said = serde_json::json!({
            "content_type": "application/problem+json", "text": "{\"error\": \"no such customer: <b>Anna</b>\"}", "is_cut": false
        });
        let group = &groups["groups"][0];
        assert_eq!((&group["code"], &group["dead"], &group["answer"]), (&"http_500".into(), &1.into(), &said));
        let event = json(&format!("/api/events/{id}")).await;
        let log = event["deliveries"][0]["log"].as_array().unwrap();
        assert_eq!(log.len(), 2);
        assert!(log.iter().all(|attempt| attempt["answer"] == said && attempt["code"] == "http_500"), "{log:?}");
        assert_eq!(event["deliveries"][0]["code"], "http_500");
        for page in ["/ui/dead".to_owned(), format!("/ui/events/{id}")] {
            let html = get(page).await;
            assert!(html.contains("no such customer: &lt;b&gt;Anna&lt;/b&gt;"), "{html}");
        }
        assert_eq!(json("/api/deliveries?code=http_500").await["deliveries"].as_array().unwrap().len(), 1);
        assert_eq!(json("/api/deliveries?code=timeout").await["deliveries"].as_array().unwrap().len(), 0);
        let order = "{\"filter\":{\"code\":\"http_500\"},\"dry_run\":true}";
        let request = format!(
            "POST /api/dead/redeliver HTTP/1.1\r\nHost: {admin}\r\nConnection: close\r\nContent-Type: application/json\r\n\
             Content-Length: {}\r\n\r\n{order}",
            order.len()
        );
        assert!(ask(admin, &request).await.unwrap().contains("{\"matched\":1,\"redelivered\":0,"));
        within("it shuts down", receiver.shutdown()).await.unwrap();
    };
    let ((), lines) = logged(|| runtime.block_on(within("all of it", work)));
    assert!(lines.iter().any(|line| line.contains("cause=answered 500")), "{lines:#?}");
    let told = lines.iter().find(|line| line.contains("customer") || line.contains("problem+json"));
    assert_eq!(told, None);
}
