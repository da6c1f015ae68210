-- The database roles of OneShelf: one login role and one schema of the same name for each service, and one for the
-- callers' keys (`access`). A role owns its schema and can touch no other.
--
-- Run as a role that may create roles and schemas, in the database that OneShelf shall use, as often as you like:
--
--   psql "$ADMIN_URL" -v ON_ERROR_STOP=1 \
--     -v catalog_password=... -v inventory_password=... -v orders_password=... -v partners_password=... \
--     -v loyalty_password=... -v channels_password=... -v access_password=... -f deploy/postgres/roles.sql
--
-- Existing roles get the given password. Nothing is dropped. `oneshelf migrate` then creates the tables.
-- Make the database with LC_COLLATE 'C': OneShelf compares ASCII codes all day, and bytes are quicker than words.
-- For one database per service run it in each of them: the schemas that stay empty there do no harm.

\set QUIET on
\set ON_ERROR_STOP on
SET client_min_messages = warning;

BEGIN;

CREATE TEMPORARY TABLE wanted ON COMMIT DROP AS
SELECT 'oneshelf_' || name AS role, name AS schema, password
FROM (VALUES ('catalog',   :'catalog_password')
           , ('inventory', :'inventory_password')
           , ('orders',    :'orders_password')
           , ('partners',  :'partners_password')
           , ('loyalty',   :'loyalty_password')
           , ('channels',  :'channels_password')
           , ('access',    :'access_password')) AS service (name, password);

SELECT format('CREATE ROLE %I', role)
FROM wanted WHERE role NOT IN (SELECT rolname FROM pg_roles)
\gexec
SELECT format('ALTER ROLE %I LOGIN NOCREATEDB NOCREATEROLE PASSWORD %L', role, password) FROM wanted
\gexec

-- A superuser may give schemas to anyone; an administrator of a managed server must be a member of the role first.
SELECT format('GRANT %I TO CURRENT_USER', role)
FROM wanted WHERE NOT pg_has_role(role, 'MEMBER')
\gexec

SELECT format('CREATE SCHEMA IF NOT EXISTS %I AUTHORIZATION %I', schema, role) FROM wanted
\gexec
SELECT format('REVOKE ALL ON SCHEMA %I FROM PUBLIC', schema) FROM wanted
\gexec

-- Every name in our SQL carries its schema. The search path is for the table that records the migrations.
SELECT format('ALTER ROLE %I IN DATABASE %I SET search_path = %I', role, current_database(), schema) FROM wanted
\gexec

-- Nobody else connects, and nobody leaves things in `public`.
SELECT format('REVOKE ALL ON DATABASE %I FROM PUBLIC', current_database())
\gexec
SELECT format('GRANT CONNECT ON DATABASE %I TO %I', current_database(), role) FROM wanted
\gexec
REVOKE ALL ON SCHEMA public FROM PUBLIC;

COMMIT;
