//! `down` with orders in flight, then `up`: they are all there and come to their ends.

use std::time::Instant;

use anyhow::ensure;
use quadrille::service::Service;

use super::super::engine;
use super::super::load::Load;
use super::super::stack::Stack;
use super::super::tour::{Kind, Tour};
use super::{SETTLES, profiles, up};

const ORDERS: usize = 50;

pub(in crate::compose_test) async fn try_out(stack: &Stack, load: &Load, tour: &mut Tour) -> anyhow::Result<String> {
    load.rest();
    load.book.settled(SETTLES).await?;
    // without stock-svc no order can come to its end, so all of these are in flight when everything goes down
    engine::docker(&["kill", "--signal", "KILL", &stack.only(Service::StockSvc.name()).await?.id]).await?;
    load.burst(ORDERS);
    load.accepts(ORDERS - ORDERS / 10).await?;
    let open = load.book.in_flight();
    let began = Instant::now();
    tour.run(Kind::Down).await?;
    profiles::all_gone(stack).await?;
    let down = began.elapsed();
    let told = up::try_out(stack, tour).await?;
    load.go_on();
    let well = Instant::now();
    load.book.settled(SETTLES).await?;
    ensure!(open >= ORDERS / 2, "only {open} orders were in flight");
    Ok(format!(
        "{open} orders in flight; down in {:.0} s; {told}; all ended {:.1} s later",
        down.as_secs_f64(),
        well.elapsed().as_secs_f64()
    ))
}
