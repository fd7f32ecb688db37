//! What a start refuses and warns of, before it starts.

use pylon_receiver::config::{
    ClientCertificate, CommandTransport, Config, DestinationConfig, EndpointConfig, HttpTransport, JsonLinesTransport,
    LedgerAddress, SecretSource, Signing, Tls, TransportConfig, parse,
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
fn the_files_of_a_destination_are_read() {
    let folder = TempDir::new().unwrap();
    let path = |name: &str| folder.path().join(name);
    let key = rcgen::KeyPair::generate().unwrap();
    let certificate = rcgen::CertificateParams::default().self_signed(&key).unwrap();
    let other = rcgen::KeyPair::generate().unwrap();
    file(&folder, "client.pem", &certificate.pem(), 0o644);
    file(&folder, "open.key", &key.serialize_pem(), 0o644);
    file(&folder, "client.key", &key.serialize_pem(), 0o600);
    file(&folder, "other.key", &other.serialize_pem(), 0o600);
    let http = || HttpTransport::new("https://app.example/".parse().unwrap());
    let client = |key: &str| http().client(Some(ClientCertificate::new(path("client.pem"), path(key))));
    let at =
        |http: HttpTransport| config().destinations(vec![DestinationConfig::new("app", TransportConfig::Http(http))]);
    let shown = |name: &str| path(name).display().to_string();
    assert_finds(&at(client("client.key")), &[], &[], &[]);
    let open = shown("open.key");
    let warning = format!("destination app: every user of this machine can read {open}; run `chmod o-r {open}`");
    assert_finds(&at(client("open.key")), &[], &[], &[&warning]);
    let unfit = format!(
        "destination app: no TLS: expected the certificate in {} and its key in {}, cannot use them together \
         (keys may not be consistent: KeyMismatch)",
        shown("client.pem"),
        shown("other.key")
    );
    assert_finds(&at(client("other.key")), &[], &[&unfit], &[]);
    let missing =
        format!("destination app: no TLS: expected PEM in {}, cannot read it (entity not found)", shown("none.pem"));
    assert_finds(&at(http().ca(Some(path("none.pem")))), &[], &[&missing], &[]);
    let found = format!(
        "destination app: no TLS: expected certificates of authorities as PEM in {}, found none in it",
        shown("client.key")
    );
    assert_finds(&at(http().ca(Some(path("client.key")))), &[], &[&found], &[]);
    let proxy = |text: &str| at(http().proxy(Some(SecretSource::given(text))));
    assert_finds(&proxy("http://user:sesame@proxy:3128"), &[], &[], &[]);
    let malformed = "destination app: malformed secret: expected the URL of a proxy such as \
                     `http://user:password@127.0.0.1:3128`, found another form";
    assert_finds(&proxy("proxy:3128"), &[], &[malformed], &[]);
    let unset = http().proxy(Some(SecretSource::Environment("PYLON_NEVER_SET".into())));
    let not_set = "destination app: no secret: expected one in environment variable PYLON_NEVER_SET, found it not set; \
                   set it and restart";
    assert_finds(&at(unset), &[], &[not_set], &[]);
}

/// Its URL need not lead anywhere.
#[test]
fn a_socket_may_come_later_but_is_one() {
    let folder = TempDir::new().unwrap();
    let socket = |path: &Path| {
        let http = HttpTransport::new("http://127.0.0.1:8080/webhook".parse().unwrap()).socket(Some(path.to_owned()));
        config().destinations(vec![DestinationConfig::new("app", TransportConfig::Http(http))])
    };
    assert_finds(&socket(&folder.path().join("app.sock")), &[], &[], &[]);
    let _listener = std::os::unix::net::UnixListener::bind(folder.path().join("app.sock")).unwrap();
    assert_finds(&socket(&folder.path().join("app.sock")), &[], &[], &[]);
    let warning = format!("destination app: `socket` {} is no socket", folder.path().display());
    assert_finds(&socket(folder.path()), &[], &[], &[&warning]);
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
    let nowhere = "no destination: events are stored and delivered nowhere; add a `[[destination]]`";
    assert_finds(&config().destinations(vec![]), &[], &[], &[nowhere]);
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
