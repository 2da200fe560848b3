//! What the routes need of the service's consumer, whatever its reactions are.

use std::sync::Arc;

use actix_web::web::{Data, ServiceConfig};
use diesel::QueryResult;
use diesel_async::AsyncPgConnection;
use futures_util::FutureExt;
use futures_util::future::BoxFuture;
use tokio_util::sync::CancellationToken;

use super::dry_run::dry_run;
use super::versions::edit;
use super::{DeadLetter, Decision, Draft, DryRun, Job, JobAction, NotEdited, Selection, carry_out, jobs};
use crate::consumer::{DeadLetterSink, ReactionError, Reactions, Record, Undecodable, Work};

/// Tries dead letters with the reactions of a service.
pub(crate) trait Tries: Send + Sync {
    /// See [`Desk::dry_run`].
    fn dry_run(&self, id: i64, draft: Draft) -> BoxFuture<'_, Result<Option<DryRun>, ReactionError>>;
    /// Whether the record is an event that this build knows.
    fn decode(&self, record: &Record) -> Result<(), Undecodable>;
    /// The consumer group.
    fn consumer(&self) -> &str;
    /// Tells the worker that there is something to do.
    fn wake(&self);
    /// Carries out replays until told to stop.
    fn carry_out_replays<'a>(&'a self, stop: &'a CancellationToken) -> BoxFuture<'a, ()>;
    /// Works at jobs until told to stop.
    fn work_at_jobs<'a>(&'a self, stop: &'a CancellationToken) -> BoxFuture<'a, ()>;
}

impl<R: Reactions, S: DeadLetterSink> Tries for Work<R, S> {
    fn dry_run(&self, id: i64, draft: Draft) -> BoxFuture<'_, Result<Option<DryRun>, ReactionError>> {
        dry_run(self, id, draft).boxed()
    }

    fn decode(&self, record: &Record) -> Result<(), Undecodable> {
        // A decoder's panic is a reaction's failure, too.
        let decoded = std::panic::AssertUnwindSafe(|| record.decode(&*self.reactions).map(drop));
        let panicked = || Undecodable::Malformed("reading it panics".to_owned());
        std::panic::catch_unwind(decoded).unwrap_or_else(|_| Err(panicked()))
    }

    fn consumer(&self) -> &str {
        self.handle.group()
    }

    fn wake(&self) {
        self.jobs.notify_one();
    }

    fn carry_out_replays<'a>(&'a self, stop: &'a CancellationToken) -> BoxFuture<'a, ()> {
        carry_out(self, stop).boxed()
    }

    fn work_at_jobs<'a>(&'a self, stop: &'a CancellationToken) -> BoxFuture<'a, ()> {
        jobs::run(self, stop).boxed()
    }
}

/// The desk at which the routes ask the service's consumer. Cheap to clone.
#[derive(Clone)]
pub struct Desk(Arc<dyn Tries>);

impl Desk {
    pub(crate) fn new<R: Reactions, S: DeadLetterSink>(work: Arc<Work<R, S>>) -> Self {
        Self(work)
    }

    /// Gives the routes of this server the desk. Those that need it answer 503 without one.
    pub fn mount(&self, config: &mut ServiceConfig) {
        config.app_data(Data::new(self.clone()));
    }

    /// Runs the service's reaction to the letter, changed as the draft says, and rolls back what it did. None if there is no
    /// such letter.
    ///
    /// # Errors
    /// Fails if the database can't be asked. A reaction that fails is no failure here.
    pub async fn dry_run(&self, id: i64, draft: Draft) -> Result<Option<DryRun>, ReactionError> {
        self.0.dry_run(id, draft).await
    }

    /// Changes the letter as the draft says, and keeps what it said before. The event's id stays.
    ///
    /// # Errors
    /// Fails if there is no such letter, if what it would say is no event that this build knows, or if the database can't.
    pub async fn edit(
        &self,
        conn: &mut AsyncPgConnection,
        id: i64,
        draft: Draft,
        decision: &Decision,
    ) -> Result<DeadLetter, NotEdited> {
        edit(conn, id, draft, decision, |record| self.0.decode(record)).await
    }

    /// Begins a job on the letters that there are. None if there is none.
    ///
    /// # Errors
    /// Fails if a statement fails.
    pub async fn begin(
        &self,
        conn: &mut AsyncPgConnection,
        action: JobAction,
        selection: Selection,
        keep_going: bool,
        decision: &Decision,
    ) -> QueryResult<Option<Job>> {
        let begun = jobs::create(conn, self.0.consumer(), (action, selection), keep_going, decision).await?;
        self.wake();
        Ok(begun)
    }

    /// Tells the worker that there is something to do.
    pub fn wake(&self) {
        self.0.wake();
    }

    /// Carries out replays that are asked for, until told to stop. A consumer that runs does so by itself.
    pub async fn carry_out_replays(&self, stop: &CancellationToken) {
        self.0.carry_out_replays(stop).await;
    }

    /// Works at jobs until told to stop. A consumer that runs does so by itself.
    pub async fn work_at_jobs(&self, stop: &CancellationToken) {
        self.0.work_at_jobs(stop).await;
    }
}
