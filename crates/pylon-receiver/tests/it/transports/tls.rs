//! HTTPS, against a server with a certificate of this folder. `SSL_CERT_FILE` names the roots that the system is to trust, and
//! counts for a whole process: each case runs this test binary once more.

use super::*;
use pylon_receiver::config::HttpTransport;
use pylon_receiver::internals::Delivered;
use rustls::ServerConfig;
use rustls::pki_types::pem::PemObject;
use rustls::pki_types::{CertificateDer, PrivateKeyDer};
use std::path::PathBuf;
use std::process::Command;
use std::sync::Arc;
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpListener;
use tokio_rustls::TlsAcceptor;

const HOST: &str = "PYLON_RECEIVER_TEST_HOST";
const DETAIL: &str = "PYLON_RECEIVER_TEST_DETAIL";

#[test]
fn a_certificate_is_taken_where_the_systems_roots_vouch_for_it() {
    let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/it/transports/tls");
    let cases = [
        (folder.join("authority.pem"), "127.0.0.1", "answered 200"),
        (folder.join("authority.pem"), "localhost", "TLS failed: the certificate is for another name"),
        (folder.join("stranger.pem"), "127.0.0.1", "TLS failed: the issuer of the certificate is not known here"),
        (PathBuf::from("/dev/null"), "127.0.0.1", "TLS failed: the system has no root certificates"),
    ];
    for (roots, host, detail) in cases {
        let output = Command::new(std::env::current_exe().unwrap())
            .args(["--exact", "transports::tls::delivers_with_the_roots_that_it_is_given", "--ignored", "--nocapture"])
            .env("SSL_CERT_FILE", &roots)
            .env_remove("SSL_CERT_DIR")
            .env(HOST, host)
            .env(DETAIL, detail)
            .output()
            .unwrap();
        let told = [output.stdout, output.stderr].map(|told| String::from_utf8_lossy(&told).into_owned()).concat();
        assert!(output.status.success() && told.contains("1 passed"), "{detail}: {told}");
    }
}

#[tokio::test]
#[ignore = "it runs within the test above, with other roots each time"]
async fn delivers_with_the_roots_that_it_is_given() {
    let (Ok(host), Ok(detail)) = (std::env::var(HOST), std::env::var(DETAIL)) else { return };
    let certificate = CertificateDer::from_pem_slice(include_bytes!("tls/certificate.pem")).unwrap();
    let key = PrivateKeyDer::from_pem_slice(include_bytes!("tls/key.pem")).unwrap();
    let config = ServerConfig::builder_with_provider(Arc::new(rustls::crypto::ring::default_provider()))
        .with_safe_default_protocol_versions()
        .unwrap()
        .with_no_client_auth()
        .with_single_cert(vec![certificate], key)
        .unwrap();
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let url = format!("https://{host}:{}/", listener.local_addr().unwrap().port());
    let _server = tokio::spawn(async move {
        let (stream, _) = listener.accept().await.unwrap();
        let Ok(mut stream) = TlsAcceptor::from(Arc::new(config)).accept(stream).await else { return };
        let _ = stream.read(&mut [0; 4096]).await;
        stream.write_all(b"HTTP/1.1 200 OK\r\ncontent-length: 0\r\n\r\n").await.unwrap();
        let _ = stream.read(&mut [0; 4096]).await;
    });
    let to = TransportConfig::Http(HttpTransport::new(url.parse().unwrap()));
    let report = deliver(to, PATIENCE, &attempt()).await;
    assert_eq!(&*report.detail, detail);
    assert_eq!(report.delivered == Delivered::Yes, detail == "answered 200");
}
