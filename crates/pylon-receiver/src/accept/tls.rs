//! TLS: the certificate and its key, read from files, and replaced while connections are open.

use crate::certificate::{CertificateEnd, end_of};
use crate::config::Tls;
use crate::pem::{TlsFault, read_certificates, read_key};
use crate::time::Moment;
use rustls::ServerConfig;
use rustls::crypto::ring;
use std::fmt;
use std::os::unix::fs::MetadataExt;
use std::path::PathBuf;
use std::sync::{Arc, Mutex, PoisonError, RwLock};
use tokio_rustls::TlsAcceptor;

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

    /// When the certificate in use ends.
    pub fn end(&self) -> Option<CertificateEnd> {
        let Current { certificate: path, end, .. } = self.current();
        Some(CertificateEnd { path, at: end? })
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
    let chain = read_certificates(certificate, "a certificate chain")?;
    let end = end_of(&chain);
    let private_key = read_key(key)?;
    let mut config = ServerConfig::builder_with_provider(Arc::new(ring::default_provider()))
        .with_safe_default_protocol_versions()
        .expect("the provider that is named here has the cipher suites of both versions")
        .with_no_client_auth()
        .with_single_cert(chain, private_key)
        .map_err(|error| TlsFault::unfit(certificate, key, &error))?;
    config.alpn_protocols = vec![b"http/1.1".to_vec()];
    Ok(Current { config: Arc::new(config), certificate: certificate.clone(), end })
}

fn stamps(files: &Tls) -> Stamps {
    [&files.certificate, &files.key].map(|path| {
        let metadata = path.metadata().ok()?;
        Some((metadata.size(), metadata.ino(), metadata.mtime(), metadata.mtime_nsec()))
    })
}
