//! Grafana's dashboards.

use std::collections::BTreeSet;

use serde_json::Value;

use super::files;

const FOLDER: &str = "deploy/observability/grafana/dashboards";

pub fn all() -> Vec<(String, Value)> {
    let read = |name: String| {
        let text = files::read(&format!("{FOLDER}/{name}.json"));
        let board = serde_json::from_str(&text).unwrap_or_else(|error| panic!("{name}: {error}"));
        (name, board)
    };
    files::names(FOLDER, ".json").into_iter().map(read).collect()
}

/// Every panel, with its dashboard's name.
pub fn panels() -> Vec<(String, Value)> {
    let of = |(name, board): (String, Value)| {
        let panels = board["panels"].as_array().unwrap().clone();
        panels.into_iter().map(move |panel| (name.clone(), panel))
    };
    all().into_iter().flat_map(of).collect()
}

pub fn queries(panel: &Value) -> Vec<&str> {
    panel["targets"].as_array().unwrap().iter().map(|target| target["expr"].as_str().unwrap()).collect()
}

#[test]
fn there_are_the_five_dashboards_each_with_an_id_of_its_own() {
    let names: Vec<_> = all().into_iter().map(|(name, _)| name).collect();
    assert_eq!(names, ["consumer", "payments", "relay", "service", "shop"]);
    let ids: BTreeSet<_> = all().iter().map(|(_, board)| board["uid"].as_str().unwrap().to_owned()).collect();
    assert_eq!(ids.len(), names.len());
}

/// Grafana would show such a panel somewhere else, or not at all.
#[test]
fn panels_have_ids_of_their_own_and_do_not_overlap() {
    for (name, board) in all() {
        let (mut ids, mut taken) = (BTreeSet::new(), BTreeSet::new());
        for panel in board["panels"].as_array().unwrap() {
            assert!(ids.insert(panel["id"].as_u64().unwrap()), "{name}: {}", panel["id"]);
            let place = |field: &str| panel["gridPos"][field].as_u64().unwrap();
            let (x, y, width, height) = (place("x"), place("y"), place("w"), place("h"));
            assert!(width > 0 && height > 0 && x + width <= 24, "{name}: {}", panel["title"]);
            for cell in (x..x + width).flat_map(|x| (y..y + height).map(move |y| (x, y))) {
                assert!(taken.insert(cell), "{name}: {} lies on another", panel["title"]);
            }
        }
    }
}

#[test]
fn panels_have_a_title_a_unit_and_the_source_that_is_chosen() {
    for (name, panel) in panels() {
        let title = panel["title"].as_str().unwrap();
        assert!(!title.is_empty(), "{name}");
        assert!(
            panel["fieldConfig"]["defaults"]["unit"].as_str().is_some_and(|unit| !unit.is_empty()),
            "{name}: {title}"
        );
        let targets = panel["targets"].as_array().unwrap();
        let letters: BTreeSet<_> = targets.iter().map(|target| target["refId"].as_str().unwrap()).collect();
        assert!(!targets.is_empty() && letters.len() == targets.len(), "{name}: {title}");
        for of in targets.iter().chain([&panel]) {
            assert_eq!(of["datasource"]["uid"], "${datasource}", "{name}: {title}");
        }
    }
}

/// A variable that is asked for is one that the dashboard has.
#[test]
fn variables_are_there() {
    for (name, board) in all() {
        let list = board["templating"]["list"].as_array().unwrap();
        let known: BTreeSet<_> = list.iter().map(|one| one["name"].as_str().unwrap()).collect();
        for panel in board["panels"].as_array().unwrap() {
            for query in queries(panel) {
                for (at, _) in query.match_indices('$') {
                    let word: String =
                        query[at + 1..].chars().take_while(|c| c.is_alphanumeric() || *c == '_').collect();
                    assert!(known.contains(word.as_str()) || word == "__rate_interval", "{name}: ${word} in {query}");
                }
            }
        }
    }
}
