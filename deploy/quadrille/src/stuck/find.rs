//! From facts to causes. Nothing is asked here.

use std::collections::BTreeMap;

use chrono::{DateTime, TimeDelta, Utc};
use uuid::Uuid;

use super::cause::{Cause, Kind, Reach, by_people};
use super::facts::{Call, DeadLetter, DueTimers, Facts, InDatabase, InKafka, Messages, Parked, Waiting};
use crate::service::Service;

/// A consumer notes every five seconds at least up to when it has read everything.
const BEHIND: TimeDelta = TimeDelta::seconds(8);

/// Every cause, and how many of the overdue orders each keeps. An order that nothing was found for counts as such.
pub(super) fn causes(facts: &Facts) -> Vec<Cause> {
    let mut causes: Vec<_> = keeping(facts, &facts.overdue).into_iter().map(Cause::count).collect();
    causes.sort_by_key(|cause| (cause.orders == 0, cause.kind));
    causes
}

/// The causes that concern one order, whether it is overdue or not; what may keep it first. Each says how many orders it keeps.
pub(super) fn causes_of(facts: &Facts, order: &Waiting) -> Vec<Cause> {
    let others = facts.overdue.iter().filter(|other| other.id != order.id);
    let causes = keeping(facts, others.chain([order])).into_iter();
    let mut causes: Vec<_> =
        causes.filter(|cause| cause.kind != Kind::Unknown && cause.concerns(order)).map(Cause::count).collect();
    causes.sort_by_key(|cause| (!cause.keeps(order), cause.kind));
    causes
}

/// All that was found, with each of these orders at the one cause that keeps it.
fn keeping<'a>(facts: &Facts, orders: impl IntoIterator<Item = &'a Waiting>) -> Vec<Cause> {
    let mut causes = found(facts);
    let mut others = BTreeMap::<String, Cause>::new();
    for order in orders {
        let keeper = match causes.iter_mut().filter(|cause| cause.keeps(order)).min_by_key(|cause| cause.kind) {
            Some(keeper) => keeper,
            None => {
                let cause = of_nothing_found(order);
                others.entry(cause.what.clone()).or_insert(cause)
            }
        };
        keeper.ids.insert(order.id);
    }
    causes.extend(others.into_values());
    causes
}

/// The causes that have this order among theirs.
pub(super) fn causes_that_name(facts: &Facts, id: Uuid) -> Vec<Cause> {
    found(facts).into_iter().filter(|cause| cause.ids.contains(&id)).map(Cause::count).collect()
}

fn found(facts: &Facts) -> Vec<Cause> {
    let mut causes = Vec::new();
    causes.extend(brokers(facts));
    for (&service, database) in &facts.databases {
        causes.extend(dead_letters(service, database));
        causes.extend(parked(service, database));
        causes.extend(outbox(facts, service, database));
        causes.extend(locks(service, database));
        causes.extend(timers(service, database));
        if let Some(Ok(kafka)) = &facts.kafka {
            causes.extend(lag(facts, service, database, kafka));
        }
        causes.extend(gateway(&database.calls, facts.now));
        causes.extend(messages(database));
    }
    causes.extend(services(facts));
    causes
}

fn brokers(facts: &Facts) -> Option<Cause> {
    let waiting: Vec<_> = facts.databases.values().flat_map(|database| &database.outbox).collect();
    let (what, mend) = match facts.kafka.as_ref()? {
        Err(why) => (
            why.clone(),
            "start Kafka, or look at its log; then everything goes on by itself: quadrille topics".to_owned(),
        ),
        Ok(kafka) if !kafka.missing.is_empty() => {
            (format!("topics are missing: {}", kafka.missing.join(", ")), "quadrille topics create".to_owned())
        }
        Ok(_) => return None,
    };
    let cause = Cause::new(Kind::Broker, None::<Service>, what, mend).since(waiting.iter().map(|row| row.since).min());
    Some(cause.reaching(Reach::Services).of_keys(waiting.iter().map(|row| &*row.key)))
}

/// notification-svc's own work keeps no order.
const fn ids_of(service: Service) -> Reach {
    if matches!(service, Service::NotificationSvc) { Reach::Beside } else { Reach::Ids }
}

const fn reach_of(service: Service) -> Reach {
    if matches!(service, Service::NotificationSvc) { Reach::Beside } else { Reach::Service(service) }
}

/// Dead letters of the same event with the same error are one cause.
fn dead_letters(service: Service, database: &InDatabase) -> Vec<Cause> {
    let mut alike = BTreeMap::<_, Vec<_>>::new();
    for letter in &database.dead_letters {
        alike.entry((&letter.event, &letter.error)).or_default().push(letter);
    }
    let name = service.name();
    let cause = |((event, error), letters): ((&Option<String>, &Option<String>), Vec<&DeadLetter>)| {
        let (event, error) = (event.as_deref().unwrap_or("?"), error.as_deref());
        let error = error.unwrap_or("it waited behind one that was dropped");
        let behind: i64 = letters.iter().map(|letter| letter.behind).sum();
        let (which, mend) = match &letters[..] {
            [only] => (format!("dead letter {}", only.id), format!("quadrille dead-letters replay {name} {}", only.id)),
            all => {
                (format!("{} dead letters", all.len()), format!("quadrille dead-letters list {name}, and replay each"))
            }
        };
        let what = format!("{name} could not handle {event} ({which}, {behind} events wait behind): {error}");
        let cause = Cause::new(Kind::DeadLetter, service, what, format!("mend why it failed, then {mend}"));
        let since = letters.iter().map(|letter| letter.since).min();
        cause.since(since).reaching(ids_of(service)).of_keys(letters.iter().map(|letter| &*letter.key))
    };
    alike.into_iter().map(cause).collect()
}

fn parked(service: Service, database: &InDatabase) -> Vec<Cause> {
    let mut alike = BTreeMap::<_, Vec<_>>::new();
    for rows in &database.parked {
        alike.entry((&rows.topic, &rows.reason)).or_default().push(rows);
    }
    let name = service.name();
    let cause = |((topic, reason), keys): ((&String, &Option<String>), Vec<&Parked>)| {
        let reason = reason.as_deref().unwrap_or("?");
        let what = format!("Kafka refused events of {name} for {topic}, of {} keys: {reason}", keys.len());
        let (database, key) = (service.database().unwrap_or_default(), keys.first().map_or("KEY", |rows| &*rows.key));
        let mend = format!("mend why it was refused, then outbox-relay parked retry {database} {topic} {key}");
        let cause = Cause::new(Kind::Parked, service, what, mend).since(keys.iter().map(|rows| rows.since).min());
        cause.reaching(ids_of(service)).of_keys(keys.iter().map(|rows| &*rows.key))
    };
    alike.into_iter().map(cause).collect()
}

/// Rows that wait. If the brokers don't answer, that is why, unless no relay would publish them anyway.
fn outbox(facts: &Facts, service: Service, database: &InDatabase) -> Option<Cause> {
    let since = database.outbox.iter().map(|rows| rows.since).min()?;
    let (name, keys) = (service.name(), database.outbox.len());
    let relay = facts.ready.get(&service).and_then(|ready| ready.as_ref().ok()?.checks.get("relay"));
    let cause = if !database.is_relayed {
        let what = format!("no relay publishes the outbox of {name}: events of {keys} keys wait");
        let mend =
            format!("start outbox-relay for its database, or {name} with RELAY=embedded: quadrille run outbox-relay");
        Cause::new(Kind::NoRelay, service, what, mend)
    } else if matches!(facts.kafka, Some(Ok(_))) {
        let why = relay.filter(|state| *state != "ok").map_or_else(String::new, |why| format!(" ({why})"));
        let what = format!("events of {keys} keys wait in the outbox of {name}, and a relay leads{why}");
        Cause::new(
            Kind::Outbox,
            service,
            what,
            format!("/readyz of {name} and the log of its relay say why: docs/OPERATIONS.md"),
        )
    } else {
        return None;
    };
    Some(cause.since(since).reaching(ids_of(service)).of_keys(database.outbox.iter().map(|rows| &*rows.key)))
}

fn ending(service: Service, pid: i32) -> String {
    let database = service.database().unwrap_or_default();
    format!("end it, which undoes what it did: psql -d {database} -c 'select pg_terminate_backend({pid})'")
}

/// Whoever is waited for, and transactions that were left open by others.
fn locks(service: Service, database: &InDatabase) -> Vec<Cause> {
    let name = service.name();
    let mut holders = BTreeMap::<i32, Cause>::new();
    for lock in &database.locks {
        let held = || {
            let cause = Cause::new(Kind::Lock, service, format!("{name} {}", lock.why), ending(service, lock.pid));
            cause.since(lock.held_since.unwrap_or(lock.since)).reaching(reach_of(service))
        };
        holders.entry(lock.pid).or_insert_with(held);
    }
    let open = database.transactions.iter().filter(|open| open.pid.is_none_or(|pid| !holders.contains_key(&pid)));
    let open = open.map(|open| {
        let what = format!("in the database of {name} {}", open.why);
        let mend = match open.pid {
            Some(pid) => ending(service, pid),
            None => {
                format!("commit prepared or rollback prepared, in psql -d {}", service.database().unwrap_or_default())
            }
        };
        let reach = if open.has_locks { reach_of(service) } else { Reach::Beside };
        Cause::new(Kind::OpenTransaction, service, what, mend).since(open.since).reaching(reach)
    });
    let open: Vec<_> = open.collect();
    holders.into_values().chain(open).collect()
}

fn timers(service: Service, database: &InDatabase) -> Vec<Cause> {
    let name = service.name();
    let cause = |timers: &DueTimers| {
        let (count, kind) = (timers.count, &timers.kind);
        let (why, mend) = match timers.attempts {
            0 => (
                "have not fired",
                format!(
                    "they fire once {name} has read what was published before; quadrille topics says how far it is"
                ),
            ),
            _ => ("fail", format!("they are tried again by themselves; the log of {name} says why they fail")),
        };
        let what = format!("{count} timers of {name} ({kind}) are due and {why}");
        let cause = Cause::new(Kind::Timer, service, what, mend).since(timers.since).reaching(ids_of(service));
        cause.of_keys(timers.keys.iter().map(String::as_str))
    };
    database.timers.iter().map(cause).collect()
}

/// A consumer that has members, and has not read for seconds what is there.
fn lag(facts: &Facts, service: Service, database: &InDatabase, kafka: &InKafka) -> Option<Cause> {
    let (members, positions) = kafka.groups.get(&service)?;
    let mut behind = (0, None::<DateTime<Utc>>);
    for position in positions {
        let noted = database
            .progress
            .iter()
            .find(|noted| (&noted.topic, noted.partition) == (&position.topic, position.partition));
        let at = noted.map_or(position.at, |noted| noted.position.max(position.at));
        let since = noted.and_then(|noted| noted.caught_up_to);
        if at < position.end && since.is_none_or(|since| since + BEHIND < facts.now) {
            behind = (behind.0 + position.end - at, [behind.1, since].into_iter().flatten().min());
        }
    }
    let (name, (events, since)) = (service.name(), behind);
    let is_frozen = matches!(facts.ready.get(&service), Some(Err(_)));
    if *members == 0 || is_frozen || events == 0 {
        return None; // `services` tells
    }
    let what = format!("{name} is behind: {events} events are not handled yet");
    let mend = format!("quadrille topics says how far it is; the log of {name} says what holds it up");
    Some(Cause::new(Kind::Lag, service, what, mend).since(since).reaching(reach_of(service)))
}

/// Services that are away, or whose databases are.
fn services(facts: &Facts) -> Vec<Cause> {
    let mut causes = Vec::new();
    for (service, why) in &facts.unreachable {
        let what = format!("the database of {} can't be reached: {why}", service.name());
        let mend = format!("start PostgreSQL, or look at its log; {} goes on by itself", service.name());
        causes.push(Cause::new(Kind::Database, *service, what, mend).reaching(reach_of(*service)));
    }
    for service in Service::WITH_OUTBOX {
        let name = service.name();
        let nobody = match &facts.kafka {
            Some(Ok(kafka)) => kafka.groups.get(&service).is_some_and(|(members, _)| *members == 0),
            _ => false,
        };
        let what = match (facts.ready.get(&service), nobody) {
            (Some(Err(why)), _) => format!("{name} does not answer: {why}"),
            (_, true) => format!("{name} reads nothing: nobody is in its consumer group"),
            (_, false) => continue,
        };
        let since = facts
            .databases
            .get(&service)
            .and_then(|database| database.progress.iter().filter_map(|noted| noted.caught_up_to).max());
        let mend = format!("start it: quadrille run {name}; its log says why it stopped");
        causes.push(Cause::new(Kind::Stopped, service, what, mend).since(since).reaching(reach_of(service)));
    }
    causes
}

/// Calls that fail alike are one cause. One that has not failed yet waits like those, or for an answer.
fn gateway(calls: &[Call], now: DateTime<Utc>) -> Vec<Cause> {
    let mut alike = BTreeMap::<(String, String), Vec<&Call>>::new();
    let (failing, fresh): (Vec<_>, Vec<_>) = calls.iter().partition(|call| call.failing_since.is_some());
    for call in &failing {
        let (code, error) = (call.error_code.clone().unwrap_or_default(), call.error.clone().unwrap_or_default());
        alike.entry((code, error)).or_default().push(call);
    }
    match alike.values_mut().max_by_key(|calls| calls.len()) {
        Some(calls) => calls.extend(fresh),
        None if fresh.is_empty() => {}
        None => drop(alike.insert((String::new(), "the gateway has not answered yet".to_owned()), fresh)),
    }
    let cause = |((code, error), calls): ((String, String), Vec<&Call>)| {
        let what = match (&*code, error.strip_prefix("no answer: status ")) {
            (_, Some(status)) => format!("gateway answers {status}"),
            ("", None) => error,
            ("away", None) => format!("gateway can't be reached ({error})"),
            (code, None) => format!("gateway does not do what it is asked ({code}: {error})"),
        };
        let mend = "nothing here: calls go on by themselves, with the same keys, once it answers. Ask whoever runs it; /readyz of \
                    payment-svc says when it is well";
        let since = calls.iter().map(|call| call.failing_since.unwrap_or(call.created_at)).min();
        let mut cause = Cause::new(Kind::Gateway, Service::PaymentSvc, what, mend.to_owned()).since(since);
        cause.next_try = calls.iter().map(|call| call.due_at).filter(|due| *due > now).min();
        cause.of(calls.iter().map(|call| call.order_id))
    };
    alike.into_iter().map(cause).collect()
}

fn messages(database: &InDatabase) -> Vec<Cause> {
    let cause = |waiting: &Messages| {
        let server = match &*waiting.channel {
            "email" => "mail server",
            "sms" => "server of text messages",
            _ => "server of push messages",
        };
        let why = match (&waiting.error_code, &waiting.error) {
            (Some(code), Some(error)) => format!("{server} takes none ({code}: {error})"),
            _ => format!("{server} has taken none yet; the channel may not be configured"),
        };
        let mend = "nothing here: they leave by themselves once it takes them. Look at the server, or at notification-svc's \
                    credentials; /readyz of notification-svc says when it is well";
        let mut cause = Cause::new(Kind::MessageServer, Service::NotificationSvc, why, mend.to_owned());
        cause.next_try = Some(waiting.next_try);
        cause.messages = Some(waiting.count);
        cause.since(waiting.since).reaching(Reach::Beside).of(waiting.orders.iter().copied())
    };
    database.messages.iter().map(cause).collect()
}

/// People who must act.
fn people(kind: Kind, order: &Waiting) -> Cause {
    let id = order.id;
    let (what, mend) = match kind {
        Kind::Customer => (
            "the customer has not authenticated the payment (3-D Secure)",
            "nobody but the customer can; at its deadline the order ends by itself".to_owned(),
        ),
        Kind::StaffRefund => (
            "staff have to look after a refund that was refused or came back",
            format!(
                "quadrille order show {id} has the routes: POST /api/v1/payments/PAYMENT/refunds of payment-svc, or \
                 .../refunds/REFUND/settle-outside"
            ),
        ),
        Kind::Dispatch => (
            "parcels are not handed to the carrier",
            format!(
                "GET /api/v1/shipments?order_id={id} of stock-svc, then POST /api/v1/shipments/SHIPMENT/dispatch, or cancel"
            ),
        ),
        _ => (
            "parcels have not arrived",
            format!(
                "ask the carrier; then POST /api/v1/shipments/SHIPMENT/deliver or .../lost of stock-svc (?order_id={id})"
            ),
        ),
    };
    Cause::new(kind, None::<Service>, what.to_owned(), mend)
}

fn of_nothing_found(order: &Waiting) -> Cause {
    let Waiting { fact, from, .. } = order;
    match by_people(order) {
        Some(kind) => people(kind, order),
        None => {
            let what = format!("nothing was found that keeps {from} from {fact}");
            Cause::new(Kind::Unknown, None::<Service>, what, format!("quadrille order show {}", order.id))
        }
    }
    .since(order.since)
}
