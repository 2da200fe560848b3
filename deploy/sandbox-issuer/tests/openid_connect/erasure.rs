//! Accounts that are deleted.

use serde_json::{Value, json};

use crate::{Issuer, answer};

const STRONG: &str = "correct horse battery staple";

impl Issuer {
    async fn delete(&self, account: &str, client: &str, secret: &str) -> (u16, Value) {
        let request = self.client.delete(format!("{}/sandbox/accounts/{account}", self.url));
        answer(request.basic_auth(client, Some(secret)).send().await.unwrap()).await
    }

    async fn erase(&self, account: &str) -> (u16, Value) {
        self.delete(account, "erasure", "sandbox-erasure").await
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn an_account_goes_with_its_sessions_and_nothing_tells_of_the_person() {
    let issuer = Issuer::start().await;
    let new = json!({"email": "zoe.quill@example.org", "password": STRONG, "name": "Zoë Quill"});
    let account = issuer.account("register", new.clone()).await.1["id"].as_str().unwrap().to_owned();
    let mut refresh = vec![];
    for _ in 0..2 {
        refresh.push(issuer.login("zoe.quill@example.org", STRONG).await.1["refresh_token"].clone());
    }
    issuer.login("zoe.quill@example.org", "wrong").await;
    assert_eq!(issuer.erase(&account).await, (200, json!({"accounts": 1, "sessions": 2})));
    assert_eq!(issuer.erase(&account).await, (200, json!({"accounts": 0, "sessions": 0})), "it can be asked again");
    for token in refresh {
        let (status, ended) = issuer.account("refresh", json!({"refresh_token": token})).await;
        assert_eq!((status, &ended["code"]), (401, &json!("refresh_token_unknown")));
    }
    assert_eq!(issuer.login("zoe.quill@example.org", STRONG).await.0, 401);
    for table in ["accounts", "sessions", "authorization_codes", "attempts"] {
        let named = format!("{table} one where one::text ilike '%quill%' or one::text ilike '%{account}%'");
        assert_eq!(issuer.db.count(&named).await, 0, "{table}");
    }
    assert_eq!(issuer.account("register", new).await.0, 201, "the address is free again");
}

#[tokio::test(flavor = "multi_thread")]
async fn whoever_is_there_from_the_start_does_not_come_back_with_the_next_start() {
    let issuer = Issuer::start().await;
    assert_eq!(issuer.erase("c-1001").await.1["accounts"], 1);
    issuer.another().await;
    assert_eq!(issuer.login("ann@example.com", "sandbox-ann").await.0, 401);
    assert_eq!(issuer.login("ben@example.com", "sandbox-ben").await.0, 200, "the others are there");
}

#[tokio::test(flavor = "multi_thread")]
async fn nobody_deletes_accounts_but_the_client_that_may() {
    let issuer = Issuer::start().await;
    for (client, secret, status) in [
        ("erasure", "wrong", 401),
        ("nobody", "sandbox-erasure", 401),
        ("quadrille-cli", "x", 401),
        ("shop", "sandbox-shop", 403),
        ("backoffice", "sandbox-backoffice", 403),
    ] {
        assert_eq!(issuer.delete("c-1001", client, secret).await.0, status, "{client}");
    }
    let url = format!("{}/sandbox/accounts/c-1001", issuer.url);
    assert_eq!(issuer.client.delete(&url).send().await.unwrap().status().as_u16(), 401);
    let (_, tokens) = issuer.login("olga@example.com", "sandbox-olga").await;
    let token = tokens["access_token"].as_str().unwrap();
    assert_eq!(issuer.client.delete(&url).bearer_auth(token).send().await.unwrap().status().as_u16(), 400);
    assert_eq!(issuer.login("ann@example.com", "sandbox-ann").await.0, 200);
}
