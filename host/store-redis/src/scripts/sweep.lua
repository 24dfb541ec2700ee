-- Deletes those of some sessions that are old.
--
-- KEYS: the IDs, the index by user, and the sessions.
-- ARGV: 1 unused; 2 the time, or '' for the server's; 3 the longest time without a change,
-- in milliseconds; 4 the time before which a session is old, if the time is given; then the
-- IDs of the sessions.
--
-- Times are compared as decimal digits: Lua's numbers hold 53 bits.
local function less(a, b) return #a < #b or (#a == #b and a < b) end
local function number(text) return text and string.match(text, '^%d+$') end

local now, oldest = ARGV[2], ARGV[4]
if now == '' then
  local time = redis.call('TIME')
  now = time[1] .. string.format('%03d', math.floor(time[2] / 1000))
  oldest = string.format('%.0f', math.max(tonumber(now) - tonumber(ARGV[3]), 0))
end
local deleted, remaining = 0, 0
for index = 3, #KEYS do
  local key, id = KEYS[index], ARGV[index + 2]
  local found = redis.pcall('HMGET', key, 'v', 'm', 'e', 'i')
  local is_whole = not found.err and number(found[1]) and number(found[2]) and number(found[3])
  local is_old = is_whole and (not less(now, found[3]) or less(found[2], oldest))
  if is_old and redis.call('HEXISTS', key, 'd') == 1 then
    redis.call('DEL', key)
    redis.call('ZREM', KEYS[1], id)
    if found[4] then redis.call('ZREM', KEYS[2], found[4] .. id) end
    deleted = deleted + 1
  elseif is_whole or redis.call('ZSCORE', KEYS[1], id) then
    remaining = remaining + 1
  end
end
return {'ok', deleted, remaining}
