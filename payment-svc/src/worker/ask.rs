//! How the gateway is asked. A call that was taken before may have been made before, so it begins with a look-up; what
//! the gateway does not answer is nobody's to guess.

use chrono::{DateTime, Utc};
use diesel_async::{AsyncConnection, pooled_connection::deadpool::PoolError};
use service_kit::{Pool, consumer::ReactionError};
use shared_events::{EventId, Money, OrderId, PAYMENT_METHOD_UNKNOWN, PAYMENT_REQUEST_INVALID, RefundId};

use super::GatewayCalls;
use crate::commands::enter_given_back;
use crate::domain::{CAPTURED_IN_PART, Call, GatewayReply, Payment, State};
use crate::gateway::{
    GatewayError, IntentState, NewIntent, NewRefund, PaymentGateway, RefundOutcome, action_failed, may_pass,
};
use crate::store::calls::{Failure, TakenCall};
use crate::store::payments::{self, Noted};
use crate::store::refunds;

/// Why a call is to be tried again later.
#[derive(Debug)]
pub struct Later {
    pub failure: Failure,
    /// Whether the gateway was asked for something that it may have done, so that nobody knows, which is announced.
    pub unanswered: bool,
}

impl Later {
    /// `code` is one of few, for people and metrics.
    pub(super) const fn new(code: &'static str, text: String) -> Self {
        Self { failure: Failure { code, text }, unanswered: false }
    }

    fn here(why: impl ToString) -> Self {
        Self::new("payment_svc", why.to_string())
    }

    fn unanswered(error: &GatewayError) -> Self {
        Self { failure: Failure { code: error.code(), text: error.to_string() }, unanswered: true }
    }
}

impl From<ReactionError> for Later {
    fn from(error: ReactionError) -> Self {
        Self::new("database", error.to_string())
    }
}

impl From<PoolError> for Later {
    fn from(error: PoolError) -> Self {
        Self::new("database", error.to_string())
    }
}

impl From<diesel::result::Error> for Later {
    fn from(error: diesel::result::Error) -> Self {
        ReactionError::from(error).into()
    }
}

impl From<GatewayError> for Later {
    fn from(error: GatewayError) -> Self {
        Self::new(error.code(), error.to_string())
    }
}

type Asked = Result<GatewayReply, Later>;

fn no(code: impl Into<String>) -> Asked {
    Ok(GatewayReply::No { code: code.into() })
}

/// The request was wrong, not the card: asking again would not help.
fn misused(call: &TakenCall, code: &str, parameter: Option<&str>) -> Asked {
    let order = call.order_id;
    tracing::error!(order.id = %order, code, parameter, "the gateway refuses the request: a mistake of the shop's, not of a card");
    let is_method = code == "resource_missing" && parameter == Some("payment_method");
    no(if is_method { PAYMENT_METHOD_UNKNOWN } else { PAYMENT_REQUEST_INVALID })
}

fn declined(code: String) -> Asked {
    Ok(match code {
        code if action_failed(&code) => GatewayReply::ActionFailed { code },
        code if may_pass(&code) => GatewayReply::NotNow { code },
        code => GatewayReply::No { code },
    })
}

impl<G: PaymentGateway> GatewayCalls<G> {
    pub(super) async fn ask(&self, call: &TakenCall) -> Asked {
        let made_before = call.tries > 1;
        match (call.call, call.payment.intent.clone()) {
            (Call::Authorise, intent) => self.authorise(call, intent, made_before).await,
            (Call::Capture, Some(intent)) => self.capture(call, intent, made_before).await,
            (Call::Void, Some(intent)) => self.void(call, intent, made_before).await,
            (Call::Refund(id), Some(intent)) => self.refund(call, id, intent, made_before).await,
            (_, None) => Err(Later::here("the payment has no intent")),
        }
    }

    async fn authorise(&self, call: &TakenCall, intent: Option<String>, again: bool) -> Asked {
        let payment = &call.payment;
        let made_before = again && intent.is_some();
        let intent = match intent {
            Some(intent) => intent,
            // An intent that was perhaps made but never confirmed holds nothing.
            None if !payment.may_authorise(call.taken_at) => return Ok(GatewayReply::NotAsked),
            None => match self.create(payment).await {
                Ok(intent) => intent,
                Err(GatewayError::Refused { code }) => return no(code),
                Err(GatewayError::Misused { code, parameter }) => return misused(call, &code, parameter.as_deref()),
                Err(error) => return Err(error.into()),
            },
        };
        if made_before {
            match self.gateway.look_up(intent.clone()).await? {
                IntentState::NotConfirmed => {}
                // Of this attempt or of the one before: only the key tells, whose answer is repeated. Where the customer
                // failed there is no next attempt, so that is of this one.
                IntentState::Declined { code } if payment.attempts > 1 && !action_failed(&code) => {}
                state => return authorised(state),
            }
        }
        // Looked at right before the gateway is called: the hold may have passed, or the goods been given back.
        let (payment, now) = self.noted(payment, &intent).await?;
        if !payment.may_authorise(now) {
            return self.stop(&payment, intent).await;
        }
        let Some(charge) = &payment.charge else { return Err(Later::here("the payment has no charge")) };
        match self.gateway.confirm(call.key.clone(), intent.clone(), charge.method.clone()).await {
            Ok(state) => authorised(state),
            Err(GatewayError::Refused { code }) => declined(code),
            Err(GatewayError::Misused { code, parameter }) => misused(call, &code, parameter.as_deref()),
            Err(GatewayError::MovedOn) => authorised(self.gateway.look_up(intent).await?),
            Err(error @ GatewayError::NoAnswer(_)) => Err(Later::unanswered(&error)),
            Err(error @ (GatewayError::Away(_) | GatewayError::NotDone(_) | GatewayError::Unknown)) => {
                Err(error.into())
            }
        }
    }

    /// Keeps the intent before it is confirmed, and tells what is known of the payment then.
    async fn noted(&self, payment: &Payment, intent: &str) -> Result<(Payment, DateTime<Utc>), Later> {
        let kept = (payment.order_id, intent.to_owned());
        let noted = self.noting.join(kept, |intents| note(self.pool.clone(), intents)).await;
        let Noted { hold, void_requested, at } =
            noted.map_err(Later::here)?.map_err(|why| Later::new("database", why))?;
        Ok((Payment { intent: Some(intent.to_owned()), hold, void_requested, ..payment.clone() }, at))
    }

    async fn create(&self, payment: &Payment) -> Result<String, GatewayError> {
        let Some(charge) = &payment.charge else {
            return Err(GatewayError::NotDone("the payment has no charge".to_owned()));
        };
        let (order_id, amount, method) = (payment.order_id, charge.amount, charge.method.clone());
        self.gateway.create(payment.key_of("create"), NewIntent { order_id, amount, method }).await
    }

    /// Ends the intent. The gateway keeps a refusal with its key and repeats it though the intent has moved on since, so the
    /// next try has another key. After silence the key stays: it may have been done.
    async fn cancel(&self, payment: &Payment, intent: String) -> Result<Result<IntentState, GatewayError>, Later> {
        let answer = self.gateway.cancel(payment.key(Call::Void), intent).await;
        let is_kept = |error: &GatewayError| match error {
            GatewayError::MovedOn | GatewayError::Refused { .. } | GatewayError::Misused { .. } => true,
            GatewayError::Unknown | GatewayError::Away(_) | GatewayError::NotDone(_) | GatewayError::NoAnswer(_) => {
                false
            }
        };
        if answer.as_ref().is_err_and(is_kept) {
            payments::note_void_refusal(&mut *self.pool.get().await?, payment).await?;
        }
        Ok(answer)
    }

    /// Makes sure that nothing is authorised later by a confirmation that may still be on its way.
    async fn stop(&self, payment: &Payment, intent: String) -> Asked {
        match self.cancel(payment, intent.clone()).await? {
            Ok(IntentState::Cancelled { let_go: true }) => Ok(GatewayReply::LetGo),
            Ok(_) => Ok(GatewayReply::NotAsked),
            Err(GatewayError::MovedOn) => authorised(self.gateway.look_up(intent).await?),
            Err(error) => Err(error.into()),
        }
    }

    async fn capture(&self, call: &TakenCall, intent: String, made_before: bool) -> Asked {
        if made_before {
            match self.gateway.look_up(intent.clone()).await? {
                IntentState::Authorised => {}
                state => return captured(state),
            }
        }
        match self.gateway.capture(call.key.clone(), intent.clone()).await {
            Ok(state) => captured(state),
            Err(GatewayError::Refused { code } | GatewayError::Misused { code, .. }) => no(code),
            Err(GatewayError::MovedOn) => captured(self.gateway.look_up(intent).await?),
            Err(error @ GatewayError::NoAnswer(_)) => Err(Later::unanswered(&error)),
            Err(error @ (GatewayError::Away(_) | GatewayError::NotDone(_) | GatewayError::Unknown)) => {
                Err(error.into())
            }
        }
    }

    async fn void(&self, call: &TakenCall, intent: String, made_before: bool) -> Asked {
        let payment = &call.payment;
        // What was authorised is in the ledger; where nothing was awaited any more, it may have come unheard.
        let ended = |let_go: bool| {
            if let_go && payment.state == State::Closing { GatewayReply::LetGo } else { GatewayReply::Done }
        };
        // A customer who has failed, or was late, may have acted after all: that is looked up before their intent is ended.
        let is_awaited = payment.state == State::Closing && !payment.void_requested;
        if made_before || is_awaited {
            match self.gateway.look_up(intent.clone()).await? {
                IntentState::Cancelled { let_go } => return Ok(ended(let_go)),
                state if is_awaited && has_money(&state) => return Ok(GatewayReply::AuthorisedAfterAll),
                // It refuses to end what it is at work on.
                IntentState::Processing => {
                    return Err(Later::new("under_way", "the gateway is at work on the intent".to_owned()));
                }
                _ => {}
            }
        }
        match self.cancel(payment, intent.clone()).await? {
            Ok(IntentState::Cancelled { let_go }) => Ok(ended(let_go)),
            Ok(state) => Err(Later::here(format!("can't be voided: {state:?}"))),
            Err(GatewayError::MovedOn) => match self.gateway.look_up(intent.clone()).await? {
                IntentState::Cancelled { let_go } => Ok(ended(let_go)),
                IntentState::Captured => {
                    let cause = call.causation.event.unwrap_or(EventId(payment.id.0));
                    Ok(GatewayReply::CapturedElsewhere { refund: RefundId::caused_by(cause) })
                }
                IntentState::CapturedInPart { amount } => self.give_part_back(call, payment, intent, amount).await,
                state => Err(Later::here(format!("can't be voided: {state:?}"))),
            },
            Err(error @ GatewayError::NoAnswer(_)) => Err(Later::unanswered(&error)),
            Err(error) => Err(error.into()),
        }
    }

    /// Refunds what is left of what somebody captured in part; they may have refunded some of it themselves.
    async fn give_part_back(&self, call: &TakenCall, payment: &Payment, intent: String, captured: i64) -> Asked {
        let Some(charge) = &payment.charge else { return Err(Later::here("the payment has no charge")) };
        let money = |amount| Money::new(amount, charge.amount.currency()).map_err(Later::here);
        let id = RefundId::caused_by(call.causation.event.unwrap_or(EventId(payment.id.0)));
        let mut given = self.gateway.given_back(intent.clone()).await?;
        given.retain(|given| given.failed.is_none());
        let left = captured.saturating_sub(given.iter().map(|given| given.amount).sum());
        let made = given.iter().find(|given| given.ours == Some(id)).map(|given| given.amount);
        let refund = match made {
            Some(amount) => Some((id, money(amount)?)),
            None if left <= 0 => None,
            None => {
                let amount = money(left)?;
                match self.gateway.refund(format!("{id}:{left}"), NewRefund { id, intent, amount }).await {
                    Ok(RefundOutcome::Accepted { .. }) => Some((id, amount)),
                    Ok(RefundOutcome::Failed { code }) => {
                        return Err(Later::here(format!("what was captured in part can't be given back: {code}")));
                    }
                    Err(error @ GatewayError::NoAnswer(_)) => return Err(Later::unanswered(&error)),
                    Err(error) => return Err(error.into()),
                }
            }
        };
        Ok(GatewayReply::PartGivenBack { captured: money(captured)?, refund })
    }

    async fn refund(&self, call: &TakenCall, id: RefundId, intent: String, made_before: bool) -> Asked {
        if made_before && let Some(outcome) = self.gateway.look_up_refund(intent.clone(), id).await? {
            return self.refunded(id, outcome).await;
        }
        let refund = call.payment.refunds.iter().find(|refund| refund.id == id);
        let amount =
            refund.map(|refund| refund.amount).ok_or_else(|| Later::here(format!("refund {id} is not there")))?;
        let intent_asked = intent.clone();
        match self.gateway.refund(call.key.clone(), NewRefund { id, intent, amount }).await {
            Ok(outcome) => self.refunded(id, outcome).await,
            Err(GatewayError::Refused { code } | GatewayError::Misused { code, .. }) => {
                self.refund_refused(call, intent_asked, code).await
            }
            Err(error @ GatewayError::NoAnswer(_)) => Err(Later::unanswered(&error)),
            Err(error) => Err(error.into()),
        }
    }

    /// More may have gone back than is known here: in the gateway's dashboard, or by a dispute.
    async fn refund_refused(&self, call: &TakenCall, intent: String, code: String) -> Asked {
        let found = self.gateway.given_back(intent).await?;
        let mut conn = self.pool.get().await?;
        // What has failed since is taken back first; what is not known yet waits for the answer to this call.
        let elsewhere = conn.transaction(async |conn| enter_given_back(conn, call.order_id, &found).await).await?;
        Ok(if elsewhere.is_empty() { GatewayReply::No { code } } else { GatewayReply::Overtaken { code, elsewhere } })
    }

    /// Keeps the gateway's name for the refund, for whoever looks for it there.
    async fn refunded(&self, id: RefundId, outcome: RefundOutcome) -> Asked {
        match outcome {
            RefundOutcome::Accepted { id: gateway_id } => {
                let mut conn = self.pool.get().await?;
                refunds::note_refund(&mut conn, id, &gateway_id).await?;
                Ok(GatewayReply::Done)
            }
            RefundOutcome::Failed { code } => no(code),
        }
    }
}

/// Keeps the intents of concurrent calls with one statement.
async fn note(pool: Pool, intents: Vec<(OrderId, String)>) -> Vec<Result<Noted, String>> {
    let noted = async { Ok::<_, ReactionError>(payments::note_intents(&mut *pool.get().await?, &intents).await?) };
    let noted = noted.await.map_err(|error| error.to_string());
    let of = |(order, _): &(OrderId, String)| {
        noted.clone().and_then(|noted| noted.get(order).cloned().ok_or_else(|| format!("order {order} has no payment")))
    };
    intents.iter().map(of).collect()
}

const fn has_money(state: &IntentState) -> bool {
    matches!(state, IntentState::Authorised | IntentState::Captured | IntentState::CapturedInPart { .. })
}

fn authorised(state: IntentState) -> Asked {
    match state {
        // What was captured in part is found by the capture that follows, and not announced.
        IntentState::Authorised | IntentState::Captured | IntentState::CapturedInPart { .. } => Ok(GatewayReply::Done),
        IntentState::Declined { code } => declined(code),
        IntentState::ActionRequired { url } => Ok(GatewayReply::ActionRequired { url }),
        IntentState::Cancelled { let_go: true } => Ok(GatewayReply::LetGo),
        IntentState::Cancelled { let_go: false } => Ok(GatewayReply::NotAsked),
        IntentState::Processing | IntentState::NotConfirmed => Ok(GatewayReply::Nothing),
    }
}

fn captured(state: IntentState) -> Asked {
    match state {
        IntentState::Captured => Ok(GatewayReply::Done),
        IntentState::CapturedInPart { .. } => no(CAPTURED_IN_PART),
        IntentState::Cancelled { .. } => no("canceled"),
        IntentState::Declined { code } => no(code),
        IntentState::Processing
        | IntentState::Authorised
        | IntentState::NotConfirmed
        | IntentState::ActionRequired { .. } => Ok(GatewayReply::Nothing),
    }
}
