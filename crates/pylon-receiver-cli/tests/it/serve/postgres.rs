//! A ledger on PostgreSQL: the binary serves it, and commands reach it with a receiver and without.

use super::*;
use pylon_test_support::http::nowhere;
use pylon_test_support::postgres::Cluster;
use serde_json::Value;
use std::process::{Command, Output};

/// What nothing may show.
const PASSWORD: &str = "sk-password";

/// A database that syncs, and its URL for a role with a password.
fn database() -> Option<(Cluster, String)> {
    let cluster = Cluster::setup().tcp().durable().start()?;
    let database = cluster.fresh_database();
    let role = format!(
        "CREATE ROLE pylon LOGIN PASSWORD '{PASSWORD}' IN ROLE pg_monitor; GRANT CREATE ON DATABASE {database} TO pylon"
    );
    cluster.sql(&database, &role);
    let url = format!("postgres://pylon@127.0.0.1:{}/{database}", cluster.port());
    Some((cluster, url))
}

/// A configuration with this ledger, whose password is in a file.
fn scene(url: &str, lines: &str) -> Scene {
    let scene = Scene::new("");
    scene.write("password", &format!("{PASSWORD}\n"));
    scene.configure(&format!("ledger = \"{url}\"\nledger_password = {{ file = \"{{}}/password\" }}\n{lines}"));
    scene
}

/// A command with the configuration of the scene; no receiver answers.
fn command(scene: &Scene, arguments: &[&str]) -> Output {
    let output = Command::new(env!("CARGO_BIN_EXE_pylon-receiver"))
        .args(arguments)
        .args(["--admin-url", &nowhere(), "--config"])
        .arg(scene.path("receiver.toml"))
        .output()
        .unwrap();
    let shown = format!("{}{}", String::from_utf8_lossy(&output.stdout), String::from_utf8_lossy(&output.stderr));
    assert!(!shown.contains(PASSWORD), "{shown}");
    output
}

/// What such a command prints as JSON.
#[track_caller]
fn printed(scene: &Scene, arguments: &[&str]) -> Value {
    let output = command(scene, &[arguments, &["--json"]].concat());
    assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
    serde_json::from_slice(&output.stdout).unwrap()
}

#[test]
fn receivers_that_share_a_ledger_serve_it_and_commands_need_none_of_them() {
    let Some((cluster, url)) = database() else { return };
    let destination = Destination::start(|request, _| match request.text().contains("\"2\"") {
        true => Reply::status(400),
        false => Reply::OK,
    });
    let once = app(&destination.url, "").replace("attempts = 1000", "attempts = 1");
    let (one, two) = (scene(&url, &once), scene(&url, &once));
    let (first, second) = (one.start(), two.start());
    let id = first.webhook(&body(1)).id();
    assert_eq!(second.ended(&id), ["delivered"]);
    let dead = second.webhook(&body(2)).id();
    assert_eq!(first.ended(&dead), ["dead"]);
    let ready = first.get("/readyz").json();
    let meaning = "on one disk, PostgreSQL's own: no standby is waited for (synchronous_standby_names is empty)";
    assert_eq!((&ready["status"], &ready["durability"]), (&"ready".into(), &meaning.into()));
    first.logs(&["\"message\":\"connected to the database\"", "system_identifier"]);
    first.logs(&[&format!("\"message\":\"a 200 means: the event is {meaning}\"")]);
    let shown = first.get("/api/config").text();
    assert!(shown.contains(&url) && !shown.contains(PASSWORD), "{shown}");
    for running in [first, second] {
        let (code, log) = running.stop();
        assert!(code == Some(0) && !log.contains(PASSWORD), "{log}");
    }
    // No receiver runs now.
    let output = command(&one, &["events", "show", &id, "--body"]);
    assert_eq!(String::from_utf8_lossy(&output.stdout), body(1));
    let said = String::from_utf8_lossy(&output.stderr);
    assert!(
        said.contains("no receiver answers at ") && said.ends_with(&format!("; reading {url} instead\n")),
        "{said}"
    );
    assert_eq!(printed(&one, &["dead", "redeliver", "--all"])["redelivered"], 1);
    assert_eq!(printed(&one, &["events", "redeliver", &id])["redelivered"], 1);
    assert_eq!(printed(&one, &["events", "redeliver", &id, "--destination", "elsewhere"])["redelivered"], 1);
    let stats = printed(&one, &["stats"]);
    assert_eq!((&stats["events"], &stats["destinations"][0]["waiting"]), (&2.into(), &2.into()), "{stats}");
    assert_eq!(printed(&one, &["deliveries", "drop", "--destination", "elsewhere"])["dropped"], 1);
    // What was ordered meanwhile is done by the next receiver.
    let running = one.start();
    assert_eq!(running.ended(&dead), ["redelivered", "dead"]);
    assert_eq!(running.ended(&id), ["delivered", "delivered", "dropped"]);
    assert_eq!(running.stop().0, Some(0));
    // The password may come with the URL, or from the environment.
    let with_password = url.replace("pylon@", &format!("pylon:{PASSWORD}@"));
    for (ledger, variable) in [(&*with_password, ""), (&*url, PASSWORD)] {
        let mut asking = Command::new(env!("CARGO_BIN_EXE_pylon-receiver"));
        asking.args(["stats", "--json", "--ledger", ledger]).env("PGPASSWORD", variable);
        let output = asking.output().unwrap();
        assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
        let stats: Value = serde_json::from_slice(&output.stdout).unwrap();
        assert_eq!(stats["events"], 2);
    }
    drop(cluster);
}

#[test]
fn the_configuration_is_checked_against_the_database() {
    let Some((cluster, url)) = database() else { return };
    let scene = scene(&url, "");
    let check = || {
        let output = Command::new(env!("CARGO_BIN_EXE_pylon-receiver"))
            .args(["check-config", "--config"])
            .arg(scene.path("receiver.toml"))
            .output()
            .unwrap();
        (output.status.code(), String::from_utf8(output.stderr).unwrap())
    };
    let meaning = "a 200 means: the event is on one disk, PostgreSQL's own: no standby is waited for (synchronous_standby_names is empty)\n";
    let (code, said) = check();
    assert!(code == Some(0) && said.starts_with(meaning), "{said}");
    assert_eq!(
        cluster.sql(url.rsplit('/').next().unwrap(), "SELECT to_regnamespace('pylon_receiver') IS NULL"),
        "t",
        "nothing was made"
    );
    cluster.sql("postgres", "ALTER ROLE pylon SET synchronous_commit = off");
    let off = "on no disk yet: PostgreSQL confirms before it writes (synchronous_commit is off)";
    let unkept = format!(
        "warning: the ledger does not keep its promise: expected each event on 1 disk, found it {off}; ALTER ROLE \"pylon\" SET \
         synchronous_commit = on"
    );
    let (code, said) = check();
    assert!(code == Some(1) && said.contains(&unkept), "{said}");
    // The receiver starts, and accepts nothing.
    let running = scene.start();
    assert_unavailable(&running.webhook(&body(1)));
    assert!(running.unmet()[0].contains(off), "{:?}", running.unmet());
    running.logs(&["ERROR", "the promise is not kept, and no webhook is accepted"]);
    drop(running);
    scene.write("password", "sk-wrong");
    let refused = "password authentication failed for user \"pylon\" (28P01)";
    let (code, said) = check();
    assert!(code == Some(1) && said.contains(refused) && !said.contains("sk-wrong"), "{said}");
    let port = cluster.port();
    scene.assert_refuses(
        1,
        &format!("the ledger cannot be reached: 127.0.0.1:{port}: {refused}; check that it runs, and that the address, the user and the password are right"),
    );
    scene.write("password", "");
    scene.assert_refuses(
        5,
        "ledger_password: no secret: expected one in file {}/password, found it empty, or only white space and quotes",
    );
}

#[test]
fn the_certificate_of_the_database_is_verified() {
    let Some((cluster, url)) = database() else { return };
    let made = rcgen::generate_simple_self_signed(["localhost".to_owned()]).unwrap();
    cluster.write("data/server.crt", made.cert.pem());
    cluster.write("data/server.key", made.signing_key.serialize_pem());
    cluster.conf([("ssl", "on")]);
    let secured = |host: &str, trusted: &str| {
        let url = url.replace("127.0.0.1", host);
        let scene = scene(
            &format!("{url}?sslmode=verify-full{}", trusted.replace("TRUSTED", "&sslrootcert={}/trusted.pem")),
            "",
        );
        scene.write("trusted.pem", &made.cert.pem());
        scene
    };
    let check = |scene: &Scene| {
        let output = Command::new(env!("CARGO_BIN_EXE_pylon-receiver"))
            .args(["check-config", "--config"])
            .arg(scene.path("receiver.toml"))
            .env("SSL_CERT_FILE", scene.path("trusted.pem"))
            .env_remove("SSL_CERT_DIR")
            .output()
            .unwrap();
        (output.status.code(), String::from_utf8(output.stderr).unwrap())
    };
    // By the file that is named, and by those that the system trusts.
    for trusted in ["TRUSTED", ""] {
        let (code, said) = check(&secured("localhost", trusted));
        assert!(code == Some(0) && said.starts_with("a 200 means: "), "{trusted}: {said}");
    }
    let scene = secured("localhost", "TRUSTED");
    let running = scene.start();
    assert_eq!(running.webhook(&body(1)).status, 200);
    drop(running);
    let port = cluster.port();
    let advice = "; check that it runs, and that the address, the user and the password are right";
    let refuses = |scene: &Scene, sentence: &str| {
        let sentence = format!("the ledger cannot be reached: {sentence}{advice}");
        let (code, said) = check(scene);
        assert!(
            code == Some(1)
                && said.contains(&sentence.replace("{}", scene.path("").display().to_string().trim_end_matches('/'))),
            "{said}"
        );
        scene.assert_refuses(1, &sentence);
    };
    let another_name =
        "TLS failed: expected a certificate for this host name, found one for another; connect by the name in it";
    refuses(&secured("127.0.0.1", "TRUSTED"), &format!("127.0.0.1:{port}: {another_name}"));
    let mut stranger = rcgen::CertificateParams::new(["localhost".to_owned()]).unwrap();
    stranger.distinguished_name.push(rcgen::DnType::CommonName, "a stranger");
    let stranger = stranger.self_signed(&rcgen::KeyPair::generate().unwrap()).unwrap().pem();
    scene.write("trusted.pem", &stranger);
    let issuer = "TLS failed: expected a certificate by {}/trusted.pem, found one by another issuer";
    refuses(&scene, &format!("localhost:{port}: {issuer}"));
    std::fs::remove_file(scene.path("trusted.pem")).unwrap();
    let missing = "no TLS: expected PEM in {}/trusted.pem, cannot read it (entity not found)";
    refuses(&scene, &format!("localhost:{port}: {missing}"));
    let system = secured("localhost", "");
    system.write("trusted.pem", &stranger);
    let (code, said) = check(&system);
    let issuer = "TLS failed: expected a certificate by the authorities of this system; name a file of others with `sslrootcert`, found one by another issuer";
    assert!(code == Some(1) && said.contains(&format!("localhost:{port}: {issuer}")), "{said}");
}

#[test]
fn no_error_shows_a_password_of_the_command_line() {
    for ledger in [
        "postgres://pylon:sk-password@127.0.0.1/pylon?sslmode=prefer",
        "postgres://pylon:sk-pass/word@h/d",
        "mysql://a:sk-password@h/d",
    ] {
        for arguments in [&["serve", "--ledger", ledger][..], &["stats", "--ledger", ledger]] {
            let output = Command::new(env!("CARGO_BIN_EXE_pylon-receiver")).args(arguments).output().unwrap();
            let said = String::from_utf8(output.stderr).unwrap();
            assert_eq!(output.status.code(), Some(2), "{said}");
            assert!(said.starts_with("error: invalid value for '--ledger <ADDRESS>': "), "{said}");
            assert!(!said.contains("sk-"), "{said}");
        }
    }
}
