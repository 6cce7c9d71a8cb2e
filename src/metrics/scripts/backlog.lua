-- Look at the backlog of one partition in one step; change nothing.
--
-- KEYS  1 stream, 2 backlog
-- ARGV  names of hours
-- Result: the time in milliseconds; that of the oldest entry in the stream, by its id, or -1 if
--       there is none; for each hour the entries that hold messages of it, as the hash has it

-- include read

local time = redis.call('TIME')
local oldest = read('XRANGE', KEYS[1], '-', '+', 'COUNT', 1)[1]
local counts = read('HMGET', KEYS[2], unpack(ARGV))
if failure then
  return failure
end
local reply = {
  time[1] * 1000 + math.floor(time[2] / 1000),
  oldest and tonumber(string.match(oldest[1], '^%d+')) or -1,
}
for i, count in ipairs(counts) do
  reply[2 + i] = count
end
return reply
