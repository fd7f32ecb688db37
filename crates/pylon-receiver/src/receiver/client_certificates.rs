//! The certificates that destinations are shown.

use crate::certificate::CertificateEnd;
use crate::config::Config;

/// When those of the configured destinations end, as far as they can be read. None where the receiver makes no deliveries.
pub(super) fn ends(config: &Config) -> Vec<CertificateEnd> {
    let delivering = config.destinations.iter().filter(|_| config.role.delivers());
    let client = delivering.filter_map(|destination| destination.transport.client_certificate());
    client.filter_map(|client| CertificateEnd::of_file(&client.certificate)).collect()
}
