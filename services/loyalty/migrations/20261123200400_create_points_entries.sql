-- The statement, append-only: balance = the sum of points.
CREATE TABLE loyalty.points_entries (
    sequence BIGINT GENERATED ALWAYS AS IDENTITY
        CONSTRAINT points_entries_pkey PRIMARY KEY,
    member_id TEXT COLLATE "C" NOT NULL
        CONSTRAINT points_entries_member_id_fkey REFERENCES loyalty.members,
    document_id UUID NOT NULL
        CONSTRAINT points_entries_document_id_fkey REFERENCES loyalty.documents,
    reason TEXT NOT NULL
        CONSTRAINT points_entries_reason_check CHECK (reason IN ('earn', 'take_back')),
    points BIGINT NOT NULL
        CONSTRAINT points_entries_points_check CHECK (points <> 0),
    -- When the goods moved.
    effective_at TIMESTAMPTZ NOT NULL,
    recorded_at TIMESTAMPTZ NOT NULL
);

CREATE INDEX points_entries_member_id_sequence_idx ON loyalty.points_entries (member_id, sequence DESC);
