-- What analysts read. In every view `count` is net of retractions, summed over all actors, and
-- `normalized_rate` is reactions per second per viewer watching: count / seconds / the most viewers that
-- any row of the stream knew of in that time (of all emoji, because viewers watch streams, not emoji).
-- It is NULL when nobody was watching.

CREATE VIEW reactions_1s AS
SELECT
  stream_id,
  emoji_id,
  window_start,
  sum(increments - decrements)::bigint AS count,
  sum(increments - decrements)::double precision
    / nullif(max(max(viewers)) OVER (PARTITION BY stream_id, window_start), 0) AS normalized_rate
FROM reaction_windows
GROUP BY stream_id, emoji_id, window_start;

CREATE VIEW reactions_1m AS
SELECT
  stream_id,
  emoji_id,
  bucket AS window_start,
  sum(increments - decrements)::bigint AS count,
  sum(increments - decrements)::double precision / 60
    / nullif(max(max(viewers)) OVER (PARTITION BY stream_id, bucket), 0) AS normalized_rate
FROM (
  SELECT *, date_bin('1 minute', window_start, 'epoch') AS bucket FROM reaction_windows
) AS windows
GROUP BY stream_id, emoji_id, bucket;

CREATE VIEW reactions_1h AS
SELECT
  stream_id,
  emoji_id,
  bucket AS window_start,
  sum(increments - decrements)::bigint AS count,
  sum(increments - decrements)::double precision / 3600
    / nullif(max(max(viewers)) OVER (PARTITION BY stream_id, bucket), 0) AS normalized_rate
FROM (
  SELECT *, date_bin('1 hour', window_start, 'epoch') AS bucket FROM reaction_windows
) AS windows
GROUP BY stream_id, emoji_id, bucket;
