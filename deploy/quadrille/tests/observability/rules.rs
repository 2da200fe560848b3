//! The rules of Prometheus.

use serde_json::Value;

use super::files;

const FOLDER: &str = "deploy/observability/prometheus/rules";

pub fn groups() -> Vec<Value> {
    let of = |name: &String| files::yaml(&format!("{FOLDER}/{name}.yml"))["groups"].as_array().unwrap().clone();
    files::names(FOLDER, ".yml").iter().flat_map(of).collect()
}

pub fn all() -> Vec<Value> {
    groups().iter().flat_map(|group| group["rules"].as_array().unwrap().clone()).collect()
}

pub fn alarms() -> Vec<Value> {
    let alarms: Vec<_> = all().into_iter().filter(|rule| rule["alert"].is_string()).collect();
    assert!(alarms.len() > 20, "{}", alarms.len());
    alarms
}

pub fn text<'a>(object: &'a Value, field: &str) -> &'a str {
    object[field].as_str().unwrap_or_else(|| panic!("no {field} in {object}"))
}
