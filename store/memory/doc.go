// Package memory is the memory of one process as a cache and as a place for
// live messages: [Cache] is a [store.Cache], [PubSub] a [store.PubSub]. Both
// are gone with the process, and two processes do not see each other's; a
// platform of several replicas needs a driver that they share.
//
// Nothing here has a goroutine or needs closing.
package memory
