-- Let new keys in, as far as there is room, and count the keys of a partition.
--
-- KEYS  1 keys
-- ARGV  1 how many new keys may be let in, 2 oldest hour that is kept (as digits),
--       3... pairs: hour of a message (as digits), its key
-- Result: how many keys there are now, and for each pair: 0 the key is new and has no room,
--       1 it was known, 2 it was let in

local keys, room, oldest = KEYS[1], tonumber(ARGV[1]), ARGV[2]

local count = redis.pcall('ZCOUNT', keys, oldest, '+inf')
if type(count) == 'table' and count.err then
  local is_unsound = string.find(count.err, 'WRONGTYPE', 1, true)
  return is_unsound and redis.error_reply('UNSOUND ' .. keys .. ': ' .. count.err) or count
end

local results = {}
for i = 3, #ARGV, 2 do
  local hour, key = ARGV[i], ARGV[i + 1]
  local newest = redis.call('ZSCORE', keys, key)
  local result = 1
  if not newest or tonumber(newest) < tonumber(oldest) then
    result = 0
    if room > 0 then
      redis.call('ZADD', keys, 'GT', hour, key)
      room, count, result = room - 1, count + 1, 2
    end
  end
  results[#results + 1] = result
end
table.insert(results, 1, count)
return results
