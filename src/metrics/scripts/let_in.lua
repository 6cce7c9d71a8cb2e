-- Let new keys in, as far as there is room, and count the keys of a partition.
--
-- KEYS  1 keys, 2 audit, 3 stream
-- ARGV  1 how many new keys may be let in, 2 oldest hour that is kept (as digits),
--       3 the hour it is, 4 the next one (as digits), 5 whether to look at the stream,
--       6... pairs: hour of a message (as digits), its key
-- Result: how many keys there are now; how many of them were new in this hour; the age of the
--       oldest entry in the stream in ms, -1 if it was not looked at; and for each pair:
--       0 the key is new and has no room, 1 it was known, 2 it was let in

local keys, audit, stream = KEYS[1], KEYS[2], KEYS[3]
local room, oldest = tonumber(ARGV[1]), ARGV[2]
local this_hour, next_hour = tonumber(ARGV[3]), tonumber(ARGV[4])

-- include read

local count = read('ZCOUNT', keys, oldest, '+inf')
local counted = read('HMGET', audit, 'new_keys_hour', 'new_keys')
if failure then
  return failure
end
local hour, new = tonumber(counted[1] or ''), tonumber(counted[2] or '')
-- The clock of another process may be a little ahead. One that is wrong by more keeps nobody out.
if not hour or not new or hour < this_hour or hour > next_hour then
  hour, new = this_hour, 0
end

-- By XINFO, which appends need as well: a stream that is not there is an error.
local function age_ms()
  local info = redis.pcall('XINFO', 'STREAM', stream)
  if info.err then
    return 0
  end
  for i = 1, #info, 2 do
    if info[i] == 'first-entry' and info[i + 1] then
      local time = redis.call('TIME')
      local now = time[1] * 1000 + math.floor(time[2] / 1000)
      return math.max(0, now - string.match(info[i + 1][1], '^%d+'))
    end
  end
  return 0
end

local age = ARGV[5] == '1' and age_ms() or -1
local results, let_in = {}, 0
for i = 6, #ARGV, 2 do
  local key = ARGV[i + 1]
  local newest = redis.call('ZSCORE', keys, key)
  local result = 1
  if not newest or tonumber(newest) < tonumber(oldest) then
    result = 0
    if let_in < room then
      redis.call('ZADD', keys, 'GT', ARGV[i], key)
      let_in, result = let_in + 1, 2
    end
  end
  results[#results + 1] = result
end
if let_in > 0 then
  redis.call('HSET', audit, 'new_keys_hour', string.format('%.0f', hour), 'new_keys', string.format('%.0f', new + let_in))
end
table.insert(results, 1, age)
table.insert(results, 1, new + let_in)
table.insert(results, 1, count + let_in)
return results
