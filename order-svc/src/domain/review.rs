//! Staff hold a pending order for review, so that it is not confirmed before they have looked at it.

use chrono::{DateTime, Utc};
use serde::{Deserialize, Serialize};
use shared_events::{Event, LineText, OrderHeld, OrderReleased};

use super::Status;
use super::state_machine::{Progress, Refused, Transition};

/// What staff have to do with a pending order before it is confirmed.
#[derive(Clone, Debug, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Review {
    /// It is not confirmed before they release it.
    Held { reason: LineText, since: DateTime<Utc> },
    /// They have released it.
    Released,
}

impl Progress {
    /// Staff hold a pending order for review: until they release it, it is not confirmed. What is read meanwhile is kept.
    /// Repeating the request changes nothing. Refused as [`Refused::HeldOtherwise`] if they hold it for another reason, and
    /// as [`Refused::TooLateToHold`] once it is confirmed or is ending.
    pub fn hold(mut self, reason: LineText, at: DateTime<Utc>) -> Result<Transition, Refused> {
        match (self.status, &self.facts.review) {
            (Status::Pending, Some(Review::Held { reason: first, .. })) if *first == reason => Ok((self, vec![])),
            (Status::Pending, Some(Review::Held { .. })) => Err(Refused::HeldOtherwise),
            (Status::Pending, _) => {
                self.facts.review = Some(Review::Held { reason, since: at });
                let held = OrderHeld { order_id: self.order_id };
                Ok((self, vec![held.into()]))
            }
            (status, _) => Err(Refused::TooLateToHold(status)),
        }
    }

    /// Staff release an order that they hold. It is confirmed if its money is there, also if its reservation has expired:
    /// stock-svc reserves again then, or rejects. Repeating the request changes nothing. Refused as [`Refused::NotHeld`]
    /// if they don't hold it.
    pub fn release(mut self) -> Result<Transition, Refused> {
        match self.facts.review {
            Some(Review::Held { .. }) => {
                self.facts.review = Some(Review::Released);
                let mut events: Vec<Event> = vec![OrderReleased { order_id: self.order_id }.into()];
                if self.status == Status::Pending && self.facts.money_is_there() {
                    events.extend(self.confirm());
                }
                Ok((self, events))
            }
            Some(Review::Released) if !matches!(self.status, Status::Cancelling(_) | Status::Cancelled(_)) => {
                Ok((self, vec![]))
            }
            Some(Review::Released) | None => Err(Refused::NotHeld(self.status)),
        }
    }

    /// Whether nothing but the review of staff keeps the order from being confirmed.
    pub(super) fn waits_for_review(&self) -> bool {
        self.status == Status::Pending && self.facts.is_held() && self.facts.money_is_there()
    }

    /// There is nothing to review of an order that is ending. What staff said of it, which may name a person, stands in its
    /// notes alone.
    pub(super) fn end_review(&mut self) {
        self.facts.review.take_if(|review| matches!(review, Review::Held { .. }));
    }
}
