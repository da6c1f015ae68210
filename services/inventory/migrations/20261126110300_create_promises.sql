-- Units promised for a day.
CREATE TABLE inventory.promises (
    -- The request id of the PromiseStock that made it.
    promise_id UUID NOT NULL
  , state TEXT NOT NULL
  , due_on DATE NOT NULL
  , channel_id TEXT NULL
  , reference TEXT NOT NULL
    -- The hold that it was committed into.
  , hold_id UUID NULL
  , version BIGINT NOT NULL
  , created_at TIMESTAMPTZ NOT NULL
  , updated_at TIMESTAMPTZ NOT NULL
  , CONSTRAINT promises_pkey PRIMARY KEY (promise_id)
  , CONSTRAINT promises_state_check CHECK (
        state IN ('open', 'committed', 'cancelled') AND (state = 'committed') = (hold_id IS NOT NULL)
    )
);

CREATE INDEX promises_created_at_idx ON inventory.promises (created_at, promise_id);

-- Waiting units of a (SKU, location) change under the lock of its stock level, not under that of the promise: a receipt
-- serves many promises.
CREATE TABLE inventory.promise_lines (
    promise_id UUID NOT NULL
  , line_no INT NOT NULL
  , sku TEXT NOT NULL
  , location_id TEXT NOT NULL
    -- Of the promise: the order in which claims are served is by day, then by sequence.
  , due_on DATE NOT NULL
  , sequence BIGINT GENERATED ALWAYS AS IDENTITY
  , quantity BIGINT NOT NULL
    -- Not there yet; the rest is held.
  , waiting BIGINT NOT NULL
    -- Of the waiting units: those that no supply covers.
  , uncovered BIGINT NOT NULL
    -- How often goods that came in were given to this line: the version of its events.
  , fills BIGINT NOT NULL
  , CONSTRAINT promise_lines_pkey PRIMARY KEY (promise_id, line_no)
  , CONSTRAINT promise_lines_promise_id_fkey FOREIGN KEY (promise_id) REFERENCES inventory.promises (promise_id)
  , CONSTRAINT promise_lines_quantities_check CHECK (
        quantity > 0 AND waiting BETWEEN 0 AND quantity AND uncovered BETWEEN 0 AND waiting AND fills >= 0
    )
);

CREATE INDEX promise_lines_waiting_idx ON inventory.promise_lines (sku, location_id, due_on, sequence)
 WHERE waiting > 0;

-- The hard holds on what is there, which the promise alone resolves.
CREATE TABLE inventory.promise_holds (
    hold_id UUID NOT NULL
  , promise_id UUID NOT NULL
  , CONSTRAINT promise_holds_pkey PRIMARY KEY (hold_id)
  , CONSTRAINT promise_holds_promise_id_fkey FOREIGN KEY (promise_id) REFERENCES inventory.promises (promise_id)
);

CREATE INDEX promise_holds_promise_id_idx ON inventory.promise_holds (promise_id);
