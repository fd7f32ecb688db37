//! `sign` and `verify`, held to the vectors of the core.

use super::process::{Ran, SECRET, cli};

/// Body and signature with `test-secret`.
const VECTORS: [(&[u8], &str); 3] = [
    (br#"{"id":"1"}"#, "b6ee61d26a3494ddc3437b55028299a9c39956dfdcf623629b0b1f7d0c64baf1"),
    (b"", "a41bc6d81d6413576ae0994995e0ad89a416ec97389515c3604f47722122eeeb"),
    (b"{\"id\":\"1\"}\n", "f3669e13292e7321a630026aaf8947bca3d14959ccff82f44d24669a96e42f10"),
];
const BODY: &[u8] = VECTORS[0].0;
const SIGNATURE: &str = VECTORS[0].1;

#[test]
fn a_body_is_signed_and_verified_byte_for_byte() {
    for (body, signature) in VECTORS {
        cli(&["sign"]).input(body).run().prints(&format!("X-Pylon-Signature: {signature}\n"));
        cli(&["verify", "--signature", signature]).input(body).run().prints("verified\n");
        cli(&["--json", "verify", "--signature", signature]).input(body).run().prints("{\n  \"verified\": true\n}\n");
    }
}

#[test]
fn bytes_that_are_no_text_are_signed_as_they_stand() {
    let body = [0, 255, 13, 10, 26];
    let signature = signature(&cli(&["sign"]).input(body).run());
    cli(&["verify", "--signature", &signature]).input(body).run().prints("verified\n");
}

#[test]
fn a_flawed_secret_is_used_and_warned_of() {
    let warning = "warning: file secret: the secret has white space at its start or end, which is rarely part of a secret: trim \
                   the secret where you set it\n";
    for command in [&["sign"][..], &["verify", "--signature", SIGNATURE]] {
        let ran =
            cli(&[command, &["--secret-file", "secret"]].concat()).file("secret", "test-secret \n").input(BODY).run();
        assert!(ran.stderr.starts_with(warning), "{}", ran.stderr);
        assert!(!ran.stdout.contains(SIGNATURE) && !ran.stderr.contains("test-secret"));
    }
    let quoted = cli(&["sign"]).env("PYLON_WEBHOOK_SECRET", "'test-secret'").input(BODY).run();
    assert_eq!(quoted.code, 0);
    assert!(
        quoted
            .stderr
            .starts_with("warning: environment variable PYLON_WEBHOOK_SECRET: the secret has quotes around it")
    );
}

#[test]
fn a_timestamp_is_signed_too() {
    let ran = cli(&["sign", "--timestamp=1700000000"]).input(BODY).run();
    let (of_body, with_timestamp) = (SIGNATURE, signature(&ran));
    ran.prints(&format!("X-Pylon-Signature: {with_timestamp}\nX-Pylon-Timestamp: 1700000000\n"));
    assert_ne!(of_body, with_timestamp);
    let verify = ["verify", "--signature", &with_timestamp, "--timestamp", "1700000000"];
    cli(&[&verify[..], &["--any-age"]].concat()).input(BODY).run().prints("verified\n");
    let stale = cli(&verify).input(BODY).run();
    assert_eq!((stale.code, stale.stdout.as_str()), (3, ""));
    assert!(stale.stderr.starts_with("error: stale timestamp: "), "{}", stale.stderr);
}

#[test]
fn the_present_time_is_fresh() {
    let ran = cli(&["sign", "--timestamp", "--json"]).input(BODY).run();
    let headers: serde_json::Value = serde_json::from_str(&ran.stdout).unwrap();
    let header = |name: &str| headers[name].as_str().unwrap().to_owned();
    let (signature, timestamp) = (header("X-Pylon-Signature"), header("X-Pylon-Timestamp"));
    cli(&["verify", "--signature", &signature, "--timestamp", &timestamp]).input(BODY).run().prints("verified\n");
}

#[test]
fn a_refusal_is_explained_and_never_shows_a_secret_or_the_right_signature() {
    let long = "a".repeat(64);
    let hs256 = format!("hs256={SIGNATURE}");
    let cases: [(&[u8], &[&str], &str); 8] = [
        (
            BODY,
            &["--signature", &long],
            "signature mismatch: the signature matches none of the configured secrets; check the secret of this \
             webhook destination, and pass the raw bytes of the request body",
        ),
        (
            b"{\"id\": \"1\"}",
            &["--signature", SIGNATURE],
            "signature mismatch: the signature matches none of the configured secrets; it matches the same JSON in \
             another form: the body was parsed and serialized again; pass the raw bytes of the request body",
        ),
        (
            b"{'id': '1'}",
            &["--signature", SIGNATURE],
            "signature mismatch: the signature matches none of the configured secrets; the body is the printed form \
             of a value; pass the raw bytes of the request body",
        ),
        (
            BODY,
            &["--signature", "abc"],
            "malformed signature: expected 64 hexadecimal digits in X-Pylon-Signature, found 3 characters",
        ),
        (
            BODY,
            &["--signature", ""],
            "malformed signature: expected 64 hexadecimal digits in X-Pylon-Signature, found an empty value",
        ),
        (
            BODY,
            &["--signature", &hs256],
            "malformed signature: expected 64 hexadecimal digits in X-Pylon-Signature, found a `hs256=` signature, \
             which getpylon.com sends: another product",
        ),
        (
            BODY,
            &["--signature", SIGNATURE, "--timestamp", "-5"],
            "malformed timestamp: expected 1 to 19 ASCII digits in X-Pylon-Timestamp, found characters that are not \
             digits",
        ),
        (
            BODY,
            &["--signature", SIGNATURE, "--timestamp", "1700000000", "--any-age"],
            "signature mismatch: the signature matches none of the configured secrets; check the secret of this \
             webhook destination, pass the raw bytes of the request body, and check that the sender signs \
             `{timestamp}.{body}`: the request has a timestamp",
        ),
    ];
    for (body, arguments, sentence) in cases {
        let ran = cli(&[&["verify"], arguments].concat()).input(body).run();
        ran.fails(3, sentence);
        assert!(!ran.stderr.contains(SECRET) && !ran.stderr.contains(SIGNATURE));
    }
}

#[test]
fn a_refusal_is_json_where_json_is_asked_for() {
    let ran = cli(&["verify", "--signature", "abc", "--json"]).input(BODY).run();
    let found: serde_json::Value = serde_json::from_str(&ran.stdout).unwrap();
    assert_eq!((ran.code, ran.stderr.as_str()), (3, ""));
    assert_eq!(found["verified"], false);
    assert_eq!(found["error"], "signature_malformed");
}

#[test]
fn a_secret_comes_from_another_variable_or_from_a_file_without_its_line_end() {
    let expected = format!("X-Pylon-Signature: {SIGNATURE}\n");
    cli(&["sign", "--secret-env", "OTHER"]).without_secret().env("OTHER", SECRET).input(BODY).run().prints(&expected);
    let from_file = cli(&["sign", "--secret-file", "secret.txt"]).without_secret();
    from_file.file("secret.txt", "test-secret\n").input(BODY).run().prints(&expected);
}

#[test]
fn a_secret_that_is_not_there_is_named() {
    let not_set = "no secret: expected one in environment variable PYLON_WEBHOOK_SECRET, found it not set; set it";
    let empty = "no secret: expected one in environment variable PYLON_WEBHOOK_SECRET, found it empty, or only white space and quotes";
    for arguments in [&["sign"][..], &["verify", "--signature", SIGNATURE]] {
        cli(arguments).without_secret().run().fails(5, not_set);
        for secret in ["", " ", "\n", "''", "\"\"", "' '", "\u{feff}", "\u{200b}"] {
            cli(arguments).env("PYLON_WEBHOOK_SECRET", secret).run().fails(5, empty);
        }
    }
    let sentence = "no secret: expected one in file nowhere.txt, found that it cannot be read (entity not found)";
    cli(&["sign", "--secret-file", "nowhere.txt"]).run().fails(5, sentence);
}

fn signature(ran: &Ran) -> String {
    let line = ran.stdout.lines().next().unwrap();
    line.strip_prefix("X-Pylon-Signature: ").unwrap().to_owned()
}
