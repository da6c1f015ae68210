-- What quotes need to know of a partner: a copy, kept by the events of the partners service; the newer version wins.
CREATE TABLE catalog.partners (
    partner_id TEXT COLLATE "C" NOT NULL
    -- The partner's own list; not a foreign key, for the partner may name it before it is made here.
  , price_list_id TEXT COLLATE "C"
  , state TEXT NOT NULL
    -- The partner's version at its owner.
  , version BIGINT NOT NULL
    -- The number of the `partners` head that wrote it last.
  , head_version BIGINT NOT NULL
  , CONSTRAINT partners_pkey PRIMARY KEY (partner_id)
  , CONSTRAINT partners_state_check CHECK (state IN ('active', 'suspended'))
  , CONSTRAINT partners_version_check CHECK (version > 0)
);

CREATE INDEX partners_head_version_idx ON catalog.partners (head_version);
