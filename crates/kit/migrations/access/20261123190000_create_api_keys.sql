CREATE TABLE access.api_keys (
    -- Public half of the key, printed in logs and lists; the key reads osk_<key_id>_<secret>.
    key_id       TEXT        NOT NULL PRIMARY KEY,
    -- HMAC-SHA256 under the installation's pepper of key_id and secret. The secret itself is kept nowhere.
    secret_hash  BYTEA       NOT NULL,
    -- What an operator called it.
    title        TEXT        NOT NULL,
    -- `inventory:HoldStock`, `inventory:*` or `*`.
    scopes       TEXT[]      NOT NULL,
    -- Set: the key may touch only this channel, only this partner.
    channel_id   TEXT,
    partner_id   TEXT,
    created_at   TIMESTAMPTZ NOT NULL,
    expires_at   TIMESTAMPTZ,
    revoked_at   TIMESTAMPTZ,
    -- Written at most once a minute, so it can lag by that much.
    last_used_at TIMESTAMPTZ,
    CONSTRAINT api_keys_secret_hash_check CHECK (octet_length(secret_hash) = 32),
    CONSTRAINT api_keys_expiry_check CHECK (expires_at > created_at)
);
