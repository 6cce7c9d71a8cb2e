-- Append batches to the stream of one partition, each at most once.
--
-- A batch under an Idempotency-Key is appended only if no fingerprint of that key is there yet, and
-- the fingerprint is set in the same step. Whatever can fail is checked before the first write, since scripts do not roll back.
--
-- An id must never come again. Those that Redis makes may after a failover: a worker that was stopped
-- with an entry that the old master took along could then commit it in the place of another. So an
-- id ends with a nonce of the caller.
--
-- KEYS  1 stream, 2 audit, 3 backlog, 4... the fingerprint of each batch that has a key, in order
-- ARGV  1 backlog limit in entries, 2 dedupe window in seconds, 3 a nonce of 48 bits,
--       4 number of batches; each batch:
--       fingerprint of its body ("" if it has no key), messages, number of entries; each entry:
--       number of columns; each column: hour:key, values
-- Result, for each batch:
--       1 appended, 0 counts already, -1 the fingerprint is of another body, -2 backlog at its limit,
--       -3 the fingerprint is not sound

local stream, audit, backlog = KEYS[1], KEYS[2], KEYS[3]
local limit, window, nonce = tonumber(ARGV[1]), ARGV[2], tonumber(ARGV[3])

-- What stands in the place of the reply to a read, with the name of its key, which Redis leaves out.
local function refusal_of(reply, key)
  if type(reply) ~= 'table' or not reply.err then
    return nil
  end
  if string.find(reply.err, 'WRONGTYPE', 1, true) then
    return redis.error_reply('UNSOUND ' .. key .. ': ' .. reply.err)
  end
  return reply
end

local UNSOUND = {}
-- Earlier versions stored the whole digest; the key's home partition has compared it already.
local EARLIER_LENGTH = 32

local length = redis.pcall('XLEN', stream)
local counts = redis.pcall('HMGET', audit, 'appended', 'accepted')
local waiting = redis.pcall('HVALS', backlog)
local refusal = refusal_of(length, stream) or refusal_of(counts, audit) or refusal_of(waiting, backlog)
if refusal then
  return refusal
end
for _, count in ipairs(counts) do
  if count and (#count > 18 or not string.find(count, '^%d+$')) then
    return redis.error_reply('UNSOUND ' .. audit)
  end
end
for _, count in ipairs(waiting) do
  if #count > 15 or not string.find(count, '^%d+$') then
    return redis.error_reply('UNSOUND ' .. backlog)
  end
end
-- A fingerprint of a wrong type concerns its own batch only.
local fingerprints = {}
for i = 4, #KEYS do
  local found = redis.pcall('GET', KEYS[i])
  fingerprints[i] = type(found) == 'table' and UNSOUND or found
end

local results = {}
local entries, messages, hours = 0, 0, {}
local key, at = 3, 5

local time = redis.call('TIME')
local now_ms = time[1] * 1000 + math.floor(time[2] / 1000)

-- An id right after the newest, which is of this millisecond, or of a clock that was ahead.
local function next_id()
  local info = redis.call('XINFO', 'STREAM', stream)
  for i, name in pairs(info) do
    if name == 'last-generated-id' then
      local ms, number = string.match(info[i + 1], '^(%d+)-(%d+)$')
      if tonumber(number) > 4503599627370496 then
        -- Nobody has drawn such a number, and Lua could not add to it.
        return string.format('%.0f-%.0f', ms + 1, nonce)
      end
      return string.format('%s-%.0f', ms, number + 1 + nonce % 16777216)
    end
  end
end

local function append_entry()
  local columns = tonumber(ARGV[at])
  local last = at + 2 * columns
  nonce = nonce + 1
  local id = string.format('%.0f-%.0f', now_ms, nonce)
  local refusal = redis.pcall('XADD', stream, id, unpack(ARGV, at + 1, last)).err
  if refusal then
    if string.find(refusal, 'equal or smaller', 1, true) then
      id = next_id()
    end
    redis.call('XADD', stream, id, unpack(ARGV, at + 1, last))
  end
  local here = {}
  for i = at + 1, last, 2 do
    here[string.sub(ARGV[i], 1, 13)] = true
  end
  for hour in pairs(here) do
    hours[hour] = (hours[hour] or 0) + 1
  end
  at = last + 1
end

local function skip_entry()
  at = at + 2 * tonumber(ARGV[at]) + 1
end

for batch = 1, tonumber(ARGV[4]) do
  local fingerprint, batch_messages, batch_entries = ARGV[at], ARGV[at + 1], tonumber(ARGV[at + 2])
  at = at + 3
  local seen = false
  if fingerprint ~= '' then
    key = key + 1
    seen = fingerprints[key]
  end
  local result = 1
  if seen then
    if seen == UNSOUND then
      result = -3
    else
      result = (seen == fingerprint or #seen == EARLIER_LENGTH) and 0 or -1
    end
  elseif length + entries >= limit then
    result = -2
  end
  for _ = 1, batch_entries do
    if result == 1 then append_entry() else skip_entry() end
  end
  -- After the entries: an append that is refused leaves no fingerprint.
  if result == 1 and fingerprint ~= '' then
    redis.call('SET', KEYS[key], fingerprint, 'EX', window)
    for i = key + 1, #KEYS do
      if KEYS[i] == KEYS[key] then
        fingerprints[i] = fingerprint
      end
    end
  end
  if result == 1 then
    entries = entries + batch_entries
    messages = messages + tonumber(batch_messages)
  end
  results[batch] = result
end

if entries > 0 then
  redis.call('HINCRBY', audit, 'appended', entries)
  redis.call('HINCRBY', audit, 'accepted', messages)
  for hour, count in pairs(hours) do
    redis.call('HINCRBY', backlog, hour, count)
  end
end
-- Last, since Redis lets a script go on once its first write was allowed, and this one always is
-- when memory is out. A write even so: WAIT then covers the first append of a repeated batch.
for i = 4, #KEYS do
  redis.call('EXPIRE', KEYS[i], window)
end
return results
