-- Move one entry that cannot be read from the stream to the dead stream, with the reason.
--
-- An entry that no collector appended is counted apart, as foreign: it is none of ours.
--
-- KEYS  1 stream, 2 audit, 3 backlog, 4 dead stream
-- ARGV  1 group, 2 consumer, 3 id, 4 reason, 5 messages in it;
--       number of hours; the hours that it is counted under in the backlog
-- Result: 1 moved, 0 not pending for this consumer

local stream, audit, backlog, dead = KEYS[1], KEYS[2], KEYS[3], KEYS[4]
local group, consumer, id, reason, messages = ARGV[1], ARGV[2], ARGV[3], ARGV[4], ARGV[5]
-- More arguments than this do not fit on Lua's stack; no entry of ours has as many.
local FIELDS_MAX = 4000

if #redis.call('XPENDING', stream, group, id, id, 1, consumer) == 0 then
  return 0
end
-- include read

read('XLEN', dead)
local counts = read('HMGET', audit, 'appended', 'committed', 'dead', 'dead_messages', 'foreign')
for i = 1, 5 do
  local count = counts[i]
  if count and (#count > 18 or not string.find(count, '^%d+$')) then
    return redis.error_reply('UNSOUND ' .. audit)
  end
end
-- One entry more than was ever appended: this one, which nobody can read, is somebody else's.
local surplus = (counts[2] or 0) + (counts[3] or 0) + redis.call('XLEN', stream) - (counts[1] or 0)
local is_foreign = surplus > 0
local left = {}
-- Hours of a foreign entry were never counted.
for i = 7, is_foreign and 6 or 6 + tonumber(ARGV[6]) do
  left[ARGV[i]] = tonumber(read('HGET', backlog, ARGV[i]) or 0)
end
if failure then
  return failure
end

local entry = redis.call('XRANGE', stream, id, id)[1]
local fields = entry and entry[2] or {}
redis.call('XACK', stream, group, id)
redis.call('XDEL', stream, id)
redis.call('XADD', dead, '*', 'id', id, 'reason', reason,
  unpack(fields, 1, math.min(#fields, FIELDS_MAX)))
for hour, entries in pairs(left) do
  if entries > 1 then
    redis.call('HSET', backlog, hour, entries - 1)
  else
    redis.call('HDEL', backlog, hour)
  end
end
if is_foreign then
  redis.call('HINCRBY', audit, 'foreign', 1)
else
  redis.call('HINCRBY', audit, 'dead', 1)
  redis.call('HINCRBY', audit, 'dead_messages', messages)
end
return 1
