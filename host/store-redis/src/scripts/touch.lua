-- Sets the times of a session.
--
-- KEYS: the session.
-- ARGV: 1 unused; 2 the time, or '' for the server's; 3 the expected version; 4 `expires`.
local version = redis.pcall('HGET', KEYS[1], 'v')
if type(version) == 'table' then return {'corrupt', version.err} end
if not version then
  if redis.call('EXISTS', KEYS[1]) == 0 then return {'absent'} end
  return {'corrupt', 'it has no version'}
end
if version ~= ARGV[3] then return {'conflict', version} end
local now = ARGV[2]
if now == '' then
  local time = redis.call('TIME')
  now = time[1] .. string.format('%03d', math.floor(time[2] / 1000))
end
redis.call('HSET', KEYS[1], 'm', now, 'e', ARGV[4])
return {'ok'}
