use diesel_async::{AsyncConnection, AsyncPgConnection};
use service_kit::{consumer::ReactionError, external_calls::Performed, locks};

use crate::domain::{Call, GatewayReply, Payment, Refused, State, Transition};
use crate::store::calls::{Failure, PutOff, TakenCall};
use crate::store::{self, Loaded};

#[derive(Clone, Debug)]
pub enum Asked {
    Answered(GatewayReply),
    /// The gateway was asked to do something and did not answer, so nobody knows whether it did. That is announced
    /// once, kept with the call, and looked up later.
    Unanswered(Failure),
    /// Nothing was learned: it is asked again later.
    Later(Failure),
    /// It is away: the call stays due.
    Away(Failure),
}

#[derive(Clone, Debug)]
pub struct Settlement {
    pub call: TakenCall,
    pub asked: Asked,
}

impl Settlement {
    pub const fn of(call: TakenCall, reply: GatewayReply) -> Self {
        Self { call, asked: Asked::Answered(reply) }
    }
}

/// Applies what came of calls in one transaction: states, events, ledger, the ends of these calls and the next calls. A
/// reply to a finished call changes nothing, so one that comes twice is applied once. Returns for each whether its call
/// is finished or put off. If the database fails, or a payment waits for no such reply, nothing is changed, and each
/// must be tried by itself.
pub async fn settle(conn: &mut AsyncPgConnection, settlements: &[Settlement]) -> Result<Vec<Performed>, ReactionError> {
    conn.transaction(async |conn| settle_in(conn, settlements).await).await
}

/// Like [`settle`], but fails with a lock timeout if a payment stays locked for longer than a moment.
pub async fn settle_unless_locked(
    conn: &mut AsyncPgConnection,
    settlements: &[Settlement],
) -> Result<Vec<Performed>, ReactionError> {
    conn.transaction(async |conn| {
        locks::wait_briefly(conn).await?;
        settle_in(conn, settlements).await
    })
    .await
}

async fn settle_in(conn: &mut AsyncPgConnection, settlements: &[Settlement]) -> Result<Vec<Performed>, ReactionError> {
    let mut loaded = store::load(conn, settlements.iter().map(|settlement| settlement.call.order_id)).await?;
    let performed = settlements.iter().map(|settlement| decide(&mut loaded, settlement)).collect::<Result<_, _>>()?;
    store::save(conn, loaded).await?;
    Ok(performed)
}

fn decide(loaded: &mut Loaded, Settlement { call, asked }: &Settlement) -> Result<Performed, ReactionError> {
    if loaded.unfinished_call(call.order_id)? != Some(&call.key) {
        return Ok(Performed::Done);
    }
    let (answer, failure) = match asked.clone() {
        Asked::Answered(answer) => (answer, Failure { code: "under_way", text: "it goes on".to_owned() }),
        Asked::Unanswered(failure) => (GatewayReply::Nothing, failure),
        Asked::Later(failure) => {
            loaded.put_off_call(PutOff::later(call, failure));
            return Ok(Performed::PutOff);
        }
        Asked::Away(failure) => {
            loaded.put_off_call(PutOff::put_back(call, failure));
            return Ok(Performed::PutOff);
        }
    };
    let mut payment = loaded.payment(call.order_id)?.clone();
    let (step, outcome) = answered(&mut payment, call.call, answer).map_err(ReactionError::permanent)?;
    loaded.apply_answer(payment, step, &call.causation, outcome)?;
    if outcome.is_none() {
        loaded.put_off_call(PutOff::later(call, failure));
        return Ok(Performed::PutOff);
    }
    Ok(if loaded.unfinished_call(call.order_id)?.is_some() { Performed::Done } else { Performed::Last })
}

/// Applies the gateway's reply to the payment's unfinished call. Returns the outcome with which the call ends; none
/// while it goes on. Refused if the state waits for no such reply.
pub fn answered(
    payment: &mut Payment,
    call: Call,
    reply: GatewayReply,
) -> Result<(Transition, Option<&'static str>), Refused> {
    let outcome = outcome(&reply);
    let step = payment.answered(call, reply)?;
    // the goods were given back during the look-up, so the intent must still be ended
    let goes_on = outcome == Some(AFTER_ALL) && payment.state == State::Closing;
    Ok((step, outcome.filter(|_| !goes_on)))
}

const AFTER_ALL: &str = "authorised_after_all";

const fn outcome(reply: &GatewayReply) -> Option<&'static str> {
    match reply {
        GatewayReply::Done => Some("done"),
        GatewayReply::No { .. } => Some("refused"),
        GatewayReply::NotNow { .. } => Some("refused_for_now"),
        GatewayReply::ActionRequired { .. } => Some("action_required"),
        GatewayReply::ActionFailed { .. } => Some("action_failed"),
        GatewayReply::NotAsked => Some("not_asked"),
        GatewayReply::LetGo => Some("let_go"),
        GatewayReply::Overtaken { .. } => Some("overtaken"),
        GatewayReply::CapturedElsewhere { .. } => Some("captured_elsewhere"),
        GatewayReply::PartGivenBack { .. } => Some("part_given_back"),
        GatewayReply::AuthorisedAfterAll => Some(AFTER_ALL),
        GatewayReply::Nothing => None,
    }
}
