//! The sandbox gateway's faults, switched on and off, so that one can watch money stay right.

use crate::pages::context;
use actix_web::HttpResponse;
use actix_web::http::StatusCode;
use actix_web::web::Bytes;
use minijinja::value::Value as Shown;
use reqwest::Method;
use serde::Serialize;
use serde_json::{Value, json};

use super::super::record::recorded;
use crate::beside::Beside;
use crate::http::form::Form;
use crate::http::visit::{Refusal, Visit};
use crate::services::Failure;

const AT: &str = "/sandbox/faults";
/// A bank's reasons.
const DECLINES: [(&str, &str); 7] = [
    ("generic_decline", "no reason given"),
    ("insufficient_funds", "insufficient funds"),
    ("expired_card", "the card has expired"),
    ("stolen_card", "the card is stolen"),
    ("issuer_not_available", "the bank is not available"),
    ("processing_error", "an error in processing"),
    ("try_again_later", "try again later"),
];
/// What is either on or off: its field, where it is in the gateway's own form, and what it does.
const SWITCHES: [(&str, &str, &str); 6] = [
    ("action_required", "/action_required", "Every payment waits for its customer"),
    ("capture_fails", "/capture_fails", "Every capture fails"),
    ("withhold_answers", "/withhold_answers", "Everything is done, but its first answer is withheld"),
    ("duplicate", "/webhooks/duplicate", "Each webhook is delivered twice"),
    ("reorder", "/webhooks/reorder", "Webhooks overtake each other"),
    ("lose", "/webhooks/lose", "No webhook is delivered"),
];
const LONGEST_DELAY: u64 = 60_000;

#[derive(Debug, Serialize)]
struct Switch {
    name: &'static str,
    what: &'static str,
    is_on: bool,
}

/// What goes wrong at the gateway now; nothing where there is no sandbox gateway.
pub async fn seen(beside: &Beside) -> Option<Shown> {
    let gateway = beside.gateway.as_ref()?;
    Some(match gateway.get(AT).await {
        Ok(faults) => shown(&faults),
        Err(failure) => context! { trouble => super::super::trouble(gateway.name(), &failure) },
    })
}

fn shown(faults: &Value) -> Shown {
    let is_on = |pointer: &str| faults.pointer(pointer).and_then(Value::as_bool).unwrap_or_default();
    let switches: Vec<_> =
        SWITCHES.into_iter().map(|(name, pointer, what)| Switch { name, what, is_on: is_on(pointer) }).collect();
    let delay = faults["delay_ms"].as_u64().unwrap_or_default();
    let failing = percent(faults["failure_rate"].as_f64().unwrap_or_default());
    let decline = faults["decline"].as_str().unwrap_or_default().to_owned();
    let is_trouble = delay > 0 || failing != "0" || !decline.is_empty() || switches.iter().any(|switch| switch.is_on);
    context! { switches, delay, failing, decline, declines => DECLINES.to_vec(), is_trouble, longest => LONGEST_DELAY }
}

/// Switches all of them, as the form says.
pub async fn switch(visit: Visit, body: Bytes) -> Result<HttpResponse, Refusal> {
    let (visit, form) = visit.for_workers()?.form(&body)?;
    match wanted(&form) {
        Ok(wanted) => put(visit, &wanted).await,
        Err(why) => Err(visit.refuse(StatusCode::UNPROCESSABLE_ENTITY, "That can't go wrong", why)),
    }
}

async fn put(visit: Visit, faults: &Value) -> Result<HttpResponse, Refusal> {
    if visit.state.beside.gateway.is_none() {
        return Err(super::super::missing(visit, "sandbox gateway"));
    }
    tracing::info!(%faults, "the gateway's faults are switched");
    let visit = recorded(visit, async |visit: &Visit| set(&visit.state.beside, faults).await).await?;
    Ok(visit.go("/control/holds#switches"))
}

/// Has the gateway, if there is one, do this wrong and nothing else.
pub async fn set(beside: &Beside, faults: &Value) -> Result<(), Failure> {
    match &beside.gateway {
        Some(gateway) => gateway.ask(Method::PUT, AT, faults).await.map(drop),
        None => Ok(()),
    }
}

/// What a form asks to go wrong. What it doesn't say is off.
fn wanted(form: &Form) -> Result<Value, String> {
    let mut faults = json!({"webhooks": {}});
    for (name, pointer, _) in SWITCHES.iter().filter(|(name, ..)| form.get(name).is_some()) {
        let of_webhooks = pointer.starts_with("/webhooks");
        let place = if of_webhooks { &mut faults["webhooks"] } else { &mut faults };
        place[*name] = true.into();
    }
    if let Some(decline) = form.get("decline") {
        let known = DECLINES.iter().any(|(code, _)| *code == decline);
        faults["decline"] =
            if known { decline.into() } else { return Err(format!("{decline:?} is no bank's reason.")) };
    }
    let delay = form.get("delay_ms").unwrap_or("0");
    let expected = || format!("{delay:?} is no delay; expected milliseconds from 0 to {LONGEST_DELAY}.");
    let millis = delay.parse::<u64>().map_err(|_| expected())?;
    faults["delay_ms"] = if millis <= LONGEST_DELAY { millis.into() } else { return Err(expected()) };
    let failing = form.get("failing").unwrap_or("0");
    let share = failing.replace(',', ".").parse::<f64>().ok().filter(|share| (0.0..=100.0).contains(share));
    let share = share.ok_or_else(|| format!("{failing:?} is no share; expected a number from 0 to 100."))?;
    faults["failure_rate"] = (share / 100.0).into();
    Ok(faults)
}

/// A share of 1 as per cent, without digits that say nothing.
fn percent(share: f64) -> String {
    let text = format!("{:.2}", share * 100.0);
    text.trim_end_matches('0').trim_end_matches('.').to_owned()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn asked(form: &str) -> Result<Value, String> {
        wanted(&Form::parse(form.as_bytes()).unwrap())
    }

    #[test]
    fn what_a_form_does_not_say_is_off() {
        let nothing = json!({"webhooks": {}, "delay_ms": 0, "failure_rate": 0.0});
        assert_eq!(asked("decline=&delay_ms=&failing="), Ok(nothing));
        let much = "decline=stolen_card&capture_fails=1&duplicate=1&delay_ms=200&failing=30";
        let wanted = json!({"decline": "stolen_card", "capture_fails": true, "webhooks": {"duplicate": true},
            "delay_ms": 200, "failure_rate": 0.3});
        assert_eq!(asked(much), Ok(wanted));
    }

    #[test]
    fn what_the_gateway_would_refuse_is_not_sent() {
        for bad in
            ["decline=x", "delay_ms=-1", "delay_ms=60001", "delay_ms=x", "failing=101", "failing=-1", "failing=NaN"]
        {
            assert!(asked(bad).is_err(), "{bad}");
        }
    }

    #[test]
    fn a_share_is_written_as_it_was_typed() {
        assert_eq!([0.0, 0.3, 1.0, 0.125].map(percent), ["0", "30", "100", "12.5"]);
    }
}
