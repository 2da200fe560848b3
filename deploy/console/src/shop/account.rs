//! Whoever is signed in: their orders, and who they are.

use actix_web::HttpResponse;
use actix_web::http::StatusCode;
use actix_web::web::{self, Bytes, ServiceConfig};
use minijinja::value::Value as Page;
use reqwest::Method;
use serde_json::Value;
use uuid::Uuid;

use super::address::{self, Typed};
use super::errors::Wrong;
use super::order::{self, Order};
use crate::http::form::Form;
use crate::http::visit::{Refusal, Visit, shown};
use crate::pages::context;
use crate::services::{Failure, Sent, Service, query};

const FIELDS: [&str; 8] = ["name", "email", "phone", "line1", "line2", "city", "postal_code", "country"];
const PROFILE: &str = "/api/v1/customers/me";

pub fn routes(config: &mut ServiceConfig) {
    config.service(
        web::resource("/account").get(|visit| shown(show(visit))).post(|visit, body| shown(change(visit, body))),
    );
}

/// A profile as a form has it.
struct Profile {
    typed: Typed,
    /// The version that is changed; none if there is no profile yet.
    version: Option<i64>,
    wrong: Wrong,
}

async fn show(visit: Visit) -> Result<HttpResponse, Refusal> {
    let visit = signed_in(visit)?;
    page(visit, StatusCode::OK, None).await
}

fn signed_in(visit: Visit) -> Result<Visit, Refusal> {
    match visit.session.is_some() || visit.state.issuer.is_none() {
        true => Ok(visit),
        false => Err(Refusal::SignIn(visit.here())),
    }
}

async fn page(visit: Visit, status: StatusCode, sent: Option<Profile>) -> Result<HttpResponse, Refusal> {
    let cursor = Form::query(&visit.request).get("cursor").and_then(|id| id.parse::<Uuid>().ok());
    let (services, token) = (&visit.state.services, visit.token());
    let after = cursor.map(|id| format!("&cursor={id}")).unwrap_or_default();
    // Staff would be shown everybody's.
    let whose = visit.session.as_ref().map(|session| query([("customer_id", session.sub.as_str())]));
    let whose = whose.map(|whose| format!("&{whose}")).unwrap_or_default();
    let path = format!("/api/v1/orders?limit=20{after}{whose}");
    let (orders, profile) =
        tokio::join!(services.get(Service::Orders, &path, token), services.get(Service::Orders, PROFILE, token));
    if let Err(failure @ Failure::Refused { status: 401, .. }) = &orders {
        return Err(visit.failed(failure));
    }
    let next = orders.as_ref().ok().and_then(|page| page["next_cursor"].as_str());
    let next = next.map(|cursor| format!("/account?{}", query([("cursor", cursor)])));
    let (orders, away) = match orders {
        Ok(mut page) => (listed(page.get_mut("items").map(Value::take).unwrap_or_default()), false),
        Err(_) => (Vec::new(), true),
    };
    let profile = sent.or_else(|| shown_profile(&visit, profile));
    let own = context! {
        orders,
        next,
        away,
        profile => profile.as_ref().map(|profile| context! {
            typed => profile.typed, version => profile.version, wrong => profile.wrong,
        }),
        is_saved => Form::query(&visit.request).get("saved").is_some(),
        countries => address::countries(),
    };
    Ok(visit.page_as(status, "shop/account.html", own))
}

/// Orders in their customer's words.
fn listed(items: Value) -> Vec<Page> {
    let items = if let Value::Array(items) = items { items } else { Vec::new() };
    let orders = items.into_iter().filter_map(|item| serde_json::from_value::<Order>(item).ok());
    let shown = |order: Order| {
        let first = order.lines.first().map(|line| line.name.clone()).unwrap_or_default();
        context! {
            id => order.id,
            number => order.number,
            placed_at => order.placed_at,
            total => order.total,
            first,
            more => order.lines.len().saturating_sub(1),
            told => order::headline(&order),
        }
    };
    orders.map(shown).collect()
}

/// The form, filled in; none where nobody has a profile, or it can't be read now.
fn shown_profile(visit: &Visit, asked: Result<Value, Failure>) -> Option<Profile> {
    let session = visit.session.as_ref()?;
    let text = |value: &Value| value.as_str().unwrap_or_default().to_owned();
    match asked {
        Ok(profile) => {
            let mut typed = address::known(&profile["delivery_address"]);
            typed.extend(["name", "email", "phone"].map(|name| (name, text(&profile[name]))));
            Some(Profile { typed, version: profile["version"].as_i64(), wrong: Wrong::default() })
        }
        Err(Failure::Refused { status: 404, .. }) => {
            let name = session.name.clone().unwrap_or_default();
            let email = session.email.clone().unwrap_or_default();
            Some(Profile {
                typed: Typed::from([("name", name), ("email", email)]),
                version: None,
                wrong: Wrong::default(),
            })
        }
        Err(_) => None,
    }
}

async fn change(visit: Visit, body: Bytes) -> Result<HttpResponse, Refusal> {
    let (visit, form) = visit.form(&body)?;
    if visit.session.is_none() {
        return Err(signed_out(visit));
    }
    let typed = address::typed(&form, &FIELDS);
    let version = form.get("version").and_then(|version| version.parse::<i64>().ok());
    match set(&visit, &typed, version).await {
        Ok(()) => Ok(visit.go("/account?saved=1")),
        Err(Failure::Refused { status: 401, .. }) => Err(signed_out(visit)),
        Err(failure) => {
            let (status, wrong) = refused(&failure);
            page(visit, status, Some(Profile { typed, version, wrong })).await
        }
    }
}

/// A form is not led on to the issuer: browsers hold that against the page's policy.
fn signed_out(visit: Visit) -> Refusal {
    let why = "Please sign in, at the top of this page, and repeat your change.".to_owned();
    visit.refuse(StatusCode::UNAUTHORIZED, "You are not signed in", why)
}

/// Sets the profile. What the form does not have of it stays as it is.
async fn set(visit: &Visit, typed: &Typed, version: Option<i64>) -> Result<(), Failure> {
    let (services, token) = (&visit.state.services, visit.token());
    let known = match services.get(Service::Orders, PROFILE, token).await {
        Ok(known) => known,
        Err(Failure::Refused { status: 404, .. }) => Value::Null,
        Err(failure) => return Err(failure),
    };
    let body = changed(&known, typed);
    // What was read now may be newer than what whoever sent the form saw.
    let expected = version.map(|version| format!("\"{version}\""));
    let sent = Sent { token, body: Some(&body), if_match: expected.as_deref(), ..Sent::default() };
    services.ask(Service::Orders, Method::PUT, PROFILE, sent).await.map(drop)
}

fn changed(known: &Value, typed: &Typed) -> Value {
    let mut profile = address::filled(typed, &["name", "email", "phone"]);
    let address = address::filled(typed, &address::FIELDS);
    profile["delivery_address"] =
        if address.as_object().is_some_and(|fields| !fields.is_empty()) { address } else { Value::Null };
    for name in ["language", "messages", "push_token"] {
        if !known[name].is_null() {
            profile[name] = known[name].clone();
        }
    }
    profile
}

fn refused(failure: &Failure) -> (StatusCode, Wrong) {
    match failure {
        Failure::Refused { status: 412, .. } => {
            let why =
                "Your details were changed elsewhere meanwhile. Please load this page again, and repeat your change.";
            (StatusCode::PRECONDITION_FAILED, Wrong::whole(why))
        }
        Failure::Refused { status, .. } => {
            (StatusCode::from_u16(*status).unwrap_or(StatusCode::UNPROCESSABLE_ENTITY), Wrong::of(failure, &FIELDS))
        }
        Failure::Away { .. } => (StatusCode::SERVICE_UNAVAILABLE, Wrong::of(failure, &FIELDS)),
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    #[test]
    fn what_the_form_does_not_have_of_a_profile_stays_as_it_is() {
        let messages = json!({"order": ["email"], "payment": [], "shipment": ["email"]});
        let known = json!({"name": "Ann", "language": "de", "messages": messages, "push_token": null, "phone": "+353861234567"});
        let form = Form::parse(b"name=Ann+Lee&email=ann%40example.com&phone=").unwrap();
        let expected = json!({
            "name": "Ann Lee", "email": "ann@example.com", "delivery_address": null, "language": "de", "messages": messages
        });
        assert_eq!(changed(&known, &address::typed(&form, &FIELDS)), expected);
    }

    #[test]
    fn an_address_is_sent_whole_so_that_order_svc_says_what_is_missing() {
        let form = Form::parse(b"name=Ann&email=a%40b.ie&city=Cork").unwrap();
        let profile = changed(&Value::Null, &address::typed(&form, &FIELDS));
        assert_eq!(profile["delivery_address"], json!({"city": "Cork"}));
    }
}
