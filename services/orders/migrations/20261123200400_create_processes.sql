-- Work in progress across services: written before its first step is taken, deleted with its last one.
CREATE TABLE orders.processes (
    process_id UUID NOT NULL
  , verb TEXT NOT NULL
  , step TEXT NOT NULL
  , effective_at TIMESTAMPTZ
  , due_at TIMESTAMPTZ NOT NULL
  , attempts INTEGER NOT NULL
  , last_error TEXT
  , parked_at TIMESTAMPTZ
  , created_at TIMESTAMPTZ NOT NULL
  , CONSTRAINT processes_pkey PRIMARY KEY (process_id, verb)
  , CONSTRAINT processes_verb_check CHECK (verb IN ('place', 'ship', 'cancel', 'record_ticket', 'return'))
  , CONSTRAINT processes_attempts_check CHECK (attempts >= 0)
)
-- Rows come and go quickly: keep the dead ones few.
WITH (fillfactor = 70, autovacuum_vacuum_scale_factor = 0.02, autovacuum_vacuum_threshold = 500);

-- What the timer takes next.
CREATE INDEX processes_due_idx ON orders.processes (due_at);

COMMENT ON COLUMN orders.processes.process_id IS 'The order, or the return.';
COMMENT ON COLUMN orders.processes.step IS 'The step to take next; taking it twice does no harm, its request id derives from process and step.';
COMMENT ON COLUMN orders.processes.effective_at IS 'When it happened, where the caller said so; else it happens when it is done.';
COMMENT ON COLUMN orders.processes.due_at IS 'Whoever works on it has a lease until then; after that the timer takes it.';
COMMENT ON COLUMN orders.processes.parked_at IS 'Set after many attempts: a person should look. The timer still tries, rarely, so a mended cause needs nothing else.';
