//! TLS: the certificate and its key, read from files, and replaced while connections are open.

use super::certificate;
use crate::config::Tls;
use crate::time::Moment;
use rustls::ServerConfig;
use rustls::crypto::ring;
use rustls::pki_types::pem::{self, PemObject};
use rustls::pki_types::{CertificateDer, PrivateKeyDer};
use std::fmt;
use std::os::unix::fs::MetadataExt;
use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex, PoisonError, RwLock};
use tokio_rustls::TlsAcceptor;
use zeroize::Zeroizing;

/// A certificate chain and its key, for new connections.
pub struct TlsKeys {
    current: RwLock<Current>,
    /// The state of the files when they were last read, with or without success.
    seen: Mutex<Stamps>,
}

/// What is in use.
#[derive(Clone)]
struct Current {
    config: Arc<ServerConfig>,
    certificate: PathBuf,
    /// When the first certificate of the chain ends; none: that cannot be read.
    end: Option<Moment>,
}

/// Size, inode and time of change of both files; none: the file is not there.
type Stamps = [Option<(u64, u64, i64, i64)>; 2];

/// What became of files that may have changed.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Refreshed {
    /// They are those that were read last.
    Unchanged,
    /// They are in use.
    Replaced,
    /// They cannot be used; what was in use stays.
    Refused(TlsFault),
}

impl TlsKeys {
    /// Reads certificate and key.
    ///
    /// # Errors
    /// [`TlsFault`]: a file cannot be used, or the key belongs to another certificate.
    pub fn read(files: &Tls) -> Result<Self, TlsFault> {
        let seen = Mutex::new(stamps(files));
        Ok(Self { current: RwLock::new(read_current(files)?), seen })
    }

    /// Reads certificate and key again, for new connections. Open connections are not affected.
    ///
    /// # Errors
    /// As [`read`](Self::read); the old certificate and key stay in use.
    pub fn reload(&self, files: &Tls) -> Result<(), TlsFault> {
        *self.seen.lock().unwrap_or_else(PoisonError::into_inner) = stamps(files);
        let current = read_current(files)?;
        *self.current.write().unwrap_or_else(PoisonError::into_inner) = current;
        Ok(())
    }

    /// The same if the files have changed since they were read: tools that renew certificates replace them without a word.
    pub fn refresh(&self, files: &Tls) -> Refreshed {
        if *self.seen.lock().unwrap_or_else(PoisonError::into_inner) == stamps(files) {
            return Refreshed::Unchanged;
        }
        self.reload(files).map_or_else(Refreshed::Refused, |()| Refreshed::Replaced)
    }

    /// The file of the certificate, and when it ends.
    pub fn expiry(&self) -> Option<(PathBuf, Moment)> {
        let Current { certificate, end, .. } = self.current();
        Some((certificate, end?))
    }

    /// A sentence if the certificate has expired or expires soon.
    pub fn warning(&self, now: Moment) -> Option<String> {
        let (path, end) = self.expiry()?;
        certificate::warning(&path, end, now)
    }

    /// The acceptor for the next connection.
    pub(super) fn acceptor(&self) -> TlsAcceptor {
        self.current().config.into()
    }

    fn current(&self) -> Current {
        self.current.read().unwrap_or_else(PoisonError::into_inner).clone()
    }
}

impl fmt::Debug for TlsKeys {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("TlsKeys([redacted])")
    }
}

fn read_current(files: &Tls) -> Result<Current, TlsFault> {
    let Tls { certificate, key, .. } = files;
    let chain = read(certificate)?;
    let chain: Vec<_> = CertificateDer::pem_slice_iter(&chain)
        .collect::<Result<_, _>>()
        .map_err(|error| TlsFault::not_pem(certificate, "a certificate chain", &error))?;
    if chain.is_empty() {
        return Err(TlsFault::not_pem(certificate, "a certificate chain", &pem::Error::NoItemsFound));
    }
    let end = certificate::end_of(&chain);
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
    Ok(Current { config: Arc::new(config), certificate: certificate.clone(), end })
}

fn stamps(files: &Tls) -> Stamps {
    [&files.certificate, &files.key].map(|path| {
        let metadata = path.metadata().ok()?;
        Some((metadata.size(), metadata.ino(), metadata.mtime(), metadata.mtime_nsec()))
    })
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
