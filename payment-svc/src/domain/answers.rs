//! The gateway's replies and what follows. A reply is applied once: under the payment's lock, to the unfinished call.

use shared_events::{
    Money, PaymentActionRequired, PaymentAuthorized, PaymentCaptureFailed, PaymentCaptured, PaymentDeclined,
    PaymentEvent, PaymentRefundFailed, PaymentRefunded, PaymentUnknown, RefundId,
};

use super::{Call, Elsewhere, Payment, RefundState, Refused, State, Transition};

#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub enum Answer {
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
    /// It did not answer, so nobody knows; it will be looked up.
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
    pub fn answered(&mut self, call: Call, answer: Answer) -> Result<Transition, Refused> {
        if answer == Answer::Nothing {
            return Ok(self.unknown(call));
        }
        let step = match (call, self.state) {
            (Call::Void, State::Voiding | State::Closing) if let Answer::CapturedElsewhere { refund } = answer => {
                let amount = self.amount()?;
                Ok(self.captured_instead_of_let_go(refund, amount))
            }
            (Call::Void, State::Voiding | State::Closing)
                if let Answer::PartGivenBack { captured, refund } = answer =>
            {
                let amount = self.amount()?;
                self.part_given_back(amount, captured, refund)
            }
            (Call::Authorise, State::Authorizing) => self.authorisation_answered(answer),
            (Call::Capture, State::Capturing) => self.capture_answered(answer),
            (Call::Void, State::Voiding) if answer == Answer::Done => Ok(self.void_done()),
            (Call::Void, State::Closing) if answer == Answer::Done => Ok(self.closed()),
            (Call::Void, State::Closing) if answer == Answer::LetGo => {
                let amount = self.amount()?;
                Ok(self.closed().let_go(amount))
            }
            (Call::Void, State::Closing) if answer == Answer::AuthorisedAfterAll => {
                let amount = self.amount()?;
                Ok(self.authorised_after_all(amount))
            }
            (Call::Refund(id), State::Captured) => match answer {
                Answer::Overtaken { code, elsewhere } => self.overtaken(id, code, &elsewhere),
                answer => self.refund_answered(id, answer),
            },
            _ => Err(self.refused("take this answer")),
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
        self.charge.as_ref().map(|charge| charge.amount).ok_or_else(|| self.refused("take this answer"))
    }

    fn authorisation_answered(&mut self, answer: Answer) -> Result<Transition, Refused> {
        let (order_id, payment_id, amount) = (self.order_id, self.id, self.amount()?);
        match answer {
            // Nobody awaits it any more: voided, never announced.
            Answer::Done if self.void_requested => Ok(self.void().moved(Call::Authorise, amount)),
            Answer::Done => Ok(self.authorised(amount)),
            Answer::No { code } => Ok(self.declined(code)),
            Answer::NotNow { code } => Ok(self.declined_for_now(code)),
            Answer::ActionRequired { .. } if self.void_requested => Ok(self.close()),
            Answer::ActionRequired { url } => {
                self.state = State::ActionRequired;
                let wanted = PaymentActionRequired { order_id, payment_id, deadline: self.hold.deadline, url };
                Ok(Transition::say(PaymentEvent::ActionRequired(wanted)))
            }
            Answer::ActionFailed { code } => {
                self.failure_code = Some(code);
                Ok(self.close())
            }
            Answer::NotAsked => Ok(self.not_asked()),
            Answer::LetGo => Ok(self.not_asked().let_go(amount)),
            Answer::AuthorisedAfterAll
            | Answer::Nothing
            | Answer::Overtaken { .. }
            | Answer::PartGivenBack { .. }
            | Answer::CapturedElsewhere { .. } => Err(self.refused("take this answer")),
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

    fn capture_answered(&mut self, answer: Answer) -> Result<Transition, Refused> {
        let (order_id, payment_id, amount) = (self.order_id, self.id, self.amount()?);
        match answer {
            Answer::Done => {
                self.state = State::Captured;
                let captured = PaymentEvent::Captured(PaymentCaptured { order_id, payment_id, amount });
                Ok(Transition::say(captured).moved(Call::Capture, amount).then(self.next_refund()))
            }
            Answer::No { code } => {
                self.drop_queued_refunds();
                self.failure_code = Some(code.clone());
                if self.void_requested {
                    return Ok(self.void());
                }
                self.state = State::CaptureFailed;
                let failed = PaymentCaptureFailed { order_id, payment_id, code };
                Ok(Transition::say(PaymentEvent::CaptureFailed(failed)))
            }
            _ => Err(self.refused("take this answer")),
        }
    }

    fn void_done(&mut self) -> Transition {
        self.state = State::Voided;
        let amount = self.charge.as_ref().map(|charge| charge.amount);
        let voided = |amount| Transition::say(self.voided(amount)).moved(Call::Void, amount);
        amount.map_or_else(Transition::nothing, voided)
    }

    pub(super) fn refund_answered(&mut self, id: RefundId, answer: Answer) -> Result<Transition, Refused> {
        let not_waiting = self.refused("take this answer");
        let waiting = |refund: &&mut super::Refund| refund.id == id && refund.state == RefundState::Calling;
        let refund = self.refunds.iter_mut().find(waiting).ok_or_else(|| not_waiting.clone())?;
        let amount = refund.amount;
        let done = answer == Answer::Done;
        let (order_id, payment_id, refund_id) = (self.order_id, self.id, id);
        let event = match answer {
            Answer::Done => {
                refund.state = RefundState::Done;
                let remaining = self.unrefunded().ok_or(not_waiting)?;
                PaymentEvent::Refunded(PaymentRefunded { order_id, payment_id, refund_id, amount, remaining })
            }
            Answer::No { code } => {
                refund.state = RefundState::Failed;
                PaymentEvent::RefundFailed(PaymentRefundFailed { order_id, payment_id, refund_id, amount, code })
            }
            _ => return Err(not_waiting),
        };
        let step = Transition::say(event).then(self.next_refund());
        Ok(if done { step.moved(Call::Refund(id), amount) } else { step })
    }
}
