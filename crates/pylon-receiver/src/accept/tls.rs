//! TLS: the certificate and its key, read from files, and replaced while connections are open.

use crate::config::Tls;
use rustls::ServerConfig;
use rustls::crypto::ring;
use rustls::pki_types::pem::{self, PemObject};
use rustls::pki_types::{CertificateDer, PrivateKeyDer};
use std::fmt;
use std::path::{Path, PathBuf};
use std::sync::{Arc, PoisonError, RwLock};
use tokio_rustls::TlsAcceptor;
use zeroize::Zeroizing;

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
    let chain = read(certificate)?;
    let chain: Vec<_> = CertificateDer::pem_slice_iter(&chain)
        .collect::<Result<_, _>>()
        .map_err(|error| TlsFault::not_pem(certificate, "a certificate chain", &error))?;
    if chain.is_empty() {
        return Err(TlsFault::not_pem(certificate, "a certificate chain", &pem::Error::NoItemsFound));
    }
    let key_text = read(key)?;
    let private_key =
        PrivateKeyDer::from_pem_slice(&key_text).map_err(|error| TlsFault::not_pem(key, "a private key", &error))?;
    let mut config = ServerConfig::builder_with_provider(Arc::new(ring::default_provider()))
        .with_safe_default_protocol_versions()
        .expect("the provider that is named here has the cipher suites of both versions")
        .with_no_client_auth()
        .with_single_cert(chain, private_key)
        .map_err(|error| TlsFault::Unfit {
            certificate: certificate.clone(),
            key: key.clone(),
            found: error.to_string().into(),
        })?;
    config.alpn_protocols = vec![b"http/1.1".to_vec()];
    Ok(Arc::new(config))
}

fn read(path: &Path) -> Result<Zeroizing<Vec<u8>>, TlsFault> {
    let bytes = std::fs::read(path);
    bytes.map(Zeroizing::new).map_err(|error| TlsFault::Unreadable { path: path.into(), kind: error.kind() })
}

/// Why a certificate or its key cannot be used.
#[derive(Debug, Clone, PartialEq, Eq)]
#[non_exhaustive]
pub enum TlsFault {
    /// A file cannot be read.
    Unreadable {
        /// The file.
        path: PathBuf,
        /// What the operating system said.
        kind: std::io::ErrorKind,
    },
    /// A file is not PEM, or holds something else.
    NotPem {
        /// The file.
        path: PathBuf,
        /// The expected content.
        expected: &'static str,
        /// What was found, never the content itself.
        found: &'static str,
    },
    /// Certificate and key cannot be used together.
    Unfit {
        /// The file of the certificate chain.
        certificate: PathBuf,
        /// The file of the key.
        key: PathBuf,
        /// What is wrong.
        found: Box<str>,
    },
}

impl TlsFault {
    fn not_pem(path: &Path, expected: &'static str, error: &pem::Error) -> Self {
        let found = match error {
            pem::Error::NoItemsFound => "none in it",
            _ => "damaged PEM",
        };
        Self::NotPem { path: path.into(), expected, found }
    }
}

impl fmt::Display for TlsFault {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Unreadable { path, kind } => {
                write!(f, "no TLS: expected PEM in {}, cannot read it ({kind})", path.display())
            }
            Self::NotPem { path, expected, found } => {
                write!(f, "no TLS: expected {expected} as PEM in {}, found {found}", path.display())
            }
            Self::Unfit { certificate, key, found } => write!(
                f,
                "no TLS: expected the certificate in {} and its key in {}, cannot use them together ({found})",
                certificate.display(),
                key.display()
            ),
        }
    }
}

impl std::error::Error for TlsFault {}
