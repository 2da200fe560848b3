use std::fmt;
use std::str::FromStr;

use serde::{Deserialize, Serialize};

use super::{CustomerId, Invalid, LineText};

/// An e-mail address that an SMTP server accepts. A domain with non-ASCII letters is stored in IDNA's ASCII form, as
/// in `ann@xn--mller-kva.de`. `Debug` hides the address, so that it doesn't reach a log by accident.
#[derive(Clone, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(try_from = "String", into = "String")]
pub struct EmailAddress(String);

impl EmailAddress {
    /// The address.
    pub fn as_str(&self) -> &str {
        &self.0
    }

    /// Whether mail to it can leave this network: a domain without a dot, or one that ends in digits, is a host next
    /// to the mail server. Old events may contain such addresses, so only code that accepts new ones checks this.
    pub fn is_deliverable(&self) -> bool {
        self.0.rsplit_once('@').is_some_and(|(_, domain)| {
            domain.contains('.')
                && domain.rsplit('.').next().is_some_and(|last| !last.bytes().all(|b| b.is_ascii_digit()))
        })
    }
}

/// Whether a local part has the usual form: atoms with dots between them.
fn is_dot_atom(local: &str) -> bool {
    let atom = |c: char| c.is_ascii_alphanumeric() || "!#$%&'*+/=?^_`{|}~-".contains(c);
    local.split('.').all(|part| !part.is_empty() && part.chars().all(atom))
}

/// Whether a local part is valid only because it is quoted, as in `"ann lee"@example.com`.
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

    /// Checks the rules of RFC 5321: a local part of at most 64 octets, plain or quoted, and a domain of labels,
    /// after IDNA. Address literals are refused.
    fn try_from(text: String) -> Result<Self, Invalid> {
        // The refusal doesn't repeat the text: it may end up in a log, and a mistyped address is still personal data.
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

    /// Whether the code is a country's: one of ISO 3166-1, or Kosovo's XK, which is in common use. It is checked when
    /// a new address arrives, not when an old event is read.
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

/// A customer. `Debug` shows only the id.
#[derive(Clone, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[cfg_attr(feature = "openapi", derive(utoipa::ToSchema), schema(description = "Who orders."))]
pub struct Customer {
    /// The customer's id in the system that places orders.
    pub id: CustomerId,
    /// The name for salutations.
    pub name: LineText,
    /// The address for e-mails.
    pub email: EmailAddress,
}

impl fmt::Debug for Customer {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Customer").field("id", &self.id).finish_non_exhaustive()
    }
}

/// A delivery address. `Debug` shows only the country.
#[derive(Clone, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[cfg_attr(feature = "openapi", derive(utoipa::ToSchema), schema(description = "Where parcels go."))]
pub struct Address {
    /// Street and number.
    pub line1: LineText,
    /// Flat, floor, or care of.
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
