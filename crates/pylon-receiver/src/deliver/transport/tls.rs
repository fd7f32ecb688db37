//! TLS to a destination: whom it trusts, and how the receiver shows who it is.

use crate::config::ClientCertificate;
use crate::pem::{TlsFault, read_certificates, read_key};
use rustls::client::ResolvesClientCert;
use rustls::crypto::{CryptoProvider, ring};
use rustls::sign::{CertifiedKey, SingleCertAndKey};
use rustls::{ClientConfig, RootCertStore};
use rustls_platform_verifier::BuilderVerifierExt;
use std::path::Path;
use std::sync::{Arc, OnceLock};
use tokio_rustls::TlsConnector;

/// The settings of TLS, with their files read.
pub(super) struct Tls {
    provider: Arc<CryptoProvider>,
    /// None: trust what the system trusts.
    authorities: Option<Arc<RootCertStore>>,
    client: Option<Arc<dyn ResolvesClientCert>>,
    /// What is spoken within TLS, where the server is told so.
    protocol: Option<&'static [u8]>,
    /// Made when it is needed first: the system may have no root certificates yet.
    connector: OnceLock<TlsConnector>,
}

impl Tls {
    /// Reads the files: the authorities to trust, unless it is those of the system, and the certificate to show.
    ///
    /// # Errors
    /// [`TlsFault`]: a file cannot be used.
    pub(super) fn read(ca: Option<&Path>, client: Option<&ClientCertificate>) -> Result<Self, TlsFault> {
        let provider = Arc::new(ring::default_provider());
        let authorities = ca.map(authorities).transpose()?;
        let client = client.map(|client| certified(client, &provider)).transpose()?;
        Ok(Self { provider, authorities, client, protocol: None, connector: OnceLock::new() })
    }

    /// The same, and the server is told that this is spoken within TLS.
    pub(super) fn speaking(self, protocol: &'static [u8]) -> Self {
        Self { protocol: Some(protocol), ..self }
    }

    /// What makes connections secure.
    ///
    /// # Errors
    /// A sentence on what is missing.
    pub(super) fn connector(&self) -> Result<&TlsConnector, &'static str> {
        match self.connector.get() {
            Some(connector) => Ok(connector),
            None => {
                let connector = self.new_connector()?;
                Ok(self.connector.get_or_init(|| connector))
            }
        }
    }

    /// The settings of a client that believes no server.
    #[cfg(feature = "nats")]
    pub(super) fn of_nobody(&self) -> ClientConfig {
        ClientConfig::builder_with_provider(self.provider.clone())
            .with_safe_default_protocol_versions()
            .expect("the provider that is named here has the cipher suites of both versions")
            .with_root_certificates(RootCertStore::empty())
            .with_no_client_auth()
    }

    fn new_connector(&self) -> Result<TlsConnector, &'static str> {
        let config = ClientConfig::builder_with_provider(self.provider.clone())
            .with_safe_default_protocol_versions()
            .expect("the provider that is named here has the cipher suites of both versions");
        let config = match &self.authorities {
            Some(authorities) => config.with_root_certificates(authorities.clone()),
            None => config.with_platform_verifier().map_err(|_| "TLS failed: the system has no root certificates")?,
        };
        let mut config = match &self.client {
            Some(client) => config.with_client_cert_resolver(client.clone()),
            None => config.with_no_client_auth(),
        };
        config.alpn_protocols = self.protocol.map(<[u8]>::to_vec).into_iter().collect();
        Ok(Arc::new(config).into())
    }
}

fn authorities(path: &Path) -> Result<Arc<RootCertStore>, TlsFault> {
    const EXPECTED: &str = "certificates of authorities";
    let mut store = RootCertStore::empty();
    for certificate in read_certificates(path, EXPECTED)? {
        store.add(certificate).map_err(|_| TlsFault::not_pem(path, EXPECTED, "one that is damaged"))?;
    }
    Ok(Arc::new(store))
}

fn certified(
    ClientCertificate { certificate, key }: &ClientCertificate,
    provider: &CryptoProvider,
) -> Result<Arc<dyn ResolvesClientCert>, TlsFault> {
    let chain = read_certificates(certificate, "a certificate chain")?;
    let certified = CertifiedKey::from_der(chain, read_key(key)?, provider);
    let certified = certified.map_err(|error| TlsFault::unfit(certificate, key, &error))?;
    Ok(Arc::new(SingleCertAndKey::from(certified)))
}
