//! The gateway's journal, read page by page and set aside in buckets.

use std::collections::BTreeMap;

use anyhow::{Context, ensure};
use serde_json::Value;
use shared_events::{Currency, Money};
use tokio_util::sync::CancellationToken;

use super::{rows::Effect, sources::Sources, spill::Spill};
use crate::{api::Api, service::Service};

const JOURNAL: &str = "/sandbox/journal?";

/// The journal as far as it was read.
pub(super) struct Journal {
    api: Api,
    spill: Spill<Effect>,
    /// The cursor of the last page.
    cursor: Option<String>,
    /// Lines of the last page that are known.
    known: usize,
    /// How many lines were read.
    pub read: usize,
}

impl Journal {
    /// The journal of the sandbox, with nothing read yet; none if the gateway is another, which shows no journal.
    pub fn of(sources: &Sources) -> anyhow::Result<Option<Self>> {
        let Some(api) = sources.gateway()? else { return Ok(None) };
        Ok(Some(Self { api, spill: Spill::new()?, cursor: None, known: 0, read: 0 }))
    }

    /// Asks whether it can be read, where it is shown at all.
    pub async fn answers(sources: &Sources) -> anyhow::Result<()> {
        let Some(api) = sources.gateway()? else { return Ok(()) };
        let page = api.page(Service::SandboxGateway, JOURNAL, None).await;
        page.map(drop).context("the gateway's journal")
    }

    /// Reads what is there, or has come since it was read last. `bucket` says where an effect belongs, if anywhere.
    pub async fn catch_up(
        &mut self,
        stop: &CancellationToken,
        bucket: impl Fn(&Effect) -> Option<usize>,
    ) -> anyhow::Result<()> {
        let (gateway, cursor) = (Service::SandboxGateway, &mut self.cursor);
        loop {
            ensure!(!stop.is_cancelled(), "told to stop");
            let page = self.api.page(gateway, JOURNAL, cursor.as_deref()).await;
            let (lines, next) = page.context("the gateway's journal")?;
            let count = lines.len();
            for line in lines.into_iter().skip(self.known) {
                let effect = serde_json::from_value(in_minor_units(line)).context("the gateway's journal")?;
                self.read += 1;
                if let Some(bucket) = bucket(&effect) {
                    self.spill.add(bucket, &effect)?;
                }
            }
            self.known = count;
            let Some(next) = next else { return Ok(()) };
            (*cursor, self.known) = (Some(next), 0);
        }
    }

    pub fn bucket(&mut self, bucket: usize) -> anyhow::Result<Vec<Effect>> {
        let mut effects = Vec::new();
        self.spill.each(bucket, |effect| {
            effects.push(effect);
            Ok(())
        })?;
        Ok(effects)
    }
}

/// The gateway counts some currencies in units of its own.
fn in_minor_units(mut line: Value) -> Value {
    let currency = line["currency"].as_str().and_then(|code| code.to_uppercase().parse::<Currency>().ok());
    if let (Some(amount), Some(currency)) = (line["amount"].as_i64(), currency) {
        line["amount"] = Money::minor_units_of_gateway(amount, currency).into();
    }
    line
}

impl Sources {
    /// The sandbox gateway, if it is known where it is.
    fn gateway(&self) -> anyhow::Result<Option<Api>> {
        let Some(url) = &self.gateway else { return Ok(None) };
        let urls = BTreeMap::from([(Service::SandboxGateway.name().to_owned(), url.clone())]);
        Api::new(urls, super::sources::ANSWERS_WITHIN).map(Some)
    }
}
