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

// A table has sixteen columns at most here, so that of dead letters stands here twice: what a letter is written with, and what is
// known of it.
diesel::table! {
    #[sql_name = "dead_letters"]
    dead_letter_records (id) {
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
        event_id -> Nullable<Uuid>,
        event_type -> Nullable<Text>,
        error -> Nullable<Text>,
        attempts -> Integer,
        buried_at -> Timestamptz,
        replay_requested_at -> Nullable<Timestamptz>,
        cause -> Nullable<Text>,
        group_id -> Nullable<Text>,
        replays -> Integer,
        edits -> Integer,
    }
}

diesel::table! {
    dead_letter_versions (letter_id, version) {
        letter_id -> BigInt,
        version -> Integer,
        headers -> Json,
        value -> Nullable<Binary>,
        made_at -> Timestamptz,
        made_by -> Nullable<Text>,
        reason -> Nullable<Text>,
    }
}

diesel::table! {
    dead_letters_ended (id) {
        id -> BigInt,
        consumer -> Text,
        topic -> Text,
        partition -> Integer,
        record_offset -> BigInt,
        key -> Text,
        event_id -> Nullable<Uuid>,
        event_type -> Nullable<Text>,
        error -> Nullable<Text>,
        edits -> Integer,
        how -> Text,
        outcome -> Nullable<Text>,
        ended_by -> Nullable<Text>,
        reason -> Nullable<Text>,
        ended_at -> Timestamptz,
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
