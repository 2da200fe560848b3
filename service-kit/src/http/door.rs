//! Who comes in and what they take along, as far as browsers are concerned.

use actix_web::dev::{ServiceRequest, ServiceResponse};
use actix_web::http::ConnectionType;
use actix_web::{HttpResponse, ResponseError};

use super::server::ALWAYS_ANSWERED;
use super::{Hosts, Origins, Problem, headers};

/// Who comes in, by what a browser says of where a request goes to and where it comes from.
#[derive(Clone)]
pub(super) struct Door {
    pub(super) hosts: Hosts,
    pub(super) origins: Origins,
}

impl Door {
    /// The answer to a request that doesn't come in, or to a browser that asks whether a page may send one.
    pub(super) fn answer(&self, request: &ServiceRequest) -> Option<HttpResponse> {
        if ALWAYS_ANSWERED.contains(&request.path()) {
            return None;
        }
        match self.hosts.check(request).and_then(|()| self.origins.check(request)) {
            Ok(()) => self.origins.preflight(request),
            Err(problem) => Some(closing(&problem)),
        }
    }

    /// Adds to an answer what browsers are to do with it.
    pub(super) fn leave(&self, mut response: ServiceResponse) -> ServiceResponse {
        let is_of_the_api = response.request().path().starts_with("/api/");
        headers::careful(response.headers_mut());
        if is_of_the_api {
            headers::not_kept(response.headers_mut());
        }
        self.origins.share(response)
    }
}

/// Closes the connection after a request that was not read to the end, because what follows on it can't be understood.
pub(super) fn closing(problem: &Problem) -> HttpResponse {
    let mut answer = problem.error_response();
    answer.head_mut().set_connection_type(ConnectionType::Close);
    answer
}
