#!lua
-- Decides up to `asked` equal requests under all their limits at once, and counts those it admits.
--
-- KEYS     one counter for each check
-- ARGV[1]  '<dd' cost, asked (0: only repair, -1: look and write nothing), then for each check '<Bdddd':
--          0, N, window, resolution, 0 for a sliding limit; 1, N, start, end, own for a day or month;
--          times in µs, own what this node admitted by its own books
-- ARGV[2]  this node's field in the hash of a day or month; field t is the sum of all fields
--
-- Returns '<dd' time, granted, then for each check '<ddd': used before the grant, wait, reset for a
-- sliding limit; used before the grant, this node's field after it, what was repaired for a day or
-- month. If the time is outside some day or month: '<d' time alone, and nothing is written.
--
-- The log of a sliding limit is a string: entries '<dd' (time, units ever admitted up to it, modulo
-- 2^48), then '<dI4' (what to add to all times, index of the newest entry that has left). The entries after
-- that one are in the window, or were when something was last admitted. Sums make "how many until" and
-- "when will so many have left" binary searches, so no length of log and no number of expired entries takes
-- more than a few µs of Redis. Tried before: a list with units in each entry, which must be walked.
--
-- All reading comes before the first write, and every write of a key that may be new sets its TTL.
-- With #!lua Redis (7 and newer) refuses the whole call up front on a replica, without memory, or
-- when it cannot persist.
local spread, unpack, pack, sub, call = unpack, struct.unpack, struct.pack, string.sub, redis.call
local SUM = 281474976710656 -- 2^48
local KEEP = 10000          -- ms that an idle log outlives its window, so that a clock set back forgets nothing
local KEEP_PERIOD = 3600000 -- ms that a day or month outlives its end
local STEP = 5000000        -- µs; see rebase below
local SHORT = 24            -- entries up to which a log is rewritten whole, which saves a call

local T = call('TIME'); local now = T[1] * 1000000 + T[2]
local args, field = ARGV[1], ARGV[2]
local cost, asked, at = unpack('<dd', args)
local count = #KEYS

local kind, most, from, upto, own = {}, {}, {}, {}, {}
for i = 1, count do
  kind[i], most[i], from[i], upto[i], own[i], at = unpack('<Bdddd', args, at)
  if kind[i] == 1 and (now < from[i] or now >= upto[i]) then return pack('<d', now) end
end

-- Where each counter stands.
local used, text, size, shift, head, base, last, sum, oldest, repaired, moved = {}, {}, {}, {}, {}, {}, {}, {}, {}, {}, {}
local granted = asked < 0 and 1 or asked
for i = 1, count do
  if kind[i] == 1 then
    local v = call('HMGET', KEYS[i], 't', field)
    local total, mine = tonumber(v[1] or 0), tonumber(v[2] or 0)
    text[i] = v[1]
    repaired[i] = 0
    if mine < own[i] then
      repaired[i] = own[i] - mine
      total, mine = total + repaired[i], own[i]
    end
    used[i], sum[i] = total, mine
  else
    local s, window = call('GET', KEYS[i]), from[i]
    text[i], used[i] = s, 0
    if s then
      local n = (#s - 12) / 16
      local add, h = unpack('<dI4', s, #s - 11)
      local e, S = unpack('<dd', s, n * 16 - 15)
      e = e + add
      -- The clock was set back by more than the window (and more than a few seconds, within which
      -- a short window is over anyhow): its newest entry counts as admitted now, the others keep their distance.
      if e - now > math.max(window, STEP) + upto[i] then
        add, e, moved[i] = add - (e - now), now, true
      end
      local edge = now - window
      if e > edge then
        local low = h + 1
        local first = unpack('<d', s, low * 16 + 1) + add
        if first <= edge then
          local high = n - 1 -- e > edge
          while low + 1 < high do
            local middle = math.floor((low + high) / 2)
            if unpack('<d', s, middle * 16 + 1) + add <= edge then low = middle else high = middle end
          end
          low, first = high, unpack('<d', s, high * 16 + 1) + add
        end
        h = low - 1
        base[i] = unpack('<d', s, h * 16 + 9)
        used[i] = (S - base[i]) % SUM
        size[i], shift[i], head[i], last[i], sum[i], oldest[i] = n, add, h, e, S, first
      else
        text[i] = false
      end
    end
  end
  granted = math.min(granted, math.floor((most[i] - used[i]) / cost))
end
if granted < 0 then granted = 0 end

-- What is admitted is written.
local units = asked > 0 and granted * cost or 0
for i = 1, count do
  local key = KEYS[i]
  if kind[i] == 1 then
    if units > 0 or (repaired[i] > 0 and asked >= 0) then
      sum[i] = sum[i] + units
      call('HSET', key, 't', used[i] + units, field, sum[i])
      if not text[i] then call('PEXPIRE', key, math.ceil((upto[i] - now) / 1000) + KEEP_PERIOD) end
    end
  elseif units > 0 then
    local s, n = text[i], size[i]
    local time, total
    if s and now <= last[i] then -- joins the newest entry
      time, total, n = last[i], (sum[i] + units) % SUM, n - 1
    else
      time, total = math.ceil(now / upto[i]) * upto[i], ((s and sum[i] or 0) + units) % SUM
    end
    local ttl = math.ceil((time + from[i] - now) / 1000) + KEEP
    if not s then
      call('SET', key, pack('<dddddI4', 0, 0, time, total, 0, 0), 'PX', ttl)
      oldest[i] = time
    elseif n - head[i] <= SHORT or head[i] > SHORT and head[i] * 2 >= n then
      call('SET', key, sub(s, head[i] * 16 + 1, n * 16) .. pack('<dddI4', time - shift[i], total, shift[i], 0), 'PX', ttl)
    else
      call('SETRANGE', key, n * 16, pack('<dddI4', time - shift[i], total, shift[i], head[i]))
      call('PEXPIRE', key, ttl)
    end
    last[i] = time
  elseif moved[i] and text[i] and asked >= 0 then
    call('SETRANGE', key, size[i] * 16, pack('<dI4', shift[i], head[i]))
    call('PEXPIRE', key, math.ceil(from[i] / 1000) + KEEP)
  end
end

-- What to tell: the wait is the one of a next request.
local out = {now, granted}
for i = 1, count do
  local wait, reset = 0, 0
  if kind[i] == 1 then
    wait, reset = sum[i], repaired[i]
  else
    if oldest[i] then reset = oldest[i] + from[i] - now end
    local excess = used[i] + units + cost - most[i]
    if excess > 0 then
      local freeing = last[i]
      if excess <= used[i] then
        local s, low, high = text[i], head[i] + 1, size[i] - 1
        while low < high do
          local middle = math.floor((low + high) / 2)
          if (unpack('<d', s, middle * 16 + 9) - base[i]) % SUM >= excess then high = middle else low = middle + 1 end
        end
        freeing = unpack('<d', s, low * 16 + 1) + shift[i]
      end
      wait = freeing + from[i] - now
    end
  end
  out[i * 3], out[i * 3 + 1], out[i * 3 + 2] = used[i], wait, reset
end
return pack('<' .. string.rep('d', #out), spread(out))
