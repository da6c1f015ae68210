-- Credit promised to orders. captured + released = amount once resolved; a hold resolves once.
CREATE TABLE partners.credit_holds (
    -- The request_id of the HoldCredit that made it.
    hold_id UUID NOT NULL
        CONSTRAINT credit_holds_pkey PRIMARY KEY,
    partner_id TEXT COLLATE "C" NOT NULL
        CONSTRAINT credit_holds_partner_id_fkey REFERENCES partners.credit_accounts,
    amount_minor BIGINT NOT NULL
        CONSTRAINT credit_holds_amount_minor_check CHECK (amount_minor > 0),
    captured_minor BIGINT NOT NULL
        CONSTRAINT credit_holds_captured_minor_check CHECK (captured_minor BETWEEN 0 AND amount_minor),
    state TEXT NOT NULL
        CONSTRAINT credit_holds_state_check CHECK (state IN ('held', 'captured', 'released')),
    -- Evidence of M4: used + held with this hold, and the limit, at the moment it was granted.
    exposure_minor BIGINT NOT NULL,
    limit_minor BIGINT NOT NULL,
    -- The caller's own, such as an order id.
    reference TEXT NOT NULL
        CONSTRAINT credit_holds_reference_check CHECK (char_length(reference) <= 100),
    -- SHA-256 of the request that made it: the same id with other content is refused.
    fingerprint BYTEA NOT NULL
        CONSTRAINT credit_holds_fingerprint_check CHECK (octet_length(fingerprint) = 32),
    created_at TIMESTAMPTZ NOT NULL,
    resolved_at TIMESTAMPTZ
        CONSTRAINT credit_holds_resolved_at_check CHECK ((state = 'held') = (resolved_at IS NULL)),
    CONSTRAINT credit_holds_exposure_check CHECK (exposure_minor <= limit_minor),
    CONSTRAINT credit_holds_captured_check CHECK ((state = 'captured') = (captured_minor > 0))
);

-- `oneshelf verify` adds open holds up per account.
CREATE INDEX credit_holds_open_idx ON partners.credit_holds (partner_id) WHERE state = 'held';
