//! TLS: the certificate and its key, read from files, and replaced while connections are open.

use crate::config::Tls;
use crate::pem::{TlsFault, read_certificates, read_key};
use rustls::ServerConfig;
use rustls::crypto::ring;
use std::fmt;
use std::sync::{Arc, PoisonError, RwLock};
use tokio_rustls::TlsAcceptor;

/// A certificate chain and its key, for new connections.
pub struct TlsKeys {
    current: RwLock<Arc<ServerConfig>>,
}

impl TlsKeys {
    /// Reads certificate and key.
    ///
    /// # Errors
    /// [`TlsFault`]: a file cannot be used, or the key belongs to another certificate.
    pub fn read(files: &Tls) -> Result<Self, TlsFault> {
        Ok(Self { current: RwLock::new(server_config(files)?) })
    }

    /// Reads certificate and key again, for new connections. Open connections are not affected.
    ///
    /// # Errors
    /// As [`read`](Self::read); the old certificate and key stay in use.
    pub fn reload(&self, files: &Tls) -> Result<(), TlsFault> {
        let config = server_config(files)?;
        *self.current.write().unwrap_or_else(PoisonError::into_inner) = config;
        Ok(())
    }

    /// The acceptor for the next connection.
    pub(super) fn acceptor(&self) -> TlsAcceptor {
        self.current.read().unwrap_or_else(PoisonError::into_inner).clone().into()
    }
}

impl fmt::Debug for TlsKeys {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("TlsKeys([redacted])")
    }
}

fn server_config(files: &Tls) -> Result<Arc<ServerConfig>, TlsFault> {
    let Tls { certificate, key, .. } = files;
    let chain = read_certificates(certificate, "a certificate chain")?;
    let private_key = read_key(key)?;
    let mut config = ServerConfig::builder_with_provider(Arc::new(ring::default_provider()))
        .with_safe_default_protocol_versions()
        .expect("the provider that is named here has the cipher suites of both versions")
        .with_no_client_auth()
        .with_single_cert(chain, private_key)
        .map_err(|error| TlsFault::unfit(certificate, key, &error))?;
    config.alpn_protocols = vec![b"http/1.1".to_vec()];
    Ok(Arc::new(config))
}
