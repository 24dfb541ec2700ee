-- Returns whether a session is listed although it does not exist: the server evicted it.
--
-- KEYS: the session and the IDs.
-- ARGV: 1 unused; 2 the ID.
local listed = redis.call('ZSCORE', KEYS[2], ARGV[2])
if listed and redis.call('EXISTS', KEYS[1]) == 0 then return {'ok', 1} end
return {'ok', 0}
