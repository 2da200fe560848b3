//! `quadrille login`: tokens of people whom the sandbox issuer knows, that of a local run or of compose.

use std::io::Write;
use std::path::{Path, PathBuf};
use std::time::Duration;

use anyhow::{Context, bail, ensure};
use clap::{Args, ValueEnum};
use serde_json::{Value, json};
use url::Url;

use crate::addresses::Addresses;
use crate::http_client;
use crate::service::Service;

const ANSWER: Duration = Duration::from_secs(15);

/// Somebody who is there from the start; the sandbox issuer's README has their passwords, too.
#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
pub enum Person {
    /// A customer, c-1001.
    Ann,
    /// Another one, c-1002.
    Ben,
    /// Staff.
    Sam,
    /// An operator.
    Olga,
    /// A customer who is staff and an operator, too.
    Ada,
}

impl Person {
    /// Their name, and the variable for their token.
    const fn names(self) -> (&'static str, &'static str) {
        match self {
            Self::Ann => ("ann", "CUSTOMER"),
            Self::Ben => ("ben", "CUSTOMER"),
            Self::Sam => ("sam", "STAFF"),
            Self::Olga => ("olga", "OPERATOR"),
            Self::Ada => ("ada", "EVERYBODY"),
        }
    }
}

/// Who logs in, and where.
#[derive(Debug, Args)]
pub struct LoginArgs {
    /// Whose token is printed: ann's and ben's as CUSTOMER, sam's as STAFF, olga's as OPERATOR. Without, ann's, sam's and olga's.
    #[arg(value_name = "PERSON")]
    people: Vec<Person>,
    /// The issuer; when it isn't given that of the local run, and where no shop runs here that of compose.
    #[arg(long, env = "AUTH_ISSUER", value_name = "URL")]
    issuer: Option<Url>,
    /// The data folder of the local run.
    #[arg(long, value_name = "DIR", default_value = ".quadrille")]
    data: PathBuf,
}

/// Prints lines for a shell: `eval "$(quadrille login ann)"`. Fails if no issuer is known or it refuses.
pub async fn login(arguments: &LoginArgs, out: &mut impl Write) -> anyhow::Result<()> {
    let issuer = match &arguments.issuer {
        Some(issuer) => issuer.clone(),
        None => issuer_of_run(&arguments.data).await?,
    };
    let everybody = [Person::Ann, Person::Sam, Person::Olga];
    let wanted = if arguments.people.is_empty() { &everybody[..] } else { &arguments.people };
    for person in wanted {
        writeln!(out, "export {}={}", person.names().1, token(&issuer, *person).await?)?;
    }
    Ok(())
}

/// The issuer of the shop that runs here: of a local run that has not ended, else of compose.
async fn issuer_of_run(data: &Path) -> anyhow::Result<Url> {
    if let Some(addresses) = Addresses::read(data)?.filter(|addresses| addresses.runner.is_alive()) {
        let issuer = addresses.services.get(Service::SandboxIssuer.name());
        let issuer = issuer.context("the shop asks for no tokens: start it with `quadrille up`, without --no-auth")?;
        return Ok(Url::parse(&issuer.url)?);
    }
    let of_compose = Url::parse(&format!("http://localhost:{}", Service::SandboxIssuer.default_port()))?;
    let asked = http_client::client(&of_compose, ANSWER)?.get(of_compose.join("healthz")?).send().await;
    asked.with_context(|| {
        let data = data.display();
        format!(
            "no shop runs in {data}, and none of compose at {of_compose}: start one, or name an issuer with --issuer"
        )
    })?;
    Ok(of_compose)
}

/// A token of somebody whom the sandbox issuer knows from the start. It is good for ten minutes.
pub async fn token(issuer: &Url, person: Person) -> anyhow::Result<String> {
    let address = format!("{}/api/v1/account/auth/login", issuer.as_str().trim_end_matches('/'));
    let (name, _) = person.names();
    let body = json!({"email": format!("{name}@example.com"), "password": format!("sandbox-{name}")});
    let asked = http_client::client(issuer, ANSWER)?.post(&address).json(&body).send().await;
    let answer = asked.with_context(|| format!("POST {address}"))?;
    let (status, text) = (answer.status(), answer.text().await?);
    if !status.is_success() {
        bail!("{address} answers {status}: {text}");
    }
    let body: Value = serde_json::from_str(&text).with_context(|| format!("{address} answers no JSON"))?;
    let token = body["access_token"].as_str().unwrap_or_default();
    ensure!(!token.is_empty(), "{address} answers without an access_token");
    Ok(token.to_owned())
}
