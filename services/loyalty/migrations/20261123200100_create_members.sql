-- Who takes part in the programme, and what their entries add up to.
CREATE TABLE loyalty.members (
    -- The operator's code, upper-cased.
    member_id TEXT COLLATE "C" NOT NULL
        CONSTRAINT members_pkey PRIMARY KEY
        CONSTRAINT members_member_id_check CHECK (member_id ~ '^[A-Z0-9_-]{1,32}$'),
    -- The sum of the member's entries: may be negative when goods come back after points were counted.
    balance BIGINT NOT NULL,
    -- The sum of the points of all documents that earned.
    earned BIGINT NOT NULL
        CONSTRAINT members_earned_check CHECK (earned >= 0),
    -- Rises by one with each committed change.
    version BIGINT NOT NULL
        CONSTRAINT members_version_check CHECK (version >= 1),
    -- When the member was enrolled. NULL: only known from a sale that named them; nobody reads such a row, and
    -- enrolling adopts it with all its points.
    enrolled_at TIMESTAMPTZ,
    created_at TIMESTAMPTZ NOT NULL,
    updated_at TIMESTAMPTZ NOT NULL
);
