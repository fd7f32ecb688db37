//! Certificates of both sides, against real TLS servers.

use super::secure::{Authority, server};
use super::*;
use pylon_receiver::config::{ClientCertificate, HttpTransport};
use pylon_receiver::internals::Delivered;
use rcgen::{BasicConstraints, CertificateParams, IsCa, KeyPair};
use std::path::PathBuf;
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpListener;
use tokio_rustls::TlsAcceptor;

/// The report of an attempt at a server; the URL names this host.
async fn report(server: TlsAcceptor, host: &str, http: impl Fn(&str) -> HttpTransport) -> Report {
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let url = format!("https://{host}:{}/", listener.local_addr().unwrap().port());
    let serving = tokio::spawn(async move {
        let (stream, _) = listener.accept().await.unwrap();
        let Ok(mut stream) = server.accept(stream).await else { return };
        let _ = stream.read(&mut [0; 4096]).await;
        stream.write_all(b"HTTP/1.1 200 OK\r\ncontent-length: 0\r\n\r\n").await.unwrap();
        let _ = stream.read(&mut [0; 4096]).await;
    });
    let report = deliver(TransportConfig::Http(http(&url)), PATIENCE, &attempt()).await;
    serving.abort();
    report
}

fn bundle(authority: &Authority, others: &[&Authority]) -> PathBuf {
    let path = authority.folder.path().join("bundle.pem");
    let certificates =
        others.iter().chain([&authority]).map(|authority| std::fs::read_to_string(authority.file()).unwrap());
    std::fs::write(&path, certificates.collect::<String>()).unwrap();
    path
}

#[tokio::test]
async fn the_authorities_of_the_file_are_trusted_and_no_others() {
    let (ours, theirs) = (Authority::new(), Authority::new());
    let unknown = "TLS failed: the issuer of the certificate is not known here";
    let both = bundle(&ours, &[&theirs]);
    let of_app = ours.server_for(&["app.example"], None);
    let cases = [
        (ours.server(), "127.0.0.1", ours.file(), "answered 200"),
        (ours.server(), "localhost", ours.file(), "answered 200"),
        (theirs.server(), "127.0.0.1", ours.file(), unknown),
        (theirs.server(), "127.0.0.1", both, "answered 200"),
        (of_app, "127.0.0.1", ours.file(), "TLS failed: the certificate is for another name"),
    ];
    for (server, host, file, detail) in cases {
        let http = |url: &str| HttpTransport::new(url.parse().unwrap()).ca(Some(file.clone()));
        let report = report(server, host, http).await;
        assert_eq!(&*report.detail, detail);
        assert_eq!(report.delivered == Delivered::Yes, detail == "answered 200");
    }
}

/// As its own authority, but not if it says that it is one: that is a certificate to sign others with.
#[tokio::test]
async fn a_self_signed_certificate_is_trusted() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("certificate.pem");
    for (is_ca, detail) in [
        (IsCa::NoCa, "answered 200"),
        (
            IsCa::Ca(BasicConstraints::Unconstrained),
            "TLS failed: the server shows the certificate of an authority (CA:TRUE); sign one for the server with it",
        ),
    ] {
        let mut params = CertificateParams::new(["127.0.0.1".to_owned()]).unwrap();
        params.is_ca = is_ca;
        let key = KeyPair::generate().unwrap();
        let certificate = params.self_signed(&key).unwrap();
        std::fs::write(&path, certificate.pem()).unwrap();
        let server = server((&certificate.pem(), &key.serialize_pem()), None);
        let http = |url: &str| HttpTransport::new(url.parse().unwrap()).ca(Some(path.clone()));
        assert_eq!(&*report(server, "127.0.0.1", http).await.detail, detail);
    }
}

/// As after an authority was made anew.
#[tokio::test]
async fn an_authority_of_the_same_name_is_another_one() {
    let (before, after) = (Authority::named("authority"), Authority::named("authority"));
    let report = report(after.server(), "127.0.0.1", |url| before.http(url)).await;
    assert_eq!(&*report.detail, "TLS failed: the certificate is signed by another key than that of its issuer");
}

/// Certificate and key of a client in files of a folder.
fn client_of(authority: &Authority) -> ClientCertificate {
    let (certificate, key) = authority.certify(&["receiver"]);
    let client =
        ClientCertificate::new(authority.folder.path().join("client.pem"), authority.folder.path().join("client.key"));
    std::fs::write(&client.certificate, certificate).unwrap();
    std::fs::write(&client.key, key).unwrap();
    client
}

#[tokio::test]
async fn a_server_that_asks_for_a_client_certificate_gets_it() {
    let (ours, theirs) = (Authority::new(), Authority::new());
    let server = || ours.server_for(&["127.0.0.1"], Some(&ours));
    let cases = [
        (Some(client_of(&ours)), "answered 200"),
        (None, "TLS failed: the server expects a client certificate; configure `client_certificate`"),
        (Some(client_of(&theirs)), "TLS failed: the server does not take the client certificate"),
    ];
    for (client, detail) in cases {
        let report = report(server(), "127.0.0.1", |url| ours.http(url).client(client.clone())).await;
        assert_eq!(&*report.detail, detail, "{report:?}");
        assert_eq!(report.delivered == Delivered::Yes, detail == "answered 200");
    }
    // One file may hold both.
    let (certificate, key) = ours.certify(&["receiver"]);
    let both = ours.folder.path().join("both.pem");
    std::fs::write(&both, key + &certificate).unwrap();
    let client = ClientCertificate::new(&both, &both);
    let report = report(server(), "127.0.0.1", |url| ours.http(url).client(Some(client.clone()))).await;
    assert_eq!(report, Report::delivered(Some(200), "answered 200"));
}

#[test]
fn files_that_cannot_be_used_make_no_transport() {
    let authority = Authority::new();
    let (certificate, key) = authority.certify(&["receiver"]);
    let (_, other_key) = authority.certify(&["receiver"]);
    let folder = tempfile::tempdir().unwrap();
    let file = |name: &str, text: &str| -> PathBuf {
        let path = folder.path().join(name);
        std::fs::write(&path, text).unwrap();
        path
    };
    let good = (file("certificate", &certificate), file("key", &key));
    let url = "https://127.0.0.1/";
    let ca = |path: PathBuf| HttpTransport::new(url.parse().unwrap()).ca(Some(path));
    let client = |certificate: &Path, key: &Path| {
        HttpTransport::new(url.parse().unwrap()).client(Some(ClientCertificate::new(certificate, key)))
    };
    let encrypted = "-----BEGIN ENCRYPTED PRIVATE KEY-----\nMIIB\n-----END ENCRYPTED PRIVATE KEY-----\n";
    let damaged = "-----BEGIN CERTIFICATE-----\nAAAA\n-----END CERTIFICATE-----\n";
    let torn = "-----BEGIN CERTIFICATE-----\nAAAA\n";
    let cases = [
        (ca(folder.path().join("none")), "no TLS: expected PEM in FOLDER/none, cannot read it (entity not found)"),
        (ca(folder.path().to_owned()), "no TLS: expected PEM in FOLDER, cannot read it (is a directory)"),
        (
            ca(file("empty", "")),
            "no TLS: expected certificates of authorities as PEM in FOLDER/empty, found none in it",
        ),
        (ca(good.1.clone()), "no TLS: expected certificates of authorities as PEM in FOLDER/key, found none in it"),
        (
            ca(file("damaged", damaged)),
            "no TLS: expected certificates of authorities as PEM in FOLDER/damaged, found one that is damaged",
        ),
        (
            ca(file("torn", torn)),
            "no TLS: expected certificates of authorities as PEM in FOLDER/torn, found damaged PEM",
        ),
        (
            client(&good.0, &file("other", &other_key)),
            "no TLS: expected the certificate in FOLDER/certificate and its key in FOLDER/other, cannot use them together \
             (keys may not be consistent: KeyMismatch)",
        ),
        (client(&good.0, &good.0), "no TLS: expected a private key as PEM in FOLDER/certificate, found none in it"),
        (client(&good.1, &good.1), "no TLS: expected a certificate chain as PEM in FOLDER/key, found none in it"),
        (
            client(&good.0, &file("encrypted", encrypted)),
            "no TLS: expected a private key as PEM in FOLDER/encrypted, found one that is encrypted; write it without a \
             passphrase",
        ),
        (
            client(&good.0, &folder.path().join("none")),
            "no TLS: expected PEM in FOLDER/none, cannot read it (entity not found)",
        ),
    ];
    for (http, expected) in cases {
        let fault = transport(&destination(TransportConfig::Http(http), PATIENCE), None).err().unwrap().to_string();
        assert_eq!(fault.replace(folder.path().to_str().unwrap(), "FOLDER"), expected);
    }
}
