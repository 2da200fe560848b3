//! Every metric that the programs have is explained by `# HELP`, and named as Prometheus wants it
//! (<https://prometheus.io/docs/practices/naming/>).
#![allow(clippy::unwrap_used, reason = "a test fails by panicking")]

mod measured;

use std::collections::BTreeMap;

use measured::metrics;

#[test]
fn each_metric_is_explained_and_nothing_else_is() {
    let (measured, explained) = metrics();
    assert!(measured.len() > 40, "{measured:?}");
    let unexplained: Vec<_> = measured.difference(&explained).collect();
    let unmeasured: Vec<_> = explained.difference(&measured).collect();
    assert!(
        unexplained.is_empty() && unmeasured.is_empty(),
        "without HELP: {unexplained:?}; not there: {unmeasured:?}"
    );
}

#[test]
fn each_metric_has_one_kind_and_a_name_that_says_it() {
    let (measured, _) = metrics();
    let mut kinds = BTreeMap::new();
    for (name, kind) in measured {
        assert!(name.bytes().all(|byte| byte.is_ascii_lowercase() || byte.is_ascii_digit() || byte == b'_'), "{name}");
        assert_eq!(name.ends_with("_total"), kind == "counter", "{name} is a {kind}");
        let has_unit = ["_seconds", "_size", "_records", "_bytes"].iter().any(|unit| name.ends_with(unit));
        assert!(kind != "histogram" || has_unit, "{name} has no unit");
        assert_eq!(kinds.insert(name.clone(), kind), None, "{name} is of two kinds");
    }
}
