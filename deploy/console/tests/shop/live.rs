//! An order's page as it changes.

use super::*;

/// The events of a stream, one after the other.
struct Events(Response, String);

impl Events {
    async fn of(console: &Console) -> Self {
        let answer = console.get(&format!("/orders/{ORDER}/live?may=cancel")).await;
        assert_eq!(answer.status().as_u16(), 200);
        assert_eq!(answer.headers()["content-type"], "text/event-stream");
        Self(answer, String::new())
    }

    /// The next event of this name, and what came before it.
    async fn until(&mut self, name: &str) -> (Vec<String>, String) {
        let mut before = Vec::new();
        loop {
            let event = self.next().await.unwrap();
            if event.starts_with(&format!("event: {name}\n")) {
                return (before, event);
            }
            before.push(event);
        }
    }

    /// The next event that is no comment; none once the stream is over.
    async fn next(&mut self) -> Option<String> {
        loop {
            while let Some((event, rest)) = self.1.split_once("\n\n") {
                let event = event.starts_with("event: ").then(|| event.to_owned());
                self.1 = rest.to_owned();
                if event.is_some() {
                    return event;
                }
            }
            let chunk = self.0.chunk().await.unwrap()?;
            self.1 += str::from_utf8(&chunk).unwrap();
        }
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn whoever_looks_is_shown_what_changes_until_the_order_has_ended() {
    let console = Console::start().await;
    let id = ORDER.parse::<uuid::Uuid>().unwrap();
    order_is(&console, 4, 200, order(json!({}))).await;
    let mut events = Events::of(&console).await;
    let (_, first) = events.until("headline").await;
    assert!(first.starts_with("event: headline\nid: ") && first.contains("We are working on your order"), "{first}");
    assert!(first.lines().skip(2).all(|line| line.starts_with("data: ")), "{first}");

    order_is(&console, 3, 200, order(json!({"status": "confirmed", "version": 2}))).await;
    console.changes.tell([id]);
    let (_, second) = events.until("headline").await;
    assert!(second.contains("Your order is confirmed"), "{second}");

    order_is(&console, 2, 503, json!({"detail": "gone"})).await;
    console.changes.tell([id]);
    let (before, away) = events.until("trouble").await;
    assert!(away.contains("look just now") && away.contains("This is what we saw last"), "{away}");
    assert!(
        before.iter().all(|event| event.contains("confirmed") || !event.starts_with("event: headline")),
        "{before:?}"
    );

    // Without anything heard it is seen by looking.
    order_is(&console, 1, 200, order(json!({"status": "completed", "version": 3, "links": {}}))).await;
    // Nothing that is as it was is sent again: what is read aloud is read once, and a link keeps the focus.
    let (before, over) = events.until("trouble").await;
    assert_eq!((before, over.ends_with("\ndata: ")), (vec![], true), "{over}");
    let (_, last) = events.until("headline").await;
    assert!(last.contains("Your order is closed"), "{last}");
    let (_, steps) = events.until("steps").await;
    assert!(steps.contains("Delivered"), "{steps}");
    // Until now the same could be done, so that nothing was sent of that.
    let (_, actions) = events.until("actions").await;
    assert!(actions.starts_with("event: actions\ndata: ") && !actions.contains("Cancel"), "{actions}");
    assert_eq!(events.next().await.as_deref(), Some("event: over\ndata: over"));
    assert_eq!(events.next().await, None);
}

/// What order-svc answers from now on; the lower number counts.
async fn order_is(console: &Console, priority: u8, status: u16, body: Value) {
    let answer = ResponseTemplate::new(status).set_body_json(body);
    let asked = Mock::given(method("GET")).and(path(order_path()));
    asked.respond_with(answer).with_priority(priority).mount(&console.services).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn no_more_look_live_than_there_is_room_for() {
    let console = Console::start().await;
    console.answers("GET", &order_path(), 200, order(json!({}))).await;
    let mut open = Vec::new();
    for _ in 0..4 {
        let mut events = Events::of(&console).await;
        events.next().await.unwrap();
        open.push(events);
    }
    // Whoever comes then is told how the order is, and to come again.
    let live = format!("{}/orders/{ORDER}/live?may=cancel", console.served.root);
    let told = reqwest::get(&live).await.unwrap().text().await.unwrap();
    assert!(told.starts_with("retry: 15000\n\n") && told.contains("We are working on your order"), "{told}");
    let last = told.lines().filter_map(|line| line.strip_prefix("id: ")).next_back().unwrap();
    let again = console.served.client.get(&live).header("last-event-id", last).send().await.unwrap();
    assert_eq!(again.text().await.unwrap(), "retry: 15000\n\n", "what they have is not sent again");
    let (_, page) = console.page(&format!("/orders/{ORDER}")).await;
    let page = page.split("<noscript>").next().unwrap();
    assert!(page.contains(&format!(r#"<a href="/orders/{ORDER}">Look again</a>"#)), "{page}");
}
