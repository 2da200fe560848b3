//! A look at what is new: it sees what is broken of new orders and of the stock, and leaves the rest to a whole look.

use std::collections::BTreeSet;
use std::time::Duration;

use chrono::{DateTime, Utc};
use tokio_util::sync::CancellationToken;

use super::generated::{COMPLETED_EACH, Generated};
use crate::audit::start::{Looked, SLACK, Start, id_before};
use crate::audit::{Options, Sources, look_with};
use crate::service::Service;

const ORDERS: u64 = 3_000;
/// The first that is new.
const FIRST: u64 = 2_000;

async fn look(shop: &Generated, sources: &Sources, since: Option<DateTime<Utc>>, journal: Option<&str>) -> Looked {
    let pause = Duration::from_millis(1);
    let options = Options { orders: 200, pause, since, after: since.map(id_before), ..Options::default() };
    let start = Start { journal: journal.map(str::to_owned), ..Start::default() };
    let topics = Ok(Box::new(shop.topics(&[])) as _);
    look_with(sources, topics, options, start, &CancellationToken::new()).await.unwrap()
}

fn found(looked: &Looked) -> BTreeSet<(u8, String)> {
    looked.audit.rules.iter().flat_map(|rule| &rule.broken).map(|finding| (finding.rule, finding.of.clone())).collect()
}

#[tokio::test(flavor = "multi_thread")]
async fn a_look_at_what_is_new_sees_new_orders_and_every_stock_level() {
    let shop = Generated::of(ORDERS).await;
    let stop = CancellationToken::new();
    let _until = stop.clone().drop_guard();
    let sources = shop.sources(&stop);
    let since = DateTime::from_timestamp_millis((shop.began + FIRST).cast_signed());
    let well = look(&shop, &sources, since, None).await;
    assert_eq!((found(&well), well.audit.holds), (BTreeSet::new(), true));
    let count = ORDERS - FIRST;
    assert_eq!(well.audit.rules[5].figures, format!("{count} orders, {count} of them ended"));

    // Money of an old order and of a new one, a level, and an announcement that is nowhere.
    for order in [0, FIRST + COMPLETED_EACH] {
        let refund = format!(
            "insert into refunds (refund_id, payment_id, amount, state) values (gen_random_uuid(), '{}', 501, 'done')",
            shop.event(order, 98)
        );
        shop.run(Service::PaymentSvc, &refund).await;
    }
    shop.run(Service::StockSvc, "update stock_levels set on_hand = on_hand + 1 where sku = 'SKU-7'").await;
    shop.run(Service::StockSvc, "update products set products_said = 2 where sku = 'SKU-8'").await;
    let new = found(&look(&shop, &sources, since, None).await);
    assert!(new.contains(&(1, format!("order {}", shop.id(FIRST + COMPLETED_EACH)))), "{new:?}");
    assert!(new.contains(&(4, "SKU SKU-7".to_owned())), "{new:?}");
    let old = [format!("order {}", shop.id(0)), "SKU SKU-8".to_owned()];
    assert!(!new.iter().any(|(_, of)| old.contains(of)), "{new:?}");
    let all = found(&look(&shop, &sources, None, None).await);
    assert!(new.is_subset(&all) && old.iter().all(|old| all.iter().any(|(_, of)| of == old)), "{all:?}");
}

#[tokio::test(flavor = "multi_thread")]
async fn the_gateways_journal_is_read_from_where_what_is_new_begins() {
    let shop = Generated::of(ORDERS).await;
    let stop = CancellationToken::new();
    let _until = stop.clone().drop_guard();
    let sources = shop.sources(&stop);
    let since = DateTime::from_timestamp_millis((shop.began + FIRST).cast_signed());
    // Two lines for each order that was completed.
    let lines = usize::try_from(FIRST / COMPLETED_EACH * 2).unwrap();
    let part = look(&shop, &sources, since, Some(&lines.to_string())).await;
    assert_eq!((found(&part), part.audit.holds), (BTreeSet::new(), true));
    let too_late = look(&shop, &sources, since, Some(&(lines + 4).to_string())).await;
    assert!(found(&too_late).iter().any(|(rule, _)| *rule == 2), "the lines of two new orders are missing");
    let mark = part.mark.unwrap();
    assert!(mark.cursor.parse::<usize>().unwrap() >= lines && Utc::now() - mark.at < SLACK);
}
