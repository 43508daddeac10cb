package redis

import (
	"context"
	"errors"
	"strconv"
	"time"

	goredis "github.com/redis/go-redis/v9"

	"github.com/acme/platform"
)

// incrementScript counts and tells the time left, both at one moment. A counter
// that has no end gets one, or it would refuse for ever; and one at the end of
// int64 stays there. Lua's numbers are no int64, so values are texts.
const incrementScript = `
local key, delta, ttl = KEYS[1], ARGV[1], ARGV[2]
if delta ~= '0' then
	local r = redis.pcall('INCRBY', key, delta)
	if type(r) == 'table' and r.err then
		if not string.find(r.err, 'overflow', 1, true) then return r end
		local last = '9223372036854775807'
		if string.sub(delta, 1, 1) == '-' then last = '-9223372036854775808' end
		redis.call('SET', key, last, 'KEEPTTL')
	end
end
local left = redis.call('PTTL', key)
if left == -2 then return {'0', 0} end
if left == -1 and delta ~= '0' then
	redis.call('PEXPIRE', key, ttl)
	left = tonumber(ttl)
end
return {redis.call('GET', key), left}`

// Increment implements [store.Cache]. A counter stays at the ends of int64
// rather than turn over. Reading one that is not there returns 0 and no time,
// and does not begin it. After an error the increment may have been made.
func (c cache) Increment(ctx context.Context, tenant platform.TenantID, key string, delta int64, ttl time.Duration) (count int64, left time.Duration, err error) {
	if ttl <= 0 && delta != 0 {
		return 0, 0, errTTL
	}
	err = c.call(ctx, tenant, func(ctx context.Context) error {
		count, left, err = c.runIncrement(ctx, c.key(tenant, key), delta, milliseconds(ttl))
		return err
	})
	if err != nil {
		return 0, 0, err
	}
	return count, left, nil
}

func (c *Client) runIncrement(ctx context.Context, key string, delta, ttl int64) (int64, time.Duration, error) {
	cmd := goredis.NewSliceCmd(ctx, "evalsha", c.increment.Hash(), 1, key, delta, ttl)
	err := c.redis.Process(ctx, once{cmd})
	if goredis.HasErrorPrefix(err, "NOSCRIPT") { // the server is new
		cmd = goredis.NewSliceCmd(ctx, "eval", incrementScript, 1, key, delta, ttl)
		err = c.redis.Process(ctx, once{cmd})
	}
	if err != nil {
		return 0, 0, err
	}
	return counter(cmd.Val())
}

// counter reads what the script returns.
func counter(answer []any) (int64, time.Duration, error) {
	if len(answer) == 2 {
		text, isText := answer[0].(string)
		left, isNumber := answer[1].(int64)
		count, err := strconv.ParseInt(text, 10, 64)
		if isText && isNumber && err == nil {
			return count, time.Duration(max(left, 0)) * time.Millisecond, nil
		}
	}
	return 0, 0, errCounter
}

// errCounter is a bug of the caller: one key for a value and for a counter.
var errCounter = errors.New("the key does not hold a counter")
