//! Events that a service could not handle: by cause, by key, and what a service does with many of them, as a job.

use crate::pages::context;
use actix_web::HttpResponse;
use actix_web::http::StatusCode;
use actix_web::web::{Bytes, ServiceConfig, resource};
use futures_util::future::join_all;
use reqwest::Method;
use serde_json::{Value, json};
use uuid::Uuid;

use super::{Part, next_of, term};
use crate::http::form::Form;
use crate::http::visit::{Refusal, Visit, shown};
use crate::services::{Sent, Service, query};

/// What changes of a job while somebody looks at it.
const LIVE: &str = "control/dead_letter_job_live.html";

pub fn routes(config: &mut ServiceConfig) {
    config
        .service(resource("/control/dead-letters").get(|visit| shown(page(visit))))
        .service(
            resource("/control/dead-letters/{service}/jobs")
                .get(|visit| shown(ended(visit)))
                .post(|visit, body| shown(begin(visit, body))),
        )
        .service(
            resource("/control/dead-letters/{service}/jobs/{id}")
                .get(|visit| shown(job(visit, "control/dead_letter_job.html"))),
        )
        .service(resource("/control/dead-letters/{service}/jobs/{id}/live").get(|visit| shown(job(visit, LIVE))))
        .service(
            resource("/control/dead-letters/{service}/jobs/{id}/{turn}").post(|visit, body| shown(turn(visit, body))),
        );
}

/// The service in a path.
pub fn service_in_path(visit: Visit) -> Result<(Visit, Service), Refusal> {
    match visit.request.match_info().get("service").and_then(Service::named) {
        Some(service) => Ok((visit, service)),
        None => Err(super::missing(visit, "service")),
    }
}

/// By cause; or, where a cause or a key is asked for, one by one.
async fn page(visit: Visit) -> Result<HttpResponse, Refusal> {
    let visit = visit.for_workers()?;
    let asked = Form::query(&visit.request);
    let of = asked.get("service").and_then(Service::named);
    let group =
        asked.get("group").filter(|group| group.len() == 16 && group.bytes().all(|byte| byte.is_ascii_hexdigit()));
    let key = asked.get("key").and_then(term);
    match (group, key) {
        (None, None) => by_cause(visit, of).await,
        (group, key) => {
            let group = group.map(str::to_owned);
            one_by_one(visit, of, group, key).await
        }
    }
}

fn asked_services(of: Option<Service>) -> Vec<Service> {
    of.map_or_else(|| Service::ALL.to_vec(), |of| vec![of])
}

async fn by_cause(visit: Visit, of: Option<Service>) -> Result<HttpResponse, Refusal> {
    let (services, token) = (&visit.state.services, visit.token());
    let after = Form::query(&visit.request).get("after").and_then(term);
    let pairs = [("limit", Some("100")), ("cursor", after.as_deref())];
    let groups = query(pairs.into_iter().filter_map(|(name, value)| Some((name, value?))));
    let groups = &format!("/api/v1/dead-letters/groups?{groups}");
    let ask = |service: Service| async move {
        let (groups, jobs) = tokio::join!(
            services.get(service, groups, token),
            services.get(service, "/api/v1/dead-letters/jobs?going_on=true&limit=100", token)
        );
        let (groups, jobs) = (Part::of(service, groups), Part::of(service, jobs));
        let next = groups.value["next_cursor"].as_str();
        let next = next.map(|after| query([("service", service.name()), ("after", after)]));
        let next = next.map(|next| format!("/control/dead-letters?{next}"));
        context! { service => service.name(), groups, jobs, next }
    };
    let services = join_all(asked_services(of).into_iter().map(ask)).await;
    Ok(visit.page("control/dead_letters.html", context! { services }))
}

fn is_over(job: &Value) -> bool {
    matches!(job["state"].as_str(), Some("done" | "cancelled"))
}

/// The jobs of a service that have ended, the newest first.
async fn ended(visit: Visit) -> Result<HttpResponse, Refusal> {
    let (visit, service) = service_in_path(visit.for_workers()?)?;
    let cursor = Form::query(&visit.request).get("cursor").and_then(|id| id.parse::<Uuid>().ok());
    let cursor = cursor.map(|id| id.to_string());
    let pairs = [("going_on", Some("false")), ("limit", Some("50")), ("cursor", cursor.as_deref())];
    let asked = query(pairs.into_iter().filter_map(|(name, value)| Some((name, value?))));
    let path = format!("/api/v1/dead-letters/jobs?{asked}");
    let jobs = Part::of(service, visit.state.services.get(service, &path, visit.token()).await);
    let service = service.name();
    let next = next_of(&format!("/control/dead-letters/{service}/jobs"), &[], &jobs);
    Ok(visit.page("control/dead_letter_jobs.html", context! { service, jobs, next }))
}

async fn one_by_one(
    visit: Visit,
    of: Option<Service>,
    group: Option<String>,
    key: Option<String>,
) -> Result<HttpResponse, Refusal> {
    let cursor = Form::query(&visit.request).get("cursor").and_then(|cursor| cursor.parse::<i64>().ok());
    let cursor = cursor.map(|cursor| cursor.to_string());
    let pairs =
        [("group", group.as_deref()), ("key", key.as_deref()), ("cursor", cursor.as_deref()), ("limit", Some("100"))];
    let path = query(pairs.into_iter().filter_map(|(name, value)| Some((name, value?))));
    let path = &format!("/api/v1/dead-letters?{path}");
    let (services, token, by) = (&visit.state.services, visit.token(), (&group, &key));
    let ask = |service: Service| async move {
        let letters = Part::of(service, services.get(service, path, token).await);
        let asked = [
            ("service", service.name()),
            ("group", by.0.as_deref().unwrap_or_default()),
            ("key", by.1.as_deref().unwrap_or_default()),
        ];
        let next = next_of("/control/dead-letters", &asked, &letters);
        context! { service => service.name(), letters, next }
    };
    let lists = join_all(asked_services(of).into_iter().map(ask)).await;
    Ok(visit.page("control/dead_letters.html", context! { lists, group, key }))
}

/// Has a service replay or discard many: those of a cause or of a key.
async fn begin(visit: Visit, body: Bytes) -> Result<HttpResponse, Refusal> {
    let (visit, form) = visit.for_workers()?.form(&body)?;
    let (visit, service) = service_in_path(visit)?;
    let Some(asked) = new_job(&form) else {
        let why = "Say what is to be done, to which letters, and why.";
        return Err(visit.refuse(StatusCode::UNPROCESSABLE_ENTITY, "That is not enough", why.to_owned()));
    };
    begun(visit, service, &asked).await
}

/// Begins a job and leads to it.
pub async fn begun(visit: Visit, service: Service, asked: &Value) -> Result<HttpResponse, Refusal> {
    let sent = Sent { token: visit.token(), body: Some(asked), ..Sent::default() };
    match visit.state.services.ask(service, Method::POST, "/api/v1/dead-letters/jobs", sent).await {
        Ok(job) => match job["id"].as_str().and_then(|id| id.parse::<Uuid>().ok()) {
            Some(id) => Ok(visit.go(&format!("/control/dead-letters/{}/jobs/{id}", service.name()))),
            None => Ok(visit.go("/control/dead-letters")),
        },
        Err(failure) => Err(visit.failed(&failure)),
    }
}

fn new_job(form: &Form) -> Option<Value> {
    let action = form.get("action").filter(|action| ["replay", "discard"].contains(action))?;
    let reason = form.get("reason")?;
    let keep_going = form.get("keep_going").is_some();
    let mut job = json!({"action": action, "reason": reason, "keep_going": keep_going});
    match (form.get("group"), form.get("key")) {
        (Some(group), None) => job["group"] = group.into(),
        (None, Some(key)) => job["key"] = key.into(),
        _ => return None,
    }
    Some(job)
}

async fn job(visit: Visit, template: &str) -> Result<HttpResponse, Refusal> {
    let (visit, service) = service_in_path(visit.for_workers()?)?;
    let (visit, id) = super::id_in_path(visit, "job")?;
    let path = format!("/api/v1/dead-letters/jobs/{id}");
    match visit.state.services.get(service, &path, visit.token()).await {
        Ok(job) => {
            let (is_over, service) = (is_over(&job), service.name());
            // To htmx it says that there is no need to ask again.
            let status = if is_over && template == LIVE { StatusCode::from_u16(286) } else { Ok(StatusCode::OK) };
            let status = status.unwrap_or(StatusCode::OK);
            Ok(visit.page_as(status, template, context! { job, is_over, service, id }))
        }
        Err(failure) => Err(visit.failed(&failure)),
    }
}

async fn turn(visit: Visit, body: Bytes) -> Result<HttpResponse, Refusal> {
    let (visit, _) = visit.for_workers()?.form(&body)?;
    let (visit, service) = service_in_path(visit)?;
    let (visit, id) = super::id_in_path(visit, "job")?;
    let turn = match visit.request.match_info().get("turn") {
        Some("pause") => "pause",
        Some("resume") => "resume",
        Some("cancel") => "cancel",
        _ => return Err(super::missing(visit, "button")),
    };
    let nothing = json!({});
    let sent = Sent { token: visit.token(), body: Some(&nothing), ..Sent::default() };
    let path = format!("/api/v1/dead-letters/jobs/{id}/{turn}");
    match visit.state.services.ask(service, Method::POST, &path, sent).await {
        Ok(_) => Ok(visit.go(&format!("/control/dead-letters/{}/jobs/{id}", service.name()))),
        Err(failure) => Err(visit.failed(&failure)),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn asked(form: &str) -> Option<Value> {
        new_job(&Form::parse(form.as_bytes()).unwrap())
    }

    #[test]
    fn a_job_is_for_a_cause_or_a_key_and_never_without_a_reason() {
        let job = json!({"action": "replay", "reason": "mended", "keep_going": false, "group": "5f0c6d3a9b1e2f48"});
        assert_eq!(asked("action=replay&group=5f0c6d3a9b1e2f48&reason=mended"), Some(job));
        for bad in [
            "action=replay&reason=x",
            "action=replay&group=a&key=b&reason=x",
            "action=eat&key=b&reason=x",
            "action=discard&key=b",
        ] {
            assert_eq!(asked(bad), None, "{bad}");
        }
    }
}
