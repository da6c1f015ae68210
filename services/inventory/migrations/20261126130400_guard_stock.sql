-- What no caller may do, whatever its code thinks. `soft_held + hard_held <= sellable` is not among it: facts (a till's
-- sale, a loss found in a count) may take what is promised. A promise is checked where it is granted, see below.
ALTER TABLE inventory.stock_levels
  ADD CONSTRAINT stock_levels_range_check CHECK (
          sellable BETWEEN -1000000000000000 AND 1000000000000000
      AND damaged <= 1000000000000000
      AND quarantine <= 1000000000000000
      AND soft_held <= 1000000000000000
      AND hard_held <= 1000000000000000
      ) NOT VALID
, ADD CONSTRAINT stock_levels_version_check CHECK (version >= 0) NOT VALID;

-- A line that was granted more than there was would leave less than nothing for others.
ALTER TABLE inventory.hold_lines
  ADD CONSTRAINT hold_lines_available_check CHECK (available >= 0) NOT VALID;

-- History is not rewritten, and a level is not forgotten: its version would begin again. Statements, so inserts pay
-- nothing; closing a partition's rows away goes by the partition's own name.
CREATE FUNCTION inventory.refuse_change() RETURNS TRIGGER LANGUAGE plpgsql AS $$
BEGIN
    RAISE EXCEPTION '% on % is refused', TG_OP, TG_TABLE_NAME
        USING ERRCODE = 'integrity_constraint_violation', CONSTRAINT = TG_TABLE_NAME || '_append_only';
END;
$$;

CREATE TRIGGER ledger_entries_append_only
    BEFORE UPDATE OR DELETE OR TRUNCATE ON inventory.ledger_entries
    FOR EACH STATEMENT EXECUTE FUNCTION inventory.refuse_change();
CREATE TRIGGER level_repairs_append_only
    BEFORE UPDATE OR DELETE OR TRUNCATE ON inventory.level_repairs
    FOR EACH STATEMENT EXECUTE FUNCTION inventory.refuse_change();
CREATE TRIGGER stock_levels_append_only
    BEFORE DELETE OR TRUNCATE ON inventory.stock_levels
    FOR EACH STATEMENT EXECUTE FUNCTION inventory.refuse_change();

-- Hard holds join the index of open holds, which the reconciler reads. Soft ones pay as before.
CREATE INDEX holds_open_idx ON inventory.holds (expires_at) WHERE state = 'held';
DROP INDEX inventory.holds_expires_at_idx;
