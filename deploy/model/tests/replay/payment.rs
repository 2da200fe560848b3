use std::time::Duration;

use diesel::sql_query;
use diesel_async::RunQueryDsl;
use payment_svc::commands::{self, Settlement};
use payment_svc::domain::{GatewayReply, Payment, RefundState, State};
use payment_svc::reactions::PaymentReactions;
use payment_svc::retries::Retries;
use payment_svc::store::{RETRY, calls, ledger, payments};
use quadrille_model::{Action, Label, Service, Trace};
use service_kit::consumer::testing::react;
use service_kit::testing::TestDb;
use service_kit::timers;
use shared_events::{OrderId, Topic};

/// Replays the trace on payment-svc, which must end with the same payment, ledger and events.
pub async fn lives(db: &TestDb, trace: &Trace) {
    let id = trace.order.placed.order_id;
    let deadline = Duration::from_secs(14 * 60);
    let reactions = PaymentReactions { deadline, relay: Default::default(), calls: Default::default() };
    for action in &trace.actions {
        match action {
            Action::Heard { service: Service::Payment, event, sequence, .. } => {
                react(&db.pool, &reactions, &super::record(event, *sequence)).await.unwrap();
            }
            Action::Did(label) if super::doer(label) == Some(Service::Payment) => answer(db, id, label).await,
            _ => {}
        }
    }
    let payment = payments::read(&mut *db.conn().await, id).await.unwrap();
    assert_eq!(essence(&payment), essence(trace.payment()));
    let entries = ledger::of(&*db.conn().await, payment.id).await.unwrap();
    let told = |operation, amount| format!("{} {amount}", calls::name_of(operation));
    let ledger: Vec<_> = trace.ledger().iter().map(|entry| told(entry.operation, entry.amount)).collect();
    assert_eq!(entries.iter().map(|entry| format!("{} {}", entry.operation, entry.amount)).collect::<Vec<_>>(), ledger);
    let said: Vec<_> = trace.said(Topic::Payments).iter().map(super::in_essence).collect();
    assert_eq!(super::said(db, id, Topic::Payments).await, said);
}

/// Applies the gateway's answer to the call that is due, or the retry of a payment.
async fn answer(db: &TestDb, order: OrderId, label: &Label) {
    let code = |code: &str| code.to_owned();
    let answer = match label.does {
        "is asked again" => {
            let (retries, key) = (Retries { calls: Default::default() }, order.to_string());
            return timers::fire_by_hand(&mut *db.conn().await, &retries, RETRY, &[&key]).await.unwrap();
        }
        "authorises" | "captures" | "voids" | "refunds" => GatewayReply::Done,
        "declines for good" => GatewayReply::No { code: code("generic_decline") },
        "fails the capture" => GatewayReply::No { code: code("charge_expired_for_capture") },
        "declines for now" => GatewayReply::NotNow { code: code("processing_error") },
        "is not asked to authorise" => GatewayReply::NotAsked,
        "lets go of what it had authorised" | "voids what nobody had heard of" => GatewayReply::LetGo,
        "does not answer and did nothing" | "does what it was asked and does not answer" => GatewayReply::Nothing,
        other => panic!("payment-svc can't be told yet that the gateway {other}"),
    };
    let conn = &mut *db.conn().await;
    let due = "update gateway_calls set due_at = now(), leased_until = null where finished_at is null";
    sql_query(due).execute(conn).await.unwrap();
    let taken = calls::take(conn, 10).await.unwrap();
    let call = taken.into_iter().find(|call| call.order_id == order).unwrap();
    commands::settle(conn, &[Settlement::of(call, answer)]).await.unwrap();
}

/// A payment without what differs in each run. Refunds count only while the payment is captured.
fn essence(payment: &Payment) -> String {
    let Payment { state, charge, hold, void_requested, unanswered, failure_code, attempts, .. } = payment;
    let refunds: Vec<(i64, RefundState)> = match state {
        State::Captured => payment.refunds.iter().map(|refund| (refund.amount.amount(), refund.state)).collect(),
        _ => vec![],
    };
    let hold = (hold.deadline.is_some(), hold.expired);
    format!("{state:?} {charge:?} {hold:?} {void_requested} {unanswered} {failure_code:?} {attempts} {refunds:?}")
}
