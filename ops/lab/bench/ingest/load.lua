-- Sends the bodies of a folder in turns: wrk -s load.lua URL -- FOLDER COUNT PATH TYPE SINCE
-- Digits that are left open ("@@@") become a time that no other request has; SINCE, in
-- milliseconds, is the first. They are written into the bytes of the request, in place: to build
-- each body anew would cost wrk more than some servers need to read it.
local ffi = require("ffi")

local requests = {}
local number = 0
local since

local function places_of(text, open)
  local places, from = {}, 1
  while true do
    local first, last = text:find(open, from, true)
    if not first then return places end
    places[#places + 1] = first - 1
    from = last + 1
  end
end

local function prepare(text)
  local open = text:match("@+")
  if not open then return { text = text } end
  local bytes = ffi.new("uint8_t[?]", #text)
  ffi.copy(bytes, text, #text)
  local places = places_of(text, open)
  local offsets = ffi.new("int32_t[?]", #places, places)
  return { bytes = bytes, length = #text, offsets = offsets, count = #places, digits = #open }
end

local function filled(request)
  local first = math.floor(since / 10 ^ (13 - request.digits)) + number
  local digits = string.format("%0" .. request.digits .. ".0f", first)
  for i = 0, request.count - 1 do
    ffi.copy(request.bytes + request.offsets[i], digits, request.digits)
  end
  return ffi.string(request.bytes, request.length)
end

function init(arguments)
  local folder, path = arguments[1], arguments[3]
  since = tonumber(arguments[5])
  for i = 0, tonumber(arguments[2]) - 1 do
    local file = assert(io.open(folder .. "/" .. i, "rb"))
    local headers = { ["Host"] = wrk.headers["Host"], ["Content-Type"] = arguments[4] }
    requests[i] = prepare(wrk.format("POST", path, headers, file:read("*a")))
    file:close()
  end
end

function request()
  local chosen = requests[number % (#requests + 1)]
  number = number + 1
  return chosen.text or filled(chosen)
end

function done(summary, latency)
  local errors = summary.errors
  io.write(string.format(
    'RESULT {"requests":%d,"us":%d,"p50_us":%d,"p99_us":%d,"refused":%d,"broken":%d}\n',
    summary.requests, summary.duration, latency:percentile(50), latency:percentile(99),
    errors.status, errors.connect + errors.read + errors.write + errors.timeout))
end
