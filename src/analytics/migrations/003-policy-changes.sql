-- The audit trail of moderation: each change that a moderator made to a policy document, as the region that
-- took it saw it. Rows are written once and never changed.

CREATE TABLE policy_changes (
  id text PRIMARY KEY,
  at timestamptz NOT NULL,
  region text NOT NULL,
  document text NOT NULL,
  by text NOT NULL,
  path text NOT NULL,
  before jsonb,
  after jsonb
);

CREATE INDEX policy_changes_document_at ON policy_changes (document, at DESC);

COMMENT ON COLUMN policy_changes.document IS 'global, or stream.<id>';
COMMENT ON COLUMN policy_changes.by IS 'the claim sub of the moderator''s token';
COMMENT ON COLUMN policy_changes.path IS 'section/key, such as mutes/viewer:ann';
COMMENT ON COLUMN policy_changes.before IS 'what stood there; NULL where nothing did';
