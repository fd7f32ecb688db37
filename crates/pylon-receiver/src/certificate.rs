//! When certificates end.

use crate::pem::read_certificates;
use crate::text::show_duration;
use crate::time::Moment;
use rustls::pki_types::CertificateDer;
use std::path::{Path, PathBuf};
use std::time::Duration;
use x509_cert::Certificate;
use x509_cert::der::Decode;

/// How long before its end a certificate is told. Renewals commonly come a month before.
const NOTICE: Duration = Duration::from_secs(14 * 24 * 3600);
const DAY: Duration = Duration::from_secs(24 * 3600);

/// A certificate chain, and when it ends.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct CertificateEnd {
    /// Its file.
    pub path: PathBuf,
    /// The end of the chain's first certificate to end.
    pub at: Moment,
}

impl CertificateEnd {
    /// That of the chain in a file; none if it cannot be read.
    pub(crate) fn of_file(path: &Path) -> Option<Self> {
        let chain = read_certificates(path, "a certificate chain").ok()?;
        Some(Self { path: path.into(), at: end_of(&chain)? })
    }

    /// A sentence if the certificate has expired or expires soon.
    pub fn warning(&self, now: Moment) -> Option<String> {
        let (path, end) = (self.path.display(), self.at);
        if end <= now {
            return Some(format!("the certificate in {path} expired at {end}: connections with it fail; renew it"));
        }
        let days = Duration::from_secs(end.since(now).as_secs() / DAY.as_secs() * DAY.as_secs());
        let left = if days.is_zero() { "less than 1d".to_owned() } else { show_duration(days) };
        (end <= now.after(NOTICE)).then(|| format!("the certificate in {path} expires in {left}, at {end}; renew it"))
    }
}

/// The end of the chain: that of the certificate that ends first. None: none of them can be read.
pub(crate) fn end_of(chain: &[CertificateDer<'_>]) -> Option<Moment> {
    let ends = chain.iter().filter_map(|certificate| {
        let certificate = Certificate::from_der(certificate).ok()?;
        let seconds = certificate.tbs_certificate().validity().not_after.to_unix_duration().as_secs();
        Some(Moment::from_unix_milliseconds(i64::try_from(seconds).ok()?.checked_mul(1000)?))
    });
    ends.min()
}
