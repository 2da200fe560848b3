//! Customers who are waited for while webhooks are lost: what they did is looked up, with the real sandbox gateway.
#![allow(clippy::unwrap_used, reason = "a test fails by panicking")]

mod shop;

use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::Duration;

use payment_svc::domain::State;
use payment_svc::gateway::{GatewayError, IntentState, PaymentGateway, Stripe};
use payment_svc::worker::{CustomerLookUps, GatewayCalls};
use service_kit::external_calls::{ExternalCalls, Nudge, Performed, Worker};
use service_kit::testing::{Running, eventually};
use shop::gateways::{MockGateway, else_agrees, now};
use shop::sandbox::Sandbox;
use shop::{Order, Shop};

const SOON: Duration = Duration::from_secs(10);

const AUTHENTICATES: &str = "pm_card_authenticationRequired";

struct Scene<G> {
    shop: Shop<G>,
    look_ups: CustomerLookUps<G>,
    order: Order,
}

impl<G: PaymentGateway> Scene<G> {
    /// A payment that waits for its customer, of whom no webhook tells.
    async fn of(gateway: impl Fn() -> G) -> Self {
        let shop = Shop::new(gateway()).await;
        let look_ups = CustomerLookUps::new(shop.db.pool.clone(), Arc::new(gateway()), || {});
        let order = Order::new(AUTHENTICATES);
        shop.hear_and_call([order.placed(), order.reserved()]).await;
        Self { shop, look_ups, order }
    }

    /// Looks up what is due; says how many there were.
    async fn look_up_what_is_due(&self) -> usize {
        let taken = self.look_ups.take(10).await.unwrap();
        for look_up in &taken {
            self.look_ups.perform(*look_up).await.unwrap();
        }
        taken.len()
    }

    /// Lets the time of the next look-up come, and looks up.
    async fn look_up(&self) -> usize {
        self.shop.db.run("update customer_look_ups set due_at = now()").await;
        self.look_up_what_is_due().await
    }

    async fn deadline_passes(&self) {
        self.shop.db.run("update payments set deadline = now() - interval '1 second'").await;
    }

    /// A time of the database's, in seconds.
    async fn seconds(&self, time: &str) -> f64 {
        self.shop.db.row(&format!("select extract(epoch from {time})::float8")).await
    }

    /// In how many seconds each look-up is due.
    async fn waits(&self) -> Vec<f64> {
        self.shop.db.rows("select extract(epoch from due_at - now())::float8 from customer_look_ups").await
    }
}

async fn at_the_sandbox() -> (Sandbox, Scene<Stripe>) {
    let sandbox = Sandbox::start().await;
    let scene = Scene::of(|| sandbox.adapter()).await;
    (sandbox, scene)
}

#[tokio::test(flavor = "multi_thread")]
async fn race_customer_acts_unheard_and_is_found_by_a_look_up_and_charged_once() {
    let (sandbox, scene) = at_the_sandbox().await;
    assert_eq!(scene.look_up().await, 1);
    assert_eq!(scene.shop.said().await, ["payment.action_required.v1"], "still waited for");
    sandbox.authenticate(&scene.shop.intent(&scene.order).await, "succeed").await;
    assert_eq!(scene.look_up().await, 1);
    assert_eq!(scene.shop.said().await[1..], ["authorized 2598"]);
    assert_eq!(scene.look_up().await, 0, "nobody is waited for any more");
    assert_eq!(sandbox.journal(&scene.order).await, scene.shop.ledger(&scene.order).await);
}

#[tokio::test(flavor = "multi_thread")]
async fn race_customer_acts_unheard_and_one_who_failed_is_declined_once_their_intent_is_ended() {
    let (sandbox, scene) = at_the_sandbox().await;
    sandbox.authenticate(&scene.shop.intent(&scene.order).await, "fail").await;
    scene.look_up().await;
    scene.shop.call_gateway().await;
    assert_eq!(scene.shop.said().await[1..], ["declined payment_intent_authentication_failure false"]);
    assert_eq!(scene.look_up().await, 0);
}

#[tokio::test(flavor = "multi_thread")]
async fn race_customer_acts_unheard_and_one_who_never_does_is_declined_as_such_at_the_deadline() {
    let (sandbox, scene) = at_the_sandbox().await;
    scene.deadline_passes().await;
    scene.look_up().await;
    scene.shop.call_gateway().await;
    assert_eq!(scene.shop.said().await[1..], ["declined authentication_timeout false"]);
    assert_eq!(sandbox.status(&scene.shop.intent(&scene.order).await).await, "canceled");
    assert!(sandbox.journal(&scene.order).await.is_empty());
    assert_eq!(scene.look_up().await, 0);
}

#[tokio::test(flavor = "multi_thread")]
async fn race_customer_acts_unheard_just_before_the_deadline_and_has_bought() {
    let (sandbox, scene) = at_the_sandbox().await;
    sandbox.authenticate(&scene.shop.intent(&scene.order).await, "succeed").await;
    scene.deadline_passes().await;
    scene.look_up().await;
    assert_eq!(scene.shop.said().await[1..], ["authorized 2598"]);
}

/// They are given up, or failed, and act before the gateway is asked to end their intent.
#[tokio::test(flavor = "multi_thread")]
async fn race_customer_acts_unheard_before_their_intent_is_ended_and_may_still_cancel_their_order() {
    let (sandbox, scene) = at_the_sandbox().await;
    scene.deadline_passes().await;
    scene.look_up().await;
    assert_eq!(scene.shop.payment(&scene.order).await.state, State::Closing);
    sandbox.authenticate(&scene.shop.intent(&scene.order).await, "succeed").await;
    scene.shop.call_gateway().await;
    assert_eq!(scene.shop.said().await[1..], ["authorized 2598"]);
    assert_eq!(scene.shop.decided().await[1..], ["void authorised_after_all"]);
    scene.shop.hear_and_call([scene.order.released()]).await;
    assert_eq!(scene.shop.said().await[2..], ["voided 2598"]);
    assert_eq!(sandbox.journal(&scene.order).await, scene.shop.ledger(&scene.order).await);
}

#[tokio::test(flavor = "multi_thread")]
async fn race_customer_acts_unheard_after_the_goods_were_given_back_and_is_charged_nothing() {
    let (sandbox, scene) = at_the_sandbox().await;
    scene.deadline_passes().await;
    scene.look_up().await;
    scene.shop.hear([scene.order.released()]).await;
    sandbox.authenticate(&scene.shop.intent(&scene.order).await, "succeed").await;
    scene.shop.call_gateway().await;
    assert_eq!(scene.shop.said().await[1..], ["voided 0"]);
    let operations = |lines: Vec<String>| lines.iter().map(|line| line.split(' ').next().unwrap().to_owned()).collect();
    let journal: Vec<String> = operations(sandbox.journal(&scene.order).await);
    assert_eq!(journal, ["authorise", "void"]);
    assert_eq!(operations(scene.shop.ledger(&scene.order).await), journal);
}

#[tokio::test(flavor = "multi_thread")]
async fn nobody_is_given_up_without_the_gateways_word() {
    let silent = || {
        let mut gateway = MockGateway::new();
        gateway.expect_confirm().returning(|_, _, _| now(Ok(IntentState::ActionRequired { url: None })));
        gateway.expect_look_up().returning(|_| now(Err(GatewayError::NoAnswer("timed out".to_owned()))));
        else_agrees(gateway)
    };
    let scene = Scene::of(silent).await;
    scene.deadline_passes().await;
    scene.look_up().await;
    assert_eq!(scene.shop.payment(&scene.order).await.state, State::ActionRequired);
    assert_eq!(scene.waits().await.len(), 1, "asked again later");
}

#[tokio::test(flavor = "multi_thread")]
async fn look_ups_come_more_seldom_and_never_later_than_the_deadline() {
    let (_sandbox, scene) = at_the_sandbox().await;
    let first = scene.waits().await[0];
    assert!(first <= 2.0, "{first}");
    for _ in 0..5 {
        scene.look_up().await;
    }
    let before = scene.seconds("clock_timestamp()").await;
    scene.look_up().await;
    let after = scene.seconds("clock_timestamp()").await;
    let due = scene.seconds("(select due_at from customer_look_ups)").await;
    assert!(due >= before + 7.5 && due <= after + 15.0, "{before} {after} {due}");
    scene.shop.db.run("update customer_look_ups set due_at = now() + interval '1 hour'").await;
    assert_eq!(scene.look_up_what_is_due().await, 0, "not due");
    scene.shop.db.run("update payments set deadline = now() + interval '3 seconds'").await;
    scene.look_up().await;
    let due = scene.waits().await[0];
    assert!(due <= 3.0, "{due}");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_look_up_that_finds_a_customer_still_waited_for_is_put_off_and_so_the_worker_asks_when_it_is_due() {
    let (sandbox, scene) = at_the_sandbox().await;
    for (acts, performed) in [(false, Performed::PutOff), (true, Performed::Done)] {
        if acts {
            sandbox.authenticate(&scene.shop.intent(&scene.order).await, "succeed").await;
        }
        scene.shop.db.run("update customer_look_ups set due_at = now()").await;
        let look_up = scene.look_ups.take(1).await.unwrap().remove(0);
        assert_eq!(scene.look_ups.perform(look_up).await.unwrap(), performed);
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn who_looks_customers_up_is_woken_when_one_is_to_be_waited_for() {
    let sandbox = Sandbox::start().await;
    let shop = Shop::new(sandbox.adapter()).await;
    let (gateway, customers) = (Arc::new(sandbox.adapter()), Nudge::default());
    let look_ups = CustomerLookUps::new(shop.db.pool.clone(), gateway.clone(), || {});
    let seen = Arc::new(AtomicUsize::new(0));
    let worker = Worker::new("customers", Seen(look_ups, seen.clone()), 1).woken_by(customers.clone());
    let worker = Running::start(|stop| worker.run(stop));
    eventually("it has asked, and waits five seconds", SOON, async || AtomicUsize::load(&seen, Ordering::SeqCst) == 1)
        .await;
    let calls = GatewayCalls::new(shop.db.pool.clone(), gateway, || {}).waking(customers);
    let order = Order::new(AUTHENTICATES);
    shop.hear([order.placed(), order.reserved()]).await;
    calls.perform(calls.take(1).await.unwrap().remove(0)).await.unwrap();
    eventually("it asks again", Duration::from_secs(3), async || AtomicUsize::load(&seen, Ordering::SeqCst) >= 2).await;
    worker.end().await;
}

/// Counts how often it is asked when the next look-up is due.
struct Seen(CustomerLookUps<Stripe>, Arc<AtomicUsize>);

impl ExternalCalls for Seen {
    type Call = <CustomerLookUps<Stripe> as ExternalCalls>::Call;
    type Made = <CustomerLookUps<Stripe> as ExternalCalls>::Made;

    async fn take(&self, limit: usize) -> anyhow::Result<Vec<Self::Call>> {
        self.0.take(limit).await
    }

    async fn next_due(&self) -> anyhow::Result<Option<Duration>> {
        self.1.fetch_add(1, Ordering::SeqCst);
        self.0.next_due().await
    }

    async fn make(&self, call: Self::Call) -> Self::Made {
        self.0.make(call).await
    }

    async fn settle(&self, made: &[Self::Made]) -> anyhow::Result<Vec<Performed>> {
        self.0.settle(made).await
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn two_workers_never_look_up_the_same_customer() {
    let (_sandbox, scene) = at_the_sandbox().await;
    scene.shop.db.run("update customer_look_ups set due_at = now()").await;
    assert_eq!(scene.look_ups.take(10).await.unwrap().len(), 1);
    assert_eq!(scene.look_ups.take(10).await.unwrap().len(), 0);
}
