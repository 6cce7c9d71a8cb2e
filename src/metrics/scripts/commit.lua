-- Commit entries: apply their aggregates and take them out of the stream, or change nothing.
--
-- A hash that is not sound is left alone, and its columns go to the dead stream; all other columns
-- of the entries are applied, and the entries count as committed.
--
-- The fence: every entry must still be pending for this consumer. Entries that another worker has
-- claimed, or that are committed already, are not, and then nothing is applied. Whatever can fail
-- is checked before the first write, since scripts do not roll back. The first write is XACK,
-- which Redis allows when it is out of memory: so a full Redis still drains.
--
-- KEYS  1 stream, 2 audit, 3 backlog, 4 keys, 5 dead stream, 6... one hash per key-hour
-- ARGV  1 group, 2 consumer, 3 messages, 4 oldest hour that is kept (as digits),
--       5 number of entries; their ids;
--       number of hours; each hour: name, entries that hold messages of it;
--       for each hash: key, hour (as digits), when it expires (Unix seconds), messages that were
--       dropped, messages that came late, count; and if that is not 0: sum, min, max, number of
--       buckets; each bucket: field, count
-- Result: 1 committed, 0 not pending for this consumer; or, committed as well:
--       messages that went to the dead stream; what is not sound in each hash of theirs; which
--       counts have reached their limit just now

local stream, audit, backlog, keys, dead = KEYS[1], KEYS[2], KEYS[3], KEYS[4], KEYS[5]
local FIRST_HASH = 6
local group, consumer, messages, oldest = ARGV[1], ARGV[2], ARGV[3], ARGV[4]
local LARGEST = 1.7976931348623157e308
-- A count is exact in a double up to here, and stays here once it is reached.
local COUNT_MAX = 9007199254740991
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

local function type_of(key)
  return redis.call('TYPE', key).ok
end

local function is_of_type(key, wanted)
  local found = type_of(key)
  return found == wanted or found == 'none'
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

-- What is wrong with the hash that is being looked at, and which counts are at their limit.
local fault
local full = {}

local function counted(text, more, name, key)
  local before = tonumber(text or 0)
  if text and not (string.find(text, '^%d+$') and before <= COUNT_MAX) then
    fault = fault or name
    return 0
  end
  local count = before + tonumber(more)
  if count < COUNT_MAX then
    return count
  end
  if before < COUNT_MAX then
    full[#full + 1] = key .. ' ' .. name
  end
  return COUNT_MAX
end

local function is_value(number)
  return number and number >= 0 and number <= LARGEST
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

-- A wrong type is found here, by name, and not by a command that fails between two writes.
for i = 2, 4 do
  if not is_of_type(KEYS[i], i == 4 and 'zset' or 'hash') then
    return redis.error_reply('UNSOUND ' .. KEYS[i])
  end
end
-- Redis adds to these itself, in 64 bits.
for _, count in ipairs(redis.call('HMGET', audit, 'committed', 'applied', 'dead_messages')) do
  if count and (#count > 18 or not string.find(count, '^%d+$')) then
    return redis.error_reply('UNSOUND ' .. audit)
  end
end

local hours = {}
for _ = 1, tonumber(take()) do
  local hour, entries = take(), take()
  local left = redis.call('HGET', backlog, hour)
  if left and not string.find(left, '^%d+$') then
    return redis.error_reply('UNSOUND ' .. backlog)
  end
  hours[hour] = tonumber(left or 0) - tonumber(entries)
end

-- The fields of a hash once the next messages of its key-hour are in it.
local function merged(key, count, is_new)
  local sum, min, max = take(), take(), take()
  local names, added = { 'count', 'sum', 'min', 'max' }, {}
  for b = 1, tonumber(take()) do
    names[4 + b], added[b] = ARGV[at], ARGV[at + 1]
    at = at + 2
  end
  if fault then
    return {}
  end
  local now = is_new and {} or fields_of(key, names)
  if now[1] then
    local sums, mins, maxs = tonumber(now[2]), tonumber(now[3]), tonumber(now[4])
    if not (is_value(sums) and is_value(mins) and is_value(maxs)) then
      fault = 'sum, min, max'
      return {}
    end
    sum = written(math.min(sums + tonumber(sum), LARGEST))
    if mins <= tonumber(min) then min = now[3] end
    if maxs >= tonumber(max) then max = now[4] end
  elseif now[2] or now[3] or now[4] then
    fault = 'count'
  end
  local fields = { 'count', counted(now[1], count, 'count', key), 'sum', sum, 'min', min, 'max', max }
  for b, more in ipairs(added) do
    fields[7 + 2 * b] = names[4 + b]
    fields[8 + 2 * b] = counted(now[4 + b], more, names[4 + b], key)
  end
  return fields
end

-- include messages_in

local hashes, unsound, faults = {}, {}, {}
for i = FIRST_HASH, #KEYS do
  local hash = { key = take(), hour = take(), expires = take(), fields = {} }
  local dropped, late, count = take(), take(), take()
  local full_before = #full
  local found = type_of(KEYS[i])
  fault = found ~= 'hash' and found ~= 'none' and 'type' or nil
  if count ~= '0' then
    hash.fields = merged(KEYS[i], count, found == 'none')
  end
  for name, more in pairs({ dropped = dropped, late = late }) do
    if more ~= '0' and not fault then
      table.insert(hash.fields, name)
      table.insert(hash.fields, counted(redis.call('HGET', KEYS[i], name), more, name, KEYS[i]))
    end
  end
  if fault then
    hash.fields = nil
    faults[#faults + 1] = KEYS[i] .. ' is not sound: ' .. fault
    unsound[string.match(KEYS[i], '}:hour:(.*)$')] = faults[#faults]
    for j = #full, full_before + 1, -1 do
      full[j] = nil
    end
  end
  hashes[i] = hash
end

-- The columns of the hashes that are not sound, each with what it is kept with.
local dead_lettered, dead_messages = {}, 0
if #faults > 0 then
  if not is_of_type(dead, 'stream') then
    return redis.error_reply('UNSOUND ' .. dead)
  end
end
for _, id in ipairs(#faults > 0 and ids or {}) do
  local entry = redis.call('XRANGE', stream, id, id)[1]
  local fields = entry and entry[2] or {}
  for i = 1, #fields, 2 do
    local key_hour, text = fields[i], fields[i + 1]
    if unsound[key_hour] then
      dead_lettered[#dead_lettered + 1] = { 'id', id, 'reason', unsound[key_hour], key_hour, text }
      dead_messages = dead_messages + messages_in(text)
    end
  end
end

redis.call('XACK', stream, group, unpack(ids))
redis.call('XDEL', stream, unpack(ids))
for _, fields in ipairs(dead_lettered) do
  redis.call('XADD', dead, '*', unpack(fields))
end
for i = FIRST_HASH, #KEYS do
  local hash = hashes[i]
  if hash.fields then
    hset(KEYS[i], hash.fields)
    redis.call('EXPIREAT', KEYS[i], hash.expires)
  end
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
redis.call('HINCRBY', audit, 'applied', messages - dead_messages)
if #faults == 0 and #full == 0 then
  return 1
end
if dead_messages > 0 then
  redis.call('HINCRBY', audit, 'dead_messages', dead_messages)
end
return { dead_messages, faults, full }
