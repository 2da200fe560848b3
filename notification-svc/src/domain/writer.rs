//! By which channels a customer is told of a fact, and what they read there.

use service_kit::auth::GUEST;
use shared_events::{Language, OrderId};
use url::Url;

use super::{Channel, Contact, Letter, LetterContent, Profile, Template, Templates};

/// Stands in a stored letter for the token of its guest's link. Whoever sends the letter puts the token there, so that none
/// is in the database or in what the API shows.
pub const LINK_TOKEN: &str = "the-token-is-in-the-mail-alone";

/// Writes what customers are told, each in their language and for the channels that they want.
pub struct Writer {
    templates: Templates,
    /// Those that a provider is configured for.
    offered: Vec<Channel>,
    /// The shop's address, if guests get links.
    shop: Option<Url>,
}

impl Writer {
    /// Writes mails alone, without links. Fails if a text can't be parsed, which a test excludes.
    pub fn new() -> Result<Self, minijinja::Error> {
        Ok(Self { templates: Templates::new()?, offered: vec![Channel::Email], shop: None })
    }

    /// Writes for this channel too.
    #[must_use]
    pub fn offering(mut self, channel: Channel) -> Self {
        if !self.offered.contains(&channel) {
            self.offered.push(channel);
        }
        self
    }

    /// Gives guests a link to their order at this address, if there is one.
    #[must_use]
    pub fn with_guest_links(self, shop: Option<Url>) -> Self {
        Self { shop, ..self }
    }

    /// The channels by which this customer is told, and to whom each goes. Whoever has no profile gets mails. A channel that
    /// the shop doesn't offer, or by which the customer can't be reached, is replaced by a mail.
    pub fn ways(&self, template: Template, customer: &Contact, profile: Option<&Profile>) -> Vec<(Channel, String)> {
        let mail = (Channel::Email, customer.address.clone());
        let Some(profile) = profile else { return vec![mail] };
        let mut ways = Vec::new();
        for channel in profile.messages.of(template.kind()).iter().copied() {
            let way = match self.recipient(channel, customer, profile) {
                Ok(recipient) => (channel, recipient),
                Err(why) => {
                    told_by_mail_instead(template, channel, why);
                    mail.clone()
                }
            };
            if !ways.contains(&way) {
                ways.push(way);
            }
        }
        ways
    }

    /// Whom a channel reaches, or why it reaches nobody.
    fn recipient(&self, channel: Channel, customer: &Contact, profile: &Profile) -> Result<String, &'static str> {
        if !self.offered.contains(&channel) {
            return Err("not_configured");
        }
        let recipient = match channel {
            Channel::Email => Some(&customer.address),
            Channel::Sms => profile.phone.as_ref(),
            Channel::Push => profile.push_token.as_ref(),
        };
        recipient.cloned().ok_or("no_recipient")
    }

    /// What the customer reads. Fails if a text asks for what its content doesn't have.
    pub fn write(
        &self,
        order: OrderId,
        customer: &Contact,
        language: Language,
        (channel, recipient): (Channel, String),
        content: &LetterContent,
    ) -> Result<Letter, minijinja::Error> {
        let link = self.link(order, customer).filter(|_| channel == Channel::Email);
        let written = self.templates.write(order, &customer.name, link.as_deref(), language, content)?;
        Ok(written.for_channel(channel, recipient))
    }

    /// The link by which a guest sees and cancels their order, without its token.
    fn link(&self, order: OrderId, customer: &Contact) -> Option<String> {
        let is_guest = customer.id.as_ref().is_some_and(|id| id.starts_with(GUEST));
        let shop = self.shop.as_ref().filter(|_| is_guest)?;
        Some(format!("{}/api/v1/orders/{order}?token={LINK_TOKEN}", shop.as_str().trim_end_matches('/')))
    }
}

fn told_by_mail_instead(template: Template, channel: Channel, why: &'static str) {
    let channel = channel.as_str();
    metrics::counter!("notifications_by_mail_instead_total", "channel" => channel, "reason" => why).increment(1);
    tracing::info!(%template, channel, reason = why, "a message that was wanted by another channel goes by mail");
}
