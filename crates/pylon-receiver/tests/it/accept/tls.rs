//! TLS: the handshake, the files, the exchange of a certificate.

use super::*;
use pylon_receiver::TlsFault;
use pylon_receiver::config::Tls;
use pylon_receiver::internals::CertificateEnd;
use rustls::pki_types::{CertificateDer, ServerName};
use rustls::{ClientConfig, RootCertStore};
use std::path::Path;
use tempfile::TempDir;
use tokio::io::AsyncWriteExt;
use tokio::net::TcpStream;
use tokio_rustls::TlsConnector;
use tokio_rustls::client::TlsStream;

/// Files of a certificate of its own for `localhost`, in a folder.
struct Files {
    folder: TempDir,
    files: Tls,
    certificate: CertificateDer<'static>,
}

fn files() -> Files {
    let folder = tempfile::tempdir().unwrap();
    let files = Tls::new(folder.path().join("certificate.pem"), folder.path().join("key.pem"));
    let certificate = write(&files);
    Files { folder, files, certificate }
}

/// Makes a certificate anew and writes both files.
fn write(files: &Tls) -> CertificateDer<'static> {
    let made = rcgen::generate_simple_self_signed(["localhost".to_owned()]).unwrap();
    std::fs::write(&files.certificate, made.cert.pem()).unwrap();
    std::fs::write(&files.key, made.signing_key.serialize_pem()).unwrap();
    made.cert.der().clone()
}

/// A connection that trusts this certificate alone.
async fn shake(address: SocketAddr, trusted: &CertificateDer<'static>) -> std::io::Result<Peer<TlsStream<TcpStream>>> {
    let mut roots = RootCertStore::empty();
    roots.add(trusted.clone()).unwrap();
    let provider = Arc::new(rustls::crypto::ring::default_provider());
    let config = ClientConfig::builder_with_provider(provider).with_safe_default_protocol_versions().unwrap();
    let mut config = config.with_root_certificates(roots).with_no_client_auth();
    config.alpn_protocols = vec![b"h2".to_vec(), b"http/1.1".to_vec()];
    let stream = TcpStream::connect(address).await?;
    let name = ServerName::try_from("localhost").unwrap();
    Ok(Peer::over(TlsConnector::from(Arc::new(config)).connect(name, stream).await?))
}

async fn front(files: &Files, config: &Config) -> (Front, Arc<TlsKeys>) {
    let keys = Arc::new(TlsKeys::read(&files.files).unwrap());
    (Front::with_tls(config, Some(keys.clone())).await, keys)
}

fn webhook() -> Vec<u8> {
    request("POST", "/webhook", &signed(b"{}"), b"{}")
}

#[test]
fn webhooks_come_in_over_tls() {
    run(async {
        let files = files();
        let (front, _) = front(&files, &config()).await;
        let mut peer = shake(front.address, &files.certificate).await.unwrap();
        assert_eq!(peer.stream.get_ref().1.alpn_protocol(), Some(&b"http/1.1"[..]));
        for _ in 0..2 {
            peer.send(&webhook()).await;
            peer.answer().await.id();
        }
        assert_eq!(front.events().len(), 2);
    });
}

#[test]
fn a_certificate_is_exchanged_for_new_connections() {
    run(async {
        let files = files();
        let (front, keys) = front(&files, &config()).await;
        let mut open = shake(front.address, &files.certificate).await.unwrap();
        let renewed = write(&files.files);
        shake(front.address, &renewed).await.err().expect("it is not used before the reload");
        keys.reload(&files.files).unwrap();
        shake(front.address, &files.certificate).await.err().expect("the old one is no longer used");
        for peer in [&mut open, &mut shake(front.address, &renewed).await.unwrap()] {
            peer.send(&webhook()).await;
            peer.answer().await.id();
        }
    });
}

/// What is done to the files, and what is said of it; `{}` stands for their folder.
type Case = (fn(&Tls), &'static str);

const BAD: [Case; 7] = [
    (
        |files| std::fs::remove_file(&files.certificate).unwrap(),
        "no TLS: expected PEM in {}/certificate.pem, cannot read it (entity not found)",
    ),
    (
        |files| std::fs::remove_file(&files.key).unwrap(),
        "no TLS: expected PEM in {}/key.pem, cannot read it (entity not found)",
    ),
    (
        |files| std::fs::write(&files.certificate, "").unwrap(),
        "no TLS: expected a certificate chain as PEM in {}/certificate.pem, found none in it",
    ),
    (
        |files| _ = std::fs::copy(&files.certificate, &files.key).unwrap(),
        "no TLS: expected a private key as PEM in {}/key.pem, found none in it",
    ),
    (
        |files| cut(&files.certificate),
        "no TLS: expected a certificate chain as PEM in {}/certificate.pem, found damaged PEM",
    ),
    (|files| cut(&files.key), "no TLS: expected a private key as PEM in {}/key.pem, found damaged PEM"),
    (
        |files| {
            let certificate = std::fs::read(&files.certificate).unwrap();
            write(files);
            std::fs::write(&files.certificate, certificate).unwrap();
        },
        "no TLS: expected the certificate in {}/certificate.pem and its key in {}/key.pem, cannot use them together \
         (keys may not be consistent: KeyMismatch)",
    ),
];

fn cut(path: &Path) {
    let text = std::fs::read_to_string(path).unwrap();
    std::fs::write(path, &text[..text.len() / 2]).unwrap();
}

#[test]
fn bad_files_are_refused_and_the_old_ones_stay() {
    for (spoil, expected) in BAD {
        run(async {
            let files = files();
            let (front, keys) = front(&files, &config()).await;
            spoil(&files.files);
            let expected = expected.replace("{}", files.folder.path().to_str().unwrap());
            let fault = keys.reload(&files.files).unwrap_err();
            assert_eq!(fault.to_string(), expected);
            assert_eq!(TlsKeys::read(&files.files).map(drop), Err::<(), TlsFault>(fault));
            let mut peer = shake(front.address, &files.certificate).await.unwrap();
            peer.send(&webhook()).await;
            peer.answer().await.id();
        });
    }
}

/// Writes a certificate that ends then, and its key.
fn write_until(files: &Tls, end: Moment) {
    let mut params = rcgen::CertificateParams::new(["localhost".to_owned()]).unwrap();
    params.not_before = rcgen::date_time_ymd(2000, 1, 1);
    let epoch = rcgen::date_time_ymd(1970, 1, 1);
    params.not_after = epoch + Duration::from_secs(end.unix_seconds());
    let key = rcgen::KeyPair::generate().unwrap();
    std::fs::write(&files.certificate, params.self_signed(&key).unwrap().pem()).unwrap();
    std::fs::write(&files.key, key.serialize_pem()).unwrap();
}

#[test]
fn files_that_have_changed_are_read_again_and_others_are_not() {
    run(async {
        let files = files();
        let (front, keys) = front(&files, &config()).await;
        assert_eq!(keys.refresh(&files.files), Refreshed::Unchanged);
        let renewed = write(&files.files);
        assert_eq!(keys.refresh(&files.files), Refreshed::Replaced);
        assert_eq!(keys.refresh(&files.files), Refreshed::Unchanged);
        shake(front.address, &renewed).await.unwrap();
        // As certbot and Kubernetes do: another file takes the place.
        let aside = Tls::new(files.folder.path().join("new.pem"), files.folder.path().join("new-key.pem"));
        let swapped = write(&aside);
        std::fs::rename(&aside.certificate, &files.files.certificate).unwrap();
        let Refreshed::Refused(TlsFault::Unfit { .. }) = keys.refresh(&files.files) else {
            panic!("the key is the old one")
        };
        assert_eq!(keys.refresh(&files.files), Refreshed::Unchanged, "it is told once");
        shake(front.address, &renewed).await.expect("the old one stays");
        std::fs::rename(&aside.key, &files.files.key).unwrap();
        assert_eq!(keys.refresh(&files.files), Refreshed::Replaced);
        shake(front.address, &swapped).await.unwrap();
        std::fs::remove_file(&files.files.key).unwrap();
        assert!(matches!(keys.refresh(&files.files), Refreshed::Refused(TlsFault::Unreadable { .. })));
        assert_eq!(keys.refresh(&files.files), Refreshed::Unchanged);
        shake(front.address, &swapped).await.unwrap();
    });
}

#[test]
fn a_certificate_that_has_ended_or_ends_soon_is_told() {
    const DAY: u64 = 24 * 3600;
    let end: Moment = "2026-11-23T08:00:00Z".parse().unwrap();
    let files = files();
    write_until(&files.files, end);
    let path = files.files.certificate.display();
    let keys = TlsKeys::read(&files.files).unwrap();
    assert_eq!(keys.end(), Some(CertificateEnd { path: files.files.certificate.clone(), at: end }));
    let soon =
        |left: &str| Some(format!("the certificate in {path} expires in {left}, at 2026-11-23T08:00:00Z; renew it"));
    let over = || {
        let text = "expired at 2026-11-23T08:00:00Z: connections with it fail; renew it";
        Some(format!("the certificate in {path} {text}"))
    };
    let before = |seconds| end.before(Duration::from_secs(seconds));
    for (now, expected) in [
        (before(14 * DAY + 1), None),
        (before(14 * DAY), soon("14d")),
        (before(14 * DAY - 1), soon("13d")),
        (before(DAY), soon("1d")),
        (before(DAY - 1), soon("less than 1d")),
        (before(1), soon("less than 1d")),
        (end, over()),
        (end.after(Duration::from_secs(1000 * DAY)), over()),
    ] {
        assert_eq!(keys.end().unwrap().warning(now), expected, "{now}");
    }
    // Of a chain, the first end counts.
    let other = Tls::new(files.folder.path().join("other.pem"), files.folder.path().join("other-key.pem"));
    write_until(&other, before(3 * DAY));
    let chain = [&files.files.certificate, &other.certificate].map(|path| std::fs::read_to_string(path).unwrap());
    std::fs::write(&files.files.certificate, chain.concat()).unwrap();
    assert_eq!(TlsKeys::read(&files.files).unwrap().end().unwrap().at, before(3 * DAY));
}

#[test]
fn a_handshake_that_takes_too_long_is_ended() {
    run(async {
        let files = files();
        let mut config = config();
        config.limits.header_timeout = SHORT;
        let (front, _) = front(&files, &config).await;
        assert_eq!(front.connect().await.rest().await, b"");
    });
}

#[test]
fn what_does_not_speak_tls_is_not_served() {
    run(async {
        let files = files();
        let (front, _) = front(&files, &config()).await;
        let mut peer = front.connect().await;
        peer.send(&webhook()).await;
        assert!(!peer.rest().await.starts_with(b"HTTP/"));
        assert_eq!((front.events().len(), front.refused().len()), (0, 0));
    });
}

/// What comes to a port that speaks TLS, and what it is taken for.
const NO_TLS: [(&[u8], &str); 4] = [
    (b"GET / HTTP/1.1\r\nHost: a\r\n\r\n", "plain_http"),
    (b"PROXY TCP4 192.0.2.1 192.0.2.2 1 443\r\n", "proxy_protocol"),
    (b"\r\n\r\n\0\r\nQUIT\n\x21\x11\0\x0c\x7f\0\0\x01\x7f\0\0\x01\0\x01\x01\xbb", "proxy_protocol"),
    (b"\x16\x03\x01\0\x05\x01\0\0\x01\0", "handshake"),
];

#[test]
fn what_comes_instead_of_tls_is_counted_and_told() {
    for (sent, cause) in NO_TLS {
        let ((), lines) = run(async {
            let files = files();
            let (front, _) = front(&files, &config()).await;
            let mut peer = front.connect().await;
            peer.send_what_is_taken(sent).await;
            peer.rest().await;
            until("it is counted", || front.counted(&refused_connection(cause, 1))).await;
        });
        assert!(lines.iter().any(|line| line.contains(&format!("cause=\"{cause}\" "))), "{lines:?}");
    }
}

#[test]
fn a_probe_that_only_connects_is_no_fault() {
    let ((), lines) = run(async {
        let files = files();
        let (front, _) = front(&files, &config()).await;
        let mut peer = front.connect().await;
        peer.stream.shutdown().await.unwrap();
        peer.rest().await;
    });
    assert_eq!(lines, [""; 0]);
}

#[test]
fn a_sender_that_closes_its_side_after_the_request_is_answered() {
    run(async {
        let files = files();
        let (front, _) = front(&files, &config()).await;
        let mut peer = shake(front.address, &files.certificate).await.unwrap();
        front.ledger.hang();
        peer.send(&webhook()).await;
        peer.stream.shutdown().await.unwrap();
        until("the commit begins", || front.ledger.begun() == 1).await;
        front.ledger.go.add_permits(1);
        peer.answer().await.id();
    });
}

#[test]
fn a_handshake_under_way_does_not_hold_up_the_end() {
    run(async {
        let files = files();
        let (mut front, _) = front(&files, &config()).await;
        let mut silent = front.connect().await;
        shake(front.address, &files.certificate).await.unwrap();
        front.stop();
        assert_eq!(silent.rest().await, b"");
        within("the listener ends", front.running).await.unwrap();
    });
}
