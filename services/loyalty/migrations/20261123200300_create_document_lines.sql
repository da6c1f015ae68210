-- Each line of goods of each document, once: whatever is delivered again meets the primary key.
CREATE TABLE loyalty.document_lines (
    document_id UUID NOT NULL
        CONSTRAINT document_lines_document_id_fkey REFERENCES loyalty.documents,
    -- Which shipment of the order: the version of the order that the event reports. Lines may ship in parts.
    shipment BIGINT NOT NULL,
    line_no INTEGER NOT NULL
        CONSTRAINT document_lines_line_no_check CHECK (line_no >= 1),
    -- What was paid, or, negative, refunded.
    amount_minor BIGINT NOT NULL,
    CONSTRAINT document_lines_pkey PRIMARY KEY (document_id, shipment, line_no)
);
