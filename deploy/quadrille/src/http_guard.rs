//! What keeps pages of other sites out of the interfaces of `quadrille` itself, which ask nobody who they are.
//!
//! On loopback a browser on this machine reaches them, too, and a page that it shows may send requests. One for another host (DNS
//! rebinding) is refused, and so is a change that a page could send without asking first: of another kind than JSON, or with the
//! `Origin` that browsers give.

use actix_web::body::BoxBody;
use actix_web::body::MessageBody;
use actix_web::dev::{ServiceRequest, ServiceResponse};
use actix_web::http::Method;
use actix_web::http::header::{CONTENT_TYPE, HOST, ORIGIN};
use actix_web::middleware::Next;
use actix_web::{Error, ResponseError};
use service_kit::http::Problem;

/// The names of loopback.
const OWN: [&str; 3] = ["localhost", "127.0.0.1", "[::1]"];

pub(crate) async fn guard(
    request: ServiceRequest,
    next: Next<impl MessageBody + 'static>,
) -> Result<ServiceResponse<BoxBody>, Error> {
    match refused(&request) {
        Some(problem) => {
            let answer = problem.error_response();
            Ok(request.into_response(answer))
        }
        None => next.call(request).await.map(ServiceResponse::map_into_boxed_body),
    }
}

fn refused(request: &ServiceRequest) -> Option<Problem> {
    let header = |name| request.headers().get(name).and_then(|value| value.to_str().ok()).unwrap_or_default();
    if request.app_config().local_addr().ip().to_canonical().is_loopback() {
        let host = header(HOST);
        let name = host.rsplit_once(':').filter(|(_, port)| port.bytes().all(|digit| digit.is_ascii_digit()));
        let name = name.map_or(host, |(name, _)| name).to_ascii_lowercase();
        if !OWN.contains(&name.as_str()) {
            return Some(Problem::misdirected(format!("The host is {host:?}; expected localhost or 127.0.0.1.")));
        }
    }
    if matches!(*request.method(), Method::GET | Method::HEAD) {
        return None;
    }
    if request.headers().contains_key(ORIGIN) {
        let why = "A browser's page has sent this; expected a program. The control room has buttons.";
        return Some(Problem::cross_site(why));
    }
    let kind = header(CONTENT_TYPE);
    let is_json = kind.split(';').next().is_some_and(|kind| kind.trim().eq_ignore_ascii_case("application/json"));
    (!is_json).then(|| Problem::unsupported_media_type("A change is sent as Content-Type: application/json."))
}

#[cfg(test)]
mod tests {
    use actix_web::http::StatusCode;
    use actix_web::middleware::from_fn;
    use actix_web::test::{TestRequest, call_service, init_service};
    use actix_web::{App, HttpResponse, web};

    use super::*;

    async fn answered(request: TestRequest) -> StatusCode {
        let at = || async { HttpResponse::Ok().finish() };
        let app = App::new().wrap(from_fn(guard)).route("/", web::get().to(at)).route("/", web::post().to(at));
        call_service(&init_service(app).await, request.to_request()).await.status()
    }

    fn here(request: TestRequest) -> TestRequest {
        request.insert_header((HOST, "127.0.0.1:8079"))
    }

    #[actix_web::test]
    async fn a_program_on_this_machine_asks_and_changes() {
        assert_eq!(answered(here(TestRequest::get())).await, StatusCode::OK);
        let json = here(TestRequest::post()).insert_header((CONTENT_TYPE, "application/json; charset=utf-8"));
        assert_eq!(answered(json).await, StatusCode::OK);
        assert_eq!(answered(TestRequest::get().insert_header((HOST, "LOCALHOST"))).await, StatusCode::OK);
    }

    #[actix_web::test]
    async fn a_name_that_points_here_for_a_moment_is_refused() {
        let rebound = TestRequest::get().insert_header((HOST, "evil.example:8079"));
        assert_eq!(answered(rebound).await, StatusCode::MISDIRECTED_REQUEST);
    }

    #[actix_web::test]
    async fn a_page_of_another_site_changes_nothing() {
        let form = here(TestRequest::post()).insert_header((CONTENT_TYPE, "text/plain"));
        assert_eq!(answered(form).await, StatusCode::UNSUPPORTED_MEDIA_TYPE);
        assert_eq!(answered(here(TestRequest::post())).await, StatusCode::UNSUPPORTED_MEDIA_TYPE);
        let script = here(TestRequest::post()).insert_header((CONTENT_TYPE, "application/json"));
        let script = script.insert_header((ORIGIN, "http://127.0.0.1:3000"));
        assert_eq!(answered(script).await, StatusCode::FORBIDDEN);
    }
}
