//! What a program is in a pod: its ports, probes, rights, memory, the time to drain.

use quadrille::principals::relay_of;
use quadrille::service::Service;
use serde_json::{Value, json};

use crate::files::{self, OVERLAYS, document, list, objects, of_kind, read, told, workload};

const SHAPE: &str = "deploy/kubernetes/components/shape";

fn container(object: &Value) -> &Value {
    &object["spec"]["template"]["spec"]["containers"][0]
}

fn port(address: &str) -> u64 {
    address.rsplit_once(':').unwrap().1.parse().unwrap()
}

#[test]
fn ports_are_those_at_which_the_programs_listen() {
    let all = [
        Service::OrderSvc,
        Service::StockSvc,
        Service::PaymentSvc,
        Service::NotificationSvc,
        Service::SandboxGateway,
        Service::SandboxIssuer,
    ];
    for service in all {
        let (name, told) = (service.name(), told("local", service.name()));
        let ports = json!([
            {"name": "http", "containerPort": port(&told["HTTP_ADDR"])},
            {"name": "ops", "containerPort": port(&told["OPS_ADDR"])},
        ]);
        let deployment = workload("local", name);
        assert_eq!(container(&deployment)["ports"], ports, "{name}");
        assert_eq!(ports[0]["containerPort"], service.default_port(), "{name}");
        assert_eq!(container(&deployment)["command"], json!([name]));
    }
    for relay in ["order-relay", "stock-relay", "payment-relay", "notification-relay"] {
        let metrics = port(&told("local", relay)["METRICS_ADDR"]);
        let deployment = workload("local", relay);
        assert_eq!(container(&deployment)["ports"], json!([{"name": "ops", "containerPort": metrics}]), "{relay}");
        assert_eq!(metrics, u64::from(Service::OutboxRelay.default_port()));
        assert_eq!(container(&deployment)["command"], json!(["outbox-relay"]));
    }
}

#[test]
fn a_service_leads_to_the_ports_of_its_own_pods() {
    for layer in files::layers("local") {
        for (name, service) in of_kind(objects(&layer), "Service") {
            if !files::programs("local").contains(&name) {
                continue;
            }
            let pods = workload("local", &name);
            let labels = &pods["spec"]["template"]["metadata"]["labels"];
            let selector = service["spec"]["selector"].as_object().unwrap();
            assert!(selector.iter().all(|(key, value)| labels[key] == *value), "{name}");
            for port in list(&service["spec"]["ports"]) {
                let target = list(&container(&pods)["ports"]).iter().find(|one| one["name"] == port["targetPort"]);
                assert_eq!(target.unwrap()["containerPort"], port["port"], "{name}");
            }
        }
    }
}

#[test]
fn probes_ask_what_the_programs_answer_at_the_operators_address() {
    for shape in ["services", "relays"] {
        let shape = document(&format!("{SHAPE}/{shape}.yaml"));
        for (probe, path) in
            [("startupProbe", "/healthz"), ("livenessProbe", "/healthz"), ("readinessProbe", "/readyz")]
        {
            assert_eq!(container(&shape)[probe]["httpGet"], json!({"path": path, "port": "ops"}), "{probe}");
        }
        // `quadrille healthcheck` waits for as long for the same answer.
        assert!(container(&shape)["readinessProbe"]["timeoutSeconds"].as_u64().unwrap() >= 4);
    }
}

#[test]
fn a_pod_has_the_time_to_drain_that_its_container_has_and_what_goes_before_it() {
    let compose = read("docker-compose.yml");
    let of_compose = compose.split_once("stop_grace_period: ").unwrap().1.split_once('s').unwrap().0;
    let services = document(&format!("{SHAPE}/services.yaml"));
    let before = container(&services)["lifecycle"]["preStop"]["sleep"]["seconds"].as_u64().unwrap();
    let whole = services["spec"]["template"]["spec"]["terminationGracePeriodSeconds"].as_u64().unwrap();
    assert!(whole >= before + of_compose.parse::<u64>().unwrap(), "{whole}");
}

#[test]
fn no_program_may_do_more_than_its_container_in_compose() {
    for shape in ["services", "relays", "jobs"] {
        let shape = document(&format!("{SHAPE}/{shape}.yaml"));
        let pod = &shape["spec"]["template"]["spec"];
        let user = json!({
            "runAsNonRoot": true, "runAsUser": 10001, "runAsGroup": 10001, "fsGroup": 10001,
            "seccompProfile": {"type": "RuntimeDefault"},
        });
        assert_eq!(pod["securityContext"], user);
        assert_eq!(pod["automountServiceAccountToken"], json!(false));
        assert_eq!(pod["enableServiceLinks"], json!(false), "a Service's name would set variables");
        let rights = json!({
            "allowPrivilegeEscalation": false, "readOnlyRootFilesystem": true, "capabilities": {"drop": ["ALL"]},
        });
        assert_eq!(container(&shape)["securityContext"], rights);
    }
    let compose = read("docker-compose.yml");
    for same in ["user: \"10001:10001\"", "read_only: true", "cap_drop: [ALL]", "no-new-privileges:true"] {
        assert!(compose.contains(same), "{same}");
    }
}

#[test]
fn every_pod_of_ours_is_among_those_that_may_speak_with_nobody_unless_it_is_said() {
    let policies = of_kind(objects("deploy/kubernetes/base"), "NetworkPolicy");
    let shut = &policies["nothing-else"]["spec"];
    assert_eq!(shut["policyTypes"], json!(["Ingress", "Egress"]));
    assert!(shut["ingress"].is_null() && shut["egress"].is_null());
    let kinds = list(&shut["podSelector"]["matchExpressions"][0]["values"]);
    for overlay in OVERLAYS {
        for program in files::programs(overlay) {
            let component =
                workload(overlay, &program)["spec"]["template"]["metadata"]["labels"]["app.kubernetes.io/component"]
                    .clone();
            assert!(kinds.contains(&component), "{program}: {component}");
        }
    }
}

#[test]
fn memory_is_limited_as_in_compose() {
    let defaults = read(".env.example");
    let limit = |name: &str| {
        let line = defaults.lines().find_map(|line| line.strip_prefix(name)?.strip_prefix('='));
        json!(line.unwrap().to_uppercase().replace('M', "Mi"))
    };
    for service in Service::WITH_OUTBOX {
        let (service, relay) = (workload("production", service.name()), workload("production", &relay_of(service)));
        assert_eq!(container(&service)["resources"]["limits"]["memory"], limit("SERVICE_MEMORY"));
        assert_eq!(container(&relay)["resources"]["limits"]["memory"], limit("RELAY_MEMORY"));
    }
}

/// By docs/SCALING.md: the memory that was seen, and CPU for 20 orders a second at the price of an order that is alone, which no two runs
/// of the benchmark measure alike.
#[test]
fn a_pod_asks_for_what_its_program_was_measured_to_take() {
    let measured: Value = serde_json::from_str(&read("docs/performance/results.json")).unwrap();
    let values = measured["results"]["values"].as_object().unwrap();
    let seen = |prefix: &str, unit: &str| {
        let of = values.iter().filter(|(name, _)| name.starts_with(prefix) && name.ends_with(unit));
        of.flat_map(|(_, rounds)| list(rounds)).filter_map(Value::as_f64).fold(0.0, f64::max)
    };
    let number =
        |value: &Value, unit: &str| value.as_str().unwrap().strip_suffix(unit).unwrap().parse::<f64>().unwrap();
    for (program, memory) in Service::WITH_OUTBOX
        .map(|service| (service.name().to_owned(), format!("catch_up/{}/", service.name())))
        .into_iter()
        .chain(Service::WITH_OUTBOX.map(|service| (relay_of(service), "relay/quadrille/memory".to_owned())))
    {
        let deployment = workload("production", &program);
        let asked = &container(&deployment)["resources"]["requests"];
        let (mb, most) = (number(&asked["memory"], "Mi") * 1.048_576, seen(&memory, "memory_mb"));
        assert!(most > 0.0 && mb >= most, "{program} asks for {mb} MB and was seen to take {most}");
        let cpu = seen(&format!("one/cpu/{program}/"), "ms_per_order") * 20.0;
        let millis = number(&asked["cpu"], "m");
        assert!(
            cpu == 0.0 || (0.5..2.0).contains(&(millis / cpu)),
            "{program} asks for {millis}m and was seen to take {cpu}m"
        );
    }
}
