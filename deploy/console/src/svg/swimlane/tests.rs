use super::*;

const BEGAN: i64 = 1_700_000_000_000;

fn event(id: u128, source: &str, event_type: &str, topic: &str, ms: i64, cause: Option<u128>) -> Event {
    let at = |ms: i64| DateTime::from_timestamp_millis(BEGAN + ms).unwrap();
    Event {
        id: Uuid::from_u128(id),
        topic: topic.to_owned(),
        partition: 0,
        record_offset: 7,
        key: "k".to_owned(),
        event_type: event_type.to_owned(),
        source: source.to_owned(),
        order_id: None,
        sequence: Some(1),
        causation_id: cause.map(Uuid::from_u128),
        time: at(ms),
        sent_at: Some(at(ms + 5)),
        heard_at: at(ms + 9),
        headers: Vec::new(),
        body: None,
        money: None,
    }
}

fn dance() -> [Event; 3] {
    [
        event(1, "/order-svc", "order.placed.v1", "orders.v1", 0, None),
        event(2, "/stock-svc", "stock.reserved.v1", "stock.v1", 20, Some(1)),
        event(3, "/payment-svc", "payment.authorized.v1", "payments.v1", 3_600_000, Some(2)),
    ]
}

/// The horizontal part of the arrow from a cause to its effect: where it begins, its height, and where it ends.
fn arrow(drawn: &str, cause: u128, effect: u128) -> (i64, i64, i64) {
    let begin = format!(r#"data-cause="{}" data-effect="{}""#, Uuid::from_u128(cause), Uuid::from_u128(effect));
    let group = drawn.split_once(&begin).unwrap().1.split_once("</g>").unwrap().0;
    let path = group.split_once(r#"<path class="arrow" d="M"#).unwrap().1.split_once('"').unwrap().0;
    let (start, end) = path.split_once('H').unwrap();
    let (x, y) = start.split_once(' ').unwrap();
    (x.parse().unwrap(), y.parse().unwrap(), end.parse().unwrap())
}

#[test]
fn an_arrow_leads_from_the_causes_topic_to_the_effects_box() {
    let events = dance();
    let (drawn, picture) = (draw(&events, &[]), Picture::of(&events));
    let (x, y, edge) = arrow(&drawn, 1, 2);
    assert!((left_of(0) + LANE..left_of(1)).contains(&x), "it begins in the column of orders.v1: {x}");
    assert_eq!((y, edge), (picture.rows[1], left_of(1) + (LANE - BOX.0) / 2), "it ends at the box of stock.reserved");
    assert!(drawn.contains("order.placed → stock.reserved: 15.0 ms in Kafka and in the lane of stock-svc"), "{drawn}");
    assert!(drawn.contains("order.placed: 5.0 ms in the outbox of order-svc"), "{drawn}");
    assert_eq!(drawn.matches("data-cause").count(), 2);
}

#[test]
fn an_effect_further_left_is_reached_from_the_right() {
    let events = [
        event(1, "/payment-svc", "payment.authorized.v1", "payments.v1", 0, None),
        event(2, "/order-svc", "order.confirmed.v1", "orders.v1", 3, Some(1)),
    ];
    let (x, _, edge) = arrow(&draw(&events, &[]), 1, 2);
    assert!(edge < x && edge == left_of(0) + (LANE - BOX.0) / 2 + BOX.0);
}

#[test]
fn time_runs_down_and_an_hour_takes_hardly_more_room_than_a_moment() {
    let events = dance();
    let picture = Picture::of(&events);
    assert!(picture.rows.windows(2).all(|rows| (ROW..ROW + 40).contains(&(rows[1] - rows[0]))), "{:?}", picture.rows);
    assert!(draw(&events, &[]).contains("59 min 59 s later"));
    let moments = (0..100).map(|step| picture.y(events[0].time + TimeDelta::seconds(step * 40))).collect::<Vec<_>>();
    assert!(moments.is_sorted(), "{moments:?}");
}

#[test]
fn hostile_text_is_text() {
    let evil = "\"><script>alert(1)</script><a x='";
    let mut events = dance();
    events[0].event_type = evil.to_owned();
    events[1].source = evil.to_owned();
    events[2].headers = vec![(evil.to_owned(), evil.to_owned())];
    events[2].body = Some(evil.to_owned());
    events[1].topic = evil.to_owned();
    let marks = [Mark { service: "payment-svc", at: events[0].time, what: evil.to_owned() }];
    let drawn = draw(&events, &marks);
    assert!(!drawn.contains("<script") && !drawn.contains("\"><s") && !drawn.contains("x='"), "{drawn}");
    assert!(drawn.contains(ELSEWHERE) && drawn.contains("&lt;script&gt;"), "{drawn}");
    assert_eq!(drawn.matches("<g>").count() + drawn.matches("<g data").count(), drawn.matches("</g>").count());
}

#[test]
fn a_thousand_events_stay_bounded() {
    let long = "x".repeat(300);
    let of = |id: u128| {
        let cause = (id > 1).then_some(1);
        let event = event(id, "/order-svc", &long, "orders.v1", i64::try_from(id).unwrap(), cause);
        Event { headers: vec![(long.clone(), long.clone()); 99], body: Some(long.repeat(99)), ..event }
    };
    let events: Vec<_> = (1..=1_000).map(of).collect();
    let drawn = draw(&events, &[]);
    assert!(drawn.len() < 1_000_000, "{}", drawn.len());
    assert_eq!(drawn.matches("<a href").count(), MOST);
}

#[test]
fn a_circle_of_causes_and_an_event_that_was_sent_before_it_was_made_do_no_harm() {
    let mut events = dance();
    events[0].causation_id = Some(events[2].id);
    events[1].causation_id = Some(events[1].id);
    events[2].sent_at = Some(events[0].time - TimeDelta::days(9));
    assert!(draw(&events, &[]).ends_with("</svg>"));
    assert!(draw(&[], &[]).ends_with("</svg>"));
}

#[test]
fn spans_are_as_exact_as_they_matter() {
    let spans = [
        TimeDelta::microseconds(1_250),
        TimeDelta::milliseconds(2_500),
        TimeDelta::seconds(61),
        TimeDelta::milliseconds(-3),
    ];
    assert_eq!(spans.map(took), ["1.2 ms", "2.50 s", "1 min 1 s", "−3.0 ms"]);
}
