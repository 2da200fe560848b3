//! Keys that are changed while tokens are used.

use std::sync::Arc;
use std::time::Duration;

use jsonwebtoken::decode_header;
use serde_json::{Value, json};
use service_kit::auth::{Keys, Source, Verifier};
use service_kit::testing::{Running, eventually};

use crate::{Issuer, claims};

/// A token, and the key that signed it.
async fn token(issuer: &Issuer) -> (String, String) {
    let token = issuer.machine("shop").await.1["access_token"].as_str().unwrap().to_owned();
    let kid = decode_header(&token).unwrap().kid.unwrap();
    (token, kid)
}

async fn published(issuer: &Issuer) -> Vec<String> {
    issuer.jwks().await.keys.into_iter().map(|key| key.common.key_id.unwrap()).collect()
}

async fn rotate(issuer: &Issuer) -> String {
    let (status, made) = issuer.post("/sandbox/keys/rotate", &json!({})).await;
    assert_eq!(status, 200, "{made}");
    made["kid"].as_str().unwrap().to_owned()
}

async fn is_valid(issuer: &Issuer, token: &str) -> bool {
    claims(token, &issuer.jwks().await, &issuer.url, "quadrille").is_ok()
}

#[tokio::test(flavor = "multi_thread")]
async fn a_new_key_is_published_before_it_signs_and_the_old_one_until_its_tokens_are_over() {
    let issuer = Issuer::start().await;
    let (first, old) = token(&issuer).await;
    let new = rotate(&issuer).await;
    assert_eq!(published(&issuer).await, [new.clone(), old.clone()]);
    issuer.wait(55);
    let (second, by) = token(&issuer).await;
    assert_eq!(by, old, "the new one doesn't sign yet");
    issuer.wait(6);
    let (third, by) = token(&issuer).await;
    assert_eq!(by, new);
    for token in [&first, &second, &third] {
        assert!(is_valid(&issuer, token).await);
    }
    // ten minutes, and a minute by which clocks may differ
    issuer.wait(11 * 60);
    assert_eq!(published(&issuer).await, [new.clone(), old]);
    issuer.wait(2 * 60);
    assert_eq!(published(&issuer).await, [new]);
    assert!(!is_valid(&issuer, &first).await && is_valid(&issuer, &third).await);
    assert_eq!(issuer.db.count("signing_keys").await, 1, "a private key that nothing needs is not kept");
}

#[tokio::test(flavor = "multi_thread")]
async fn keys_are_replaced_by_time() {
    let issuer = Issuer::start().await;
    let (_, old) = token(&issuer).await;
    issuer.wait(24 * 3600 - 60);
    assert_eq!(published(&issuer).await, std::slice::from_ref(&old));
    issuer.wait(120);
    assert_eq!(token(&issuer).await.1, old);
    let both = published(&issuer).await;
    assert_eq!((both.len(), &both[1]), (2, &old));
    issuer.wait(61);
    assert_eq!(token(&issuer).await.1, both[0]);
}

#[tokio::test(flavor = "multi_thread")]
async fn there_is_one_next_key_however_often_and_at_how_many_instances_it_is_asked_for() {
    let issuer = Issuer::start().await;
    let other = issuer.another().await;
    let at_other = async || {
        let made = issuer.client.post(format!("{other}/sandbox/keys/rotate")).send().await.unwrap();
        made.json::<Value>().await.unwrap()["kid"].as_str().unwrap().to_owned()
    };
    let (one, two, three) = tokio::join!(rotate(&issuer), at_other(), rotate(&issuer));
    assert!(one == two && two == three, "{one} {two} {three}");
    assert_eq!(published(&issuer).await.len(), 2);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_restart_changes_no_key() {
    let issuer = Issuer::start().await;
    let (_, before) = token(&issuer).await;
    issuer.another().await;
    assert_eq!(published(&issuer).await, [before]);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_service_under_load_takes_every_token_while_keys_change() {
    const AT_ONCE: usize = 200;
    let issuer = Issuer::start().await;
    let keys = Arc::new(Keys::new(Source::Discovery(issuer.url.clone())).unwrap());
    let service = Verifier::new(Arc::clone(&keys), issuer.url.clone(), "quadrille".to_owned(), "roles".to_owned());
    let running = Running::start(|stop| async move { keys.run(stop).await });
    eventually("its keys are known", Duration::from_secs(20), async || service.is_able().is_ok()).await;

    let (old, _) = token(&issuer).await;
    rotate(&issuer).await;
    issuer.wait(61);
    let (new, _) = token(&issuer).await;
    // all of them come at the same time, and none of them is the first to bring the new key
    let checks = (0..AT_ONCE).map(|number| {
        let (service, token) = (service.clone(), if number % 4 == 0 { old.clone() } else { new.clone() });
        tokio::spawn(async move { service.check(&token).await.map(|token| token.sub) })
    });
    for check in checks.collect::<Vec<_>>() {
        assert_eq!(check.await.unwrap(), Ok("shop".to_owned()));
    }
    running.end().await;
}
