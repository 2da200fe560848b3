//! The shop that a person is to be forgotten in: its databases, its topics, its services.

use std::collections::BTreeMap;
use std::path::PathBuf;

use anyhow::{Context, bail};
use reqwest::{Method, StatusCode};
use serde::Deserialize;

use super::ForgetArgs;
use crate::addresses::Addresses;
use crate::api::Api;
use crate::audit::Sources;
use crate::audit::sql::Snapshot;
use crate::cluster::Cluster;
use crate::http_client;
use crate::login::{self, Person as Somebody};
use crate::service::Service;
use crate::up;

/// How long one answer may take: it covers some thousand orders.
const ANSWER: std::time::Duration = std::time::Duration::from_secs(60);
/// The client of the sandbox issuer that may delete accounts. Everybody knows its secret, as all of that issuer's.
const ERASURE: (&str, &str) = ("erasure", "sandbox-erasure");

pub(super) struct Shop {
    pub sources: Sources,
    /// What runs here, if it is a local run's.
    local: Option<Addresses>,
    /// Whether its broker is the one in this program, which keeps nothing when it ends.
    pub keeps_no_events: bool,
    token: Option<String>,
}

/// What was taken of the customer, as order-svc and the sandbox issuer said.
#[derive(Debug, Default)]
pub(super) struct Taken {
    pub profile: bool,
    pub orders: u64,
    /// None if there is no sandbox issuer that deletes it.
    pub account: Option<Account>,
}

#[derive(Debug, Clone, Copy, Default, Deserialize)]
pub(super) struct Account {
    pub accounts: u64,
    pub sessions: u64,
}

impl Shop {
    pub fn of(arguments: &ForgetArgs) -> anyhow::Result<Self> {
        let (sources, data) = (arguments.sources.sources()?, arguments.sources.data());
        let local = Addresses::read(data)?;
        let keeps_no_events = local.is_some() && up::last_was_embedded(data);
        Ok(Self { sources, local, keeps_no_events, token: arguments.token.clone() })
    }

    pub fn cluster(&self) -> &Cluster {
        &self.sources.cluster
    }

    /// Whether the sandboxes' databases and mails are where this program can look.
    pub fn is_local(&self) -> bool {
        self.local.is_some()
    }

    /// Where the local run's mails are.
    pub fn mails(&self) -> Option<&PathBuf> {
        self.local.as_ref().map(|local| &local.mails)
    }

    /// Every database that there is, with its name.
    pub fn databases(&self) -> anyhow::Result<Vec<(Service, String)>> {
        let mut found = Vec::new();
        for service in Service::WITH_OUTBOX {
            found.push((service, self.sources.database(service)?.to_owned()));
        }
        for service in [Service::SandboxGateway, Service::SandboxIssuer] {
            found.extend(self.local_database(service).map(|url| (service, url)));
        }
        Ok(found)
    }

    fn local_database(&self, service: Service) -> Option<String> {
        self.local.as_ref()?.services.get(service.name())?.database.clone()
    }

    pub async fn snapshot(&self, service: Service) -> anyhow::Result<Snapshot> {
        let url = self.sources.database(service)?;
        Snapshot::begin(url).await.with_context(|| format!("the database of {}", service.name()))
    }

    pub async fn snapshot_if_there(&self, service: Service) -> anyhow::Result<Option<Snapshot>> {
        match self.local_database(service) {
            Some(url) => Ok(Some(Snapshot::begin(&url).await?)),
            None => Ok(None),
        }
    }

    /// Has order-svc forget the customer, until nothing is left that can go, and the sandbox issuer delete the account.
    pub async fn forget(&self, customer: &str) -> anyhow::Result<Taken> {
        let api = self.operator().await?;
        let path = format!("/api/v1/customers/{}/forget", in_a_path(customer));
        let mut taken = Taken::default();
        loop {
            let (status, answer) = api.ask(Method::POST, Service::OrderSvc, &path, None).await?;
            if status == StatusCode::UNAUTHORIZED || status == StatusCode::FORBIDDEN {
                bail!(
                    "order-svc answers {status}: this needs an operator's token, as --token or in $OPERATOR: {answer}"
                );
            }
            if status != StatusCode::OK {
                bail!("order-svc answers {status}: {answer}");
            }
            taken.profile |= answer["profile"] == true;
            taken.orders += answer["orders"].as_u64().unwrap_or_default();
            let left = answer["left"]["ended_orders"].as_u64().context("order-svc doesn't say what is left")?;
            if left == 0 {
                break;
            }
            if answer["orders"].as_u64() == Some(0) {
                bail!("order-svc leaves {left} orders that have ended; its log says why");
            }
        }
        taken.account = self.delete_account(customer).await?;
        Ok(taken)
    }

    /// Has the sandbox for text and push messages delete those to these numbers and devices, and about these orders.
    pub async fn delete_messages<'a>(&self, contacts: impl Iterator<Item = &'a String>) -> anyhow::Result<()> {
        let Some(gateway) = self.sources.gateway.as_deref() else { return Ok(()) };
        let client = http_client::client(&gateway.parse()?, ANSWER)?;
        for contact in contacts {
            let url = format!("{}/sandbox/messages?about={}", gateway.trim_end_matches('/'), in_a_path(contact));
            // the address has a phone number in it, which is nothing for a log
            let answer = client.delete(&url).send().await.map_err(reqwest::Error::without_url);
            let status = answer.context("DELETE /sandbox/messages")?.status();
            // an older sandbox keeps none
            if !status.is_success() && status != StatusCode::NOT_FOUND {
                bail!("the sandbox answers {status} to DELETE /sandbox/messages");
            }
        }
        Ok(())
    }

    async fn operator(&self) -> anyhow::Result<Api> {
        let orders = self.sources.orders().context("where order-svc answers isn't known: give --orders")?;
        let urls = BTreeMap::from([(Service::OrderSvc.name().to_owned(), orders.to_owned())]);
        let token = match (&self.token, self.sources.issuer()) {
            (Some(token), _) => Some(token.clone()),
            (None, Some(issuer)) => Some(login::token(&issuer.parse()?, Somebody::Olga).await?),
            (None, None) => None,
        };
        Api::new(urls, ANSWER)?.with_token(token.as_deref(), ANSWER)
    }

    async fn delete_account(&self, customer: &str) -> anyhow::Result<Option<Account>> {
        let Some(issuer) = self.sources.issuer() else { return Ok(None) };
        let url = format!("{}/sandbox/accounts/{}", issuer.trim_end_matches('/'), in_a_path(customer));
        let request = http_client::client(&issuer.parse()?, ANSWER)?.delete(&url);
        // an issuer that isn't the sandbox's knows no such path
        let Ok(answer) = request.basic_auth(ERASURE.0, Some(ERASURE.1)).send().await else { return Ok(None) };
        if !answer.status().is_success() {
            return Ok(None);
        }
        Ok(answer.json().await.ok())
    }
}

/// An id as a part of a path.
fn in_a_path(id: &str) -> String {
    let plain = |byte: u8| byte.is_ascii_alphanumeric() || b"-._~".contains(&byte);
    id.bytes().map(|byte| if plain(byte) { char::from(byte).to_string() } else { format!("%{byte:02X}") }).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_id_of_any_issuer_stands_in_a_path() {
        assert_eq!(in_a_path("c-1001"), "c-1001");
        assert_eq!(in_a_path("auth0|5f/7 ü"), "auth0%7C5f%2F7%20%C3%BC");
    }
}
