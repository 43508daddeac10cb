// Package platform is the vocabulary and the lifecycle of a multi-tenant back
// end that a host imports piece by piece: tenants and principals, errors,
// events, routes, and modules that start and stop together.
//
// The services are in packages user, data, analytics and notify; gateway is
// the edge before them; store holds the ports to databases and package
// store/sqlite the one that needs nothing installed. Package platform knows
// none of them: a module of the host's own sits beside ours. The folder
// examples shows whole programs.
//
// Nothing here is global. Two platforms live in one process.
package platform
