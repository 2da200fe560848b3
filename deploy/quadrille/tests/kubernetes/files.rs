//! The manifests as kustomize would put them together, as far as a test asks: what a program is told, and what its secrets hold.

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};
use std::process::Command;
use std::{fs, iter};

use serde_json::Value;

pub type Variables = BTreeMap<String, String>;

pub const OVERLAYS: [&str; 2] = ["local", "production"];

fn root() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("../..")
}

pub fn read(file: &str) -> String {
    fs::read_to_string(root().join(file)).unwrap_or_else(|error| panic!("{file}: {error}"))
}

/// Every document of a YAML file.
pub fn documents(file: &str) -> Vec<Value> {
    let text = read(file);
    serde_saphyr::from_multiple(&text).unwrap_or_else(|error| panic!("{file}: {error}"))
}

pub fn document(file: &str) -> Value {
    let mut all = documents(file);
    assert_eq!(all.len(), 1, "{file}");
    all.remove(0)
}

/// Every object of a folder of manifests.
pub fn objects(folder: &str) -> Vec<Value> {
    let files = fs::read_dir(root().join(folder)).unwrap().map(|entry| entry.unwrap().file_name());
    let mut names: Vec<_> = files.map(|name| name.into_string().unwrap()).collect();
    names.retain(|name| name.ends_with(".yaml") && name != "kustomization.yaml");
    assert!(!names.is_empty(), "{folder}");
    names.iter().flat_map(|name| documents(&format!("{folder}/{name}"))).collect()
}

/// Those of one kind, by name.
pub fn of_kind(objects: Vec<Value>, kind: &str) -> BTreeMap<String, Value> {
    let all = objects.into_iter().filter(|object| object["kind"] == kind);
    let found: BTreeMap<_, _> = all.map(|object| (text(&object["metadata"]["name"]), object)).collect();
    assert!(!found.is_empty(), "no {kind}");
    found
}

pub fn text(value: &Value) -> String {
    match value {
        Value::String(text) => text.clone(),
        Value::Number(number) => number.to_string(),
        other => panic!("{other} is no text"),
    }
}

pub fn list(value: &Value) -> &[Value] {
    value.as_array().unwrap_or_else(|| panic!("{value} is no list"))
}

/// The base and an overlay.
pub fn layers(overlay: &str) -> [String; 2] {
    ["deploy/kubernetes/base".to_owned(), format!("deploy/kubernetes/overlays/{overlay}")]
}

/// The programs of an overlay that have a configuration, by what makes one: a `configMapGenerator`.
pub fn programs(overlay: &str) -> Vec<String> {
    let generators = layers(overlay).map(|layer| document(&format!("{layer}/kustomization.yaml")));
    let names = generators.iter().flat_map(|layer| list(&layer["configMapGenerator"])).map(|one| text(&one["name"]));
    let mut names: Vec<_> = names.filter(|name| name != "tools").collect();
    names.sort();
    names.dedup();
    names
}

/// What a program is told, the overlay's word before the base's.
pub fn told(overlay: &str, program: &str) -> Variables {
    let mut told = Variables::new();
    for layer in layers(overlay) {
        let kustomization = document(&format!("{layer}/kustomization.yaml"));
        for generator in list(&kustomization["configMapGenerator"]).iter().filter(|one| one["name"] == program) {
            for file in list(&generator["envs"]) {
                told.extend(variables(&read(&format!("{layer}/{}", text(file)))));
            }
        }
    }
    assert!(!told.is_empty(), "{overlay} tells {program} nothing");
    told
}

/// Lines of NAME=VALUE.
pub fn variables(text: &str) -> Variables {
    let lines = text.lines().filter(|line| !line.starts_with('#') && !line.is_empty());
    lines.map(|line| line.split_once('=').unwrap_or_else(|| panic!("{line} is no variable"))).map(owned).collect()
}

fn owned((name, value): (&str, &str)) -> (String, String) {
    (name.to_owned(), value.to_owned())
}

/// A deployment or job, wherever it is.
pub fn workload(overlay: &str, name: &str) -> Value {
    let all = layers(overlay).into_iter().flat_map(|layer| objects(&layer));
    let mut found = all.filter(|object| {
        ["Deployment", "Job"].contains(&object["kind"].as_str().unwrap()) && object["metadata"]["name"] == name
    });
    found.next().unwrap_or_else(|| panic!("{overlay} has no {name}"))
}

/// What the files in a program's volume of secrets hold, by their names there.
pub fn secret_files(overlay: &str, program: &str) -> Variables {
    let secrets = secrets(overlay);
    let sources = workload(overlay, program)["spec"]["template"]["spec"]["volumes"][0]["projected"]["sources"].clone();
    let mut files = Variables::new();
    for source in list(&sources).iter().cloned().chain(patched(overlay, program)) {
        let secret = &source["secret"];
        for item in list(&secret["items"]) {
            let (name, key) = (text(&secret["name"]), text(&item["key"]));
            let held = secrets.get(&name).and_then(|secret| secret.get(&key));
            files.insert(text(&item["path"]), held.unwrap_or_else(|| panic!("nobody makes {name}/{key}")).clone());
        }
    }
    files
}

/// The sources that an overlay adds to a program's volume.
fn patched(overlay: &str, program: &str) -> Vec<Value> {
    let kustomization = document(&format!("deploy/kubernetes/overlays/{overlay}/kustomization.yaml"));
    let Some(patches) = kustomization["patches"].as_array() else { return Vec::new() };
    let of_program = patches.iter().filter(|patch| patch["target"]["name"] == program);
    let operations = of_program.flat_map(|patch| {
        let operations: Vec<Value> = serde_saphyr::from_str(&text(&patch["patch"])).unwrap();
        operations
    });
    operations
        .map(|one| {
            assert_eq!(one["path"], "/spec/template/spec/volumes/0/projected/sources/-", "{program}");
            one["value"].clone()
        })
        .collect()
}

/// Every secret of an overlay with its keys: those that it makes itself, those of secrets.sh, and those that operators make.
fn secrets(overlay: &str) -> BTreeMap<String, Variables> {
    if overlay == "local" {
        let kustomization = document("deploy/kubernetes/overlays/local/kustomization.yaml");
        let literals = |one: &Value| {
            let lines = one["literals"].as_array().into_iter().flatten().map(text).collect::<Vec<_>>();
            (text(&one["name"]), variables(&lines.join("\n")))
        };
        return list(&kustomization["secretGenerator"]).iter().map(literals).collect();
    }
    let given = [("PAYMENT_GATEWAY_KEY", "sk_live_of_ours"), ("PAYMENT_WEBHOOK_SECRET", "whsec_of_ours")];
    let mail = ("MAIL_TRANSPORT", "smtps://shop:it's ours@mail.example.com:465");
    let ran = Command::new("bash").arg(root().join("deploy/kubernetes/secrets.sh")).envs(given).envs([mail]).output();
    let ran = ran.unwrap();
    assert!(ran.status.success(), "{}", String::from_utf8_lossy(&ran.stderr));
    let made: Vec<Value> = serde_saphyr::from_multiple(str::from_utf8(&ran.stdout).unwrap()).unwrap();
    let keys = |secret: &Value| {
        let pairs = secret["stringData"].as_object().unwrap().iter();
        pairs.map(|(key, value)| (key.clone(), text(value))).collect::<Variables>()
    };
    let production = || objects("deploy/kubernetes/overlays/production");
    let users = of_kind(production(), "KafkaUser").into_keys();
    let users = users.map(|user| (user, Variables::from([owned(("password", "made by Strimzi"))])));
    let authority = || Variables::from([owned(("ca.crt", "a certificate"))]);
    let kafka = of_kind(production(), "Kafka").into_keys().map(|name| format!("{name}-cluster-ca-cert"));
    let databases = production().into_iter().filter(|object| object["apiVersion"] == "postgresql.cnpg.io/v1");
    let databases = databases.map(|cluster| format!("{}-ca", text(&cluster["metadata"]["name"])));
    let authorities = kafka.chain(databases).zip(iter::repeat_with(authority));
    let made = made.iter().map(|secret| (text(&secret["metadata"]["name"]), keys(secret)));
    made.chain(users).chain(authorities).collect()
}

/// What compose tells a container, with the defaults of its own variables.
pub fn told_by_compose(container: &str) -> Variables {
    let compose = document("docker-compose.yml");
    let environment = merged(&merged(&compose["services"][container])["environment"]);
    let environment = environment.as_object().unwrap_or_else(|| panic!("compose has no {container}")).clone();
    environment.iter().map(|(name, value)| (name.clone(), with_defaults(&text(value)))).collect()
}

/// With YAML's merge keys carried out.
fn merged(value: &Value) -> Value {
    let Value::Object(fields) = value else { return value.clone() };
    let mut all = serde_json::Map::new();
    let below = match fields.get("<<") {
        Some(Value::Array(several)) => several.iter().rev().map(merged).collect(),
        Some(one) => vec![merged(one)],
        None => Vec::new(),
    };
    for fields in below.iter().filter_map(Value::as_object) {
        all.extend(fields.clone());
    }
    all.extend(fields.iter().filter(|(name, _)| *name != "<<").map(|(name, value)| (name.clone(), value.clone())));
    Value::Object(all)
}

/// `${NAME:-default}` and `${NAME-default}` as they are where nobody sets NAME.
fn with_defaults(text: &str) -> String {
    let Some((before, rest)) = text.split_once("${") else { return text.to_owned() };
    let (inside, after) = rest.split_once('}').unwrap();
    let (_, default) = inside.split_once(":-").or_else(|| inside.split_once('-')).unwrap();
    format!("{before}{default}{}", with_defaults(after))
}
