//! Which browsers, and which pages in them, are let in.

use crate::admin::fake::{Admin, event, event_id};
use pylon_receiver::OperatorRole;
use pylon_receiver::internals::{Access, Operator};
use zeroize::Zeroizing;

const HOST: (&str, &str) = ("host", "localhost:8081");
const FORM: (&str, &str) = ("content-type", "application/x-www-form-urlencoded");
const SAME: (&str, &str) = ("sec-fetch-site", "same-origin");
const CROSS: (&str, &str) = ("sec-fetch-site", "cross-site");

fn operator(name: &str, role: OperatorRole, token: &str) -> Operator {
    Operator { name: name.into(), role, token: Zeroizing::new(token.as_bytes().to_vec()), user_header: None }
}

fn with_an_event(access: Access) -> (Admin, String) {
    let admin = Admin::new(access).with_events(0);
    admin.ledger.events.lock().unwrap().push(event(event_id(9), "issue_new", br#"{"issue_number": 1042}"#));
    (admin, format!("/ui/events/{}/send-again", event_id(9)))
}

#[tokio::test]
async fn a_link_from_anywhere_opens_a_page_and_nothing_else_from_elsewhere_does() {
    let admin = Admin::new(Access::Loopback);
    let navigation = [HOST, CROSS, ("sec-fetch-mode", "navigate"), ("sec-fetch-dest", "document")];
    assert_eq!(admin.send("GET", "/ui/events", &navigation, "").await.status, 200);
    for (mode, destination) in [
        ("navigate", "iframe"),
        ("navigate", "frame"),
        ("navigate", "object"),
        ("no-cors", "image"),
        ("no-cors", "script"),
        ("cors", "empty"),
        ("no-cors", "document"),
        ("", ""),
    ] {
        for site in ["cross-site", "same-site", "", "another"] {
            let headers = [HOST, ("sec-fetch-site", site), ("sec-fetch-mode", mode), ("sec-fetch-dest", destination)];
            let answer = admin.send("GET", "/ui/events", &headers, "").await;
            assert_eq!(answer.status, 403, "{site} {mode} {destination}");
            assert!(answer.text().contains("forbidden site: expected a link to this page"), "{}", answer.text());
        }
    }
    // The API is no page: no link from elsewhere leads to it.
    assert_eq!(admin.send("GET", "/api/events", &navigation, "").await.status, 403);
}

#[tokio::test]
async fn only_a_form_of_our_own_page_orders() {
    let (admin, path) = with_an_event(Access::Loopback);
    let own = "http://localhost:8081";
    for headers in [vec![HOST, FORM, SAME], vec![HOST, FORM, SAME, ("origin", own)], vec![HOST, FORM, ("origin", own)]]
    {
        let answer = admin.send("POST", &path, &headers, "").await;
        assert_eq!((answer.status.as_u16(), answer.header("location")), (303, &*format!("../{}?sent=1", event_id(9))));
    }
    assert_eq!(admin.ledger.redelivered.lock().unwrap().len(), 3);
    for headers in [
        vec![HOST, FORM],
        vec![HOST, FORM, ("origin", "null")],
        vec![HOST, FORM, ("origin", "http://evil.example")],
        vec![HOST, FORM, ("origin", "http://localhost:8082")],
        vec![HOST, FORM, CROSS],
        vec![HOST, FORM, CROSS, ("origin", own)],
        vec![HOST, FORM, CROSS, ("sec-fetch-mode", "navigate"), ("sec-fetch-dest", "document")],
        vec![HOST, FORM, ("sec-fetch-site", "same-site"), ("origin", own)],
        vec![HOST, FORM, ("sec-fetch-site", "none")],
        vec![HOST, FORM, SAME, ("origin", own), CROSS],
    ] {
        let answer = admin.send("POST", &path, &headers, "").await;
        assert_eq!(answer.status, 403, "{headers:?}");
    }
    for content_type in ["application/json", "text/plain", "multipart/form-data", ""] {
        let answer = admin.send("POST", &path, &[HOST, SAME, ("content-type", content_type)], "").await;
        assert_eq!(answer.status, 415, "{content_type}");
    }
    assert_eq!(admin.ledger.redelivered.lock().unwrap().len(), 3);
}

#[tokio::test]
async fn behind_a_proxy_the_public_address_is_ours() {
    let admin =
        Admin::behind(Access::token(Zeroizing::new(b"correct horse".to_vec())), "https://ops.example.com/pylon/");
    admin.ledger.events.lock().unwrap().push(event(event_id(9), "issue_new", b"{}"));
    let path = format!("/ui/events/{}/send-again", event_id(9));
    let authorization = ("authorization", "Bearer correct horse");
    let headers = |origin| [("host", "127.0.0.1:8081"), FORM, authorization, ("origin", origin)];
    assert_eq!(admin.send("POST", &path, &headers("https://ops.example.com"), "").await.status, 303);
    let answer = admin.send("POST", &path, &headers("https://evil.example"), "").await;
    assert_eq!(answer.status, 403);
    assert!(answer.text().contains("set public_url to the address in the browser"), "{}", answer.text());
}

#[tokio::test]
async fn on_this_machine_a_foreign_name_and_a_proxy_are_not_let_in() {
    let admin = Admin::new(Access::Loopback);
    for headers in [vec![("host", "evil.example")], vec![("host", "localhost"), ("x-forwarded-for", "192.0.2.1")]] {
        for path in ["/ui/", "/ui/events", "/ui/health"] {
            assert_eq!(admin.send("GET", path, &headers, "").await.status, 403, "{headers:?} {path}");
        }
    }
    let elsewhere = "192.0.2.1".parse().ok();
    assert_eq!(admin.send_from(elsewhere, "GET", "/ui/", &[HOST], "").await.status, 403);
}

#[tokio::test]
async fn a_reader_reads_and_gives_no_order_by_page_or_api() {
    let access = Access::Tokens(vec![
        operator("anna", OperatorRole::Operator, "the token of anna"),
        operator("rita", OperatorRole::Reader, "the token of rita"),
    ]);
    let (admin, path) = with_an_event(access);
    let rita = ("authorization", "Bearer the token of rita");
    let anna = ("authorization", "Bearer the token of anna");
    let one = format!("/ui/events/{}", event_id(9));
    let page = admin.send("GET", &one, &[HOST, rita], "").await;
    assert_eq!(page.status, 200);
    assert!(!page.text().contains("send-again"), "a reader is shown no button");
    assert!(admin.send("GET", &one, &[HOST, anna], "").await.text().contains("send-again"));
    let refused = admin.send("POST", &path, &[HOST, rita, FORM, SAME], "").await;
    assert_eq!(refused.status, 403);
    assert!(refused.text().contains("forbidden order: expected an operator, found a reader"), "{}", refused.text());
    let json = ("content-type", "application/json");
    for api in ["/api/events/redeliver", "/api/dead/drop", "/api/dead/redeliver", "/api/deliveries/drop"] {
        let message =
            "forbidden order: expected an operator, found a reader, who gives no orders; sign in as an operator";
        admin.send("POST", api, &[HOST, rita, json], "{\"all\":true}").await.refused(403, "forbidden", message);
    }
    assert!(admin.ledger.orders.lock().unwrap().is_empty());
    assert_eq!(admin.send("POST", &path, &[HOST, anna, FORM, SAME], "").await.status, 303);
    let order = admin.send("POST", "/api/dead/drop", &[HOST, anna, json], "{\"all\":true}").await;
    assert_eq!(order.status, 200);
}

/// Who is told to be signed in, on the page that the request gets.
async fn told(admin: &Admin, headers: &[(&str, &str)]) -> Option<String> {
    let answer = admin.send("GET", "/ui/", &[&[HOST], headers].concat(), "").await;
    let page = answer.text();
    let (_, after) = page.split_once("<span id=\"operator\">")?;
    Some(after.split_once("</span>")?.0.to_owned())
}

#[tokio::test]
async fn a_proxy_says_whom_it_asks_for_and_nobody_else_does() {
    let proxy = |role| Operator {
        user_header: Some("x-forwarded-user".parse().unwrap()),
        ..operator("sso", role, "the token of sso")
    };
    let anna = operator("anna", OperatorRole::Operator, "the token of anna");
    let (admin, path) = with_an_event(Access::Tokens(vec![proxy(OperatorRole::Reader), anna]));
    let user = ("x-forwarded-user", "otto@example.com");
    let (of_sso, of_anna) =
        (("authorization", "Bearer the token of sso"), ("authorization", "Bearer the token of anna"));
    assert_eq!(told(&admin, &[of_sso, user]).await.as_deref(), Some("otto@example.com via sso"));
    assert_eq!(told(&admin, &[of_sso, ("x-forwarded-user", "<b>")]).await.as_deref(), Some("&#60;b&#62; via sso"));
    // What is missing, blank, twice, not ASCII or too long names nobody.
    let long = "x".repeat(201);
    for odd in [vec![], vec![("x-forwarded-user", " ")], vec![user, user], vec![("x-forwarded-user", "ö")]] {
        assert_eq!(told(&admin, &[&[of_sso], &odd[..]].concat()).await.as_deref(), Some("sso"), "{odd:?}");
    }
    assert_eq!(told(&admin, &[of_sso, ("x-forwarded-user", &long)]).await.as_deref(), Some("sso"));
    // Of other headers, of other operators and of sessions it is not taken.
    assert_eq!(told(&admin, &[of_sso, ("x-forwarded-email", "otto")]).await.as_deref(), Some("sso"));
    assert_eq!(told(&admin, &[of_anna, user]).await.as_deref(), Some("anna"));
    assert_eq!(told(&admin, &[user]).await, None);
    assert_eq!(told(&admin, &[("authorization", "Bearer wrong"), user]).await, None);
    let form = "token=the+token+of+sso&to=";
    let answer = admin.send("POST", "/ui/sign-in", &[HOST, FORM, SAME], form).await;
    let cookie = answer.header("set-cookie").split(';').next().unwrap().to_owned();
    assert_eq!(told(&admin, &[("cookie", &cookie), user]).await.as_deref(), Some("sso"));
    // A name is no role.
    let order = admin.send("POST", &path, &[HOST, of_sso, ("x-forwarded-user", "anna"), FORM, SAME], "").await;
    assert_eq!(order.status, 403);
    assert!(admin.ledger.orders.lock().unwrap().is_empty());
}

#[tokio::test]
async fn a_get_changes_nothing() {
    let (admin, path) = with_an_event(Access::Loopback);
    for path in [&*path, "/ui/sign-out"] {
        assert_eq!(admin.send("GET", path, &[HOST], "").await.status, 405, "{path}");
    }
    assert!(admin.ledger.orders.lock().unwrap().is_empty());
}

#[tokio::test]
async fn every_answer_forbids_what_a_page_does_not_need() {
    let (admin, _) = with_an_event(Access::Loopback);
    let one = format!("/ui/events/{}", event_id(9));
    let body = format!("{one}/body");
    for path in
        ["/", "/ui", "/ui/", "/ui/events", &one, &body, "/ui/nothing", "/ui/help", "/ui/sign-in", "/ui/events?limit=x"]
    {
        let answer = admin.get(path).await;
        let policy = answer.header("content-security-policy");
        match path {
            path if path.ends_with("/body") => assert_eq!(policy, "sandbox"),
            _ => {
                assert!(
                    policy.starts_with("default-src 'none'; script-src 'self'; style-src 'self'"),
                    "{path}: {policy}"
                );
                assert!(!policy.contains("unsafe"), "{path}");
                assert!(policy.contains("frame-ancestors 'none'") && policy.contains("base-uri 'none'"), "{path}");
            }
        }
        assert_eq!(answer.header("referrer-policy"), "same-origin", "{path}");
        assert_eq!(answer.header("cross-origin-resource-policy"), "same-origin", "{path}");
        assert_eq!(answer.header("cross-origin-opener-policy"), "same-origin", "{path}");
        assert_eq!(answer.header("x-content-type-options"), "nosniff", "{path}");
        assert_eq!(answer.header("cache-control"), "no-store", "{path}");
        assert!(!answer.text().contains(" style=") && !answer.text().contains(" onclick="), "{path}");
    }
}
