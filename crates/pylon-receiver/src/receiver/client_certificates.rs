//! The certificates that destinations are shown.

use crate::certificate::CertificateEnd;
use crate::config::Config;

/// When those of the configured destinations end, as far as they can be read.
pub(super) fn ends(config: &Config) -> Vec<CertificateEnd> {
    let client = config.destinations.iter().filter_map(|destination| destination.transport.client_certificate());
    client.filter_map(|client| CertificateEnd::of_file(&client.certificate)).collect()
}
