//! What the console's own buttons do is on record, as what services do is at theirs. The row is there before it is done.

use actix_web::http::StatusCode;
use uuid::Uuid;

use crate::http::visit::{Refusal, Visit};
use crate::services::Failure;
use crate::store::actions;

/// Does what a button says, on record with who pressed it. Where nobody signs in, the log alone has it.
pub async fn recorded(visit: Visit, work: impl AsyncFnOnce(&Visit) -> Result<(), Failure>) -> Result<Visit, Refusal> {
    let path = visit.request.path().to_owned();
    let by = visit
        .session
        .as_ref()
        .map(|session| (session.sub.clone(), if session.is("operator") { "operator" } else { "staff" }));
    let id = Uuid::now_v7();
    if let Some((sub, role)) = &by
        && let Err(error) = begin(&visit, id, (sub, role), &path).await
    {
        tracing::warn!(error = format!("{error:#}"), path, "a button is not on record, so nothing is done");
        let why = "The console's own database does not answer, so it can't be put on record. Nothing was done.";
        return Err(visit.refuse(StatusCode::SERVICE_UNAVAILABLE, "Not just now", why.to_owned()));
    }
    let done = work(&visit).await;
    let status = match &done {
        Ok(()) => StatusCode::SEE_OTHER.as_u16(),
        Err(Failure::Refused { status, .. }) => *status,
        Err(Failure::Away { .. }) => StatusCode::SERVICE_UNAVAILABLE.as_u16(),
    };
    tracing::info!(path, status, "a button of the control room was pressed");
    // It is done by then, so a failure is told in the log alone.
    if by.is_some()
        && let Err(error) = end(&visit, id, status).await
    {
        tracing::warn!(error = format!("{error:#}"), path, "what came of a button is not on record");
    }
    match done {
        Ok(()) => Ok(visit),
        Err(failure) => Err(visit.failed(&failure)),
    }
}

async fn begin(visit: &Visit, id: Uuid, by: (&str, &str), path: &str) -> anyhow::Result<()> {
    let mut conn = visit.state.pool.get().await?;
    Ok(actions::begin(&mut conn, id, by, path).await?)
}

async fn end(visit: &Visit, id: Uuid, status: u16) -> anyhow::Result<()> {
    let mut conn = visit.state.pool.get().await?;
    Ok(actions::end(&mut conn, id, i16::try_from(status).unwrap_or(i16::MAX)).await?)
}
