-- Commit entries: apply their aggregates and take them out of the stream, or change nothing.
--
-- The fence: every entry must still be pending for this consumer. Entries that another worker has
-- claimed, or that are committed already, are not, and then nothing is applied. Whatever can fail
-- is checked before the first write, since scripts do not roll back. The first write is XACK,
-- which Redis allows when it is out of memory: so a full Redis still drains.
--
-- KEYS  1 stream, 2 audit, 3 backlog, 4 keys, 5... one hash per key-hour
-- ARGV  1 group, 2 consumer, 3 messages, 4 oldest hour that is kept (as digits),
--       5 number of entries; their ids;
--       number of hours; each hour: name, entries that hold messages of it;
--       for each hash: key, hour (as digits), when it expires (Unix seconds), messages that were
--       dropped, count; and if that is not 0: sum, min, max, number of buckets; each bucket:
--       field, count
-- Result: 1 committed, 0 not pending for this consumer

local stream, audit, backlog, keys = KEYS[1], KEYS[2], KEYS[3], KEYS[4]
local group, consumer, messages, oldest = ARGV[1], ARGV[2], ARGV[3], ARGV[4]
local LARGEST = 1.7976931348623157e308
local EXACT_MAX = 9007199254740992
-- More values than this do not fit on Lua's stack at once.
local UNPACK_MAX = 4000

local at = 5
local function take()
  at = at + 1
  return ARGV[at - 1]
end

-- The shortest text that reads back as the same double.
local function written(number)
  for digits = 15, 16 do
    local text = string.format('%.' .. digits .. 'g', number)
    if tonumber(text) == number then
      return text
    end
  end
  return string.format('%.17g', number)
end

-- A wrong type is found here, by name, and not by a command that fails between two writes.
local function require_type(key, wanted)
  local found = redis.call('TYPE', key).ok
  if found ~= wanted and found ~= 'none' then
    return redis.error_reply('UNSOUND ' .. key)
  end
end

local function hmget(key, names)
  local values = {}
  for from = 1, #names, UNPACK_MAX do
    local to = math.min(from + UNPACK_MAX - 1, #names)
    for i, value in ipairs(redis.call('HMGET', key, unpack(names, from, to))) do
      values[from + i - 1] = value
    end
  end
  return values
end

-- A small hash is one long list: to go through it once is faster than to look for each name.
local function fields_of(key, names)
  if redis.call('HLEN', key) > 2 * #names then
    return hmget(key, names)
  end
  local all, found, values = redis.call('HGETALL', key), {}, {}
  for i = 1, #all, 2 do
    found[all[i]] = all[i + 1]
  end
  for i, name in ipairs(names) do
    values[i] = found[name] or false
  end
  return values
end

local function hset(key, fields)
  for from = 1, #fields, UNPACK_MAX do
    local to = math.min(from + UNPACK_MAX - 1, #fields)
    redis.call('HSET', key, unpack(fields, from, to))
  end
end

local unsound
local function counted(text, more, key)
  if text and not string.find(text, '^%d+$') then
    unsound = key
    return 0
  end
  local count = tonumber(text or 0) + tonumber(more)
  if count >= EXACT_MAX then
    unsound = key
  end
  return count
end

local ids = {}
for i = 1, tonumber(take()) do
  ids[i] = take()
end
for _, id in ipairs(ids) do
  if #redis.call('XPENDING', stream, group, id, id, 1, consumer) == 0 then
    return 0
  end
end

for i = 2, #KEYS do
  local refusal = require_type(KEYS[i], i == 4 and 'zset' or 'hash')
  if refusal then
    return refusal
  end
end
local books = redis.call('HMGET', audit, 'committed', 'applied')
counted(books[1], #ids, audit)
counted(books[2], messages, audit)

local hours = {}
for _ = 1, tonumber(take()) do
  local hour, entries = take(), take()
  local left = redis.call('HGET', backlog, hour)
  if left and not string.find(left, '^%d+$') then
    unsound = backlog
  else
    hours[hour] = tonumber(left or 0) - tonumber(entries)
  end
end

-- The fields of a hash once the next messages of its key-hour are in it.
local function merged(key, count)
  local sum, min, max = take(), take(), take()
  local names, added = { 'count', 'sum', 'min', 'max' }, {}
  for b = 1, tonumber(take()) do
    names[4 + b], added[b] = ARGV[at], ARGV[at + 1]
    at = at + 2
  end
  local now = fields_of(key, names)
  if now[1] then
    local sums, mins, maxs = tonumber(now[2]), tonumber(now[3]), tonumber(now[4])
    if not (sums and mins and maxs) then
      unsound = key
      return {}
    end
    sum = written(math.min(sums + tonumber(sum), LARGEST))
    if mins <= tonumber(min) then min = now[3] end
    if maxs >= tonumber(max) then max = now[4] end
  end
  local fields = { 'count', counted(now[1], count, key), 'sum', sum, 'min', min, 'max', max }
  for b, more in ipairs(added) do
    fields[7 + 2 * b] = names[4 + b]
    fields[8 + 2 * b] = counted(now[4 + b], more, key)
  end
  return fields
end

local hashes = {}
for i = 5, #KEYS do
  local hash = { key = take(), hour = take(), expires = take(), fields = {} }
  local dropped, count = take(), take()
  if count ~= '0' then
    hash.fields = merged(KEYS[i], count)
  end
  if dropped ~= '0' then
    local now = redis.call('HGET', KEYS[i], 'dropped')
    table.insert(hash.fields, 'dropped')
    table.insert(hash.fields, counted(now, dropped, KEYS[i]))
  end
  hashes[i] = hash
end
if unsound then
  return redis.error_reply('UNSOUND ' .. unsound)
end

redis.call('XACK', stream, group, unpack(ids))
redis.call('XDEL', stream, unpack(ids))
for i = 5, #KEYS do
  local hash = hashes[i]
  hset(KEYS[i], hash.fields)
  redis.call('EXPIREAT', KEYS[i], hash.expires)
  redis.call('ZADD', keys, 'GT', hash.hour, hash.key)
end
redis.call('ZREMRANGEBYSCORE', keys, '-inf', '(' .. oldest)
for hour, left in pairs(hours) do
  if left > 0 then
    redis.call('HSET', backlog, hour, left)
  else
    redis.call('HDEL', backlog, hour)
  end
end
redis.call('HINCRBY', audit, 'committed', #ids)
redis.call('HINCRBY', audit, 'applied', messages)
return 1
