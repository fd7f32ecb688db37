//! An authority of these tests' own, and servers that it vouches for.

use super::*;
use pylon_receiver::config::HttpTransport;
use rcgen::{BasicConstraints, CertificateParams, DnType, ExtendedKeyUsagePurpose, IsCa, Issuer, KeyPair};
use rustls::crypto::ring;
use rustls::pki_types::pem::PemObject;
use rustls::pki_types::{CertificateDer, PrivateKeyDer};
use rustls::server::WebPkiClientVerifier;
use rustls::{RootCertStore, ServerConfig};
use std::net::SocketAddr;
use std::path::PathBuf;
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use tempfile::TempDir;
use tokio_rustls::TlsAcceptor;

/// An authority, with its certificate in a file.
pub(crate) struct Authority {
    pub(crate) folder: TempDir,
    issuer: Issuer<'static, KeyPair>,
    der: CertificateDer<'static>,
}

impl Authority {
    /// One with a name of its own: those of the same name would be taken for one.
    pub(crate) fn new() -> Self {
        static NUMBER: AtomicUsize = AtomicUsize::new(0);
        Self::named(&format!("authority {}", NUMBER.fetch_add(1, Ordering::Relaxed)))
    }

    pub(crate) fn named(name: &str) -> Self {
        let mut params = CertificateParams::default();
        params.is_ca = IsCa::Ca(BasicConstraints::Unconstrained);
        params.distinguished_name.push(DnType::CommonName, name);
        let key = KeyPair::generate().unwrap();
        let certificate = params.self_signed(&key).unwrap();
        let folder = tempfile::tempdir().unwrap();
        std::fs::write(folder.path().join("ca.pem"), certificate.pem()).unwrap();
        Self { folder, der: certificate.der().clone(), issuer: Issuer::new(params, key) }
    }

    /// The file of its certificate.
    pub(crate) fn file(&self) -> PathBuf {
        self.folder.path().join("ca.pem")
    }

    /// A certificate for these names and its key, as PEM.
    pub(crate) fn certify(&self, names: &[&str]) -> (String, String) {
        let key = KeyPair::generate().unwrap();
        let mut params = CertificateParams::new(names.iter().map(|&name| name.to_owned()).collect::<Vec<_>>()).unwrap();
        params.extended_key_usages = vec![ExtendedKeyUsagePurpose::ServerAuth, ExtendedKeyUsagePurpose::ClientAuth];
        let certificate = params.signed_by(&key, &self.issuer).unwrap();
        (certificate.pem(), key.serialize_pem())
    }

    /// A server at 127.0.0.1 and `localhost`.
    pub(crate) fn server(&self) -> TlsAcceptor {
        self.server_for(&["127.0.0.1", "localhost"], None)
    }

    /// A server with these names, which asks for client certificates of an authority if there is one.
    pub(crate) fn server_for(&self, names: &[&str], clients: Option<&Self>) -> TlsAcceptor {
        let (certificate, key) = self.certify(names);
        server((&certificate, &key), clients)
    }

    /// A destination that trusts this authority alone.
    pub(crate) fn to(&self, address: SocketAddr) -> TransportConfig {
        TransportConfig::Http(self.http(&format!("https://{address}/")))
    }

    /// The same, with another URL.
    pub(crate) fn http(&self, url: &str) -> HttpTransport {
        HttpTransport::new(url.parse().unwrap()).ca(Some(self.file()))
    }
}

/// A server with this certificate and key (PEM), which asks for client certificates of an authority if there is one.
pub(crate) fn server((certificate, key): (&str, &str), clients: Option<&Authority>) -> TlsAcceptor {
    let chain = vec![CertificateDer::from_pem_slice(certificate.as_bytes()).unwrap()];
    let key = PrivateKeyDer::from_pem_slice(key.as_bytes()).unwrap();
    let provider = Arc::new(ring::default_provider());
    let config = ServerConfig::builder_with_provider(provider.clone()).with_safe_default_protocol_versions().unwrap();
    let config = match clients {
        None => config.with_no_client_auth(),
        Some(authority) => {
            let mut roots = RootCertStore::empty();
            roots.add(authority.der.clone()).unwrap();
            let verifier = WebPkiClientVerifier::builder_with_provider(roots.into(), provider).build().unwrap();
            config.with_client_cert_verifier(verifier)
        }
    };
    Arc::new(config.with_single_cert(chain, key).unwrap()).into()
}
