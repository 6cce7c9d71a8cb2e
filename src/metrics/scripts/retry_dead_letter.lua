-- Move one dead letter back to the end of the stream, to be read once more.
--
-- The audit counts it as appended and accepted again, and goes on to count that it was dead: no
-- count ever becomes less, and all of them balance.
--
-- KEYS  1 stream, 2 audit, 3 backlog, 4 dead stream
-- ARGV  1 its id in the dead stream, 2 a nonce of 48 bits, as in append.lua
-- Result: 1 moved, 0 it is not there

local stream, audit, backlog, dead = KEYS[1], KEYS[2], KEYS[3], KEYS[4]
local id, nonce = ARGV[1], ARGV[2]
-- What was written before the fields of the entry: its id and the reason.
local NOTED = 4

-- include read

local function is_count(text)
  return not text or (#text <= 18 and string.find(text, '^%d+$'))
end

local counts = read('HMGET', audit, 'appended', 'accepted')
local found = read('XRANGE', dead, id, id)
read('XLEN', stream)
if failure then
  return failure
end
if not (is_count(counts[1]) and is_count(counts[2])) then
  return redis.error_reply('UNSOUND ' .. audit)
end
if #found == 0 then
  return 0
end

-- include messages_in

local fields, hours, messages = {}, {}, 0
for i = NOTED + 1, #found[1][2], 2 do
  local key_hour, text = found[1][2][i], found[1][2][i + 1]
  fields[#fields + 1] = key_hour
  fields[#fields + 1] = text
  hours[string.sub(key_hour, 1, 13)] = true
  messages = messages + messages_in(text)
end
if #fields == 0 then
  return redis.error_reply('UNSOUND ' .. dead .. ': ' .. id .. ' holds no entry')
end
for hour in pairs(hours) do
  local count = read('HGET', backlog, hour)
  if failure then
    return failure
  end
  if not is_count(count) then
    return redis.error_reply('UNSOUND ' .. backlog)
  end
end

-- Later than all entries, also than those of a clock that was ahead.
local time = redis.call('TIME')
local ms = time[1] * 1000 + math.floor(time[2] / 1000)
if redis.call('EXISTS', stream) == 1 then
  local info = redis.call('XINFO', 'STREAM', stream)
  for i = 1, #info, 2 do
    if info[i] == 'last-generated-id' then
      ms = math.max(ms, tonumber(string.match(info[i + 1], '^(%d+)-')) + 1)
    end
  end
end
-- First, since a Redis whose memory is out refuses the first write, and no later one.
redis.call('XADD', stream, string.format('%.0f-%s', ms, nonce), unpack(fields))
redis.call('XDEL', dead, id)
redis.call('HINCRBY', audit, 'appended', 1)
redis.call('HINCRBY', audit, 'accepted', messages)
for hour in pairs(hours) do
  redis.call('HINCRBY', backlog, hour, 1)
end
return 1
