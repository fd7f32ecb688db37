//! TLS to the server: certificates that are trusted and others, servers without TLS, certificates of the receiver's own.

use super::{address, connect, record, unreachable, until_it_works};
use pylon_receiver::ledger::{Ledger, LedgerError, PostgresLedger};
use pylon_test_support::postgres::{Cluster, Stop};
use rcgen::{BasicConstraints, CertificateParams, CertifiedIssuer, DnType, IsCa, KeyPair, date_time_ymd};
use std::path::{Path, PathBuf};
use tempfile::TempDir;

/// Signs certificates.
type Authority = CertifiedIssuer<'static, KeyPair>;

/// A certificate and its key, as PEM.
struct Certified {
    certificate: String,
    key: String,
}

/// An authority of this name.
fn authority(name: &str) -> Authority {
    let mut params = CertificateParams::default();
    params.is_ca = IsCa::Ca(BasicConstraints::Unconstrained);
    params.distinguished_name.push(DnType::CommonName, name);
    CertifiedIssuer::self_signed(params, KeyPair::generate().unwrap()).unwrap()
}

/// A certificate for this host name, valid in the years from the first up to the second.
fn certificate_of(authority: &Authority, name: &str, years: [i32; 2]) -> Certified {
    let mut params = CertificateParams::new([name.to_owned()]).unwrap();
    [params.not_before, params.not_after] = years.map(|year| date_time_ymd(year, 1, 1));
    params.distinguished_name.push(DnType::CommonName, name);
    let key = KeyPair::generate().unwrap();
    Certified { certificate: params.signed_by(&key, authority).unwrap().pem(), key: key.serialize_pem() }
}

/// A certificate for this host name that is valid.
fn valid(authority: &Authority, name: &str) -> Certified {
    certificate_of(authority, name, [2000, 2100])
}

/// A server with TLS, a database on it, and what it takes to connect.
struct Place {
    cluster: Cluster,
    database: String,
    authority: Authority,
    files: TempDir,
}

impl Place {
    /// The server's certificate is for `localhost`, by an authority whose certificate is in the file `authority.pem`; none where PostgreSQL
    /// is missing.
    fn new() -> Option<Self> {
        let cluster = Cluster::setup().tcp().start()?;
        let (database, authority) = (cluster.fresh_database(), authority("the authority"));
        let place = Self { cluster, database, authority, files: TempDir::new().unwrap() };
        place.write("authority.pem", &place.authority.pem());
        place.show(&valid(&place.authority, "localhost"));
        Some(place)
    }

    /// The server shows this certificate from now on.
    fn show(&self, certified: &Certified) {
        self.cluster.write("data/server.crt", &certified.certificate);
        self.cluster.write("data/server.key", &certified.key);
        self.cluster.conf([("ssl", "on")]);
    }

    fn write(&self, name: &str, text: &str) -> PathBuf {
        let path = self.file(name);
        std::fs::write(&path, text).unwrap();
        path
    }

    fn file(&self, name: &str) -> PathBuf {
        self.files.path().join(name)
    }

    /// The URL of the database by this host name, verified by the certificates in this file.
    fn by(&self, host: &str, authorities: &Path) -> String {
        self.with(host, &format!("sslmode=verify-full&sslrootcert={}", authorities.display()))
    }

    fn with(&self, host: &str, parameters: &str) -> String {
        let Self { cluster, database, .. } = self;
        format!("postgres://postgres:{}@{host}:{}/{database}?{parameters}", cluster.password(), cluster.port())
    }

    /// Why the ledger by this URL cannot be reached, without the host.
    #[track_caller]
    fn refusal(&self, connected: Result<PostgresLedger, LedgerError>) -> String {
        let found = unreachable(connected);
        let (host, said) = found.split_once(": ").unwrap();
        assert!(host.ends_with(&format!(":{}", self.cluster.port())), "{found}");
        said.to_owned()
    }
}

#[tokio::test]
async fn every_connection_is_secured_and_goes_on_when_the_certificate_is_renewed() {
    let Some(place) = Place::new() else { return };
    let url = place.by("localhost", &place.file("authority.pem"));
    for more in ["", "&channel_binding=require"] {
        let ledger = connect(&format!("{url}{more}")).await.unwrap();
        until_it_works(|| record(&ledger, 1)).await;
        ledger.stats().await.unwrap();
        let secured = format!(
            "SELECT count(*) > 2, bool_and(ssl) FROM pg_stat_ssl JOIN pg_stat_activity USING (pid)
             WHERE datname = '{}' AND application_name LIKE 'pylon%'",
            place.database
        );
        assert_eq!(place.cluster.sql("postgres", &secured), "t|t");
        // Both sides have renewed certificates, and new connections go by them.
        let renewed = authority("a later authority");
        place.write("authority.pem", &renewed.pem());
        place.show(&valid(&renewed, "localhost"));
        let end = format!(
            "SELECT count(pg_terminate_backend(pid, 5000)) FROM pg_stat_activity WHERE datname = '{}'",
            place.database
        );
        place.cluster.sql("postgres", &end);
        until_it_works(|| record(&ledger, 2)).await;
        assert_eq!(place.cluster.sql("postgres", &secured.replace("> 2", "> 0")), "t|t");
        ledger.close().await.unwrap();
    }
}

#[tokio::test]
async fn a_certificate_that_is_not_trusted_is_refused_with_a_sentence() {
    let Some(place) = Place::new() else { return };
    let trusted = place.file("authority.pem");
    let stranger = authority("a stranger");
    let another = place.write("stranger.pem", &stranger.pem());
    let by =
        |path: &Path| format!("TLS failed: expected a certificate by {}, found one by another issuer", path.display());
    let another_name =
        "TLS failed: expected a certificate for this host name, found one for another; connect by the name in it";
    assert_eq!(place.refusal(connect(&place.by("127.0.0.1", &trusted)).await), another_name);
    assert_eq!(place.refusal(connect(&place.by("localhost", &another)).await), by(&another));
    let key = KeyPair::generate().unwrap();
    let itself = CertificateParams::new(["localhost".to_owned()]).unwrap().self_signed(&key).unwrap().pem();
    let self_signed = Certified { certificate: itself.clone(), key: key.serialize_pem() };
    let key = place.authority.key().serialize_pem();
    for (shown, expected) in [
        (certificate_of(&place.authority, "localhost", [2000, 2020]), "TLS failed: the certificate has expired"),
        (certificate_of(&place.authority, "localhost", [2099, 2100]), "TLS failed: the certificate is not valid yet"),
        (valid(&place.authority, "db.example.com"), another_name),
        (valid(&stranger, "localhost"), &by(&trusted)),
        (Certified { certificate: itself.clone(), ..self_signed }, &by(&trusted)),
        (
            Certified { certificate: place.authority.pem(), key },
            "TLS failed: the server shows the certificate of an authority (CA:TRUE); sign one for the server with it",
        ),
    ] {
        place.show(&shown);
        assert_eq!(place.refusal(connect(&place.by("localhost", &trusted)).await), expected);
    }
    // `require` verifies too.
    place.show(&valid(&stranger, "localhost"));
    let required = format!("sslmode=require&sslrootcert={}", trusted.display());
    assert_eq!(place.refusal(connect(&place.with("localhost", &required)).await), by(&trusted));
}

/// As many servers have it, which nobody but themselves vouches for.
#[tokio::test]
async fn a_certificate_that_signs_itself_is_trusted_where_it_is_named() {
    let Some(place) = Place::new() else { return };
    let key = KeyPair::generate().unwrap();
    let certificate = CertificateParams::new(["localhost".to_owned()]).unwrap().self_signed(&key).unwrap().pem();
    let named = place.write("server.pem", &certificate);
    place.show(&Certified { certificate, key: key.serialize_pem() });
    let ledger = connect(&place.by("localhost", &named)).await.unwrap();
    ledger.close().await.unwrap();
}

#[tokio::test]
async fn a_file_of_authorities_that_cannot_be_used_is_named() {
    let Some(place) = Place::new() else { return };
    let missing = place.file("missing.pem");
    let expected = format!("no TLS: expected PEM in {}, cannot read it (entity not found)", missing.display());
    assert_eq!(place.refusal(connect(&place.by("localhost", &missing)).await), expected);
    let damaged = place.authority.pem().replacen("M", "-", 1);
    let key = place.authority.key().serialize_pem();
    let no_certificate = "-----BEGIN CERTIFICATE-----\naGVsbG8=\n-----END CERTIFICATE-----\n";
    for (text, found) in [
        ("", "none in it"),
        ("not PEM", "none in it"),
        (&key, "none in it"),
        (&damaged, "damaged PEM"),
        (no_certificate, "one that is damaged"),
    ] {
        let file = place.write("wrong.pem", text);
        let expected =
            format!("no TLS: expected certificates of authorities as PEM in {}, found {found}", file.display());
        assert_eq!(place.refusal(connect(&place.by("localhost", &file)).await), expected, "{text}");
    }
}

/// `0.0.0.0` leads to this machine, as an address that is not known to do so.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn no_connection_leaves_this_machine_without_tls_unless_the_address_says_so() {
    let Some(place) = Place::new() else { return };
    place.show(&valid(&place.authority, "0.0.0.0"));
    let trusted = place.file("authority.pem");
    let unsaid = format!("sslrootcert={}", trusted.display());
    let is_secured = |ledger: PostgresLedger| {
        let sql = format!(
            "SELECT DISTINCT ssl FROM pg_stat_ssl JOIN pg_stat_activity USING (pid)
             WHERE datname = '{}' AND application_name LIKE 'pylon%'",
            place.database
        );
        let found = place.cluster.sql("postgres", &sql);
        async move {
            ledger.close().await.unwrap();
            found
        }
    };
    for (host, parameters, expected) in
        [("0.0.0.0", &*unsaid, "t"), ("127.0.0.1", &*unsaid, "f"), ("0.0.0.0", "sslmode=disable", "f")]
    {
        let ledger = connect(&place.with(host, parameters)).await.unwrap();
        assert_eq!(is_secured(ledger).await, expected, "{host} {parameters}");
        let ended = format!("SELECT count(*) FROM pg_stat_activity WHERE datname = '{}'", place.database);
        pylon_test_support::wait::eventually("the sessions end", || {
            (place.cluster.sql("postgres", &ended) == "0").then_some(())
        });
    }
    place.cluster.conf([("ssl", "off")]);
    let expected = "expected TLS, found a server without it; set `ssl = on` there, or `sslmode=disable` here";
    for (host, parameters) in
        [("0.0.0.0", "connect_timeout=5"), ("0.0.0.0", &unsaid), ("localhost", "sslmode=verify-full")]
    {
        assert_eq!(place.refusal(connect(&place.with(host, parameters)).await), expected, "{host} {parameters}");
    }
    let bound = "channel_binding=require&sslmode=disable";
    let found = place.refusal(connect(&place.with("localhost", bound)).await);
    assert_eq!(found, "authentication error: server did not use channel binding");
    // A server may insist too.
    place.cluster.conf([("ssl", "on")]);
    place.cluster.hba("hostnossl all all all reject");
    let found = place.refusal(connect(&place.with("127.0.0.1", "sslmode=disable")).await);
    let expected = format!(
        "pg_hba.conf rejects connection for host \"127.0.0.1\", user \"postgres\", database \"{}\", no encryption (28000)",
        place.database
    );
    assert_eq!(found, expected);
}

#[tokio::test]
async fn a_server_may_demand_a_certificate_of_the_receiver() {
    let Some(place) = Place::new() else { return };
    place.cluster.write("data/clients.crt", place.authority.pem());
    place.cluster.conf([("ssl_ca_file", "clients.crt")]);
    place.cluster.hba("hostssl all all all cert");
    let url = place.by("localhost", &place.file("authority.pem"));
    let own = |certified: &Certified| {
        let certificate = place.write("own.crt", &certified.certificate);
        let key = place.write("own.key", &certified.key);
        format!("{url}&sslcert={}&sslkey={}", certificate.display(), key.display())
    };
    let named = own(&valid(&place.authority, "postgres"));
    let ledger = connect(&named).await.unwrap();
    record(&ledger, 1).await.unwrap();
    ledger.close().await.unwrap();
    let found = place.refusal(connect(&url).await);
    assert_eq!(found, "connection requires a valid client certificate (28000)");
    let found = place.refusal(connect(&own(&valid(&place.authority, "somebody"))).await);
    assert_eq!(found, "certificate authentication failed for user \"postgres\" (28000)");
    let untrusted = "TLS failed: the server does not take the client certificate";
    for refused in
        [valid(&authority("a stranger"), "postgres"), certificate_of(&place.authority, "postgres", [2000, 2020])]
    {
        assert_eq!(place.refusal(connect(&own(&refused)).await), untrusted);
    }
    let another = KeyPair::generate().unwrap().serialize_pem();
    let found = place.refusal(connect(&own(&Certified { key: another, ..valid(&place.authority, "postgres") })).await);
    let (certificate, key) = (place.file("own.crt"), place.file("own.key"));
    let expected = format!(
        "no TLS: expected the certificate in {} and its key in {}, cannot use them together (",
        certificate.display(),
        key.display()
    );
    assert!(found.starts_with(&expected), "{found}");
    std::fs::remove_file(&key).unwrap();
    let expected = format!("no TLS: expected PEM in {}, cannot read it (entity not found)", key.display());
    assert_eq!(place.refusal(connect(&named).await), expected);
    std::fs::write(&key, "not a key").unwrap();
    let expected = format!("no TLS: expected a private key as PEM in {}, found none in it", key.display());
    assert_eq!(place.refusal(connect(&named).await), expected);
}

#[tokio::test]
async fn a_second_host_with_a_certificate_for_another_is_named() {
    let Some(place) = Place::new() else { return };
    let Some(second) = Place::new() else { return };
    let trusted = place.file("authority.pem");
    // By the same authority, for another name.
    second.show(&valid(&place.authority, "db2.example.com"));
    let (first, other) = (place.cluster.port(), second.cluster.port());
    let url = place.by("localhost", &trusted).replace(&format!(":{first}/"), &format!(":{first},localhost:{other}/"));
    assert_eq!(address(&url).hosts.len(), 2);
    let ledger = connect(&url).await.unwrap();
    record(&ledger, 1).await.unwrap();
    place.cluster.stop(Stop::Fast);
    let said = format!(
        "localhost:{other}: TLS failed: expected a certificate for this host name, found one for another; connect by the name in it"
    );
    let down = format!("localhost:{first}: cannot connect: connection refused");
    // What breaks first tells of itself alone.
    let (told, _) = until_it_works(|| async {
        let told = unreachable(record(&ledger, 2).await);
        if told.contains("TLS") { Ok(told) } else { Err(LedgerError::Unreachable(told.into())) }
    })
    .await;
    assert!(told == format!("{down}; {said}") || told == format!("{said}; {down}"), "{told}");
    assert_eq!(unreachable(connect(&url).await), format!("{down}; {said}"));
    place.cluster.restart();
    until_it_works(|| record(&ledger, 2)).await;
    ledger.close().await.unwrap();
}
