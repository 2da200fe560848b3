use proptest::prelude::*;

use super::*;

const BODY: &[u8] = br#"{"id": "evt_1"}"#;
const THEN: i64 = 1_700_000_000;

fn signature(secret: &str, time: i64, body: &[u8]) -> String {
    let mut mac = Hmac::<Sha256>::new_from_slice(secret.as_bytes()).unwrap();
    mac.update(format!("{time}.").as_bytes());
    mac.update(body);
    hex::encode(mac.finalize().into_bytes())
}

fn header(secret: &str) -> String {
    format!("t={THEN},v1={}", signature(secret, THEN, BODY))
}

fn verified(secrets: &str, header: &str, after: i64) -> Result<(), BadSignature> {
    secrets.parse::<Secrets>().unwrap().verify(header, BODY, DateTime::from_timestamp(THEN + after, 0).unwrap())
}

#[test]
fn what_was_signed_with_our_secret_a_moment_ago_is_believed() {
    assert_eq!(verified("whsec_a", &header("whsec_a"), 2), Ok(()));
    assert_eq!(verified("whsec_a", &header("whsec_b"), 2), Err(BadSignature::NotOurs));
}

/// `printf '1700000000.{"id": "evt_1"}' | openssl dgst -sha256 -hmac whsec_a`
#[test]
fn the_signature_is_the_one_that_openssl_makes() {
    assert_eq!(signature("whsec_a", THEN, BODY), "959e681f2eb761e01462d4257e1912530636dfce927fda01a1c443dbaa6aa0c7");
}

#[test]
fn while_secrets_are_changed_either_side_may_be_ahead() {
    assert_eq!(verified("whsec_new, whsec_old", &header("whsec_old"), 0), Ok(()));
    let both = format!("{},v1={},v0=older", header("whsec_new"), signature("whsec_old", THEN, BODY));
    assert_eq!(verified("whsec_old", &both, 0), Ok(()));
}

#[test]
fn what_was_signed_more_than_five_minutes_ago_may_be_a_replay() {
    for (after, expected) in [(300, Ok(())), (301, Err(BadSignature::NotNow)), (-301, Err(BadSignature::NotNow))] {
        assert_eq!(verified("whsec_a", &header("whsec_a"), after), expected, "{after}");
    }
}

#[test]
fn a_signature_of_another_body_or_another_time_is_not_ours() {
    let secrets: Secrets = "whsec_a".parse().unwrap();
    let now = DateTime::from_timestamp(THEN, 0).unwrap();
    assert_eq!(secrets.verify(&header("whsec_a"), b"{}", now), Err(BadSignature::NotOurs));
    let later = format!("t={},v1={}", THEN + 1, signature("whsec_a", THEN, BODY));
    assert_eq!(secrets.verify(&later, BODY, now), Err(BadSignature::NotOurs));
}

#[test]
fn a_header_that_lacks_something_or_has_it_twice_can_not_be_read() {
    let good = signature("whsec_a", THEN, BODY);
    let many = vec![format!("v1={good}"); 17].join(",");
    for bad in [
        String::new(),
        format!("v1={good}"),
        format!("t={THEN}"),
        format!("t={THEN},v1="),
        format!("t={THEN},v1={}", &good[1..]),
        format!("t={THEN},v0={good}"),
        format!("t=,v1={good}"),
        format!("t=-1,v1={good}"),
        format!("t=99999999999999999999,v1={good}"),
        format!("t={THEN},t={THEN},v1={good}"),
        format!("t={THEN},v1={good},"),
        format!("t={THEN},{many}"),
    ] {
        assert_eq!(verified("whsec_a", &bad, 0), Err(BadSignature::Malformed), "{bad}");
    }
}

#[test]
fn a_secret_is_never_shown() {
    let secrets: Secrets = "whsec_a,whsec_b".parse().unwrap();
    assert_eq!(format!("{secrets:?}"), "Secrets(2)");
    for bad in ["", ",", "whsec_a,", "two words"] {
        assert!(bad.parse::<Secrets>().is_err(), "{bad}");
    }
}

proptest! {
    #[test]
    fn no_header_and_no_body_makes_it_panic_or_pass(header in "\\PC{0,200}", body: Vec<u8>, at in -9_000_000_000_i64..9_000_000_000) {
        let secrets: Secrets = "whsec_a".parse().unwrap();
        let now = DateTime::from_timestamp(at, 0).unwrap();
        prop_assert!(secrets.verify(&header, &body, now).is_err());
    }

    #[test]
    fn a_header_with_one_sign_changed_is_refused(place in 0_usize..79, sign in "[0-9a-z=,]") {
        let good = header("whsec_a");
        let mut changed = good.clone();
        changed.replace_range(place..=place, &sign);
        if changed != good {
            prop_assert!(verified("whsec_a", &changed, 0).is_err(), "{changed}");
        }
    }
}
