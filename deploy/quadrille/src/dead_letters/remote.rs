//! Asks a service about its dead letters, in an operator's name: it alone can try and change events, as it knows its reactions.

use std::collections::BTreeMap;
use std::path::Path;
use std::time::Duration;

use anyhow::{Context, bail};
use clap::Args;
use reqwest::{Method, StatusCode};
use serde::Serialize;
use serde_json::Value;

use crate::addresses::Addresses;
use crate::api::Api;
use crate::login::{self, Person};
use crate::service::Service;

/// A dry run takes ten seconds at most.
const ANSWER: Duration = Duration::from_secs(30);

/// Where the service answers, and in whose name it is asked.
#[derive(Debug, Args)]
pub(super) struct RemoteArgs {
    /// Where the service answers, if it isn't the local run's.
    #[arg(long, value_name = "URL", global = true)]
    url: Option<String>,
    /// An operator's token, where it isn't a local run.
    #[arg(long, env = "OPERATOR", value_name = "TOKEN", hide_env_values = true, global = true)]
    token: Option<String>,
}

/// A service that is asked for its dead letters.
pub(super) struct Remote {
    api: Api,
    service: Service,
}

impl Remote {
    pub async fn of(arguments: &RemoteArgs, service: Service, data: &Path) -> anyhow::Result<Self> {
        let local = Addresses::read(data)?;
        let of_run = |service: Service| Some(local.as_ref()?.services.get(service.name())?.url.clone());
        let (name, data) = (service.name(), data.display());
        let url = arguments.url.clone().or_else(|| of_run(service));
        let url =
            url.with_context(|| format!("no shop runs in {data}; start it, or say where {name} answers: --url URL"))?;
        let token = match (&arguments.token, of_run(Service::SandboxIssuer)) {
            (Some(token), _) => Some(token.clone()),
            (None, Some(issuer)) if arguments.url.is_none() => {
                Some(login::token(&issuer.parse()?, Person::Olga).await?)
            }
            _ => None,
        };
        let urls = BTreeMap::from([(name.to_owned(), url.trim_end_matches('/').to_owned())]);
        Ok(Self { api: Api::new(urls, ANSWER)?.with_token(token.as_deref(), ANSWER)?, service })
    }

    /// Whose dead letters they are.
    pub const fn service(&self) -> Service {
        self.service
    }

    /// Asks for what lies below `/api/v1/dead-letters`. Fails with what the service says, unless it does what is asked for.
    pub async fn ask(&self, method: Method, path: &str, body: Option<&Value>) -> anyhow::Result<Value> {
        self.send(method, path, body).await
    }

    /// The same with a body of any kind.
    pub async fn send(&self, method: Method, path: &str, body: Option<&impl Serialize>) -> anyhow::Result<Value> {
        let path = format!("/api/v1/dead-letters{path}");
        let (status, answer) = self.api.send(method, self.service, &path, body).await?;
        if status.is_success() {
            return Ok(answer);
        }
        let name = self.service.name();
        if status == StatusCode::UNAUTHORIZED || status == StatusCode::FORBIDDEN {
            bail!("{name} answers {status}: this needs an operator's token, as --token or in $OPERATOR");
        }
        bail!(
            "{name} answers {status}: {}",
            answer["detail"].as_str().map_or_else(|| answer.to_string(), str::to_owned)
        )
    }
}
