-- Takes from several buckets, all or nothing (GCRA). A bucket is one number: when it will be full again, in µs.
-- KEYS: the buckets. ARGV, three a bucket: µs for one unit to flow in; units that fit; units to take.
-- Answers three numbers a bucket: units left; µs until it is full; µs until what was asked fits, 0 if it was taken.
local clock = redis.call('TIME')
local now = clock[1] * 1000000 + clock[2]
local before, after, room, wait = {}, {}, {}, {}
local is_refused = false
for i, key in ipairs(KEYS) do
  local interval, burst = tonumber(ARGV[3 * i - 2]), tonumber(ARGV[3 * i - 1])
  local cost = math.min(tonumber(ARGV[3 * i]), burst)
  room[i] = interval * burst
  -- Never further ahead than an empty bucket: another primary's clock, or a rate that was lowered, locks nobody out.
  before[i] = math.min(math.max(tonumber(redis.call('GET', key) or now), now), now + room[i])
  after[i] = before[i] + interval * cost
  wait[i] = after[i] - now - room[i]
  if wait[i] > 0.5 then is_refused = true else wait[i] = 0 end
end
local answer = {}
for i, key in ipairs(KEYS) do
  local full_at = after[i]
  if is_refused then
    full_at = before[i]
  elseif full_at > before[i] then
    redis.call('SET', key, string.format('%.0f', full_at), 'PX', math.ceil((full_at - now) / 1000))
  end
  answer[#answer + 1] = math.floor((room[i] - (full_at - now) + 1) / tonumber(ARGV[3 * i - 2]))
  answer[#answer + 1] = math.ceil(full_at - now)
  answer[#answer + 1] = math.ceil(wait[i])
end
return answer
