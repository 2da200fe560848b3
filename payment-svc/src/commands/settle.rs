use diesel_async::{AsyncConnection, AsyncPgConnection};
use service_kit::consumer::ReactionError;

use super::follow;
use crate::{
    domain::{Answer, Payment, State},
    store::{
        calls::{self, Failure, TakenCall},
        roots,
    },
};

/// Applies the gateway's answer: state, events, ledger, the end of this call and the next call are one transaction. An
/// answer to a call that is finished by now changes nothing, so an answer that comes twice is applied once.
///
/// # Errors
/// The database, or a state that waits for no such answer.
pub async fn settle(conn: &mut AsyncPgConnection, call: &TakenCall, answer: Answer) -> Result<(), ReactionError> {
    conn.transaction(async |conn| {
        let mut root = roots::lock_or_create(conn, call.order_id).await?;
        if !calls::is_unfinished(conn, &call.key).await? {
            return Ok(());
        }
        let step = root.payment.answered(call.call, answer.clone()).map_err(ReactionError::permanent)?;
        match outcome(&answer, &root.payment) {
            None => calls::put_off(conn, call, &Failure { code: "under_way", text: "it goes on".to_owned() }).await?,
            Some(outcome) => calls::finish(conn, &call.key, outcome).await?,
        }
        follow(conn, &mut root, step, &call.cause).await
    })
    .await
}

/// The gateway did not answer, so nobody knows what it did: that is said once, kept with the call, and looked up later.
pub async fn unanswered(
    conn: &mut AsyncPgConnection,
    call: &TakenCall,
    failure: &Failure,
) -> Result<(), ReactionError> {
    conn.transaction(async |conn| {
        let mut root = roots::lock_or_create(conn, call.order_id).await?;
        if !calls::is_unfinished(conn, &call.key).await? {
            return Ok(());
        }
        let step = root.payment.answered(call.call, Answer::Nothing).map_err(ReactionError::permanent)?;
        calls::put_off(conn, call, failure).await?;
        follow(conn, &mut root, step, &call.cause).await
    })
    .await
}

/// Nothing while the call goes on.
fn outcome(answer: &Answer, payment: &Payment) -> Option<&'static str> {
    match answer {
        Answer::Done => Some("done"),
        Answer::No { .. } => Some("refused"),
        Answer::NotNow { .. } => Some("refused_for_now"),
        Answer::ActionRequired { .. } => Some("action_required"),
        Answer::ActionFailed { .. } => Some("action_failed"),
        Answer::NotAsked => Some("not_asked"),
        Answer::LetGo => Some("let_go"),
        Answer::Overtaken { .. } => Some("overtaken"),
        Answer::CapturedElsewhere { .. } => Some("captured_elsewhere"),
        Answer::PartGivenBack { .. } => Some("part_given_back"),
        // The goods were given back while it was looked up: the intent is to be ended still.
        Answer::AuthorisedAfterAll if payment.state == State::Closing => None,
        Answer::AuthorisedAfterAll => Some("authorised_after_all"),
        Answer::Nothing => None,
    }
}
