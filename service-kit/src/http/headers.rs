//! The headers that tell a browser to be careful with an answer.

use actix_web::http::header::{
    CACHE_CONTROL, CONTENT_SECURITY_POLICY, HeaderMap, HeaderName, HeaderValue, REFERRER_POLICY, X_CONTENT_TYPE_OPTIONS,
};

/// Adds them where the answer has none of its own. `/docs` and other pages say what they load.
pub(super) fn careful(headers: &mut HeaderMap) {
    or_else(headers, X_CONTENT_TYPE_OPTIONS, "nosniff");
    or_else(headers, REFERRER_POLICY, "no-referrer");
    or_else(headers, CONTENT_SECURITY_POLICY, "default-src 'none'; frame-ancestors 'none'");
}

/// Says that nobody may keep the answer, unless it says otherwise: most of what the API answers is somebody's.
pub(super) fn not_kept(headers: &mut HeaderMap) {
    or_else(headers, CACHE_CONTROL, "no-store");
}

fn or_else(headers: &mut HeaderMap, name: HeaderName, value: &'static str) {
    if !headers.contains_key(&name) {
        headers.insert(name, HeaderValue::from_static(value));
    }
}
