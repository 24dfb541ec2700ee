-- Returns whether an index lacks a session: that of the IDs, or that by user. Adds it on demand.
--
-- KEYS: the session, the IDs and the index by user.
-- ARGV: 1 unused; 2 whether to add it; 3 the ID.
local found = redis.pcall('HMGET', KEYS[1], 'v', 'i')
if found.err or not found[1] then return {'ok', 0} end
local member = found[2] and found[2] .. ARGV[3]
local is_listed = redis.call('ZSCORE', KEYS[2], ARGV[3])
local is_entered = not member or redis.call('ZSCORE', KEYS[3], member)
if is_listed and is_entered then return {'ok', 0} end
if ARGV[2] == '1' then
  redis.call('ZADD', KEYS[2], 0, ARGV[3])
  if member then redis.call('ZADD', KEYS[3], 0, member) end
end
return {'ok', 1}
