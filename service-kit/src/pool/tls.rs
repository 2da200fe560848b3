//! What a database's URL asks of TLS (`sslmode`, `sslrootcert`), with libpq's meanings.

use std::str::FromStr;
use std::sync::Arc;

use rustls_native_certs::load_native_certs;
use tokio_rustls::rustls::client::danger::{HandshakeSignatureValid, ServerCertVerified, ServerCertVerifier};
use tokio_rustls::rustls::client::verify_server_cert_signed_by_trust_anchor;
use tokio_rustls::rustls::crypto::{
    WebPkiSupportedAlgorithms, aws_lc_rs, verify_tls12_signature, verify_tls13_signature,
};
use tokio_rustls::rustls::pki_types::pem::PemObject;
use tokio_rustls::rustls::pki_types::{CertificateDer, ServerName, UnixTime};
use tokio_rustls::rustls::server::ParsedCertificate;
use tokio_rustls::rustls::{ClientConfig, DigitallySignedStruct, Error, RootCertStore, SignatureScheme};

/// The value of `sslrootcert` that means the system's certificates.
const SYSTEM: &str = "system";

/// `sslmode`.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd)]
pub(super) enum Mode {
    /// Never TLS.
    Disable,
    /// TLS only if the server refuses a plain connection.
    Allow,
    /// TLS if the server has it.
    #[default]
    Prefer,
    /// Always TLS.
    Require,
    /// Always TLS, and a CA that is known signed the server's certificate.
    VerifyCa,
    /// The same, and the certificate is for the host that the URL names.
    VerifyFull,
}

impl FromStr for Mode {
    type Err = &'static str;

    fn from_str(text: &str) -> Result<Self, Self::Err> {
        match text {
            "disable" => Ok(Self::Disable),
            "allow" => Ok(Self::Allow),
            "prefer" => Ok(Self::Prefer),
            "require" => Ok(Self::Require),
            "verify-ca" => Ok(Self::VerifyCa),
            "verify-full" => Ok(Self::VerifyFull),
            _ => Err("its sslmode is none of disable, allow, prefer, require, verify-ca and verify-full"),
        }
    }
}

/// How one connection is opened.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Way {
    Plain,
    /// With TLS if the server has it.
    IfOffered,
    Tls,
}

/// What a URL asks of TLS.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Tls {
    mode: Mode,
    root: Option<String>,
}

impl Tls {
    /// Reads no file yet.
    ///
    /// # Errors
    /// Fails if `sslmode` and `sslrootcert` don't go together. Such a URL would check less than it seems to.
    pub fn new(mode: Option<Mode>, root: Option<String>) -> Result<Self, String> {
        let mode = mode.unwrap_or_default();
        match root.as_deref() {
            Some(_) if mode < Mode::Require => {
                Err("its sslrootcert needs sslmode=verify-full (or require or verify-ca): any weaker one checks no \
                     certificate"
                    .to_owned())
            }
            Some(SYSTEM) if mode != Mode::VerifyFull => Err("its sslrootcert=system needs sslmode=verify-full: \
                 everybody can have a certificate of a public CA"
                .to_owned()),
            None if mode == Mode::VerifyCa => Err("its sslmode=verify-ca needs sslrootcert, the file with the CA's \
                 certificate in PEM"
                .to_owned()),
            _ => Ok(Self { mode, root }),
        }
    }

    /// The ways to try with one host: the first, and maybe another that is tried if the first is refused.
    pub fn ways(&self) -> (Way, Option<Way>) {
        match self.mode {
            Mode::Disable => (Way::Plain, None),
            Mode::Allow => (Way::Plain, Some(Way::Tls)),
            Mode::Prefer => (Way::IfOffered, Some(Way::Plain)),
            Mode::Require | Mode::VerifyCa | Mode::VerifyFull => (Way::Tls, None),
        }
    }

    /// What a handshake needs. It reads the certificates each time, so that renewed ones are used without a restart.
    ///
    /// # Errors
    /// Fails with the reason if there are no certificates where the URL says.
    pub fn client(&self) -> Result<ClientConfig, String> {
        let provider = Arc::new(aws_lc_rs::default_provider());
        let algorithms = provider.signature_verification_algorithms;
        let builder = ClientConfig::builder_with_provider(provider)
            .with_safe_default_protocol_versions()
            .map_err(|error| error.to_string())?;
        let builder = match self.roots()? {
            Some(roots) if self.mode == Mode::VerifyFull => builder.with_root_certificates(roots),
            roots => {
                let any_name = Arc::new(AnyName { roots, algorithms });
                builder.dangerous().with_custom_certificate_verifier(any_name)
            }
        };
        Ok(builder.with_no_client_auth())
    }

    /// The certificates of the CAs that are believed; none where no certificate is checked.
    fn roots(&self) -> Result<Option<RootCertStore>, String> {
        match self.root.as_deref() {
            None | Some(SYSTEM) if self.mode == Mode::VerifyFull => systems().map(Some),
            None => Ok(None),
            Some(file) => in_file(file).map(Some),
        }
    }
}

fn in_file(file: &str) -> Result<RootCertStore, String> {
    let bytes = std::fs::read(file).map_err(|error| format!("its sslrootcert {file} can't be read: {error}"))?;
    let certificates: Result<Vec<_>, _> = CertificateDer::pem_slice_iter(&bytes).collect();
    let certificates = certificates.map_err(|_| format!("its sslrootcert {file} is not whole PEM"))?;
    let mut roots = RootCertStore::empty();
    roots.add_parsable_certificates(certificates);
    if roots.is_empty() {
        return Err(format!("its sslrootcert {file} has no certificate in PEM"));
    }
    Ok(roots)
}

fn systems() -> Result<RootCertStore, String> {
    let (found, mut roots) = (load_native_certs(), RootCertStore::empty());
    roots.add_parsable_certificates(found.certs);
    if roots.is_empty() {
        let why = found.errors.first().map(|error| format!(" ({error})")).unwrap_or_default();
        return Err(format!("its sslmode=verify-full needs sslrootcert: the system has no certificates of CAs{why}"));
    }
    Ok(roots)
}

/// Accepts a certificate for any name. With roots, one of them must have signed it; without, everything is accepted,
/// as `require` and less say.
#[derive(Debug)]
struct AnyName {
    roots: Option<RootCertStore>,
    algorithms: WebPkiSupportedAlgorithms,
}

impl ServerCertVerifier for AnyName {
    fn verify_server_cert(
        &self,
        end_entity: &CertificateDer<'_>,
        intermediates: &[CertificateDer<'_>],
        _: &ServerName<'_>,
        _: &[u8],
        now: UnixTime,
    ) -> Result<ServerCertVerified, Error> {
        if let Some(roots) = &self.roots {
            let certificate = ParsedCertificate::try_from(end_entity)?;
            let algorithms = self.algorithms.all;
            verify_server_cert_signed_by_trust_anchor(&certificate, roots, intermediates, now, algorithms)?;
        }
        Ok(ServerCertVerified::assertion())
    }

    // Where nobody asks whose certificate it is, its signature would prove nothing. Certificates of version 1, as older
    // recipes make them, can't be read here.
    fn verify_tls12_signature(
        &self,
        message: &[u8],
        certificate: &CertificateDer<'_>,
        signature: &DigitallySignedStruct,
    ) -> Result<HandshakeSignatureValid, Error> {
        match self.roots {
            Some(_) => verify_tls12_signature(message, certificate, signature, &self.algorithms),
            None => Ok(HandshakeSignatureValid::assertion()),
        }
    }

    fn verify_tls13_signature(
        &self,
        message: &[u8],
        certificate: &CertificateDer<'_>,
        signature: &DigitallySignedStruct,
    ) -> Result<HandshakeSignatureValid, Error> {
        match self.roots {
            Some(_) => verify_tls13_signature(message, certificate, signature, &self.algorithms),
            None => Ok(HandshakeSignatureValid::assertion()),
        }
    }

    fn supported_verify_schemes(&self) -> Vec<SignatureScheme> {
        self.algorithms.supported_schemes()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn refused(mode: Option<Mode>, root: &str) -> String {
        let tls = Tls::new(mode, Some(root.to_owned()));
        tls.and_then(|tls| tls.client()).unwrap_err()
    }

    #[test]
    fn a_url_that_would_check_less_than_it_seems_to_is_refused() {
        for mode in [None, Some(Mode::Disable), Some(Mode::Allow), Some(Mode::Prefer)] {
            assert!(refused(mode, "/ca.pem").contains("needs sslmode=verify-full"), "{mode:?}");
        }
        for mode in [Mode::Require, Mode::VerifyCa] {
            assert!(refused(Some(mode), SYSTEM).contains("sslrootcert=system needs sslmode=verify-full"), "{mode:?}");
        }
        assert!(Tls::new(Some(Mode::VerifyCa), None).unwrap_err().contains("needs sslrootcert"));
    }

    #[test]
    fn a_file_without_a_certificate_is_refused_with_its_name() {
        let folder = tempfile::tempdir().unwrap();
        let missing = folder.path().join("ca.pem").display().to_string();
        let told = refused(Some(Mode::VerifyFull), &missing);
        assert!(told.contains(&missing) && told.contains("can't be read: No such file"), "{told}");
        for text in ["", "no certificate", "-----BEGIN CERTIFICATE-----\nAAAA\n-----END CERTIFICATE-----\n"] {
            std::fs::write(&missing, text).unwrap();
            let told = refused(Some(Mode::Require), &missing);
            assert!(told.contains(&missing) && told.contains("has no certificate in PEM"), "{told}");
        }
        std::fs::write(&missing, "-----BEGIN CERTIFICATE-----\nAAAA\n").unwrap();
        let told = refused(Some(Mode::Require), &missing);
        assert!(told.contains(&missing) && told.contains("is not whole PEM"), "{told}");
    }
}
