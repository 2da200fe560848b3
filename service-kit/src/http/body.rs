//! Reads a request's body as a whole before any handler runs, within limits of time and memory.
//!
//! A client that sends slowly costs a connection and at most [`FREE`] bytes, for a bounded time. Longer bodies take
//! room from a memory that all bodies share. When it is full, a long body is refused at once; short ones, such as
//! orders, are read as usual.

use std::sync::Arc;
use std::time::Duration;

use actix_web::HttpMessage;
use actix_web::dev::{Payload, ServiceRequest};
use actix_web::http::header::{CONTENT_ENCODING, CONTENT_LENGTH};
use actix_web::web::{Bytes, BytesMut};
use futures_util::{StreamExt, stream};
use tokio::sync::{OwnedSemaphorePermit, Semaphore};
use tokio::time::{Instant, timeout_at};

use super::Problem;

/// The longest body, in bytes: 100 order lines take about a tenth of it.
const LIMIT: usize = 256 * 1024;

/// Up to this many bytes, a body needs no share of the common memory.
const FREE: usize = 16 * 1024;

/// Limits on what a server's clients may use.
#[derive(Clone, Copy, Debug)]
pub struct Limits {
    /// How many connections it serves; further ones wait to be accepted.
    pub connections: usize,
    /// How long the first line and the headers of a connection's first request may take to arrive.
    pub head_time: Duration,
    /// How long a connection that was answered may take for its next request, from the answer on to the end of the headers.
    pub next_time: Duration,
    /// How long a body may take to arrive.
    pub body_time: Duration,
    /// The memory that all bodies above 16 KiB share, in bytes.
    pub long_bodies: usize,
}

impl Default for Limits {
    /// A connection may take some 150 kB while a body arrives, so the default limits stay well below the memory of a
    /// service's container.
    fn default() -> Self {
        Self {
            connections: 768,
            head_time: Duration::from_secs(5),
            // Long, since a slow client may still be reading the answer.
            next_time: Duration::from_secs(60),
            body_time: Duration::from_secs(10),
            long_bodies: 16 * 1024 * 1024,
        }
    }
}

/// The memory that a server's long bodies share.
#[derive(Clone)]
pub(super) struct BodyRoom {
    long: Arc<Semaphore>,
    time: Duration,
}

/// A body's share of the common memory. Dropping it, once the request is answered, gives it back.
pub(super) struct Share(#[expect(dead_code, reason = "it is held, not used")] Option<OwnedSemaphorePermit>);

impl BodyRoom {
    pub(super) fn new(limits: Limits) -> Self {
        Self { long: Arc::new(Semaphore::new(limits.long_bodies)), time: limits.body_time }
    }

    /// Reads the body and puts it back into the request, for the handler.
    pub(super) async fn read(&self, request: &mut ServiceRequest) -> Result<Share, Problem> {
        let declared = declared_length(request)?;
        if declared == Some(0) {
            return Ok(Share(None));
        }
        let end = Instant::now() + self.time;
        let (mut payload, mut body, mut share) = (request.take_payload(), BytesMut::new(), None);
        loop {
            let next = timeout_at(end, payload.next()).await.map_err(|_| self.too_slow())?;
            let Some(chunk) = next else { break };
            let chunk = chunk.map_err(|_| Problem::malformed("The body could not be read to its end."))?;
            let length = body.len() + chunk.len();
            if length > LIMIT {
                return Err(too_large());
            }
            if length > FREE && share.is_none() {
                let all = declared.unwrap_or(LIMIT);
                share = Some(self.share(all)?);
                body.reserve(all - body.len());
            }
            body.extend_from_slice(&chunk);
        }
        let whole: Bytes = body.freeze();
        let whole = stream::once(std::future::ready(Ok(whole)));
        request.set_payload(Payload::Stream { payload: Box::pin(whole) });
        Ok(Share(share))
    }

    fn share(&self, bytes: usize) -> Result<OwnedSemaphorePermit, Problem> {
        let bytes = u32::try_from(bytes).unwrap_or(u32::MAX);
        self.long.clone().try_acquire_many_owned(bytes).map_err(|_| {
            Problem::unavailable(format!(
                "Too many long bodies are arriving; a body of at most {FREE} bytes would be accepted now."
            ))
        })
    }

    fn too_slow(&self) -> Problem {
        Problem::too_slow(format!("The body did not arrive within {} seconds.", self.time.as_secs_f32()))
    }
}

/// The body's length as the request declares it.
fn declared_length(request: &ServiceRequest) -> Result<Option<usize>, Problem> {
    let headers = request.headers();
    if headers.get_all(CONTENT_ENCODING).any(|coding| !coding.as_bytes().eq_ignore_ascii_case(b"identity")) {
        return Err(Problem::unsupported_media_type("Content-Encoding: expected an unencoded body."));
    }
    let declared = headers.get(CONTENT_LENGTH).and_then(|length| length.to_str().ok()?.parse().ok());
    if declared.is_some_and(|length| length > LIMIT) { Err(too_large()) } else { Ok(declared) }
}

fn too_large() -> Problem {
    Problem::too_large(format!("The body may have {LIMIT} bytes at most."))
}
