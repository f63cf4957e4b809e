#!lua
-- Decides up to `asked` equal requests under all their limits at once, and counts those it admits.
--
-- KEYS     one counter for each check
-- ARGV[1]  '<dd' cost, asked (0: only repair, -1: look and write nothing), then '<Bdddd' for each check:
--          0, N, window, resolution, 0 for a sliding limit; 1, N, start, end, own for a day or month;
--          times in µs, own what this node admitted by its own books
-- ARGV[2]  this node's field in the hash of a day or month; field t is the sum of all fields
--
-- Returns '<dd' time, granted, then '<ddd' for each check: used before the grant, wait, reset for a
-- sliding limit; used before the grant, this node's field after it, what was repaired for a day or
-- month. If the time is outside some day or month: '<d' time alone, and nothing is written.
--
-- The log of a sliding limit is a string: entries '<dd' (time, units ever admitted up to it, modulo 2^48),
-- then '<ddI4I4' (what to add to all times, when the key expires, index of the newest entry that has left,
-- number of entries). The entries after that one are in the window, or were when something was last
-- admitted. Sums make "how many are left" and "when will so many have left" binary searches, and of a
-- long log only both ends are read as a rule, so no length of log and no number of expired entries takes
-- more than a few µs of Redis. Tried before: a list with units in each entry, which must be walked; and to
-- read every log whole, which for 1,000 entries took four times as long.
--
-- check calls itself for the next check, so that each one's state is in locals (tables were half of
-- the script's time). Every write of a key that may be new sets its TTL.
--
-- With #!lua Redis (7 and newer) refuses the whole call up front on a replica, without memory, or
-- when it cannot persist.
local unpack, pack, call, floor, ceil = struct.unpack, struct.pack, redis.call, math.floor, math.ceil
local SUM = 281474976710656 -- 2^48
local GRACE = 10000         -- ms that an idle log outlives its window, so that a clock set back forgets nothing
local GRACE_PERIOD = 3600000 -- ms that a day or month outlives its end
local STEP = 5000000        -- µs; see where it is used
local TRAILER = 24          -- bytes
local PART = 32             -- entries that are read of either end of a log
local DEAD = 8              -- entries that have left, up to which a log is not written anew without them

local T = call('TIME'); local now = T[1] * 1000000 + T[2]
local args, field = ARGV[1], ARGV[2]
local cost, asked = unpack('<dd', args)
local count = #KEYS
local check

-- A day or month. Like sliding it takes the requests that may still be granted, and returns how many
-- were and the states from this check on; nil if the time is not within it.
local function calendar(i, granted, most, from, upto, own)
  if now < from or now >= upto then return nil end
  local key = KEYS[i]
  local v = call('HMGET', key, 't', field)
  local total, mine, repaired = tonumber(v[1] or 0), tonumber(v[2] or 0), 0
  if mine < own then
    repaired = own - mine
    total, mine = total + repaired, own
  end
  local room = floor((most - total) / cost)
  if room < granted then granted = room end
  local rest
  granted, rest = check(i + 1, granted)
  if not granted then return nil end
  local units = asked > 0 and granted * cost or 0
  if units > 0 or repaired > 0 and asked >= 0 then
    mine = mine + units
    call('HSET', key, 't', total + units, field, mine)
    if not v[1] then call('PEXPIRE', key, ceil((upto - now) / 1000) + GRACE_PERIOD) end
  end
  return granted, pack('<ddd', total, mine, repaired) .. rest
end

-- An entry k of a log is at k * 16 + at in the part that was read.
local function sliding(i, granted, most, window, grain)
  local key = KEYS[i]
  local log = call('GETRANGE', key, -PART * 16 - TRAILER, -1)
  local used, edge, live = 0, now - window, false
  local newest, sum, shift, expires, head, size, part, at, last, base, oldest, moved
  if log ~= '' then
    local bytes = #log - TRAILER
    newest, sum, shift, expires, head, size = unpack('<ddddI4I4', log, bytes - 15)
    newest = newest + shift
    -- The clock was set back by more than the window (and more than a few seconds, within which
    -- a short window is over anyhow): the newest entry counts as admitted now, the others keep
    -- their distance.
    if newest - now > grain + (window > STEP and window or STEP) then
      shift, newest, moved = shift - (newest - now), now, true
    end
    live = newest > edge
    if live then
      part, last = log, size - 1
      local from = size - bytes / 16
      if head < from then
        part, from, last = call('GETRANGE', key, head * 16, (head + PART) * 16 - 1), head, head + PART - 1
        if unpack('<d', part, (last - from) * 16 + 1) + shift <= edge then
          part, last = call('GETRANGE', key, head * 16, size * 16 - 1), size - 1
        end
      end
      at = 1 - from * 16
      local low = head + 1
      oldest = unpack('<d', part, low * 16 + at) + shift
      if oldest <= edge then
        local high = last -- it has not left
        while low + 1 < high do
          local middle = floor((low + high) / 2)
          if unpack('<d', part, middle * 16 + at) + shift <= edge then low = middle else high = middle end
        end
        head, oldest = high - 1, unpack('<d', part, high * 16 + at) + shift
      end
      base = unpack('<d', part, head * 16 + at + 8)
      used = (sum - base) % SUM
    end
  end
  local room = floor((most - used) / cost)
  if room < granted then granted = room end
  local rest
  granted, rest = check(i + 1, granted)
  if not granted then return nil end

  local units = asked > 0 and granted * cost or 0
  local time, joins = now, live and now <= newest
  if joins then
    time = newest
  elseif grain > 1 then
    time = ceil(now / grain) * grain
  end

  -- The wait is the one of a next request.
  local wait, excess = 0, used + units + cost - most
  if excess > used then
    wait = (units > 0 and time or newest) - edge
  elseif excess > 0 then
    if last < size - 1 and (unpack('<d', part, last * 16 + at + 8) - base) % SUM < excess then
      part, at, last = call('GETRANGE', key, head * 16, size * 16 - 1), 1 - head * 16, size - 1
    end
    local low, high = head + 1, last
    while low < high do
      local middle = floor((low + high) / 2)
      if (unpack('<d', part, middle * 16 + at + 8) - base) % SUM >= excess then high = middle else low = middle + 1 end
    end
    wait = unpack('<d', part, low * 16 + at) + shift - edge
  end

  if units > 0 then
    local ttl = false -- ms
    if not live or time + window + GRACE * 1000 > expires then
      ttl = ceil((time - edge) / 1000) + 2 * GRACE
      expires = now + ttl * 1000
    end
    if not live then
      call('SET', key, pack('<ddddddI4I4', 0, 0, time, units, 0, expires, 0, 2), 'PX', ttl)
      oldest = time
    else
      local total, place = (sum + units) % SUM, joins and size - 1 or size
      if head > DEAD and head * 2 >= place then
        local kept = call('GETRANGE', key, head * 16, place * 16 - 1) ..
          pack('<ddddI4I4', time - shift, total, shift, expires, 0, place - head + 1)
        if ttl then call('SET', key, kept, 'PX', ttl) else call('SET', key, kept, 'KEEPTTL') end
      else
        call('SETRANGE', key, place * 16, pack('<ddddI4I4', time - shift, total, shift, expires, head, place + 1))
        if ttl then call('PEXPIRE', key, ttl) end
      end
    end
  elseif moved and live and asked >= 0 then
    local ttl = ceil(window / 1000) + 2 * GRACE
    call('SETRANGE', key, size * 16, pack('<ddI4I4', shift, now + ttl * 1000, head, size))
    call('PEXPIRE', key, ttl)
  end
  return granted, pack('<ddd', used, wait, oldest and oldest - edge or 0) .. rest
end

function check(i, granted)
  if i > count then return granted < 0 and 0 or granted, '' end
  local kind, most, a, b, own = unpack('<Bdddd', args, i * 33 - 16)
  if kind == 1 then return calendar(i, granted, most, a, b, own) end
  return sliding(i, granted, most, a, b)
end

local granted, states = check(1, asked < 0 and 1 or asked)
if not granted then return pack('<d', now) end
return pack('<dd', now, granted) .. states
