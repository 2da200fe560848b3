//! Rows that are published one at a time: those that were refused within a batch, and those of parked keys.

use std::sync::Arc;
use std::time::{Duration, Instant};

use chrono::Utc;
use diesel::OptionalExtension;
use diesel::result::QueryResult;
use diesel_async::RunQueryDsl;
use tokio::time::timeout;

use super::{Outage, Term, retired};
use crate::answer::in_time;
use crate::publisher::{Failure, Publisher};
use crate::sql::{self, ReadRow};
use crate::traced::Traced;

/// How many rows of parked keys are published before the other rows have their turn again.
const PARKED_AT_ONCE: usize = 200;

impl Term<'_> {
    /// Tries the suspects one at a time, in order: one that is refused alone is parked, and the later ones of its key
    /// queue up behind it.
    pub async fn try_suspects(&mut self, publisher: &mut impl Publisher) -> QueryResult<Option<Outage>> {
        while let Some((&id, _)) = self.suspects.first_key_value() {
            let row: Option<ReadRow> = in_time(sql::ReadOne { id }.get_result(&mut &*self.conn)).await.optional()?;
            match row {
                None => {}
                Some(row) if row.parked => {
                    in_time(sql::ParkBehind { ids: vec![id] }.execute(&mut &*self.conn)).await?;
                    self.meters.parked(1);
                }
                Some(row) => match self.publish_alone(row, publisher).await {
                    Ok(()) => {
                        self.meters.published(1);
                        retired(Arc::clone(&self.conn), self.config.archive.is_some(), vec![id]).await?;
                    }
                    Err(Failure::Outage(why)) => return Ok(Some(why)),
                    Err(Failure::Refused(reason)) => {
                        in_time(sql::ParkCulprit { id, reason: reason.clone() }.execute(&mut &*self.conn)).await?;
                        self.meters.parked(1);
                        tracing::error!(
                            relay = self.config.name,
                            row.id = id,
                            reason,
                            "a row was refused: its key is parked"
                        );
                    }
                },
            }
            self.suspects.remove(&id);
        }
        Ok(None)
    }

    /// Does what operators asked for parked rows. Only while nothing is under way.
    pub async fn tend_parked(&mut self, publisher: &mut impl Publisher) -> QueryResult<Option<Outage>> {
        for _ in 0..PARKED_AT_ONCE {
            // Before each row: an operator may discard one while those before it are published.
            in_time(sql::DeleteDiscarded {}.execute(&mut &*self.conn)).await?;
            let asked = in_time(sql::RetryAsked {}.get_result(&mut &*self.conn)).await.optional()?;
            let Some((topic, key)) = asked else { break };
            let row =
                in_time(sql::FirstParked { topic, key }.get_result::<ReadRow>(&mut &*self.conn)).await.optional()?;
            let Some(row) = row else { break };
            let id = row.id;
            match self.publish_alone(row, publisher).await {
                Ok(()) => {
                    self.retire_parked(id).await?;
                    self.meters.published(1);
                }
                Err(Failure::Outage(why)) => return Ok(Some(why)),
                Err(Failure::Refused(reason)) => {
                    tracing::error!(relay = self.config.name, row.id = id, reason, "a parked row was refused again");
                    in_time(sql::RefusedAgain { id, reason }.execute(&mut &*self.conn)).await?;
                }
            }
        }
        Ok(None)
    }

    /// Publishes one row while nothing else is under way, and waits for its report. The wait is bounded, since the leader does
    /// nothing else meanwhile.
    async fn publish_alone(&mut self, row: ReadRow, publisher: &mut impl Publisher) -> Result<(), Failure> {
        let mut reports = Vec::new();
        let since = Instant::now();
        let created_at = row.created_at;
        let (row, made_in) = self.to_record(row)?;
        let traced = made_in.and_then(|made_in| Traced::new(made_in, &row, created_at));
        publisher.publish(&[row]);
        let answered = timeout(self.config.silence, async {
            while reports.is_empty() {
                publisher.reports(&mut reports).await;
            }
        });
        if answered.await.is_err() {
            publisher.withdraw(Duration::ZERO, &mut reports).await;
            let after_all = reports.iter().any(|report| report.outcome.is_ok());
            return if after_all { Ok(()) } else { Err(Failure::Outage(self.silent())) };
        }
        self.meters.took(since.elapsed());
        let outcome = reports.swap_remove(0).outcome;
        if outcome.is_ok() {
            self.meters.delivered(Utc::now() - created_at);
            traced.into_iter().for_each(Traced::acknowledged);
        } else {
            publisher.withdraw(Duration::ZERO, &mut reports).await;
        }
        outcome
    }
}
