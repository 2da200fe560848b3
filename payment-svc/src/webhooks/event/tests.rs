use std::{fs, path::Path};

use proptest::prelude::*;

use super::*;

fn parse(body: &str) -> Result<Option<WebhookEvent>, NotJson> {
    WebhookEvent::parse(body.as_bytes())
}

fn told(object: &str) -> Option<String> {
    parse(&format!(r#"{{"id": "evt_1", "type": "x.y", "more": 1, "data": {{"object": {object}}}}}"#))
        .unwrap()
        .unwrap()
        .intent
}

#[test]
fn an_event_names_the_intent_that_it_tells_of() {
    assert_eq!(told(r#"{"object": "payment_intent", "id": "pi_1", "status": "succeeded"}"#).as_deref(), Some("pi_1"));
    assert_eq!(told(r#"{"object": "charge", "id": "ch_1", "payment_intent": "pi_1"}"#).as_deref(), Some("pi_1"));
    assert_eq!(told(r#"{"object": "charge", "id": "ch_1", "payment_intent": null}"#), None);
    assert_eq!(told(r#"{"object": "balance"}"#), None);
}

#[test]
fn an_intent_that_is_there_whole_is_known_by_its_id() {
    let refund = r#"{"object": "refund", "id": "re_1", "payment_intent": {"id": "pi_1", "amount": 5}}"#;
    assert_eq!(told(refund).as_deref(), Some("pi_1"));
    for none in ["7", "[]", "{}", r#"{"id": 7}"#, r#"{"id": "p i"}"#] {
        assert_eq!(told(&format!(r#"{{"object": "charge", "payment_intent": {none}}}"#)), None, "{none}");
    }
}

#[test]
fn whatever_types_a_stranger_invents_the_metric_has_few_labels() {
    let label = |kind: &str| parse(&format!(r#"{{"id": "evt_1", "type": "{kind}"}}"#)).unwrap().unwrap().type_label();
    assert_eq!(label("charge.refunded"), "charge.refunded");
    assert_eq!((label("charge.invented"), label("v1.billing.meter.no_meter_found")), ("other", "other"));
}

/// Every body that was ever found to matter; one that makes the parser panic is put there too.
#[test]
fn the_corpus_of_bodies_is_read_passed_over_or_refused_as_its_names_say() {
    let corpus = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/webhook_bodies");
    let mut seen = 0;
    for entry in fs::read_dir(corpus).unwrap() {
        let path = entry.unwrap().path();
        let name = path.file_name().unwrap().to_string_lossy().into_owned();
        let read = WebhookEvent::parse(&fs::read(&path).unwrap());
        let is = match &read {
            Ok(Some(_)) => "good_",
            Ok(None) => "unknown_",
            Err(_) => "bad_",
        };
        assert!(name.starts_with(is), "{name}: {read:?}");
        seen += 1;
    }
    assert!(seen >= 20, "{seen}");
}

fn json() -> impl Strategy<Value = serde_json::Value> {
    let leaf = prop_oneof![
        Just(serde_json::Value::Null),
        any::<bool>().prop_map(Into::into),
        any::<i64>().prop_map(Into::into),
        "\\PC{0,8}".prop_map(Into::into),
    ];
    leaf.prop_recursive(5, 40, 6, |inner| {
        let name = prop_oneof![
            Just("id".to_owned()),
            Just("type".to_owned()),
            Just("data".to_owned()),
            Just("object".to_owned()),
            Just("payment_intent".to_owned()),
            "[a-z]{1,4}",
        ];
        prop_oneof![
            prop::collection::vec(inner.clone(), 0..5).prop_map(Into::into),
            prop::collection::hash_map(name, inner, 0..6)
                .prop_map(|fields| serde_json::Value::Object(fields.into_iter().collect())),
        ]
    })
}

proptest! {
    #[test]
    fn no_bytes_make_it_panic(body: Vec<u8>) {
        let _read_or_not = WebhookEvent::parse(&body);
    }

    #[test]
    fn no_json_makes_it_panic_and_what_is_read_can_be_kept(body in json()) {
        if let Ok(Some(event)) = parse(&body.to_string()) {
            prop_assert!(is_name(&event.id) && is_name(&event.kind));
        }
    }

    #[test]
    fn a_good_body_cut_short_or_bent_is_refused_or_read_but_never_a_panic(cut in 0_usize..400, bit in 0_u8..8) {
        let body = include_bytes!("../../../tests/webhook_bodies/good_intent.json");
        let mut bent = body[..cut.min(body.len())].to_vec();
        let _read_or_not = WebhookEvent::parse(&bent);
        if let Some(last) = bent.last_mut() {
            *last ^= 1 << bit;
            let _read_or_not = WebhookEvent::parse(&bent);
        }
    }
}
