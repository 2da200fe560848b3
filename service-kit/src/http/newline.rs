//! Ends JSON answers with a newline, so that a shell's next prompt begins on a new line.

use std::pin::Pin;
use std::task::{Context, Poll};

use actix_web::body::{BodySize, BoxBody, MessageBody};
use actix_web::dev::ServiceResponse;
use actix_web::http::header::CONTENT_TYPE;
use actix_web::web::Bytes;

/// Adds the newline; this must come before compression.
pub(super) fn ended(response: ServiceResponse) -> ServiceResponse {
    let kind = response.headers().get(CONTENT_TYPE).and_then(|kind| kind.to_str().ok());
    let is_json = kind.is_some_and(|kind| kind.starts_with("application/json") || kind.contains("+json"));
    if !is_json || !matches!(response.response().body().size(), BodySize::Sized(1..)) {
        return response;
    }
    response.map_body(|_, body| BoxBody::new(Lined { body: Box::pin(body), ended: false }))
}

/// A body of known length, followed by a newline.
struct Lined<B> {
    body: Pin<Box<B>>,
    ended: bool,
}

impl<B: MessageBody> MessageBody for Lined<B> {
    type Error = B::Error;

    fn size(&self) -> BodySize {
        match self.body.size() {
            BodySize::Sized(length) => BodySize::Sized(length + 1),
            other => other,
        }
    }

    fn poll_next(mut self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<Option<Result<Bytes, Self::Error>>> {
        if self.ended {
            return Poll::Ready(None);
        }
        self.body.as_mut().poll_next(context).map(|part| {
            part.or_else(|| {
                self.ended = true;
                Some(Ok(Bytes::from_static(b"\n")))
            })
        })
    }
}
