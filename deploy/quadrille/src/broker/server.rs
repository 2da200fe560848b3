//! Listens, as tansu's own broker does, with fetches that wait for records.

use std::{net::Ipv4Addr, sync::Arc, time::Duration, time::SystemTime};

use anyhow::Context as _;
use rama_core::{Context, Layer, Service};
use tansu_broker::Error;
use tansu_broker::coordinator::group::administrator::Controller;
use tansu_broker::service::{auth, coordinator, storage};
use tansu_service::{BytesFrameLayer, FrameRouteService, TcpBytesLayer, TcpContext, TcpContextLayer};
use tansu_storage::{BrokerRegistrationRequest, Storage};
use tokio::net::TcpListener;
use tokio::task::JoinSet;
use tokio::time::{MissedTickBehavior, interval, sleep};
use uuid::Uuid;

use super::{CLUSTER, NODE, exact::Exact, long_poll::LongPoll};

/// How often what topics no longer keep is thrown away.
const UPKEEP: Duration = Duration::from_secs(10 * 60);
/// After a connection that can't be taken, as when there are too many open files.
const PAUSE: Duration = Duration::from_millis(100);

/// Serves whoever connects, for ever. Fails if the port is taken, or the store doesn't work.
pub(super) async fn serve(port: u16, store: Exact) -> anyhow::Result<()> {
    let registration = BrokerRegistrationRequest {
        broker_id: NODE,
        cluster_id: CLUSTER.to_owned(),
        incarnation_id: Uuid::now_v7(),
        rack: None,
    };
    store.register_broker(registration).await.context("the embedded broker's storage")?;
    let routes = routes(&store).context("the embedded broker's services")?;
    let layers = (
        TcpContextLayer::new(TcpContext::default().cluster_id(Some(CLUSTER.to_owned()))),
        TcpBytesLayer::default(),
        BytesFrameLayer::default(),
    );
    let service = Arc::new(layers.into_layer(LongPoll { store: store.clone(), routes }));
    let listener = TcpListener::bind((Ipv4Addr::LOCALHOST, port)).await?;
    let mut upkeep = interval(UPKEEP);
    upkeep.set_missed_tick_behavior(MissedTickBehavior::Delay);
    let mut connections = JoinSet::new();
    loop {
        tokio::select! {
            accepted = listener.accept() => {
                let Ok((stream, _)) = accepted.and_then(|accepted| accepted.0.set_nodelay(true).map(|()| accepted)) else {
                    sleep(PAUSE).await;
                    continue;
                };
                let service = Arc::clone(&service);
                connections.spawn(async move {
                    // mostly that the client has gone
                    if let Err(error) = service.serve(Context::default(), stream).await {
                        tracing::debug!(%error, "a connection of the embedded broker ended");
                    }
                });
            }
            Some(_) = connections.join_next() => {}
            _ = upkeep.tick() => {
                if let Err(error) = store.maintain(SystemTime::now()).await {
                    tracing::warn!(%error, "the embedded broker keeps what it need not");
                }
            }
        }
    }
}

fn routes(store: &Exact) -> Result<FrameRouteService<(), Error>, Error> {
    let groups = Controller::with_storage(store.clone())?;
    let builder = storage::services(FrameRouteService::builder(), store.clone())?;
    let builder = auth::services(coordinator::services(builder, groups)?)?;
    Ok(builder.build()?)
}
