//! Dead letters, and jobs on them.

use super::*;

#[tokio::test(flavor = "multi_thread")]
async fn what_was_typed_into_a_dead_letter_stays_whatever_refuses_it() {
    let console = Console::start().await;
    has_a_dead_letter(&console).await;
    let (at, typed) = ("/control/dead-letters/stock-svc/7", ("payload", r#"{"a": "mended by hand"}"#));
    let without_reason = console.send(at, &format!("{at}/edit"), &[typed]).await.text().await.unwrap();
    console.answers("POST", "/api/v1/dead-letters/7/edit", 422, json!({"detail": "ce_time is no time."})).await;
    let refused = console.send(at, &format!("{at}/edit"), &[typed, ("reason", "it was wrong")]).await;
    let refused = refused.text().await.unwrap();
    console.answers("POST", "/api/v1/dead-letters/7/dry-run", 503, json!({"detail": "The database is gone."})).await;
    let away = console.send(at, &format!("{at}/dry-run"), &[typed]).await.text().await.unwrap();
    for (page, why) in [(&without_reason, "Say why"), (&refused, "ce_time is no time"), (&away, "Nothing is lost")] {
        assert!(page.contains(why), "{page}");
        let draft = common::between(page, r#"<textarea id="payload""#, "</textarea>");
        assert!(draft.contains("mended by hand"), "{page}");
    }
    assert!(refused.contains(r#"value="it was wrong""#), "{refused}");
    let field = common::between(&refused, r#"<input id="why-edit""#, ">");
    assert!(field.contains("required") && refused.contains("formnovalidate"), "{refused}");
}

/// A dry run may take ten seconds, which is longer than a part of a page may.
#[tokio::test(flavor = "multi_thread")]
async fn a_dry_run_that_takes_its_time_is_waited_for() {
    let console = Console::start().await;
    has_a_dead_letter(&console).await;
    let late = ResponseTemplate::new(200).set_body_json(json!({"outcome": "applied", "rows": [], "events": []}));
    let dry = Mock::given(method("POST")).and(path("/api/v1/dead-letters/7/dry-run"));
    dry.respond_with(late.set_delay(std::time::Duration::from_millis(5_500))).mount(&console.services).await;
    let at = "/control/dead-letters/stock-svc/7";
    let page = console.send(at, &format!("{at}/dry-run"), &[]).await.text().await.unwrap();
    assert!(page.contains("applied") && !page.contains("does not answer"), "{page}");
}

async fn has_a_dead_letter(console: &Console) {
    let letter = json!({"id": 7, "topic": "orders.v1", "partition": 0, "offset": 1, "key": EVIL, "error": EVIL, "attempts": 1,
        "headers": [{"name": "ce_type", "value": "order.placed.v1"}], "payload": {"format": "json", "value": {"a": 1}},
        "ahead": 0, "behind": {"count": 0, "first": []}});
    console.answers("GET", "/api/v1/dead-letters/7", 200, letter).await;
    console.answers("GET", "/api/v1/dead-letters/7/versions", 200, json!({"items": []})).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_dead_letter_is_tried_dry_changed_and_replayed_as_a_job() {
    let (console, job) = (Console::start().await, Uuid::now_v7());
    has_a_dead_letter(&console).await;
    let at = "/control/dead-letters/stock-svc/7";
    let (_, page) = shown(&console, at).await;
    assert!(page.contains("&lt;script&gt;") && !page.contains("<script>alert"), "{page}");
    let tried = json!({"outcome": "applied", "rows": [{"table": "orders", "inserted": 1, "updated": 0, "deleted": 0, "all_shown": true,
            "changes": [{"before": {"held": 0, "name": EVIL}, "after": {"held": 2, "name": EVIL}}]}],
        "events": [{"event_type": "stock.reserved.v1", "topic": "stock.v1", "payload": {"value": {"b": EVIL}}, "headers": []}]});
    let dry = Mock::given(method("POST"))
        .and(path("/api/v1/dead-letters/7/dry-run"))
        .and(body_json(json!({"payload": {"a": 2}})));
    dry.respond_with(ResponseTemplate::new(200).set_body_json(tried)).expect(1).mount(&console.services).await;
    let changed = [("payload", r#"{"a": 2}"#), ("header-ce_type", "order.placed.v1")];
    let answer = console.send(at, &format!("{at}/dry-run"), &changed).await.text().await.unwrap();
    assert!(answer.contains("stock.reserved.v1") && answer.contains("1 inserted"), "{answer}");
    let row = common::between(&answer, r#"<th scope="row">held <span class="tag warn">changes</span></th>"#, "</tr>");
    assert!(row.contains(">0<") && row.contains(">2<"), "{answer}");
    assert!(!answer.contains("<script>alert"), "{answer}");
    let edit = Mock::given(method("POST")).and(path("/api/v1/dead-letters/7/edit"));
    let edit = edit.and(body_json(json!({"payload": {"a": 2}, "reason": "mended"})));
    edit.respond_with(ResponseTemplate::new(200).set_body_json(json!({}))).expect(1).mount(&console.services).await;
    let answer = console.send(at, &format!("{at}/edit"), &[changed[0], changed[1], ("reason", "mended")]).await;
    assert_eq!(led_to(&answer), at);
    let begin = Mock::given(method("POST")).and(path("/api/v1/dead-letters/jobs"));
    let begin = begin.and(body_json(json!({"action": "replay", "ids": [7], "reason": "mended"})));
    begin
        .respond_with(ResponseTemplate::new(202).set_body_json(json!({"id": job})))
        .expect(1)
        .mount(&console.services)
        .await;
    let answer = console.send(at, &format!("{at}/replay"), &[("reason", "mended")]).await;
    let job_at = format!("/control/dead-letters/stock-svc/jobs/{job}");
    assert_eq!(led_to(&answer), job_at);
    let going_on =
        json!({"id": job, "action": "replay", "state": "running", "total": 200, "done": 41, "left": 159, "failed": 0});
    console.answers("GET", &format!("/api/v1/dead-letters/jobs/{job}"), 200, going_on).await;
    let (_, page) = shown(&console, &job_at).await;
    assert!(page.contains("41 of 200 are done") && page.contains(">Pause<") && !page.contains(">Go on<"), "{page}");
    console.answers("POST", &format!("/api/v1/dead-letters/jobs/{job}/pause"), 200, json!({})).await;
    assert_eq!(led_to(&console.send(&job_at, &format!("{job_at}/pause"), &[]).await), job_at);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_button_of_a_job_is_there_only_while_it_does_something() {
    let (console, job) = (Console::start().await, Uuid::now_v7());
    for (state, buttons) in [
        ("running", [true, false, true]),
        ("paused", [false, true, true]),
        ("stopped", [false, true, true]),
        ("done", [false; 3]),
        ("cancelled", [false; 3]),
    ] {
        console.services.reset().await;
        let body =
            json!({"id": job, "action": "replay", "state": state, "total": 2, "done": 1, "left": 1, "failed": 0});
        console.answers("GET", &format!("/api/v1/dead-letters/jobs/{job}"), 200, body).await;
        let (_, page) = shown(&console, &format!("/control/dead-letters/stock-svc/jobs/{job}")).await;
        let found = ["Pause", "Go on", "Cancel the job"].map(|name| page.contains(&format!(">{name}<")));
        assert_eq!(found, buttons, "{state}: {page}");
        let (_, live) = shown(&console, &format!("/control/dead-letters/stock-svc/jobs/{job}/live")).await;
        assert_eq!(["Pause", "Go on"].map(|name| live.contains(&format!(">{name}<"))), buttons[..2], "{state}");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_letter_is_edited_with_its_names_in_the_order_and_its_numbers_as_the_event_has_them() {
    let console = Console::start().await;
    let letter = r#"{"id": 7, "headers": [], "behind": {"count": 0, "first": []},
        "payload": {"format": "json", "value": {"order_id": "o", "amount": 1.50, "a": 12345678901234567890123}}}"#;
    let whole = ResponseTemplate::new(200).set_body_raw(letter, "application/json");
    Mock::given(method("GET")).and(path("/api/v1/dead-letters/7")).respond_with(whole).mount(&console.services).await;
    console.answers("GET", "/api/v1/dead-letters/7/versions", 200, json!({"items": []})).await;
    let at = "/control/dead-letters/stock-svc/7";
    let (_, page) = shown(&console, at).await;
    let typed = common::between(&page, "spellcheck=\"false\">\n", "</textarea>").replace("&quot;", "\"");
    let expected = "{\n  \"order_id\": \"o\",\n  \"amount\": 1.50,\n  \"a\": 12345678901234567890123\n}";
    assert_eq!(typed, expected);
    let changed = expected.replace("1.50", "2.50");
    let edit = Mock::given(method("POST")).and(path("/api/v1/dead-letters/7/edit"));
    let sent = r#"{"payload":{"order_id":"o","amount":2.50,"a":12345678901234567890123},"reason":"mended"}"#;
    let edit = edit.and(body_string(sent));
    edit.respond_with(ResponseTemplate::new(200).set_body_json(json!({}))).expect(1).mount(&console.services).await;
    let answer = console.send(at, &format!("{at}/edit"), &[("payload", &changed), ("reason", "mended")]).await;
    assert_eq!(led_to(&answer), at);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_job_that_has_not_ended_is_always_on_the_page_and_ended_ones_are_a_list() {
    let (console, paused, over) = (Console::start().await, Uuid::now_v7(), Uuid::now_v7());
    let job = |id: Uuid, state: &str| json!({"id": id, "action": "replay", "state": state, "total": 9, "done": 3, "reason": EVIL});
    let list = |going_on: &str| {
        let asked = Mock::given(method("GET")).and(path("/api/v1/dead-letters/jobs"));
        asked.and(query_param("going_on", going_on))
    };
    let answer = |items: Value, next: Value| {
        ResponseTemplate::new(200).set_body_json(json!({"items": items, "next_cursor": next}))
    };
    list("true").respond_with(answer(json!([job(paused, "paused")]), Value::Null)).mount(&console.services).await;
    list("false").respond_with(answer(json!([job(over, "done")]), json!(over))).mount(&console.services).await;
    let group = json!({"group": "5f0c6d3a9b1e2f48", "letters": 1, "keys": 1, "cause": "it hurts", "example": 7});
    let groups = json!({"items": [group], "next_cursor": "5f0c6d3a9b1e2f48"});
    console.answers("GET", "/api/v1/dead-letters/groups", 200, groups).await;
    let (_, page) = shown(&console, "/control/dead-letters?service=stock-svc").await;
    assert!(page.contains(&format!("/jobs/{paused}")) && page.contains("paused"), "{page}");
    assert!(page.contains("/control/dead-letters?service=stock-svc&amp;after=5f0c6d3a9b1e2f48"), "more causes: {page}");
    let (status, ended) = shown(&console, "/control/dead-letters/stock-svc/jobs").await;
    assert!(status == 200 && ended.contains(&format!("/jobs/{over}")), "{ended}");
    assert!(ended.contains(&format!("/control/dead-letters/stock-svc/jobs?cursor={over}")), "{ended}");
    assert!(!ended.contains("<script>alert"), "{ended}");
}
