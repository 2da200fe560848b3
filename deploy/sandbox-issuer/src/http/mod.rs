//! What is asked over HTTP: OpenID Connect's paths, the accounts' API, and the sandbox's own.

mod account;
mod authorize;
mod discovery;
mod erasure;
mod form;
mod oauth_error;
mod pages;
mod token;

use std::net::{IpAddr, Ipv4Addr};
use std::sync::Arc;

use actix_web::HttpRequest;
use actix_web::web::{self, Data, ServiceConfig};
use service_kit::Pool;
use service_kit::http::Proxies;

use crate::clock::Clock;
use crate::passwords::Passwords;
use crate::tokens::Issuer;

pub use account::AccountCode;
pub use discovery::WARNING;
pub use pages::Pages;

#[derive(Clone)]
pub struct AppState {
    pub pool: Pool,
    pub issuer: Issuer,
    pub passwords: Passwords,
    pub pages: Arc<Pages>,
    /// Whose word is taken for where a request comes from.
    pub proxies: Proxies,
    pub clock: Clock,
}

pub fn routes(config: &mut ServiceConfig, state: &AppState) {
    config
        .app_data(Data::new(state.clone()))
        .service(web::resource("/.well-known/openid-configuration").get(discovery::configuration))
        .service(web::resource("/jwks").get(discovery::jwks))
        .service(web::resource("/sandbox/keys/rotate").post(discovery::rotate))
        .service(web::resource("/sandbox/accounts/{id}").delete(erasure::delete))
        .service(web::resource("/authorize").get(authorize::show).post(authorize::sign_in))
        .service(web::resource("/token").post(token::token))
        .service(web::resource("/api/v1/account/auth/register").post(account::register))
        .service(web::resource("/api/v1/account/auth/login").post(account::login))
        .service(web::resource("/api/v1/account/auth/refresh").post(account::refresh))
        .service(web::resource("/api/v1/account/auth/logout").post(account::logout));
}

/// Where a request comes from. What a header says of that counts only if a proxy that is trusted wrote it.
fn address(state: &AppState, request: &HttpRequest) -> IpAddr {
    state.proxies.client_of(request).unwrap_or(IpAddr::V4(Ipv4Addr::UNSPECIFIED))
}
