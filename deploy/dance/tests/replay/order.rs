use diesel_async::AsyncConnection;
use order_svc::commands;
use order_svc::reactions::OrderReactions;
use order_svc::store;
use outbox_relay::Nudge;
use quadrille_dance::{Deed, Service, Tale};
use service_kit::consumer::testing::react;
use service_kit::testing::TestDb;
use shared_events::Topic;

/// order-svc lives through the tale and ends with the same order, having said the same.
pub async fn lives(db: &TestDb, tale: &Tale) {
    let id = tale.order.placed.order_id;
    let reactions = OrderReactions::new(Nudge::default());
    db.conn().await.transaction(async |conn| store::orders::insert(conn, &tale.order).await).await.unwrap();
    for deed in &tale.deeds {
        match deed {
            Deed::Heard { service: Service::Order, event, sequence, .. } => {
                react(&db.pool, &reactions, &super::record(event, *sequence)).await.unwrap();
            }
            Deed::Did(label) if super::doer(label) == Some(Service::Order) => match label.does {
                "cancels" => drop(commands::cancel_order(&db.pool, id).await.unwrap()),
                _ => {
                    let time_out =
                        db.conn().await.transaction(async |conn| commands::time_out_order(conn, id).await).await;
                    time_out.unwrap();
                }
            },
            _ => {}
        }
    }
    let order = store::orders::find(&mut *db.conn().await, id).await.unwrap().unwrap();
    assert_eq!(&order.progress, tale.progress());
    let said = super::said(db, id, Topic::Orders).await;
    assert_eq!(said[1..], tale.said(Topic::Orders).iter().map(super::in_essence).collect::<Vec<_>>());
}
