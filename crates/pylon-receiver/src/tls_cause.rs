//! Why TLS failed, in one sentence.

use rustls::{AlertDescription, CertificateError, InvalidMessage};
use std::error::Error;
use std::io;

/// Why TLS failed, if it is a failure of TLS that is behind an error of an HTTP client.
///
/// The sentence begins with `TLS failed`, and quotes neither address nor certificate.
pub fn tls_cause(error: &(dyn Error + 'static)) -> Option<&'static str> {
    tls_error(error).map(of_tls)
}

/// The failure of TLS that is behind an error, if there is one.
pub(crate) fn tls_error<'e>(error: &'e (dyn Error + 'static)) -> Option<&'e rustls::Error> {
    let mut next = Some(error);
    while let Some(cause) = next {
        if let Some(tls) = cause.downcast_ref::<rustls::Error>() {
            return Some(tls);
        }
        // The `source` of an I/O error skips the error that it wraps.
        let within = cause.downcast_ref::<io::Error>().and_then(io::Error::get_ref);
        next = within.map(|within| within as &(dyn Error + 'static)).or_else(|| cause.source());
    }
    None
}

pub(crate) fn of_tls(error: &rustls::Error) -> &'static str {
    let fault = match error {
        rustls::Error::InvalidCertificate(fault) => fault,
        rustls::Error::AlertReceived(AlertDescription::CertificateRequired) => {
            return "TLS failed: the server expects a client certificate; configure `client_certificate`";
        }
        rustls::Error::AlertReceived(
            AlertDescription::BadCertificate
            | AlertDescription::UnsupportedCertificate
            | AlertDescription::CertificateRevoked
            | AlertDescription::CertificateExpired
            | AlertDescription::CertificateUnknown
            | AlertDescription::UnknownCA
            | AlertDescription::AccessDenied,
        ) => return "TLS failed: the server does not take the client certificate",
        rustls::Error::InvalidMessage(InvalidMessage::InvalidContentType) => {
            return "TLS failed: the server does not speak TLS; use http://";
        }
        _ => return "TLS failed",
    };
    match fault {
        CertificateError::UnknownIssuer => "TLS failed: the issuer of the certificate is not known here",
        CertificateError::Expired | CertificateError::ExpiredContext { .. } => {
            "TLS failed: the certificate has expired"
        }
        CertificateError::NotValidYet | CertificateError::NotValidYetContext { .. } => {
            "TLS failed: the certificate is not valid yet"
        }
        CertificateError::NotValidForName | CertificateError::NotValidForNameContext { .. } => {
            "TLS failed: the certificate is for another name"
        }
        CertificateError::BadSignature => {
            "TLS failed: the certificate is signed by another key than that of its issuer"
        }
        // rustls gives the error of webpki, which is no crate of ours.
        CertificateError::Other(other) if other.0.to_string() == "CaUsedAsEndEntity" => {
            "TLS failed: the server shows the certificate of an authority (CA:TRUE); sign one for the server with it"
        }
        _ => "TLS failed: the certificate is not valid",
    }
}
