//! `quadrille demo`: what can happen to an order, one after the other, with the events that flowed. On a running shop.

mod scenes;
mod told;

use std::{collections::BTreeMap, io::Write, time::Duration};

use anyhow::{Context, ensure};
use clap::Args;

use self::scenes::{SCENES, Scene};
use crate::addresses::Addresses;
use crate::api::{Api, OrderDraft, PATIENCE};
use crate::cluster::{Cluster, ClusterArgs};
use crate::order::events_of;
use crate::records::Record;

/// Whose orders these are. They name nothing else of the customer, whose profile has name and address.
const CUSTOMER: &str = "c-demo";
/// How long one request may take.
const ANSWERS_WITHIN: Duration = Duration::from_secs(15);
const LOOK_AGAIN: Duration = Duration::from_millis(300);

/// What to play.
#[derive(Debug, Args)]
pub struct DemoArgs {
    /// Only the scenes whose name contains this.
    #[arg(long, value_name = "TEXT", default_value = "")]
    only: String,
    #[command(flatten)]
    cluster: ClusterArgs,
}

/// The shop that it is played in.
struct Stage {
    api: Api,
    cluster: Cluster,
}

/// Plays the scenes and tells each one's events to `out`. Fails if an order ends otherwise than it should.
pub async fn demo(arguments: &DemoArgs, out: &mut impl Write) -> anyhow::Result<()> {
    let data = arguments.cluster.data();
    let addresses = Addresses::read(data)?
        .with_context(|| format!("no shop runs in {}: start it with `quadrille up`", data.display()))?;
    let urls: BTreeMap<_, _> = addresses.services.into_iter().map(|(name, address)| (name, address.url)).collect();
    let api = Api::new(urls, ANSWERS_WITHIN)?;
    api.set_profile(CUSTOMER).await?;
    let stage = Stage { api, cluster: arguments.cluster.cluster()? };
    let wanted: Vec<_> = SCENES.iter().filter(|scene| scene.name.contains(&arguments.only)).collect();
    ensure!(!wanted.is_empty(), "no scene's name contains {:?}: {}", arguments.only, names());
    for (number, scene) in wanted.iter().enumerate() {
        writeln!(out, "\n{}/{}  {}", number + 1, wanted.len(), scene.name)?;
        writeln!(out, "     {}", scene.about)?;
        stage.play(scene, out).await.with_context(|| format!("the scene {:?}", scene.name))?;
    }
    Ok(())
}

fn names() -> String {
    SCENES.iter().map(|scene| scene.name).collect::<Vec<_>>().join(", ")
}

impl Stage {
    async fn play(&self, scene: &Scene, out: &mut impl Write) -> anyhow::Result<()> {
        let wish = OrderDraft {
            payment_method: scene.payment_method,
            quantity: scene.quantity,
            customer: CUSTOMER,
            by_profile: true,
            ..OrderDraft::default()
        };
        let order = self.api.place(&wish).await?;
        writeln!(out, "     order {order}\n")?;
        out.flush()?;
        (scene.act)(&self.api, &order).await?;
        let events = self.events_up_to(&order, scene.last).await?;
        for event in &events {
            let name = event.event_type.trim_end_matches(".v1");
            let source = event.source.trim_start_matches('/');
            writeln!(out, "     {name:<26} {source:<17} {}", told::meaning(name))?;
        }
        let moved = self.api.effects_on(&order).await?;
        if !moved.is_empty() {
            let moved: Vec<_> = moved.iter().map(|(operation, cents)| told::money(operation, *cents)).collect();
            writeln!(out, "\n     the gateway's journal: {}", moved.join(", "))?;
        }
        let ended = self.api.order(&order).await?;
        let reason = ended["reason"].as_str().map(|reason| format!(" ({reason})")).unwrap_or_default();
        Ok(writeln!(out, "\n     => {}{reason}. {}", ended["status"].as_str().unwrap_or("?"), scene.moral)?)
    }

    /// The order's events, once the last one is there. Mails are left out: every order has them.
    async fn events_up_to(&self, order: &str, last: &str) -> anyhow::Result<Vec<Record>> {
        let id = order.parse().with_context(|| format!("{order:?} is no id"))?;
        let until = tokio::time::Instant::now() + PATIENCE;
        loop {
            let mut events = events_of(&self.cluster, id).await?;
            events.retain(|event| event.topic != "notifications.v1");
            if events.iter().any(|event| event.event_type == format!("{last}.v1")) {
                return Ok(events);
            }
            ensure!(tokio::time::Instant::now() < until, "{last} was not said within {PATIENCE:?}");
            tokio::time::sleep(LOOK_AGAIN).await;
        }
    }
}
