//! Texts that nobody guesses, and what is sealed with them.

use anyhow::{Context, anyhow};
use aws_lc_rs::aead::{AES_256_GCM, Aad, NONCE_LEN, Nonce, RandomizedNonceKey};
use aws_lc_rs::constant_time::verify_slices_are_equal;
use base64::Engine;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use sha2::{Digest, Sha256};

/// 256 bits by chance, in 43 letters that need no escaping anywhere.
pub fn random() -> String {
    URL_SAFE_NO_PAD.encode(rand::random::<[u8; 32]>())
}

/// Whether a text could be one of [`random`].
pub fn is_like_random(text: &str) -> bool {
    text.len() == 43 && text.bytes().all(|byte| byte.is_ascii_alphanumeric() || b"-_".contains(&byte))
}

/// Another secret, for this purpose, made of one that only its owner has.
pub fn derived(secret: &str, purpose: &str) -> String {
    URL_SAFE_NO_PAD.encode(digest(secret, purpose))
}

/// By which a secret is found again where it is not kept.
pub fn hash(secret: &str) -> Vec<u8> {
    digest(secret, "found by").to_vec()
}

/// What PKCE (RFC 7636, 4.2) calls S256.
pub fn s256(text: &str) -> String {
    URL_SAFE_NO_PAD.encode(Sha256::digest(text))
}

/// Compares without telling by the time that it takes where two texts differ.
pub fn are_same(one: &str, other: &str) -> bool {
    verify_slices_are_equal(one.as_bytes(), other.as_bytes()).is_ok()
}

/// Seals `content`, so that only whoever has the secret reads it.
pub fn seal(secret: &str, content: &[u8]) -> anyhow::Result<Vec<u8>> {
    let mut sealed = content.to_vec();
    let nonce = key(secret)?
        .seal_in_place_append_tag(Aad::empty(), &mut sealed)
        .map_err(|_| anyhow!("sealing a session failed"))?;
    sealed.extend_from_slice(nonce.as_ref());
    Ok(sealed)
}

/// What was sealed with this secret; fails if it was another, or if somebody has changed it.
pub fn open(secret: &str, sealed: &[u8]) -> anyhow::Result<Vec<u8>> {
    let at = sealed.len().checked_sub(NONCE_LEN).context("it is too short")?;
    let (content, nonce) = sealed.split_at(at);
    let nonce = Nonce::try_assume_unique_for_key(nonce).map_err(|_| anyhow!("it has no nonce"))?;
    let mut content = content.to_vec();
    let opened = key(secret)?.open_in_place(nonce, Aad::empty(), &mut content);
    opened.map(|opened| opened.to_vec()).map_err(|_| anyhow!("it was sealed with another secret"))
}

fn key(secret: &str) -> anyhow::Result<RandomizedNonceKey> {
    RandomizedNonceKey::new(&AES_256_GCM, &digest(secret, "sealed with")).map_err(|_| anyhow!("the key doesn't fit"))
}

fn digest(secret: &str, purpose: &str) -> [u8; 32] {
    Sha256::new().chain_update(purpose).chain_update([0]).chain_update(secret).finalize().into()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_sealed_is_opened_by_its_secret_alone() {
        let (own, other) = (random(), random());
        let sealed = seal(&own, b"a token").unwrap();
        assert_eq!(open(&own, &sealed).unwrap(), b"a token");
        assert!(open(&other, &sealed).is_err() && open(&own, b"short").is_err());
        let mut changed = sealed.clone();
        changed[0] ^= 1;
        assert!(open(&own, &changed).is_err());
        assert!(!sealed.windows(5).any(|part| part == b"token"));
    }

    #[test]
    fn a_secret_for_one_purpose_tells_nothing_of_another() {
        let secret = random();
        assert_ne!(derived(&secret, "form"), derived(&secret, "state"));
        assert!(is_like_random(&derived(&secret, "state")) && is_like_random(&secret));
    }
}
