-- How many messages a column holds, as metrics.entry counts them.
local function messages_in(text)
  if string.sub(text, 1, 8) == 'dropped=' then
    return 0
  end
  local count = string.match(text, '^count=([1-9]%d*) ')
  if count and #count <= 10 then
    return tonumber(count)
  end
  local _, commas = string.gsub(text, ',', '')
  return commas + 1
end
