-- Creates, saves or imports a session.
--
-- KEYS: the session, the IDs and the index by user.
-- ARGV: 1 whether an earlier attempt may have been carried out; 2 the time, or '' for the
-- server's; 3 whether the write must not be made by a second attempt; 4 the expected
-- version, or '' for no session; 5 the new version; 6 the nonce; 7 `modified`, or '' for
-- now; 8 `expires`; 9 the data; 10 the ID; 11 the SHA-256 of the user, or '' for none;
-- 12 the user.
local found = redis.pcall('HMGET', KEYS[1], 'v', 'n', 'i')
if found.err then return {'corrupt', found.err} end
if found[2] == ARGV[6] then
  -- An earlier attempt has succeeded. Writing again lets WAIT wait for the replicas.
  redis.call('HSET', KEYS[1], 'n', ARGV[6])
  return {'ok'}
end
local version = found[1]
local exists = version or redis.call('EXISTS', KEYS[1]) == 1
if ARGV[4] == '' and exists then return {'exists'} end
if ARGV[4] ~= '' then
  if not exists then return {'absent'} end
  if not version then return {'corrupt', 'it has no version'} end
  if version ~= ARGV[4] then return {'conflict', version} end
end
if ARGV[1] == '1' and ARGV[3] == '1' then return {'lost'} end

local now = ARGV[2]
if now == '' then
  local time = redis.call('TIME')
  now = time[1] .. string.format('%03d', math.floor(time[2] / 1000))
end
local modified = ARGV[7]
if modified == '' then modified = now end
redis.call('HSET', KEYS[1], 'v', ARGV[5], 'n', ARGV[6], 'm', modified, 'e', ARGV[8],
  'd', ARGV[9])
local before, after = found[3] or '', ARGV[11]
if after ~= '' then
  redis.call('HSET', KEYS[1], 'i', after, 'u', ARGV[12])
elseif before ~= '' then
  redis.call('HDEL', KEYS[1], 'i', 'u')
end
if before ~= after then
  if before ~= '' then redis.call('ZREM', KEYS[3], before .. ARGV[10]) end
  if after ~= '' then redis.call('ZADD', KEYS[3], 0, after .. ARGV[10]) end
end
if not exists then redis.call('ZADD', KEYS[2], 0, ARGV[10]) end
return {'ok'}
