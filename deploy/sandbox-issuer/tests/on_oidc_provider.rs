//! What is true of the sandbox issuer, on npm's `oidc-provider`, which the OpenID Foundation has certified. `make
//! test-oidc-provider` fetches it and runs this; the feature `oidc-provider` keeps it out of everything else, so that nothing
//! seems to pass that did not run.
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic, reason = "a test fails by panicking")]

#[path = "openid_connect/any_issuer.rs"]
mod any_issuer;

use std::io::{BufRead, BufReader};
use std::process::{Child, Command, Stdio};

use any_issuer::AnyIssuer;

/// A provider of its own on a free port, ended with the test.
struct Provider {
    url: String,
    process: Child,
}

impl Provider {
    fn start() -> Self {
        let folder =
            std::env::var("OIDC_PROVIDER").expect("OIDC_PROVIDER is a folder with it: make test-oidc-provider");
        let mut command = Command::new("node");
        command.arg("provider.mjs").current_dir(folder).stdout(Stdio::piped());
        let mut process = command.spawn().expect("node runs");
        let mut lines = BufReader::new(process.stdout.take().unwrap()).lines().map_while(Result::ok);
        let url = lines.find_map(|line| line.strip_prefix("listening at ").map(str::to_owned));
        let url = url.expect("the provider says where it listens");
        // Read on: a pipe that nobody reads would end it.
        std::thread::spawn(move || lines.for_each(drop));
        Self { url, process }
    }

    /// Its pages take any password, and know people by their `sub`.
    async fn issuer(&self) -> AnyIssuer {
        AnyIssuer::at(&self.url, "c-1001", "any").await
    }
}

impl Drop for Provider {
    fn drop(&mut self) {
        let _ended_before = self.process.kill();
        let _reaped = self.process.wait();
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_certified_issuer_knows_machines() {
    let provider = Provider::start();
    provider.issuer().await.knows_machines().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_certified_issuer_signs_people_in() {
    let provider = Provider::start();
    provider.issuer().await.signs_people_in().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_certified_issuer_guards_codes() {
    let provider = Provider::start();
    provider.issuer().await.guards_codes().await;
}
