//! What a customer does with an order.

use actix_web::HttpResponse;
use actix_web::http::StatusCode;
use actix_web::web::{Bytes, Path};
use reqwest::Method;
use serde_json::Value;
use uuid::Uuid;

use super::look;
use super::viewer::Viewer;
use crate::http::visit::{Refusal, Visit};
use crate::services::{Failure, Sent, Service};
use crate::shop::address::{self, FIELDS, Typed};
use crate::shop::errors::Wrong;

pub async fn cancel(visit: Visit, id: Path<String>, body: Bytes) -> Result<HttpResponse, Refusal> {
    act(visit, &id, &body, "cancel").await
}

pub async fn call_off(visit: Visit, id: Path<String>, body: Bytes) -> Result<HttpResponse, Refusal> {
    act(visit, &id, &body, "call-off").await
}

/// Has order-svc do what needs no more to be said.
async fn act(visit: Visit, id: &str, body: &[u8], what: &str) -> Result<HttpResponse, Refusal> {
    let (visit, _) = visit.form(body)?;
    let Ok(id) = id.parse::<Uuid>() else { return Err(super::nothing(visit)) };
    match ask(&visit, id, Method::POST, what, None).await {
        Ok(()) => Ok(visit.go(&super::path(id))),
        Err(failure) => refused(visit, id, &failure, None).await,
    }
}

pub async fn change_address(visit: Visit, id: Path<String>, body: Bytes) -> Result<HttpResponse, Refusal> {
    let (visit, form) = visit.form(&body)?;
    let Ok(id) = id.parse::<Uuid>() else { return Err(super::nothing(visit)) };
    let typed = address::typed(&form, &FIELDS);
    let body = address::filled(&typed, &FIELDS);
    match ask(&visit, id, Method::PUT, "delivery-address", Some(&body)).await {
        Ok(()) => Ok(visit.go(&super::path(id))),
        Err(failure) => refused(visit, id, &failure, Some(typed)).await,
    }
}

async fn ask(visit: &Visit, id: Uuid, method: Method, what: &str, body: Option<&Value>) -> Result<(), Failure> {
    let (viewer, _) = look::find(&visit.state, id, Viewer::all(visit)).await?;
    let sent = Sent { token: viewer.token.as_deref(), body, ..Sent::default() };
    let path = format!("/api/v1/orders/{id}/{what}");
    visit.state.services.ask(Service::Orders, method, &path, sent).await.map(drop)
}

/// The order's page, which says why it was not done.
async fn refused(visit: Visit, id: Uuid, failure: &Failure, typed: Option<Typed>) -> Result<HttpResponse, Refusal> {
    let (status, wrong) = match failure {
        Failure::Refused { status: 401 | 404, .. } => return Err(super::not_shown(visit, failure)),
        Failure::Refused { status: 403, .. } => {
            (StatusCode::FORBIDDEN, Wrong::whole("That is not for you to do: please sign in as its customer."))
        }
        Failure::Refused { status: 409, .. } => {
            let why = "It is too late for that: it has left our warehouse already, or the order has ended.";
            (StatusCode::CONFLICT, Wrong::whole(why))
        }
        Failure::Refused { status, .. } => {
            let status = StatusCode::from_u16(*status).unwrap_or(StatusCode::UNPROCESSABLE_ENTITY);
            (status, Wrong::of(failure, &FIELDS))
        }
        Failure::Away { .. } => (StatusCode::SERVICE_UNAVAILABLE, Wrong::of(failure, &FIELDS)),
    };
    super::show(visit, id, status, wrong, typed).await
}
