//! Where requests may come from, and whose word counts for that.

use super::*;
use pylon_receiver::config::{Network, Source};

fn sources(sources: &[&str]) -> Config {
    let mut config = config();
    config.endpoints[0].sources = sources.iter().map(|source| source.parse().unwrap()).collect();
    config
}

fn forwarded(values: &[&str]) -> Vec<(String, String)> {
    values.iter().map(|value| ("X-Forwarded-For".to_owned(), (*value).to_owned())).collect()
}

/// The answer to an authentic webhook with these headers besides, and the client that the log names.
async fn send(front: &Front, headers: Vec<(String, String)>) -> (u16, Option<String>) {
    let before = front.refused().len();
    let answer = front.post(&[signed(b"{}"), headers].concat(), b"{}").await;
    (answer.status, front.refused().get(before).map(|refused| refused.remote.to_string()))
}

#[test]
fn a_request_from_elsewhere_is_refused_before_anything_else_of_it_is_looked_at() {
    let ((), lines) = run(async {
        let front = Front::new(&sources(&["us", "eu", "203.0.113.0/24"])).await;
        let answer = front.webhook("{}").await;
        assert_eq!((answer.status, answer.json()), (403, json!({"error": "forbidden"})));
        let refused = front.refusal();
        assert_eq!((refused.code, refused.status, refused.body.len()), ("forbidden_source", 403, 0));
        assert!(front.counted(r#"pylon_receiver_refused_total{endpoint="webhook",reason="forbidden_source"} 1"#));
        let get = front.ask(&request("GET", "/webhook", &forwarded(&["203.0.113.9"]), b"")).await;
        assert_eq!(get.status, 403);
        assert_eq!(front.events().len(), 0);
        assert_eq!(
            &*front.refused()[1].reason,
            "forbidden source: expected an address of the endpoint's `sources`, found another; the request has X-Forwarded-For: \
             if a proxy of yours set it, name the proxy in `trusted_proxies`"
        );
    });
    let hint = "found another; a test webhook may come from another address than live ones path=";
    assert!(lines[0].contains("code=\"forbidden_source\"") && lines[0].contains(hint), "{}", lines[0]);
}

#[test]
fn a_request_from_one_of_the_sources_is_taken_in_either_form_of_its_address() {
    for source in ["127.0.0.1", "127.0.0.0/8", "::ffff:127.0.0.1", "::ffff:127.0.0.0/104", "0.0.0.0/0"] {
        run(async {
            let front = Front::new(&sources(&["eu", source])).await;
            assert_eq!(front.webhook("{}").await.status, 200, "{source}");
        });
    }
    for source in ["127.0.0.2", "::1", "::/1", "10.0.0.0/8"] {
        run(async { assert_eq!(Front::new(&sources(&[source])).await.webhook("{}").await.status, 403, "{source}") });
    }
}

#[test]
fn pylons_own_addresses_are_those_that_it_publishes() {
    let us = ["13.56.120.80", "13.52.31.65", "16.146.217.176", "52.37.21.171", "54.203.91.47", "54.69.118.15"];
    let eu = ["3.122.74.28", "35.158.56.176", "63.176.205.110"];
    for (source, addresses, others) in [(Source::PylonUs, &us[..], &eu[..]), (Source::PylonEu, &eu[..], &us[..])] {
        let contains = |address: &&str| source.contains(address.parse().unwrap());
        assert!(addresses.iter().all(contains) && !others.iter().any(contains) && !contains(&"13.56.120.81"));
        assert!(contains(&&*format!("::ffff:{}", addresses[0])));
    }
}

/// The trusted proxies, the lines of `X-Forwarded-For`, and the client. The peer is 127.0.0.1; none: the peer itself, with its port.
const CLIENTS: [(&[&str], &[&str], Option<&str>); 29] = [
    (&[], &["203.0.113.9"], None),
    (&["10.0.0.0/8"], &["203.0.113.9"], None),
    (&["127.0.0.0/8"], &[], None),
    (&["127.0.0.0/8"], &["203.0.113.9"], Some("203.0.113.9")),
    (&["127.0.0.0/8"], &["198.51.100.7, 203.0.113.9"], Some("203.0.113.9")),
    (&["127.0.0.0/8"], &["198.51.100.7", "203.0.113.9"], Some("203.0.113.9")),
    (&["127.0.0.0/8", "10.0.0.0/8"], &["198.51.100.7, 203.0.113.9, 10.0.0.1"], Some("203.0.113.9")),
    (&["127.0.0.0/8", "10.0.0.0/8"], &["198.51.100.7, 203.0.113.9", "10.0.0.1, 10.0.0.2"], Some("203.0.113.9")),
    (&["127.0.0.0/8", "10.0.0.0/8"], &["10.0.0.1, 203.0.113.9"], Some("203.0.113.9")),
    // Everybody is trusted: the first one is the client.
    (&["127.0.0.0/8", "10.0.0.0/8"], &["10.0.0.3, 10.0.0.2"], Some("10.0.0.3")),
    // What is no address ends the way, at the last one that is believed.
    (&["127.0.0.0/8"], &["unknown"], None),
    (&["127.0.0.0/8"], &[""], None),
    // Empty ones are none.
    (&["127.0.0.0/8"], &["203.0.113.9,"], Some("203.0.113.9")),
    (&["127.0.0.0/8"], &[",, 203.0.113.9 ,\t, ", ""], Some("203.0.113.9")),
    (&["127.0.0.0/8", "10.0.0.0/8"], &["203.0.113.9, , 10.0.0.1"], Some("203.0.113.9")),
    (&["127.0.0.0/8"], &[" , ,"], None),
    (&["127.0.0.0/8"], &["203.0.113.999"], None),
    (&["127.0.0.0/8"], &["203.0.113.0/24"], None),
    (&["127.0.0.0/8"], &["\"203.0.113.9\""], None),
    (&["127.0.0.0/8", "10.0.0.0/8"], &["203.0.113.9, nonsense, 10.0.0.1"], Some("10.0.0.1")),
    (&["127.0.0.0/8", "10.0.0.0/8"], &["nonsense, 203.0.113.9, 10.0.0.1"], Some("203.0.113.9")),
    (&["127.0.0.0/8"], &["203.0.113.9 198.51.100.7"], None),
    // Either form of an address, with and without a port.
    (&["127.0.0.0/8"], &["203.0.113.9:4711"], Some("203.0.113.9")),
    (&["127.0.0.0/8"], &["::ffff:203.0.113.9"], Some("203.0.113.9")),
    (&["127.0.0.0/8", "::ffff:10.0.0.0/104"], &["203.0.113.9, ::ffff:10.0.0.1"], Some("203.0.113.9")),
    (&["127.0.0.0/8"], &["2001:db8::9"], Some("2001:db8::9")),
    (&["127.0.0.0/8"], &["[2001:db8::9]:443"], Some("2001:db8::9")),
    (&["127.0.0.0/8"], &["[2001:db8::9]"], Some("2001:db8::9")),
    (&["127.0.0.0/8", "2001:db8::/32"], &["  203.0.113.9  ,\t2001:db8::1 "], Some("203.0.113.9")),
];

#[test]
fn the_client_is_the_last_one_that_no_trusted_proxy_is() {
    for (trusted, lines, client) in CLIENTS {
        run(async {
            let trusted: Vec<Network> = trusted.iter().map(|network| network.parse().unwrap()).collect();
            // What is no such address is refused, so that the client is told; then only the client is taken.
            let front = Front::new(&sources(&["192.0.2.1"]).trusted_proxies(trusted.clone())).await;
            let (status, remote) = send(&front, forwarded(lines)).await;
            let remote = remote.unwrap();
            let is_peer = remote.starts_with("127.0.0.1:");
            assert_eq!((status, (!is_peer).then_some(&*remote)), (403, client), "{trusted:?} {lines:?}");
            let source = client.unwrap_or("127.0.0.1");
            let front = Front::new(&sources(&[source]).trusted_proxies(trusted)).await;
            assert_eq!(send(&front, forwarded(lines)).await.0, 200, "{lines:?} from {source}");
        });
    }
}

#[test]
fn a_reload_changes_sources_and_proxies() {
    run(async {
        let front = Front::new(&sources(&["203.0.113.9"])).await;
        let proxied = || forwarded(&["203.0.113.9"]);
        assert_eq!(send(&front, proxied()).await.0, 403);
        front.reload(&sources(&["203.0.113.9"]).trusted_proxies(vec!["127.0.0.1".parse().unwrap()]));
        assert_eq!(send(&front, proxied()).await.0, 200);
        assert_eq!(send(&front, vec![]).await.0, 403);
        front.reload(&config());
        assert_eq!(send(&front, vec![]).await.0, 200);
    });
}
