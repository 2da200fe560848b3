//! A service's OpenAPI document, generated from its code, and the page on which people read it.
//!
//! A handler describes what is its own with `#[utoipa::path]`. What holds for every service is described here once:
//! the common problems, lists, health, metrics, and the document itself.

mod answers;
mod common;

use actix_web::http::header::CACHE_CONTROL;
use actix_web::web::{self, Bytes, ServiceConfig};
use actix_web::{HttpMessage, HttpRequest, HttpResponse};
use utoipa::OpenApi;
use utoipa::openapi::schema::{ObjectBuilder, Type};
use utoipa::openapi::{RefOr, Schema};
use utoipa::{PartialSchema, ToSchema};

use super::{InputCode, Limit, ProblemCode};
use crate::Pool;
use crate::auth::{self, Access, TokensNotAsked};
pub use common::{Health, Ready};

/// The kit's one code that both a problem and its field may have.
const KEY_REUSED: &str = "key_reused";

const PAGE: &str = include_str!("docs.html");

impl PartialSchema for Limit {
    fn schema() -> RefOr<Schema> {
        ObjectBuilder::new()
            .schema_type(Type::Integer)
            .description(Some("The most items to return."))
            .minimum(Some(1))
            .maximum(Some(1000))
            .default(Some(50.into()))
            .into()
    }
}

impl ToSchema for Limit {}

/// The `Idempotency-Key` header, for the document; [`super::IdempotencyKey`] reads it.
pub struct Key;

impl PartialSchema for Key {
    fn schema() -> RefOr<Schema> {
        ObjectBuilder::new()
            .schema_type(Type::String)
            .description(Some(
                "Requests with the same key and body have one effect, and get the same answer for 24 hours.",
            ))
            .pattern(Some("^[!-~]{1,255}$"))
            .into()
    }
}

impl ToSchema for Key {}

/// The body of an action without fields, for the document; [`super::EmptyBody`] reads it.
#[derive(ToSchema)]
#[serde(deny_unknown_fields)]
#[schema(example = json!({}))]
pub struct Nothing {}

/// A service's OpenAPI document, as JSON.
#[derive(Clone)]
pub struct Document {
    whole: Bytes,
    /// Where nobody is asked for a token.
    open: Bytes,
}

impl Document {
    /// The document of a service: `own` together with what holds for every service. `codes` are the service's own
    /// problem codes; `access` says who may do what.
    ///
    /// # Errors
    /// Fails if the document can't be written as JSON, which doesn't happen in practice.
    pub fn of(own: utoipa::openapi::OpenApi, codes: &[&str], access: Access) -> serde_json::Result<Self> {
        let mut whole = serde_json::to_value(own.merge_from(common::Common::openapi()))?;
        let all = [ProblemCode::ALL, codes].concat();
        answers::list_codes(&mut whole, "Content", &all);
        answers::list_codes(&mut whole, "Problem", &all);
        answers::list_codes(&mut whole, "FieldError", &[InputCode::ALL, &[KEY_REUSED], codes].concat());
        answers::say_who(&mut whole, access);
        answers::complete(&mut whole);
        let json = serde_json::to_vec(&whole)?;
        answers::forget_who(&mut whole);
        Ok(Self { whole: json.into(), open: serde_json::to_vec(&whole)?.into() })
    }

    /// Adds `/openapi.json`, `/docs`, and what staff and operators have changed, which is in this database.
    pub fn routes(&self, config: &mut ServiceConfig, pool: &Pool) {
        auth::action_routes(config, pool);
        let Self { whole, open } = self.clone();
        let document = move |request: HttpRequest| {
            let asked = request.extensions().get::<TokensNotAsked>().is_none();
            let json = if asked { whole.clone() } else { open.clone() };
            std::future::ready(HttpResponse::Ok().content_type("application/json").body(json))
        };
        config.service(web::resource("/openapi.json").get(document)).service(web::resource("/docs").get(page));
        #[cfg(feature = "testing")]
        config.route(crate::testing::ROUTES, web::get().to(routed));
    }
}

/// Lists the server's routes, for tests that compare them with the document.
#[cfg(feature = "testing")]
async fn routed(tree: web::Data<actix_web::introspection::IntrospectionTree>) -> HttpResponse {
    HttpResponse::Ok().content_type("application/json").body(tree.report_as_json())
}

/// The page is self-contained: it loads nothing from elsewhere.
async fn page() -> HttpResponse {
    HttpResponse::Ok()
        .content_type("text/html; charset=utf-8")
        .insert_header((CACHE_CONTROL, "no-cache"))
        .insert_header(("Content-Security-Policy", "default-src 'none'; style-src 'unsafe-inline'; script-src 'unsafe-inline'; connect-src 'self'; img-src data:; base-uri 'none'; form-action 'none'; frame-ancestors 'none'"))
        .body(PAGE)
}
