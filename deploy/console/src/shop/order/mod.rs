//! An order's own page: for its customer, for whoever has the link of a guest's order, and for staff.

mod actions;
#[cfg(test)]
mod examples;
mod live;
mod look;
mod looks;
mod next;
mod places;
mod steps;
mod view;
pub mod viewer;
mod words;

use actix_web::HttpResponse;
use actix_web::http::StatusCode;
use actix_web::web::{self, Path, ServiceConfig};
use uuid::Uuid;

pub use view::{Order, Status};
pub use words::{Told, headline};

use super::address::{self, Typed};
use super::errors::{self, Wrong};
use crate::http::form::Form;
use crate::http::visit::{Refusal, Visit, shown};
use crate::pages::context;
use crate::services::Failure;
use look::Looked;
use viewer::Viewer;

pub fn routes(config: &mut ServiceConfig) {
    config
        .service(web::resource("/orders/{id}").get(|visit, id| shown(page(visit, id))))
        // To which mails to guests link, as the shop's API shows an order there.
        .service(web::resource("/api/v1/orders/{id}").get(|visit, id| shown(by_link(visit, id))))
        .service(web::resource("/orders/{id}/live").get(|visit, id| shown(stream(visit, id))))
        .service(web::resource("/orders/{id}/cancel").post(|visit, id, body| shown(actions::cancel(visit, id, body))))
        .service(
            web::resource("/orders/{id}/call-off").post(|visit, id, body| shown(actions::call_off(visit, id, body))),
        )
        .service(
            web::resource("/orders/{id}/address")
                .get(|visit, id| shown(address_form(visit, id)))
                .post(|visit, id, body| shown(actions::change_address(visit, id, body))),
        );
}

/// The address of an order's page.
pub fn path(id: Uuid) -> String {
    format!("/orders/{id}")
}

async fn page(visit: Visit, id: Path<String>) -> Result<HttpResponse, Refusal> {
    let asked = Form::query(&visit.request);
    if asked.get("token").or(asked.get("payment_intent")).is_some() {
        // Whoever comes by a link, or back from their bank.
        return by_link(visit, id).await;
    }
    let Ok(id) = id.parse::<Uuid>() else { return Err(nothing(visit)) };
    show(visit, id, StatusCode::OK, Wrong::default(), None).await
}

/// Keeps the token of a guest's link, if it opens this order, and leads to the page without it: it stays in no history and goes to
/// no other site.
async fn by_link(mut visit: Visit, id: Path<String>) -> Result<HttpResponse, Refusal> {
    let Ok(id) = id.parse::<Uuid>() else { return Err(nothing(visit)) };
    let asked = Form::query(&visit.request);
    if let Some(token) = asked.get("token").filter(|token| viewer::is_like_token(token)) {
        match look::order(&visit.state, id, &Viewer::of_link(token)).await {
            Ok(_) => viewer::keep(&mut visit, id, token),
            // Another token may be here already that does open it.
            Err(Failure::Refused { .. }) => {}
            Err(failure) => return Err(errors::not_now(visit, &failure)),
        }
    }
    Ok(visit.go(&path(id)))
}

async fn stream(visit: Visit, id: Path<String>) -> Result<HttpResponse, Refusal> {
    let Ok(id) = id.parse::<Uuid>() else { return Err(nothing(visit)) };
    live::stream(visit, id).await
}

/// The page with a form for another address.
async fn address_form(visit: Visit, id: Path<String>) -> Result<HttpResponse, Refusal> {
    let Ok(id) = id.parse::<Uuid>() else { return Err(nothing(visit)) };
    show(visit, id, StatusCode::OK, Wrong::default(), Some(Typed::new())).await
}

/// Shows the page; `typed` is what stands in the form for another address, if that is shown.
async fn show(
    visit: Visit,
    id: Uuid,
    status: StatusCode,
    wrong: Wrong,
    typed: Option<Typed>,
) -> Result<HttpResponse, Refusal> {
    let state = visit.state.clone();
    let (viewer, order) = match look::find(&state, id, Viewer::all(&visit)).await {
        Ok(found) => found,
        Err(failure @ Failure::Away { .. }) if visit.request.method() == "GET" => {
            tracing::warn!(error = %failure, "an order can't be shown");
            let own = context! { id, is_away => true, is_live => true };
            return Ok(visit.page_as(StatusCode::SERVICE_UNAVAILABLE, "shop/order.html", own));
        }
        Err(failure) => return Err(not_shown(visit, &failure)),
    };
    let looked = Looked::at(&state, order, &viewer).await;
    let typed = typed.map(|typed| match typed.is_empty() {
        true => address::known(&looked.order.delivery_address),
        false => typed,
    });
    let own = context! {
        id,
        order => looked.shown(&viewer),
        is_live => !looked.order.status.is_end(),
        wrong,
        typed,
        countries => typed.is_some().then(address::countries),
    };
    Ok(visit.page_as(status, "shop/order.html", own))
}

/// Says why somebody does not see an order.
fn not_shown(visit: Visit, failure: &Failure) -> Refusal {
    match failure {
        Failure::Refused { status: 401 | 403, .. } if visit.session.is_none() => {
            let why = "To see this order, sign in, or open it by the link in the mail that we sent you.".to_owned();
            visit.refuse(StatusCode::UNAUTHORIZED, "Whose order is this?", why)
        }
        Failure::Refused { status: 401 | 403 | 404, .. } => nothing(visit),
        other => errors::not_now(visit, other),
    }
}

fn nothing(visit: Visit) -> Refusal {
    let why = "We don't know this order, or it is somebody else's.".to_owned();
    visit.refuse(StatusCode::NOT_FOUND, "There is no such order", why)
}
