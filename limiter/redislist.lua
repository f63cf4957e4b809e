-- Renews a gateway's line in the list of gateways, and drops the lines of those that are gone.
--
-- KEYS[1]  the list: a hash of id to "<time in µs> <boot> <ids it reckons with, one to a line>"; a ! before
--          the ids says that it reckoned with others too, which were gone
-- ARGV[1]  the gateway's id
-- ARGV[2]  its boot, another one for each run
-- ARGV[3]  beat, or leave to take the line out
-- ARGV[4]  how long a line is alive after its time, in µs
-- ARGV[5]  the ids it reckons with, one to a line
--
-- Returns id, ids of each living line; the error TAKEN when the gateway's own is another run's.
local t = redis.call('TIME')
local now, self, boot, lease = t[1] * 1000000 + t[2], ARGV[1], ARGV[2], tonumber(ARGV[4])
local alive, out = {[self] = true}, {}
local lines = redis.call('HGETALL', KEYS[1])
for i = 1, #lines, 2 do
  local id, at, owner, ids = lines[i], string.match(lines[i + 1], '^(%d+) (%S+) (.*)$')
  local age = now - tonumber(at)
  -- A line from the future is one from before the clock was set back.
  local living = age < lease and age > -lease
  if id == self then
    if living and owner ~= boot then return redis.error_reply('TAKEN by another run') end
  elseif living then
    alive[id] = true
    out[#out + 1], out[#out + 2] = id, ids
  else
    redis.call('HDEL', KEYS[1], id)
  end
end
if ARGV[3] == 'leave' then
  redis.call('HDEL', KEYS[1], self)
  return out
end
local sees, lost = {self}, ''
for id in string.gmatch(ARGV[5], '[^\n]+') do
  if not alive[id] then
    lost = '!'
  elseif id ~= self then
    sees[#sees + 1] = id
  end
end
local own = lost .. table.concat(sees, '\n')
redis.call('HSET', KEYS[1], self, string.format('%.0f ', now) .. boot .. ' ' .. own)
redis.call('PEXPIRE', KEYS[1], 2 * lease / 1000)
out[#out + 1], out[#out + 2] = self, own
return out
