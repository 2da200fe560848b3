//! gzip for answers that are worth it. A stream is never compressed: its events must leave as they happen.
//!
//! actix's own `compress-gzip` would also unpack request bodies, a chunk at a time and whole: some bytes sent would become
//! megabytes held.

use std::io::Write;

use actix_web::body::{self, BodySize, BoxBody, MessageBody};
use actix_web::dev::ServiceResponse;
use actix_web::http::header::{
    ACCEPT_ENCODING, AcceptEncoding, CONTENT_ENCODING, CONTENT_TYPE, ETAG, Encoding, Header, HeaderValue, VARY,
};
use flate2::Compression;
use flate2::write::GzEncoder;

/// Below this a packet is one packet anyway.
const LEAST: u64 = 1_024;

/// Compresses the answer where that is worth it and its client takes it.
pub(super) async fn encoded(mut response: ServiceResponse) -> ServiceResponse {
    if !is_worth_it(&response) {
        return response;
    }
    response.headers_mut().append(VARY, HeaderValue::from_static("accept-encoding"));
    if !takes_gzip(&response) {
        return response;
    }
    let (request, response) = response.into_parts();
    let (mut head, whole) = response.into_parts();
    // what is in memory already is read without fail
    let Ok(whole) = body::to_bytes(whole).await else {
        return ServiceResponse::new(request, head.set_body(BoxBody::new(())));
    };
    let mut encoder = GzEncoder::new(Vec::with_capacity(whole.len() / 4), Compression::fast());
    let packed = encoder.write_all(&whole).and_then(|()| encoder.finish());
    let head = match packed {
        Ok(packed) => {
            head.headers_mut().insert(CONTENT_ENCODING, HeaderValue::from_static("gzip"));
            head.set_body(BoxBody::new(packed))
        }
        Err(_) => head.set_body(BoxBody::new(whole)),
    };
    ServiceResponse::new(request, head)
}

/// Text that is in memory and has no validator, which would have to be another for each encoding.
fn is_worth_it(response: &ServiceResponse) -> bool {
    let kind = response.headers().get(CONTENT_TYPE).map_or(&b""[..], HeaderValue::as_bytes);
    matches!(response.response().body().size(), BodySize::Sized(LEAST..))
        && (kind.starts_with(b"text/") || kind.starts_with(b"application/"))
        && !response.headers().contains_key(CONTENT_ENCODING)
        && !response.headers().contains_key(ETAG)
}

fn takes_gzip(response: &ServiceResponse) -> bool {
    response.request().headers().contains_key(ACCEPT_ENCODING)
        && AcceptEncoding::parse(response.request())
            .ok()
            .and_then(|accepted| accepted.negotiate([Encoding::gzip(), Encoding::identity()].iter()))
            .is_some_and(|chosen| chosen == Encoding::gzip())
}
