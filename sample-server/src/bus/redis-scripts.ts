/**
 * What Redis does in one step. KEYS: the session's facts (a hash: `last`, `base`), its entries (a stream, an entry's id is
 * `POSITION-0`), its snapshots (a hash by position), the channel of hints, who is there (a hash) and until when (a sorted set).
 */

/** ARGV: position, snapshot. Answers 1 where the log begins with it. */
export const BEGIN = `
if redis.call('EXISTS', KEYS[1]) == 1 then return 0 end
redis.call('HSET', KEYS[1], 'last', ARGV[1], 'base', ARGV[1])
redis.call('HSET', KEYS[3], ARGV[1], ARGV[2])
return 1`;

/** ARGV: the expected last position, entries. Answers whether they were taken, and the last position. */
export const APPEND = `
local last = redis.call('HGET', KEYS[1], 'last')
if not last then return {0, -1} end
if last ~= ARGV[1] then return {0, tonumber(last)} end
local position = tonumber(last)
for index = 2, #ARGV do
  position = position + 1
  redis.call('XADD', KEYS[2], string.format('%d-0', position), 'e', ARGV[index])
end
redis.call('HSET', KEYS[1], 'last', string.format('%d', position))
redis.call('PUBLISH', KEYS[4], '')
return {1, position}`;

/** ARGV: the position before, at most so many. Answers the base, and ids with their fields. */
export const READ = `
local base = redis.call('HGET', KEYS[1], 'base')
if not base then return {-1, {}} end
if tonumber(ARGV[1]) < tonumber(base) then return {tonumber(base), {}} end
local first = string.format('%d-0', tonumber(ARGV[1]) + 1)
local entries = {}
for index, entry in ipairs(redis.call('XRANGE', KEYS[2], first, '+', 'COUNT', ARGV[2])) do entries[index] = entry[2][2] end
return {tonumber(base), entries}`;

/** ARGV: a position. Answers the newest snapshot at or before it. */
export const SNAPSHOT = `
local newest = -1
for _, position in ipairs(redis.call('HKEYS', KEYS[3])) do
  local one = tonumber(position)
  if one > newest and one <= tonumber(ARGV[1]) then newest = one end
end
if newest < 0 then return {-1} end
return {newest, redis.call('HGET', KEYS[3], string.format('%d', newest))}`;

/** ARGV: position, snapshot. */
export const PUT_SNAPSHOT = `
if redis.call('EXISTS', KEYS[1]) == 0 then return 0 end
if tonumber(ARGV[1]) < tonumber(redis.call('HGET', KEYS[1], 'base')) then return 0 end
redis.call('HSET', KEYS[3], ARGV[1], ARGV[2])
return 1`;

/** ARGV: position. Answers 0 where there is no such snapshot. */
export const COMPACT = `
if redis.call('HEXISTS', KEYS[3], ARGV[1]) == 0 then return 0 end
redis.call('XTRIM', KEYS[2], 'MINID', string.format('%d-0', tonumber(ARGV[1]) + 1))
for _, position in ipairs(redis.call('HKEYS', KEYS[3])) do
  if tonumber(position) < tonumber(ARGV[1]) then redis.call('HDEL', KEYS[3], position) end
end
redis.call('HSET', KEYS[1], 'base', ARGV[1])
return 1`;

/** ARGV: member, text, milliseconds. */
export const ANNOUNCE = `
local time = redis.call('TIME')
local now = tonumber(time[1]) * 1000 + math.floor(tonumber(time[2]) / 1000)
redis.call('HSET', KEYS[5], ARGV[1], ARGV[2])
redis.call('ZADD', KEYS[6], now + tonumber(ARGV[3]), ARGV[1])
return 1`;

/** ARGV: member. */
export const WITHDRAW = `
redis.call('HDEL', KEYS[5], ARGV[1])
redis.call('ZREM', KEYS[6], ARGV[1])
return 1`;

/** Answers members and texts in turn. */
export const MEMBERS = `
local time = redis.call('TIME')
local now = tonumber(time[1]) * 1000 + math.floor(tonumber(time[2]) / 1000)
for _, member in ipairs(redis.call('ZRANGEBYSCORE', KEYS[6], '-inf', now)) do
  redis.call('HDEL', KEYS[5], member)
  redis.call('ZREM', KEYS[6], member)
end
return redis.call('HGETALL', KEYS[5])`;
