//! Texts that nobody guesses, and what is kept of them.

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

pub fn sha256(text: &str) -> Vec<u8> {
    Sha256::digest(text).to_vec()
}

/// What PKCE (RFC 7636, 4.2) calls S256.
pub fn s256(text: &str) -> String {
    URL_SAFE_NO_PAD.encode(Sha256::digest(text))
}

/// Compares without telling by the time that it takes where two texts differ.
pub fn are_same(one: &[u8], other: &[u8]) -> bool {
    verify_slices_are_equal(one, other).is_ok()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_challenge_is_the_one_of_the_standard_s_example() {
        let challenge = s256("dBjftJeZ4CVP-mB92K27uhbUJU1p1r_wW1gFWFOEjXk");
        assert_eq!(challenge, "E9Melhoa2OwvFrEMTJguCHaoeK1t8URWbuGJSstw-cM");
    }

    #[test]
    fn what_is_made_by_chance_looks_like_it_and_is_never_the_same() {
        let (one, other) = (random(), random());
        assert!(is_like_random(&one) && is_like_random(&other) && one != other);
        for text in ["", "a", &"a".repeat(44), &".".repeat(43)] {
            assert!(!is_like_random(text), "{text}");
        }
    }
}
