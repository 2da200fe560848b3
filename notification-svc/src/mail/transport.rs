use std::path::PathBuf;
use std::str::FromStr;
use std::sync::Arc;

use anyhow::Context;
use lettre::message::Mailbox;
use secrecy::{ExposeSecret, SecretString};
use url::Url;

use super::{Files, Smtp};
use crate::delivery::Sender;

/// How mails leave: `file:FOLDER`, `smtp://host:port`, `smtp://user:password@host:port?tls=required` (STARTTLS) or
/// `smtps://user:password@host:port`.
#[derive(Clone, Debug)]
pub enum Transport {
    /// As files in this folder.
    Files(PathBuf),
    /// To this server. Holds a password, so it is never shown.
    Smtp(SecretString),
}

/// Why a transport is refused. Never repeats what was given, which may hold a password.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum TransportError {
    #[error("it is neither file:FOLDER nor an smtp:// or smtps:// URL with a host")]
    Unreadable,
    /// `tls=` says something else.
    #[error("tls can be required or opportunistic")]
    UnknownTls,
    /// The password would be readable on its way.
    #[error("it has a password and may go unencrypted: use smtps:// or ?tls=required")]
    PasswordInClear,
}

impl Transport {
    /// The sender for it. Fails if the folder can't be made.
    pub fn open(&self, from: &From) -> anyhow::Result<Arc<dyn Sender>> {
        let from = from.0.clone();
        Ok(match self {
            Transport::Files(folder) => Arc::new(Files::new(folder.clone(), from)?),
            // the URL was checked when it was read; lettre's error would repeat parts of it
            Transport::Smtp(url) => {
                Arc::new(Smtp::new(url.expose_secret(), from).ok().context("MAIL_TRANSPORT can't be used")?)
            }
        })
    }
}

impl FromStr for Transport {
    type Err = TransportError;

    fn from_str(text: &str) -> Result<Self, TransportError> {
        if let Some(folder) = text.strip_prefix("file:") {
            let folder = folder.strip_prefix("//").unwrap_or(folder);
            return if folder.is_empty() { Err(TransportError::Unreadable) } else { Ok(Self::Files(folder.into())) };
        }
        let url = Url::parse(text).map_err(|_| TransportError::Unreadable)?;
        if !matches!(url.scheme(), "smtp" | "smtps") || url.host_str().is_none_or(str::is_empty) {
            return Err(TransportError::Unreadable);
        }
        let tls = url.query_pairs().find(|(name, _)| name == "tls").map(|(_, value)| value.into_owned());
        match tls.as_deref() {
            Some("required") => {}
            _ if url.scheme() == "smtps" => {}
            None | Some("opportunistic") if url.password().is_some() => return Err(TransportError::PasswordInClear),
            None | Some("opportunistic") => {}
            Some(_) => return Err(TransportError::UnknownTls),
        }
        Ok(Self::Smtp(SecretString::from(text)))
    }
}

/// Who mails come from: `shop@example.com` or `The Shop <shop@example.com>`.
#[derive(Clone, Debug)]
pub struct From(Mailbox);

impl FromStr for From {
    type Err = lettre::address::AddressError;

    fn from_str(text: &str) -> Result<Self, Self::Err> {
        text.parse().map(Self)
    }
}

#[cfg(test)]
mod tests {
    use std::path::Path;

    use super::*;

    fn refused(text: &str) -> TransportError {
        text.parse::<Transport>().unwrap_err()
    }

    #[test]
    fn mails_go_into_a_folder_or_to_a_server() {
        assert!(matches!("file:/tmp/mails".parse(), Ok(Transport::Files(folder)) if folder == Path::new("/tmp/mails")));
        assert!(
            matches!("file:///tmp/mails".parse(), Ok(Transport::Files(folder)) if folder == Path::new("/tmp/mails"))
        );
        for url in ["smtp://localhost:1025", "smtps://a:b@mail.example", "smtp://a:b@mail.example?tls=required"] {
            assert!(matches!(url.parse(), Ok(Transport::Smtp(_))), "{url}");
            assert!(url.parse::<Transport>().unwrap().open(&"shop@example.com".parse().unwrap()).is_ok());
        }
    }

    #[test]
    fn anything_else_is_refused() {
        for text in ["", "file:", "mail.example", "http://mail.example", "smtp://", "smtp:mail"] {
            assert_eq!(refused(text), TransportError::Unreadable, "{text}");
        }
        assert_eq!(refused("smtp://mail.example?tls=maybe"), TransportError::UnknownTls);
    }

    #[test]
    fn a_password_never_goes_unencrypted_and_is_never_shown() {
        for url in ["smtp://a:hunter2@mail.example", "smtp://a:hunter2@mail.example?tls=opportunistic"] {
            assert_eq!(refused(url), TransportError::PasswordInClear);
        }
        let shown = format!("{:?}", "smtps://a:hunter2@mail.example".parse::<Transport>().unwrap());
        assert!(!shown.contains("hunter2"), "{shown}");
    }
}
