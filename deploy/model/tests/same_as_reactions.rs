//! The explorer and the services agree. Random lives of orders are replayed on the real reactions, commands and
//! timers with PostgreSQL, and end with the same rows and events.
#![allow(clippy::unwrap_used, clippy::panic, reason = "a test fails by panicking")]
#![allow(clippy::print_stdout, reason = "the seeds are for whoever wants to tell the same lives again")]

mod replay;
mod scenes;

use quadrille_model::{Play, Trace};
use service_kit::testing::TestDb;

const LIVES: u64 = 40;
const ON_HAND: i64 = 3;

/// Random lives of orders, from consecutive seeds.
fn traces(play: &Play) -> impl Iterator<Item = Trace> {
    let first = scenes::first_seed(LIVES);
    println!("seeds {first} to {} (DANCE_SEED={first} tells them again)", first + LIVES - 1);
    (first..first + LIVES).map(|seed| Trace::tell(play, u128::from(seed), ON_HAND, seed))
}

#[tokio::test(flavor = "multi_thread")]
async fn order_svc_lives_as_the_explorer_says() {
    let db = TestDb::new(&order_svc::migrations()).await;
    for trace in traces(&scenes::TOLD) {
        replay::order::lives(&db, &trace).await;
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn stock_svc_lives_as_the_explorer_says() {
    for trace in traces(&scenes::TOLD) {
        let db = replay::stock::warehouse(&trace, ON_HAND).await;
        replay::stock::lives(&db, &trace).await;
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn payment_svc_lives_as_the_explorer_says() {
    let db = TestDb::new(&payment_svc::migrations()).await;
    for trace in traces(&scenes::TOLD) {
        replay::payment::lives(&db, &trace).await;
    }
}
