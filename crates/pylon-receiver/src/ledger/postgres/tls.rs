//! TLS to the server: whom it trusts, how the receiver shows who it is, and what is said when it fails.

use crate::pem::{TlsFault, read_certificates, read_key};
use crate::postgres_address::PostgresTls;
use crate::tls_cause::{of_tls, tls_error};
use rustls::crypto::ring;
use rustls::pki_types::ServerName;
use rustls::{ClientConfig, RootCertStore};
use rustls_platform_verifier::BuilderVerifierExt;
use std::error::Error;
use std::io;
use std::path::Path;
use std::sync::Arc;
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpStream;
use tokio_rustls::TlsConnector;
use tokio_rustls::client::TlsStream;

/// Asks the server for TLS: a length, and a number that no version of the protocol has.
const REQUEST: [u8; 8] = [0, 0, 0, 8, 4, 210, 22, 47];

/// Secures a connection: the server must offer TLS, with a certificate for this name that is trusted.
///
/// Reads the files anew, since certificates are renewed.
///
/// # Errors
/// A sentence.
pub(super) async fn secure(
    mut stream: TcpStream,
    name: &str,
    tls: &PostgresTls,
) -> Result<TlsStream<TcpStream>, String> {
    let connector = connector(tls).map_err(|fault| fault.to_string())?;
    let server = ServerName::try_from(name.to_owned())
        .map_err(|_| "TLS failed: expected a name that a certificate can have, found another".to_owned())?;
    let broken = |error: io::Error| format!("the connection broke before TLS: {error}");
    stream.write_all(&REQUEST).await.map_err(broken)?;
    match stream.read_u8().await.map_err(broken)? {
        b'S' => {}
        b'N' => {
            return Err(
                "expected TLS, found a server without it; set `ssl = on` there, or `sslmode=disable` here".into()
            );
        }
        _ => return Err("expected a PostgreSQL server, found something else".into()),
    }
    connector
        .connect(server, stream)
        .await
        .map_err(|error| cause(&error, tls).unwrap_or_else(|| format!("TLS failed: {error}")))
}

/// Why TLS failed, if that is what is behind the error. With TLS 1.3 a server refuses the client's certificate after the handshake.
pub(super) fn cause(error: &(dyn Error + 'static), tls: &PostgresTls) -> Option<String> {
    use rustls::CertificateError::{NotValidForName, NotValidForNameContext, UnknownIssuer};
    let said = match tls_error(error)? {
        rustls::Error::InvalidCertificate(UnknownIssuer) => {
            let trusted = match &tls.authorities {
                Some(path) => path.display().to_string(),
                None => "the authorities of this system; name a file of others with `sslrootcert`".to_owned(),
            };
            format!("TLS failed: expected a certificate by {trusted}, found one by another issuer")
        }
        rustls::Error::InvalidCertificate(NotValidForName | NotValidForNameContext { .. }) => {
            "TLS failed: expected a certificate for this host name, found one for another; connect by the name in it"
                .into()
        }
        rustls::Error::AlertReceived(rustls::AlertDescription::CertificateRequired) => {
            "TLS failed: the server expects a client certificate; name one with `sslcert` and `sslkey`".into()
        }
        other => of_tls(other).to_owned(),
    };
    Some(said)
}

fn connector(tls: &PostgresTls) -> Result<TlsConnector, TlsFault> {
    let config = ClientConfig::builder_with_provider(Arc::new(ring::default_provider()))
        .with_safe_default_protocol_versions()
        .expect("the provider that is named here has the cipher suites of both versions");
    let config = match &tls.authorities {
        Some(path) => config.with_root_certificates(authorities(path)?),
        None => config.with_platform_verifier().map_err(|_| {
            TlsFault::not_pem(Path::new("the system's certificates"), "certificates of authorities", "none")
        })?,
    };
    let config = match &tls.client {
        Some((certificate, key)) => {
            let chain = read_certificates(certificate, "a certificate chain")?;
            let with = config.with_client_auth_cert(chain, read_key(key)?);
            with.map_err(|error| TlsFault::unfit(certificate, key, &error))?
        }
        None => config.with_no_client_auth(),
    };
    Ok(TlsConnector::from(Arc::new(config)))
}

fn authorities(path: &Path) -> Result<RootCertStore, TlsFault> {
    const EXPECTED: &str = "certificates of authorities";
    let mut store = RootCertStore::empty();
    for certificate in read_certificates(path, EXPECTED)? {
        store.add(certificate).map_err(|_| TlsFault::not_pem(path, EXPECTED, "one that is damaged"))?;
    }
    Ok(store)
}
