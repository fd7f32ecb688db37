//! With what the process ends, and what it says then.

use super::process::cli;
use super::tables::EVENT;
use pylon_test_support::http::{Server, nowhere};
use serde_json::json;

#[test]
fn a_wrong_command_line_ends_with_2() {
    for (arguments, said) in [
        (&[][..], "Usage: pylon-receiver"),
        (&["serv"], "unrecognized subcommand 'serv'"),
        (&["events"], "Usage: pylon-receiver events"),
        (
            &["events", "list", "--since", "yesterday"],
            "expected a time such as 2026-11-23T08:00:00Z, a date, or how long ago",
        ),
        (&["events", "list", "--since", "2026-02-30"], "expected a time such as"),
        (&["events", "list", "--state", "lost"], "[possible values: pending, dead, delivered, parked, unrouted]"),
        (&["events", "list", "--limit", "0"], "0 is not in 1.."),
        (&["events", "list", "--limit", "3", "--all"], "cannot be used with"),
        (
            &["events", "show", "7"],
            "expected an event id such as 019aaf3c-9f10-7aa0-8000-0123456789ab, or the first or last digits of one, at least 4",
        ),
        (&["dead", "drop", EVENT], "expected a delivery id such as 019aaf3c-9f10-7aa0-8000-0123456789ab.1"),
        (
            &["stats", "--admin-url", "127.0.0.1:8081"],
            "expected a URL such as `http://127.0.0.1:3000/webhook`, found no scheme",
        ),
        (
            &["stats", "--admin-url", "http://me:secret@127.0.0.1"],
            "expected a URL without a user, found one; send credentials in a header",
        ),
        (
            &["stats", "--ledger", "pylon.db"],
            "error: invalid value for '--ledger <ADDRESS>': expected `sqlite:PATH` or `postgres://USER@HOST/DATABASE`, found `pylon.db`",
        ),
        (&["template", "isue_new"], "a similar value exists: 'issue_new'"),
        (&["template", "message_new"], "a similar value exists: 'issue_message_new'"),
        (&["send", "IssueNew", "--to", "http://127.0.0.1:1"], "a similar value exists: 'issue_new'"),
        (&["send", "--to", "http://127.0.0.1:1"], "required arguments were not provided"),
        (&["send", "issue_new"], "--to <URL>"),
        (&["send", "issue_new", "--to", "http://127.0.0.1:1", "--body", "-"], "cannot be used with"),
        (&["send", "--to", "http://127.0.0.1:1", "--body", "-", "--set", "a=b"], "cannot be used with"),
        (&["send", "issue_new", "--to", "http://127.0.0.1:1", "--count", "0"], "0 is not in 1.."),
        (
            &["send", "issue_new", "--to", "http://127.0.0.1:1", "--rate", "0"],
            "expected a number from 0.001 to 1000000",
        ),
        (
            &["send", "issue_new", "--to", "http://127.0.0.1:1", "--rate", "nan"],
            "expected a number from 0.001 to 1000000",
        ),
        (&["send", "issue_new", "--to", "http://127.0.0.1:1", "--set", "title"], "expected a key and a text with `=`"),
        (
            &["send", "issue_new", "--to", "http://127.0.0.1:1", "--header", "a b=c"],
            "expected a header's name and a value",
        ),
        (&["sign", "--timestamp=-1"], "expected whole Unix seconds such as 1700000000"),
        (&["sign", "--timestamp=+1"], "expected whole Unix seconds such as 1700000000"),
        (&["verify"], "--signature <HEX>"),
        (&["serve", "--log", "xml"], "[possible values: text, json]"),
        (&["serve", "--listen", "8080"], "expected an address and a port such as `127.0.0.1:8080`, found `8080`"),
    ] {
        let ran = cli(arguments).run();
        assert_eq!((ran.code, ran.stdout.as_str()), (2, ""), "{arguments:?}");
        assert!(ran.stderr.contains(said), "{arguments:?}: {}", ran.stderr);
    }
}

#[test]
fn help_and_version_end_with_0() {
    for arguments in [&["--help"][..], &["help", "send"], &["events", "-h"], &["--version"]] {
        let ran = cli(arguments).run();
        assert_eq!((ran.code, ran.stderr.as_str()), (0, ""), "{arguments:?}");
        assert!(ran.stdout.ends_with('\n'), "{arguments:?}");
    }
}

#[test]
fn what_the_receiver_refuses_ends_with_1_and_its_reason() {
    let refusal = json!({"error": "not_found", "message": "no such event"});
    let token = json!({"error": "unauthorized", "message": "expected a token"});
    let other =
        "expected an answer of the admin API of a pylon-receiver of this version, found another one; check --admin-url";
    for (status, answer, sentence) in [
        (404, refusal.to_string(), "refused (404, not_found): no such event"),
        (
            401,
            token.to_string(),
            "refused (401, unauthorized): expected a token; name the environment variable that holds its token \
             with --token-env",
        ),
        (
            502,
            "<html>".into(),
            "expected an answer of the admin API of a pylon-receiver, found status 502; check --admin-url",
        ),
        (
            302,
            String::new(),
            "expected an answer of the admin API of a pylon-receiver, found status 302; check --admin-url",
        ),
        (200, "<html>".into(), other),
        (200, "{}".into(), other),
        (200, json!({"events": "none"}).to_string(), other),
        (200, json!({"events": [{"id": 1}]}).to_string(), other),
        (200, json!({"events": [], "next": {}}).to_string(), other),
    ] {
        let server = Server::answering(status, answer);
        cli(&["events", "list", "--admin-url", &server.url]).run().fails(1, sentence);
    }
}

#[test]
fn a_receiver_that_is_not_there_ends_with_4() {
    let url = nowhere();
    let sentence = format!(
        "no receiver answers at {url}/, and no ledger is at pylon.db; start one with `pylon-receiver serve`, or give its \
         address with --admin-url or a ledger with --ledger"
    );
    for arguments in [
        &["events", "list"][..],
        &["events", "show", EVENT],
        &["deliveries", "list"],
        &["dead", "list"],
        &["refused", "list"],
        &["stats"],
    ] {
        cli(&[arguments, &["--admin-url", &url]].concat()).run().fails(4, &sentence);
        cli(arguments).env("PYLON_RECEIVER_ADMIN", &url).run().fails(4, &sentence);
    }
}

#[test]
fn a_variable_that_names_no_receiver_ends_with_2() {
    cli(&["stats"]).env("PYLON_RECEIVER_ADMIN", "localhost").run().fails(
        2,
        "environment variable PYLON_RECEIVER_ADMIN: expected a URL such as `http://127.0.0.1:3000/webhook`, found no scheme",
    );
}

#[test]
fn a_token_is_presented_from_a_variable_a_file_or_the_configuration() {
    let server = Server::answering(200, json!({"events": [], "next": null}));
    let list = ["events", "list", "--admin-url", &server.url];
    let admin = server.url.strip_prefix("http://").unwrap();
    let config = format!("admin = \"{admin}\"\nadmin_token = {{ env = \"TOKEN\" }}\n");
    let runs = [
        cli(&[&list[..], &["--token-env", "TOKEN"]].concat()).env("TOKEN", "abc"),
        cli(&[&list[..], &["--token-file", "token.txt"]].concat()).file("token.txt", "abc\n"),
        cli(&["events", "list", "--config", "receiver.toml"]).file("receiver.toml", config).env("TOKEN", "abc"),
    ];
    for run in runs {
        run.run().prints("no events match\n");
        assert_eq!(server.requests().pop().unwrap().header("authorization"), Some("Bearer abc"));
    }
    cli(&list).run().prints("no events match\n");
    assert_eq!(server.requests().pop().unwrap().header("authorization"), None);
    cli(&[&list[..], &["--token-env", "TOKEN"]].concat())
        .run()
        .fails(5, "no secret: expected one in environment variable TOKEN, found it not set; set it");
}

#[test]
fn a_token_that_leaves_the_machine_without_tls_is_warned_of() {
    // Nothing can listen on port 0, here or there.
    let said = |url: &str, arguments: &[&str]| {
        let ran =
            cli(&[&["dead", "drop", "--all", "--admin-url", url], arguments].concat()).env("TOKEN", "s3cret").run();
        assert_eq!((ran.code, ran.stdout.as_str()), (4, ""), "{}", ran.stderr);
        ran.stderr
    };
    let token = ["--token-env", "TOKEN"];
    let warning = "warning: the token goes to http://0.0.0.0:0/ without TLS: anybody on the network path can read and use it; use an https URL\n";
    let told = said("http://0.0.0.0:0", &token);
    assert!(told.starts_with(warning) && !told.contains("s3cret"), "{told}");
    for (url, arguments) in [
        ("http://0.0.0.0:0", &[][..]),
        ("https://0.0.0.0:0", &token),
        ("http://127.0.0.1:0", &token),
        ("http://[::1]:0", &token),
        ("http://localhost:0", &token),
    ] {
        let told = said(url, arguments);
        assert!(told.starts_with("error: "), "{url}: {told}");
    }
}

#[test]
fn a_configuration_is_printed_or_all_that_is_wrong_with_it() {
    let holds = cli(&["check-config"]).run();
    let nowhere = "warning: no destination: events are stored and delivered nowhere; add a `[[destination]]`, or `--forward` a URL\n";
    assert_eq!((holds.code, holds.stderr.as_str()), (0, nowhere));
    let again = cli(&["check-config", "--config", "receiver.toml"]).file("receiver.toml", &holds.stdout).run();
    assert_eq!((again.code, again.stdout, again.stderr.as_str()), (0, holds.stdout, nowhere));

    let faulty =
        cli(&["check-config", "--config", "receiver.toml"]).file("receiver.toml", "lisen = 1\nlog = \"xml\"\n").run();
    assert_eq!((faulty.code, faulty.stdout.as_str()), (5, ""));
    assert!(faulty.stderr.starts_with("error: receiver.toml: "), "{}", faulty.stderr);
    assert!(faulty.stderr.contains("`listen`") && faulty.stderr.contains("`log`"), "{}", faulty.stderr);

    let missing = cli(&["check-config", "--config", "receiver.toml"]).run();
    missing.fails(5, "the configuration receiver.toml cannot be read: No such file or directory (os error 2)");
}

#[test]
fn a_secret_that_is_not_there_is_a_warning_beside_a_configuration_that_holds() {
    let config = "\
        [[endpoint]]\npath = \"/a\"\nsecrets = [{ env = \"HERE\" }, { file = \"nowhere.txt\" }]\n\
        [[destination]]\nname = \"app\"\nurl = \"http://127.0.0.1:3000/\"\nsign = \"pylon\"\nsecret = { env = \"GONE\" }\n";
    let run = |arguments: &[&str]| cli(arguments).file("receiver.toml", config).env("HERE", "the-secret").run();
    let ran = run(&["check-config", "--config", "receiver.toml"]);
    assert_eq!(
        ran.stderr,
        "warning: endpoint a: no secret: expected one in file nowhere.txt, found that it cannot be read (entity not found)\n\
         warning: destination app: no secret: expected one in environment variable GONE, found it not set; set it\n"
    );
    assert_eq!(ran.code, 1);
    assert!(ran.stdout.contains("[[destination]]") && !ran.stdout.contains("the-secret"));
    let ran = run(&["check-config", "--config", "receiver.toml", "--json"]);
    let found: serde_json::Value = serde_json::from_str(&ran.stdout).unwrap();
    assert_eq!((ran.code, found["missing_secrets"].as_array().unwrap().len()), (1, 2));
}

#[test]
fn a_secret_of_white_space_and_quotes_is_none() {
    let config = "admin_token = { env = \"TOKEN\" }\n\
        [[endpoint]]\npath = \"/a\"\nsecrets = [{ env = \"BLANK\" }, { file = \"blank.txt\" }]\n\
        [[destination]]\nname = \"app\"\nurl = \"http://127.0.0.1:3000/\"\nsign = \"pylon\"\nsecret = { env = \"BLANK\" }\n";
    for blank in ["\n", " ", "\"\"", "''", "\u{feff}", "\u{200b}", " '\" \"'\r\n"] {
        let command = cli(&["check-config", "--config", "receiver.toml"]).file("receiver.toml", config);
        let ran = command.file("blank.txt", blank).env("BLANK", blank).env("TOKEN", blank).run();
        let found = "found it empty, or only white space and quotes";
        let expected = format!(
            "warning: endpoint a: every user of this machine can read blank.txt; run `chmod o-r blank.txt`\n\
             warning: admin token: no secret: expected one in environment variable TOKEN, {found}\n\
             warning: endpoint a: no secret: expected one in environment variable BLANK, {found}\n\
             warning: endpoint a: no secret: expected one in file blank.txt, {found}\n\
             warning: destination app: no secret: expected one in environment variable BLANK, {found}\n"
        );
        assert_eq!((ran.code, ran.stderr), (1, expected), "{blank:?}");
    }
}

#[test]
fn templates_are_listed_and_printed() {
    let kinds = pylon_webhooks::EventKind::ALL;
    cli(&["template"]).run().prints(&kinds.iter().map(|kind| format!("{kind}\n")).collect::<String>());
    for kind in kinds {
        cli(&["template", kind.name()]).run().prints(&kind.template());
        cli(&["template", &kind.name().to_uppercase().replace('_', ".")]).run().prints(&kind.template());
    }
    let ran = cli(&["template", "issue_new", "--json"]).run();
    let found: serde_json::Value = serde_json::from_str(&ran.stdout).unwrap();
    assert_eq!(found["template"], pylon_webhooks::EventKind::IssueNew.template());
    let by_type = cli(&["template", "MessageNewEvent"]).run();
    by_type.prints(&pylon_webhooks::EventKind::IssueMessageNew.template());
}

#[test]
fn a_ledger_that_cannot_be_opened_is_a_warning_beside_a_configuration_that_holds() {
    let config = "ledger = \"sqlite:notes.txt\"\n[[endpoint]]\npath = \"/a\"\nsecrets = [{ env = \"HERE\" }]\n\
                  [[destination]]\nname = \"app\"\nurl = \"http://127.0.0.1:3000/\"\n";
    let run = |arguments: &[&str]| {
        let run = cli(arguments).file("receiver.toml", config).file("notes.txt", "a text").env("HERE", "the-secret");
        run.run()
    };
    let found = "the ledger is damaged: file is not a database; stop the receiver, keep a copy of the ledger, and restore a backup \
                 or start with a new one";
    let ran = run(&["check-config", "--config", "receiver.toml"]);
    assert_eq!((ran.code, ran.stderr.lines().last()), (1, Some(&*format!("warning: {found}"))));
    assert!(ran.stdout.contains("ledger = \"sqlite:notes.txt\""));
    let ran = run(&["check-config", "--config", "receiver.toml", "--json"]);
    let printed: serde_json::Value = serde_json::from_str(&ran.stdout).unwrap();
    assert_eq!((ran.code, &printed["ledger"]), (1, &found.into()));
}
