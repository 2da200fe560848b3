//! What is waited for between calls: a bank that may say yes later, and a customer who has to act.

use std::time::Duration;

use chrono::{DateTime, Utc};
use shared_events::{AUTHENTICATION_TIMEOUT, Money, PaymentDeclined, PaymentEvent};

use super::{Call, GatewayReply, Payment, Refused, State, Transition};

/// How long after each decline that may pass the bank is asked again. The decline after the last of them is final.
const RETRIES: [Duration; 2] = [Duration::from_secs(30), Duration::from_secs(120)];

impl Payment {
    /// A decline that may pass: tried again while the hold lives. It is final if the goods were given back, if nothing
    /// may be authorised any more, or after enough tries.
    pub(super) fn declined_for_now(&mut self, code: String) -> Transition {
        let (order_id, payment_id) = (self.order_id, self.id);
        let tried = usize::try_from(self.attempts).ok().and_then(|attempts| attempts.checked_sub(1));
        match tried.and_then(|tried| RETRIES.get(tried)) {
            Some(wait) if !self.void_requested && !self.hold.expired => {
                self.state = State::WaitingToRetry;
                self.failure_code = Some(code.clone());
                let declined = PaymentDeclined { order_id, payment_id, code, retryable: true };
                Transition { retry_in: Some(*wait), ..Transition::say(PaymentEvent::Declined(declined)) }
            }
            _ => self.declined(code),
        }
    }

    /// A retry is due: a new attempt, unless the hold has ended. Refused if it waits for no retry, or if nothing may be
    /// authorised any more: `stock.released` will end it.
    pub fn retry(&mut self) -> Result<Transition, Refused> {
        if self.state != State::WaitingToRetry || self.hold.expired || self.void_requested {
            return Err(self.refused("authorise again"));
        }
        Ok(self.attempt())
    }

    /// The customer has acted, and the bank has reserved the money. If this comes before the gateway's reply that they
    /// have to act, it counts as that reply. Refused if nobody awaits it: the intent is being ended, which lets go of
    /// the money, or it was known.
    pub fn action_done(&mut self) -> Result<Transition, Refused> {
        match (&self.charge, self.state) {
            (Some(charge), State::ActionRequired) => {
                let amount = charge.amount;
                Ok(self.authorised(amount))
            }
            (_, State::Authorizing) => {
                let step = self.answered(Call::Authorise, GatewayReply::Done)?;
                Ok(Transition { finishes: Some(Call::Authorise), ..step })
            }
            _ => Err(self.refused("wait for the customer")),
        }
    }

    /// The customer has failed. It is declined only after the intent is ended, since until then they could try again.
    /// If this comes before the gateway's reply that they have to act, it counts as that reply. Refused if nobody
    /// awaits it.
    pub fn action_failed(&mut self, code: String) -> Result<Transition, Refused> {
        match self.state {
            State::ActionRequired => {
                self.failure_code = Some(code);
                Ok(self.close())
            }
            State::Authorizing => {
                let step = self.answered(Call::Authorise, GatewayReply::ActionFailed { code })?;
                Ok(Transition { finishes: Some(Call::Authorise), ..step })
            }
            _ => Err(self.refused("wait for the customer")),
        }
    }

    /// The payment's deadline has passed, and the gateway, asked just now, still waits for the customer. The intent is
    /// ended a while before the hold is, so that the order ends with this reason and not as a timeout. Refused if
    /// nobody waits for the customer, or if there is time left.
    pub fn action_timed_out(&mut self, now: DateTime<Utc>) -> Result<Transition, Refused> {
        let is_late = self.hold.deadline.is_some_and(|deadline| now >= deadline);
        if self.state != State::ActionRequired || !is_late {
            return Err(self.refused("give its customer up"));
        }
        self.failure_code = Some(AUTHENTICATION_TIMEOUT.to_owned());
        Ok(self.close())
    }

    /// The look-up before the intent was to be ended shows that its customer had acted. That is a sale, unless the
    /// goods were given back meanwhile; then the call goes on, and lets go of the money.
    pub(super) fn authorised_after_all(&mut self, amount: Money) -> Transition {
        if self.void_requested {
            return Transition::nothing();
        }
        self.failure_code = None;
        self.authorised(amount)
    }

    /// Ends an intent with which nothing was authorised, as far as is known.
    pub(super) fn close(&mut self) -> Transition {
        self.state = State::Closing;
        Transition::ask(Call::Void)
    }

    /// The intent is ended: undone, or declined for good.
    pub(super) fn closed(&mut self) -> Transition {
        if self.void_requested {
            return self.never_started();
        }
        let code = self.failure_code.clone().unwrap_or_default();
        self.declined(code)
    }
}
