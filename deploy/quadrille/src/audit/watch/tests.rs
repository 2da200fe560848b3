#![allow(clippy::unwrap_used)]

use std::collections::BTreeMap;
use std::time::Instant as Clock;

use actix_web::App;
use actix_web::http::StatusCode;
use actix_web::test::{TestRequest, call_and_read_body_json, call_service, init_service};
use serde_json::Value;
use service_kit::kafka::Brokers;
use tokio::sync::Semaphore;

use super::super::findings::Finding;
use super::super::start::{Looked, Mark};
use super::super::{Audit, Verdict};
use super::look::Looking;
use super::state::Place;
use super::*;
use crate::cluster::Cluster;

fn verdict(number: u8, broken: usize, unchecked: Option<&str>) -> Verdict {
    let finding = |count: usize| Finding { rule: number, of: format!("order {count}"), what: "<b>".to_owned() };
    let broken = (0..broken).map(finding).collect();
    let (rule, figures) = ("it holds".to_owned(), "3 orders".to_owned());
    Verdict { number, rule, figures, broken, more: 0, unchecked: unchecked.map(str::to_owned) }
}

fn audit(rules: Vec<Verdict>) -> Audit {
    let holds = rules.iter().all(|rule| rule.broken.is_empty() && rule.unchecked.is_none());
    Audit { holds, seconds: 0.5, looks: 1, most_held: 9, rules, stopped: None }
}

/// A watch whose looks end as often as it is allowed to; and what they were asked for.
fn watch() -> (Watch, Arc<Semaphore>, Arc<Mutex<Vec<Options>>>) {
    let (turns, wishes) = (Arc::new(Semaphore::new(0)), Arc::new(Mutex::new(Vec::new())));
    let (may, asked) = (Arc::clone(&turns), Arc::clone(&wishes));
    let look: Look = Arc::new(move |wish: Wish| {
        let may = Arc::clone(&may);
        asked.lock().unwrap().push(wish.options);
        let looking: Looking = Box::pin(async move {
            may.acquire().await?.forget();
            Ok(Looked { audit: audit(vec![verdict(1, 0, None)]), paused: Duration::ZERO, mark: None })
        });
        looking
    });
    (Watch::by(look, CancellationToken::new()), turns, wishes)
}

fn told(watch: &Watch) -> Value {
    serde_json::to_value(watch.told()).unwrap()
}

async fn until(watch: &Watch, fits: impl Fn(&Value) -> bool) -> Value {
    let end = Clock::now() + Duration::from_secs(20);
    loop {
        let told = told(watch);
        if fits(&told) {
            return told;
        }
        assert!(Clock::now() < end, "{told}");
        tokio::task::yield_now().await;
    }
}

#[tokio::test]
async fn who_asks_is_answered_while_a_look_goes_on_and_there_is_one_at_a_time() {
    let (watch, turns, wishes) = watch();
    assert_eq!((&told(&watch)["whole"]["last"], &told(&watch)["whole"]["looking_since"]), (&Value::Null, &Value::Null));
    watch.begin_whole().unwrap();
    let told = until(&watch, |told| !told["whole"]["looking_since"].is_null()).await;
    assert_eq!((&told["whole"]["last"], &told["whole"]["progress"]["ranges"]), (&Value::Null, &0.into()));
    watch.begin_whole().unwrap_err();
    turns.add_permits(1);
    let told = until(&watch, |told| told["whole"]["looking_since"].is_null()).await;
    assert_eq!(told["whole"]["last"]["rules"][0]["state"], "holds");
    assert_eq!(told["new"]["last"], Value::Null);
    let wishes = wishes.lock().unwrap();
    assert_eq!((wishes.len(), wishes[0].since, wishes[0].after), (1, None, None));
}

#[tokio::test]
async fn what_is_new_is_the_last_hour() {
    let (watch, turns, wishes) = watch();
    turns.add_permits(1);
    watch.look_at_what_is_new().await;
    let options = wishes.lock().unwrap()[0];
    let since = options.since.unwrap();
    assert!((Utc::now() - since - NEW).abs() < TimeDelta::minutes(1));
    assert_eq!(options.after, Some(id_before(since)));
    let told = told(&watch);
    assert_eq!((&told["new_for_seconds"], &told["new"]["last"]["holds"]), (&3600.into(), &true.into()));
    assert_eq!(told["new"]["last"]["placed_since"], serde_json::to_value(since).unwrap());
}

#[test]
fn it_rests_so_long_that_it_takes_two_per_cent_of_a_core() {
    let rest = |millis, in_trouble| Rest { worked: Duration::from_millis(millis), in_trouble };
    assert_eq!(rest(1_000, false).after(true), Duration::from_secs(49));
    assert_eq!(rest(20, false).after(true), LIVELY);
    assert_eq!(rest(20, false).after(false), QUIET, "nobody watches");
    assert_eq!(rest(60_000, false).after(true), LONGEST_WATCHED);
    assert_eq!(rest(60_000, false).after(false), LONGEST);
    assert_eq!(rest(60_000, true).after(true), LONGEST_IN_TROUBLE, "what was away may be back");
}

#[test]
fn a_rule_keeps_the_time_since_which_it_is_as_it_is() {
    let at = |minute: i64| DateTime::<Utc>::UNIX_EPOCH + TimeDelta::minutes(minute);
    let mut place = Place::default();
    let mut looks = |minute: i64, looked| {
        place.begins(at(minute), &Arc::default());
        place.ends(at(minute) + TimeDelta::seconds(1), None, looked);
        place.since.get(&1).map(|(_, since)| *since)
    };
    assert_eq!(looks(1, Ok(audit(vec![verdict(1, 0, None)]))), Some(at(1)));
    assert_eq!(looks(2, Ok(audit(vec![verdict(1, 0, None)]))), Some(at(1)));
    assert_eq!(looks(3, Err(anyhow::anyhow!("frozen"))), Some(at(1)), "nothing is known that is newer");
    assert_eq!(looks(4, Ok(audit(vec![verdict(1, 2, None)]))), Some(at(4)));
    assert_eq!(looks(5, Ok(audit(vec![verdict(1, 0, Some("away"))]))), Some(at(5)));
    assert!(place.trouble.is_none());
}

#[test]
fn of_many_findings_the_first_are_told_and_the_rest_is_counted() {
    let mut state = State::default();
    state.new.ends(Utc::now(), None, Ok(audit(vec![verdict(1, 25, None), verdict(2, 0, Some("away"))])));
    let told = serde_json::to_value(Told::of(&state, Utc::now())).unwrap();
    let rules = &told["new"]["last"]["rules"];
    let broken = rules[0]["broken"].as_array().unwrap().len();
    assert_eq!((&rules[0]["state"], broken, &rules[0]["more"]), (&"broken".into(), 20, &5.into()));
    assert_eq!((&rules[1]["state"], &rules[1]["unchecked"]), (&"unchecked".into(), &"away".into()));
}

#[test]
fn the_journal_is_read_from_the_last_place_before_what_is_new() {
    let mut state = State::default();
    let at = |minute: i64| DateTime::<Utc>::UNIX_EPOCH + TimeDelta::minutes(minute);
    for minute in [1, 2, 5] {
        state.notes_mark(Mark { at: at(minute), cursor: minute.to_string() });
    }
    state.notes_mark(Mark { at: at(5) + TimeDelta::seconds(5), cursor: "too near".to_owned() });
    assert_eq!(state.journal_before(at(0)), None);
    assert_eq!(state.journal_before(at(4)).as_deref(), Some("2"));
    assert_eq!(state.journal_before(at(60)).as_deref(), Some("5"));
}

#[actix_web::test]
async fn a_look_at_everything_is_begun_over_http_and_a_second_is_refused() {
    let (watch, _turns, _) = watch();
    let stop = CancellationToken::new();
    let sources =
        Sources::of_run(Cluster(Brokers::from("127.0.0.1:1")), BTreeMap::new(), "http://127.0.0.1:1".to_owned());
    let app = init_service(App::new().configure(routes(watch, sources, stop))).await;
    let get = || TestRequest::get().uri("/watch").to_request();
    let told: Value = call_and_read_body_json(&app, get()).await;
    assert_eq!(told["whole"]["looking_since"], Value::Null);
    let begin = || TestRequest::post().uri("/watch/whole").to_request();
    assert_eq!(call_service(&app, begin()).await.status(), StatusCode::ACCEPTED);
    assert_eq!(call_service(&app, begin()).await.status(), StatusCode::CONFLICT);
    let told: Value = call_and_read_body_json(&app, get()).await;
    assert!(told["whole"]["looking_since"].is_string());
}
