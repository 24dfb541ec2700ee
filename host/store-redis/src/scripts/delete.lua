-- Deletes a session, also a damaged one.
--
-- KEYS: the session, the IDs and the index by user.
-- ARGV: 1 unused; 2 the ID.
local hash = redis.pcall('HGET', KEYS[1], 'i')
if type(hash) == 'string' then redis.call('ZREM', KEYS[3], hash .. ARGV[2]) end
local deleted = redis.call('DEL', KEYS[1])
local listed = redis.call('ZREM', KEYS[2], ARGV[2])
return {'ok', math.max(deleted, listed)}
