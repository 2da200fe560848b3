//! One term of leadership: from taking the lock to losing it or giving it up.

mod alone;
mod archive;
mod asked;

use std::collections::{BTreeMap, HashMap};
use std::hash::{BuildHasher, RandomState};
use std::sync::Arc;
use std::time::{Duration, Instant};

use chrono::{DateTime, Utc};
use diesel::result::QueryResult;
use diesel_async::{AsyncPgConnection, RunQueryDsl};
use service_kit::trace::Context;

pub(crate) use self::asked::Answer;
use self::asked::Asked;
use crate::answer::in_time;
use crate::config::RelayConfig;
use crate::gauges::Meters;
use crate::head::Head;
use crate::publisher::{Failure, OutboxRow, Publisher, Report};
use crate::sql::{self, ReadRow};
use crate::to_record::to_record;
use crate::traced::Traced;

/// How long the rows that are under way may still be acknowledged when one of them failed.
const LAST_WORDS: Duration = Duration::from_secs(1);

/// Why publishing has to wait, in the words of the client.
pub(crate) type Outage = String;

/// What the leader knows. It is forgotten with the leadership: the next leader learns it from the table.
///
/// Reading, publishing and deleting overlap: statements are sent without waiting for the one before ([`Asked`]), and while
/// a batch is handed to the publisher PostgreSQL works on the next.
pub(crate) struct Term<'a> {
    config: &'a RelayConfig,
    conn: Arc<AsyncPgConnection>,
    asked: Asked,
    /// A read is among the statements that were sent. There is one at most, since the next begins where it ends.
    reading: bool,
    /// Counts how often rows were put back or became suspects. A read that was sent before sees what lies above them, which
    /// must not overtake them.
    epoch: u64,
    head: Head,
    head_checked: Option<Instant>,
    /// Whether the question who may fill a gap is among the statements that were sent.
    asking_holders: bool,
    /// Rows handed to the publisher on which it has not reported.
    in_flight: HashMap<i64, UnderWay>,
    in_flight_bytes: usize,
    /// Of the rows that are with the publisher those whose traces are exported.
    traced: HashMap<i64, Traced>,
    /// Acknowledged rows whose deletion was not sent yet. One deletion is under way at a time, and what is acknowledged
    /// meanwhile goes with the next, so that a busy relay deletes many rows with one statement.
    acknowledged: Vec<i64>,
    /// Acknowledged rows whose deletion is under way.
    retiring: Vec<i64>,
    /// Rows that are tried one at a time, in this order, with their keys' hashes: those that the broker refused in the
    /// company of others, and earlier rows of their keys that failed with them.
    suspects: BTreeMap<i64, u64>,
    hasher: RandomState,
    /// When the archive was last looked after.
    archive_tended: Option<Instant>,
    pub meters: Meters,
}

struct UnderWay {
    bytes: usize,
    since: Instant,
    created_at: DateTime<Utc>,
    /// Of topic and key: what must stay in order. Two keys of one hash are only tried one at a time for nothing.
    key: u64,
}

/// Rows that were read and may go out.
pub(crate) struct Batch {
    rows: Vec<ReadRow>,
    /// There may be more rows than the read could return.
    pub full: bool,
    /// The read position before this read. At or below it may be rows that the term knows already.
    known_to: i64,
}

impl Batch {
    pub fn is_empty(&self) -> bool {
        self.rows.is_empty()
    }
}

impl<'a> Term<'a> {
    pub fn new(config: &'a RelayConfig, conn: AsyncPgConnection) -> Self {
        Self {
            config,
            conn: Arc::new(conn),
            asked: Asked::default(),
            reading: false,
            epoch: 0,
            head: Head::default(),
            head_checked: None,
            asking_holders: false,
            in_flight: HashMap::new(),
            in_flight_bytes: 0,
            traced: HashMap::new(),
            acknowledged: Vec::new(),
            retiring: Vec::new(),
            suspects: BTreeMap::new(),
            hasher: RandomState::new(),
            archive_tended: None,
            meters: Meters::new(config),
        }
    }

    /// Has PostgreSQL prepare the statements that are sent while others are under way.
    pub async fn prepare(&mut self) -> QueryResult<()> {
        let (position, rows, bytes, lows, highs) = (i64::MAX, 0, 0, Vec::new(), Vec::new());
        let conn = &mut &*self.conn;
        in_time(sql::ReadAhead { position, rows, bytes }.load::<ReadRow>(conn)).await?;
        in_time(sql::ReadGapsAndAhead { lows, highs, position, rows, bytes }.load::<ReadRow>(conn)).await?;
        in_time(sql::Holders {}.get_result::<Vec<String>>(conn)).await?;
        in_time(sql::ParkBehind { ids: Vec::new() }.execute(conn)).await?;
        retired(Arc::clone(&self.conn), self.config.archive.is_some(), Vec::new()).await?;
        Ok(())
    }

    /// Nothing is with the publisher, and no statement is under way.
    pub fn settled(&self) -> bool {
        self.in_flight.is_empty() && self.acknowledged.is_empty() && self.asked.is_empty()
    }

    /// Whether rows may still appear below the read position.
    pub fn has_gaps(&self) -> bool {
        !self.head.closed()
    }

    /// Whether rows are with the publisher.
    pub fn publishes(&self) -> bool {
        !self.in_flight.is_empty()
    }

    /// Whether statements are under way.
    pub fn asks(&self) -> bool {
        !self.asked.is_empty()
    }

    /// Whether rows wait to be tried one at a time, which is done once nothing is under way. Until then, nothing else may
    /// go out.
    pub fn suspicious(&self) -> bool {
        !self.suspects.is_empty()
    }

    /// Whether another batch may be read.
    pub fn has_room(&self) -> bool {
        self.has_room_beside(0, 0)
    }

    /// Whether another batch may be read while `batch` is not handed over yet.
    pub fn has_room_after(&self, batch: &Batch) -> bool {
        self.has_room_beside(batch.rows.len(), batch.rows.iter().map(ReadRow::bytes).sum())
    }

    fn has_room_beside(&self, rows: usize, bytes: usize) -> bool {
        let (bound, batch) = (self.config.in_flight, self.config.batch);
        !self.reading
            && self.suspects.is_empty()
            && self.in_flight.len() + rows + batch.rows <= bound.rows.max(batch.rows)
            && self.in_flight_bytes + bytes + batch.bytes <= bound.bytes.max(batch.bytes)
    }

    /// How long the oldest row that is under way has been.
    pub fn waiting(&self) -> Duration {
        self.in_flight.values().map(|under_way| under_way.since.elapsed()).max().unwrap_or_default()
    }

    /// Says that the broker says nothing.
    pub fn silent(&self) -> Outage {
        format!("no acknowledgement for {} s", self.config.silence.as_secs_f64())
    }

    /// Sends for the next batch, in id order.
    pub fn read(&mut self) {
        let (position, rows, bytes) = (self.head.position(), int(self.config.batch.rows), int(self.config.batch.bytes));
        let (conn, epoch) = (Arc::clone(&self.conn), self.epoch);
        self.reading = true;
        if self.head.closed() {
            self.asked.send(async move {
                let rows = in_time(sql::ReadAhead { position, rows, bytes }.load(&mut &*conn)).await?;
                Ok(Answer::Rows { rows, epoch })
            });
        } else {
            let (lows, highs) = self.head.gaps();
            self.asked.send(async move {
                let read = sql::ReadGapsAndAhead { lows, highs, position, rows, bytes };
                Ok(Answer::Rows { rows: in_time(read.load(&mut &*conn)).await?, epoch })
            });
        }
    }

    /// The next answer, once it is there. Cancelling it loses none.
    pub async fn answer(&mut self) -> QueryResult<Answer> {
        self.asked.next().await
    }

    /// Takes note of an answer. Returns the rows that may go out, if it has any.
    pub fn note(&mut self, answer: Answer) -> Option<Batch> {
        match answer {
            Answer::Parked => {}
            Answer::Retired => {
                self.retiring.clear();
                self.retire_more();
            }
            Answer::Holders(holders) => {
                self.asking_holders = false;
                self.head_checked = Some(Instant::now());
                self.head.holders(&holders);
            }
            Answer::Rows { rows, epoch } => {
                self.reading = false;
                if epoch == self.epoch {
                    return Some(self.note_rows(rows));
                }
            }
        }
        None
    }

    /// Rows of parked keys queue up behind their key; the others may go out.
    fn note_rows(&mut self, mut rows: Vec<ReadRow>) -> Batch {
        let (limit, known_to) = (self.config.batch, self.head.position());
        let full = rows.len() >= limit.rows || rows.iter().map(ReadRow::bytes).sum::<usize>() >= limit.bytes;
        let ids: Vec<i64> = rows.iter().map(|row| row.id).collect();
        self.head.read(&ids, !full);
        if let Some(unreadable) = rows.iter().position(|row| !row.parked && row.headers.read.is_none()) {
            self.suspect_first(&rows.split_off(unreadable));
        }
        let behind: Vec<i64> = rows.iter().filter(|row| row.parked).map(|row| row.id).collect();
        if !behind.is_empty() {
            self.meters.parked(behind.len());
            let conn = Arc::clone(&self.conn);
            self.asked.send(async move {
                in_time(sql::ParkBehind { ids: behind }.execute(&mut &*conn)).await?;
                Ok(Answer::Parked)
            });
        }
        self.watch_gaps();
        Batch { rows, full, known_to }
    }

    /// The first row can't be published as it is, and those after it must not overtake it.
    fn suspect_first(&mut self, rows: &[ReadRow]) {
        let Some((first, later)) = rows.split_first() else { return };
        self.epoch += 1;
        self.suspects.insert(first.id, self.hash(&first.topic, &first.key));
        for row in later {
            if !self.knows(row.id) {
                self.head.put_back(row.id);
            }
        }
    }

    /// Whether the row is with the publisher, or acknowledged and not known to be deleted.
    fn knows(&self, id: i64) -> bool {
        self.in_flight.contains_key(&id) || self.acknowledged.contains(&id) || self.retiring.contains(&id)
    }

    /// Hands rows to the publisher.
    pub fn hand_over(&mut self, Batch { rows, known_to, .. }: Batch, publisher: &mut impl Publisher) {
        let since = Instant::now();
        let mut batch = Vec::with_capacity(rows.len());
        for row in rows {
            // A gap that was drawn together from several may hold rows that are under way already.
            if row.parked || (row.id <= known_to && self.knows(row.id)) {
                continue;
            }
            let (id, bytes, key, created_at) = (row.id, row.bytes(), self.hash(&row.topic, &row.key), row.created_at);
            if let Ok((row, made_in)) = self.to_record(row) {
                if let Some(traced) = made_in.and_then(|made_in| Traced::new(made_in, &row, created_at)) {
                    self.traced.insert(id, traced);
                }
                self.in_flight.insert(id, UnderWay { bytes, since, created_at, key });
                self.in_flight_bytes += bytes;
                batch.push(row);
            }
        }
        if !batch.is_empty() {
            self.meters.batch(batch.len());
            publisher.publish(&batch);
        }
    }

    fn to_record(&self, row: ReadRow) -> Result<(OutboxRow, Option<Context>), Failure> {
        to_record(row, self.config.trace_header.as_deref())
    }

    fn hash(&self, topic: &str, key: &str) -> u64 {
        self.hasher.hash_one((topic, key))
    }

    /// Asks who may still fill a gap: in a statement later than the read that found it, and earlier than the next.
    fn watch_gaps(&mut self) {
        let recently = self.head_checked.is_some_and(|checked| checked.elapsed() < self.config.head_check);
        if recently || self.asking_holders || self.head.needs_no_holders() {
            return;
        }
        self.asking_holders = true;
        let conn = Arc::clone(&self.conn);
        self.asked.send(async move { Ok(Answer::Holders(in_time(sql::Holders {}.get_result(&mut &*conn)).await?)) });
    }

    /// Has exactly what was acknowledged deleted. If anything failed, what is under way is withdrawn and will be read
    /// again, apart from rows that were refused, which become suspects, and those that must go out before them.
    pub async fn settle(&mut self, mut reports: Vec<Report>, publisher: &mut impl Publisher) -> Option<Outage> {
        let failed = reports.iter().any(|report| report.outcome.is_err());
        if failed {
            publisher.withdraw(LAST_WORDS, &mut reports).await;
        }
        let mut outage = None;
        let mut acknowledged = Vec::with_capacity(reports.len());
        for Report { id, outcome } in reports {
            match outcome {
                Ok(()) => acknowledged.push(id),
                Err(Failure::Refused(_)) => {
                    if let Some(refused) = self.in_flight.get(&id) {
                        self.suspects.insert(id, refused.key);
                    }
                }
                Err(Failure::Outage(why)) => {
                    outage.get_or_insert(why);
                }
            }
        }
        self.acknowledge(&acknowledged);
        if !failed {
            return None;
        }
        self.epoch += 1;
        let last_suspects: HashMap<u64, i64> = self.suspects.iter().map(|(id, key)| (*key, *id)).collect();
        for (id, under_way) in self.in_flight.drain() {
            if last_suspects.get(&under_way.key).is_some_and(|last| id <= *last) {
                self.suspects.insert(id, under_way.key);
            } else {
                self.head.put_back(id);
            }
        }
        self.in_flight_bytes = 0;
        self.traced.clear();
        // Where a row was refused, the others failed because of it.
        outage.filter(|_| self.suspects.is_empty())
    }

    fn acknowledge(&mut self, ids: &[i64]) {
        let (mut oldest, now) = (None, Utc::now());
        for id in ids {
            if let Some(under_way) = self.in_flight.remove(id) {
                self.in_flight_bytes = self.in_flight_bytes.saturating_sub(under_way.bytes);
                oldest = oldest.min(Some(under_way.since)).or(Some(under_way.since));
                self.meters.delivered(now - under_way.created_at);
            }
        }
        if let Some(since) = oldest {
            self.meters.took(since.elapsed());
        }
        if !self.traced.is_empty() {
            ids.iter().filter_map(|id| self.traced.remove(id)).for_each(Traced::acknowledged);
        }
        self.meters.published(ids.len());
        self.acknowledged.extend(ids);
        self.retire_more();
    }

    /// Sends for the deletion of what was acknowledged, unless one is under way.
    fn retire_more(&mut self) {
        if !self.retiring.is_empty() || self.acknowledged.is_empty() {
            return;
        }
        // No more than a read returns: PostgreSQL holds what goes into the archive in memory.
        let rest = self.acknowledged.split_off(self.acknowledged.len().min(self.config.batch.rows));
        self.retiring = std::mem::replace(&mut self.acknowledged, rest);
        self.asked.send(retired(Arc::clone(&self.conn), self.config.archive.is_some(), self.retiring.clone()));
    }

    /// Sets the gauges, by looking at the ends of the table only. Says whether something is asked for parked rows. Only
    /// while no statement is under way.
    pub async fn gauge(&mut self) -> QueryResult<bool> {
        let pending = self.in_flight.keys().chain(self.suspects.keys()).chain(&self.acknowledged);
        let floor = self.head.floor().min(pending.min().map_or(i64::MAX, |id| id - 1));
        let (oldest, last, parked, asked): (Option<f64>, Option<i64>, i64, bool) =
            in_time(sql::Gauges { floor }.get_result(&mut &*self.conn)).await?;
        let pending = if oldest.is_some() { last.unwrap_or_default().saturating_sub(floor) } else { 0 };
        self.meters.gauges(pending, oldest.unwrap_or_default(), parked);
        Ok(asked)
    }
}

/// Deletes these rows, or moves them to the archive.
async fn retired(conn: Arc<AsyncPgConnection>, archive: bool, ids: Vec<i64>) -> QueryResult<Answer> {
    if archive {
        in_time(sql::ArchiveRows { ids }.execute(&mut &*conn)).await?;
    } else {
        in_time(sql::DeleteRows { ids }.execute(&mut &*conn)).await?;
    }
    Ok(Answer::Retired)
}

/// A bound as PostgreSQL takes it.
pub(crate) fn int(bound: usize) -> i64 {
    i64::try_from(bound).unwrap_or(i64::MAX)
}
