//! Signing in and out.

use crate::admin::fake::{Admin, NOW, event_id};
use pylon_receiver::OperatorRole;
use pylon_receiver::internals::{Access, Operator};
use zeroize::Zeroizing;

const HOST: (&str, &str) = ("host", "ops.example.com");
const FORM: (&str, &str) = ("content-type", "application/x-www-form-urlencoded");
const OWN: (&str, &str) = ("origin", "https://ops.example.com");

fn admin() -> Admin {
    let operator = |name: &str, role| Operator {
        name: name.into(),
        role,
        token: Zeroizing::new(format!("the token of {name}").into_bytes()),
        user_header: None,
    };
    let operators = [operator("anna", OperatorRole::Operator), operator("rita", OperatorRole::Reader)];
    Admin::new(Access::Tokens(operators.into()))
}

async fn signed_in(admin: &Admin, name: &str) -> String {
    let form = format!("token=the+token+of+{name}&to=events%3Fstate%3Ddead");
    let answer = admin.send("POST", "/ui/sign-in", &[HOST, FORM, OWN], &form).await;
    assert_eq!((answer.status.as_u16(), answer.header("location")), (303, "events?state=dead"));
    let cookie = answer.header("set-cookie").to_owned();
    for attribute in ["; HttpOnly", "; SameSite=Lax", "; Max-Age=43200", "; Secure"] {
        assert!(cookie.contains(attribute), "{cookie}");
    }
    assert!(!cookie.contains("Path") && !cookie.contains("Domain"), "{cookie}");
    assert!(!cookie.contains("token"), "{cookie}");
    cookie.split(';').next().unwrap().to_owned()
}

#[tokio::test]
async fn who_is_not_signed_in_is_led_to_sign_in_and_back() {
    let admin = admin();
    for (path, location) in [
        ("/ui/", "sign-in?to="),
        ("/ui/events?state=dead", "sign-in?to=events%3Fstate%3Ddead"),
        (&*format!("/ui/events/{}", event_id(1)), "../sign-in?to=events%2F"),
    ] {
        let answer = admin.send("GET", path, &[HOST], "").await;
        assert_eq!(answer.status, 303, "{path}");
        assert!(answer.header("location").starts_with(location), "{path}: {}", answer.header("location"));
    }
    let cookie = signed_in(&admin, "anna").await;
    let page = admin.send("GET", "/ui/events?state=dead", &[HOST, ("cookie", &cookie)], "").await;
    assert_eq!(page.status, 200);
    assert!(page.text().contains("<span id=\"operator\">anna</span>"), "{}", page.text());
}

#[tokio::test]
async fn a_session_is_its_operator_and_no_more() {
    let admin = admin();
    let cookie = signed_in(&admin, "rita").await;
    let order = format!("/ui/events/{}/send-again", event_id(1));
    let answer = admin.send("POST", &order, &[HOST, FORM, OWN, ("cookie", &cookie)], "").await;
    assert_eq!(answer.status, 403);
    // A browser sends cookies by itself: the API takes none.
    assert_eq!(admin.send("GET", "/api/events", &[HOST, ("cookie", &cookie)], "").await.status, 401);
}

#[tokio::test]
async fn a_session_that_nobody_began_or_that_has_ended_is_none() {
    let admin = admin();
    let cookie = signed_in(&admin, "anna").await;
    let (name, value) = cookie.split_once('=').unwrap();
    let (until, mac) = value.split_once('.').unwrap();
    let past = NOW.unix_seconds() - 1;
    let swapped: String = mac.chars().rev().collect();
    for forged in [
        format!("{name}="),
        format!("{name}={until}"),
        format!("{name}={until}."),
        format!("{name}={until}.{swapped}"),
        format!("{name}={past}.{mac}"),
        format!("{name}=99999999999.{mac}"),
        format!("{name}={until}.{}", mac.to_uppercase()),
        format!("pylon_receiver_00000000={value}"),
        format!("session={value}"),
    ] {
        let answer = admin.send("GET", "/ui/", &[HOST, ("cookie", &forged)], "").await;
        assert_eq!(answer.status, 303, "{forged}");
    }
    // Others' cookies are no obstacle.
    let among = format!("a=b; {cookie}; c");
    assert_eq!(admin.send("GET", "/ui/", &[HOST, ("cookie", &among)], "").await.status, 200);
}

#[tokio::test]
async fn another_token_is_not_let_in_and_no_page_repeats_it() {
    let admin = admin();
    for token in ["", "wrong-token", "the+token+of+ann", "The+token+of+anna", "%FF%FE"] {
        let answer = admin.send("POST", "/ui/sign-in", &[HOST, FORM, OWN], &format!("token={token}")).await;
        assert_eq!(answer.status, 401, "{token}");
        assert_eq!(answer.header("set-cookie"), "");
        assert!(answer.text().contains("This is not the token of an operator."), "{}", answer.text());
        assert!(!answer.text().contains("wrong-token"));
    }
    let foreign = [HOST, FORM, ("origin", "https://evil.example")];
    let answer = admin.send("POST", "/ui/sign-in", &foreign, "token=the+token+of+anna").await;
    assert_eq!((answer.status.as_u16(), answer.header("set-cookie")), (403, ""));
    let long = format!("token={}", "a".repeat(20_000));
    assert_eq!(admin.send("POST", "/ui/sign-in", &[HOST, FORM, OWN], &long).await.status, 413);
}

#[tokio::test]
async fn signing_in_leads_nowhere_but_to_a_page() {
    let admin = admin();
    for to in [
        "",
        "//evil.example",
        "https://evil.example",
        "/\\evil.example",
        "\\\\evil.example",
        "javascript:alert(1)",
        "../../evil",
        "events\r\nset-cookie: a=b",
        "events evil",
        "/ui/events",
    ] {
        let to: String = to.bytes().map(|byte| format!("%{byte:02X}")).collect();
        let form = format!("token=the+token+of+anna&to={to}");
        let answer = admin.send("POST", "/ui/sign-in", &[HOST, FORM, OWN], &form).await;
        assert_eq!((answer.status.as_u16(), answer.header("location")), (303, "./"), "{to}");
    }
}

#[tokio::test]
async fn signing_out_ends_the_session_of_the_browser() {
    let admin = admin();
    let cookie = signed_in(&admin, "anna").await;
    let answer = admin.send("POST", "/ui/sign-out", &[HOST, FORM, OWN, ("cookie", &cookie)], "").await;
    assert_eq!((answer.status.as_u16(), answer.header("location")), (303, "sign-in"));
    let name = cookie.split('=').next().unwrap();
    let ended = answer.headers.get_all("set-cookie").iter().map(|value| value.to_str().unwrap().to_owned());
    assert!(ended.into_iter().any(|value| value.starts_with(&format!("{name}=;")) && value.contains("Max-Age=0")));
    let foreign = [HOST, FORM, ("origin", "https://evil.example")];
    assert_eq!(admin.send("POST", "/ui/sign-out", &foreign, "").await.status, 403);
}

#[tokio::test]
async fn without_tokens_there_is_nothing_to_sign_in_to() {
    let admin = Admin::new(Access::Loopback);
    let answer = admin.get("/ui/sign-in").await;
    assert_eq!((answer.status.as_u16(), answer.header("location")), (303, "./"));
    assert!(!admin.get("/ui/").await.text().contains("Sign out"));
}
