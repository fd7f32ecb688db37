//! Who may ask and order.

use super::fake::Admin;
use pylon_receiver::internals::Access;
use pylon_test_support::log::logged;
use std::time::Instant;
use zeroize::Zeroizing;

const HOST: &str = "forbidden host: expected localhost or a loopback address in the header host, found another or none; ask by such a name, or set an admin token";
const LOCAL: &[(&str, &str)] = &[("host", "localhost")];
const PEER: &str = "forbidden peer: expected a connection from this machine, found another; set admin_token to be asked from elsewhere";
const ORIGIN: &str =
    "forbidden origin: expected none or that of this host in the header origin, found another; no other page may ask";
const SITE: &str = "forbidden site: expected same-origin, none or no header sec-fetch-site, found another value; no other page may ask";
const TYPE: &str = "unsupported content type: expected application/json, found another or none";
const TOKEN: &str = "unauthorized: expected the header `authorization: Bearer` with the admin token, found another or none; present the token";

fn token() -> Access {
    Access::token(Zeroizing::new(b"correct horse".to_vec()))
}

#[tokio::test]
async fn without_a_token_only_loopback_names_are_answered() {
    let admin = Admin::new(Access::Loopback);
    for host in [
        "localhost",
        "LocalHost:8081",
        "127.0.0.1",
        "127.0.0.1:1",
        "127.255.0.9:65535",
        "[::1]",
        "[::1]:8081",
        "[0:0:0:0:0:0:0:1]:8081",
    ] {
        for path in ["/livez", "/api/stats", "/metrics"] {
            assert_eq!(admin.send("GET", path, &[("host", host)], "").await.status, 200, "{host}");
        }
    }
    for host in [
        "",
        "evil.example",
        "evil.example:8081",
        "localhost.evil.example",
        "evil.localhost",
        "127.0.0.1.evil.example",
        "127.1",
        "0177.0.0.1",
        "2130706433",
        "0.0.0.0",
        "[::]",
        "[::2]",
        "::1",
        "[::ffff:127.0.0.1]",
        "10.0.0.1",
        "localhost@evil.example",
        "evil.example@localhost",
        "localhost/evil",
        "local host",
        "localhost, evil.example",
    ] {
        for path in ["/livez", "/readyz", "/api/stats", "/metrics", "/nothing"] {
            admin.send("GET", path, &[("host", host)], "").await.refused(403, "forbidden", HOST);
        }
    }
    admin.send("GET", "/livez", &[], "").await.refused(403, "forbidden", HOST);
    let twice = [("host", "localhost"), ("host", "evil.example")];
    admin.send("GET", "/livez", &twice, "").await.refused(403, "forbidden", HOST);
    let absolute = "http://evil.example/livez";
    admin.send("GET", absolute, &[("host", "localhost")], "").await.refused(403, "forbidden", HOST);
}

#[tokio::test]
async fn without_a_token_only_this_machine_is_answered_whatever_it_calls_the_host() {
    let admin = Admin::new(Access::Loopback);
    for address in ["127.0.0.1", "127.9.9.9", "::1", "::ffff:127.0.0.1"] {
        let answer = admin.send_from(Some(address.parse().unwrap()), "GET", "/livez", LOCAL, "").await;
        assert_eq!(answer.status, 200, "{address}");
    }
    for address in ["192.0.2.1", "10.0.0.1", "0.0.0.0", "::", "2001:db8::1", "::ffff:192.0.2.1"].map(str::parse) {
        for path in ["/livez", "/readyz", "/api/stats", "/metrics", "/nothing"] {
            let answer = admin.send_from(address.clone().ok(), "GET", path, LOCAL, "").await;
            answer.refused(403, "forbidden", PEER);
        }
    }
    admin.send_from(None, "GET", "/livez", LOCAL, "").await.refused(403, "forbidden", PEER);
    let guarded = Admin::new(token());
    let headers = [("authorization", "Bearer correct horse")];
    let answer = guarded.send_from("192.0.2.1".parse().ok(), "GET", "/api/stats", &headers, "").await;
    assert_eq!(answer.status, 200);
}

#[tokio::test]
async fn without_a_token_no_page_of_another_host_is_answered() {
    let admin = Admin::new(Access::Loopback);
    for origin in ["http://localhost:8081", "https://localhost:8081", "http://LOCALHOST:8081"] {
        let headers = [("host", "localhost:8081"), ("origin", origin)];
        assert_eq!(admin.send("GET", "/livez", &headers, "").await.status, 200, "{origin}");
    }
    for origin in [
        "null",
        "",
        "http://localhost",
        "http://localhost:3000",
        "http://127.0.0.1:8081",
        "http://evil.example",
        "localhost:8081",
        "file://localhost:8081",
        "http://localhost:8081.evil.example",
        "http://localhost:8081/",
    ] {
        let headers = [("host", "localhost:8081"), ("origin", origin), ("content-type", "application/json")];
        for (method, path) in [("GET", "/api/events"), ("POST", "/api/dead/drop")] {
            admin.send(method, path, &headers, "{\"all\":true}").await.refused(403, "forbidden", ORIGIN);
        }
    }
    let twice = [("host", "localhost"), ("origin", "http://localhost"), ("origin", "http://evil.example")];
    admin.send("GET", "/livez", &twice, "").await.refused(403, "forbidden", ORIGIN);
    assert!(admin.ledger.orders.lock().unwrap().is_empty());
}

#[tokio::test]
async fn with_and_without_a_token_no_page_of_another_site_is_answered() {
    let authorization = ("authorization", "Bearer correct horse");
    for admin in [Admin::new(Access::Loopback), Admin::new(token())] {
        for site in ["same-origin", "none"] {
            let headers = [("host", "localhost"), authorization, ("sec-fetch-site", site)];
            assert_eq!(admin.send("GET", "/api/events", &headers, "").await.status, 200, "{site}");
        }
        for site in ["cross-site", "same-site", "", "None", "same-origin, cross-site", "another"] {
            let headers =
                [("host", "localhost"), authorization, ("content-type", "application/json"), ("sec-fetch-site", site)];
            for (method, path) in [("GET", "/api/events"), ("GET", "/readyz"), ("POST", "/api/dead/drop")] {
                admin.send(method, path, &headers, "{\"all\":true}").await.refused(403, "forbidden", SITE);
            }
        }
        let twice = [("host", "localhost"), ("sec-fetch-site", "none"), ("sec-fetch-site", "cross-site")];
        admin.send("GET", "/livez", &twice, "").await.refused(403, "forbidden", SITE);
        assert!(admin.ledger.orders.lock().unwrap().is_empty());
    }
}

#[tokio::test]
async fn without_a_token_nothing_that_a_proxy_passed_on_is_answered() {
    let (open, closed) = (Admin::new(Access::Loopback), Admin::new(token()));
    for (name, value) in [
        ("forwarded", "for=192.0.2.1"),
        ("x-forwarded-for", "192.0.2.1"),
        ("x-forwarded-for", ""),
        ("x-forwarded-host", "localhost"),
        ("x-real-ip", "127.0.0.1"),
        ("via", "1.1 proxy"),
    ] {
        let headers = [("host", "localhost"), ("content-type", "application/json"), (name, value)];
        let message = format!(
            "forbidden proxy: expected a request straight from this machine, found the header {name}; set admin_token to be asked through a proxy"
        );
        for (method, path) in [("GET", "/livez"), ("GET", "/api/events"), ("POST", "/api/dead/drop")] {
            open.send(method, path, &headers, "{\"all\":true}").await.refused(403, "forbidden", &message);
        }
        let headers = [("authorization", "Bearer correct horse"), (name, value)];
        assert_eq!(closed.send("GET", "/api/events", &headers, "").await.status, 200, "{name}");
    }
    assert!(open.ledger.orders.lock().unwrap().is_empty());
}

#[tokio::test]
async fn without_a_token_an_order_is_json_which_no_form_can_send() {
    let admin = Admin::new(Access::Loopback);
    for content_type in ["application/json", "Application/JSON; charset=utf-8"] {
        let headers = [("host", "localhost"), ("content-type", content_type)];
        assert_eq!(admin.send("POST", "/api/dead/drop", &headers, "{\"all\":true}").await.status, 200);
    }
    for content_type in [
        "text/plain",
        "application/x-www-form-urlencoded",
        "multipart/form-data; boundary=a",
        "text/plain; application/json",
        "",
    ] {
        let headers = [("host", "localhost"), ("content-type", content_type)];
        let answer = admin.send("POST", "/api/dead/drop", &headers, "{\"all\":true}").await;
        answer.refused(415, "unsupported_media_type", TYPE);
    }
    let answer = admin.send("POST", "/api/dead/drop", &[("host", "localhost")], "{\"all\":true}").await;
    answer.refused(415, "unsupported_media_type", TYPE);
}

#[tokio::test]
async fn with_a_token_whoever_presents_it_is_answered_from_anywhere() {
    let admin = Admin::new(token());
    for value in ["Bearer correct horse", "bearer correct horse", "BEARER correct horse"] {
        let headers = [("host", "pylon.example"), ("authorization", value), ("origin", "https://pylon.example")];
        for path in ["/api/stats", "/api/events", "/metrics", "/livez"] {
            assert_eq!(admin.send("GET", path, &headers, "").await.status, 200, "{value}");
        }
        // A form cannot send the header.
        assert_eq!(admin.send("POST", "/api/dead/drop", &headers, "{\"all\":true}").await.status, 200);
    }
}

#[tokio::test]
async fn with_a_token_nobody_else_learns_anything() {
    let admin = Admin::new(token());
    for value in [
        "",
        "Bearer",
        "Bearer ",
        "Bearer correct",
        "Bearer correct horse2",
        "Bearer  correct horse",
        "Bearer Correct horse",
        "Basic correct horse",
        "correct horse",
        "Bearer\tcorrect horse",
    ] {
        for (method, path) in [
            ("GET", "/api/stats"),
            ("GET", "/metrics"),
            ("POST", "/api/dead/drop"),
            ("GET", "/nothing"),
            ("PUT", "/api/stats"),
        ] {
            let headers = [("host", "localhost"), ("authorization", value), ("content-type", "application/json")];
            let answer = admin.send(method, path, &headers, "{\"all\":true}").await;
            answer.refused(401, "unauthorized", TOKEN);
            assert_eq!(answer.header("www-authenticate"), "Bearer realm=\"pylon-receiver\"");
        }
    }
    admin.send("GET", "/api/stats", &[], "").await.refused(401, "unauthorized", TOKEN);
    let twice = [("authorization", "Bearer correct horse"), ("authorization", "Bearer correct horse")];
    admin.send("GET", "/api/stats", &twice, "").await.refused(401, "unauthorized", TOKEN);
    assert!(admin.ledger.orders.lock().unwrap().is_empty());
    for path in ["/livez", "/readyz"] {
        assert_eq!(admin.send("GET", path, &[], "").await.status, 200);
    }
}

#[tokio::test]
async fn no_answer_is_cached_or_taken_for_something_else_or_read_by_other_pages() {
    let (open, closed) = (Admin::new(Access::Loopback).with_events(1), Admin::new(token()));
    let body = format!("/api/events/{}/body", super::fake::event_id(1));
    for answer in [
        open.get("/livez").await,
        open.get("/api/events").await,
        open.get(&body).await,
        open.get("/metrics").await,
        open.get("/nothing").await,
        open.get("/api/events?limit=0").await,
        open.post("/api/stats", "").await,
        open.send("GET", "/livez", &[], "").await,
        open.send("OPTIONS", "/api/stats", &[("host", "localhost"), ("access-control-request-method", "GET")], "")
            .await,
        closed.send("GET", "/api/stats", &[], "").await,
    ] {
        assert_eq!(answer.header("cache-control"), "no-store");
        assert_eq!(answer.header("x-content-type-options"), "nosniff");
        assert!(!answer.headers.keys().any(|name| name.as_str().starts_with("access-control-")));
    }
}

#[test]
fn a_token_is_not_shown() {
    assert_eq!(
        format!("{:?} {:?}", token(), Access::Loopback),
        "Tokens([Operator { name: \"admin\", role: Operator, .. }]) Loopback"
    );
}

/// The lines that are logged when this is asked for, a hundred times.
fn logged_of(path: &str, authorization: Option<&str>) -> Vec<String> {
    let runtime = tokio::runtime::Builder::new_current_thread().enable_time().build().unwrap();
    let began = Instant::now();
    let ((), lines) = logged(|| {
        let admin = Admin::new(token());
        let headers = authorization.map(|value| ("authorization", value));
        for _ in 0..100 {
            runtime.block_on(admin.send("GET", path, headers.as_slice(), ""));
        }
    });
    // One a second at most, however slow the machine is.
    assert!(lines.len() as u64 <= 1 + began.elapsed().as_secs(), "{lines:?}");
    lines
}

#[test]
fn a_token_that_is_refused_is_logged_now_and_then_and_never_itself() {
    for (path, authorization) in [
        ("/api/stats", Some("Bearer s3cret")),
        ("/api/stats", None),
        ("/metrics", Some("Basic s3cret")),
        ("/readyz", Some("Bearer s3cret")),
    ] {
        let lines = logged_of(path, authorization);
        assert_eq!(
            lines[0], "WARN message=the admin API was asked with another token, or without one remote=127.0.0.1:4711",
            "{path}"
        );
    }
    for (path, authorization) in [("/livez", None), ("/readyz", None), ("/api/events", Some("Bearer correct horse"))] {
        assert_eq!(logged_of(path, authorization), [""; 0], "{path}");
    }
}

/// How many requests had each access.
fn accesses(admin: &Admin) -> [(&'static str, u64); 5] {
    let metrics = admin.metrics.encode().unwrap();
    ["granted", "probe", "no_token", "wrong_token", "forbidden"].map(|access| {
        let line = format!("pylon_receiver_admin_requests_total{{access=\"{access}\"}} ");
        let count = metrics.lines().find_map(|found| found.strip_prefix(&line)).expect("it is told from the start");
        (access, count.parse().unwrap())
    })
}

#[tokio::test]
async fn every_guess_of_the_token_is_counted() {
    const GUESSES: u64 = 50;
    let admin = Admin::new(token());
    let counted = |granted, probe, no_token, wrong_token, forbidden| {
        let found = accesses(&admin).map(|(_, count)| count);
        assert_eq!(found, [granted, probe, no_token, wrong_token, forbidden]);
    };
    counted(0, 0, 0, 0, 0);
    for guess in 0..GUESSES {
        let guess = format!("Bearer {guess}");
        admin.send("GET", "/api/stats", &[("authorization", &guess)], "").await.refused(401, "unauthorized", TOKEN);
    }
    counted(0, 0, 0, GUESSES, 0);
    // A guess at a probe is one too.
    assert_eq!(admin.send("GET", "/livez", &[("authorization", "Bearer a")], "").await.status, 200);
    assert_eq!(admin.send("GET", "/livez", &[], "").await.status, 200);
    admin.send("GET", "/api/stats", &[], "").await.refused(401, "unauthorized", TOKEN);
    admin.send("GET", "/api/stats", &[("authorization", "Basic a")], "").await.refused(401, "unauthorized", TOKEN);
    assert_eq!(admin.send("GET", "/api/stats", &[("authorization", "Bearer correct horse")], "").await.status, 200);
    let elsewhere = [("authorization", "Bearer correct horse"), ("sec-fetch-site", "cross-site")];
    assert_eq!(admin.send("GET", "/api/stats", &elsewhere, "").await.status, 403);
    counted(1, 1, 1, GUESSES + 2, 1);
}
