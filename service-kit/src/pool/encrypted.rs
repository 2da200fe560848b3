//! Agrees with a server on TLS, and reads and writes through it.

use std::io;
use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context, Poll};

use sha2::{Digest, Sha256, Sha384, Sha512};
use tokio::io::{AsyncRead, AsyncReadExt, AsyncWrite, AsyncWriteExt, ReadBuf};
use tokio_postgres::tls::ChannelBinding;
use tokio_rustls::TlsConnector;
use tokio_rustls::client::TlsStream;
use tokio_rustls::rustls::ClientConfig;
use tokio_rustls::rustls::pki_types::ServerName;

use super::tls::Way;

/// PostgreSQL's `SSLRequest`: a length and a number.
const SSL_REQUEST: [u8; 8] = [0, 0, 0, 8, 0x04, 0xd2, 0x16, 0x2f];
/// The reason that is given for a server without TLS where the URL asks for it.
pub(super) const NO_TLS: &str = "the server has no TLS";

/// How a connection is encrypted.
#[derive(Clone)]
pub(crate) struct Encryption {
    pub way: Way,
    pub client: Arc<ClientConfig>,
}

impl Encryption {
    /// Asks the server for TLS and performs the handshake. No byte beyond the server's one-byte answer is read before
    /// the handshake, so nobody can put plain text in front of it.
    pub async fn agree<S>(self, mut stream: S, host: &str) -> io::Result<Stream<S>>
    where
        S: AsyncRead + AsyncWrite + Unpin,
    {
        if self.way == Way::Plain {
            return Ok(Stream::Plain(stream));
        }
        stream.write_all(&SSL_REQUEST).await?;
        stream.flush().await?;
        match (stream.read_u8().await?, self.way) {
            (b'S', _) => {
                let name = ServerName::try_from(host.to_owned())
                    .map_err(|_| io::Error::other(format!("{host:?} is no name that a certificate can have")))?;
                let stream = TlsConnector::from(self.client).connect(name, stream).await?;
                Ok(Stream::Encrypted(Box::new(stream)))
            }
            (b'N', Way::IfOffered) => Ok(Stream::Plain(stream)),
            (b'N', _) => Err(io::Error::other(NO_TLS)),
            _ => Err(io::Error::other("the server answered the request for TLS with an error")),
        }
    }
}

/// A socket, with TLS or without.
pub(crate) enum Stream<S> {
    Plain(S),
    Encrypted(Box<TlsStream<S>>),
}

impl<S> Stream<S> {
    /// What ties a password's proof to this server's certificate (`tls-server-end-point` of RFC 5929).
    pub fn channel_binding(&self) -> ChannelBinding {
        let Self::Encrypted(stream) = self else { return ChannelBinding::none() };
        let certificate = stream.get_ref().1.peer_certificates().and_then(|chain| chain.first());
        match certificate.and_then(|certificate| end_point(certificate)) {
            Some(hash) => ChannelBinding::tls_server_end_point(hash),
            None => ChannelBinding::none(),
        }
    }
}

/// The certificate's hash by the function that its signature uses, as the server computes it. None for a signature
/// without a hash function of its own, such as Ed25519: then the client offers no binding.
fn end_point(certificate: &[u8]) -> Option<Vec<u8>> {
    match signature_algorithm(certificate)? {
        // RSA with SHA-256, or with SHA-1, instead of which RFC 5929 takes SHA-256; ECDSA with SHA-256
        [0x2a, 0x86, 0x48, 0x86, 0xf7, 0x0d, 1, 1, 0x0b | 0x05] | [0x2a, 0x86, 0x48, 0xce, 0x3d, 4, 3, 2] => {
            Some(Sha256::digest(certificate).to_vec())
        }
        [0x2a, 0x86, 0x48, 0x86, 0xf7, 0x0d, 1, 1, 0x0c] | [0x2a, 0x86, 0x48, 0xce, 0x3d, 4, 3, 3] => {
            Some(Sha384::digest(certificate).to_vec())
        }
        [0x2a, 0x86, 0x48, 0x86, 0xf7, 0x0d, 1, 1, 0x0d] | [0x2a, 0x86, 0x48, 0xce, 0x3d, 4, 3, 4] => {
            Some(Sha512::digest(certificate).to_vec())
        }
        _ => None,
    }
}

/// The object identifier of a certificate's signature: `SEQUENCE { what is signed, SEQUENCE { identifier, .. }, .. }`.
fn signature_algorithm(certificate: &[u8]) -> Option<&[u8]> {
    let (certificate, _) = element(certificate)?;
    let (_signed, after) = element(certificate)?;
    let (algorithm, _) = element(after)?;
    element(algorithm).map(|(identifier, _)| identifier)
}

/// The content of the first DER element, and what comes after it.
fn element(der: &[u8]) -> Option<(&[u8], &[u8])> {
    let (_tag, der) = der.split_first()?;
    let (length, der) = der.split_first()?;
    let (length, der) = match *length {
        short @ 0..0x80 => (usize::from(short), der),
        long => {
            let (bytes, der) = der.split_at_checked(usize::from(long & 0x7f))?;
            let longer = |length: usize, byte: &u8| length.checked_mul(256)?.checked_add(usize::from(*byte));
            (bytes.iter().try_fold(0, longer)?, der)
        }
    };
    der.split_at_checked(length)
}

impl<S: AsyncRead + AsyncWrite + Unpin> AsyncRead for Stream<S> {
    fn poll_read(self: Pin<&mut Self>, context: &mut Context<'_>, buffer: &mut ReadBuf<'_>) -> Poll<io::Result<()>> {
        match self.get_mut() {
            Self::Plain(stream) => Pin::new(stream).poll_read(context, buffer),
            Self::Encrypted(stream) => Pin::new(stream).poll_read(context, buffer),
        }
    }
}

impl<S: AsyncRead + AsyncWrite + Unpin> AsyncWrite for Stream<S> {
    fn poll_write(self: Pin<&mut Self>, context: &mut Context<'_>, bytes: &[u8]) -> Poll<io::Result<usize>> {
        match self.get_mut() {
            Self::Plain(stream) => Pin::new(stream).poll_write(context, bytes),
            Self::Encrypted(stream) => Pin::new(stream).poll_write(context, bytes),
        }
    }

    fn poll_flush(self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<io::Result<()>> {
        match self.get_mut() {
            Self::Plain(stream) => Pin::new(stream).poll_flush(context),
            Self::Encrypted(stream) => Pin::new(stream).poll_flush(context),
        }
    }

    fn poll_shutdown(self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<io::Result<()>> {
        match self.get_mut() {
            Self::Plain(stream) => Pin::new(stream).poll_shutdown(context),
            Self::Encrypted(stream) => Pin::new(stream).poll_shutdown(context),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_certificate_that_is_cut_short_or_lies_about_its_length_has_no_hash() {
        // SEQUENCE { SEQUENCE { 5 }, SEQUENCE { ecdsa-with-SHA384 } }
        let certificate =
            [&[0x30, 0x81, 0x11, 0x30, 3, 2, 1, 5, 0x30, 0x0a, 6, 8][..], &[0x2a, 0x86, 0x48, 0xce, 0x3d, 4, 3, 3]]
                .concat();
        assert_eq!(end_point(&certificate), Some(Sha384::digest(&certificate).to_vec()));
        for length in 0..certificate.len() {
            assert_eq!(end_point(&certificate[..length]), None, "{length}");
        }
        assert_eq!(end_point(&[0x30, 0x89, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0x30]), None);
    }
}
