//! What a start refuses and warns of, before it starts.

use pylon_receiver::config::{
    ClientCertificate, CommandTransport, Config, DestinationConfig, EndpointConfig, HttpTransport, JsonLinesTransport,
    LedgerAddress, NatsTransport, SecretSource, Signing, Tls, TransportConfig, parse,
};
use pylon_receiver::ledger::{SqliteLedger, SqliteOptions};
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
    assert_eq!(found.ledger, None);
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
fn sources_without_a_trusted_proxy_are_warned_of_where_only_a_proxy_can_reach_the_receiver() {
    let mut config = config();
    config.endpoints[0].sources = vec!["us".parse().unwrap()];
    let warning = "endpoint webhook: `sources` sees the address of the proxy only, because `listen` is a loopback address; \
                   name the proxy in `trusted_proxies`";
    assert_finds(&config, &[], &[], &[warning]);
    assert_finds(&config.clone().listen(([192, 0, 2, 1], 8080).into()), &[], &[], &[]);
    assert_finds(&config.trusted_proxies(vec!["127.0.0.1".parse().unwrap()]), &[], &[], &[]);
}

#[test]
fn a_certificate_that_has_ended_is_warned_of() {
    let folder = TempDir::new().unwrap();
    let tls = Tls::new(folder.path().join("certificate.pem"), folder.path().join("key.pem"));
    let mut params = rcgen::CertificateParams::new(["localhost".to_owned()]).unwrap();
    (params.not_before, params.not_after) = (rcgen::date_time_ymd(2000, 1, 1), rcgen::date_time_ymd(2020, 2, 1));
    let key = rcgen::KeyPair::generate().unwrap();
    std::fs::write(&tls.certificate, params.self_signed(&key).unwrap().pem()).unwrap();
    file(&folder, "key.pem", &key.serialize_pem(), 0o600);
    let path = tls.certificate.display();
    let warning =
        format!("the certificate in {path} expired at 2020-02-01T00:00:00Z: connections with it fail; renew it");
    assert_finds(&config().tls(Some(tls.clone())), &[], &[], &[&warning]);
    // That of a client as well.
    let client = ClientCertificate::new(&tls.certificate, &tls.key);
    let transport = HttpTransport::new("https://app.example.com/".parse().unwrap()).client(Some(client));
    let destination = DestinationConfig::new("app", TransportConfig::Http(transport));
    assert_finds(&config().destinations(vec![destination]), &[], &[], &[&warning]);
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
        ("localhost:8080", "http://localhost:8080/", "listen"),
        ("LOCALHOST:8080", "http://127.0.0.1:8080/", "listen"),
        ("localhost:8080", "http://[::1]:8080/", "listen"),
        ("localhost:80", "http://0.0.0.0/", "listen"),
        ("hooks.internal:8080", "http://Hooks.Internal:8080/", "listen"),
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
        ("localhost:8080", "http://localhost:8082/"),
        ("localhost:8080", "http://127.0.0.2:8080/"),
        ("hooks.internal:8080", "http://app:8080/"),
        ("hooks.internal:8080", "http://hooks.internal/"),
        ("unix:/run/pylon.sock", "http://localhost:8080/"),
    ];
    for (listen, url) in taken {
        assert_finds(&config().listen(listen.parse().unwrap()).destinations(vec![to(url)]), &[], &[], &[]);
    }
    let socket = |path: &str| {
        let http = HttpTransport::new("http://app/webhook".parse().unwrap()).socket(Some(path.into()));
        config()
            .listen("unix:/run/pylon.sock".parse().unwrap())
            .destinations(vec![DestinationConfig::new("app", TransportConfig::Http(http))])
    };
    let fault = "destination app: `socket` is the receiver's own `listen` address; use the address of your app";
    assert_finds(&socket("/run/pylon.sock"), &[fault], &[], &[]);
    assert_finds(&socket("/run/../run/pylon.sock"), &[fault], &[], &[]);
    assert_finds(&socket("/run/app.sock"), &[], &[], &[]);
}

#[test]
fn lines_of_json_do_not_go_into_the_ledger() {
    let folder = TempDir::new().unwrap();
    let ledger = folder.path().join("pylon.db");
    let config = config().ledger(LedgerAddress::Sqlite(ledger.clone()));
    let fault = "destination app: `jsonl` is a file of the ledger; choose another file";
    let inside = |name: &str| json_lines(&folder.path().join(name));
    let of_the_ledger =
        ["pylon.db", "pylon.db-wal", "pylon.db-shm", "pylon.db-journal", "pylon.db-lock", "./pylon.db", "link.db"];
    symlink("pylon.db", folder.path().join("link.db")).unwrap();
    for name in of_the_ledger {
        assert_finds(&config.clone().destinations(inside(name)), &[fault], &[], &[]);
    }
    let by_a_link = config.clone().ledger(LedgerAddress::Sqlite(folder.path().join("link.db")));
    for name in of_the_ledger {
        assert_finds(&by_a_link.clone().destinations(inside(name)), &[fault], &[], &[]);
    }
    let other = TempDir::new().unwrap();
    symlink(folder.path(), other.path().join("link")).unwrap();
    let linked = json_lines(&other.path().join("link/pylon.db"));
    assert_finds(&config.clone().destinations(linked), &[fault], &[], &[]);
    file(&folder, "pylon.db", "", 0o600);
    symlink(&ledger, other.path().join("file")).unwrap();
    std::fs::hard_link(&ledger, other.path().join("hard")).unwrap();
    for name in ["file", "hard"] {
        assert_finds(&config.clone().destinations(json_lines(&other.path().join(name))), &[fault], &[], &[]);
    }
    assert_finds(&config.destinations(json_lines(&other.path().join("pylon.db"))), &[], &[], &[]);
}

#[test]
fn a_file_that_no_line_can_be_written_to_is_warned_of() {
    let folder = TempDir::new().unwrap();
    let path = |name: &str| folder.path().join(name);
    file(&folder, "text", "a line\n", 0o600);
    file(&folder, "zeros", "\0\0\0", 0o600);
    file(&folder, "empty", "", 0o600);
    std::fs::create_dir(path("folder")).unwrap();
    let foreign = "the file does not begin with a line of ours; move it away, or name another file";
    for (name, found) in [
        ("text", foreign),
        ("zeros", foreign),
        ("folder", "expected a regular file, found a folder"),
        ("none/lines", "No such file or directory (os error 2)"),
    ] {
        let warning = format!("destination app: nothing can be written to {}: {found}", path(name).display());
        assert_finds(&config().destinations(json_lines(&path(name))), &[], &[], &[&warning]);
    }
    assert_finds(&config().destinations(json_lines(&path("empty"))), &[], &[], &[]);
    assert_eq!(std::fs::read(path("zeros")).unwrap(), [0; 3]);
}

#[test]
fn two_destinations_with_one_file_are_warned_of() {
    let folder = TempDir::new().unwrap();
    let path = |name: &str| folder.path().join(name);
    symlink("lines", path("link")).unwrap();
    let warning = "destination other: `jsonl` is the file of destination app too: lines do not say whose they are";
    let with = |name: &str| {
        let other = TransportConfig::JsonLines(JsonLinesTransport::new(path(name)));
        config().destinations([json_lines(&path("lines")), vec![DestinationConfig::new("other", other)]].concat())
    };
    for name in ["lines", "./lines", "link"] {
        assert_finds(&with(name), &[], &[], &[warning]);
    }
    file(&folder, "lines", "", 0o600);
    std::fs::hard_link(path("lines"), path("hard")).unwrap();
    assert_finds(&with("hard"), &[], &[], &[warning]);
    assert_finds(&with("elsewhere"), &[], &[], &[]);
}

/// What is at the path of a ledger, what a preflight says of it, and so a start.
#[test]
fn a_ledger_that_cannot_be_opened_is_told_and_nothing_is_changed() {
    let folder = TempDir::new().unwrap();
    let path = |name: &str| folder.path().join(name);
    let shown = |name: &str| path(name).display().to_string();
    let foreign = |name: &str| rusqlite::Connection::open(path(name)).unwrap();
    foreign("bookmarks").execute_batch("CREATE TABLE bookmarks (url TEXT)").unwrap();
    foreign("wal").execute_batch("PRAGMA journal_mode = wal; CREATE TABLE bookmarks (url TEXT)").unwrap();
    foreign("numbered").pragma_update(None, "application_id", 7).unwrap();
    file(&folder, "text", "a text", 0o600);
    file(&folder, "zeros", &"\0".repeat(4096), 0o600);
    file(&folder, "lost-wal", "what was committed", 0o600);
    file(&folder, "cut-wal", "what was committed", 0o600);
    file(&folder, "cut", "", 0o600);
    std::fs::create_dir(path("folder")).unwrap();
    rustix::fs::mknodat(rustix::fs::CWD, path("pipe"), rustix::fs::FileType::Fifo, 0o600.into(), 0).unwrap();
    let _socket = std::os::unix::net::UnixListener::bind(path("socket")).unwrap();
    symlink("text", path("link")).unwrap();
    drop(SqliteLedger::open(path("newer"), SqliteOptions::default()).unwrap());
    foreign("newer").execute_batch("PRAGMA user_version = 99; PRAGMA wal_checkpoint(TRUNCATE)").unwrap();

    let of_another =
        |name: &str| format!("not a ledger of this version: {} is a SQLite file of another program", shown(name));
    let no_database = "the ledger is damaged: file is not a database; stop the receiver, keep a copy of the ledger, and restore a \
                       backup or start with a new one";
    let no_file =
        |name: &str, found: &str| format!("the ledger failed: expected a file at {}, found {found}", shown(name));
    let with_wal = |name: &str| {
        format!(
            "the ledger failed: expected the ledger {0} beside {0}-wal, which has events of it, found none; put the ledger back, \
             or move {0}-wal away",
            shown(name)
        )
    };
    let cases = [
        (path("bookmarks"), of_another("bookmarks")),
        (path("wal"), of_another("wal")),
        (path("numbered"), of_another("numbered")),
        (path("text"), no_database.to_owned()),
        (path("link"), no_database.to_owned()),
        (path("zeros"), no_database.to_owned()),
        (path("lost"), with_wal("lost")),
        (path("cut"), with_wal("cut")),
        (path("folder"), no_file("folder", "a folder")),
        (path("pipe"), no_file("pipe", "a named pipe")),
        (path("socket"), no_file("socket", "a socket")),
        ("/dev/null".into(), "the ledger failed: expected a file at /dev/null, found a device".into()),
        ("/dev/zero".into(), "the ledger failed: expected a file at /dev/zero, found a device".into()),
        (path("none/pylon.db"), format!("the ledger failed: expected a folder {}, found none; make it", shown("none"))),
        (
            path("newer"),
            format!(
                "not a ledger of this version: expected at most version 6 in {}, found 99; run a newer pylon-receiver",
                shown("newer")
            ),
        ),
    ];
    let everything = || {
        let files = std::fs::read_dir(folder.path()).unwrap().map(|entry| entry.unwrap().path());
        let mut files: Vec<_> =
            files.map(|path| (path.clone(), path.is_file().then(|| std::fs::read(path).unwrap()))).collect();
        files.sort();
        files
    };
    let before = everything();
    for (path, sentence) in cases {
        let config = config().ledger(LedgerAddress::Sqlite(path.clone()));
        assert_eq!(Preflight::of(&config).ledger.as_deref(), Some(&*sentence), "{}", path.display());
        let started = SqliteLedger::open(&path, SqliteOptions::default());
        assert_eq!(started.unwrap_err().to_string(), sentence, "{}", path.display());
        assert!(SqliteLedger::open_read_only(&path).is_err(), "{}", path.display());
        assert!(everything() == before, "{}", path.display());
    }
    assert!(!Path::new("/dev/null-journal").exists());
}

/// A ledger in a file is never away.
const NO_SPOOL: &str = "`spool`: expected only beside a ledger on PostgreSQL, found one beside `sqlite:`; a ledger in a file is never away";

#[test]
fn a_spool_is_looked_at_as_a_ledger_is() {
    let folder = TempDir::new().unwrap();
    let path = folder.path().join("spool.db");
    let ledger = LedgerAddress::Sqlite(folder.path().join("pylon.db"));
    let config = config().ledger(ledger).spool(Some(path.clone()));
    assert_finds(&config, &[NO_SPOOL], &[], &[]);
    assert!(!path.exists());
    // It goes by its own files.
    for name in ["spool.db", "spool.db-wal", "./spool.db"] {
        let inside = config.clone().destinations(json_lines(&folder.path().join(name)));
        let fault = "destination app: `jsonl` is a file of the spool; choose another file";
        assert_finds(&inside, &[NO_SPOOL, fault], &[], &[]);
    }
    std::fs::write(&path, "some text that is no database").unwrap();
    std::fs::set_permissions(&path, std::fs::Permissions::from_mode(0o644)).unwrap();
    let found = Preflight::of(&config);
    assert_eq!(
        found.ledger.as_deref(),
        Some(
            "spool: the ledger is damaged: file is not a database; stop the receiver, keep a copy of the ledger, and restore a backup \
             or start with a new one"
        )
    );
    let shown = path.display();
    let readable = format!("spool: every user of this machine can read {shown}; run `chmod o-r {shown}`");
    assert_eq!(found.warnings, [readable]);
    let nowhere = Preflight::of(&config.spool(Some("/sys/none/spool.db".into())));
    assert_eq!(
        nowhere.ledger.as_deref(),
        Some("spool: the ledger failed: expected a folder /sys/none, found none; make it")
    );
}

#[test]
fn a_sound_ledger_is_no_fault_whether_a_receiver_has_it_or_not() {
    let folder = TempDir::new().unwrap();
    let config = config().ledger(LedgerAddress::Sqlite(folder.path().join("pylon.db")));
    assert_finds(&config, &[], &[], &[]);
    assert!(!folder.path().join("pylon.db").exists());
    let ledger = SqliteLedger::open(folder.path().join("pylon.db"), SqliteOptions::default()).unwrap();
    assert_finds(&config, &[], &[], &[]);
    drop(ledger);
    assert_finds(&config, &[], &[], &[]);
    file(&folder, "pylon.db", "", 0o600);
    std::fs::remove_file(folder.path().join("pylon.db-wal")).unwrap_or_default();
    assert_finds(&config, &[], &[], &[]);
}

#[test]
fn files_that_others_can_read_or_write_are_warned_of() {
    let folder = TempDir::new().unwrap();
    let shown = |name: &str| folder.path().join(name).display().to_string();
    let of_the_ledger = config().ledger(LedgerAddress::Sqlite(folder.path().join("pylon.db")));
    let with = |name: &str| match name {
        "lines" => (of_the_ledger.clone().destinations(json_lines(&folder.path().join("lines"))), "destination app"),
        _ => (of_the_ledger.clone(), "ledger"),
    };
    drop(SqliteLedger::open(folder.path().join("pylon.db"), SqliteOptions::default()).unwrap());
    file(&folder, "pylon.db-wal", "", 0o600);
    file(&folder, "pylon.db-shm", "", 0o600);
    file(&folder, "lines", "", 0o600);
    let change = |name: &str, mode| {
        std::fs::set_permissions(folder.path().join(name), std::fs::Permissions::from_mode(mode)).unwrap();
    };
    for name in ["pylon.db", "pylon.db-wal", "pylon.db-shm", "lines"] {
        let (config, whose) = with(name);
        let shown = shown(name);
        for (mode, found) in [
            (0o644, format!("every user of this machine can read {shown}; run `chmod o-r {shown}`")),
            (0o602, format!("every user of this machine can write {shown}; run `chmod o-w {shown}`")),
            (0o606, format!("every user of this machine can read and write {shown}; run `chmod o-rw {shown}`")),
            (0o660, format!("its group can write {shown}; run `chmod g-w {shown}`")),
            (
                0o666,
                format!(
                    "every user of this machine can read and write {shown}, and its group can write it; run `chmod g-w,o-rw {shown}`"
                ),
            ),
        ] {
            change(name, mode);
            assert_finds(&config, &[], &[], &[&format!("{whose}: {found}")]);
        }
        for mode in [0o640, 0o600] {
            change(name, mode);
            assert_finds(&config, &[], &[], &[]);
        }
    }
    let shown = folder.path().canonicalize().unwrap().display().to_string();
    change("", 0o777);
    let found =
        format!("ledger: every user of this machine can delete and replace files in {shown}; run `chmod o-w {shown}`");
    assert_finds(&of_the_ledger, &[], &[], &[&found]);
    change("", 0o1777);
    assert_finds(&of_the_ledger, &[], &[], &[]);
    change("", 0o700);
}

#[test]
fn missing_and_malformed_secrets_are_named_with_their_owner() {
    let unset = || SecretSource::Environment("PYLON_NEVER_SET".into());
    let http = HttpTransport::new("http://127.0.0.1:3000/".parse().unwrap());
    let signed = |signing| DestinationConfig::new("app", TransportConfig::Http(http.clone().signing(signing)));
    let not_set = "no secret: expected one in environment variable PYLON_NEVER_SET, found it not set; set it";
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
                   set it";
    assert_finds(&at(unset), &[], &[not_set], &[]);
}

#[cfg(feature = "nats")]
#[test]
fn a_nats_server_is_not_asked_and_its_secrets_are_looked_at() {
    let folder = TempDir::new().unwrap();
    let at = |servers: &str| NatsTransport::new(SecretSource::Plain(servers.into()));
    let config =
        |nats: NatsTransport| config().destinations(vec![DestinationConfig::new("bus", TransportConfig::Nats(nats))]);
    assert_finds(&config(at("nats://192.0.2.1")), &[], &[], &[]);
    for (servers, key) in [("nats://127.0.0.1:8080", "listen"), ("nats://a,nats://localhost:8081", "admin")] {
        let fault =
            format!("destination bus: `nats` is the receiver's own `{key}` address; use the address of a NATS server");
        assert_finds(&config(at(servers)), &[&fault], &[], &[]);
    }
    let credentials = folder.path().join("nats.creds");
    let missing = format!(
        "destination bus: no NATS credentials: expected a JWT and a seed in {}, found that it cannot be read (entity not \
         found)",
        credentials.display()
    );
    let with = || config(at("nats://a").credentials(Some(credentials.clone())));
    assert_finds(&with(), &[], &[&missing], &[]);
    file(&folder, "nats.creds", "no seed", 0o644);
    let path = credentials.display();
    let malformed =
        format!("destination bus: no NATS credentials: expected a JWT and a seed in {path}, found something else");
    let open = format!("destination bus: every user of this machine can read {path}; run `chmod o-r {path}`");
    assert_finds(&with(), &[], &[&malformed], &[&open]);
    let url = |text: &str| config(NatsTransport::new(SecretSource::given(text)));
    assert_finds(&url("nats://user:sesame@a"), &[], &[], &[]);
    let malformed = "destination bus: malformed secret: expected the URL of a NATS server such as \
                     `nats://user:password@127.0.0.1:4222`, or several with commas between them, found another form";
    assert_finds(&url("http://a"), &[], &[malformed], &[]);
    let unset = at("nats://a").token(Some(SecretSource::Environment("PYLON_NEVER_SET".into())));
    let not_set = "destination bus: no secret: expected one in environment variable PYLON_NEVER_SET, found it not set; \
                   set it";
    assert_finds(&config(unset), &[], &[not_set], &[]);
}

#[cfg(not(feature = "nats"))]
#[test]
fn a_build_without_nats_says_so_once() {
    let nats = NatsTransport::new(SecretSource::Plain("nats://192.0.2.1".into()));
    let fault = "`nats` in [[destination]] 1: expected a build with the feature `nats`, found one without; build with \
                 --features nats";
    let config = config().destinations(vec![DestinationConfig::new("bus", TransportConfig::Nats(nats))]);
    assert_finds(&config, &[fault], &[], &[]);
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
