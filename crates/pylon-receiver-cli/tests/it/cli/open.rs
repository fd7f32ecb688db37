//! `open`: which address is printed, and which program gets it.

use super::process::cli;
use pylon_test_support::http::Server;
use serde_json::json;
use std::net::TcpListener;
use std::os::unix::fs::PermissionsExt;
use std::time::{Duration, Instant};

/// Something that listens where a receiver would.
fn receiver() -> Server {
    Server::answering(200, json!({}))
}

#[test]
fn the_address_of_the_page_is_printed() {
    let server = receiver();
    let url = &server.url;
    let open = |arguments: &[&str]| cli(&[&["open", "--print"], arguments].concat()).run();
    open(&["--admin-url", url]).prints(&format!("{url}/ui/\n"));
    open(&["--admin-url", &format!("{url}/pylon/")]).prints(&format!("{url}/pylon/ui/\n"));
    open(&["--admin-url", url, "--json"]).prints(&format!("{{\n  \"page\": \"{url}/ui/\"\n}}\n"));
    cli(&["open", "--print"]).env("PYLON_RECEIVER_ADMIN", url).run().prints(&format!("{url}/ui/\n"));
}

#[test]
fn behind_a_proxy_it_is_the_address_in_the_browser() {
    let server = receiver();
    let address = server.url.trim_start_matches("http://");
    for (public_url, page) in [
        ("", format!("{}/ui/", server.url)),
        ("https://ops.example.com/pylon/", "https://ops.example.com/pylon/ui/".into()),
    ] {
        let public_url = if public_url.is_empty() { String::new() } else { format!("public_url = \"{public_url}\"") };
        let run = cli(&["open", "--print", "--config", "pylon-receiver.toml"]);
        run.file("pylon-receiver.toml", format!("admin = \"{address}\"\n{public_url}"))
            .run()
            .prints(&format!("{page}\n"));
    }
}

#[test]
fn the_program_that_browser_names_gets_the_address_and_nobody_else() {
    let server = receiver();
    let folder = tempfile::tempdir().unwrap();
    let (browser, opened) = (folder.path().join("browser"), folder.path().join("opened"));
    std::fs::write(
        &browser,
        format!("#!/bin/sh\nprintf '%s' \"$*\" > {0}.new && /bin/mv {0}.new {0}\n", opened.display()),
    )
    .unwrap();
    std::fs::set_permissions(&browser, PermissionsExt::from_mode(0o755)).unwrap();
    let open = |arguments: &[&str], browser: &str| {
        cli(&[&["open", "--admin-url", &server.url], arguments].concat()).env("BROWSER", browser).run()
    };
    let page = format!("{}/ui/", server.url);

    open(&["--print"], browser.to_str().unwrap()).prints(&format!("{page}\n"));
    open(&[], "").prints(&format!("{page}\n"));
    assert!(!opened.exists());

    open(&[], browser.to_str().unwrap()).prints(&format!("{page}\n"));
    let deadline = Instant::now() + Duration::from_secs(30);
    while !opened.exists() {
        assert!(Instant::now() < deadline, "the browser was not started");
        std::thread::yield_now();
    }
    assert_eq!(std::fs::read_to_string(&opened).unwrap(), page);

    let unknown = folder.path().join("none");
    let ran = open(&[], unknown.to_str().unwrap());
    assert_eq!((ran.code, ran.stdout), (0, format!("{page}\n")));
    assert!(ran.stderr.starts_with("no browser could be started: "), "{}", ran.stderr);
    assert!(ran.stderr.ends_with("; open the address yourself\n"), "{}", ran.stderr);
}

#[test]
fn without_a_receiver_there_is_no_page() {
    let free = TcpListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap();
    cli(&["open", "--admin-url", &format!("http://{free}")]).run().fails(
        4,
        &format!(
            "no receiver answers at http://{free}/; start one with `pylon-receiver serve`, or give its address with --admin-url"
        ),
    );
    cli(&["open", "--ledger", "sqlite:pylon.db"]).run().fails(
        2,
        "expected a running receiver for this command, found --ledger: the page is a part of the receiver; leave out --ledger",
    );
}
