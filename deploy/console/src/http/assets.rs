//! What pages load: one stylesheet, and two scripts of others as they came (htmx 2.0.11, and htmx's extension for
//! server-sent events 2.2.4; both BSD Zero Clause).

use actix_web::HttpResponse;
use actix_web::http::header::{CACHE_CONTROL, ETAG, IF_NONE_MATCH};
use actix_web::{HttpRequest, web};

const STYLE: &str = include_str!("../../assets/style.css");
const HTMX: &str = include_str!("../../assets/htmx.min.js");
const ICON: &str = include_str!("../../assets/icon.svg");
const SSE: &str = include_str!("../../assets/sse.min.js");

pub fn routes(config: &mut web::ServiceConfig) {
    config
        .service(web::resource("/assets/style.css").get(|request| kept(request, "text/css", STYLE)))
        .service(web::resource("/assets/icon.svg").get(|request| kept(request, "image/svg+xml", ICON)))
        .service(web::resource("/assets/htmx.min.js").get(|request| kept(request, "text/javascript", HTMX)))
        .service(web::resource("/assets/sse.min.js").get(|request| kept(request, "text/javascript", SSE)));
}

/// A browser asks again, and is told in a line that nothing has changed.
async fn kept(request: HttpRequest, kind: &'static str, text: &'static str) -> HttpResponse {
    let version = format!("\"{}\"", &crate::secrets::s256(text)[..16]);
    let known = request.headers().get(IF_NONE_MATCH).is_some_and(|known| known.as_bytes() == version.as_bytes());
    let mut answer = if known { HttpResponse::NotModified() } else { HttpResponse::Ok() };
    answer.insert_header((ETAG, version)).insert_header((CACHE_CONTROL, "no-cache"));
    if known { answer.finish() } else { answer.content_type(format!("{kind}; charset=utf-8")).body(text) }
}
