//! When a certificate ends.

use crate::text::show_duration;
use crate::time::Moment;
use rustls::pki_types::CertificateDer;
use std::path::Path;
use std::time::Duration;
use x509_cert::Certificate;
use x509_cert::der::Decode;

/// How long before its end a certificate is told. Renewals commonly come a month before.
const NOTICE: Duration = Duration::from_secs(14 * 24 * 3600);
const DAY: Duration = Duration::from_secs(24 * 3600);

/// The end of the chain: that of the certificate that ends first. None: none of them can be read.
pub(super) fn end_of(chain: &[CertificateDer<'_>]) -> Option<Moment> {
    let ends = chain.iter().filter_map(|certificate| {
        let certificate = Certificate::from_der(certificate).ok()?;
        let seconds = certificate.tbs_certificate().validity().not_after.to_unix_duration().as_secs();
        Some(Moment::from_unix_milliseconds(i64::try_from(seconds).ok()?.checked_mul(1000)?))
    });
    ends.min()
}

/// A sentence about a certificate that has ended or ends soon.
pub(super) fn warning(path: &Path, end: Moment, now: Moment) -> Option<String> {
    let path = path.display();
    if end <= now {
        return Some(format!("the certificate in {path} expired at {end}: senders refuse to connect; renew it"));
    }
    let left = end.since(now);
    let days = Duration::from_secs(left.as_secs() / DAY.as_secs() * DAY.as_secs());
    let left = if days.is_zero() { "less than 1d".to_owned() } else { show_duration(days) };
    (end <= now.after(NOTICE)).then(|| format!("the certificate in {path} expires in {left}, at {end}; renew it"))
}
