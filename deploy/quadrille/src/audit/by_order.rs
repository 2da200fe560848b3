//! Orders, range by range, with all that databases, topics and the gateway have of them.

use std::collections::BTreeSet;

use anyhow::ensure;
use chrono::Utc;
use serde::Deserialize;
use service_kit::progress::Progress;
use tokio_util::sync::CancellationToken;
use uuid::Uuid;

use super::Options;
use super::databases::Databases;
use super::evidence::{Away, Evidence, Part};
use super::hearing::asked_of_inboxes;
use super::journal::Journal;
use super::looks::{Walk, settle};
use super::notes::Notes;
use super::ranges::{Range, Ranges};
use super::rows::Effect;
use super::rules::Pass;
use super::sources::Sources;
use super::sql::Snapshot;
use super::tally::Tally;
use super::topics::Events;
use crate::service::Service;

/// What all passes read from.
pub(super) struct Shop<'a> {
    pub sources: &'a Sources,
    pub databases: Databases,
    /// None if topics can't be read.
    pub events: Option<Events>,
    pub options: Options,
    pub stop: CancellationToken,
    /// Lines that the gateway's journal has.
    pub effects: usize,
}

impl Shop<'_> {
    /// Reads what has come into the topics.
    pub async fn catch_up(&mut self, ranges: Option<&Ranges>, shown: bool) -> anyhow::Result<()> {
        let Some(mut events) = self.events.take() else { return Ok(()) };
        let (ranges, stop) = (ranges.cloned(), self.stop.clone());
        let (events, outcome) = tokio::task::spawn_blocking(move || {
            let outcome = events.catch_up(ranges.as_ref(), shown, &stop);
            (events, outcome)
        })
        .await?;
        self.events = Some(events);
        outcome
    }
}

/// Looks at all orders after `done`, which becomes the last order that is done with, even on failure. Orders that are
/// placed meanwhile come into the tail behind the full ranges. Once reached, the tail is cut into ranges itself, until
/// it has not enough orders for one.
pub(super) async fn look(
    shop: &mut Shop<'_>,
    away: &Away,
    done: &mut Option<Uuid>,
    tally: &mut Tally,
) -> anyhow::Result<()> {
    let Options { orders, ranges: at_once, pause, progress, .. } = shop.options;
    let mut tail_before = None;
    loop {
        let ranges = Ranges::walk(&mut shop.databases, *done, orders).await?;
        let full = ranges.full();
        if let (Some(tail), Some(events)) = (tail_before, &mut shop.events) {
            events.move_tail(tail, &ranges)?;
        }
        shop.catch_up(Some(&ranges), progress && tail_before.is_none()).await?;
        let shown = (progress && full > 0).then(|| Progress::new("ranges of orders", full as u64));
        let mut walk = ByOrder::of(shop, ranges, away, shown).await?;
        for first in (0..full).step_by(at_once) {
            let some = first..(first + at_once).min(full);
            settle(&mut walk, some.clone(), pause, away, tally).await?;
            walk.forget(some.clone())?;
            *done = walk.ranges.get(some.end - 1).last;
        }
        if full == 0 {
            return settle(&mut walk, [0], pause, away, tally).await;
        }
        walk.shown.into_iter().for_each(|shown| shown.end(full as u64));
        tail_before = Some(full);
    }
}

struct ByOrder<'s, 'a> {
    shop: &'s mut Shop<'a>,
    ranges: Ranges,
    /// None if the gateway shows none.
    journal: Option<Journal>,
    /// Read again for parts that are looked at again: a line may have been committed behind those that were read.
    again: Option<Journal>,
    notes: Option<Notes>,
    archives_are_short: bool,
    shown: Option<Progress>,
}

impl<'s, 'a> ByOrder<'s, 'a> {
    async fn of(shop: &'s mut Shop<'a>, ranges: Ranges, away: &Away, shown: Option<Progress>) -> anyhow::Result<Self> {
        let mut journal = if away.contains_key(&Part::Gateway) { None } else { Journal::of(shop.sources)? };
        if let Some(journal) = &mut journal {
            journal.catch_up(&shop.stop, |effect| place(&ranges, effect)).await?;
            shop.effects = journal.read;
        }
        Ok(Self { shop, ranges, journal, again: None, notes: None, archives_are_short: false, shown })
    }

    fn forget(&mut self, parts: std::ops::Range<usize>) -> anyhow::Result<()> {
        let Some(events) = &mut self.shop.events else { return Ok(()) };
        parts.into_iter().try_for_each(|part| events.forget(part))
    }

    async fn read_journal(&mut self, part: usize) -> anyhow::Result<Option<Vec<Effect>>> {
        let Some(journal) = self.again.as_mut().or(self.journal.as_mut()) else { return Ok(None) };
        journal.catch_up(&self.shop.stop, |effect| place(&self.ranges, effect)).await?;
        journal.bucket(part).map(Some)
    }
}

fn place(ranges: &Ranges, effect: &Effect) -> Option<usize> {
    ranges.place(effect.order_id.as_deref().unwrap_or("?"))
}

impl Walk for ByOrder<'_, '_> {
    const PASS: Pass = Pass::Orders;

    async fn begin(&mut self, parts: &[usize], again: bool) -> anyhow::Result<()> {
        let Self { shop, ranges, .. } = self;
        let wanted: BTreeSet<_> = parts.iter().copied().collect();
        let bucket = |key: &str| ranges.place(key).filter(|part| wanted.contains(part));
        let span = |part: Option<&usize>| part.map(|part| ranges.get(*part));
        let (after, last) =
            (span(wanted.first()).and_then(|range| range.after), span(wanted.last()).and_then(|range| range.last));
        self.notes = Some(Notes::of_orders(&mut shop.databases, Range { after, last }, bucket).await?);
        self.again = if again && self.journal.is_some() { Journal::of(shop.sources)? } else { None };
        if let Some(journal) = &mut self.again {
            journal.catch_up(&shop.stop, |effect| place(ranges, effect).filter(|part| wanted.contains(part))).await?;
        }
        if let Some(snapshot) = shop.databases.get(Service::OrderSvc) {
            self.archives_are_short = archives_are_short(snapshot).await?;
        }
        Ok(())
    }

    /// Databases before topics and journal: what is committed by then is there, or in the outbox.
    async fn evidence(&mut self, part: usize) -> anyhow::Result<Evidence> {
        ensure!(!self.shop.stop.is_cancelled(), "told to stop");
        let mut evidence = Evidence { now: Utc::now(), ..Evidence::default() };
        let Self { shop, ranges, notes, .. } = self;
        if let Some(notes) = notes {
            shop.databases.read(ranges.get(part), &notes.read_before, &mut evidence).await?;
            evidence.unpublished.retain(|(_, key, _)| ranges.place(key) == Some(part));
            notes.read(part, &mut evidence)?;
        }
        shop.catch_up(Some(ranges), false).await?;
        if let Some(events) = &mut shop.events {
            evidence.records = events.of_range(part)?;
            evidence.topics_are_whole = events.are_whole() && !self.archives_are_short;
        }
        evidence.journal = self.read_journal(part).await?;
        let databases = &mut self.shop.databases;
        databases.read_progress(&mut evidence).await?;
        databases.read_inboxes(&asked_of_inboxes(&evidence.records), &mut evidence).await?;
        let events = self.shop.events.as_ref().map_or(0, |events| events.read);
        let last = self.ranges.get(part).last.map_or_else(String::new, |last| format!(", the last order is {last}"));
        self.shown.iter_mut().for_each(|shown| shown.at(part as u64 + 1, &format!("{events} events read{last}")));
        Ok(evidence)
    }
}

/// Whether archives, from which topics are rebuilt, have let go of what orders had said. Ids rise with time, so the first is
/// the oldest.
async fn archives_are_short(snapshot: &mut Snapshot) -> anyhow::Result<bool> {
    #[derive(Deserialize)]
    struct Short {
        short: Option<bool>,
    }
    snapshot.open().await?;
    let query = "select (select placed_at from orders order by id limit 1)
        < (select whole_since from outbox_archive_state) as short";
    let found = snapshot.rows::<Short>(query).await?;
    snapshot.close().await?;
    Ok(found.iter().any(|row| row.short == Some(true)))
}
