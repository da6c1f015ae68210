-- The history of each account, append-only: used = the sum of amounts.
CREATE TABLE partners.credit_entries (
    sequence BIGINT GENERATED ALWAYS AS IDENTITY
        CONSTRAINT credit_entries_pkey PRIMARY KEY,
    partner_id TEXT COLLATE "C" NOT NULL
        CONSTRAINT credit_entries_partner_id_fkey REFERENCES partners.credit_accounts,
    reason TEXT NOT NULL
        CONSTRAINT credit_entries_reason_check CHECK (reason IN ('capture', 'payment', 'return')),
    -- Raises `used` when positive. A return can be a charge where its fees pass its refund.
    amount_minor BIGINT NOT NULL
        CONSTRAINT credit_entries_amount_minor_check CHECK (
            CASE reason WHEN 'capture' THEN amount_minor > 0 WHEN 'payment' THEN amount_minor < 0 ELSE TRUE END
        ),
    -- The hold's reference, the payer's own, or the return's id.
    reference TEXT NOT NULL,
    -- The hold, payment request or return that caused it: one entry each, whatever is delivered again.
    cause_id UUID NOT NULL,
    created_at TIMESTAMPTZ NOT NULL,
    CONSTRAINT credit_entries_reason_cause_id_key UNIQUE (reason, cause_id)
);

CREATE INDEX credit_entries_partner_id_sequence_idx ON partners.credit_entries (partner_id, sequence DESC);
