//! The production overlay's brokers and databases: topics, who may what, room for every instance.

use std::collections::{BTreeMap, BTreeSet};

use quadrille::service::Service;
use quadrille::{principals, topics};
use serde_json::{Value, json};

use crate::files::{Variables, list, objects, of_kind, text, told};

const PRODUCTION: &str = "deploy/kubernetes/overlays/production";

#[test]
fn strimzi_makes_the_topics_that_quadrille_topics_create_makes() {
    let mut wanted = BTreeMap::new();
    for topic in topics::all() {
        let config: Variables = topic.config.into_iter().map(|(name, value)| (name.to_owned(), value)).collect();
        wanted.insert(topic.name, (u64::try_from(topic.partitions).unwrap(), config));
    }
    let made = of_kind(objects(PRODUCTION), "KafkaTopic").into_iter().map(|(name, topic)| {
        let mut config: Variables = topic["spec"]["config"]
            .as_object()
            .unwrap()
            .iter()
            .map(|(name, value)| (name.clone(), text(value)))
            .collect();
        // So that what is acknowledged is on more than one broker.
        assert_eq!(config.remove("min.insync.replicas").as_deref(), Some("2"), "{name}");
        assert_eq!(topic["spec"]["replicas"], json!(3), "{name}");
        (name, (topic["spec"]["partitions"].as_u64().unwrap(), config))
    });
    assert_eq!(made.collect::<BTreeMap<_, _>>(), wanted);
}

/// Principal, kind of resource, name, operation.
type Right = (String, String, String, String);

fn rights_of(user: &str, object: &Value) -> Vec<Right> {
    let mut rights = Vec::new();
    for acl in list(&object["spec"]["authorization"]["acls"]) {
        let resource = &acl["resource"];
        let kind = text(&resource["type"]);
        let name = if kind == "cluster" { "kafka-cluster".to_owned() } else { text(&resource["name"]) };
        assert!(kind == "cluster" || resource["patternType"] == "literal", "{user}: {acl}");
        let right = |operation: &Value| (format!("User:{user}"), kind.clone(), name.clone(), text(operation));
        rights.extend(list(&acl["operations"]).iter().map(right));
    }
    rights
}

fn as_the_code_says() -> BTreeSet<Right> {
    let right = |acl: principals::Acl| {
        let kind = match acl.resource {
            principals::Resource::TOPIC => "topic",
            principals::Resource::GROUP => "group",
            _ => "cluster",
        };
        (acl.principal, kind.to_owned(), acl.name, acl.operation.name())
    };
    principals::all(false).into_iter().map(right).collect()
}

#[test]
fn every_principal_may_what_quadrille_principals_says_and_nothing_else() {
    let users = of_kind(objects(PRODUCTION), "KafkaUser");
    let given: BTreeSet<_> = users.iter().flat_map(|(name, user)| rights_of(name, user)).collect();
    let wanted = as_the_code_says();
    let (missing, beyond): (Vec<_>, Vec<_>) =
        (wanted.difference(&given).collect(), given.difference(&wanted).collect());
    assert!(missing.is_empty() && beyond.is_empty(), "missing: {missing:?}; beyond: {beyond:?}");
}

#[test]
fn what_scales_by_lag_may_no_more_than_describe() {
    let user = &of_kind(objects("deploy/kubernetes/components/scale-by-lag"), "KafkaUser")["keda"];
    assert!(rights_of("keda", user).iter().all(|(_, _, _, operation)| operation == "Describe"));
}

#[test]
fn there_are_never_more_instances_than_partitions_or_connections_for_them() {
    let partitions = topics::all().iter().map(|topic| topic.partitions).min().unwrap();
    let mut most = BTreeMap::new();
    for (service, scaler) in of_kind(objects("deploy/kubernetes/components/scale-by-cpu"), "HorizontalPodAutoscaler") {
        most.insert(service, scaler["spec"]["maxReplicas"].as_i64().unwrap());
    }
    for (service, scaled) in of_kind(objects("deploy/kubernetes/components/scale-by-lag"), "ScaledObject") {
        assert_eq!(scaled["spec"]["maxReplicaCount"].as_i64(), most.get(&service).copied(), "{service}");
    }
    let databases = objects(PRODUCTION).into_iter().filter(|object| object["apiVersion"] == "postgresql.cnpg.io/v1");
    let room: BTreeMap<_, _> = databases
        .map(|cluster| {
            let most = text(&cluster["spec"]["postgresql"]["parameters"]["max_connections"]).parse::<i64>().unwrap();
            (text(&cluster["metadata"]["name"]), most)
        })
        .collect();
    for service in Service::WITH_OUTBOX {
        let name = service.name();
        assert!(most[name] <= i64::from(partitions), "{name}");
        let pool: i64 = told("production", name)["DATABASE_POOL_SIZE"].parse().unwrap();
        // Each instance has a relay's session, order-svc one that listens; a rolling update has one instance more; two relays have
        // two sessions each; and PostgreSQL and its operator keep some for themselves.
        let wanted = (most[name] + 1) * (pool + 2) + 4 + 20;
        assert!(wanted <= room[&name.replace("-svc", "-db")], "{name} may want {wanted} connections");
    }
}
