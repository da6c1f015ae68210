-- What points are counted from: an order, a till's ticket or a return. Points are cut towards zero per document, so
-- the document keeps the sum of its lines and how many points it stands for so far.
CREATE TABLE loyalty.documents (
    -- The id of the order (tickets have one too) or of the return.
    document_id UUID NOT NULL
        CONSTRAINT documents_pkey PRIMARY KEY,
    member_id TEXT COLLATE "C" NOT NULL
        CONSTRAINT documents_member_id_fkey REFERENCES loyalty.members,
    kind TEXT NOT NULL
        CONSTRAINT documents_kind_check CHECK (kind IN ('sale', 'return')),
    currency CHAR(3) NOT NULL,
    -- The sum of the lines that came so far; refunds are negative.
    amount_minor BIGINT NOT NULL,
    -- How many minor units of the currency make a point: its major unit.
    minor_per_point BIGINT NOT NULL
        CONSTRAINT documents_minor_per_point_check CHECK (minor_per_point >= 1),
    -- Integer division cuts towards zero.
    points BIGINT NOT NULL
        CONSTRAINT documents_points_check CHECK (points = amount_minor / minor_per_point),
    created_at TIMESTAMPTZ NOT NULL,
    updated_at TIMESTAMPTZ NOT NULL
);

CREATE INDEX documents_member_id_idx ON loyalty.documents (member_id);
