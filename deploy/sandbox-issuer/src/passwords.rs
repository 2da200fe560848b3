//! Passwords: Argon2id as OWASP advises, on threads that may be busy, a few at a time.

use std::sync::Arc;
use std::thread::available_parallelism;
use std::time::Duration;

use argon2::password_hash::{PasswordHash, PasswordHasher, PasswordVerifier, SaltString};
use argon2::{Algorithm, Argon2, Params, Version};
use secrecy::{ExposeSecret, SecretString};
use serde::Deserialize;
use tokio::sync::Semaphore;
use tokio::time::timeout;
use zxcvbn::{Score, zxcvbn};

use crate::failure::Failure;
use crate::secrets;

/// OWASP's Password Storage Cheat Sheet: 19 MiB, twice over, one lane.
const MEMORY_KIB: u32 = 19_456;
const PASSES: u32 = 2;
const LANES: u32 = 1;

const SHORTEST: usize = 8;
/// A password's strength is estimated for so many letters; longer ones cost time and help nobody.
const LONGEST: usize = 100;

/// How long a request waits for its turn.
const PATIENCE: Duration = Duration::from_secs(5);

/// A password as it was given. It is text of any kind; only a new one is looked at more closely.
#[derive(Clone, Debug, Deserialize)]
#[serde(from = "String")]
pub struct Password(SecretString);

impl From<String> for Password {
    fn from(text: String) -> Self {
        Self(text.into())
    }
}

impl Password {
    fn bytes(&self) -> &[u8] {
        self.0.expose_secret().as_bytes()
    }

    /// Why it is too weak for the person that these words tell of, if it is.
    pub fn weakness(&self, person: &[&str]) -> Option<String> {
        let text = self.0.expose_secret();
        let length = text.chars().count();
        if !(SHORTEST..=LONGEST).contains(&length) {
            return Some(format!("it has {length} characters; expected {SHORTEST} to {LONGEST}"));
        }
        // whoever guesses tries the parts of the address and the name, too
        let parts = person.iter().flat_map(|words| words.split(|letter: char| !letter.is_alphanumeric()));
        let inputs: Vec<_> = person.iter().copied().chain(parts).filter(|part| part.len() > 2).collect();
        let guessed = zxcvbn(text, &inputs);
        if guessed.score() >= Score::Three {
            return None;
        }
        let warning = guessed.feedback().and_then(|feedback| feedback.warning()).map(|warning| warning.to_string());
        let why = warning.unwrap_or_else(|| "It is easily guessed.".to_owned());
        Some(format!("is too weak: {why} Three or four words that don't belong together are better"))
    }
}

/// Hashes and checks passwords.
#[derive(Clone)]
pub struct Passwords {
    turns: Arc<Semaphore>,
    /// The hash of a password that nobody knows, for accounts that don't exist.
    decoy: Arc<str>,
}

impl Passwords {
    pub async fn new() -> Result<Self, Failure> {
        let at_once = available_parallelism().map_or(1, usize::from);
        let unknown = Self { turns: Arc::new(Semaphore::new(at_once)), decoy: Arc::from("") };
        let decoy = unknown.hash(Password::from(secrets::random())).await?;
        Ok(Self { decoy: decoy.into(), ..unknown })
    }

    /// What is kept of a password: a PHC string.
    pub async fn hash(&self, password: Password) -> Result<String, Failure> {
        self.in_turn(move || {
            let salt = SaltString::encode_b64(&rand::random::<[u8; 16]>()).map_err(Failure::internal)?;
            let hash = argon2()?.hash_password(password.bytes(), &salt).map_err(Failure::internal)?;
            Ok(hash.to_string())
        })
        .await
    }

    /// Whether it is this one. Without a hash it never is, and that takes as long to find out.
    pub async fn is_right(&self, hash: Option<String>, given: Password) -> Result<bool, Failure> {
        let decoy = Arc::clone(&self.decoy);
        self.in_turn(move || {
            let known = hash.is_some();
            let hash = hash.unwrap_or_else(|| decoy.to_string());
            let hash = PasswordHash::new(&hash).map_err(Failure::internal)?;
            Ok(argon2()?.verify_password(given.bytes(), &hash).is_ok() && known)
        })
        .await
    }

    async fn in_turn<T: Send + 'static>(
        &self,
        work: impl FnOnce() -> Result<T, Failure> + Send + 'static,
    ) -> Result<T, Failure> {
        let turn = timeout(PATIENCE, Arc::clone(&self.turns).acquire_owned()).await;
        let Ok(Ok(turn)) = turn else { return Err(Failure::Busy) };
        let done = tokio::task::spawn_blocking(move || {
            let _turn = turn;
            work()
        });
        done.await.map_err(Failure::internal)?
    }
}

fn argon2() -> Result<Argon2<'static>, Failure> {
    let params = Params::new(MEMORY_KIB, PASSES, LANES, None).map_err(Failure::internal)?;
    Ok(Argon2::new(Algorithm::Argon2id, Version::V0x13, params))
}

#[cfg(test)]
mod tests {
    use std::time::Instant;

    use super::*;

    fn password(text: &str) -> Password {
        Password::from(text.to_owned())
    }

    #[test]
    fn weak_passwords_are_refused_and_what_is_wrong_with_them_is_said() {
        for weak in ["short", "password1", "12345678", "qwertyuiop", "ann.lee1", "annannann", "aaaaaaaaaaaa"] {
            let why = password(weak).weakness(&["ann.lee@example.com", "Ann Lee"]);
            assert!(why.is_some_and(|why| !why.contains(weak)), "{weak}");
        }
        assert!(password(&"a long one ".repeat(10)).weakness(&[]).is_some());
        for strong in ["correct horse battery staple", "tR0ub4dor&3x.Qv", "пароль из многих слов"] {
            assert_eq!(password(strong).weakness(&["ann@example.com"]), None, "{strong}");
        }
    }

    #[tokio::test]
    async fn a_password_is_right_for_its_own_hash_which_says_how_it_was_made() {
        let passwords = Passwords::new().await.unwrap();
        let hash = passwords.hash(password("right")).await.unwrap();
        assert!(hash.starts_with("$argon2id$v=19$m=19456,t=2,p=1$"), "{hash}");
        assert_ne!(hash, passwords.hash(password("right")).await.unwrap());
        assert!(passwords.is_right(Some(hash.clone()), password("right")).await.unwrap());
        assert!(!passwords.is_right(Some(hash), password("wrong")).await.unwrap());
    }

    #[tokio::test]
    async fn an_account_that_does_not_exist_takes_as_long_as_one_that_does() {
        let passwords = Passwords::new().await.unwrap();
        let hash = passwords.hash(password("right")).await.unwrap();
        let mut least = [Duration::MAX; 2];
        for _ in 0..7 {
            for (which, hash) in [Some(hash.clone()), None].into_iter().enumerate() {
                let began = Instant::now();
                assert!(!passwords.is_right(hash, password("wrong")).await.unwrap());
                least[which] = least[which].min(began.elapsed());
            }
        }
        let [known, unknown] = least;
        assert!(unknown > known / 2 && known > unknown / 2, "{known:?} and {unknown:?}");
    }

    #[test]
    fn a_password_is_in_no_debug_text() {
        assert!(!format!("{:?}", password("hunter2")).contains("hunter2"));
    }
}
