//! Compresses answers with gzip if that is worthwhile. Streams are never compressed, because their events must be
//! sent as they happen.
//!
//! actix's own `compress-gzip` would also decompress request bodies, so that a few bytes sent could become megabytes
//! in memory.

use std::io::Write;

use actix_web::body::{self, BodySize, BoxBody, MessageBody};
use actix_web::dev::ServiceResponse;
use actix_web::http::header::{
    ACCEPT_ENCODING, AcceptEncoding, CONTENT_ENCODING, CONTENT_TYPE, ETAG, Encoding, Header, HeaderValue, VARY,
};
use flate2::Compression;
use flate2::write::GzEncoder;

/// The shortest answer that is compressed; a shorter one fits a network packet either way.
const LEAST: u64 = 1_024;

/// Compresses the answer if that is worthwhile and the client accepts it.
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
    // Reading fails only for a stream, and this body is in memory.
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

/// Whether the answer is text in memory without an `ETag`. With one, each encoding would need a validator of its own.
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
