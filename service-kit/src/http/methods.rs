//! Answers HEAD wherever there is a GET, and OPTIONS everywhere, so that routes need not.

use std::pin::Pin;
use std::task::{Context, Poll};

use actix_web::HttpResponse;
use actix_web::body::{BodySize, BoxBody, MessageBody};
use actix_web::dev::{ServiceRequest, ServiceResponse};
use actix_web::http::Method;
use actix_web::http::header::{ALLOW, HeaderValue};
use actix_web::web::Bytes;

/// Turns a HEAD into a GET; [`without_body`] removes the body from the answer.
pub(super) fn as_routed(request: &mut ServiceRequest) -> Method {
    let asked = request.method().clone();
    if asked == Method::HEAD {
        request.head_mut().method = Method::GET;
    }
    asked
}

/// The allowed methods, from the router's `Allow` header: HEAD goes with GET, and OPTIONS with everything.
pub(super) fn allowed(routed: Option<&HeaderValue>) -> String {
    let routed = routed.and_then(|methods| methods.to_str().ok()).unwrap_or_default();
    let mut methods: Vec<&str> = routed.split(',').map(str::trim).filter(|method| !method.is_empty()).collect();
    for (with, method) in [(Some("GET"), "HEAD"), (None, "OPTIONS")] {
        if !methods.contains(&method) && with.is_none_or(|with| methods.contains(&with)) {
            methods.push(method);
        }
    }
    methods.join(", ")
}

/// The answer to OPTIONS, with the allowed methods.
pub(super) fn options(allowed: &str) -> HttpResponse {
    HttpResponse::NoContent().insert_header((ALLOW, allowed)).finish()
}

/// The answer to a HEAD: a GET's answer with its length, but without its body.
pub(super) fn without_body(response: ServiceResponse) -> ServiceResponse {
    response.map_body(|_, body| {
        let size = body.size();
        BoxBody::new(NoBody(size))
    })
}

struct NoBody(BodySize);

impl MessageBody for NoBody {
    type Error = std::convert::Infallible;

    fn size(&self) -> BodySize {
        self.0
    }

    fn poll_next(self: Pin<&mut Self>, _: &mut Context<'_>) -> Poll<Option<Result<Bytes, Self::Error>>> {
        Poll::Ready(None)
    }
}
