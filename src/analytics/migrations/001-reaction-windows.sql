-- The windows: one row for each second, stream, emoji and actor, written by that actor alone.
-- Values only grow, so writers upsert with GREATEST and replays change nothing.

CREATE TABLE reaction_windows (
  stream_id text NOT NULL,
  emoji_id text NOT NULL,
  window_start timestamptz NOT NULL,
  actor text NOT NULL,
  increments bigint NOT NULL,
  decrements bigint NOT NULL,
  viewers bigint NOT NULL,
  PRIMARY KEY (stream_id, emoji_id, window_start, actor)
);

-- The history of a stream over all emoji, by time; the primary key serves one emoji and the audit.
CREATE INDEX reaction_windows_stream_time ON reaction_windows (stream_id, window_start);

COMMENT ON TABLE reaction_windows IS 'Counts of one second, stream, emoji and actor. Analysts read the views reactions_1s, reactions_1m and reactions_1h.';
COMMENT ON COLUMN reaction_windows.actor IS 'region/shard/epoch: the single writer of the row';
COMMENT ON COLUMN reaction_windows.viewers IS 'viewers watching the stream in all regions, as far as the writer knew';

-- With TimescaleDB the table becomes a hypertable; without it, and in PGlite, it stays a plain one.
DO $$
BEGIN
  IF EXISTS (SELECT FROM pg_extension WHERE extname = 'timescaledb') THEN
    PERFORM create_hypertable('reaction_windows', 'window_start', chunk_time_interval => interval '1 day');
  END IF;
END
$$;
