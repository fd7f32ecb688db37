//! What a start refuses and warns of, before it starts.

use pylon_receiver::config::{
    CommandTransport, Config, DestinationConfig, EndpointConfig, HttpTransport, JsonLinesTransport, LedgerAddress,
    SecretSource, Signing, Tls, TransportConfig, parse,
};
use pylon_receiver::{Preflight, Receiver, StartFault};
use std::os::unix::fs::{PermissionsExt, symlink};
use std::path::Path;
use tempfile::TempDir;

/// A configuration with nothing to object to.
fn config() -> Config {
    let given = SecretSource::given("secret");
    Config::default()
        .endpoints(vec![EndpointConfig::signed("/webhook", [given])])
        .destinations(vec![to("http://127.0.0.1:3000/webhook")])
}

fn to(url: &str) -> DestinationConfig {
    DestinationConfig::new("app", TransportConfig::Http(HttpTransport::new(url.parse().unwrap())))
}

fn command(program: &str) -> Config {
    config()
        .destinations(vec![DestinationConfig::new("app", TransportConfig::Command(CommandTransport::new([program])))])
}

fn json_lines(path: &Path) -> Vec<DestinationConfig> {
    vec![DestinationConfig::new("app", TransportConfig::JsonLines(JsonLinesTransport::new(path)))]
}

fn file(folder: &TempDir, name: &str, text: &str, mode: u32) -> SecretSource {
    let path = folder.path().join(name);
    std::fs::write(&path, text).unwrap();
    std::fs::set_permissions(&path, std::fs::Permissions::from_mode(mode)).unwrap();
    SecretSource::File(path)
}

#[track_caller]
fn assert_finds(config: &Config, faults: &[&str], missing: &[&str], warnings: &[&str]) {
    let found = Preflight::of(config);
    assert_eq!((found.faults, found.missing, found.warnings), (owned(faults), owned(missing), owned(warnings)));
}

fn owned(texts: &[&str]) -> Vec<String> {
    texts.iter().map(|&text| text.to_owned()).collect()
}

#[test]
fn nothing_is_found_where_nothing_is_wrong() {
    assert_finds(&config(), &[], &[], &[]);
    let folder = TempDir::new().unwrap();
    let ledger = LedgerAddress::Sqlite(folder.path().join("pylon.db"));
    let beside = json_lines(&folder.path().join("events.jsonl"));
    assert_finds(&config().ledger(ledger).destinations(beside), &[], &[], &[]);
    assert_finds(&command("sh"), &[], &[], &[]);
    let own_kinds = vec!["ticket.created".to_owned(), "Issue-New".to_owned()];
    assert_finds(&config().destinations(vec![to("http://app/").kinds(own_kinds)]), &[], &[], &[]);
}

#[test]
fn what_a_file_cannot_say_is_refused_too() {
    assert_finds(&config().endpoints(vec![]), &["`endpoint`: expected at least one, found none"], &[], &[]);
}

#[test]
fn a_destination_is_not_the_receiver_itself() {
    let refused = [
        ("127.0.0.1:8080", "http://127.0.0.1:8080/webhook", "listen"),
        ("127.0.0.1:8080", "http://localhost:8080/", "listen"),
        ("127.0.0.1:8080", "http://LOCALHOST:8081/", "admin"),
        ("127.0.0.1:8080", "http://0.0.0.0:8080/", "listen"),
        ("127.0.0.1:8080", "http://[::ffff:127.0.0.1]:8080/", "listen"),
        ("0.0.0.0:8080", "http://127.0.0.1:8080/", "listen"),
        ("0.0.0.0:8080", "http://localhost:8080/", "listen"),
        ("[::]:8080", "http://[::1]:8080/", "listen"),
        ("[::1]:8080", "http://localhost:8080/", "listen"),
        ("127.0.0.1:80", "http://127.0.0.1/", "listen"),
        ("127.0.0.1:443", "https://localhost/", "listen"),
        ("192.0.2.1:8080", "http://192.0.2.1:8080/", "listen"),
    ];
    for (listen, url, key) in refused {
        let fault =
            format!("destination app: `url` is the receiver's own `{key}` address; use the address of your app");
        assert_finds(&config().listen(listen.parse().unwrap()).destinations(vec![to(url)]), &[&fault], &[], &[]);
    }
    let taken = [
        ("127.0.0.1:8080", "http://127.0.0.1:8082/"),
        ("127.0.0.1:8080", "http://127.0.0.2:8080/"),
        ("127.0.0.1:8080", "http://192.0.2.1:8080/"),
        ("127.0.0.1:8080", "http://app:8080/"),
        ("192.0.2.1:8080", "http://localhost:8080/"),
        ("127.0.0.1:0", "http://127.0.0.1/"),
    ];
    for (listen, url) in taken {
        assert_finds(&config().listen(listen.parse().unwrap()).destinations(vec![to(url)]), &[], &[], &[]);
    }
}

#[test]
fn lines_of_json_do_not_go_into_the_ledger() {
    let folder = TempDir::new().unwrap();
    let ledger = folder.path().join("pylon.db");
    let config = config().ledger(LedgerAddress::Sqlite(ledger.clone()));
    let fault = "destination app: `jsonl` is a file of the ledger; choose another file";
    let inside = |name: &str| json_lines(&folder.path().join(name));
    for name in ["pylon.db", "pylon.db-wal", "pylon.db-shm", "pylon.db-lock", "./pylon.db"] {
        assert_finds(&config.clone().destinations(inside(name)), &[fault], &[], &[]);
    }
    let other = TempDir::new().unwrap();
    symlink(folder.path(), other.path().join("link")).unwrap();
    let linked = json_lines(&other.path().join("link/pylon.db"));
    assert_finds(&config.clone().destinations(linked), &[fault], &[], &[]);
    std::fs::write(&ledger, "").unwrap();
    symlink(&ledger, other.path().join("file")).unwrap();
    assert_finds(&config.clone().destinations(json_lines(&other.path().join("file"))), &[fault], &[], &[]);
    assert_finds(&config.destinations(json_lines(&other.path().join("pylon.db"))), &[], &[], &[]);
}

#[test]
fn missing_and_malformed_secrets_are_named_with_their_owner() {
    let unset = || SecretSource::Environment("PYLON_NEVER_SET".into());
    let http = HttpTransport::new("http://127.0.0.1:3000/".parse().unwrap());
    let signed = |signing| DestinationConfig::new("app", TransportConfig::Http(http.clone().signing(signing)));
    let not_set =
        "no secret: expected one in environment variable PYLON_NEVER_SET, found it not set; set it and restart";
    let everywhere = config()
        .admin_token(Some(unset()))
        .endpoints(vec![EndpointConfig::signed("/webhook", [unset()])])
        .destinations(vec![signed(Signing::StandardWebhooks(unset()))]);
    let of = |whose: &str| format!("{whose}: {not_set}");
    let missing = [of("admin token"), of("endpoint webhook"), of("destination app")];
    assert_finds(&everywhere, &[], &missing.each_ref().map(String::as_str), &[]);
    let malformed = config().destinations(vec![signed(Signing::StandardWebhooks(SecretSource::given("abc")))]);
    let expected = "destination app: malformed secret: expected `whsec_` and base64, found another form";
    assert_finds(&malformed, &[], &[expected], &[]);
}

#[test]
fn files_that_every_user_can_read_are_warned_of() {
    let folder = TempDir::new().unwrap();
    let path = |name: &str| folder.path().join(name).display().to_string();
    let warning = |whose: &str, name: &str| {
        let path = path(name);
        format!("{whose}: every user of this machine can read {path}; run `chmod o-r {path}`")
    };
    let open =
        EndpointConfig::signed("/webhook", [file(&folder, "open", "a", 0o644), file(&folder, "group", "a", 0o640)]);
    let token = file(&folder, "token", "a", 0o604);
    let config = config().endpoints(vec![open]).admin_token(Some(token));
    let warnings = [warning("admin token", "token"), warning("endpoint webhook", "open")];
    assert_finds(&config, &[], &[], &warnings.each_ref().map(String::as_str));
}

#[test]
fn certificate_and_key_are_read() {
    let folder = TempDir::new().unwrap();
    file(&folder, "key.pem", "no key", 0o644);
    let (certificate, key) = (folder.path().join("none.pem"), folder.path().join("key.pem"));
    let found = Preflight::of(&config().tls(Some(Tls::new(&certificate, &key))));
    assert_eq!(found.faults, [""; 0]);
    assert!(matches!(found.missing.as_slice(), [one] if one.starts_with("no TLS: ")), "{:?}", found.missing);
    let path = key.display();
    assert_eq!(found.warnings, [format!("TLS: every user of this machine can read {path}; run `chmod o-r {path}`")]);
}

#[test]
fn slips_are_warned_of() {
    let folder = TempDir::new().unwrap();
    let unexecutable = folder.path().join("script");
    std::fs::write(&unexecutable, "").unwrap();
    for program in ["pylon-no-such-program", unexecutable.to_str().unwrap(), folder.path().to_str().unwrap()] {
        let shown: String = program.chars().take(60).collect();
        let more = if shown.len() < program.len() { "..." } else { "" };
        let warning = format!("destination app: the program `{shown}{more}` cannot be found or run");
        assert_finds(&command(program), &[], &[], &[&warning]);
    }
    let kinds = parse("[[endpoint]]\nsecrets = [{ env = \"CARGO_PKG_NAME\" }]\nevent_name = \"isue_new\"\n").unwrap();
    let kinds = kinds.destinations(vec![to("http://app/").kinds(vec!["issue_neww".into()])]);
    let endpoint = "endpoint webhook: `event_name`: `isue_new` is not a known kind; did you mean `issue_new`?";
    let destination = "destination app: `kinds`: `issue_neww` is not a known kind; did you mean `issue_new`?";
    assert_finds(&kinds, &[], &[], &[endpoint, destination]);
    let nowhere =
        "no destination: events are stored and delivered nowhere; add a `[[destination]]`, or `--forward` a URL";
    assert_finds(&config().destinations(vec![]), &[], &[], &[nowhere]);
}

#[test]
fn slips_in_kinds_are_warned_of_and_types_are_kinds() {
    for (kind, meant) in [
        ("message_new", "issue_message_new"),
        ("issue_message", "issue_message_new"),
        ("MessageNew", "issue_message_new"),
        ("IssueNew", "issue_new"),
        ("issue_state_changed", "issue_status_changed"),
        ("tags_changed", "issue_tags_changed"),
    ] {
        let warning = format!("destination app: `kinds`: `{kind}` is not a known kind; did you mean `{meant}`?");
        assert_finds(&config().destinations(vec![to("http://app/").kinds(vec![kind.into()])]), &[], &[], &[&warning]);
    }
    for kind in ["MessageNewEvent", "issue_message_new", "Issue.Message-New", "issue.created", "new-issue"] {
        assert_finds(&config().destinations(vec![to("http://app/").kinds(vec![kind.into()])]), &[], &[], &[]);
    }
}

#[test]
fn an_endpoint_that_no_destination_takes_is_warned_of() {
    let endpoints = ["/a", "/b", "/c"].map(|path| EndpointConfig::signed(path, [SecretSource::given("secret")]));
    let config = config().endpoints(endpoints.into());
    let of = |name: &str| {
        let advice = "add it to the `endpoints` of a destination";
        format!("endpoint {name}: its events are stored and delivered nowhere; {advice}")
    };
    let narrow = |name: &str| {
        let http = HttpTransport::new("http://app/".parse().unwrap());
        DestinationConfig::new(format!("of-{name}"), TransportConfig::Http(http)).endpoints(vec![name.into()])
    };
    assert_finds(&config.clone().destinations(vec![narrow("a")]), &[], &[], &[&of("b"), &of("c")]);
    assert_finds(&config.clone().destinations(vec![narrow("a"), narrow("c")]), &[], &[], &[&of("b")]);
    assert_finds(&config.destinations(vec![narrow("a"), to("http://other/")]), &[], &[], &[]);
}

#[test]
fn flaws_of_secrets_are_warned_of_and_never_show_them() {
    let folder = TempDir::new().unwrap();
    let space = "the secret has white space at its start or end, which is rarely part of a secret: trim the secret where \
                 you set it";
    let quotes =
        "the secret has quotes around it, which are rarely part of a secret: remove the quotes where you set it";
    let mark = "the secret starts with a byte order mark, which is rarely part of a secret: save its file as UTF-8 \
                without a byte order mark";
    // One line end at the end of a file is none of the secret's.
    let files = [("plain", "s3", ""), ("line", "s3\r\n", ""), ("lines", "s3\n\n", space), ("mark", "\u{feff}s3", mark)];
    for (name, text, flaw) in files {
        let secret = file(&folder, name, text, 0o600);
        let warning = format!("endpoint webhook: {secret}: {flaw}");
        let config = config().endpoints(vec![EndpointConfig::signed("/webhook", [secret])]);
        let warnings = if flaw.is_empty() { vec![] } else { vec![warning.as_str()] };
        assert_finds(&config, &[], &[], &warnings);
    }
    let given =
        |secret: &str| config().endpoints(vec![EndpointConfig::signed("/webhook", [SecretSource::given(secret)])]);
    for (secret, flaw) in [("s3 ", space), ("\ts3", space), ("'s3'", quotes), ("\"s3\"\n", space)] {
        assert_finds(&given(secret), &[], &[], &[&format!("endpoint webhook: {flaw}")]);
    }
    let http = HttpTransport::new("http://app/".parse().unwrap()).signing(Signing::Pylon(SecretSource::given("'s3'")));
    let signed = DestinationConfig::new("app", TransportConfig::Http(http));
    let everywhere = config().admin_token(Some(SecretSource::given("'s3'"))).destinations(vec![signed]);
    let of = |whose: &str| format!("{whose}: {quotes}");
    assert_finds(&everywhere, &[], &[], &[&of("admin token"), &of("destination app")]);
}

#[tokio::test]
async fn a_start_refuses_what_a_preflight_refuses() {
    let config = config().destinations(vec![to("http://localhost:8080/")]);
    let faults = Preflight::of(&config).faults;
    match Receiver::builder().config(config).start().await {
        Err(StartFault::Config(fault)) => assert_eq!(fault.faults().collect::<Vec<_>>(), faults),
        other => panic!("{other:?}"),
    }
}
