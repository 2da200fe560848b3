//! An order as its customer is told of it: whom to write to, and all its notifications. Decisions are made here, in
//! memory, while the order's root is locked.

use std::collections::BTreeMap;

use chrono::{DateTime, Utc};
use serde_json::Value;
use shared_events::{
    Event, NotificationFailed, NotificationId, NotificationSent, NotificationSuppressed, OrderId, OrderPlaced,
    SuppressReason,
};
use uuid::Uuid;

use super::{Channel, Letter, LetterContent, Profile, Status, Template, Verdict, Writer};

#[derive(Clone, PartialEq)]
pub struct Order {
    pub id: OrderId,
    /// None until `order.placed` is read, which events of other topics may overtake.
    pub customer: Option<Contact>,
    /// It is cancelling or cancelled, so no letter may promise any more that it goes on.
    pub ending: bool,
    /// Its person is forgotten, so nobody is told anything more.
    pub forgotten: bool,
    /// The name that each SKU was ordered under. Empty if it wasn't needed and not loaded.
    pub line_names: BTreeMap<String, String>,
    pub notifications: Vec<Notification>,
}

#[derive(Clone, PartialEq, Eq)]
pub struct Contact {
    /// Not known of orders that were placed before it was kept.
    pub id: Option<String>,
    pub name: String,
    pub address: String,
}

#[derive(Clone, PartialEq)]
pub struct Notification {
    /// Also a mail's Message-ID.
    pub id: NotificationId,
    /// By name: the row may be of a template that only a newer build has.
    pub template: String,
    /// E-mail while the customer isn't known, for whom it is decided then.
    pub channel: Channel,
    pub origin: Origin,
    pub status: Status,
    pub attempts: i32,
    /// It is the order's next notification to send by its channel.
    pub ready: bool,
    /// What the letter will say, until it is known whom to write to.
    pub content: Option<Value>,
    /// The letter, if this transaction writes it.
    pub letter: Option<Letter>,
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
        Self {
            id,
            customer: None,
            ending: false,
            forgotten: false,
            line_names: BTreeMap::new(),
            notifications: Vec::new(),
        }
    }

    /// Keeps whom to write to and how the lines are called, and writes the letters that waited for it, for the channels of
    /// this profile. What was kept first stays. Returns what is to be announced of those that the customer doesn't want. If
    /// a waiting letter can't be written, it fails, and the order is to be dropped.
    pub fn introduce(
        &mut self,
        placed: &OrderPlaced,
        writer: &Writer,
        profile: Option<&Profile>,
    ) -> Result<Vec<Event>, Unwritable> {
        if self.customer.is_some() {
            return Ok(vec![]);
        }
        let customer = Contact {
            id: Some(placed.customer.id.to_string()),
            name: placed.customer.name.to_string(),
            address: placed.customer.email.as_str().to_owned(),
        };
        self.line_names = placed.lines.iter().map(|line| (line.sku.to_string(), line.name.to_string())).collect();
        let (mut copies, mut unwanted) = (Vec::new(), Vec::new());
        for waiting in &mut self.notifications {
            let Some(content) = waiting.content.take() else { continue };
            let content = serde_json::from_value::<LetterContent>(content)?.named(&self.line_names);
            let mut letters = letters(self.id, &customer, writer, profile, &content)?.into_iter();
            match letters.next() {
                Some((channel, letter)) => (waiting.channel, waiting.letter) = (channel, Some(letter)),
                None => unwanted.push(waiting.suppress(self.id, SuppressReason::Unwanted)),
            }
            let copy = |(channel, letter)| Notification::queued(&waiting.template, channel, &waiting.origin, letter);
            copies.extend(letters.map(copy));
        }
        self.notifications.extend(copies);
        self.customer = Some(customer);
        Ok(unwanted)
    }

    /// Queues the notifications about an event, one for each channel of this profile; only its content while the customer
    /// isn't known. False if they were queued before. Fails, and changes nothing, if a letter can't be written.
    pub fn notify(
        &mut self,
        content: &LetterContent,
        origin: Origin,
        writer: &Writer,
        profile: Option<&Profile>,
    ) -> Result<bool, Unwritable> {
        let template = content.template().name();
        // by whatever channel: the customer's wishes may have changed since
        let is_this = |known: &Notification| known.template == template && known.origin.event_id == origin.event_id;
        if self.notifications.iter().any(is_this) {
            return Ok(false);
        }
        match &self.customer {
            Some(customer) => {
                let letters = letters(self.id, customer, writer, profile, content)?;
                let queued = |(channel, letter)| Notification::queued(template, channel, &origin, letter);
                self.notifications.extend(letters.into_iter().map(queued));
            }
            None => {
                let waiting = Notification {
                    content: Some(serde_json::to_value(content)?),
                    ..Notification::new(template, Channel::Email, &origin)
                };
                self.notifications.push(waiting);
            }
        }
        self.pass_turns();
        Ok(true)
    }

    /// Takes the person from the order: nothing is sent any more. Returns what is to be announced of what was queued.
    pub fn forget(&mut self) -> Vec<Event> {
        (self.forgotten, self.customer) = (true, None);
        self.line_names.clear();
        let mut events = Vec::new();
        for known in &mut self.notifications {
            (known.content, known.letter) = (None, None);
            if known.status == Status::Queued {
                events.push(known.suppress(self.id, SuppressReason::Forgotten));
            }
        }
        self.pass_turns();
        events
    }

    /// Records what came of the `attempt`-th try to send a notification, and returns what is to be announced. A
    /// notification that is done stays as it is. If another worker has taken it since, that worker's try decides,
    /// unless it was sent.
    pub fn record(&mut self, id: NotificationId, attempt: i32, verdict: &Verdict) -> Option<Event> {
        let order_id = self.id;
        let queued = |tried: &&mut Notification| tried.id == id && tried.status == Status::Queued;
        let tried = self.notifications.iter_mut().find(queued)?;
        if tried.attempts != attempt && *verdict != Verdict::Sent {
            return None;
        }
        let event = match verdict {
            Verdict::Suppressed { reason } => {
                tried.attempts -= 1;
                Some(tried.suppress(order_id, *reason))
            }
            Verdict::PutBack { .. } => {
                tried.attempts -= 1;
                None
            }
            Verdict::PutOff { .. } => None,
            Verdict::Sent => {
                tried.status = Status::Sent;
                let (template, channel) = tried.names();
                Some(NotificationSent { order_id, notification_id: id, template, channel }.into())
            }
            Verdict::GivenUp { error } => {
                tried.status = Status::Failed;
                let ((template, channel), error) = (tried.names(), error.clone());
                Some(NotificationFailed { order_id, notification_id: id, template, channel, error }.into())
            }
        };
        tried.verdict = Some(verdict.clone());
        if event.is_some() {
            self.pass_turns();
        }
        event
    }

    /// Whether one of its notifications is to be sent next by this channel.
    pub fn has_turn(&self, channel: Channel) -> bool {
        self.notifications.iter().any(|known| known.ready && known.channel == channel)
    }

    /// Gives each channel's turn to the earliest of its notifications that is queued and not held. A held one keeps no other
    /// back, so two clocks that disagree can't make two notifications wait for each other. While the customer isn't known,
    /// none has the turn.
    fn pass_turns(&mut self) {
        for channel in Channel::ALL {
            let hold = self.holds_parcels(channel);
            let held = |template: &str| hold && Template::OF_PARCELS.iter().any(|held| held.name() == template);
            let queued = self.notifications.iter().filter(|known| known.status == Status::Queued);
            let free = queued.filter(|known| known.channel == channel && !held(&known.template));
            let next = free.min_by_key(|known| (known.origin.happened_at, known.id.0));
            let next = next.filter(|next| next.content.is_none()).map(|next| next.id);
            for known in self.notifications.iter_mut().filter(|known| known.channel == channel) {
                known.ready = Some(known.id) == next;
            }
        }
    }

    /// Whether a channel's notifications of [`Template::OF_PARCELS`] are held: until the confirmation is done, which another
    /// topic may bring later. Where that goes by other channels, it is enough that it was heard: no channel waits for
    /// another's provider. If even `order_placed` is gone, the confirmation has passed its time to live as well, and nothing
    /// is held.
    fn holds_parcels(&self, channel: Channel) -> bool {
        let of = |template: Template| self.notifications.iter().filter(move |known| known.template == template.name());
        let here = |known: &&Notification| known.channel == channel;
        if of(Template::OrderConfirmed).any(|confirmed| here(&confirmed)) {
            return of(Template::OrderConfirmed).filter(here).all(|confirmed| confirmed.status == Status::Queued);
        }
        of(Template::OrderConfirmed).next().is_none() && of(Template::OrderPlaced).next().is_some()
    }
}

/// What the customer is told, for each channel by which they are.
fn letters(
    order: OrderId,
    customer: &Contact,
    writer: &Writer,
    profile: Option<&Profile>,
    content: &LetterContent,
) -> Result<Vec<(Channel, Letter)>, minijinja::Error> {
    let language = profile.map(|profile| profile.language).unwrap_or_default();
    let ways = writer.ways(content.template(), customer, profile).into_iter();
    let letter = |way: (Channel, String)| {
        let channel = way.0;
        writer.write(order, customer, language, way, content).map(|letter| (channel, letter))
    };
    ways.map(letter).collect()
}

impl Notification {
    fn new(template: &str, channel: Channel, origin: &Origin) -> Self {
        Self {
            id: NotificationId::new(),
            template: template.to_owned(),
            channel,
            origin: origin.clone(),
            status: Status::Queued,
            attempts: 0,
            ready: false,
            content: None,
            letter: None,
            verdict: None,
        }
    }

    fn queued(template: &str, channel: Channel, origin: &Origin, letter: Letter) -> Self {
        Self { letter: Some(letter), ..Self::new(template, channel, origin) }
    }

    fn names(&self) -> (String, String) {
        (self.template.clone(), self.channel.as_str().to_owned())
    }

    fn suppress(&mut self, order_id: OrderId, reason: SuppressReason) -> Event {
        self.status = Status::Suppressed;
        self.verdict = Some(Verdict::Suppressed { reason });
        let (template, channel) = self.names();
        NotificationSuppressed { order_id, notification_id: self.id, template, channel, reason }.into()
    }
}

#[cfg(test)]
mod tests {
    use chrono::TimeDelta;
    use shared_events::SuppressReason;

    use super::*;

    fn order() -> Order {
        let customer = Contact { id: None, name: "Ann Lee".to_owned(), address: "ann@example.com".to_owned() };
        Order { customer: Some(customer), ..Order::unheard(OrderId::new()) }
    }

    /// Queues these, a second after each other.
    fn queued(contents: &[LetterContent]) -> Order {
        let (mut order, writer) = (order(), Writer::new().unwrap());
        for (second, content) in contents.iter().enumerate() {
            let happened_at = DateTime::UNIX_EPOCH + TimeDelta::seconds(second as i64);
            let origin = Origin { event_id: Uuid::now_v7(), happened_at, traceparent: None };
            assert!(order.notify(content, origin, &writer, None).unwrap());
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
        order.notify(&LetterContent::Confirmed, origin, &Writer::new().unwrap(), None).unwrap();
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

    fn profile(shipment: &[shared_events::Channel]) -> Profile {
        let by = |channels: &[shared_events::Channel]| shared_events::Channels::try_from(channels.to_vec()).unwrap();
        let messages = shared_events::MessagePreferences::new(Default::default(), by(&[]), by(shipment)).unwrap();
        Profile {
            phone: Some("+353861234567".to_owned()),
            push_token: None,
            language: shared_events::Language::De,
            messages,
        }
    }

    fn tell(order: &mut Order, content: &LetterContent, writer: &Writer, profile: &Profile) {
        let origin = Origin { event_id: Uuid::now_v7(), happened_at: Utc::now(), traceparent: None };
        assert!(order.notify(content, origin, writer, Some(profile)).unwrap());
    }

    fn by_channel(order: &Order) -> Vec<(&str, Channel)> {
        order.notifications.iter().map(|known| (known.template.as_str(), known.channel)).collect()
    }

    #[test]
    fn each_channel_is_told_by_itself_and_one_that_can_not_be_had_is_replaced_by_one_mail() {
        use shared_events::Channel::{Email, Push, Sms};
        let told = |writer: Writer, channels: &[shared_events::Channel]| {
            let mut order = order();
            tell(&mut order, &LetterContent::Delivered, &writer, &profile(channels));
            order.notifications.iter().map(|known| known.channel).collect::<Vec<_>>()
        };
        let offering = || Writer::new().unwrap().offering(Channel::Sms).offering(Channel::Push);
        assert_eq!(told(offering(), &[Email, Sms]), [Channel::Email, Channel::Sms]);
        assert_eq!(told(offering(), &[Sms]), [Channel::Sms]);
        assert_eq!(told(offering(), &[Sms, Push]), [Channel::Sms, Channel::Email], "no device is known");
        assert_eq!(told(Writer::new().unwrap(), &[Email, Sms, Push]), [Channel::Email], "nothing else is offered");
        assert_eq!(told(offering(), &[]), [], "nothing of this kind is wanted");
    }

    #[test]
    fn no_channel_waits_for_another_and_a_parcel_is_told_once_the_confirmation_was_heard() {
        use shared_events::Channel::{Email, Sms};
        let (mut order, writer) = (order(), Writer::new().unwrap().offering(Channel::Sms));
        let profile = profile(&[Email, Sms]);
        tell(&mut order, &placed(), &writer, &profile);
        tell(&mut order, &LetterContent::Delivered, &writer, &profile);
        assert_eq!(ready(&order), ["order_placed"], "no text message of a parcel before the confirmation is known");
        tell(&mut order, &LetterContent::Confirmed, &writer, &profile);
        let confirmed = [("order_placed", Channel::Email), ("shipment_delivered", Channel::Email)];
        let expected =
            [confirmed[0], confirmed[1], ("shipment_delivered", Channel::Sms), ("order_confirmed", Channel::Email)];
        assert_eq!(by_channel(&order), expected);
        assert_eq!(ready(&order), ["order_placed", "shipment_delivered"], "the text message waits for no mail");
        assert!(order.has_turn(Channel::Sms) && !order.has_turn(Channel::Push));
    }

    #[test]
    fn what_waited_for_its_customer_goes_by_the_channels_that_they_want() {
        use shared_events::Channel::{Email, Sms};
        let (id, writer) = (OrderId::new(), Writer::new().unwrap().offering(Channel::Sms));
        let mut order = Order::unheard(id);
        let profile = profile(&[Sms, Email]);
        for content in [LetterContent::Delivered, LetterContent::Refunded { amount: "1.00 EUR".to_owned() }] {
            tell(&mut order, &content, &writer, &profile);
        }
        let placed = quadrille_testing::placed(id, &[("TEA", 2)]);
        let announced = order.introduce(&placed, &writer, Some(&profile)).unwrap();
        let expected = [
            ("shipment_delivered", Channel::Email),
            ("payment_refunded", Channel::Email),
            ("shipment_delivered", Channel::Sms),
        ];
        assert_eq!(by_channel(&order), expected);
        let refund = &order.notifications[1];
        assert_eq!((refund.status, announced.len()), (Status::Suppressed, 1), "nothing of money is wanted");
        let letter = order.notifications[2].letter.as_ref().unwrap();
        assert_eq!((letter.recipient.as_str(), &letter.subject), ("+353861234567", &None));
        assert!(letter.body.starts_with("Ein Paket der Bestellung"), "{}", letter.body);
    }

    #[test]
    fn of_a_forgotten_person_nothing_is_left_and_what_was_queued_is_announced_as_suppressed() {
        let mut order = queued(&[placed(), LetterContent::Confirmed]);
        assert!(record_ready(&mut order, &Verdict::Sent).is_some());
        assert_eq!(order.forget().len(), 1);
        assert!(order.customer.is_none() && ready(&order).is_empty());
        assert_eq!(
            order.notifications.iter().map(|known| known.status).collect::<Vec<_>>(),
            [Status::Sent, Status::Suppressed]
        );
        assert!(order.forget().is_empty(), "said once");
    }
}
