-- Read a key of ours; if one cannot be read, `failure` names it, and is the script's result.
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
