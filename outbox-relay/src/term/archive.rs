//! What was published is kept, where that is asked for.

use std::time::{Duration, Instant};

use diesel::result::QueryResult;
use diesel_async::RunQueryDsl;

use super::Term;
use crate::answer::in_time;
use crate::archive::Archive;
use crate::sql;

/// How often partitions are made ahead and old ones dropped: rows are kept this much longer at most, apart from the rest
/// of their partition.
const TEND: Duration = Duration::from_mins(1);

impl Term<'_> {
    /// Looks after the archive when it is time: at the beginning of the term, which must succeed, and then every minute,
    /// when it may fail for once, as partitions are made well ahead.
    pub async fn tend_archive(&mut self) -> QueryResult<()> {
        let first = self.archive_tended.is_none();
        if self.archive_tended.is_some_and(|tended| tended.elapsed() < TEND) {
            return Ok(());
        }
        let seconds = self.config.archive.map(Archive::seconds);
        let tended = in_time(sql::TendArchive { seconds }.get_result::<i32>(&mut self.conn)).await;
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

    /// A parked row was published.
    pub(super) async fn retire_parked(&mut self, id: i64) -> QueryResult<()> {
        if self.config.archive.is_some() {
            in_time(sql::ArchiveParked { id }.execute(&mut self.conn)).await?;
        } else {
            in_time(sql::DeleteParked { id }.execute(&mut self.conn)).await?;
        }
        Ok(())
    }
}
