// Command embed is a Go service that has routes, a router, a logger and, in one
// variant, accounts of its own, and takes the platform in under /api. The same
// service is shown in the standard ServeMux, chi, gin and echo; a module of the
// service sits beside those of the platform, behind the same authentication,
// permissions and rate limits.
//
//	cd examples/embed && go run . --router chi
//
// It is a Go module of its own, so that the routers are no dependencies of the
// platform.
package main

import (
	"context"
	"errors"
	"flag"
	"fmt"
	"log/slog"
	"maps"
	"net/http"
	"os"
	"os/signal"
	"slices"
	"strings"
	"syscall"
	"time"

	"github.com/gin-gonic/gin"

	"github.com/acme/platform/standard"
)

// hosts are the variants by router.
var hosts = map[string]func(context.Context, settings) (http.Handler, *standard.Platform, error){
	"std": inServeMux, "chi": inChi, "gin": inGin, "echo": inEcho,
}

func main() {
	ctx, stop := signal.NotifyContext(context.Background(), os.Interrupt, syscall.SIGTERM)
	addr := flag.String("addr", "127.0.0.1:8081", "address to listen on")
	data := flag.String("data", "acme-embed", "folder of the database")
	router := flag.String("router", "std", "std, chi, gin or echo")
	flag.Parse()
	gin.SetMode(gin.ReleaseMode)
	log := slog.New(slog.NewTextHandler(os.Stderr, nil))
	err := run(ctx, *addr, *data, *router, log)
	stop()
	if err != nil {
		log.Error("ended", slog.Any("error", err))
		os.Exit(1)
	}
}

// run is the host's own main: it owns the listener, the server and the order
// of the end.
func run(ctx context.Context, addr, data, router string, log *slog.Logger) (err error) {
	host, ok := hosts[router]
	if !ok {
		return fmt.Errorf("there is no router %q; there are %s", router, strings.Join(slices.Sorted(maps.Keys(hosts)), ", "))
	}
	people := newAccounts(
		person{id: "ann", email: "ann@example.com", name: "Ann", company: "acme", manager: true},
		person{id: "ben", email: "ben@example.com", name: "Ben", company: "acme"},
	)
	handler, api, err := host(ctx, settings{data: data, url: "http://" + addr, log: log, people: people})
	if err != nil {
		return err
	}
	defer func() {
		stopCtx, cancel := context.WithTimeout(context.WithoutCancel(ctx), 20*time.Second)
		defer cancel()
		err = errors.Join(err, api.Close(stopCtx))
	}()
	server := &http.Server{Addr: addr, Handler: handler, ReadHeaderTimeout: 10 * time.Second}
	server.RegisterOnShutdown(api.EndStreams)
	failed := make(chan error, 1)
	go func() { failed <- server.ListenAndServe() }()
	log.InfoContext(ctx, "the host listens", slog.String("addr", addr), slog.String("router", router))
	select {
	case err = <-failed:
		return err
	case <-ctx.Done():
	}
	stopCtx, cancel := context.WithTimeout(context.WithoutCancel(ctx), 20*time.Second)
	defer cancel()
	return server.Shutdown(stopCtx)
}
