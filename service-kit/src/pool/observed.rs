//! Watches a connection's stream: it shows each byte to the connection's [`Wire`], and gives up a server that leaves
//! a request without an answer for too long.
//!
//! It hooks in where TLS would: tokio-postgres performs a "TLS handshake" that agrees on TLS, or does without, and wraps
//! the stream. So the bytes are seen before they are encrypted, and the driver keeps handling the URL's hosts, addresses
//! and time limits itself.

use std::io;
use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context, Poll, ready as poll_ready};
use std::time::Duration;

use tokio::io::{AsyncRead, AsyncWrite, ReadBuf};
use tokio::time::{Instant, Sleep, sleep_until};
use tokio_postgres::tls::{ChannelBinding, MakeTlsConnect, TlsConnect, TlsStream};

use super::encrypted::{Encryption, Stream};
use super::wire::Wire;

/// Asks whether the server is alive.
pub(crate) type Ask = Arc<dyn Fn() -> Pin<Box<dyn Future<Output = bool> + Send>> + Send + Sync>;

/// How long a request may be without any answer.
#[derive(Clone)]
pub(crate) struct Patience {
    /// The connection is given up after this time, unless [`Self::ask`] finds the server alive.
    pub silence: Duration,
    /// A probe of the server, for connections whose statements may take long.
    pub ask: Option<Ask>,
}

/// Opens observed streams.
#[derive(Clone)]
pub(crate) struct Observer {
    pub wire: Arc<Wire>,
    pub patience: Patience,
    pub encryption: Encryption,
    /// The name that a certificate is checked for: the driver tells it.
    pub host: String,
}

impl<S> MakeTlsConnect<S> for Observer
where
    S: AsyncRead + AsyncWrite + Unpin + Send + 'static,
{
    type Stream = Observed<S>;
    type TlsConnect = Self;
    type Error = io::Error;

    fn make_tls_connect(&mut self, host: &str) -> io::Result<Self> {
        Ok(Self { host: host.to_owned(), ..self.clone() })
    }
}

impl<S> TlsConnect<S> for Observer
where
    S: AsyncRead + AsyncWrite + Unpin + Send + 'static,
{
    type Stream = Observed<S>;
    type Error = io::Error;
    type Future = Pin<Box<dyn Future<Output = io::Result<Observed<S>>> + Send>>;

    fn connect(self, socket: S) -> Self::Future {
        let Self { wire, patience, encryption, host } = self;
        Box::pin(async move {
            let inner = encryption.agree(socket, &host).await?;
            let alarm = Box::pin(sleep_until(Instant::now() + patience.silence));
            Ok(Observed { inner, wire, patience, alarm, is_set: false, asking: None, given_up: false })
        })
    }
}

/// A stream that reports its bytes to a [`Wire`].
pub(crate) struct Observed<S> {
    inner: Stream<S>,
    wire: Arc<Wire>,
    patience: Patience,
    /// Rings when the silence may have lasted too long. Further requests don't reset it before it rings.
    alarm: Pin<Box<Sleep>>,
    is_set: bool,
    asking: Option<Pin<Box<dyn Future<Output = bool> + Send>>>,
    given_up: bool,
}

impl<S> Observed<S> {
    fn watch(&mut self) {
        if !self.is_set && self.wire.silence().is_some() {
            self.is_set = true;
            self.alarm.as_mut().reset(Instant::now() + self.patience.silence);
        }
    }

    /// Ready once the server has been silent for too long.
    fn poll_given_up(&mut self, context: &mut Context<'_>) -> Poll<()> {
        while self.is_set && !self.given_up {
            if let Some(asking) = &mut self.asking {
                let alive = poll_ready!(asking.as_mut().poll(context));
                self.asking = None;
                if !alive {
                    break;
                }
                self.wire.excuse();
            }
            poll_ready!(self.alarm.as_mut().poll(context));
            match self.wire.silence() {
                None => self.is_set = false,
                Some(silence) if silence < self.patience.silence => {
                    self.alarm.as_mut().reset(Instant::now() + (self.patience.silence - silence));
                }
                Some(_) => match &self.patience.ask {
                    Some(ask) => self.asking = Some(ask()),
                    None => break,
                },
            }
        }
        self.given_up = self.is_set;
        if self.given_up { Poll::Ready(()) } else { Poll::Pending }
    }

    fn too_late(&self) -> io::Error {
        let told = format!("PostgreSQL left a request without an answer for {} s", self.patience.silence.as_secs());
        tracing::warn!(backend = self.wire.backend(), "{told}: the connection is closed");
        io::Error::new(io::ErrorKind::TimedOut, told)
    }
}

impl<S: AsyncRead + AsyncWrite + Unpin> AsyncRead for Observed<S> {
    fn poll_read(self: Pin<&mut Self>, context: &mut Context<'_>, buffer: &mut ReadBuf<'_>) -> Poll<io::Result<()>> {
        let this = self.get_mut();
        let before = buffer.filled().len();
        let read = Pin::new(&mut this.inner).poll_read(context, buffer);
        let new = buffer.filled().get(before..).unwrap_or_default();
        match &read {
            Poll::Pending => {
                poll_ready!(this.poll_given_up(context));
                this.wire.end();
                return Poll::Ready(Err(this.too_late()));
            }
            Poll::Ready(Ok(())) if !new.is_empty() => this.wire.received(new),
            Poll::Ready(_) => this.wire.end(),
        }
        read
    }
}

impl<S: AsyncRead + AsyncWrite + Unpin> AsyncWrite for Observed<S> {
    fn poll_write(self: Pin<&mut Self>, context: &mut Context<'_>, bytes: &[u8]) -> Poll<io::Result<usize>> {
        let this = self.get_mut();
        let written = poll_ready!(Pin::new(&mut this.inner).poll_write(context, bytes))?;
        this.wire.sent(bytes.get(..written).unwrap_or_default());
        this.watch();
        // This only registers the task to be woken; the next read reports the silence.
        let _ = this.poll_given_up(context);
        Poll::Ready(Ok(written))
    }

    fn poll_flush(self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.get_mut().inner).poll_flush(context)
    }

    fn poll_shutdown(self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.get_mut().inner).poll_shutdown(context)
    }
}

impl<S: AsyncRead + AsyncWrite + Unpin> TlsStream for Observed<S> {
    fn channel_binding(&self) -> ChannelBinding {
        self.inner.channel_binding()
    }
}

impl<S> Drop for Observed<S> {
    fn drop(&mut self) {
        self.wire.end();
    }
}
