//! The upkeep of the archive of published rows.

use std::time::{Duration, Instant};

use diesel::result::QueryResult;
use diesel_async::RunQueryDsl;

use super::Term;
use crate::answer::in_time;
use crate::archive::Archive;
use crate::sql;

/// How often partitions are made ahead and old ones dropped. A partition stays at most this much longer than its last row
/// must be kept.
const TEND: Duration = Duration::from_mins(1);

impl Term<'_> {
    /// Makes partitions ahead and drops old ones, every minute. The first time in a term must succeed; a later time may fail,
    /// since partitions are made well ahead.
    pub async fn tend_archive(&mut self) -> QueryResult<()> {
        let first = self.archive_tended.is_none();
        if self.archive_tended.is_some_and(|tended| tended.elapsed() < TEND) {
            return Ok(());
        }
        let seconds = self.config.archive.map(Archive::seconds);
        let tended = in_time(sql::TendArchive { seconds }.get_result::<i32>(&mut &*self.conn)).await;
        self.archive_tended = Some(Instant::now());
        let relay = &self.config.name;
        match tended {
            Ok(0) => {}
            Ok(partitions) => {
                tracing::warn!(relay, partitions, "what is over in outbox_archive is being read, and dropped later");
            }
            Err(error) if first => return Err(error),
            Err(error) => tracing::warn!(relay, %error, "outbox_archive could not be looked after, and will be later"),
        }
        Ok(())
    }

    /// Deletes a parked row that was published, or moves it to the archive.
    pub(super) async fn retire_parked(&mut self, id: i64) -> QueryResult<()> {
        if self.config.archive.is_some() {
            in_time(sql::ArchiveParked { id }.execute(&mut &*self.conn)).await?;
        } else {
            in_time(sql::DeleteParked { id }.execute(&mut &*self.conn)).await?;
        }
        Ok(())
    }
}
