// Command embed is a Go service that has routes, a logger and a router of its
// own, and takes the platform in: the gateway is mounted under /api, once in
// the standard ServeMux and once in chi, and a module of the service sits
// beside those of the platform, behind the same authentication, permissions
// and rate limits.
//
//	go run ./examples/embed --router chi
package main

import (
	"context"
	"errors"
	"flag"
	"fmt"
	"log/slog"
	"net/http"
	"os"
	"os/signal"
	"syscall"
	"time"
)

func main() {
	ctx, stop := signal.NotifyContext(context.Background(), os.Interrupt, syscall.SIGTERM)
	addr := flag.String("addr", "127.0.0.1:8081", "address to listen on")
	data := flag.String("data", "acme-embed.db", "database file")
	router := flag.String("router", "std", "std or chi")
	flag.Parse()
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
	h, err := newHost(ctx, "http://"+addr, data, log)
	if err != nil {
		return err
	}
	if err := h.platform.Start(ctx); err != nil {
		return err
	}
	defer func() {
		stopCtx, cancel := context.WithTimeout(context.WithoutCancel(ctx), 20*time.Second)
		defer cancel()
		err = errors.Join(err, h.platform.Stop(stopCtx))
	}()
	var handler http.Handler
	switch router {
	case "std":
		handler = h.serveMux()
	case "chi":
		handler = h.chi()
	default:
		return fmt.Errorf("there is no router %q", router)
	}
	server := &http.Server{Addr: addr, Handler: handler, ReadHeaderTimeout: 10 * time.Second}
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
