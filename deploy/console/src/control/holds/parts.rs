//! The parts of a local run, to be stopped, frozen and killed, so that one can watch what the others do.

use crate::pages::context;
use actix_web::HttpResponse;
use actix_web::http::StatusCode;
use actix_web::web::Bytes;
use minijinja::value::Value as Shown;
use reqwest::Method;
use serde::Serialize;
use serde_json::{Value, json};

use super::super::record::recorded;
use crate::beside::{Beside, Program};
use crate::http::visit::{Refusal, Visit};
use crate::services::Failure;

/// Without these nobody sees this page, or can press its buttons: they come back by themselves after so many seconds.
const NEEDED: [&str; 3] = ["postgres", "console", "sandbox-issuer"];
const AWAY: u64 = 30;
/// What each switch is called, as it comes back by itself or not.
const SWITCHES: [(&str, &str, &str); 5] = [
    ("stop", "Stop", "Stop for 30 s"),
    ("start", "Start", "Start"),
    ("freeze", "Freeze", "Freeze for 30 s"),
    ("continue", "Let it go on", "Let it go on"),
    ("kill", "Kill", "Kill"),
];

#[derive(Debug, PartialEq, Eq, Serialize)]
struct Part {
    name: String,
    state: String,
    kind: &'static str,
    pid: Option<i64>,
    /// The switches that do something now, with their labels.
    switches: Vec<(&'static str, &'static str)>,
}

/// The parts as they are now; nothing where this is no local run.
pub async fn seen(beside: &Beside) -> Option<Shown> {
    let runner = beside.runner.as_ref()?;
    Some(match runner.get("/parts").await {
        Ok(told) => context! { parts => parts(&told) },
        Err(failure) => context! { trouble => super::super::trouble(runner.name(), &failure) },
    })
}

fn parts(told: &Value) -> Vec<Part> {
    told["items"].as_array().into_iter().flatten().filter_map(part).collect()
}

fn part(told: &Value) -> Option<Part> {
    let (name, state) = (told["name"].as_str()?, told["state"].as_str()?);
    let kind = match state {
        "running" => "good",
        "starting" | "stopping" => "warn",
        _ => "bad",
    };
    let known: Vec<_> = told["switches"].as_array()?.iter().filter_map(Value::as_str).collect();
    let fits = |switch: &str| match switch {
        "start" => matches!(state, "stopped" | "stopping"),
        "continue" => state == "frozen",
        "freeze" => state == "running",
        "kill" => matches!(state, "running" | "frozen" | "stopping"),
        _ => matches!(state, "running" | "frozen" | "starting"),
    };
    let label =
        |(switch, label, for_a_while): (_, _, _)| (switch, if NEEDED.contains(&name) { for_a_while } else { label });
    let switches =
        SWITCHES.into_iter().filter(|(switch, ..)| known.contains(switch) && fits(switch)).map(label).collect();
    let (name, state) = (name.to_owned(), state.to_owned());
    Some(Part { name, state, kind, pid: told["pid"].as_i64(), switches })
}

/// The parts alone, for a page that is there already.
pub async fn live(visit: Visit) -> Result<HttpResponse, Refusal> {
    let visit = visit.for_workers()?;
    let run = seen(&visit.state.beside).await;
    Ok(visit.page("control/holds_parts.html", context! { run }))
}

/// Has the runner switch a part.
pub async fn press(visit: Visit, body: Bytes) -> Result<HttpResponse, Refusal> {
    let (visit, _) = visit.for_workers()?.form(&body)?;
    let Some(runner) = visit.state.beside.runner.clone() else { return Err(super::super::missing(visit, "local run")) };
    let of = |name: &str| visit.request.match_info().get(name).unwrap_or_default().to_owned();
    let (name, switch) = (of("name"), of("switch"));
    let is_word = |word: &str| !word.is_empty() && word.bytes().all(|byte| byte.is_ascii_lowercase() || byte == b'-');
    if !is_word(&name) || !SWITCHES.iter().any(|(known, ..)| *known == switch) {
        let why = "A part of a local run can be stopped, started, frozen, let go on and killed.";
        return Err(visit.refuse(StatusCode::NOT_FOUND, "There is no such switch", why.to_owned()));
    }
    let visit = recorded(visit, async |_: &Visit| switched(&runner, &name, &switch).await).await?;
    Ok(visit.go("/control/holds#switches"))
}

async fn switched(runner: &Program, name: &str, switch: &str) -> Result<(), Failure> {
    let for_a_while = NEEDED.contains(&name) && matches!(switch, "stop" | "freeze");
    let press = if for_a_while { json!({"for_seconds": AWAY}) } else { json!({}) };
    runner.ask(Method::POST, &format!("/parts/{name}/{switch}"), &press).await.map(drop)
}

/// Starts what is stopped, and lets go on what is frozen. It goes on where one of them fails, and fails as the first.
pub async fn mend(beside: &Beside) -> Result<(), Failure> {
    let Some(runner) = &beside.runner else { return Ok(()) };
    let mut first = Ok(());
    for part in parts(&runner.get("/parts").await?) {
        let mends = match part.state.as_str() {
            "stopped" | "stopping" => "start",
            "frozen" => "continue",
            _ => continue,
        };
        first = first.and(switched(runner, &part.name, mends).await);
    }
    first
}

#[cfg(test)]
mod tests {
    use super::*;

    fn switches(name: &str, state: &str) -> Vec<(&'static str, &'static str)> {
        let all = ["stop", "start", "freeze", "continue", "kill"];
        part(&json!({"name": name, "state": state, "pid": 7, "switches": all})).unwrap().switches
    }

    #[test]
    fn a_part_has_the_switches_that_do_something_now() {
        let names = |state| switches("payment-svc", state).into_iter().map(|(name, _)| name).collect::<Vec<_>>();
        assert_eq!(names("running"), ["stop", "freeze", "kill"]);
        assert_eq!(names("frozen"), ["stop", "continue", "kill"]);
        assert_eq!(names("stopped"), ["start"]);
        assert_eq!(names("starting"), ["stop"]);
        let kafka = json!({"name": "kafka", "state": "running", "pid": 7, "switches": ["freeze", "continue", "kill"]});
        assert_eq!(part(&kafka).unwrap().switches, [("freeze", "Freeze"), ("kill", "Kill")]);
    }

    #[test]
    fn what_this_page_stands_on_is_away_for_a_while_alone() {
        assert_eq!(switches("postgres", "running")[0], ("stop", "Stop for 30 s"));
        assert_eq!(switches("order-svc", "running")[0], ("stop", "Stop"));
    }
}
