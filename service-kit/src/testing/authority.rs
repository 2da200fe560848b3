//! Certificates for tests.

use std::path::{Path, PathBuf};

use rcgen::{BasicConstraints, CertificateParams, CertifiedIssuer, DnType, IsCa, KeyPair, date_time_ymd};

/// A certificate authority of a test's own.
pub struct Authority(CertifiedIssuer<'static, KeyPair>);

impl Authority {
    /// A new one of this name.
    pub fn new(name: &str) -> Self {
        let mut params = CertificateParams::new([]).unwrap();
        params.distinguished_name.push(DnType::CommonName, name);
        params.is_ca = IsCa::Ca(BasicConstraints::Unconstrained);
        Self(CertifiedIssuer::self_signed(params, KeyPair::generate().unwrap()).unwrap())
    }

    /// Writes its own certificate into this file, in PEM.
    pub fn certificate_in(&self, file: impl AsRef<Path>) -> PathBuf {
        std::fs::write(&file, self.0.pem()).unwrap();
        file.as_ref().to_owned()
    }

    /// A new key, and the certificate that it belongs to this host or program, both in PEM.
    pub fn vouch_for(&self, name: &str) -> (String, String) {
        self.vouch_until(name, 4096)
    }

    /// The same, until this year begins.
    pub fn vouch_until(&self, name: &str, year: i32) -> (String, String) {
        let key = KeyPair::generate().unwrap();
        let mut params = CertificateParams::new([name.to_owned()]).unwrap();
        params.distinguished_name.push(DnType::CommonName, name);
        params.not_after = date_time_ymd(year, 1, 1);
        let certificate = params.signed_by(&key, &self.0).unwrap();
        (key.serialize_pem(), certificate.pem())
    }

    /// Its own key and certificate, both in PEM.
    pub fn itself(&self) -> (String, String) {
        (self.0.key().serialize_pem(), self.0.pem())
    }
}
