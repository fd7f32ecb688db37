//! Where a secret comes from, and the secret itself while it is needed.

use pylon_webhooks::Secret;
use std::fmt;
use std::path::PathBuf;
use subtle::ConstantTimeEq;
use zeroize::Zeroizing;

/// Where a secret comes from. `Debug` shows the source, never the secret.
#[derive(Clone)]
pub enum SecretSource {
    /// The environment variable of this name.
    Environment(String),
    /// The file, without a newline at its end.
    File(PathBuf),
    /// A text in the configuration itself that is not secret, for a header that always has the same value.
    Plain(String),
    /// The program gave the secret.
    Given(Zeroizing<Vec<u8>>),
}

impl SecretSource {
    /// A secret that the program has.
    pub fn given(secret: impl AsRef<[u8]>) -> Self {
        Self::Given(Zeroizing::new(secret.as_ref().to_vec()))
    }

    /// Reads the secret.
    ///
    /// # Errors
    /// [`SecretFault`]: the secret is missing, or empty, or only white space and quotes.
    pub fn read(&self) -> Result<Zeroizing<Vec<u8>>, SecretFault> {
        let secret = match self {
            Self::Environment(name) => {
                let value = std::env::var_os(name).ok_or_else(|| SecretFault::NotSet(name.clone()))?;
                Zeroizing::new(value.into_encoded_bytes())
            }
            Self::File(path) => {
                let mut bytes = std::fs::read(path)
                    .map_err(|error| SecretFault::Unreadable { path: path.clone(), kind: error.kind() })?;
                let end = bytes.strip_suffix(b"\n").unwrap_or(&bytes);
                let length = end.strip_suffix(b"\r").unwrap_or(end).len();
                bytes.truncate(length);
                Zeroizing::new(bytes)
            }
            Self::Plain(text) => Zeroizing::new(text.clone().into_bytes()),
            Self::Given(secret) => secret.clone(),
        };
        let is_secret = match self {
            Self::Plain(text) => !text.is_empty(),
            Self::Environment(_) | Self::File(_) | Self::Given(_) => Secret::new(&*secret).is_ok(),
        };
        if is_secret { Ok(secret) } else { Err(SecretFault::Empty(self.to_string())) }
    }
}

impl PartialEq for SecretSource {
    fn eq(&self, other: &Self) -> bool {
        match (self, other) {
            (Self::Environment(one), Self::Environment(other)) | (Self::Plain(one), Self::Plain(other)) => one == other,
            (Self::File(one), Self::File(other)) => one == other,
            (Self::Given(one), Self::Given(other)) => one.ct_eq(other).into(),
            _ => false,
        }
    }
}

impl fmt::Display for SecretSource {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Environment(name) => write!(f, "environment variable {name}"),
            Self::File(path) => write!(f, "file {}", path.display()),
            Self::Plain(_) => f.write_str("a text of the configuration"),
            Self::Given(_) => f.write_str("[redacted]"),
        }
    }
}

impl fmt::Debug for SecretSource {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Display::fmt(self, f)
    }
}

/// Why there is no secret where one should be.
#[derive(Debug, Clone, PartialEq, Eq)]
#[non_exhaustive]
pub enum SecretFault {
    /// The environment variable is not set.
    NotSet(String),
    /// The file cannot be read.
    Unreadable {
        /// The file.
        path: PathBuf,
        /// What the operating system said.
        kind: std::io::ErrorKind,
    },
    /// There is nothing in it but white space and quotes.
    Empty(String),
    /// It is not of the form that its use demands; the text says which.
    Malformed(&'static str),
}

impl fmt::Display for SecretFault {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::NotSet(name) => {
                write!(f, "no secret: expected one in environment variable {name}, found it not set; set it")
            }
            Self::Unreadable { path, kind } => {
                write!(f, "no secret: expected one in file {}, found that it cannot be read ({kind})", path.display())
            }
            Self::Empty(source) => {
                write!(f, "no secret: expected one in {source}, found it empty, or only white space and quotes")
            }
            Self::Malformed(expected) => write!(f, "malformed secret: expected {expected}, found another form"),
        }
    }
}

impl std::error::Error for SecretFault {}
