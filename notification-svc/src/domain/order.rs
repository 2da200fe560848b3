//! An order as its customer is told of it: whom to write to, and all its notifications. Decisions are made here, in
//! memory, while the order's root is locked.

use std::collections::BTreeMap;

use chrono::{DateTime, Utc};
use serde_json::Value;
use shared_events::{
    Event, NotificationFailed, NotificationId, NotificationSent, NotificationSuppressed, OrderId, OrderPlaced,
};
use uuid::Uuid;

use super::{CHANNEL, Letter, LetterContent, Status, Template, Templates, Verdict};

#[derive(Clone, PartialEq)]
pub struct Order {
    pub id: OrderId,
    /// None until `order.placed` is read, which events of other topics may overtake.
    pub customer: Option<Contact>,
    /// It is cancelling or cancelled, so no letter may promise any more that it goes on.
    pub ending: bool,
    /// The name that each SKU was ordered under. Empty if it wasn't needed and not loaded.
    pub line_names: BTreeMap<String, String>,
    pub notifications: Vec<Notification>,
}

#[derive(Clone, PartialEq, Eq)]
pub struct Contact {
    pub name: String,
    pub address: String,
}

#[derive(Clone, PartialEq)]
pub struct Notification {
    /// Also its Message-ID.
    pub id: NotificationId,
    /// By name: the row may be of a template that only a newer build has.
    pub template: String,
    pub origin: Origin,
    pub status: Status,
    pub attempts: i32,
    /// It is the order's next notification to send.
    pub ready: bool,
    /// What the letter will say, until it is known whom to write to.
    pub content: Option<Value>,
    /// The letter, if this transaction writes it.
    pub letter: Option<(Contact, Letter)>,
    /// What came of sending it, if this transaction records that.
    pub verdict: Option<Verdict>,
}

/// The event that a notification tells of.
#[derive(Clone, PartialEq, Eq)]
pub struct Origin {
    pub event_id: Uuid,
    pub happened_at: DateTime<Utc>,
    pub traceparent: Option<String>,
}

/// Why a letter can't be written. Trying again helps none of these.
#[derive(Debug, thiserror::Error)]
pub enum Unwritable {
    #[error("the template: {0}")]
    Template(#[from] minijinja::Error),
    #[error("the stored content: {0}")]
    Content(#[from] serde_json::Error),
}

impl Order {
    pub const fn unheard(id: OrderId) -> Self {
        Self { id, customer: None, ending: false, line_names: BTreeMap::new(), notifications: Vec::new() }
    }

    /// Keeps whom to write to and how the lines are called, and writes the letters that waited for it. What was kept
    /// first stays. If a waiting letter can't be written, it fails, and the order is to be dropped.
    pub fn introduce(&mut self, placed: &OrderPlaced, templates: &Templates) -> Result<(), Unwritable> {
        if self.customer.is_some() {
            return Ok(());
        }
        let customer =
            Contact { name: placed.customer.name.to_string(), address: placed.customer.email.as_str().to_owned() };
        self.line_names = placed.lines.iter().map(|line| (line.sku.to_string(), line.name.to_string())).collect();
        for waiting in &mut self.notifications {
            let Some(content) = waiting.content.take() else { continue };
            let content = serde_json::from_value::<LetterContent>(content)?.named(&self.line_names);
            waiting.letter = Some((customer.clone(), templates.write(self.id, &customer.name, &content)?));
        }
        self.customer = Some(customer);
        Ok(())
    }

    /// Queues the notification about an event; only its content while the customer isn't known. False if it was queued
    /// before. Fails, and changes nothing, if the letter can't be written.
    pub fn notify(
        &mut self,
        content: &LetterContent,
        origin: Origin,
        templates: &Templates,
    ) -> Result<bool, Unwritable> {
        let template = content.template().name();
        let is_this = |known: &Notification| known.template == template && known.origin.event_id == origin.event_id;
        if self.notifications.iter().any(is_this) {
            return Ok(false);
        }
        let (content, letter) = match &self.customer {
            Some(customer) => {
                let letter = templates.write(self.id, &customer.name, content)?;
                (None, Some((customer.clone(), letter)))
            }
            None => (Some(serde_json::to_value(content)?), None),
        };
        self.notifications.push(Notification {
            id: NotificationId::new(),
            template: template.to_owned(),
            origin,
            status: Status::Queued,
            attempts: 0,
            ready: false,
            content,
            letter,
            verdict: None,
        });
        self.pass_turn();
        Ok(true)
    }

    /// Records what came of the `attempt`-th try to send a notification, and returns what is to be announced. A
    /// notification that is done stays as it is. If another worker has taken it since, that worker's try decides,
    /// unless the mail was sent.
    pub fn record(&mut self, id: NotificationId, attempt: i32, verdict: &Verdict) -> Option<Event> {
        let queued = |tried: &&mut Notification| tried.id == id && tried.status == Status::Queued;
        let tried = self.notifications.iter_mut().find(queued)?;
        if tried.attempts != attempt && *verdict != Verdict::Sent {
            return None;
        }
        let (order_id, notification_id, template) = (self.id, id, tried.template.clone());
        let channel = CHANNEL.to_owned();
        tried.verdict = Some(verdict.clone());
        let (status, event) = match verdict {
            Verdict::Sent => {
                let event = NotificationSent { order_id, notification_id, template, channel };
                (Status::Sent, event.into())
            }
            Verdict::GivenUp { error } => {
                let error = error.clone();
                let event = NotificationFailed { order_id, notification_id, template, channel, error };
                (Status::Failed, event.into())
            }
            Verdict::Suppressed { reason } => {
                tried.attempts -= 1;
                let event = NotificationSuppressed { order_id, notification_id, template, channel, reason: *reason };
                (Status::Suppressed, event.into())
            }
            Verdict::PutBack { .. } => {
                tried.attempts -= 1;
                return None;
            }
            Verdict::PutOff { .. } => return None,
        };
        tried.status = status;
        self.pass_turn();
        Some(event)
    }

    /// Whether one of its notifications is to be sent next.
    pub fn has_turn(&self) -> bool {
        self.notifications.iter().any(|known| known.ready)
    }

    /// Gives the turn to the earliest notification that is queued and not held. Those of [`Template::OF_PARCELS`] are
    /// held until the confirmation is done, which another topic may bring later. A held one keeps no other back, so two
    /// clocks that disagree can't make two notifications wait for each other. If even `order_placed` is gone, the
    /// confirmation has passed its time to live as well, and nothing is held. While the customer isn't known, none has
    /// the turn.
    fn pass_turn(&mut self) {
        let of = |template: Template| self.notifications.iter().filter(move |known| known.template == template.name());
        let confirmed = of(Template::OrderConfirmed).any(|confirmed| confirmed.status != Status::Queued);
        let hold = !confirmed && of(Template::OrderPlaced).next().is_some();
        let held = |template: &str| hold && Template::OF_PARCELS.iter().any(|held| held.name() == template);
        let free = self.notifications.iter().filter(|known| known.status == Status::Queued && !held(&known.template));
        let next = free.min_by_key(|known| (known.origin.happened_at, known.id.0));
        let next = next.filter(|next| next.content.is_none()).map(|next| next.id);
        for known in &mut self.notifications {
            known.ready = Some(known.id) == next;
        }
    }
}

#[cfg(test)]
mod tests {
    use chrono::TimeDelta;
    use shared_events::SuppressReason;

    use super::*;

    fn order() -> Order {
        let customer = Contact { name: "Ann Lee".to_owned(), address: "ann@example.com".to_owned() };
        Order { customer: Some(customer), ..Order::unheard(OrderId::new()) }
    }

    /// Queues these, a second after each other.
    fn queued(contents: &[LetterContent]) -> Order {
        let (mut order, templates) = (order(), Templates::new().unwrap());
        for (second, content) in contents.iter().enumerate() {
            let happened_at = DateTime::UNIX_EPOCH + TimeDelta::seconds(second as i64);
            let origin = Origin { event_id: Uuid::now_v7(), happened_at, traceparent: None };
            assert!(order.notify(content, origin, &templates).unwrap());
        }
        order
    }

    fn placed() -> LetterContent {
        LetterContent::Placed { lines: vec![], total: "1.00 EUR".to_owned(), address: vec![] }
    }

    fn ready(order: &Order) -> Vec<&str> {
        order.notifications.iter().filter(|known| known.ready).map(|known| known.template.as_str()).collect()
    }

    fn record_ready(order: &mut Order, verdict: &Verdict) -> Option<Event> {
        let id = order.notifications.iter().find(|known| known.ready).unwrap().id;
        order.record(id, 0, verdict)
    }

    #[test]
    fn the_earliest_has_the_turn_and_what_tells_of_parcels_waits_for_the_confirmation() {
        let mut order = queued(&[placed(), LetterContent::Delivered, LetterContent::CancelRefused]);
        for expected in ["order_placed", "order_cancel_refused"] {
            assert_eq!(ready(&order), [expected]);
            assert!(record_ready(&mut order, &Verdict::Sent).is_some());
        }
        assert!(ready(&order).is_empty(), "not confirmed yet");
        let origin = Origin { event_id: Uuid::now_v7(), happened_at: Utc::now(), traceparent: None };
        order.notify(&LetterContent::Confirmed, origin, &Templates::new().unwrap()).unwrap();
        for expected in ["order_confirmed", "shipment_delivered"] {
            assert_eq!(ready(&order), [expected]);
            record_ready(&mut order, &Verdict::Sent);
        }
    }

    #[test]
    fn nothing_is_held_for_a_confirmation_that_has_passed_its_time_to_live() {
        assert_eq!(ready(&queued(&[LetterContent::Delivered])), ["shipment_delivered"]);
    }

    #[test]
    fn a_suppressed_notification_passes_the_turn_and_was_no_try() {
        let mut order = queued(&[placed(), LetterContent::Confirmed]);
        let reason = SuppressReason::OrderEnding;
        order.notifications[0].attempts = 1;
        let id = order.notifications[0].id;
        assert!(matches!(order.record(id, 1, &Verdict::Suppressed { reason }), Some(Event::Notification(_))));
        assert_eq!((order.notifications[0].attempts, order.notifications[0].status), (0, Status::Suppressed));
        assert_eq!(ready(&order), ["order_confirmed"]);
    }

    #[test]
    fn what_another_worker_has_taken_since_is_that_ones_to_decide_unless_it_was_sent() {
        let failed = Verdict::GivenUp { error: "550".to_owned() };
        let mut order = queued(&[placed()]);
        order.notifications[0].attempts = 2;
        let id = order.notifications[0].id;
        assert_eq!(order.record(id, 1, &failed), None);
        assert_eq!(order.notifications[0].status, Status::Queued);
        assert!(order.record(id, 1, &Verdict::Sent).is_some());
        assert_eq!(order.record(id, 2, &failed), None, "it is done");
        assert_eq!(order.notifications[0].status, Status::Sent);
    }
}
