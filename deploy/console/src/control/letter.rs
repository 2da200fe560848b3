//! One dead letter: what it says, what waits behind it, what would come of it, and what may be done with it.

use std::collections::BTreeMap;
use std::time::Duration;

use crate::pages::context;
use actix_web::HttpResponse;
use actix_web::http::StatusCode;
use actix_web::web::{Bytes, ServiceConfig, resource};
use reqwest::Method;
use serde::Serialize;
use serde_json::value::RawValue;
use serde_json::{Value, json};

use super::dead_letters::{begun, service_in_path};
use super::{json_text, pretty};
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

/// A letter as the service tells it.
struct Letter {
    value: Value,
    /// The record's value as it came: names are in their order.
    payload: String,
}

/// How an event is to be changed: what differs from what it says now. The body is sent as it was typed, but for spaces.
#[derive(Debug, Default, PartialEq, Serialize)]
struct Draft {
    #[serde(skip_serializing_if = "Option::is_none")]
    payload: Option<Typed>,
    #[serde(skip_serializing_if = "BTreeMap::is_empty")]
    headers: BTreeMap<String, String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    reason: Option<String>,
}

/// JSON as somebody typed it.
#[derive(Debug, Serialize)]
#[serde(transparent)]
struct Typed(Box<RawValue>);

impl PartialEq for Typed {
    fn eq(&self, other: &Self) -> bool {
        self.0.get() == other.0.get()
    }
}

impl Draft {
    /// Fails, and says why, if the body is no JSON.
    fn of(form: &Form, letter: &Letter) -> Result<Self, String> {
        let mut draft = Self::default();
        if let Some(text) = form.get("payload") {
            let is_none = |error| format!("The body is no JSON: {error}.");
            let typed = serde_json::from_str::<Box<RawValue>>(text).map_err(is_none)?;
            let typed = json_text::compact(typed.get()).unwrap_or_default();
            if Some(&typed) != json_text::compact(&letter.payload).as_ref() {
                draft.payload = Some(Typed(RawValue::from_string(typed).map_err(is_none)?));
            }
        }
        for name in CHANGEABLE {
            let known = header(&letter.value, name).unwrap_or_default();
            let new = form.text(&format!("header-{name}"));
            if !new.is_empty() && new != known {
                draft.headers.insert(name.to_owned(), new.to_owned());
            }
        }
        Ok(draft)
    }

    fn body(&self) -> String {
        serde_json::to_string(self).unwrap_or_default()
    }
}

fn header<'a>(letter: &'a Value, name: &str) -> Option<&'a str> {
    let headers = letter["headers"].as_array().into_iter().flatten();
    headers.into_iter().find(|header| header["name"] == name).and_then(|header| header["value"].as_str())
}

async fn show(visit: Visit) -> Result<HttpResponse, Refusal> {
    let (visit, service, id) = named(visit.for_workers()?)?;
    let (visit, letter) = asked(visit, service, id).await?;
    page(visit, service, id, letter, &Form::default(), Default::default()).await
}

async fn asked(visit: Visit, service: Service, id: i64) -> Result<(Visit, Letter), Refusal> {
    let sent = Sent { token: visit.token(), ..Sent::default() };
    match visit.state.services.asked(service, Method::GET, &format!("/api/v1/dead-letters/{id}"), sent).await {
        Ok((text, value)) => Ok((visit, Letter { payload: payload_of(&text), value })),
        Err(failure) => Err(visit.failed(&failure)),
    }
}

/// The letter, with what somebody typed of it, and with what came of a dry run.
async fn page(
    visit: Visit,
    service: Service,
    id: i64,
    letter: Letter,
    typed: &Form,
    (tried_text, tried): (String, Value),
) -> Result<HttpResponse, Refusal> {
    let path = format!("/api/v1/dead-letters/{id}/versions");
    let sent = Sent { token: visit.token(), ..Sent::default() };
    let versions = visit.state.services.asked(service, Method::GET, &path, sent).await;
    let versions = versions.map(|(text, _)| text).unwrap_or_default();
    let versions: Vec<_> = listed(&versions, "items").into_iter().map(version_shown).collect();
    let Letter { value: letter, payload } = letter;
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
    let events = listed(&tried_text, "events").into_iter().map(|text| {
        let event: Value = serde_json::from_str(text).unwrap_or_default();
        (event, super::pretty(&payload_of(text), 4_000).0)
    });
    let events: Vec<_> = events.map(|(event, body)| context! { event, body }).collect();
    let rows: Vec<_> = tried["rows"].as_array().into_iter().flatten().map(table_shown).collect();
    let (service, reason) = (service.name(), typed.text("reason"));
    Ok(visit.page(
        "control/dead_letter.html",
        context! { service, id, letter, versions, payload => pretty, is_cut, draft, headers, tried, rows, events,
        reason },
    ))
}

/// What a dry run would write to a table, column by column.
fn table_shown(table: &Value) -> minijinja::value::Value {
    let text = |value: Option<&Value>| match value {
        None | Some(Value::Null) => String::new(),
        Some(Value::String(text)) => text.clone(),
        Some(value) => value.to_string(),
    };
    let columns = |change: &Value| -> Vec<_> {
        let (before, after) = (change["before"].as_object(), change["after"].as_object());
        let names = after.or(before).into_iter().flat_map(|row| row.keys());
        let column = |name: &String| {
            let (old, new) = (before.and_then(|row| row.get(name)), after.and_then(|row| row.get(name)));
            let changes = before.is_some() && after.is_some() && old != new;
            context! { name => name, before => text(old), after => text(new), changes }
        };
        names.map(column).collect()
    };
    let changes = table["changes"].as_array().into_iter().flatten();
    let changes: Vec<_> = changes
        .map(|change| context! { before => change["before"], after => change["after"], columns => columns(change) })
        .collect();
    context! { table => table["table"], inserted => table["inserted"], updated => table["updated"],
    deleted => table["deleted"], all_shown => table["all_shown"], changes }
}

/// The items of a list in an answer, as they came.
fn listed<'a>(text: &'a str, name: &str) -> Vec<&'a str> {
    json_text::member(text, &[name]).map(json_text::items).unwrap_or_default()
}

fn version_shown(text: &str) -> minijinja::value::Value {
    let version: Value = serde_json::from_str(text).unwrap_or_default();
    let (body, _) = pretty(&payload_of(text), 8_000);
    context! { version => version["version"], at => version["made_at"], by => version["made_by"], reason => version["reason"],
    headers => version["headers"], body }
}

/// The value of a record that is shown as `payload`: JSON as it came, or text.
fn payload_of(shown: &str) -> String {
    let value = json_text::member(shown, &["payload", "value"]).unwrap_or("null");
    let is_json = json_text::member(shown, &["payload", "format"]) == Some("\"json\"");
    match serde_json::from_str(value) {
        Ok(Value::String(text)) if !is_json => text,
        Ok(Value::Null) if !is_json => String::new(),
        _ => value.to_owned(),
    }
}

async fn dry_run(visit: Visit, body: Bytes) -> Result<HttpResponse, Refusal> {
    let (visit, form) = visit.for_workers()?.form(&body)?;
    let (visit, service, id) = named(visit)?;
    let (visit, letter) = asked(visit, service, id).await?;
    let draft = match Draft::of(&form, &letter) {
        Ok(draft) => draft,
        Err(why) => return page(visit, service, id, letter, &form, refused(&why)).await,
    };
    let asked = draft.body();
    let patience = Some(DRY_RUN_PATIENCE);
    let sent = Sent { token: visit.token(), text: Some(&asked), patience, ..Sent::default() };
    let tried =
        visit.state.services.asked(service, Method::POST, &format!("/api/v1/dead-letters/{id}/dry-run"), sent).await;
    let tried = tried.unwrap_or_else(|failure| outcome("not tried", &told(service, &failure)));
    page(visit, service, id, letter, &form, tried).await
}

async fn edit(visit: Visit, body: Bytes) -> Result<HttpResponse, Refusal> {
    let (visit, form) = visit.for_workers()?.form(&body)?;
    let (visit, service, id) = named(visit)?;
    let (visit, letter) = asked(visit, service, id).await?;
    let draft = match Draft::of(&form, &letter) {
        Ok(draft) => draft,
        Err(why) => return page(visit, service, id, letter, &form, refused(&why)).await,
    };
    let Some(reason) = form.get("reason") else {
        return page(visit, service, id, letter, &form, outcome("not saved", WITHOUT_REASON)).await;
    };
    let asked = Draft { reason: Some(reason.to_owned()), ..draft }.body();
    let sent = Sent { token: visit.token(), text: Some(&asked), ..Sent::default() };
    let path = format!("/api/v1/dead-letters/{id}/edit");
    match visit.state.services.ask(service, Method::POST, &path, sent).await {
        Ok(_) => Ok(visit.go(&at(service, id))),
        // What was typed stays, whatever the reason.
        Err(failure) => {
            let not_saved = outcome("not saved", &told(service, &failure));
            page(visit, service, id, letter, &form, not_saved).await
        }
    }
}

/// What can't even be tried, as a try that failed.
fn refused(why: &str) -> (String, Value) {
    outcome("fails", why)
}

fn outcome(outcome: &str, why: &str) -> (String, Value) {
    (String::new(), json!({"outcome": outcome, "why": why}))
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
    done(visit, service, &format!("/api/v1/dead-letters/{id}/discard"), &json!({"reason": reason}).to_string(), &back)
        .await
}

async fn done(visit: Visit, service: Service, path: &str, asked: &str, to: &str) -> Result<HttpResponse, Refusal> {
    let sent = Sent { token: visit.token(), text: Some(asked), ..Sent::default() };
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

    const LETTER: &str = r#"{"payload": {"format": "json", "value": {"b": 1.50, "a": 1}}, "headers":
        [{"name": "ce_type", "value": "order.placed.v1"}]}"#;

    fn draft(form: &str) -> Result<String, String> {
        let letter = Letter { value: serde_json::from_str(LETTER).unwrap(), payload: payload_of(LETTER) };
        Draft::of(&Form::parse(form.as_bytes()).unwrap(), &letter).map(|draft| draft.body())
    }

    #[test]
    fn only_what_was_changed_is_sent_and_as_it_was_typed() {
        let same = "payload=%7B%22b%22:+1.50,%0D%0A%22a%22:+1%7D&header-ce_type=order.placed.v1";
        assert_eq!(draft(same).unwrap(), "{}");
        let changed = "payload=%7B%22b%22:1.50,%22a%22:2%7D&header-ce_type=order.placed.v2&header-evil=x";
        let expected = r#"{"payload":{"b":1.50,"a":2},"headers":{"ce_type":"order.placed.v2"}}"#;
        assert_eq!(draft(changed).unwrap(), expected);
    }

    #[test]
    fn a_body_that_is_no_json_says_where() {
        assert!(draft("payload=%7B").unwrap_err().contains("no JSON: EOF"));
    }

    #[test]
    fn a_text_that_is_no_json_and_no_value_at_all_are_shown_as_text() {
        assert_eq!(payload_of(r#"{"payload": {"format": "text", "value": "a \"b\""}}"#), "a \"b\"");
        assert_eq!(payload_of(r#"{"payload": {"format": "json", "value": "a"}}"#), "\"a\"");
        assert_eq!(payload_of(r#"{"payload": {"format": "none", "value": null}}"#), "");
    }
}
