-- Releases a lock if its holder still has it.
--
-- KEYS: the lock.
-- ARGV: 1 unused; 2 the token of the holder.
if redis.call('GET', KEYS[1]) == ARGV[2] then redis.call('DEL', KEYS[1]) end
return {'ok'}
