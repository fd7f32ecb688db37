//! Orders of the page: previewed, given once however often the button is clicked, watched and cancelled.

use crate::admin::fake::{Admin, NOW, delivery, event_id};
use pylon_receiver::OperatorRole;
use pylon_receiver::internals::{Access, Operator};
use pylon_receiver::ledger::{DeliveryRecord, DeliveryState, OrderState};
use std::time::Duration;

const FORM: [(&str, &str); 3] = [
    ("host", "localhost:8081"),
    ("sec-fetch-site", "same-origin"),
    ("content-type", "application/x-www-form-urlencoded"),
];

fn with_dead(count: i64) -> Admin {
    let admin = Admin::new(Access::Loopback);
    let dead = |seconds| DeliveryRecord {
        finished_at: Some(NOW.before(Duration::from_secs(1))),
        ..delivery(event_id(seconds), 1, DeliveryState::Dead)
    };
    *admin.ledger.deliveries.lock().unwrap() = (10..10 + count).map(dead).collect();
    admin
}

/// The hidden fields of the form on a page, as a browser sends them.
fn fields(page: &str) -> String {
    let form = &page[page.find("class=\"order\"").expect("a form")..];
    let value = |tag: &str, name: &str| {
        let start = tag.find(&format!("{name}=\"")).unwrap() + name.len() + 2;
        tag[start..].split('"').next().unwrap().replace(':', "%3A")
    };
    let tags = form.split("<input type=\"hidden\"").skip(1).map(|tag| tag.split('>').next().unwrap());
    tags.map(|tag| format!("{}={}", value(tag, "name"), value(tag, "value"))).collect::<Vec<_>>().join("&")
}

/// Waits until the order has ended.
async fn ended(admin: &Admin, number: usize) -> OrderState {
    for _ in 0..1000 {
        let state = admin.ledger.rows.lock().unwrap()[number - 1].1.state;
        if state != OrderState::Running {
            return state;
        }
        tokio::time::sleep(Duration::from_millis(2)).await;
    }
    panic!("the order never ends")
}

#[tokio::test]
async fn what_dies_after_the_preview_is_not_taken() {
    let admin = with_dead(1200);
    let preview = admin.get("/ui/orders/new?of=dead&verb=redeliver").await;
    assert_eq!(preview.status, 200);
    assert!(preview.text().contains("Send again: 1,200 dead deliveries"), "{}", preview.text());
    assert_eq!(preview.text().matches("<li>").count(), 5);
    assert!(preview.text().contains("X-Receiver-Event-Id"));
    assert!(admin.ledger.orders.lock().unwrap().is_empty(), "a look changes nothing");
    let late = |seconds| DeliveryRecord {
        finished_at: Some(NOW.after(Duration::from_secs(1))),
        ..delivery(event_id(seconds), 1, DeliveryState::Dead)
    };
    admin.ledger.deliveries.lock().unwrap().extend((2000..2010).map(late));
    let form = format!("{}&limit=&note=the+app+is+mended", fields(preview.text()));
    for _ in 0..2 {
        let answer = admin.send("POST", "/ui/orders", &FORM, &form).await;
        assert_eq!((answer.status.as_u16(), answer.header("location")), (303, "orders/1"), "{}", answer.text());
    }
    assert_eq!(ended(&admin, 1).await, OrderState::Done);
    let (_, order) = admin.ledger.rows.lock().unwrap()[0].clone();
    assert_eq!((order.counted, order.taken, order.done), (Some(1200), 1200, 1200));
    assert_eq!((order.who.as_str(), order.source.name()), ("local", "page"));
    assert_eq!(order.note.as_deref(), Some("the app is mended"));
    assert_eq!(admin.ledger.rows.lock().unwrap().len(), 1, "a double click is one order");
    let left = admin.ledger.deliveries.lock().unwrap().iter().filter(|one| one.state == DeliveryState::Dead).count();
    assert_eq!(left, 10);

    let list = admin.get("/ui/orders").await;
    assert!(list.text().contains("the app is mended") && list.text().contains("1,200 of 1,200"), "{}", list.text());
    let page = admin.get("/ui/orders/1").await;
    assert!(page.text().contains("done") && !page.text().contains("/cancel"), "{}", page.text());
}

#[tokio::test]
async fn the_first_ten_are_ten() {
    let admin = with_dead(30);
    let preview = admin.get("/ui/orders/new?of=dead&verb=drop&destination=app").await;
    assert!(preview.text().contains("undoes a drop"), "{}", preview.text());
    let form = format!("{}&limit=10&note=", fields(preview.text()));
    admin.send("POST", "/ui/orders", &FORM, &form).await;
    assert_eq!(ended(&admin, 1).await, OrderState::Done);
    let dropped = |one: &&DeliveryRecord| one.state == DeliveryState::Dropped;
    let mut dropped: Vec<_> =
        admin.ledger.deliveries.lock().unwrap().iter().filter(dropped).map(|one| one.id.event).collect();
    dropped.sort();
    // The oldest first.
    assert_eq!(dropped, (30..40).rev().map(event_id).collect::<Vec<_>>());
}

#[tokio::test]
async fn one_dead_delivery_is_dropped_after_a_question() {
    let admin = with_dead(3);
    let id = format!("{}.1", event_id(11));
    let preview = admin.get(&format!("/ui/orders/new?of=dead&verb=drop&delivery={id}")).await;
    assert!(preview.text().contains("Drop: 1 dead delivery"), "{}", preview.text());
    admin.send("POST", "/ui/orders", &FORM, &fields(preview.text())).await;
    assert_eq!(ended(&admin, 1).await, OrderState::Done);
    let states = admin.ledger.deliveries.lock().unwrap();
    let dropped: Vec<_> = states.iter().filter(|one| one.state == DeliveryState::Dropped).map(|one| one.id).collect();
    assert_eq!(dropped, [delivery(event_id(11), 1, DeliveryState::Dead).id]);
}

#[tokio::test]
async fn a_reader_previews_and_orders_nothing() {
    let operators =
        [("anna", OperatorRole::Operator, "a"), ("rita", OperatorRole::Reader, "r")].map(|(name, role, token)| {
            Operator { name: name.into(), role, token: token.as_bytes().to_vec().into(), user_header: None }
        });
    let admin = Admin::new(Access::Tokens(operators.to_vec()));
    let dead = delivery(event_id(9), 1, DeliveryState::Dead);
    admin
        .ledger
        .deliveries
        .lock()
        .unwrap()
        .push(DeliveryRecord { finished_at: Some(event_id(9).received_at()), ..dead });
    let (rita, anna) = (("authorization", "Bearer r"), ("authorization", "Bearer a"));
    let get = async |path: &str, who| admin.send("GET", path, &[FORM[0], who], "").await;
    let preview = get("/ui/orders/new?of=dead&verb=drop", rita).await;
    assert!(preview.status == 200 && !preview.text().contains("<form method=\"post\" action=\"../orders\""));
    assert!(!get("/ui/dead", rita).await.text().contains("orders/new"));
    assert!(get("/ui/dead", anna).await.text().contains("orders/new"));
    let form = fields(get("/ui/orders/new?of=dead&verb=drop", anna).await.text());
    for path in ["/ui/orders", "/ui/orders/1/cancel"] {
        let answer = admin.send("POST", path, &[FORM[0], FORM[1], FORM[2], rita], &form).await;
        assert_eq!(answer.status, 403, "{path}");
    }
    assert!(admin.ledger.rows.lock().unwrap().is_empty());
    admin.send("POST", "/ui/orders", &[FORM[0], FORM[1], FORM[2], anna], &form).await;
    assert_eq!(ended(&admin, 1).await, OrderState::Done);
    assert_eq!(admin.ledger.rows.lock().unwrap()[0].1.who, "anna");
}

#[tokio::test]
async fn what_is_no_order_is_refused() {
    let admin = with_dead(1);
    for (query, status) in [
        ("of=events&verb=drop", 400),
        ("of=dead&verb=move", 400),
        ("of=dead", 400),
        ("of=dead&verb=drop&delivery=nonsense", 400),
        ("of=dead&verb=drop&destination=nobody", 400),
    ] {
        assert_eq!(admin.get(&format!("/ui/orders/new?{query}")).await.status, status, "{query}");
    }
    let nothing = admin.get("/ui/orders/new?of=events&verb=redeliver&state=dead").await;
    assert!(nothing.text().contains("Nothing matches"), "{}", nothing.text());
    for path in ["/ui/orders/7", "/ui/orders/nonsense"] {
        assert_eq!(admin.get(path).await.status, 404, "{path}");
    }
}
