use std::fmt;
use std::str::FromStr;

use serde::{Deserialize, Serialize};

use super::{CustomerId, Invalid, LineText};

/// An e-mail address that an SMTP server can be given: a domain in other letters than ASCII is kept as IDNA writes it, as
/// in `ann@xn--mller-kva.de`. `Debug` hides it, so that it doesn't reach a log by accident.
#[derive(Clone, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(try_from = "String", into = "String")]
pub struct EmailAddress(String);

impl EmailAddress {
    /// The address.
    pub fn as_str(&self) -> &str {
        &self.0
    }

    /// Whether mail to it can leave this network: a domain without a dot is a host beside the mail server. Events that were
    /// written before this was asked may have such an address, so whoever takes a new one asks.
    pub fn is_deliverable(&self) -> bool {
        self.0.rsplit_once('@').is_some_and(|(_, domain)| {
            domain.contains('.')
                && domain.rsplit('.').next().is_some_and(|last| !last.bytes().all(|b| b.is_ascii_digit()))
        })
    }
}

/// A local part as people use it: atoms with dots between them.
fn is_dot_atom(local: &str) -> bool {
    let atom = |c: char| c.is_ascii_alphanumeric() || "!#$%&'*+/=?^_`{|}~-".contains(c);
    local.split('.').all(|part| !part.is_empty() && part.chars().all(atom))
}

/// A local part that would be none without its quotes, as in `"ann lee"@example.com`.
fn is_quoted(local: &str) -> bool {
    let Some(inner) = local.strip_prefix('"').and_then(|rest| rest.strip_suffix('"')) else { return false };
    let mut chars = inner.chars();
    while let Some(c) = chars.next() {
        let fits = match c {
            '"' => false,
            '\\' => chars.next().is_some_and(|quoted| quoted.is_ascii_graphic()),
            _ => c == ' ' || c.is_ascii_graphic(),
        };
        if !fits {
            return false;
        }
    }
    !inner.is_empty()
}

fn is_label(part: &str) -> bool {
    (1..=63).contains(&part.len())
        && part.chars().all(|c| c.is_ascii_alphanumeric() || c == '-')
        && !part.starts_with('-')
        && !part.ends_with('-')
}

impl TryFrom<String> for EmailAddress {
    type Error = Invalid;

    /// Checks what RFC 5321 needs: a local part of at most 64 octets, plain or quoted, and a domain of labels, which IDNA
    /// may write. Address literals are refused.
    fn try_from(text: String) -> Result<Self, Invalid> {
        // Not repeated in the refusal, which may end up in a log: what is almost an address is still personal.
        let refused = || Invalid::new("(hidden)", "an e-mail address, such as ann@example.com");
        let (local, domain) = text.rsplit_once('@').ok_or_else(refused)?;
        let address = if domain.is_ascii() {
            text.clone()
        } else {
            format!("{local}@{}", idna::domain_to_ascii_strict(domain).map_err(|_| refused())?)
        };
        let labels = address.rsplit_once('@').is_some_and(|(_, domain)| domain.split('.').all(is_label));
        let valid = address.len() <= 254 && local.len() <= 64 && labels && (is_dot_atom(local) || is_quoted(local));
        if valid { Ok(Self(address)) } else { Err(refused()) }
    }
}

impl FromStr for EmailAddress {
    type Err = Invalid;

    fn from_str(text: &str) -> Result<Self, Invalid> {
        Self::try_from(text.to_owned())
    }
}

impl From<EmailAddress> for String {
    fn from(address: EmailAddress) -> String {
        address.0
    }
}

impl fmt::Debug for EmailAddress {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("EmailAddress(hidden)")
    }
}

/// An ISO 3166-1 alpha-2 country code: two capital letters.
#[derive(Clone, Debug, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(try_from = "String", into = "String")]
pub struct CountryCode(String);

impl CountryCode {
    /// The two letters.
    pub fn as_str(&self) -> &str {
        &self.0
    }

    /// Whether there is a country of that code: one of ISO 3166-1, or Kosovo, whose code (XK) is everybody's custom. Asked
    /// where an address comes in, and not when an event is read that was said long ago.
    pub fn is_a_country(&self) -> bool {
        self.0 == "XK" || self.0.parse::<iso_country::Country>().is_ok()
    }
}

impl TryFrom<String> for CountryCode {
    type Error = Invalid;

    fn try_from(text: String) -> Result<Self, Invalid> {
        if text.len() == 2 && text.chars().all(|c| c.is_ascii_uppercase()) {
            Ok(Self(text))
        } else {
            Err(Invalid::new(text, "a country code of two capital letters, such as IE"))
        }
    }
}

impl From<CountryCode> for String {
    fn from(code: CountryCode) -> String {
        code.0
    }
}

/// Who orders. `Debug` shows the id alone.
#[derive(Clone, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[cfg_attr(feature = "openapi", derive(utoipa::ToSchema), schema(description = "Who orders."))]
pub struct Customer {
    /// The customer's id in the system that places orders.
    pub id: CustomerId,
    /// How to address them.
    pub name: LineText,
    /// Where mails go.
    pub email: EmailAddress,
}

impl fmt::Debug for Customer {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Customer").field("id", &self.id).finish_non_exhaustive()
    }
}

/// Where parcels go. `Debug` shows the country alone.
#[derive(Clone, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[cfg_attr(feature = "openapi", derive(utoipa::ToSchema), schema(description = "Where parcels go."))]
pub struct Address {
    /// Street and number.
    pub line1: LineText,
    /// Flat, floor, care of.
    pub line2: Option<LineText>,
    /// Town or city.
    pub city: LineText,
    /// Postal code as the country writes it.
    pub postal_code: LineText,
    /// Country.
    pub country: CountryCode,
}

impl fmt::Debug for Address {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Address").field("country", &self.country).finish_non_exhaustive()
    }
}
