//! One dead letter: what it says, what waits behind it, what would come of it, and what may be done with it.

use std::collections::BTreeMap;
use std::time::Duration;

use crate::pages::context;
use actix_web::HttpResponse;
use actix_web::http::StatusCode;
use actix_web::web::{Bytes, ServiceConfig, resource};
use reqwest::Method;
use serde_json::{Value, json};

use super::dead_letters::{begun, service_in_path};
use super::{Part, pretty};
use crate::http::form::Form;
use crate::http::visit::{Refusal, Visit, shown};
use crate::services::{Failure, Sent, Service, query};

/// The headers that may be changed, as the services have them.
const CHANGEABLE: [&str; 7] =
    ["ce_type", "ce_time", "ce_subject", "ce_sequence", "ce_correlationid", "ce_causationid", "ce_dataschema"];
const WITHOUT_REASON: &str = "Say why, for whoever asks later.";
/// A dry run may take ten seconds at the service, which says so itself then.
const DRY_RUN_PATIENCE: Duration = Duration::from_secs(15);
/// A longer body is not edited here, in bytes: a form has room for it however it is encoded.
const EDITABLE: usize = 40_000;

pub fn routes(config: &mut ServiceConfig) {
    config
        .service(resource("/control/dead-letters/{service}/{id}").get(|visit| shown(show(visit))))
        .service(
            resource("/control/dead-letters/{service}/{id}/dry-run").post(|visit, body| shown(dry_run(visit, body))),
        )
        .service(resource("/control/dead-letters/{service}/{id}/edit").post(|visit, body| shown(edit(visit, body))))
        .service(resource("/control/dead-letters/{service}/{id}/replay").post(|visit, body| shown(replay(visit, body))))
        .service(
            resource("/control/dead-letters/{service}/{id}/discard").post(|visit, body| shown(discard(visit, body))),
        );
}

/// A letter's service and number, as the path names them.
fn named(visit: Visit) -> Result<(Visit, Service, i64), Refusal> {
    let (visit, service) = service_in_path(visit)?;
    match visit.request.match_info().get("id").and_then(|id| id.parse::<i64>().ok()) {
        Some(id) => Ok((visit, service, id)),
        None => Err(super::missing(visit, "dead letter")),
    }
}

fn at(service: Service, id: i64) -> String {
    format!("/control/dead-letters/{}/{id}", service.name())
}

/// How an event is to be changed: what differs from what it says now.
#[derive(Debug, Default, PartialEq)]
struct Draft {
    payload: Option<Value>,
    headers: BTreeMap<String, String>,
}

impl Draft {
    /// Fails, and says why, if the body is no JSON.
    fn of(form: &Form, letter: &Value) -> Result<Self, String> {
        let mut draft = Self::default();
        if let Some(text) = form.get("payload") {
            let payload: Value =
                serde_json::from_str(text).map_err(|error| format!("The body is no JSON: {error}."))?;
            draft.payload = Some(payload).filter(|payload| *payload != letter["payload"]["value"]);
        }
        for name in CHANGEABLE {
            let known = header(letter, name).unwrap_or_default();
            let new = form.text(&format!("header-{name}"));
            if !new.is_empty() && new != known {
                draft.headers.insert(name.to_owned(), new.to_owned());
            }
        }
        Ok(draft)
    }

    fn body(&self) -> Value {
        let mut body = json!({});
        if let Some(payload) = &self.payload {
            body["payload"] = payload.clone();
        }
        if !self.headers.is_empty() {
            body["headers"] = json!(self.headers);
        }
        body
    }
}

fn header<'a>(letter: &'a Value, name: &str) -> Option<&'a str> {
    let headers = letter["headers"].as_array().into_iter().flatten();
    headers.into_iter().find(|header| header["name"] == name).and_then(|header| header["value"].as_str())
}

async fn show(visit: Visit) -> Result<HttpResponse, Refusal> {
    let (visit, service, id) = named(visit.for_workers()?)?;
    let (visit, letter) = asked(visit, service, id).await?;
    page(visit, service, id, letter, &Form::default(), Value::Null).await
}

async fn asked(visit: Visit, service: Service, id: i64) -> Result<(Visit, Value), Refusal> {
    match visit.state.services.get(service, &format!("/api/v1/dead-letters/{id}"), visit.token()).await {
        Ok(letter) => Ok((visit, letter)),
        Err(failure) => Err(visit.failed(&failure)),
    }
}

/// The letter, with what somebody typed of it, and with what came of a dry run.
async fn page(
    visit: Visit,
    service: Service,
    id: i64,
    letter: Value,
    typed: &Form,
    tried: Value,
) -> Result<HttpResponse, Refusal> {
    let path = format!("/api/v1/dead-letters/{id}/versions");
    let versions = Part::of(service, visit.state.services.get(service, &path, visit.token()).await);
    let versions: Vec<_> = versions.items().iter().map(version_shown).collect();
    let payload = text(&letter["payload"]);
    let (pretty, is_cut) = pretty(&payload, EDITABLE);
    let is_cut = is_cut || pretty.len() > EDITABLE;
    let draft = typed.get("payload").map_or_else(|| pretty.clone(), str::to_owned);
    let headers: Vec<_> = CHANGEABLE
        .into_iter()
        .map(|name| {
            let known = header(&letter, name).unwrap_or_default();
            (name, typed.get(&format!("header-{name}")).unwrap_or(known).to_owned())
        })
        .collect();
    let events = tried["events"]
        .as_array()
        .into_iter()
        .flatten()
        .map(|event| (event, super::pretty(&text(&event["payload"]), 4_000).0));
    let events: Vec<_> = events.map(|(event, body)| context! { event, body }).collect();
    let (service, reason) = (service.name(), typed.text("reason"));
    Ok(visit.page(
        "control/dead_letter.html",
        context! { service, id, letter, versions, payload => pretty, is_cut, draft, headers, tried, events, reason },
    ))
}

fn version_shown(version: &Value) -> minijinja::value::Value {
    let (body, _) = pretty(&text(&version["payload"]), 8_000);
    context! { version => version["version"], at => version["made_at"], by => version["made_by"], reason => version["reason"],
    headers => version["headers"], body }
}

/// The value of a record as text.
fn text(payload: &Value) -> String {
    match &payload["value"] {
        Value::Null => String::new(),
        Value::String(text) => text.clone(),
        value => value.to_string(),
    }
}

async fn dry_run(visit: Visit, body: Bytes) -> Result<HttpResponse, Refusal> {
    let (visit, form) = visit.for_workers()?.form(&body)?;
    let (visit, service, id) = named(visit)?;
    let (visit, letter) = asked(visit, service, id).await?;
    let draft = match Draft::of(&form, &letter) {
        Ok(draft) => draft,
        Err(why) => return page(visit, service, id, letter, &form, json!({"outcome": "fails", "why": why})).await,
    };
    let asked = draft.body();
    let patience = Some(DRY_RUN_PATIENCE);
    let sent = Sent { token: visit.token(), body: Some(&asked), patience, ..Sent::default() };
    let tried =
        visit.state.services.ask(service, Method::POST, &format!("/api/v1/dead-letters/{id}/dry-run"), sent).await;
    let tried = tried.unwrap_or_else(|failure| json!({"outcome": "not tried", "why": told(service, &failure)}));
    page(visit, service, id, letter, &form, tried).await
}

async fn edit(visit: Visit, body: Bytes) -> Result<HttpResponse, Refusal> {
    let (visit, form) = visit.for_workers()?.form(&body)?;
    let (visit, service, id) = named(visit)?;
    let (visit, letter) = asked(visit, service, id).await?;
    let draft = match Draft::of(&form, &letter) {
        Ok(draft) => draft,
        Err(why) => return page(visit, service, id, letter, &form, json!({"outcome": "fails", "why": why})).await,
    };
    let not_saved = |why: String| json!({"outcome": "not saved", "why": why});
    let mut asked = draft.body();
    let Some(reason) = form.get("reason") else {
        return page(visit, service, id, letter, &form, not_saved(WITHOUT_REASON.to_owned())).await;
    };
    asked["reason"] = reason.into();
    let sent = Sent { token: visit.token(), body: Some(&asked), ..Sent::default() };
    let path = format!("/api/v1/dead-letters/{id}/edit");
    match visit.state.services.ask(service, Method::POST, &path, sent).await {
        Ok(_) => Ok(visit.go(&at(service, id))),
        // What was typed stays, whatever the reason.
        Err(failure) => page(visit, service, id, letter, &form, not_saved(told(service, &failure))).await,
    }
}

/// Why a service did not do it, for whoever works here.
fn told(service: Service, failure: &Failure) -> String {
    match failure {
        Failure::Away { why, .. } => {
            tracing::warn!(service = service.name(), why, "a dead letter can't be worked on");
            format!("{} does not answer just now. Nothing is lost: please try again in a moment.", service.name())
        }
        refused @ Failure::Refused { .. } => refused.to_string(),
    }
}

/// Replays it, and with it the queue of its key, as a job of one letter.
async fn replay(visit: Visit, body: Bytes) -> Result<HttpResponse, Refusal> {
    let (visit, form) = visit.for_workers()?.form(&body)?;
    let (visit, service, id) = named(visit)?;
    let Some(reason) = form.get("reason") else { return Err(without_reason(visit)) };
    begun(visit, service, &json!({"action": "replay", "ids": [id], "reason": reason})).await
}

async fn discard(visit: Visit, body: Bytes) -> Result<HttpResponse, Refusal> {
    let (visit, form) = visit.for_workers()?.form(&body)?;
    let (visit, service, id) = named(visit)?;
    let Some(reason) = form.get("reason") else { return Err(without_reason(visit)) };
    let back = format!("/control/dead-letters?{}", query([("service", service.name())]));
    done(visit, service, &format!("/api/v1/dead-letters/{id}/discard"), &json!({"reason": reason}), &back).await
}

async fn done(visit: Visit, service: Service, path: &str, asked: &Value, to: &str) -> Result<HttpResponse, Refusal> {
    let sent = Sent { token: visit.token(), body: Some(asked), ..Sent::default() };
    match visit.state.services.ask(service, Method::POST, path, sent).await {
        Ok(_) => Ok(visit.go(to)),
        Err(failure) => Err(visit.failed(&failure)),
    }
}

fn without_reason(visit: Visit) -> Refusal {
    visit.refuse(StatusCode::UNPROCESSABLE_ENTITY, "That is not enough", WITHOUT_REASON.to_owned())
}

#[cfg(test)]
mod tests {
    use super::*;

    fn letter() -> Value {
        json!({"payload": {"format": "json", "value": {"a": 1}}, "headers": [{"name": "ce_type", "value": "order.placed.v1"}]})
    }

    fn draft(form: &str) -> Result<Draft, String> {
        Draft::of(&Form::parse(form.as_bytes()).unwrap(), &letter())
    }

    #[test]
    fn only_what_was_changed_is_sent() {
        assert_eq!(draft("payload=%7B%22a%22:+1%7D&header-ce_type=order.placed.v1").unwrap().body(), json!({}));
        let changed = draft("payload=%7B%22a%22:2%7D&header-ce_type=order.placed.v2&header-evil=x").unwrap().body();
        assert_eq!(changed, json!({"payload": {"a": 2}, "headers": {"ce_type": "order.placed.v2"}}));
    }

    #[test]
    fn a_body_that_is_no_json_says_where() {
        assert!(draft("payload=%7B").unwrap_err().contains("no JSON: EOF"));
    }
}
