-- Renews a gateway's line in the list of gateways, and drops the lines of those that are gone.
--
-- KEYS[1]  the list: a hash of id to "<time in µs> <ids it reckons with, one to a line>"; a ! before
--          the ids says that it reckoned with others too, which were gone
-- ARGV[1]  the gateway's id
-- ARGV[2]  how long a line is alive after its time, in µs
-- ARGV[3]  the ids it reckons with, one to a line
--
-- Returns id, ids of each living line.
local t = redis.call('TIME')
local now, self, lease = t[1] * 1000000 + t[2], ARGV[1], tonumber(ARGV[2])
local alive, out = {[self] = true}, {}
local lines = redis.call('HGETALL', KEYS[1])
for i = 1, #lines, 2 do
  local id, at, ids = lines[i], string.match(lines[i + 1], '^(%d+) (.*)$')
  if id ~= self then
    local age = now - tonumber(at)
    -- A line from the future is one from before the clock was set back.
    if age < lease and age > -lease then
      alive[id] = true
      out[#out + 1], out[#out + 2] = id, ids
    else
      redis.call('HDEL', KEYS[1], id)
    end
  end
end
local sees, lost = {self}, ''
for id in string.gmatch(ARGV[3], '[^\n]+') do
  if not alive[id] then
    lost = '!'
  elseif id ~= self then
    sees[#sees + 1] = id
  end
end
local own = lost .. table.concat(sees, '\n')
redis.call('HSET', KEYS[1], self, string.format('%.0f ', now) .. own)
redis.call('PEXPIRE', KEYS[1], 2 * lease / 1000)
out[#out + 1], out[#out + 2] = self, own
return out
