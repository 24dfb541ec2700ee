-- Takes a lock, or finds that an earlier attempt took it.
--
-- KEYS: the lock.
-- ARGV: 1 unused; 2 the token of the holder; 3 the time of the lease in milliseconds.
if redis.call('SET', KEYS[1], ARGV[2], 'NX', 'PX', ARGV[3]) then return {'ok', 1} end
if redis.call('GET', KEYS[1]) == ARGV[2] then return {'ok', 1} end
return {'ok', 0}
