-- Where each partner's credit stands. One row per partner, made with the partner and never deleted. Its row lock
-- is the gate of everything that touches the partner's credit: holds, entries and the partner's state change only
-- while it is held.
--
-- used + held <= limit is not a CHECK here: lowering the limit may leave an account beyond it, and capturing or
-- releasing must still work then. It is decided when a hold is granted.
CREATE TABLE partners.credit_accounts (
    partner_id TEXT COLLATE "C" NOT NULL
        CONSTRAINT credit_accounts_pkey PRIMARY KEY
        CONSTRAINT credit_accounts_partner_id_fkey REFERENCES partners.partners,
    currency CHAR(3) NOT NULL,
    limit_minor BIGINT NOT NULL
        CONSTRAINT credit_accounts_limit_minor_check CHECK (limit_minor >= 0),
    -- Captured and not paid back: the sum of the account's entries. Negative when the partner is in credit.
    used_minor BIGINT NOT NULL,
    -- Promised to open holds: the sum of their amounts.
    held_minor BIGINT NOT NULL
        CONSTRAINT credit_accounts_held_minor_check CHECK (held_minor >= 0),
    version BIGINT NOT NULL
        CONSTRAINT credit_accounts_version_check CHECK (version >= 1),
    updated_at TIMESTAMPTZ NOT NULL
);
