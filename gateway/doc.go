// Package gateway is the edge before the services: one [http.Handler] that
// knows every operation, who may call it and how often, and where it is
// served: in this process, or by a remote upstream.
//
//	gw, err := gateway.New(gateway.Config{Authenticators: gateway.Credentials(users), Authorizer: users, Cache: cache}, users, records)
//	mux.Handle("/api/", http.StripPrefix("/api", gw)) // with Config.BasePath: "/api"
//
// A request passes, in this order: request id, recovery, access log, security
// headers, CORS, body deadline, routing; then, by the route: body limit,
// limit of bad credentials, authentication, rate limits of the principal and of
// its tenant, authorization, deadline, response cache, handler.
// Each of these is also a plain func(http.Handler) http.Handler for a host with
// a router of its own: [RequestID], [Recover], [AccessLog], [SecurityHeaders],
// [AllowOrigins], [BodyTimeout], [BodyLimit], [CredentialLimit],
// [Authenticate], [RateLimit], [TenantRateLimit], [Authorize], [Timeout],
// [Cache].
// Their constructors panic on settings that cannot work, as they run once,
// when the program starts; [New] returns an error instead.
//
// Whatever the gateway itself refuses is application/problem+json (RFC 9457),
// unknown paths and wrong methods included.
//
// # Services in other processes
//
// An [Upstream] is one or more replicas of a service elsewhere; [UpstreamOf]
// makes it of the service's own code. Its operations are checked, limited and
// described like all others. What goes on to the service is who calls, signed
// for it and for 8 s, and never the credential; the service believes nothing
// else where it puts [VerifyAssertion] before its handlers. Replicas take
// turns, and one that cannot be reached is passed over.
//
// Fields of a request whose names have other characters than letters, digits
// and '-' do not go on, since some servers take "X_Forwarded_For" for
// "X-Forwarded-For"; nor does Upgrade, but for a WebSocket on a stream. A path
// with a dot segment before a ';' or beside a '\\', and a query that parsers
// read differently, are refused with status 400, here too.
//
// # What the host's server must do
//
// The gateway opens no listener. The host's [http.Server] must bound how long
// headers may take to arrive (ReadHeaderTimeout): a handler cannot. Bodies have
// Config.Timeout; a ReadTimeout of the server's own takes its place, in streams
// too.
package gateway
