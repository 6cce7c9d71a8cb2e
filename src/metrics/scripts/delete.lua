-- Delete a key-hour, sound or not, and count its messages as deleted. A key that has no other hour
-- is no longer known.
--
-- KEYS  1 hash of the key-hour, 2 stream, 3 audit, 4 backlog, 5 keys, 6... the hashes of all hours
--       that the key may have; none if they are not to be looked for
-- ARGV  1 name of the hour, 2 the key
-- Result: the messages that were deleted; -1 if there is no such key-hour; -2 if messages of the
--       hour are in the backlog, which may be of this key and would count after it

-- include read

local found = redis.call('TYPE', KEYS[1]).ok
local length = read('XLEN', KEYS[2])
local deleted = read('HGET', KEYS[3], 'deleted')
local removed = read('HGET', KEYS[3], 'removed_keys')
local waiting = read('HGET', KEYS[4], ARGV[1])
if failure then
  return failure
end
for _, count in ipairs({ deleted or '0', removed or '0' }) do
  if #count > 18 or not string.find(count, '^%d+$') then
    return redis.error_reply('UNSOUND ' .. KEYS[3])
  end
end
if found == 'none' then
  return -1
end
if length > 0 and waiting and (#waiting > 15 or not string.find(waiting, '^%d+$')) then
  return redis.error_reply('UNSOUND ' .. KEYS[4])
end
if length > 0 and waiting and tonumber(waiting) ~= 0 then
  return -2
end
local count = found == 'hash' and redis.call('HGET', KEYS[1], 'count') or '0'
-- What somebody wrote by hand may be no count.
local messages = string.find(count, '^%d+$') and #count <= 16 and tonumber(count) or 0
redis.call('HINCRBY', KEYS[3], 'deleted', messages)
redis.call('DEL', KEYS[1])
local left = #KEYS > 5 and 0 or 1
for from = 6, #KEYS, 4000 do
  -- A user of Redis that was set up for an earlier version may do neither of these.
  local there = redis.pcall('EXISTS', unpack(KEYS, from, math.min(from + 3999, #KEYS)))
  left = left + (type(there) == 'number' and there or 1)
end
if left == 0 then
  local gone = redis.pcall('ZREM', KEYS[5], ARGV[2])
  if gone == 1 then
    redis.call('HINCRBY', KEYS[3], 'removed_keys', 1)
  end
end
return messages
