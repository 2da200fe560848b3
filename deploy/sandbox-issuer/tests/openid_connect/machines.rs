//! Client credentials: machines that are somebody by themselves.

use serde_json::{Value, json};

use crate::{Issuer, answer};

#[tokio::test(flavor = "multi_thread")]
async fn a_machine_gets_a_token_with_its_scopes_and_no_role() {
    let issuer = Issuer::start().await;
    let post = || issuer.client.post(format!("{}/token", issuer.url)).form(&[("grant_type", "client_credentials")]);
    let by_header = answer(post().basic_auth("warehouse", Some("sandbox-warehouse")).send().await.unwrap()).await;
    for (status, token) in [by_header, issuer.machine("warehouse").await] {
        assert_eq!((status, token.get("refresh_token")), (200, None), "{token}");
        let claims = issuer.claims(&token["access_token"]).await;
        assert_eq!((&claims["sub"], &claims["client_id"]), (&json!("warehouse"), &json!("warehouse")));
        assert_eq!((&claims["scope"], &claims["roles"]), (&json!("stock.read stock.write"), &json!([])));
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_machine_can_ask_for_less_and_not_for_what_is_another_s() {
    let issuer = Issuer::start().await;
    let asks = async |scope: &str| {
        let client = [("client_id", "shop"), ("client_secret", "sandbox-shop")];
        issuer.token(&[&client[..], &[("grant_type", "client_credentials"), ("scope", scope)]].concat()).await
    };
    assert_eq!(asks("orders.read").await.1["scope"], "orders.read");
    for scope in ["stock.write", "orders.read stock.write", "everything", "openid"] {
        let (status, refused) = asks(scope).await;
        assert_eq!((status, &refused["error"]), (400, &json!("invalid_scope")), "{scope}");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn whoever_does_not_know_the_secret_is_nobody_and_a_program_of_people_is_no_machine() {
    let issuer = Issuer::start().await;
    let grant = ("grant_type", "client_credentials");
    for (form, status, error) in [
        (vec![grant, ("client_id", "shop"), ("client_secret", "wrong")], 401, "invalid_client"),
        (vec![grant, ("client_id", "shop")], 401, "invalid_client"),
        (vec![grant, ("client_id", "nobody"), ("client_secret", "sandbox-shop")], 401, "invalid_client"),
        (vec![grant, ("client_id", "quadrille-cli"), ("client_secret", "x")], 401, "invalid_client"),
        (vec![grant], 400, "invalid_request"),
        (vec![grant, ("client_id", "quadrille-cli")], 400, "unauthorized_client"),
        (vec![("client_id", "shop"), ("client_secret", "sandbox-shop")], 400, "invalid_request"),
    ] {
        let (answered, refused) = issuer.token(&form).await;
        assert_eq!((answered, &refused["error"]), (status, &json!(error)), "{form:?}");
    }
    let code = [("grant_type", "authorization_code"), ("client_id", "shop"), ("client_secret", "sandbox-shop")];
    assert_eq!(issuer.token(&code).await.1["error"], "unauthorized_client");
}

#[tokio::test(flavor = "multi_thread")]
async fn guessing_secrets_is_slowed_down_and_using_them_is_not() {
    let issuer = Issuer::start().await;
    for _ in 0..30 {
        assert_eq!(issuer.machine("shop").await.0, 200);
    }
    let guess = async || -> (u16, Value) {
        let form = [("grant_type", "client_credentials"), ("client_id", "shop"), ("client_secret", "wrong")];
        issuer.token(&form).await
    };
    for _ in 0..20 {
        assert_eq!(guess().await.0, 401);
    }
    assert_eq!(guess().await.0, 429);
}
