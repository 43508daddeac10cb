// Package redis is Redis as a cache and as a bus for live messages, for a
// platform of several processes: [Client.Cache] is a [store.Cache],
// [Client.PubSub] a [store.PubSub]. It speaks to one server, to a cluster, or
// through a client of the host's own, by github.com/redis/go-redis/v9, and
// needs Redis 6.0 or newer.
//
// # Keys
//
// A key is "prefix:tenant:key" and a channel "prefix:tenant:topic". Neither a
// prefix nor a tenant can have a colon, so no pair of tenant and key is spelled
// as another one, and platforms with different prefixes can share a server.
// Channels are the same in all databases of a server: a database number of its
// own does not keep a platform's messages apart, a prefix does. An access list
// needs
//
//	~prefix:* &prefix:* +get +set +unlink +eval +evalsha +incrby +pttl +pexpire
//	+publish +subscribe +unsubscribe +ping
//
// and +cluster +command for a cluster. Every command has its keys in one hash
// slot. A key names a value or a counter, never both.
//
// Redis may forget: give it a maxmemory and a policy of the allkeys or volatile
// sort. All that is kept here has an end.
//
// # When Redis is unavailable
//
// No call waits longer than Config.Timeout. After a few failures in a row calls
// fail at once, while one goroutine asks the server every Config.Retry; they go
// through again when it answers. What an error means is the caller's to choose,
// and here is what the callers of this module do:
//
//   - a response cache (gateway.Cache) takes it for a miss
//   - a rate limit (gateway.RateLimit) is counted by each process for itself,
//     so that it is wider than it should be, and never gone
//   - a lock (SetIfAbsent), the throttle of logins and the limits of
//     invitations are refused with [platform.KindUnavailable]: nobody may hold
//     a lock that another one holds too, and an outage must not help whoever
//     guesses passwords
//   - verdicts on sessions are in each process's memory: what another process
//     revoked takes effect after user.Config.VerifyTTL at the latest, as when a
//     message is lost
//
// In a cluster the client is watched as a whole: while one node is unavailable, calls
// for its keys wait for Config.Timeout each, and others work.
//
// A command that would do its work twice, an increment, a lock, a message, is
// never sent again by itself. One that timed out may have been done.
//
// # Messages
//
// All subscriptions of a client share one connection. Where it breaks, or does
// not answer for two Config.Heartbeat, another one takes its place and
// subscribes to everything again. What was published meanwhile is lost. As soon
// as messages come again, each subscription gets one without a payload, with a
// Dropped of one more than was counted, since nobody knows how many there were.
//
// On a cluster messages go over the classic channels, which each node passes on
// to all others, and not over sharded ones: a sharded subscription is bound to
// the node of its slot, so that many topics need a connection to every node,
// and go-redis binds a subscription to the node of its first channel alone
// (https://github.com/redis/go-redis/issues/3806). Messages here are small and
// few: they say what to look at again. All messages of a topic go through the
// node of its slot, so that those of one publisher stay in order.
//
// # What go-redis does beside
//
// Where hundreds of calls are under way at once, its automatic pipeliner
// (AutoPipeline, experimental there) carries several times as many over few
// connections, and each lone call takes twice as long: a host that wants it
// gives it as Config.Client.
//
// It writes what its pools meet to the standard error of the process, by a
// logger that the host may replace with redis.SetLogger. Its client-side cache
// is not used: an invalidation is applied some milliseconds after the write was
// acknowledged, so that a process would read what it has just deleted.
package redis
