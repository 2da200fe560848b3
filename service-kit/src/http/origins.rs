//! What pages of other sites may do: nothing, unless `CORS_ORIGINS` names them.
//!
//! A browser sends some requests for any page, without asking the service: forms, and a POST without a body. It says of
//! each where the page comes from, so a request that changes something is refused if that is elsewhere. Programs that are no
//! browser say nothing of the kind. Reading is harmless: the browser keeps the answer from the page.

use std::str::FromStr;
use std::sync::Arc;

use actix_web::HttpResponse;
use actix_web::dev::{ServiceRequest, ServiceResponse};
use actix_web::http::Method;
use actix_web::http::header::{self, HeaderMap, HeaderValue};
use url::{Origin, Url};

use super::{Problem, hosts};

/// What a page may send, and read, beyond what any page may.
const METHODS: &str = "GET, HEAD, POST, PUT, PATCH, DELETE";
const SENT: &str = "authorization, content-type, idempotency-key, if-match, last-event-id, traceparent";
const READ: &str = "etag, location, retry-after, www-authenticate";

/// For how many seconds a browser need not ask again.
const MAX_AGE: u32 = 600;

/// The origins whose pages may use the API, as browsers write them. No cookie goes with it: who a request is from is told
/// by its token alone.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Origins(Arc<[String]>);

impl Origins {
    fn known<'a>(&self, headers: &'a HeaderMap) -> Option<&'a HeaderValue> {
        let origin = headers.get(header::ORIGIN)?;
        self.0.iter().any(|known| known.as_bytes() == origin.as_bytes()).then_some(origin)
    }

    /// Refuses what a page of another site wants changed.
    pub(super) fn check(&self, request: &ServiceRequest) -> Result<(), Problem> {
        let is_safe = [Method::GET, Method::HEAD, Method::OPTIONS].contains(request.method());
        if is_safe || self.known(request.headers()).is_some() || !is_cross_site(request) {
            return Ok(());
        }
        Err(Problem::cross_site("A page of another site sent this; CORS_ORIGINS names those that may."))
    }

    /// The answer to a browser that asks whether a page may send a request.
    pub(super) fn preflight(&self, request: &ServiceRequest) -> Option<HttpResponse> {
        let asks = request.method() == Method::OPTIONS
            && request.headers().contains_key(header::ACCESS_CONTROL_REQUEST_METHOD)
            && self.known(request.headers()).is_some();
        asks.then(|| {
            HttpResponse::NoContent()
                .insert_header((header::ACCESS_CONTROL_ALLOW_METHODS, METHODS))
                .insert_header((header::ACCESS_CONTROL_ALLOW_HEADERS, SENT))
                .insert_header((header::ACCESS_CONTROL_MAX_AGE, MAX_AGE))
                .finish()
        })
    }

    /// Lets a page read the answer, if it is of one of these origins.
    pub(super) fn share(&self, mut response: ServiceResponse) -> ServiceResponse {
        if self.0.is_empty() {
            return response;
        }
        let known = self.known(response.request().headers()).cloned();
        let headers = response.headers_mut();
        headers.append(header::VARY, HeaderValue::from_static("origin"));
        if let Some(origin) = known {
            headers.insert(header::ACCESS_CONTROL_ALLOW_ORIGIN, origin);
            headers.insert(header::ACCESS_CONTROL_EXPOSE_HEADERS, HeaderValue::from_static(READ));
        }
        response
    }
}

/// Whether a browser sent it for a page of another site. `Sec-Fetch-Site` says so; a browser that doesn't know it says the
/// page's origin.
fn is_cross_site(request: &ServiceRequest) -> bool {
    let headers = request.headers();
    if let Some(site) = headers.get("sec-fetch-site") {
        return !matches!(site.as_bytes(), b"same-origin" | b"none");
    }
    let Some(origin) = headers.get(header::ORIGIN) else { return false };
    let place = origin.to_str().ok().and_then(|origin| origin.split_once("://")).map(|(_, place)| place);
    let host = hosts::asked(request);
    place.zip(host).is_none_or(|(place, host)| !place.eq_ignore_ascii_case(&host))
}

impl FromStr for Origins {
    type Err = &'static str;

    fn from_str(text: &str) -> Result<Self, Self::Err> {
        let origin = |text: &str| {
            let url = Url::parse(text.trim()).ok()?;
            let is_bare = url.path() == "/" && url.query().is_none() && url.fragment().is_none();
            let is_web =
                matches!(url.scheme(), "http" | "https") && url.username().is_empty() && url.password().is_none();
            match url.origin() {
                origin @ Origin::Tuple(..) if is_bare && is_web => Some(origin.ascii_serialization()),
                _ => None,
            }
        };
        let origins: Option<Vec<_>> = text.split(',').map(origin).collect();
        origins.map(|origins| Self(origins.into())).ok_or("a part of it is no http or https origin")
    }
}

#[cfg(test)]
mod tests {
    use actix_web::test::TestRequest;

    use super::*;

    fn refuses(origins: &str, method: Method, headers: &[(&'static str, &str)]) -> bool {
        let request = TestRequest::default().method(method).insert_header(("host", "shop.example:8080"));
        let request = headers.iter().fold(request, |request, header| request.append_header(*header));
        let origins: Origins = if origins.is_empty() { Origins::default() } else { origins.parse().unwrap() };
        origins.check(&request.to_srv_request()).is_err()
    }

    #[test]
    fn what_a_page_of_another_site_wants_changed_is_refused_and_what_it_reads_is_not() {
        let evil = ("origin", "https://evil.example");
        for (headers, is_refused) in [
            (&[][..], false),
            (&[evil][..], true),
            (&[("origin", "null")], true),
            (&[("origin", "http://shop.example:8080")], false),
            (&[("origin", "http://shop.example")], true),
            (&[("sec-fetch-site", "cross-site")], true),
            (&[("sec-fetch-site", "same-site")], true),
            (&[("sec-fetch-site", "none")], false),
            // A proxy in between has changed the host; the browser knows better.
            (&[("origin", "https://shop.example"), ("sec-fetch-site", "same-origin")], false),
            (&[evil, ("sec-fetch-site", "cross-site")], true),
        ] {
            for method in [Method::POST, Method::PUT, Method::PATCH, Method::DELETE] {
                assert_eq!(refuses("", method, headers), is_refused, "{headers:?}");
            }
            assert!(!refuses("", Method::GET, headers), "{headers:?}");
            assert!(!refuses("https://evil.example", Method::POST, &[evil, ("sec-fetch-site", "cross-site")]));
        }
    }

    #[test]
    fn origins_are_read_as_browsers_write_them() {
        let read = |text: &str| text.parse::<Origins>().map(|origins| origins.0.join(" "));
        assert_eq!(
            read("https://Shop.example:443/, http://localhost:5173").unwrap(),
            "https://shop.example http://localhost:5173"
        );
        for bad in ["*", "null", "shop.example", "https://a/b", "ftp://a", "https://u:p@a", "https://a,", "https://a?b"]
        {
            assert!(read(bad).is_err(), "{bad}");
        }
    }
}
