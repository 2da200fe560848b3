//! Programs beside the services, which the console asks where there are any: the one that watches what must hold, in a sandbox
//! the gateway, whose faults are switched on and off, and the runner of a local run, which stops and starts its parts.

use reqwest::{Client, Method};
use serde_json::Value;
use url::Url;

use crate::config::BesideUrls;
use crate::services::{Failure, Sent, asked, client_for};

/// A program that is asked, at its address.
#[derive(Clone, Debug)]
pub struct Program {
    client: Client,
    name: &'static str,
    url: Url,
}

/// Those that are there.
#[derive(Clone, Debug, Default)]
pub struct Beside {
    /// `quadrille audit --serve`, or the runner of a local run.
    pub watch: Option<Program>,
    pub gateway: Option<Program>,
    pub runner: Option<Program>,
}

impl Beside {
    /// Fails if there can be no client.
    pub fn new(urls: BesideUrls) -> anyhow::Result<Self> {
        let (watch, gateway) = (program("The watch", urls.watch)?, program("The sandbox gateway", urls.gateway)?);
        Ok(Self { watch, gateway, runner: program("The runner", urls.runner)? })
    }
}

fn program(name: &'static str, url: Option<Url>) -> anyhow::Result<Option<Program>> {
    url.map(|url| Ok(Program { client: client_for(&url)?, name, url })).transpose()
}

impl Program {
    pub const fn name(&self) -> &'static str {
        self.name
    }

    pub async fn get(&self, path: &str) -> Result<Value, Failure> {
        Ok(asked(&self.client, self.name, &self.url, Method::GET, path, Sent::default()).await?.1)
    }

    /// Has something done. A body is sent in any case: a change without one is taken for a browser's.
    pub async fn ask(&self, method: Method, path: &str, body: &Value) -> Result<Value, Failure> {
        let sent = Sent { body: Some(body), ..Sent::default() };
        Ok(asked(&self.client, self.name, &self.url, method, path, sent).await?.1)
    }
}
