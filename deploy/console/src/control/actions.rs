//! Who of staff and operators did what, at whichever service, and with the console's own buttons.

use crate::pages::context;
use actix_web::HttpResponse;
use actix_web::web::{ServiceConfig, resource};
use chrono::{DateTime, Utc};
use futures_util::future::join_all;
use serde::Serialize;
use serde_json::{Value, json};
use uuid::Uuid;

use super::Part;
use crate::http::form::Form;
use crate::http::visit::{Refusal, Visit, shown};
use crate::services::{Service, query};
use crate::store;

const PAGE: usize = 50;

pub fn routes(config: &mut ServiceConfig) {
    config.service(resource("/control/actions").get(|visit| shown(page(visit))));
}

#[derive(Debug, PartialEq, Serialize)]
struct Action {
    id: Uuid,
    at: DateTime<Utc>,
    service: &'static str,
    sub: String,
    role: String,
    method: String,
    path: String,
    status: Option<i64>,
    trace: Option<String>,
}

async fn page(visit: Visit) -> Result<HttpResponse, Refusal> {
    let visit = visit.for_workers()?;
    let asked = Form::query(&visit.request);
    let sub = asked.get("sub").filter(|sub| sub.len() <= 255 && sub.bytes().all(|byte| byte.is_ascii_graphic()));
    // Ids of actions are in the order of their times at every service.
    let before = asked.get("before").and_then(|id| id.parse::<Uuid>().ok());
    let (limit, cursor) = (PAGE.to_string(), before.map(|id| id.to_string()));
    let pairs = [("limit", Some(limit.as_str())), ("cursor", cursor.as_deref()), ("sub", sub)];
    let path = format!("/api/v1/actions?{}", query(pairs.iter().filter_map(|(name, value)| Some((*name, (*value)?)))));
    let (services, token, path) = (&visit.state.services, visit.token(), path.as_str());
    let ask = |service: Service| async move { Part::of(service, services.get(service, path, token).await) };
    let (mut parts, own) = tokio::join!(join_all(Service::ALL.map(ask)), own(&visit, sub, before));
    parts.push(own);
    let mut actions = merged(&parts);
    let next = (actions.len() > PAGE).then(|| {
        actions.truncate(PAGE);
        let last = actions.last().map(|last| last.id.to_string()).unwrap_or_default();
        let pairs = [("before", last.as_str())].into_iter().chain(sub.map(|sub| ("sub", sub)));
        format!("/control/actions?{}", query(pairs))
    });
    let next = next.or_else(|| more(&parts, &actions, sub));
    let (sub, traces_url) = (sub.map(str::to_owned), visit.state.traces.clone());
    Ok(visit.page("control/actions.html", context! { actions, parts, next, sub, traces_url }))
}

/// What was done with the console's own buttons.
async fn own(visit: &Visit, sub: Option<&str>, before: Option<Uuid>) -> Part {
    let read: anyhow::Result<Vec<Value>> = async {
        let mut conn = visit.state.pool.get().await?;
        Ok(store::actions::list(&mut conn, sub, before, PAGE.try_into()?).await?)
    }
    .await;
    let service = crate::NAME;
    match read {
        Ok(items) => {
            let next = (items.len() == PAGE).then(|| items.last().map(|last| last["id"].clone()));
            Part { service, trouble: None, value: json!({"items": items, "next_cursor": next}) }
        }
        Err(error) => {
            tracing::warn!(error = format!("{error:#}"), "the console's own record can't be read");
            let trouble = Some("The console's own record can't be read just now.".to_owned());
            Part { service, trouble, value: Value::Null }
        }
    }
}

/// The actions of all services, the newest first.
fn merged(parts: &[Part]) -> Vec<Action> {
    let of_part = |part: &Part| part.items().iter().filter_map(|item| action(part.service, item)).collect::<Vec<_>>();
    let mut actions: Vec<_> = parts.iter().flat_map(of_part).collect();
    actions.sort_by_key(|action| std::cmp::Reverse(action.id));
    actions
}

/// Where the list goes on if just one page is full, and ends with the last of all.
fn more(parts: &[Part], actions: &[Action], sub: Option<&str>) -> Option<String> {
    parts.iter().find(|part| part.value["next_cursor"].is_string())?;
    let last = actions.last()?.id.to_string();
    let pairs = [("before", last.as_str())].into_iter().chain(sub.map(|sub| ("sub", sub)));
    Some(format!("/control/actions?{}", query(pairs)))
}

fn action(service: &'static str, item: &Value) -> Option<Action> {
    let text = |name: &str| item[name].as_str().unwrap_or_default().to_owned();
    let trace = item["traceparent"].as_str().and_then(|context| context.split('-').nth(1));
    Some(Action {
        id: item["id"].as_str()?.parse().ok()?,
        at: item["at"].as_str()?.parse().ok()?,
        service,
        sub: text("sub"),
        role: text("role"),
        method: text("method"),
        path: text("path"),
        status: item["status"].as_i64(),
        trace: trace.map(str::to_owned),
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_actions_of_all_services_come_newest_first_and_what_is_none_is_left_out() {
        let item =
            |id: u128, path: &str| json!({"id": Uuid::from_u128(id), "at": "2026-11-29T12:00:00Z", "path": path});
        let part = |service, items: Vec<Value>| Part { service, trouble: None, value: json!({"items": items}) };
        let away = Part { service: "payment-svc", trouble: Some("away".to_owned()), value: Value::Null };
        let parts = [
            part("order-svc", vec![item(3, "/a"), item(1, "/c")]),
            part("stock-svc", vec![item(2, "/b"), json!({"id": "none"})]),
            away,
        ];
        let paths: Vec<_> = merged(&parts).into_iter().map(|action| (action.service, action.path)).collect();
        let told = [("order-svc", "/a"), ("stock-svc", "/b"), ("order-svc", "/c")];
        assert_eq!(paths, told.map(|(service, path)| (service, path.to_owned())));
    }
}
