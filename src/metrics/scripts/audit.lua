-- Look at the audit of one partition and at the length of its stream in one step; change nothing.
--
-- KEYS  1 stream, 2 audit
-- Result: the counts appended, committed, dead, accepted, applied, dead_messages, foreign, deleted, each
--       as it is in the hash or nothing; the entries in the stream; how many ms ago the oldest of
--       them was appended, nothing if this user of Redis may not know

-- include read

local counts = read('HMGET', KEYS[2],
  'appended', 'committed', 'dead', 'accepted', 'applied', 'dead_messages', 'foreign', 'deleted')
counts[9] = read('XLEN', KEYS[1])

-- A user of Redis that was set up for an earlier version may do neither of these.
local time, oldest = redis.pcall('TIME'), redis.pcall('XRANGE', KEYS[1], '-', '+', 'COUNT', 1)
if not time.err and not oldest.err then
  local id = oldest[1] and oldest[1][1]
  local now = time[1] * 1000 + math.floor(time[2] / 1000)
  counts[10] = id and math.max(0, now - string.match(id, '^%d+')) or 0
end
return failure or counts
