diesel::table! {
    accounts (id) {
        id -> Text,
        email -> Text,
        name -> Text,
        roles -> Array<Text>,
        password -> Text,
        created_at -> Timestamptz,
    }
}

diesel::table! {
    forgotten_accounts (id) {
        id -> Text,
    }
}

diesel::table! {
    signing_keys (id) {
        id -> Text,
        private_key -> Bytea,
        public_jwk -> Jsonb,
        signs_from -> Timestamptz,
    }
}

diesel::table! {
    authorization_codes (hash) {
        hash -> Bytea,
        account_id -> Text,
        client_id -> Text,
        redirect_uri -> Text,
        scope -> Text,
        nonce -> Nullable<Text>,
        code_challenge -> Text,
        signed_in_at -> Timestamptz,
        expires_at -> Timestamptz,
        session_id -> Nullable<Text>,
    }
}

diesel::table! {
    sessions (id) {
        id -> Text,
        account_id -> Text,
        client_id -> Text,
        scope -> Text,
        refresh_hash -> Bytea,
        signed_in_at -> Timestamptz,
        expires_at -> Timestamptz,
    }
}

diesel::table! {
    attempts (key) {
        key -> Bytea,
        free_at -> Timestamptz,
    }
}
