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
-- then '<dI4' (what to add to all times, index of the newest entry that has left). The entries after that
-- one are in the window, or were when something was last admitted. Sums make "how many are left" and
-- "when will so many have left" binary searches, so no length of log and no number of expired entries
-- takes more than a few µs of Redis. Tried before: a list with units in each entry, which must be walked.
--
-- check calls itself for the next check, so that each one's state is in locals (tables were half of
-- the script's time); all reading comes before the first write. Every write of a key that may be
-- new sets its TTL.
--
-- With #!lua Redis (7 and newer) refuses the whole call up front on a replica, without memory, or
-- when it cannot persist.
local unpack, pack, sub, call, floor, ceil = struct.unpack, struct.pack, string.sub, redis.call, math.floor, math.ceil
local SUM = 281474976710656 -- 2^48
local GRACE = 10000         -- ms that an idle log outlives its window, so that a clock set back forgets nothing
local GRACE_PERIOD = 3600000 -- ms that a day or month outlives its end
local STEP = 5000000        -- µs; see where it is used
local SHORT = 24            -- entries up to which a log is written whole, which saves a call

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

local function sliding(i, granted, most, window, grain)
  local key = KEYS[i]
  local log = call('GET', key)
  local used, edge, newest, sum, size, shift, head, base, oldest, moved = 0, now - window
  if log then
    size = (#log - 12) / 16
    newest, sum, shift, head = unpack('<dddI4', log, size * 16 - 15)
    newest = newest + shift
    -- The clock was set back by more than the window (and more than a few seconds, within which
    -- a short window is over anyhow): the newest entry counts as admitted now, the others keep
    -- their distance.
    if newest - now > grain + (window > STEP and window or STEP) then
      shift, newest, moved = shift - (newest - now), now, true
    end
    if newest <= edge then
      log = false
    else
      local low = head + 1
      oldest = unpack('<d', log, low * 16 + 1) + shift
      if oldest <= edge then
        local high = size - 1 -- it has not left
        while low + 1 < high do
          local middle = floor((low + high) / 2)
          if unpack('<d', log, middle * 16 + 1) + shift <= edge then low = middle else high = middle end
        end
        head, oldest = high - 1, unpack('<d', log, high * 16 + 1) + shift
      end
      base = unpack('<d', log, head * 16 + 9)
      used = (sum - base) % SUM
    end
  end
  local room = floor((most - used) / cost)
  if room < granted then granted = room end
  local rest
  granted, rest = check(i + 1, granted)
  if not granted then return nil end

  local units = asked > 0 and granted * cost or 0
  if units > 0 then
    local time, total, at = now, units, size
    if log and now <= newest then -- joins the newest entry
      time, at = newest, size - 1
    elseif grain > 1 then
      time = ceil(now / grain) * grain
    end
    local ttl = ceil((time - edge) / 1000) + GRACE
    if not log then
      call('SET', key, pack('<dddddI4', 0, 0, time, total, 0, 0), 'PX', ttl)
      oldest = time
    else
      total = (sum + units) % SUM
      if at - head <= SHORT or head > SHORT and head * 2 >= at then
        call('SET', key, sub(log, head * 16 + 1, at * 16) .. pack('<dddI4', time - shift, total, shift, 0), 'PX', ttl)
      else
        call('SETRANGE', key, at * 16, pack('<dddI4', time - shift, total, shift, head))
        call('PEXPIRE', key, ttl)
      end
    end
    newest = time
  elseif moved and log and asked >= 0 then
    call('SETRANGE', key, size * 16, pack('<dI4', shift, head))
    call('PEXPIRE', key, ceil(window / 1000) + GRACE)
  end

  -- The wait is the one of a next request.
  local wait, excess = 0, used + units + cost - most
  if excess > 0 then
    if excess <= used then
      local low, high = head + 1, size - 1
      while low < high do
        local middle = floor((low + high) / 2)
        if (unpack('<d', log, middle * 16 + 9) - base) % SUM >= excess then high = middle else low = middle + 1 end
      end
      wait = unpack('<d', log, low * 16 + 1) + shift - edge
    else
      wait = newest - edge
    end
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
