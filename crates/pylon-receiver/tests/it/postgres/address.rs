//! Addresses: what is read from a URL and the environment, what is refused, and that no password is shown.

use super::address;
use pylon_receiver::config::{Config, EndpointConfig, LedgerAddress, SecretSource, show};
use pylon_receiver::{PostgresAddress, PostgresHost};
use std::ffi::OsString;
use std::os::unix::ffi::OsStringExt;
use std::time::Duration;

/// Stands for the password wherever there is one.
const PASSWORD: &str = "sk-secret";

fn read(url: &str, variables: &[(&str, &str)]) -> Result<PostgresAddress, String> {
    let variable = |name: &str| variables.iter().find(|(known, _)| *known == name).map(|(_, value)| value.into());
    PostgresAddress::read(url, variable)
}

#[track_caller]
fn assert_reads(url: &str, variables: &[(&str, &str)], expected: &str) {
    let read_from = |url: &str| read(url, variables).unwrap_or_else(|fault| panic!("{url}: {fault}"));
    let address = read_from(url);
    assert_eq!(address.to_string(), expected, "{url}");
    // What is shown is the same address, but for the password.
    assert_eq!(address.to_string(), read_from(expected).to_string(), "{url}");
    let shown = format!("{address:?} {address} {:?}", LedgerAddress::Postgres(Box::new(address.clone())));
    assert!(!shown.contains(PASSWORD), "{shown}");
}

#[test]
fn urls_are_read() {
    for (url, expected) in [
        ("postgres://u@h/d", "postgres://u@h:5432/d"),
        ("postgresql://u:sk-secret@h:6543/d", "postgres://u@h:6543/d"),
        ("postgres://u@h", "postgres://u@h:5432/u"),
        ("postgres://u@h/", "postgres://u@h:5432/u"),
        ("postgres://u@a,b:2,[::1]:3/d", "postgres://u@a:5432,b:2,[::1]:3/d"),
        ("postgres://u@[::1]/d", "postgres://u@[::1]:5432/d"),
        ("postgres:///d?user=u&host=h&port=7", "postgres://u@h:7/d"),
        ("postgres://u@/d", "postgres://u@/d?host=/var/run/postgresql&port=5432"),
        ("postgres://u@/d?host=/tmp/a", "postgres://u@/d?host=/tmp/a&port=5432"),
        ("postgres://u@%2Ftmp%2Fa:1,b:2/d", "postgres://u@/d?host=/tmp/a,b&port=1,2"),
        ("postgres://a%40b:sk-secret%2F%40@h/d%20e", "postgres://a%40b@h:5432/d%20e"),
        ("postgres://u@h/d?schema=pylon_receiver", "postgres://u@h:5432/d"),
        ("postgres://u@h/d?schema=webhooks", "postgres://u@h:5432/d?schema=webhooks"),
        ("postgres://u@h/d?sslmode=disable", "postgres://u@h:5432/d?sslmode=disable"),
        ("postgres://u@h/d?sslmode=require", "postgres://u@h:5432/d?sslmode=verify-full"),
        ("postgres://u@h/d?sslrootcert=system", "postgres://u@h:5432/d"),
        (
            "postgres://u@h/d?sslmode=verify-full&sslrootcert=/ca.pem&sslcert=/c.pem&sslkey=/k%20.pem",
            "postgres://u@h:5432/d?sslmode=verify-full&sslrootcert=/ca.pem&sslcert=/c.pem&sslkey=/k%20.pem",
        ),
        ("postgres://u@h/d?channel_binding=require", "postgres://u@h:5432/d?channel_binding=require"),
        ("postgres://u@h/d?channel_binding=prefer", "postgres://u@h:5432/d"),
        ("postgres://u@h/d?target_session_attrs=read-write", "postgres://u@h:5432/d"),
        ("postgres://u@h/d?password=sk-secret", "postgres://u@h:5432/d"),
        ("postgres://u@h/d?application_name=x", "postgres://u@h:5432/d?application_name=x"),
        ("postgres://u@h/d?connect_timeout=60", "postgres://u@h:5432/d?connect_timeout=60"),
    ] {
        assert_reads(url, &[], expected);
    }
}

#[test]
fn what_a_url_does_not_say_comes_from_the_environment() {
    let all = [
        ("PGHOST", "a,b"),
        ("PGPORT", "7"),
        ("PGUSER", "u"),
        ("PGDATABASE", "d"),
        ("PGPASSWORD", PASSWORD),
        ("PGSSLMODE", "verify-full"),
        ("PGSSLROOTCERT", "/ca.pem"),
        ("PGTARGETSESSIONATTRS", "read-write"),
        ("PGAPPNAME", "app"),
        ("PGCONNECT_TIMEOUT", "9"),
    ];
    let expected =
        "postgres://u@a:7,b:7/d?sslmode=verify-full&sslrootcert=/ca.pem&application_name=app&connect_timeout=9";
    assert_reads("postgres://", &all, expected);
    assert_eq!(read("postgres://", &all).unwrap().password(), Some(PASSWORD));
    let said = "postgres://x:y@h:1/e?sslmode=disable&sslrootcert=system&application_name=z&connect_timeout=5";
    assert_eq!(read(said, &all).unwrap().to_string(), "postgres://x@h:1/e?sslmode=disable&application_name=z");
    assert_eq!(read(said, &all).unwrap().password(), Some("y"));
    assert_reads("postgres://u@h", &[("PGUSER", ""), ("PGPORT", "")], "postgres://u@h:5432/u");
}

#[test]
fn what_is_no_address_is_refused_with_a_sentence_that_shows_no_password() {
    const URL: &str = "expected a URL such as `postgres://pylon@db.example.com/pylon`";
    const ADVICE: &str = "in a user or a password, write `%40` for `@`, `%2F` for `/`, `%3A` for `:` and `%3F` for `?`";
    let url = |found: &str| format!("{URL}, found {found}");
    let advised = |found: &str| format!("{URL}, found {found}; {ADVICE}");
    let twice = advised("more than one `@` before the database");
    let behind = advised("`/` or `@` behind the database's `/`");
    let name = advised("a parameter whose name is not of small letters and `_`");
    let percent = format!("{URL}, found a malformed `%` in it; {ADVICE}, and `%25` for `%`");
    let schema = "`schema`: expected letters, digits and `_`, no digit and no `pg_` first, 63 at most, found";
    let mode = "`sslmode`: expected `verify-full` or `disable`, found";
    let long = "s".repeat(64);
    for (text, expected) in [
        ("mysql://u@h/d", url("another scheme")),
        ("postgres://u:sk-secret@x@h/d", twice.clone()),
        ("postgres://u:p/sk-secret@h/d", behind.clone()),
        ("postgres://u:p?sk-secret@h/d", advised("a port that is no number")),
        ("postgres://u:1?sk-secret@h/d", advised("a parameter without `=` and a value")),
        ("postgres://u:1?sk-secret@h/d?sslmode=disable", name.clone()),
        ("postgres://u:p:sk-secret@h:sk-secret/d", advised("a port that is no number")),
        ("postgres://u:%sk-secret@h/d", percent.clone()),
        ("postgres://u:sk-secret%@h/d", percent.clone()),
        ("postgres://u:sk-secret%f@h/d", percent.clone()),
        ("postgres://u:sk-secret%ff@h/d", percent.clone()),
        ("postgres://u:sk-secret%00@h/d", percent),
        ("postgres://u@[::1/d", url("`[` without `]`")),
        ("postgres://u@[::1]5/d", url("something between `]` and the port")),
        ("postgres://u@h:0/d", "`port`: expected a port from 1 to 65535, found another one".into()),
        ("postgres://u@h:65536/d", "`port`: expected a port from 1 to 65535, found another one".into()),
        ("postgres://u@a,,b/d", "expected hosts with commas between them, found an empty one".into()),
        ("postgres://u@a,b/d?port=1,2,3", "expected one port, or one for each of 2 hosts, found 3 ports".into()),
        ("postgres://u@h/d?user=x", url("`user` twice")),
        ("postgres://u@h/d?sslmode=disable&sslmode=disable", url("`sslmode` twice")),
        ("postgres://h/d", "expected a user, found none; name one in the URL or in PGUSER".into()),
        (
            "postgres://u@h/d?sslmod=disable",
            "expected a parameter that a ledger knows, found `sslmod`: did you mean `sslmode`?".into(),
        ),
        ("postgres://u@h/d?options=-c", "expected a parameter that a ledger knows, found `options`".into()),
        ("postgres://u@h/d?hostaddr=1", "`hostaddr`: expected none, found one; give the address as the host".into()),
        ("postgres://u@h/d?schema=1a", format!("{schema} `1a`")),
        ("postgres://u@h/d?schema=pg_a", format!("{schema} `pg_a`")),
        ("postgres://u@h/d?schema=a%22b", format!("{schema} `a\\\"b`")),
        (&format!("postgres://u@h/d?schema={long}"), format!("{schema} `{}...`", &long[..60])),
        (
            "postgres://u@h/d?sslmode=prefer",
            format!("{mode} `prefer`: it would go on without TLS where somebody in between refuses it"),
        ),
        (
            "postgres://u@h/d?sslmode=allow",
            format!("{mode} `allow`: it would go on without TLS where somebody in between refuses it"),
        ),
        (
            "postgres://u@h/d?sslmode=verify-ca",
            format!("{mode} `verify-ca`: it would take the certificate of another server"),
        ),
        ("postgres://u@h/d?sslmode=on", format!("{mode} `on`: there is no other")),
        ("postgres://u@h/d?sslcert=a", "expected both `sslcert` and `sslkey`, or none, found one".into()),
        (
            "postgres://u@h/d?channel_binding=disable",
            "`channel_binding`: expected `prefer` or `require`, found `disable`".into(),
        ),
        (
            "postgres://u@h/d?target_session_attrs=any",
            "`target_session_attrs`: expected `read-write`, since a ledger is written to, found `any`; leave it out"
                .into(),
        ),
        (
            "postgres://u@h/d?connect_timeout=0",
            "`connect_timeout`: expected whole seconds from 1 to 60, found `0`".into(),
        ),
        (
            "postgres://u@h/d?application_name=%C3%A4",
            "`application_name`: expected printable ASCII, found another character".into(),
        ),
    ] {
        let fault = read(text, &[]).unwrap_err();
        assert_eq!(fault, expected, "{text}");
        assert!(!fault.contains(PASSWORD), "{text}");
    }
    let fault = read("postgres://u@h", &[("PGSSLMODE", "prefer")]).unwrap_err();
    assert!(fault.starts_with("environment variable PGSSLMODE: expected `verify-full` or `disable`"), "{fault}");
    let other_bytes = |name: &str| (name == "PGHOST").then(|| OsString::from_vec(vec![255]));
    let fault = PostgresAddress::read("postgres://u@", other_bytes).unwrap_err();
    assert_eq!(fault, "environment variable PGHOST: expected UTF-8, found other bytes");
}

#[test]
fn connections_are_secured_unless_they_stay_on_this_machine_or_the_address_says_so() {
    for (url, expected) in [
        ("postgres://u@db.example.com", true),
        ("postgres://u@10.0.0.1", true),
        ("postgres://u@localhost", false),
        ("postgres://u@127.0.0.2", false),
        ("postgres://u@[::1]", false),
        ("postgres://u@", false),
        ("postgres://u@db.example.com?sslmode=disable", false),
        ("postgres://u@localhost?sslmode=verify-full", true),
        ("postgres://u@?sslmode=verify-full", false),
    ] {
        let address = address(url);
        assert_eq!(address.is_secured(&address.hosts[0]), expected, "{url}");
    }
    let address = address("postgres://u@a,%2Ftmp?connect_timeout=3");
    assert_eq!(address.hosts[0], PostgresHost::Tcp { name: "a".into(), port: 5432 });
    assert_eq!(address.hosts[1], PostgresHost::Socket { folder: "/tmp".into(), port: 5432 });
    assert_eq!(address.connect_timeout, Duration::from_secs(3));
}

#[test]
fn no_configuration_shows_the_password() {
    let given = SecretSource::given("secret");
    let config = Config::default()
        .ledger(LedgerAddress::Postgres(Box::new(address("postgres://u:sk-secret@h/d"))))
        .ledger_password(Some(SecretSource::given(PASSWORD)))
        .endpoints(vec![EndpointConfig::signed("/webhook", [given])]);
    let shown = format!("{} {config:?}", show(&config));
    assert!(shown.contains("ledger = \"postgres://u@h:5432/d\""), "{shown}");
    assert!(shown.contains("# ledger_password: given by the program"), "{shown}");
    assert!(!shown.contains(PASSWORD), "{shown}");
}
