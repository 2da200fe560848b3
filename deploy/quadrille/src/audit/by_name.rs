//! What belongs to no order: events of products and customers, stock levels, and the gateway's keys.

use anyhow::ensure;
use chrono::Utc;
use serde::Deserialize;
use stock_svc::store::books::{self, Range};

use super::Options;
use super::by_order::Shop;
use super::evidence::{Away, Evidence, Part};
use super::journal::Journal;
use super::looks::{Walk, settle};
use super::notes::Notes;
use super::rows::Effect;
use super::rules::Pass;
use super::spill::bucket_of;
use super::tally::Tally;
use crate::service::Service;

/// SKUs whose books are compared at a time.
const SKUS: i64 = 200;
/// What the gateway does for an order, mostly.
const EFFECTS: usize = 3;

pub(super) async fn look(shop: &mut Shop<'_>, away: &Away, tally: &mut Tally) -> anyhow::Result<()> {
    let Options { orders, ranges: at_once, pause, .. } = shop.options;
    let buckets = present_buckets(shop).await?;
    settle(&mut Present { shop, notes: None, buckets }, 0..buckets, pause, away, tally).await?;
    let ranges = ranges_of_skus(shop).await?;
    let count = ranges.len();
    let mut levels = Levels { shop, ranges };
    for first in (0..count).step_by(at_once) {
        settle(&mut levels, first..(first + at_once).min(count), pause, away, tally).await?;
    }
    let buckets = shop.effects / (orders * EFFECTS) + 1;
    let is_away = away.contains_key(&Part::Gateway);
    settle(&mut Keys { shop, journal: None, buckets, is_away }, 0..buckets, pause, away, tally).await
}

/// How many buckets there are for products and customers: so many that a bucket has no more of them than a range has orders.
pub(super) async fn present_buckets(shop: &mut Shop<'_>) -> anyhow::Result<usize> {
    #[derive(Deserialize)]
    struct Count {
        keys: usize,
    }
    let orders = shop.options.orders;
    if let Some(buckets) = shop.events.as_ref().map(|events| events.present_buckets) {
        return Ok(buckets);
    }
    let mut keys = 0;
    for (service, table) in [(Service::StockSvc, "products"), (Service::OrderSvc, "customers")] {
        let Some(snapshot) = shop.databases.get(service) else { continue };
        snapshot.open().await?;
        let found = snapshot.rows::<Count>(&format!("select count(*) as keys from {table}")).await?;
        snapshot.close().await?;
        keys += found.first().map_or(0, |row| row.keys);
    }
    Ok(keys / orders + 1)
}

/// Products and customers, by a hash of SKU or id: PostgreSQL may sort them in another order than we do.
struct Present<'s, 'a> {
    shop: &'s mut Shop<'a>,
    notes: Option<Notes>,
    buckets: usize,
}

impl Walk for Present<'_, '_> {
    const PASS: Pass = Pass::Present;

    async fn begin(&mut self, _parts: &[usize], _again: bool) -> anyhow::Result<()> {
        let buckets = self.buckets;
        self.notes = Some(Notes::of_present(&mut self.shop.databases, |key| bucket_of(key, buckets)).await?);
        self.shop.catch_up(None, false).await
    }

    async fn evidence(&mut self, part: usize) -> anyhow::Result<Evidence> {
        ensure!(!self.shop.stop.is_cancelled(), "told to stop");
        let mut evidence = Evidence { now: Utc::now(), ..Evidence::default() };
        if let Some(notes) = &mut self.notes {
            notes.read(part, &mut evidence)?;
        }
        if let Some(events) = &mut self.shop.events {
            evidence.present = events.newest_of_present(part)?;
        }
        Ok(evidence)
    }
}

async fn ranges_of_skus(shop: &mut Shop<'_>) -> anyhow::Result<Vec<Range<String>>> {
    let Some(snapshot) = shop.databases.get(Service::StockSvc) else { return Ok(vec![]) };
    let (mut ranges, mut after) = (Vec::new(), String::new());
    snapshot.open().await?;
    loop {
        let range = books::skus_after(snapshot.conn(), &after, SKUS).await?;
        ranges.push(range.clone());
        match range.last {
            Some(last) => after = last,
            None => break,
        }
    }
    snapshot.close().await?;
    Ok(ranges)
}

struct Levels<'s, 'a> {
    shop: &'s mut Shop<'a>,
    ranges: Vec<Range<String>>,
}

impl Walk for Levels<'_, '_> {
    const PASS: Pass = Pass::Levels;

    async fn begin(&mut self, _parts: &[usize], _again: bool) -> anyhow::Result<()> {
        Ok(())
    }

    async fn evidence(&mut self, part: usize) -> anyhow::Result<Evidence> {
        ensure!(!self.shop.stop.is_cancelled(), "told to stop");
        let mut evidence = Evidence { now: Utc::now(), ..Evidence::default() };
        if let Some(snapshot) = self.shop.databases.get(Service::StockSvc) {
            snapshot.open().await?;
            evidence.books = books::of(snapshot.conn(), &self.ranges[part]).await?;
            snapshot.close().await?;
        }
        Ok(evidence)
    }
}

/// The gateway's journal by a hash of its keys: one key may stand with orders of any two ranges.
struct Keys<'s, 'a> {
    shop: &'s mut Shop<'a>,
    journal: Option<Journal>,
    buckets: usize,
    is_away: bool,
}

impl Walk for Keys<'_, '_> {
    const PASS: Pass = Pass::Keys;

    async fn begin(&mut self, _parts: &[usize], _again: bool) -> anyhow::Result<()> {
        self.journal = if self.is_away { None } else { Journal::of(self.shop.sources)? };
        let bucket = |effect: &Effect| effect.key.as_deref().map(|key| bucket_of(key, self.buckets));
        match &mut self.journal {
            Some(journal) => journal.catch_up(&self.shop.stop, bucket).await,
            None => Ok(()),
        }
    }

    async fn evidence(&mut self, part: usize) -> anyhow::Result<Evidence> {
        let journal = self.journal.as_mut().map(|journal| journal.bucket(part)).transpose()?;
        Ok(Evidence { now: Utc::now(), journal, ..Evidence::default() })
    }
}
