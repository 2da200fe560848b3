//! The gateway's replies and what follows. A reply is applied once: under the payment's lock, to the unfinished call.

use shared_events::{
    Money, PaymentActionRequired, PaymentAuthorized, PaymentCaptureFailed, PaymentCaptured, PaymentDeclined,
    PaymentEvent, PaymentRefundFailed, PaymentRefunded, PaymentUnknown, RefundId,
};

use super::{Call, Elsewhere, Payment, RefundState, Refused, State, Transition};

#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub enum GatewayReply {
    /// It did what was asked.
    Done,
    /// It said no, for good.
    No {
        /// Its code, such as `insufficient_funds`.
        code: String,
    },
    /// The bank said no, but may say yes later.
    NotNow { code: String },
    /// The customer has to act first.
    ActionRequired {
        /// Where they do that, if the gateway gives an address.
        url: Option<String>,
    },
    /// The customer had to act, which was not known here, and failed. They may try again until the intent is ended.
    ActionFailed { code: String },
    /// It was not asked, or surely holds nothing: the deadline had passed or the goods were given back first.
    NotAsked,
    /// The intent was ended, and with it an authorisation that had just come and was not known here.
    LetGo,
    /// It refused a refund because it had given back money that was not known here.
    Overtaken {
        code: String,
        /// What it had given back, the earliest first.
        elsewhere: Vec<Elsewhere>,
    },
    /// The money to be let go of was captured by somebody else.
    CapturedElsewhere {
        /// The id of the refund, should one be needed.
        refund: RefundId,
    },
    /// Somebody else had captured a part of the money to be let go of. That part has gone back, the rest was let go of.
    PartGivenBack {
        captured: Money,
        /// The refund made now, with its amount; none if somebody else had refunded all of it.
        refund: Option<(RefundId, Money)>,
    },
    /// The intent was to be ended, but its customer had acted before: the money is reserved and the intent stays as it
    /// is.
    AuthorisedAfterAll,
    /// It did not reply, so nobody knows; it will be looked up.
    Nothing,
}

impl Transition {
    /// It was authorised and let go of before that was known here.
    fn let_go(self, amount: Money) -> Self {
        self.moved(Call::Authorise, amount).moved(Call::Void, amount)
    }
}

impl Payment {
    /// Applies a reply to the unfinished call. Refused if the payment isn't waiting for such a reply.
    pub fn answered(&mut self, call: Call, reply: GatewayReply) -> Result<Transition, Refused> {
        if reply == GatewayReply::Nothing {
            return Ok(self.unknown(call));
        }
        let step = match (call, self.state) {
            (Call::Void, State::Voiding | State::Closing) if let GatewayReply::CapturedElsewhere { refund } = reply => {
                let amount = self.amount()?;
                Ok(self.captured_instead_of_let_go(refund, amount))
            }
            (Call::Void, State::Voiding | State::Closing)
                if let GatewayReply::PartGivenBack { captured, refund } = reply =>
            {
                let amount = self.amount()?;
                self.part_given_back(amount, captured, refund)
            }
            (Call::Authorise, State::Authorizing) => self.authorisation_answered(reply),
            (Call::Capture, State::Capturing) => self.capture_answered(reply),
            (Call::Void, State::Voiding) if reply == GatewayReply::Done => Ok(self.void_done()),
            (Call::Void, State::Closing) if reply == GatewayReply::Done => Ok(self.closed()),
            (Call::Void, State::Closing) if reply == GatewayReply::LetGo => {
                let amount = self.amount()?;
                Ok(self.closed().let_go(amount))
            }
            (Call::Void, State::Closing) if reply == GatewayReply::AuthorisedAfterAll => {
                let amount = self.amount()?;
                Ok(self.authorised_after_all(amount))
            }
            (Call::Refund(id), State::Captured) => match reply {
                GatewayReply::Overtaken { code, elsewhere } => self.overtaken(id, code, &elsewhere),
                reply => self.refund_answered(id, reply),
            },
            _ => Err(self.refused("take this reply")),
        }?;
        self.unanswered = false;
        Ok(step)
    }

    /// Announces, once a call, that its outcome is unknown.
    fn unknown(&mut self, call: Call) -> Transition {
        if std::mem::replace(&mut self.unanswered, true) {
            return Transition::nothing();
        }
        let (order_id, payment_id, operation) = (self.order_id, self.id, call.operation());
        Transition::say(PaymentEvent::Unknown(PaymentUnknown { order_id, payment_id, operation }))
    }

    fn amount(&self) -> Result<Money, Refused> {
        self.charge.as_ref().map(|charge| charge.amount).ok_or_else(|| self.refused("take this reply"))
    }

    fn authorisation_answered(&mut self, reply: GatewayReply) -> Result<Transition, Refused> {
        let (order_id, payment_id, amount) = (self.order_id, self.id, self.amount()?);
        match reply {
            // Nobody awaits it any more: voided, never announced.
            GatewayReply::Done if self.void_requested => Ok(self.void().moved(Call::Authorise, amount)),
            GatewayReply::Done => Ok(self.authorised(amount)),
            GatewayReply::No { code } => Ok(self.declined(code)),
            GatewayReply::NotNow { code } => Ok(self.declined_for_now(code)),
            GatewayReply::ActionRequired { .. } if self.void_requested => Ok(self.close()),
            GatewayReply::ActionRequired { url } => {
                self.state = State::ActionRequired;
                let wanted = PaymentActionRequired { order_id, payment_id, deadline: self.hold.deadline, url };
                Ok(Transition::say(PaymentEvent::ActionRequired(wanted)))
            }
            GatewayReply::ActionFailed { code } => {
                self.failure_code = Some(code);
                Ok(self.close())
            }
            GatewayReply::NotAsked => Ok(self.not_asked()),
            GatewayReply::LetGo => Ok(self.not_asked().let_go(amount)),
            GatewayReply::AuthorisedAfterAll
            | GatewayReply::Nothing
            | GatewayReply::Overtaken { .. }
            | GatewayReply::PartGivenBack { .. }
            | GatewayReply::CapturedElsewhere { .. } => Err(self.refused("take this reply")),
        }
    }

    fn not_asked(&mut self) -> Transition {
        if self.void_requested {
            return self.never_started();
        }
        self.state = State::New;
        self.hold.expired = true;
        Transition::nothing()
    }

    pub(super) fn authorised(&mut self, amount: Money) -> Transition {
        let (order_id, payment_id) = (self.order_id, self.id);
        self.state = State::Authorized;
        let authorized = PaymentAuthorized { order_id, payment_id, amount };
        Transition::say(PaymentEvent::Authorized(authorized)).moved(Call::Authorise, amount)
    }

    pub(super) fn declined(&mut self, code: String) -> Transition {
        let (order_id, payment_id) = (self.order_id, self.id);
        self.state = State::Declined;
        self.failure_code = Some(code.clone());
        Transition::say(PaymentEvent::Declined(PaymentDeclined { order_id, payment_id, code, retryable: false }))
    }

    fn capture_answered(&mut self, reply: GatewayReply) -> Result<Transition, Refused> {
        let (order_id, payment_id, amount) = (self.order_id, self.id, self.amount()?);
        match reply {
            GatewayReply::Done => {
                self.state = State::Captured;
                let captured = PaymentEvent::Captured(PaymentCaptured { order_id, payment_id, amount });
                Ok(Transition::say(captured).moved(Call::Capture, amount).then(self.next_refund()))
            }
            GatewayReply::No { code } => {
                self.drop_queued_refunds();
                self.failure_code = Some(code.clone());
                if self.void_requested {
                    return Ok(self.void());
                }
                self.state = State::CaptureFailed;
                let failed = PaymentCaptureFailed { order_id, payment_id, code };
                Ok(Transition::say(PaymentEvent::CaptureFailed(failed)))
            }
            _ => Err(self.refused("take this reply")),
        }
    }

    fn void_done(&mut self) -> Transition {
        self.state = State::Voided;
        let amount = self.charge.as_ref().map(|charge| charge.amount);
        let voided = |amount| Transition::say(self.voided(amount)).moved(Call::Void, amount);
        amount.map_or_else(Transition::nothing, voided)
    }

    pub(super) fn refund_answered(&mut self, id: RefundId, reply: GatewayReply) -> Result<Transition, Refused> {
        let not_waiting = self.refused("take this reply");
        let waiting = |refund: &&mut super::Refund| refund.id == id && refund.state == RefundState::Calling;
        let refund = self.refunds.iter_mut().find(waiting).ok_or_else(|| not_waiting.clone())?;
        let amount = refund.amount;
        let done = reply == GatewayReply::Done;
        let (order_id, payment_id, refund_id) = (self.order_id, self.id, id);
        let event = match reply {
            GatewayReply::Done => {
                refund.state = RefundState::Done;
                let remaining = self.unrefunded().ok_or(not_waiting)?;
                PaymentEvent::Refunded(PaymentRefunded { order_id, payment_id, refund_id, amount, remaining })
            }
            GatewayReply::No { code } => {
                refund.state = RefundState::Failed;
                PaymentEvent::RefundFailed(PaymentRefundFailed { order_id, payment_id, refund_id, amount, code })
            }
            _ => return Err(not_waiting),
        };
        let step = Transition::say(event).then(self.next_refund());
        Ok(if done { step.moved(Call::Refund(id), amount) } else { step })
    }
}
