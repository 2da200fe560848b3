//! Rules, their tests, dashboards, runbooks and the cluster's copy of the rules say the same, and name only what the code measures.
#![allow(clippy::unwrap_used, clippy::panic, reason = "a test may end by panicking")]

mod dashboards;
mod files;
#[path = "../measured/mod.rs"]
mod measured;
mod queries;
mod rules;

use std::collections::BTreeSet;

use files::{names, read};
use measured::metrics;
use serde_json::Value;

/// What Prometheus itself, and the crate `metrics-process`, measure.
const OTHERS: [&str; 8] = [
    "up",
    "ALERTS",
    "process_cpu_seconds_total",
    "process_resident_memory_bytes",
    "process_open_fds",
    "process_max_fds",
    "process_threads",
    "process_start_time_seconds",
];

/// Every name under which Prometheus has something of ours.
fn known() -> BTreeSet<String> {
    let (measured, _) = metrics();
    let mut known: BTreeSet<_> = OTHERS.map(str::to_owned).into_iter().collect();
    for (name, kind) in measured {
        if kind == "histogram" {
            known.extend(["bucket", "count", "sum"].map(|part| format!("{name}_{part}")));
        } else {
            known.insert(name);
        }
    }
    known.extend(rules::all().iter().filter_map(|rule| Some(rule["record"].as_str()?.to_owned())));
    known
}

fn unknown_in<'a>(queries: impl IntoIterator<Item = &'a str>) -> BTreeSet<String> {
    let known = known();
    queries.into_iter().flat_map(queries::metrics).filter(|name| !known.contains(name)).collect()
}

#[test]
fn rules_ask_for_what_the_code_measures() {
    let rules = rules::all();
    let unknown = unknown_in(rules.iter().map(|rule| rule["expr"].as_str().unwrap()));
    assert!(unknown.is_empty(), "{unknown:?} is measured nowhere");
}

#[test]
fn dashboards_ask_for_what_the_code_measures() {
    let panels = dashboards::panels();
    let queries: Vec<_> = panels.iter().flat_map(|(_, panel)| dashboards::queries(panel)).collect();
    assert!(queries.len() > 100, "{}", queries.len());
    let unknown = unknown_in(queries);
    assert!(unknown.is_empty(), "{unknown:?} is measured nowhere");
}

#[test]
fn each_alarm_has_a_page_that_says_all_and_each_page_an_alarm() {
    let alarms: BTreeSet<_> = rules::alarms().iter().map(|rule| rules::text(rule, "alert").to_owned()).collect();
    let mut pages: BTreeSet<_> = names("docs/runbooks", ".md").into_iter().collect();
    assert!(pages.remove("README"));
    assert_eq!(alarms, pages);
    let list = read("docs/runbooks/README.md");
    for alarm in &alarms {
        let page = read(&format!("docs/runbooks/{alarm}.md"));
        assert!(page.starts_with(&format!("# {alarm}\n\n")), "{alarm}");
        for part in ["What to look at", "What mends it", "How to see that it is mended"] {
            let said =
                page.split_once(&format!("\n## {part}\n\n")).unwrap_or_else(|| panic!("{alarm} lacks: {part}")).1;
            assert!(said.lines().next().is_some_and(|line| line.len() > 15), "{alarm}: {part}");
        }
        assert!(list.contains(&format!("| [{alarm}]({alarm}.md) | ")), "{alarm} is not in the list");
    }
}

/// Pages name panels and dashboards in italics.
#[test]
fn pages_name_panels_that_are_there() {
    let mut titles: BTreeSet<String> =
        dashboards::all().iter().map(|(_, board)| rules::text(board, "title").to_owned()).collect();
    titles.extend(dashboards::panels().iter().map(|(_, panel)| rules::text(panel, "title").to_owned()));
    let mut named = 0;
    for page in names("docs/runbooks", ".md") {
        let text = read(&format!("docs/runbooks/{page}.md"));
        let plain: String = text.split('`').step_by(2).collect::<Vec<_>>().join(" ");
        for title in plain.split('*').skip(1).step_by(2) {
            named += 1;
            assert!(titles.iter().any(|known| known.starts_with(title)), "{page}: no panel is called {title:?}");
        }
    }
    assert!(named > 40, "{named}");
}

#[test]
fn each_alarm_is_told_in_words_and_how_bad_it_is() {
    for rule in rules::alarms() {
        let name = rules::text(&rule, "alert");
        let severity = rules::text(&rule["labels"], "severity");
        assert!(["critical", "warning"].contains(&severity), "{name}: {severity}");
        for words in ["summary", "description"] {
            assert!(rules::text(&rule["annotations"], words).ends_with('.'), "{name}: {words}");
        }
        assert_eq!(rules::text(&rule["annotations"], "runbook_url"), format!("docs/runbooks/{name}.md"));
    }
}

#[test]
fn each_alarm_is_tested_to_fire_and_not_to_fire() {
    let folder = "deploy/observability/prometheus/tests";
    let files: Vec<_> = names(folder, ".yml").iter().map(|name| files::yaml(&format!("{folder}/{name}.yml"))).collect();
    let tests = files.iter().flat_map(|file| file["tests"].as_array().unwrap());
    let checks: Vec<&Value> = tests.flat_map(|test| test["alert_rule_test"].as_array().unwrap()).collect();
    let of = |name: &str, fires: bool| {
        checks
            .iter()
            .any(|check| check["alertname"] == name && check["exp_alerts"].as_array().unwrap().is_empty() != fires)
    };
    for rule in rules::alarms() {
        let name = rules::text(&rule, "alert");
        assert!(of(name, true) && of(name, false), "{name}");
        let window = &rule["labels"]["window"];
        let told = checks.iter().flat_map(|check| check["exp_alerts"].as_array().unwrap()).any(|alert| {
            let labels = &alert["exp_labels"];
            alert["exp_annotations"]["runbook_url"] == rule["annotations"]["runbook_url"] && labels["window"] == *window
        });
        assert!(told, "{name} of the window {window} is never seen to fire");
    }
}

#[test]
fn the_cluster_has_the_same_rules() {
    let object = files::yaml("deploy/kubernetes/components/monitoring/rules.yaml");
    assert_eq!(object["kind"], "PrometheusRule");
    assert_eq!(object["spec"]["groups"].as_array().unwrap(), &rules::groups());
    let listed = files::yaml("deploy/kubernetes/components/monitoring/kustomization.yaml");
    assert!(listed["resources"].as_array().unwrap().contains(&"rules.yaml".into()));
}

/// A quantile or an objective at a bound that is no bucket's would be guessed, or be nothing.
#[test]
fn objectives_are_measured_at_bounds_of_buckets() {
    let source = read("service-kit/src/telemetry/mod.rs");
    let bounds = source.split_once("const SECONDS: &[f64] = &[").unwrap().1.split_once(']').unwrap().0;
    let bounds: Vec<f64> = bounds.split(',').map(|bound| bound.trim().parse().unwrap()).collect();
    let mut seen = BTreeSet::new();
    for rule in rules::all() {
        for part in rules::text(&rule, "expr").split("le=~\"").skip(1) {
            for bound in part.split_once('"').unwrap().0.split('|') {
                assert!(bounds.contains(&bound.parse().unwrap()), "{bound} s is not among {bounds:?}");
                seen.insert(bound.to_owned());
            }
        }
    }
    assert!(seen.contains("2") && seen.contains("5"), "{seen:?}");
}
