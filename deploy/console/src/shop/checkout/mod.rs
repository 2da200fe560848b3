//! The checkout: a form, and the order that is made of it.

mod attempts;
mod details;
mod methods;

use actix_web::HttpResponse;
use actix_web::http::StatusCode;
use actix_web::web::{self, Bytes, ServiceConfig};
use serde::Deserialize;
use serde_json::Value;
use service_kit::http::{Problem, RateLimited};
use uuid::Uuid;

use super::address;
use super::basket::Basket;
use super::basket::priced::{self, Priced};
use super::errors::{self, Wrong};
use super::order::viewer;
use super::product::Money;
use crate::http::visit::{Refusal, Visit, shown};
use crate::pages::context;
use crate::services::{Failure, Service};
use attempts::{Attempt, Fate};
use details::Details;

const NO_PRICES: &str = "We can't say what this costs just now, so you can't order yet. Please load this page again in a moment: \
    what is in your basket stays there.";
const UNKNOWN: &str = "We can't say just now whether your order was placed. Nothing is lost: please press the button again in a moment. \
    As long as your basket is the same, it stays one order.";
const TOO_OFTEN: &str = "There were many orders within a short time. Please wait a minute, and press the button again.";
const SOMEBODY_ELSE: &str =
    "You have signed in or out since you were shown this form. Please look at it again, and order again.";
const SIGN_IN: &str =
    "To order here, please sign in first, at the top of this page. What is in your basket stays there.";

pub fn routes(config: &mut ServiceConfig) {
    config.service(
        web::resource("/checkout")
            .get(|visit| shown(show(visit)))
            .post(|visit, limited, body| shown(order(visit, limited, body))),
    );
}

/// Has the browser keep what makes its orders one, if it keeps none.
pub fn begin(visit: &mut Visit) {
    attempts::secret(visit);
}

async fn show(mut visit: Visit) -> Result<HttpResponse, Refusal> {
    let mut wrong = Wrong::default();
    if let Some(secret) = attempts::kept(&visit) {
        match lost(&visit, &secret).await {
            Lost::Order(order, basket) => return placed(visit, &order, &basket),
            Lost::Unknown => wrong.whole.push(UNKNOWN.to_owned()),
            Lost::Nothing => {}
        }
    }
    let basket = Basket::of(&visit);
    if basket.is_empty() {
        return Ok(visit.go("/basket"));
    }
    let secret = attempts::secret(&mut visit);
    let (priced, profile) = tokio::join!(priced::ask(&visit.state.services, &basket), profile(&visit));
    let details = Details::new(&basket, profile, &visit, secret);
    let priced = priced.ok();
    if priced.is_none() {
        wrong.whole.push(NO_PRICES.to_owned());
    }
    Ok(page(visit, &details, priced, &wrong, StatusCode::OK))
}

/// What became of what this browser has sent without being led to an order.
enum Lost {
    Order(Value, Basket),
    Unknown,
    Nothing,
}

async fn lost(visit: &Visit, secret: &str) -> Lost {
    let sent = attempts::all(&visit.state.pool, secret).await.unwrap_or_else(|error| {
        tracing::warn!(error = format!("{error:#}"), "what a browser has ordered can't be read");
        Vec::new()
    });
    let mut found = Lost::Nothing;
    for attempt in sent {
        match attempt.fate(visit).await {
            Fate::Placed(order) => return Lost::Order(order, Basket::parse(&attempt.basket).unwrap_or_default()),
            Fate::Unknown => found = Lost::Unknown,
            Fate::NotPlaced => {}
        }
    }
    found
}

/// The profile of whoever is signed in, if they have one and it can be read.
async fn profile(visit: &Visit) -> Option<Value> {
    let token = visit.token()?;
    visit.state.services.get(Service::Orders, "/api/v1/customers/me", Some(token)).await.ok()
}

/// As whom the form is shown; nobody, for a guest.
fn who(visit: &Visit) -> String {
    visit.session.as_ref().map(|session| session.sub.clone()).unwrap_or_default()
}

fn page(visit: Visit, details: &Details, priced: Option<Priced>, wrong: &Wrong, status: StatusCode) -> HttpResponse {
    let methods = if visit.state.is_sandbox { methods::SANDBOX } else { &[] };
    let seen = (!details.seen.currency.is_empty()).then_some(&details.seen);
    let own = context! {
        typed => details.typed,
        total => priced.as_ref().map_or(seen, |priced| priced.total.as_ref()),
        basket => priced,
        lines => details.basket.text(),
        key => details.secret,
        who => who(&visit),
        wrong,
        methods,
        countries => address::countries(),
    };
    visit.page_as(status, "shop/checkout.html", own)
}

/// The form again, with what was typed, and what is wrong with it.
async fn again(visit: Visit, details: &Details, wrong: &Wrong, status: StatusCode) -> HttpResponse {
    let priced = priced::ask(&visit.state.services, &details.basket).await.ok();
    page(visit, details, priced, wrong, status)
}

async fn order(visit: Visit, limited: Result<RateLimited, Problem>, body: Bytes) -> Result<HttpResponse, Refusal> {
    let (visit, form) = visit.form(&body)?;
    let Some(details) = Details::of(&form) else {
        let why = "This form can't be read. Please go back to your basket, and begin the checkout again.";
        return Err(visit.refuse(StatusCode::UNPROCESSABLE_ENTITY, "That can't be read", why.to_owned()));
    };
    if limited.is_err() {
        // Whoever asks too often has nobody else asked.
        return Ok(page(visit, &details, None, &Wrong::whole(TOO_OFTEN), StatusCode::TOO_MANY_REQUESTS));
    }
    // Whoever is shown as signed in orders as that, and whoever is not does not.
    if details.who != who(&visit) {
        return Ok(again(visit, &details, &Wrong::whole(SOMEBODY_ELSE), StatusCode::CONFLICT).await);
    }
    let customer = visit.session.as_ref().map_or_else(|| details.guest(), |session| session.sub.clone());
    let attempt = Attempt { key: details.key(), basket: details.basket.text(), body: details.order(&customer) };
    match sent(&visit, &details.secret, &attempt).await {
        Ok(order) => placed(visit, &order, &details.basket),
        Err(failure) => Ok(refused(visit, details, &failure).await),
    }
}

/// Sends it; if its key has an answer already, that is it: the same basket was ordered, maybe with other words in the form.
async fn sent(visit: &Visit, secret: &str, attempt: &Attempt) -> Result<Value, Failure> {
    let pool = &visit.state.pool;
    let told = |error: anyhow::Error| {
        tracing::warn!(error = format!("{error:#}"), "what a browser orders can't be noted");
    };
    attempt.note(pool, secret).await.unwrap_or_else(told);
    let failure = match attempt.send(visit).await {
        Ok(order) => return Ok(order),
        Err(failure) => failure,
    };
    if failure.has_code("key_reused") {
        let before = attempts::all(pool, secret).await.unwrap_or_default();
        for before in before.into_iter().filter(|before| before.key == attempt.key && before != attempt) {
            if let Ok(order) = before.send(visit).await {
                return Ok(order);
            }
        }
    }
    let is_for_good = matches!(failure, Failure::Refused { .. }) && !failure.has_code("key_in_flight");
    if is_for_good {
        attempt.forget(pool).await.unwrap_or_else(told);
    }
    Err(failure)
}

/// The form again, with why order-svc did not place the order.
async fn refused(visit: Visit, mut details: Details, failure: &Failure) -> HttpResponse {
    let status = match failure {
        Failure::Away { .. } => StatusCode::SERVICE_UNAVAILABLE,
        Failure::Refused { status, .. } => StatusCode::from_u16(*status).unwrap_or(StatusCode::UNPROCESSABLE_ENTITY),
    };
    let wrong = match status {
        // A form is not led on to the issuer: browsers hold that against the page's policy.
        StatusCode::UNAUTHORIZED => Wrong::whole(SIGN_IN),
        StatusCode::SERVICE_UNAVAILABLE => Wrong::whole(UNKNOWN),
        _ => Wrong::of(failure, &details::FIELDS),
    };
    let mut priced = priced::ask(&visit.state.services, &details.basket).await.ok();
    if let Some(total) = new_total(failure) {
        // Who charges says what it costs. What stock-svc says may be newer or older than that.
        priced = priced.map(|priced| priced.told_to_cost(&total));
        details.seen = total;
    }
    page(visit, &details, priced, &wrong, status)
}

/// What the order costs now, if that is why it was not placed.
fn new_total(failure: &Failure) -> Option<Money> {
    let Failure::Refused { problem, .. } = failure else { return None };
    (problem["code"] == "price_changed").then(|| Money::deserialize(&problem["errors"][0]["actual"]).ok()).flatten()
}

/// Leads to the order that was placed.
fn placed(mut visit: Visit, order: &Value, ordered: &Basket) -> Result<HttpResponse, Refusal> {
    let Some(id) = order["id"].as_str().and_then(|id| id.parse::<Uuid>().ok()) else {
        let why = "order-svc answered without an order's id".to_owned();
        return Err(errors::not_now(visit, &Failure::Away { service: Service::Orders.name(), why }));
    };
    let token = order["links"]["guest"].as_str().and_then(|link| link.split_once("token=")).map(|(_, token)| token);
    if let Some(token) = token.filter(|token| viewer::is_like_token(token)) {
        viewer::keep(&mut visit, id, token);
    }
    attempts::over(&mut visit);
    // What was put into the basket meanwhile stays there.
    let mut basket = Basket::of(&visit);
    ordered.lines().iter().for_each(|line| basket.remove(&line.sku));
    basket.keep(&mut visit);
    Ok(visit.go(&format!("/orders/{id}")))
}
