diesel::table! {
    inbox (consumer, event_id) {
        consumer -> Text,
        event_id -> Uuid,
    }
}

diesel::table! {
    parked_keys (consumer, topic, key) {
        consumer -> Text,
        topic -> Text,
        key -> Text,
        parked_at -> Timestamptz,
    }
}

diesel::table! {
    dead_letters (id) {
        id -> BigInt,
        consumer -> Text,
        topic -> Text,
        partition -> Integer,
        record_offset -> BigInt,
        key -> Text,
        headers -> Json,
        value -> Nullable<Binary>,
        event_id -> Nullable<Uuid>,
        event_type -> Nullable<Text>,
        error -> Nullable<Text>,
        attempts -> Integer,
        buried_at -> Timestamptz,
        replay_requested_at -> Nullable<Timestamptz>,
    }
}

diesel::table! {
    consumer_progress (consumer, topic, partition) {
        consumer -> Text,
        topic -> Text,
        partition -> Integer,
        position -> BigInt,
        caught_up_to -> Nullable<Timestamptz>,
    }
}

diesel::table! {
    timers (kind, key) {
        kind -> Text,
        key -> Text,
        key_hash -> Integer,
        due_at -> Timestamptz,
        attempts -> Integer,
        not_before -> Timestamptz,
    }
}

diesel::table! {
    actions (id) {
        id -> Uuid,
        at -> Timestamptz,
        sub -> Text,
        role -> Text,
        method -> Text,
        path -> Text,
        traceparent -> Nullable<Text>,
        status -> Nullable<SmallInt>,
    }
}
