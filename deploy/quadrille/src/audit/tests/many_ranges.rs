//! An audit of many ranges of orders: what is in memory at once, what it finds wherever it lies, and that one that was
//! stopped goes on.

use std::{collections::BTreeSet, time::Duration};

use tokio_util::sync::CancellationToken;

use super::generated::{COMPLETED_EACH, Generated, PRODUCTS};
use crate::audit::topics::Topics;
use crate::audit::{Audit, Options, Sources, look_with};
use crate::service::Service;

const ORDERS: u64 = 20_100;
/// Of one completed order: rows of the databases, journal, events, and events of inboxes.
const OF_ONE: usize = 70;

fn options() -> Options {
    Options { orders: 200, ranges: 30, pause: Duration::from_millis(1), ..Options::default() }
}

async fn audit(sources: &Sources, topics: impl Topics + 'static, options: Options, stop: &CancellationToken) -> Audit {
    look_with(sources, Ok(Box::new(topics)), options, stop).await.unwrap()
}

/// By rule, of what something is said.
fn found(audit: &Audit) -> BTreeSet<(u8, String)> {
    audit.rules.iter().flat_map(|rule| &rule.broken).map(|finding| (finding.rule, finding.of.clone())).collect()
}

/// Breaks something for each rule, most of it of three orders: one of the first range, one of the middle, one of the tail.
async fn broken(shop: &mut Generated) -> (BTreeSet<(u8, String)>, Vec<(u64, u64)>) {
    let (mut expected, mut lost) = (BTreeSet::new(), vec![]);
    for (place, first) in [0, 10_000, ORDERS - 100].into_iter().enumerate() {
        let order = |number: u64| first + number % 5 * COMPLETED_EACH;
        let named = |number: u64| format!("order {}", shop.id(order(number)));
        let sku = |number: u64| format!("SKU-{}", order(number) % PRODUCTS);
        let id = |number: u64| shop.id(order(number));

        let payment = shop.event(order(0), 98);
        let refund = format!(
            "insert into refunds (refund_id, payment_id, amount, state) values (gen_random_uuid(), '{payment}', 5, 'done')"
        );
        shop.run(Service::PaymentSvc, &refund).await;
        let unheard = format!("delete from inbox where event_id = '{}'", shop.event(order(0), 2));
        shop.run(Service::PaymentSvc, &unheard).await;
        expected.extend([(1, named(0)), (9, named(0))]);

        let gone =
            format!("delete from shipments where order_id = '{0}'; delete from orders where order_id = '{0}'", id(1));
        let altered = format!("update movements set quantity = -2 where order_id = '{}'", id(2));
        let unpaid = format!("update shipments set status = 'lost' where order_id = '{}'", id(3));
        let unsaid = format!("update products set products_said = 2 where sku = '{}'", sku(4));
        let level = format!("update stock_levels set on_hand = on_hand + 1 where sku = '{}'", sku(4));
        for sql in [gone, altered, unpaid, unsaid, level] {
            shop.run(Service::StockSvc, &sql).await;
        }
        // what it said is in the topics, and nobody has said it; its movement is of no line
        expected.extend([(5, named(1)), (7, named(1))]);
        expected.extend([(4, named(2)), (4, format!("SKU {}", sku(2))), (13, named(3))]);
        expected.extend([(7, format!("SKU {}", sku(4))), (4, format!("SKU {}", sku(4)))]);

        if place == 0 {
            shop.run(Service::OrderSvc, "update customers set last_sequence = 2 where id = 'c-1'").await;
            expected.insert((7, "customer c-1".to_owned()));
        }
        shop.run(Service::OrderSvc, &format!("update orders set said = said + 1 where id = '{}'", id(4))).await;
        expected.insert((7, named(4)));
        lost.push((order(3), 6));
        expected.extend([(7, named(3)), (8, named(3)), (10, named(3))]);
        let parked =
            format!("insert into parked_keys (consumer, topic, key) values ('order-svc', 'stock.v1', '{}')", id(2));
        shop.run(Service::OrderSvc, &parked).await;
        expected.insert((12, named(2)));

        let twice = format!(
            "alter table notifications drop constraint if exists notifications_one_a_fact_and_channel;
             insert into notifications (id, order_id, template, event_id, happened_at, status, recipient, subject, body, sent_at)
                select gen_random_uuid(), order_id, template, event_id, happened_at, status, recipient, subject, body, sent_at
                from notifications where order_id = '{}' and template = 'order_placed'",
            id(4)
        );
        shop.run(Service::NotificationSvc, &twice).await;
        expected.insert((11, named(4)));
        let stored = format!(
            "insert into idempotency_keys (key, request, order_id, location, body, created_at)
             values ('key-{place}', '', '{}', '', '', now())",
            shop.event(order(0), 77)
        );
        shop.run(Service::OrderSvc, &stored).await;
        expected.insert((6, format!("order {}", shop.event(order(0), 77))));
    }
    // one key of the gateway's for orders of two ranges
    let line = |order: u64| usize::try_from(order / COMPLETED_EACH * 2 + 1).unwrap();
    shop.journal[line(12_000)]["idempotency_key"] = "capture-400".into();
    expected.insert((2, "key capture-400".to_owned()));
    // and money of one that was cancelled
    let authorised = shop.line(14_001, "authorise");
    shop.journal.push(authorised);
    expected.extend([2, 3].map(|rule| (rule, format!("order {}", shop.id(14_001)))));
    (expected, lost)
}

/// More was found than what was broken, for a thing may break several rules, but of nothing else.
#[track_caller]
fn is_all_of(found: &BTreeSet<(u8, String)>, broken: &BTreeSet<(u8, String)>) {
    let missed: Vec<_> = broken.difference(found).collect();
    let whole: BTreeSet<_> = broken.iter().map(|(_, of)| of).collect();
    let others: Vec<_> = found.iter().filter(|(_, of)| !whole.contains(of)).collect();
    assert_eq!((missed, others), (vec![], vec![]));
}

#[tokio::test(flavor = "multi_thread")]
async fn a_shop_of_many_ranges_is_looked_at_with_one_in_memory_and_whatever_is_broken_is_found_where_it_lies() {
    let mut shop = Generated::of(ORDERS).await;
    let stop = CancellationToken::new();
    let until = stop.clone().drop_guard();
    let sources = shop.sources(&stop);

    let well = audit(&sources, shop.topics(&[]), options(), &stop).await;
    assert_eq!((found(&well), well.holds, well.looks, well.stopped.as_deref()), (BTreeSet::new(), true, 1, None));
    let figures = |number: usize| &*well.rules[number - 1].figures;
    let completed = ORDERS / COMPLETED_EACH;
    assert_eq!(figures(6), format!("{ORDERS} orders, {ORDERS} of them ended"));
    let events = completed * 14 + (ORDERS - completed) * 3;
    assert_eq!(
        figures(7),
        format!("{events} events, 0 in outboxes, {PRODUCTS} products announced, 2 customers announced")
    );
    assert_eq!(figures(8), format!("{} keys, 0 events twice", completed * 5 + (ORDERS - completed) * 2));
    assert_eq!(figures(4), format!("{completed} movements of orders, 0 live holds, {PRODUCTS} SKUs"));
    let bound = options().orders / 20 * OF_ONE + options().orders * 12;
    assert!(well.most_held <= bound, "{} held at once, {bound} at most", well.most_held);

    let once = Options { orders: usize::MAX / 8, ..options() };
    let whole = audit(&sources, shop.topics(&[]), once, &stop).await;
    assert!(whole.holds && whole.most_held > 50 * bound, "all at once is {}", whole.most_held);

    let (broken, lost) = broken(&mut shop).await;
    let sources = shop.sources(&stop);
    let all = audit(&sources, shop.topics(&lost), options(), &stop).await;
    is_all_of(&found(&all), &broken);
    assert_eq!(broken.iter().map(|(rule, _)| *rule).collect::<BTreeSet<_>>(), (1..=13).collect());
    assert!(!all.holds && all.looks == 4 && all.most_held <= bound + 10);

    goes_on(&shop, &sources, &lost, &found(&all)).await;
    drop(until);
}

/// Stopped in the middle of it, an audit tells what it has found, and the one that goes on finds the rest.
async fn goes_on(shop: &Generated, sources: &Sources, lost: &[(u64, u64)], all: &BTreeSet<(u8, String)>) {
    let stop = CancellationToken::new();
    let mut topics = shop.topics(lost);
    let stopping = stop.clone();
    topics.at_reading = Box::new(move |reading| {
        if reading == 80 {
            stopping.cancel()
        }
    });
    let first = audit(sources, topics, options(), &stop).await;
    let said = first.stopped.clone().unwrap();
    let after = said.strip_prefix("stopped: told to stop; go on with --after ").unwrap();
    assert_eq!(after, shop.id(options().orders as u64 * 60 - 1).to_string(), "two times thirty ranges are done with");
    let named =
        |audit: &Audit, order: u64| found(audit).iter().any(|(_, of)| *of == format!("order {}", shop.id(order)));
    assert!(named(&first, 0) && named(&first, 10_000) && !named(&first, ORDERS - 100) && !first.holds);

    let go_on = Options { after: Some(after.parse().unwrap()), ..options() };
    let second = audit(sources, shop.topics(lost), go_on, &CancellationToken::new()).await;
    assert!(second.stopped.is_none() && !named(&second, 0) && named(&second, ORDERS - 100));
    assert_eq!(&found(&first).union(&found(&second)).cloned().collect::<BTreeSet<_>>(), all);
}
