//! Certificates and keys, read from PEM files.

use rustls::pki_types::pem::{self, PemObject};
use rustls::pki_types::{CertificateDer, PrivateKeyDer};
use std::fmt;
use std::path::{Path, PathBuf};
use zeroize::Zeroizing;

/// The certificates of a file, at least one; `expected` says what they are for.
///
/// # Errors
/// [`TlsFault`]: the file cannot be read, or has none.
pub(crate) fn read_certificates(path: &Path, expected: &'static str) -> Result<Vec<CertificateDer<'static>>, TlsFault> {
    let text = read(path)?;
    let certificates: Vec<_> = CertificateDer::pem_slice_iter(&text)
        .collect::<Result<_, _>>()
        .map_err(|error| TlsFault::not_pem(path, expected, found(&error, &text)))?;
    if certificates.is_empty() {
        return Err(TlsFault::not_pem(path, expected, found(&pem::Error::NoItemsFound, &text)));
    }
    Ok(certificates)
}

/// The private key of a file.
///
/// # Errors
/// [`TlsFault`]: the file cannot be read, or has none.
pub(crate) fn read_key(path: &Path) -> Result<PrivateKeyDer<'static>, TlsFault> {
    let text = read(path)?;
    PrivateKeyDer::from_pem_slice(&text).map_err(|error| TlsFault::not_pem(path, "a private key", found(&error, &text)))
}

fn read(path: &Path) -> Result<Zeroizing<Vec<u8>>, TlsFault> {
    let bytes = std::fs::read(path);
    bytes.map(Zeroizing::new).map_err(|error| TlsFault::Unreadable { path: path.into(), kind: error.kind() })
}

fn found(error: &pem::Error, text: &[u8]) -> &'static str {
    const ENCRYPTED: &[u8] = b"ENCRYPTED";
    match error {
        _ if text.windows(ENCRYPTED.len()).any(|part| part == ENCRYPTED) => {
            "one that is encrypted; write it without a passphrase"
        }
        pem::Error::NoItemsFound => "none in it",
        _ => "damaged PEM",
    }
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
    pub(crate) fn not_pem(path: &Path, expected: &'static str, found: &'static str) -> Self {
        Self::NotPem { path: path.into(), expected, found }
    }

    /// Certificate and key do not belong together, or one of them cannot be used.
    pub(crate) fn unfit(certificate: &Path, key: &Path, error: &rustls::Error) -> Self {
        Self::Unfit { certificate: certificate.into(), key: key.into(), found: error.to_string().into() }
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
