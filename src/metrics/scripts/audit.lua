-- Look at the books of one partition and at the length of its stream in one step; change nothing.
--
-- KEYS  1 stream, 2 audit
-- Result: the counts appended, committed, dead, accepted, applied, dead_messages, each as it is in
--       the hash or nothing; then the entries in the stream

local books = redis.call('HMGET', KEYS[2],
  'appended', 'committed', 'dead', 'accepted', 'applied', 'dead_messages')
books[#books + 1] = redis.call('XLEN', KEYS[1])
return books
