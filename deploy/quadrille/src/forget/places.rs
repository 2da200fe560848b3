//! Every table of every database.

use std::collections::BTreeMap;
use std::fmt;
use std::io::Write;

use anyhow::Context;
use chrono::{DateTime, TimeDelta, Utc};
use serde::Deserialize;

use super::Places;
use super::person::{About, Person};
use super::report::Gone;
use super::shop::Shop;
use crate::audit::sql::Snapshot;

/// Where something may be kept.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord)]
pub(super) enum Place {
    Table {
        database: String,
        table: String,
    },
    /// The folder of a local run's mails.
    Mails,
    Topic(String),
}

impl fmt::Display for Place {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Table { database, table } => write!(f, "{database}.{table}"),
            Self::Mails => f.write_str("mail folder"),
            Self::Topic(name) => f.write_str(name),
        }
    }
}

/// How often a place names the person.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub(super) struct Found {
    pub person: u64,
    /// Only because of orders that go on.
    pub going_on: u64,
    /// The same words, and nothing that says that they are this person's.
    pub others: u64,
    /// When the newest was written, where that matters.
    pub newest: Option<DateTime<Utc>>,
}

impl Found {
    pub fn add(&mut self, about: About, at: Option<DateTime<Utc>>) {
        match about {
            About::Person => self.person += 1,
            About::OrderGoingOn => self.going_on += 1,
            About::SomebodyElse => self.others += 1,
        }
        if about != About::SomebodyElse {
            self.newest = self.newest.max(at);
        }
    }

    pub fn of_the_person(self) -> u64 {
        self.person + self.going_on
    }
}

#[derive(Deserialize)]
struct Named {
    name: String,
}

#[derive(Deserialize)]
struct Hit {
    row: String,
    at: Option<DateTime<Utc>>,
}

pub(super) const ARCHIVE: &str = "outbox_archive";

/// Of a partitioned table the whole, not its partitions.
const TABLES: &str = "select relname::text as name from pg_class where relnamespace = current_schema()::regnamespace
    and relkind in ('r', 'p') and not relispartition order by 1";

/// Reads every table once, and says so on the error stream: that may take minutes.
pub(super) async fn search(shop: &Shop, person: &Person) -> anyhow::Result<Places> {
    let mut places = Places::new();
    if person.words.is_empty() {
        return Ok(places);
    }
    for (service, url) in shop.databases()? {
        let database = service.database().unwrap_or_else(|| service.name());
        writeln!(std::io::stderr(), "looking through the database of {}", service.name())?;
        let looked = async {
            let mut snapshot = Snapshot::begin(&url).await?;
            for Named { name } in snapshot.rows::<Named>(TABLES).await? {
                let found = table(&mut snapshot, &name, person).await?;
                if found != Found::default() {
                    places.insert(Place::Table { database: database.to_owned(), table: name }, found);
                }
            }
            snapshot.end().await
        };
        looked.await.with_context(|| format!("the database of {}", service.name()))?;
    }
    Ok(places)
}

async fn table(snapshot: &mut Snapshot, table: &str, person: &Person) -> anyhow::Result<Found> {
    let at = if table == ARCHIVE { "archived_at" } else { "null::timestamptz" };
    let pattern = person.words.pattern();
    let query = format!("select one::text as row, {at} as at from {table} as one where one::text ~* '{pattern}'");
    let mut found = Found::default();
    let hit = |Hit { row, at }: Hit| {
        if let Some(about) = person.named_in(&row) {
            found.add(about, at);
        }
        Ok(())
    };
    snapshot.each(&query, hit).await?;
    Ok(found)
}

/// When the archives will have let go of the person.
pub(super) async fn gone(shop: &Shop, after: &Places) -> anyhow::Result<BTreeMap<Place, Gone>> {
    #[derive(Deserialize)]
    struct Over {
        over: Option<DateTime<Utc>>,
    }
    let mut gone = BTreeMap::new();
    for place in after.keys() {
        if matches!(place, Place::Table { table, .. } if table == "idempotency_keys") {
            gone.insert(place.clone(), Gone::By(Utc::now() + TimeDelta::days(1), "answers are kept for a day"));
        }
    }
    for (service, url) in shop.databases()? {
        let database = service.database().unwrap_or_default().to_owned();
        let place = Place::Table { database, table: ARCHIVE.to_owned() };
        let Some(newest) = after.get(&place).and_then(|found| found.newest) else { continue };
        let mut snapshot = Snapshot::begin(&url).await?;
        // a partition is dropped as a whole
        let over = format!(
            "select (select min(high) from outbox_archive_partitions where high > '{newest}') + kept as over \
             from outbox_archive_state"
        );
        let over = snapshot.rows::<Over>(&over).await?.into_iter().find_map(|row| row.over);
        snapshot.end().await?;
        gone.insert(
            place,
            over.map_or(Gone::Never("its retention isn't known"), |over| Gone::By(over, "its retention")),
        );
    }
    Ok(gone)
}
