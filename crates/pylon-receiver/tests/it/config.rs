//! The configuration file: what is read from it, what is refused and how that is told, and that no secret is.

use http::{HeaderName, HeaderValue, header};
use proptest::prelude::*;
use pylon_receiver::Promise;
use pylon_receiver::config::{
    CommandTransport, Config, DEFAULT_PATH, DestinationConfig, EndpointConfig, HttpTransport, LedgerAddress,
    NatsTransport, RequiredHeader, SecretFault, SecretSource, Signing, TransportConfig, check, parse, reference,
    restarts, show,
};
use pylon_receiver::text::{parse_bytes, parse_duration, parse_url, show_bytes, show_duration};
use pylon_webhooks::NameSource;
use serde::Deserialize;
use std::collections::HashSet;
use std::io::ErrorKind;
use std::path::Path;
use std::time::Duration;

/// Stands for a secret wherever a file or a program has one that must not be shown.
const SECRET: &str = "sk-secret";

#[derive(Deserialize)]
struct Vectors {
    schema: u32,
    cases: Vec<Case>,
}

#[derive(Deserialize)]
struct Case {
    id: String,
    /// A cargo feature.
    needs: Option<String>,
    file: Vec<String>,
    expect: Expect,
}

#[derive(Deserialize)]
#[serde(rename_all = "snake_case")]
enum Expect {
    Faults(Vec<String>),
    Holds(Vec<String>),
}

fn cases() -> Vec<Case> {
    let text = include_str!("../../../../vectors/receiver/config.json");
    let vectors: Vectors = serde_json::from_str(text).unwrap();
    assert_eq!(vectors.schema, 1);
    let ids: HashSet<_> = vectors.cases.iter().map(|case| &case.id).collect();
    assert_eq!(ids.len(), vectors.cases.len(), "ids are unique");
    let is_built = |case: &Case| match case.needs.as_deref() {
        None => true,
        Some("nats") => cfg!(feature = "nats"),
        Some(unknown) => panic!("no feature {unknown}"),
    };
    vectors.cases.into_iter().filter(is_built).collect()
}

#[test]
fn every_file_is_read_or_refused_as_the_table_says() {
    for case in cases() {
        let (id, text) = (&case.id, case.file.join("\n"));
        match (parse(&text), case.expect) {
            (Err(fault), Expect::Faults(expected)) => {
                assert_eq!(fault.faults().collect::<Vec<_>>(), expected, "{id}");
                assert_eq!(fault.to_string(), expected.join("\n"), "{id}");
                assert!(!format!("{fault:?}").contains(SECRET), "{id} shows a secret");
            }
            (Ok(config), Expect::Holds(expected)) => {
                let shown = show(&config);
                for line in expected {
                    assert!(shown.lines().any(|shown| shown == line), "{id}: no line {line} in\n{shown}");
                }
                assert_shows_itself(id, &shown);
            }
            (Err(fault), Expect::Holds(_)) => panic!("{id} was refused: {fault}"),
            (Ok(config), Expect::Faults(_)) => panic!("{id} was read:\n{}", show(&config)),
        }
    }
}

#[track_caller]
fn assert_shows_itself(id: &str, shown: &str) {
    match parse(shown) {
        Ok(config) => assert_eq!(show(&config), shown, "{id}"),
        Err(fault) => panic!("{id}: what was shown is refused: {fault}\n{shown}"),
    }
}

#[test]
fn an_empty_file_is_shown_with_every_default() {
    let expected = r#"listen = "127.0.0.1:8080"
admin = "127.0.0.1:8081"
ledger = "sqlite:pylon.db"
promise = "one_disk"
role = "accept_and_deliver"
spool_size = "1GiB"
log = "text"
trusted_proxies = []

[limits]
connections = 1024
header_timeout = "15s"
idle_timeout = "1m15s"
body_timeout = "15s"
body_memory = "256MiB"
keep_alive_requests = 10000
queue = 4096
shutdown_timeout = "25s"

[retention]
delivered = "30d"
refused = 1000

[[endpoint]]
name = "webhook"
path = "/webhook"
signature = "required"
secrets = [{ env = "PYLON_WEBHOOK_SECRET" }]
timestamp = "optional"
tolerance = "5m"
sources = []
body_limit = "1MiB"
deduplication = "exact"
"#;
    assert_eq!(show(&parse("").unwrap()), expected);
}

#[test]
fn the_reference_of_the_documentation_is_that_of_the_keys() {
    const BEGIN: &str = "<!-- keys: begin -->\n";
    let path = Path::new(env!("CARGO_MANIFEST_DIR")).join("../../docs/reference/configuration.md");
    let page = std::fs::read_to_string(&path).unwrap();
    let (before, rest) = page.split_once(BEGIN).expect("the page says where the keys begin");
    let (shown, after) = rest.split_once("<!-- keys: end -->").expect("the page says where the keys end");
    if std::env::var_os("PYLON_RENEW_SNAPSHOTS").is_some() {
        let renewed = format!("{before}{BEGIN}{}<!-- keys: end -->{after}", reference());
        return std::fs::write(&path, renewed).unwrap();
    }
    assert_eq!(shown, reference(), "the keys have changed; PYLON_RENEW_SNAPSHOTS=1 writes the page anew");
}

#[test]
fn every_key_is_in_the_reference_with_its_default() {
    let reference = reference();
    for line in [
        "| `limits.queue` | number | `4096` | Events that wait for a commit; further ones get 503. Needs a restart. |",
        "| `limits.body_timeout` | duration | `15s` | Time for a request's body. |",
        "| `endpoint.secrets` | list of secrets | none | Any of these secrets verifies a request. |",
        "| `destination.jsonl` | path | none | Append events to this file as lines of JSON. |",
        "| `destination.circuit.failures` | number | `10` | Events without an answer, or with 502, 503 or 504, before the \
         destination is paused. Any other answer starts the count anew. |",
    ] {
        assert!(reference.lines().any(|found| found == line), "no line {line} in\n{reference}");
    }
    let keys: Vec<_> = reference.lines().filter_map(|line| line.split('`').nth(1)).collect();
    assert_eq!(keys.iter().collect::<HashSet<_>>().len(), keys.len(), "each key once");
    assert_eq!(keys.len(), 84);
}

const EXAMPLE: &str = include_str!("../../../../deploy/pylon-receiver.toml");

#[test]
fn the_example_is_read() {
    let config = parse(EXAMPLE).unwrap();
    assert_eq!((config.endpoints.len(), config.destinations.len()), (1, 1));
    assert_shows_itself("example", &show(&config));
}

#[cfg(not(feature = "nats"))]
#[test]
fn what_this_build_lacks_is_refused() {
    let fault = parse("[[destination]]\nname = \"bus\"\nnats = \"nats://127.0.0.1\"").unwrap_err();
    let expected = "line 3: `nats` in [[destination]] 1: expected a build with the feature `nats`, found one without; build with \
                    --features nats";
    assert_eq!(fault.to_string(), expected);
}

#[cfg(feature = "nats")]
#[test]
fn the_settings_that_the_example_comments_out_hold_anyway_unless_they_are_for_instance() {
    let (mut everything, mut defaults) = (String::new(), String::new());
    // Up to the next comment, and for a whole table up to the next empty line.
    let (mut is_instance, mut is_table) = (false, false);
    for line in EXAMPLE.lines() {
        let setting = line.strip_prefix('#').filter(|rest| rest.starts_with(|first: char| first != ' '));
        match setting {
            Some(setting) => {
                is_table |= is_instance && setting.starts_with('[');
                everything += setting;
                defaults += if is_instance { line } else { setting };
            }
            None => {
                is_table &= !line.is_empty();
                is_instance = is_table || line.contains("or instance:");
                // There are two ledgers to choose from, and the one that is an instance has more settings.
                everything += if line.starts_with("ledger = ") { "" } else { line };
                defaults += line;
            }
        }
        everything.push('\n');
        defaults.push('\n');
    }
    assert_eq!(show(&parse(&defaults).unwrap()), show(&parse(EXAMPLE).unwrap()));
    let all = parse(&everything).unwrap();
    assert_eq!(all.destinations.len(), 7);
    assert!(all.admin_token.is_some() && all.tls.is_some() && all.traces.is_some());
    assert!(matches!(all.ledger, LedgerAddress::Postgres(_)) && all.spool.is_some());
}

#[test]
fn the_example_has_every_key() {
    let words: HashSet<&str> = EXAMPLE.split(|c: char| !(c.is_ascii_alphanumeric() || c == '_')).collect();
    for case in cases() {
        let Expect::Holds(_) = case.expect else { continue };
        for line in show(&parse(&case.file.join("\n")).unwrap()).lines() {
            let key = line.split(" = ").next().unwrap_or_default().trim_matches(['[', ']']);
            assert!(key.split('.').all(|word| word.is_empty() || words.contains(word)), "{key} is not in the example");
        }
    }
}

fn given() -> Config {
    let secret = || SecretSource::given(SECRET);
    let header = RequiredHeader { name: header::AUTHORIZATION, value: secret() };
    let http = |signing| {
        let headers = vec![(HeaderName::from_static("x-hook"), secret())];
        let url = parse_url("http://127.0.0.1:3000").unwrap();
        TransportConfig::Http(HttpTransport::new(url).headers(headers).signing(signing))
    };
    Config::default()
        .admin_token(Some(secret()))
        .endpoints(vec![EndpointConfig::signed(DEFAULT_PATH, [secret()]).header(Some(header))])
        .destinations(vec![
            DestinationConfig::new("pylon", http(Signing::Pylon(secret()))),
            DestinationConfig::new("standard", http(Signing::StandardWebhooks(secret()))),
            DestinationConfig::new("handlers", TransportConfig::InProcess),
        ])
}

#[test]
fn what_a_program_gave_is_told_and_not_shown() {
    let config = given();
    check(&config).unwrap();
    let shown = show(&config);
    for line in [
        "# admin_token: given by the program",
        "secrets = [] # and 1 given by the program",
        "# header: given by the program",
        "# secret: given by the program",
        "headers = {} # and 1 given by the program",
        "# transport: given by the program",
    ] {
        assert!(shown.lines().any(|shown| shown == line), "no line {line} in\n{shown}");
    }
    assert!(!shown.contains(SECRET));
    assert!(!format!("{config:?}").contains(SECRET));
}

#[test]
fn a_text_of_the_configuration_is_shown_as_a_header_and_nowhere_else() {
    let mut config = given();
    config.admin_token = Some(SecretSource::Plain(SECRET.into()));
    config.endpoints[0] = EndpointConfig::signed("/", [SecretSource::Plain(SECRET.into())]);
    assert!(!show(&config).contains(SECRET));
    assert!(!format!("{config:?}").contains(SECRET));
}

/// What is wrong with the configuration once it was changed so.
fn faults(change: impl FnOnce(&mut Config)) -> Vec<String> {
    let mut config = given();
    change(&mut config);
    check(&config).err().iter().flat_map(|fault| fault.faults()).map(str::to_owned).collect()
}

#[test]
fn a_configuration_that_a_program_made_is_checked_too() {
    type Change = fn(&mut Config);
    let century = Duration::from_secs(36_501 * 24 * 3600);
    assert_eq!(
        faults(|config| config.destinations[0].retry.longest_delay = century),
        [
            "`longest_delay` in [destination.retry] of [[destination]] 1: expected a duration of at most 36500d, found `36501d`"
        ]
    );
    let table: [(Change, &[&str]); 14] = [
        (|_| {}, &[]),
        (|config| config.endpoints.clear(), &["`endpoint`: expected at least one, found none"]),
        (
            |config| {
                config.admin = ([0, 0, 0, 0], 8081).into();
                config.admin_token = None;
            },
            &["`admin`: expected a loopback address without an `admin_token`, found `0.0.0.0:8081`; add a token"],
        ),
        (
            |config| config.ledger = LedgerAddress::Sqlite(":memory:".into()),
            &["`ledger`: expected the path of a file after `sqlite:`, found `sqlite::memory:`"],
        ),
        (
            |config| {
                config.endpoints[0].signature = None;
                config.endpoints[0].header = None;
            },
            &[
                "`signature` in [[endpoint]] 1: expected a `header` where no signature is required, found none; anybody could \
               send events",
            ],
        ),
        (
            |config| config.endpoints.push(config.endpoints[0].clone()),
            &[
                "`name` in [[endpoint]] 2: expected a unique one, found `webhook`, which [[endpoint]] 1 has",
                "`path` in [[endpoint]] 2: expected a unique one, found `/webhook`, which [[endpoint]] 1 has",
            ],
        ),
        (
            |config| config.endpoints[0].event_name = NameSource::Pointer("event".into()),
            &["`event_name_pointer` in [[endpoint]] 1: expected a JSON pointer such as `/data/id`, found `event`"],
        ),
        (
            |config| config.destinations[1].name = "pylon".into(),
            &["`name` in [[destination]] 2: expected a unique one, found `pylon`, which [[destination]] 1 has"],
        ),
        (
            |config| config.destinations[2].endpoints = vec!["webhok".into()],
            &["`endpoints` in [[destination]] 3: expected names of endpoints, found `webhok`; did you mean `webhook`?"],
        ),
        (
            |config| config.destinations[2].rate = Some(f64::NAN),
            &[
                "`rate` in [[destination]] 3: expected more than 0 a second and not infinitely many, found NaN; leave it out \
               for no limit",
            ],
        ),
        (
            |config| {
                let command = CommandTransport::new(["a", "b\0"]).environment(vec!["A=b".into()]);
                config.destinations[2].transport = TransportConfig::Command(command);
            },
            &[
                "`command` in [[destination]] 3: expected texts without a zero byte, found one",
                "`environment` in [[destination]] 3: expected names of environment variables, found something else",
            ],
        ),
        (
            |config| {
                let nats = NatsTransport::new(SecretSource::Plain("nats://user:sk-secret@127.0.0.1".into()));
                config.destinations[0].transport = TransportConfig::Nats(nats);
            },
            if cfg!(feature = "nats") {
                &["`nats` in [[destination]] 1: expected a URL without a user, or a secret, found a user in it"]
            } else {
                &[
                    "`nats` in [[destination]] 1: expected a URL without a user, or a secret, found a user in it",
                    "`nats` in [[destination]] 1: expected a build with the feature `nats`, found one without; build with \
                     --features nats",
                ]
            },
        ),
        (
            |config| {
                let http = HttpTransport::new("/webhook".parse().unwrap());
                config.destinations[0].transport = TransportConfig::Http(http);
            },
            &["`url` in [[destination]] 1: expected a URL such as `http://127.0.0.1:3000/webhook`, found no scheme"],
        ),
        (
            |config| {
                config.destinations[0].concurrency = 0;
                config.destinations[1].retry.attempts = 0;
                config.destinations[2].circuit.first_pause = Duration::from_secs(61);
            },
            &[
                "`concurrency` in [[destination]] 1: expected at least 1, found 0",
                "`attempts` in [destination.retry] of [[destination]] 2: expected at least 1, found 0",
                "`first_pause` in [destination.circuit] of [[destination]] 3: expected at most `longest_pause`, which is 1m, \
                 found 1m1s",
            ],
        ),
    ];
    for (change, expected) in table {
        assert_eq!(faults(change), expected);
    }
}

#[test]
fn the_keys_that_need_a_restart_are_those_that_the_reference_names() {
    let changed = "listen = \"127.0.0.1:1\"\nadmin = \"127.0.0.1:2\"\nadmin_token = { env = \"A\" }\npublic_url = \"http://a/\"\ninstance = \"a\"\nledger = \"sqlite:a\"\nledger_password = { env = \"A\" }\nrole = \"accept\"\n\
                   spool_size = 1\nhealth = \"/healthz\"\nlog = \"json\"\ntraces = \"http://a/\"\ntls = { certificate = \"a\", key = \"a\" }\n\
                   [limits]\nconnections = 1\nheader_timeout = \"1s\"\nidle_timeout = \"1s\"\nbody_timeout = \"1s\"\n\
                   body_memory = \"2MiB\"\nkeep_alive_requests = 1\nqueue = 1\nshutdown_timeout = \"1s\"\n[retention]\ndelivered = \"1d\"\nrefused = 1\n\
                   [[endpoint]]\npath = \"/a\"\nsecrets = [{ env = \"A\" }]\n[[destination]]\nname = \"a\"\njsonl = \"a\"\n";
    // A file with it would have another ledger.
    let (old, new) =
        (parse("").unwrap(), parse(changed).unwrap().spool(Some("spool.db".into())).promise(Promise::TwoDisks));
    let reference = reference();
    let documented = reference.lines().filter(|line| line.ends_with("Needs a restart. |"));
    let documented: Vec<_> = documented.filter_map(|line| line.split('`').nth(1)).collect();
    assert_eq!(restarts(&old, &new), documented);
    assert_eq!(restarts(&new, &old), documented);
    assert_eq!(restarts(&new, &new.clone().tls(new.tls.clone().map(|tls| tls.key("b".into())))), [""; 0]);
    assert_eq!(restarts(&new, &new.clone().log(old.log)), ["log"]);
}

#[test]
fn a_secret_is_read_from_its_place_or_its_absence_is_told() {
    let folder = tempfile::tempdir().unwrap();
    let file = |name: &str, text: &[u8]| {
        let path = folder.path().join(name);
        std::fs::write(&path, text).unwrap();
        SecretSource::File(path)
    };
    let read: [(SecretSource, &[u8]); 8] = [
        (file("plain", b"a b"), b"a b"),
        (file("line", b"abc\n"), b"abc"),
        (file("carriage-return", b"abc\r\n"), b"abc"),
        (file("two-lines", b"abc\n\n"), b"abc\n"),
        (file("bytes", b"\xff\x00"), b"\xff\x00"),
        (SecretSource::given("abc\n"), b"abc\n"),
        (SecretSource::Plain("support".into()), b"support"),
        // cargo sets it for every test.
        (SecretSource::Environment("CARGO_PKG_NAME".into()), b"pylon-receiver"),
    ];
    for (source, expected) in read {
        assert_eq!(source.read().unwrap().as_slice(), expected, "{source}");
    }

    let missing = folder.path().join("missing");
    let unreadable = |path: &Path, kind| SecretFault::Unreadable { path: path.to_owned(), kind };
    let empty = folder.path().join("empty").display().to_string();
    let line = folder.path().join("only-a-line").display().to_string();
    let refused = [
        (SecretSource::Environment("PYLON_NOT_SET".into()), SecretFault::NotSet("PYLON_NOT_SET".into())),
        (SecretSource::File(missing.clone()), unreadable(&missing, ErrorKind::NotFound)),
        (SecretSource::File(folder.path().to_owned()), unreadable(folder.path(), ErrorKind::IsADirectory)),
        (file("empty", b""), SecretFault::Empty(format!("file {empty}"))),
        (file("only-a-line", b"\n"), SecretFault::Empty(format!("file {line}"))),
        (file("blank", b" \r\n"), SecretFault::Empty(format!("file {}", folder.path().join("blank").display()))),
        (file("mark", b"\xef\xbb\xbf\n"), SecretFault::Empty(format!("file {}", folder.path().join("mark").display()))),
        (SecretSource::given("''"), SecretFault::Empty("[redacted]".into())),
        (SecretSource::given(""), SecretFault::Empty("[redacted]".into())),
    ];
    for (source, expected) in refused {
        assert_eq!(source.read().unwrap_err(), expected, "{source}");
    }
}

/// Permissions do not bind root, so a test cannot take them away everywhere; nobody can read this as a file.
#[test]
#[cfg(unix)]
fn a_file_that_cannot_be_read_is_told_with_its_reason() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("itself");
    std::os::unix::fs::symlink(&path, &path).unwrap();
    let fault = SecretSource::File(path.clone()).read().unwrap_err();
    let reason = std::fs::read(&path).unwrap_err().kind();
    let expected =
        format!("no secret: expected one in file {}, found that it cannot be read ({reason})", path.display());
    assert_eq!(fault.to_string(), expected);
}

#[test]
fn an_empty_environment_variable_is_no_secret() {
    // A test cannot set a variable of its own process without `unsafe`; cargo sets this one, and the package has none.
    assert_eq!(std::env::var("CARGO_PKG_HOMEPAGE").as_deref(), Ok(""));
    let fault = SecretSource::Environment("CARGO_PKG_HOMEPAGE".into()).read().unwrap_err();
    let expected = "no secret: expected one in environment variable CARGO_PKG_HOMEPAGE, found it empty, or only white space and quotes";
    assert_eq!(fault.to_string(), expected);
}

#[test]
fn no_debug_and_no_display_of_a_source_shows_a_secret() {
    for source in [SecretSource::given(SECRET), SecretSource::Plain(SECRET.into())] {
        assert!(!format!("{source} {source:?}").contains(SECRET));
    }
}

#[test]
fn a_ledger_is_written_as_it_is_read() {
    for text in ["sqlite:pylon.db", "sqlite:/var/lib/a b.db", "sqlite:./:memory:"] {
        assert_eq!(text.parse::<LedgerAddress>().unwrap().to_string(), text);
    }
    for text in ["", "pylon.db", "null:", "sqlite", "sqlite:", "sqlite::memory:", "sqlite:file:pylon.db"] {
        assert!(text.parse::<LedgerAddress>().is_err(), "{text}");
    }
}

proptest! {
    #[test]
    fn a_duration_is_written_as_it_is_read(milliseconds in 0..=36_500 * 86_400_000u64) {
        let duration = Duration::from_millis(milliseconds);
        prop_assert_eq!(parse_duration(&show_duration(duration)), Ok(duration));
    }

    #[test]
    fn a_size_is_written_as_it_is_read(bytes: usize, shift in 0..40u32) {
        for bytes in [bytes, (bytes >> shift) << shift, bytes >> shift << (shift / 2)] {
            prop_assert_eq!(parse_bytes(&show_bytes(bytes)), Ok(bytes));
        }
    }

    #[test]
    fn any_text_is_read_or_refused(text in ".*", digits in "[0-9_]{0,24}[a-zA-Z]{0,3}") {
        for text in [&text, &digits] {
            let _ = (parse(text), parse_duration(text), parse_bytes(text), parse_url(text));
        }
    }

    #[test]
    fn a_damaged_file_is_read_or_refused(start in 0..EXAMPLE.len(), length in 0..80usize, put in "[\\[\\]{}\"=#.\n a-z0-9]{0,6}") {
        let end = (start + length).min(EXAMPLE.len());
        let (before, after) = (EXAMPLE.get(..start), EXAMPLE.get(end..));
        prop_assume!(before.is_some() && after.is_some());
        let damaged = format!("{}{put}{}", before.unwrap_or_default(), after.unwrap_or_default());
        match parse(&damaged) {
            Ok(config) => {
                let shown = show(&config);
                prop_assert_eq!(show(&parse(&shown).unwrap()), shown);
            }
            Err(fault) => prop_assert!(fault.faults().count() > 0 && fault.faults().all(|fault| fault.starts_with("line "))),
        }
    }

    #[test]
    fn any_text_is_shown_so_that_it_is_read_again(name in "\\PC*[a-z]", argument in ".*[^\0]", value in "[ -~]+") {
        let mut config = given();
        config.admin_token = None;
        config.endpoints[0] = EndpointConfig::signed("/a", [SecretSource::Environment("A".into())]);
        config.endpoints[0].name = name.as_str().into();
        let argument = argument.replace('\0', "");
        config.destinations = vec![
            DestinationConfig::new(
                "command",
                TransportConfig::Command(CommandTransport::new(["a".to_owned(), argument + "."])),
            ),
            DestinationConfig::new(
                "http",
                TransportConfig::Http(
                    HttpTransport::new(parse_url("https://example.com/a?b=c").unwrap())
                        .headers(vec![(HeaderName::from_static("x-team"), SecretSource::Plain(value.clone()))]),
                ),
            ),
        ];
        prop_assume!(HeaderValue::from_str(&value).is_ok() && check(&config).is_ok());
        let shown = show(&config);
        prop_assert_eq!(show(&parse(&shown).unwrap()), shown);
    }
}
