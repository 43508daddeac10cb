package main

import (
	"context"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"net"
	"net/http"
	"time"

	goredis "github.com/redis/go-redis/v9"

	"github.com/acme/platform/standard"
)

// serve runs the server until ctx is done, then lets what goes on end.
func serve(ctx context.Context, o options, _, stderr io.Writer) error {
	log := o.logger(stderr)
	goredis.SetLogger(redisLog{log})
	// The address first: a port in use is found before any data is touched.
	var lc net.ListenConfig
	listener, err := lc.Listen(ctx, "tcp", o.addr)
	if err != nil {
		return fmt.Errorf("listen on %s: %w", o.addr, err)
	}
	defer listener.Close()

	handler := &startup{}
	server := &http.Server{
		Handler:           handler,
		ReadHeaderTimeout: 10 * time.Second,
		IdleTimeout:       2 * time.Minute,
		MaxHeaderBytes:    64 << 10,
		ErrorLog:          slog.NewLogLogger(log.Handler(), slog.LevelWarn),
	}
	failed := make(chan error, 1)
	go func() { failed <- server.Serve(listener) }()
	addr := listener.Addr().String()
	log.InfoContext(ctx, "starting", slog.String("addr", addr))
	p, err := start(ctx, o.patience(), log, func(ctx context.Context) (*standard.Platform, error) { return assembleAndStart(ctx, o, log) })
	if err != nil {
		return errors.Join(err, server.Close())
	}
	server.RegisterOnShutdown(p.EndStreams)
	handler.open(p)
	log.InfoContext(ctx, "listening", slog.String("addr", addr), slog.String("docs", "http://"+addr+"/docs"),
		slog.String("stores", o.where()))

	select {
	case err = <-failed:
	case <-ctx.Done():
		log.InfoContext(ctx, "stopping", slog.Duration("timeout", o.shutdown))
	}
	// ctx has ended or may end any moment: stopping has a time of its own.
	stopCtx, cancel := context.WithTimeout(context.WithoutCancel(ctx), o.shutdown)
	defer cancel()
	if errors.Is(err, http.ErrServerClosed) {
		err = nil
	}
	return errors.Join(err, drain(stopCtx, server, o.shutdown*3/4), p.Close(stopCtx))
}

// redisLog takes what go-redis would write to the standard error by itself. The
// store says what matters of it.
type redisLog struct{ log *slog.Logger }

func (l redisLog) Printf(ctx context.Context, format string, v ...any) {
	l.log.DebugContext(ctx, "go-redis", slog.String("says", fmt.Sprintf(format, v...)))
}

// drain lets the requests end that are under way, and cuts off those that have
// not after timeout: one client that hangs must not use up the time in which
// the modules behind the requests end as they should.
func drain(ctx context.Context, server *http.Server, timeout time.Duration) error {
	ctx, cancel := context.WithTimeout(ctx, timeout)
	defer cancel()
	err := server.Shutdown(ctx)
	if errors.Is(err, context.DeadlineExceeded) {
		err = errors.Join(fmt.Errorf("requests were cut off: they did not end within %v", timeout), server.Close())
	}
	return err
}
