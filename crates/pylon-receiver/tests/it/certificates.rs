//! Certificates that are renewed while a receiver runs.

use crate::wait::within;
use pylon_receiver::Receiver;
use pylon_receiver::config::{Config, EndpointConfig, LedgerAddress, SecretSource, Tls};
use rustls::client::danger::{HandshakeSignatureValid, ServerCertVerified, ServerCertVerifier};
use rustls::pki_types::{CertificateDer, ServerName, UnixTime};
use rustls::{ClientConfig, DigitallySignedStruct, SignatureScheme};
use std::net::SocketAddr;
use std::sync::{Arc, Mutex};
use std::time::Duration;
use tempfile::TempDir;
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpStream;
use tokio_rustls::TlsConnector;

/// The first of January of this year, in Unix seconds.
const END_OF_2019: i64 = 1_577_836_800;

/// Writes a certificate that ends with the year before, and its key.
fn write(files: &Tls, year: i32) -> CertificateDer<'static> {
    let mut params = rcgen::CertificateParams::new(["localhost".to_owned()]).unwrap();
    (params.not_before, params.not_after) = (rcgen::date_time_ymd(2000, 1, 1), rcgen::date_time_ymd(year, 1, 1));
    let key = rcgen::KeyPair::generate().unwrap();
    let certificate = params.self_signed(&key).unwrap();
    std::fs::write(&files.certificate, certificate.pem()).unwrap();
    std::fs::write(&files.key, key.serialize_pem()).unwrap();
    certificate.der().clone()
}

/// Notes the certificate that is shown, and takes any.
#[derive(Debug, Default)]
struct Shown(Mutex<Option<CertificateDer<'static>>>);

impl ServerCertVerifier for Shown {
    fn verify_server_cert(
        &self,
        shown: &CertificateDer<'_>,
        _: &[CertificateDer<'_>],
        _: &ServerName<'_>,
        _: &[u8],
        _: UnixTime,
    ) -> Result<ServerCertVerified, rustls::Error> {
        *self.0.lock().unwrap() = Some(shown.clone().into_owned());
        Ok(ServerCertVerified::assertion())
    }
    fn verify_tls12_signature(
        &self,
        _: &[u8],
        _: &CertificateDer<'_>,
        _: &DigitallySignedStruct,
    ) -> Result<HandshakeSignatureValid, rustls::Error> {
        Ok(HandshakeSignatureValid::assertion())
    }
    fn verify_tls13_signature(
        &self,
        _: &[u8],
        _: &CertificateDer<'_>,
        _: &DigitallySignedStruct,
    ) -> Result<HandshakeSignatureValid, rustls::Error> {
        Ok(HandshakeSignatureValid::assertion())
    }
    fn supported_verify_schemes(&self) -> Vec<SignatureScheme> {
        rustls::crypto::ring::default_provider().signature_verification_algorithms.supported_schemes()
    }
}

/// The certificate of a new connection.
async fn shown_at(address: SocketAddr) -> CertificateDer<'static> {
    let shown = Arc::new(Shown::default());
    let provider = Arc::new(rustls::crypto::ring::default_provider());
    let config = ClientConfig::builder_with_provider(provider).with_safe_default_protocol_versions().unwrap();
    let config = config.dangerous().with_custom_certificate_verifier(shown.clone()).with_no_client_auth();
    let stream = TcpStream::connect(address).await.unwrap();
    let name = ServerName::try_from("localhost").unwrap();
    within("they shake hands", TlsConnector::from(Arc::new(config)).connect(name, stream)).await.unwrap();
    shown.0.lock().unwrap().take().unwrap()
}

async fn get(receiver: &Receiver, path: &str) -> String {
    let mut stream = TcpStream::connect(receiver.admin().ip().unwrap()).await.unwrap();
    let request = format!("GET {path} HTTP/1.1\r\nHost: localhost\r\nConnection: close\r\n\r\n");
    stream.write_all(request.as_bytes()).await.unwrap();
    let mut answer = String::new();
    within("it answers", stream.read_to_string(&mut answer)).await.unwrap();
    answer
}

#[tokio::test]
async fn a_renewed_certificate_is_used_without_an_order() {
    let folder = TempDir::new().unwrap();
    let files = Tls::new(folder.path().join("certificate.pem"), folder.path().join("key.pem"));
    let expired = write(&files, 2020);
    let config = Config::default()
        .listen(([127, 0, 0, 1], 0).into())
        .admin(([127, 0, 0, 1], 0).into())
        .ledger(LedgerAddress::Sqlite(folder.path().join("pylon.db")))
        .endpoints(vec![EndpointConfig::signed("/webhook", [SecretSource::given("secret")])])
        .tls(Some(files.clone()));
    let receiver = within("it starts", Receiver::builder().config(config).start()).await.unwrap();
    assert_eq!(shown_at(receiver.webhooks().unwrap().ip().unwrap()).await, expired);
    let path = files.certificate.display();
    let metric = |end: i64| format!("pylon_receiver_certificate_expiry_seconds{{certificate=\"{path}\"}} {end}\n");
    assert!(get(&receiver, "/metrics").await.contains(&metric(END_OF_2019)));
    let ready = get(&receiver, "/readyz").await;
    let warning =
        format!("the certificate in {path} expired at 2020-01-01T00:00:00Z: connections with it fail; renew it");
    assert!(ready.starts_with("HTTP/1.1 200") && ready.contains(&warning), "{ready}");

    let renewed = write(&files, 2100);
    assert_eq!(
        shown_at(receiver.webhooks().unwrap().ip().unwrap()).await,
        expired,
        "the files are looked at once a minute"
    );
    tokio::time::pause();
    tokio::time::advance(Duration::from_secs(61)).await;
    tokio::time::resume();
    within("it is shown", async {
        while shown_at(receiver.webhooks().unwrap().ip().unwrap()).await != renewed {
            tokio::time::sleep(Duration::from_millis(10)).await;
        }
    })
    .await;
    assert!(!get(&receiver, "/readyz").await.contains("warnings"));
    assert!(!get(&receiver, "/metrics").await.contains(&metric(END_OF_2019)));
    within("it shuts down", receiver.shutdown()).await.unwrap();
}
