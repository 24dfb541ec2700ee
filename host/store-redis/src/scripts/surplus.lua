-- Returns whether no session needs an entry of the index by user. Removes it on demand.
--
-- KEYS: the session and the index by user.
-- ARGV: 1 unused; 2 whether to remove it; 3 the entry; 4 its SHA-256 of a user, or '' if it is
-- not the entry of any session.
if ARGV[4] ~= '' then
  local hash = redis.pcall('HGET', KEYS[1], 'i')
  -- A key of another type is a damaged session, which stays as it is.
  if type(hash) == 'table' or hash == ARGV[4] then return {'ok', 0} end
end
if not redis.call('ZSCORE', KEYS[2], ARGV[3]) then return {'ok', 0} end
if ARGV[2] == '1' then redis.call('ZREM', KEYS[2], ARGV[3]) end
return {'ok', 1}
