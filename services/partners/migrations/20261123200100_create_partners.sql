-- Dealers that buy on account.
CREATE TABLE partners.partners (
    -- The operator's code, upper-cased.
    partner_id TEXT COLLATE "C" NOT NULL
        CONSTRAINT partners_pkey PRIMARY KEY
        CONSTRAINT partners_partner_id_check CHECK (partner_id ~ '^[A-Z0-9_-]{1,32}$'),
    -- The firm's name.
    title TEXT NOT NULL
        CONSTRAINT partners_title_check CHECK (char_length(title) BETWEEN 1 AND 200),
    tier TEXT NOT NULL
        CONSTRAINT partners_tier_check CHECK (tier IN ('standard', 'silver', 'gold')),
    -- The dealer's own price list, tried before the channel's; catalog owns what it names.
    price_list_id TEXT
        CONSTRAINT partners_price_list_id_check CHECK (price_list_id ~ '^[A-Z0-9_-]{1,32}$'),
    state TEXT NOT NULL
        CONSTRAINT partners_state_check CHECK (state IN ('active', 'suspended')),
    -- Why the partner is suspended, as the caller said; empty while active.
    suspended_reason TEXT
        CONSTRAINT partners_suspended_reason_check CHECK ((state = 'suspended') = (suspended_reason IS NOT NULL)),
    -- Rises by one with each change; the version of the partner's events.
    version BIGINT NOT NULL
        CONSTRAINT partners_version_check CHECK (version >= 1),
    created_at TIMESTAMPTZ NOT NULL,
    updated_at TIMESTAMPTZ NOT NULL
);
