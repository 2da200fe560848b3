//! Secrets: where they are read from, and which of them are none, because everybody knows them.

use std::fs::File;
use std::io::Read;
use std::path::PathBuf;

use secrecy::SecretString;
use url::form_urlencoded;

use crate::pool;

/// The largest file that is taken as a secret, in bytes.
const LIMIT: u64 = 64 * 1024;

/// What docker-compose.yml and a local run set when nothing else is said, and what the documents have as an example.
const KNOWN: [&str; 19] = [
    "order",
    "stock",
    "payment",
    "notification",
    "sandbox",
    "issuer",
    "order-relay",
    "stock-relay",
    "payment-relay",
    "notification-relay",
    "kafka-admin",
    "kafka-broker",
    "kafka-reader",
    "guest-links-that-everybody-can-forge",
    "postgres",
    "secret",
    "whsec_sandbox",
    "everybody knows it: for trying out",
    "2f1c9a4be0d74d5f8a6b3c2d1e0f9a8b",
];

/// A secret that may change while the service runs, because it is in a file that somebody else renews.
#[derive(Clone, Debug)]
pub enum ChangingSecret {
    /// The value of the variable, which stays.
    Fixed(SecretString),
    /// The file with it.
    File(PathBuf),
}

impl ChangingSecret {
    /// The secret as it is now. It may read a file.
    ///
    /// # Errors
    /// Fails with the reason if there is no such file, or if no secret can be in it.
    pub fn now(&self) -> Result<SecretString, String> {
        match self {
            Self::Fixed(secret) => Ok(secret.clone()),
            Self::File(path) => in_file(&path.to_string_lossy()).map(SecretString::from),
        }
    }
}

/// The secret in a file, without the newline that editors end a file with.
///
/// # Errors
/// Fails with the reason if there is no such file, or if no secret can be in it. The reason never repeats the content.
pub(super) fn in_file(path: &str) -> Result<String, String> {
    let unreadable = |error: std::io::Error| format!("it can't be read: {error}");
    let file = File::open(path).map_err(unreadable)?;
    // A pipe could keep the start waiting for ever.
    if !file.metadata().map_err(unreadable)?.is_file() {
        return Err("it is not a file".to_owned());
    }
    let mut content = Vec::new();
    file.take(LIMIT + 1).read_to_end(&mut content).map_err(unreadable)?;
    if content.len() as u64 > LIMIT {
        return Err("it is larger than 64 kB".to_owned());
    }
    let text = String::from_utf8(content).map_err(|_| "it is not UTF-8".to_owned())?;
    let text = text.strip_suffix('\n').unwrap_or(&text);
    let text = text.strip_suffix('\r').unwrap_or(text);
    if text.trim().is_empty() { Err("it is empty".to_owned()) } else { Ok(text.to_owned()) }
}

/// Whether everybody knows this secret, or the password in this URL. Of several, with commas between, one is enough.
pub fn is_known(secret: &str) -> bool {
    let is = |text: &str| KNOWN.contains(&text.trim());
    secret.split(',').any(is) || pool::list(secret).iter().any(|url| passwords(url).iter().any(|password| is(password)))
}

/// The passwords of a URL, before its host and among its parameters.
fn passwords(url: &str) -> Vec<String> {
    let Some((_, rest)) = url.split_once("://") else { return Vec::new() };
    let (place, query) = rest.split_once('?').unwrap_or((rest, ""));
    let user = place.split('/').next().and_then(|authority| authority.rsplit_once('@'));
    let before_host = user.and_then(|(user, _)| user.split_once(':')).map(|(_, password)| password.to_owned());
    let parameters = form_urlencoded::parse(query.as_bytes());
    let parameters = parameters.filter(|(name, _)| name == "password").map(|(_, password)| password.into_owned());
    before_host.into_iter().chain(parameters).collect()
}

#[cfg(test)]
mod tests {
    use std::io::Write;

    use super::*;

    fn file(content: &[u8]) -> tempfile::NamedTempFile {
        let mut file = tempfile::NamedTempFile::new().unwrap();
        file.write_all(content).unwrap();
        file
    }

    fn read(content: &[u8]) -> Result<String, String> {
        in_file(file(content).path().to_str().unwrap())
    }

    #[test]
    fn a_secret_in_a_file_loses_one_newline_and_nothing_else() {
        for (content, secret) in [("a b", "a b"), ("a\n", "a"), ("a\r\n", "a"), ("a \n\n", "a \n"), (" a", " a")] {
            assert_eq!(read(content.as_bytes()), Ok(secret.to_owned()), "{content:?}");
        }
    }

    #[test]
    fn a_file_that_can_hold_no_secret_is_refused_without_its_content() {
        let large = vec![b'x'; 64 * 1024 + 1];
        for (content, why) in [(&b""[..], "empty"), (b"\n", "empty"), (&large, "larger"), (&[b'x', 0xff], "UTF-8")] {
            let told = read(content).unwrap_err();
            assert!(told.contains(why) && !told.contains('x'), "{told}");
        }
        assert!(read(&large[1..]).is_ok());
        assert!(in_file("/dev/null").unwrap_err().contains("not a file"));
        assert!(in_file("/no/such/file").unwrap_err().contains("can't be read"));
        assert!(in_file("/").unwrap_err().contains("it "));
    }

    #[test]
    fn a_changing_secret_is_what_its_file_holds_now() {
        use secrecy::ExposeSecret;
        let mut file = file(b"one\n");
        let secret = ChangingSecret::File(file.path().to_owned());
        let now = || secret.now().map(|secret| secret.expose_secret().to_owned());
        assert_eq!(now().as_deref(), Ok("one"));
        file.as_file_mut().set_len(0).unwrap();
        assert!(now().unwrap_err().contains("empty"));
        std::fs::write(file.path(), "two\n").unwrap();
        assert_eq!(now().as_deref(), Ok("two"));
    }

    #[test]
    fn a_secret_that_everybody_knows_is_found_alone_in_a_list_and_in_a_url() {
        for known in [
            "whsec_sandbox",
            "whsec_mine,whsec_sandbox",
            "postgres://order_svc:order@postgres:5432/order_svc",
            "postgres://order_svc:order@a:5432,b:5432/order_svc?application_name=x",
            "postgres://order_svc@postgres/order_svc?password=order",
            "postgres://a:mine@b/c,postgres://payment_relay:payment-relay@postgres:5432/payment_svc",
        ] {
            assert!(is_known(known), "{known}");
        }
        for unknown in [
            "whsec_order",
            "sk_test_sandbox",
            "postgres://order:mine@order:5432/order",
            "postgres://order@order/order?application_name=order",
            "postgres://order_svc:order1@postgres:5432/order_svc",
            "smtp://mailpit:1025",
        ] {
            assert!(!is_known(unknown), "{unknown}");
        }
    }
}
