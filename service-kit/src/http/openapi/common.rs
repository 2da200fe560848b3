//! The descriptions of the paths that every service has. The handlers are elsewhere.
#![allow(dead_code, reason = "only what the macro makes of these functions is used")]

use std::collections::BTreeMap;

use serde::Serialize;
use utoipa::{OpenApi, ToSchema};

use crate::auth::{ActionQuery as ListQuery, ActionView};
use crate::http::Paged;
use crate::http::problem::{FieldError, Problem};

/// The answer of `/healthz`.
#[derive(Serialize, ToSchema)]
#[schema(example = json!({"status": "ok"}))]
pub struct Health {
    /// Always `ok`: a dead process doesn't answer.
    #[schema(example = "ok")]
    pub status: &'static str,
}

/// The answer of `/readyz`.
#[derive(Serialize, ToSchema)]
#[schema(example = json!({"status": "ready", "checks": {"database": "ok", "broker": "ok"}}))]
pub struct Ready {
    /// `ready`, `not ready` or `degraded`. Degraded means that it serves, but a part of it can't do its job, for
    /// example because an external server is away.
    #[schema(example = "ready")]
    pub status: &'static str,
    /// `ok` or what is wrong, for each thing that the service needs.
    #[schema(example = json!({"database": "ok", "broker": "ok"}))]
    pub checks: BTreeMap<&'static str, String>,
}

#[derive(OpenApi)]
#[openapi(
    paths(healthz, readyz, metrics, openapi_json, docs, actions),
    components(schemas(Problem, FieldError)),
    tags((name = "service", description = "The service's state and documentation."))
)]
pub struct Common;

/// Lists what staff and operators have changed, the newest first
#[utoipa::path(get, path = "/api/v1/actions", tag = "service", operation_id = "list_actions", params(ListQuery), responses(
    (status = 200, description = "A page of them.", body = Paged<ActionView>)
))]
fn actions() {}

/// Whether the process lives
#[utoipa::path(get, path = "/healthz", tag = "service", responses((status = 200, description = "It lives.", body = Health)))]
fn healthz() {}

/// Whether database, broker, consumer and relay are well
#[utoipa::path(get, path = "/readyz", tag = "service", responses(
    (status = 200, description = "Everything works, or the service is degraded, and why.", body = Ready),
    (status = 503, description = "Something does not work, and what.", body = Ready)
))]
fn readyz() {}

/// Metrics, as Prometheus reads them
#[utoipa::path(get, path = "/metrics", tag = "service", responses(
    (status = 200, description = "The text format.", body = String, content_type = "text/plain")
))]
fn metrics() {}

/// This document
#[utoipa::path(get, path = "/openapi.json", tag = "service", responses(
    (status = 200, description = "OpenAPI 3.1.", body = Object, content_type = "application/json")
))]
fn openapi_json() {}

/// This document, for people
#[utoipa::path(get, path = "/docs", tag = "service", responses(
    (status = 200, description = "A page.", body = String, content_type = "text/html")
))]
fn docs() {}
