-- Look at the audit of one partition and at the length of its stream in one step; change nothing.
--
-- KEYS  1 stream, 2 audit
-- Result: the counts appended, committed, dead, accepted, applied, dead_messages, foreign, deleted, each
--       as it is in the hash or nothing; then the entries in the stream

-- Read a key of ours; one of a wrong type is named.
local failure
local function read(name, key, ...)
  local reply = redis.pcall(name, key, ...)
  if type(reply) == 'table' and reply.err then
    local is_unsound = string.find(reply.err, 'WRONGTYPE', 1, true)
    local named = is_unsound and redis.error_reply('UNSOUND ' .. key .. ': ' .. reply.err)
    failure = failure or named or reply
    return {}
  end
  return reply
end

local counts = read('HMGET', KEYS[2],
  'appended', 'committed', 'dead', 'accepted', 'applied', 'dead_messages', 'foreign', 'deleted')
counts[9] = read('XLEN', KEYS[1])
return failure or counts
