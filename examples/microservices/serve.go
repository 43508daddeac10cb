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
)

// shutdownTimeout is how long requests and jobs may take to end.
const shutdownTimeout = 20 * time.Second

// serve runs the process until ctx is done, then lets what goes on end. Where a
// store is away at the start it fails: whoever runs the process starts it again.
func serve(ctx context.Context, o options, stderr io.Writer) error {
	log := slog.New(slog.NewJSONHandler(stderr, nil)).With(slog.String("process", o.role))
	var lc net.ListenConfig
	listener, err := lc.Listen(ctx, "tcp", o.addr)
	if err != nil {
		return fmt.Errorf("listen on %s: %w", o.addr, err)
	}
	defer listener.Close()
	p, err := assemble(o, log)
	if err != nil {
		return err
	}
	if err := p.platform.Start(ctx); err != nil {
		return err
	}
	server := &http.Server{
		Handler:           p.handler,
		ReadHeaderTimeout: 10 * time.Second,
		IdleTimeout:       2 * time.Minute,
		MaxHeaderBytes:    64 << 10,
		ErrorLog:          slog.NewLogLogger(log.Handler(), slog.LevelWarn),
	}
	if p.endStreams != nil {
		server.RegisterOnShutdown(p.endStreams)
	}
	failed := make(chan error, 1)
	go func() { failed <- server.Serve(listener) }()
	log.InfoContext(ctx, "listening", slog.String("addr", listener.Addr().String()))
	select {
	case err = <-failed:
	case <-ctx.Done():
		log.InfoContext(ctx, "stopping", slog.Duration("timeout", shutdownTimeout))
	}
	// ctx has ended or may end any moment: stopping has a time of its own.
	stopCtx, cancel := context.WithTimeout(context.WithoutCancel(ctx), shutdownTimeout)
	defer cancel()
	return errors.Join(err, drain(stopCtx, server), p.platform.Stop(stopCtx))
}

// drain lets the requests end that are under way, and cuts off those that take
// more than three quarters of the time, so that the modules behind them end as
// they should.
func drain(ctx context.Context, server *http.Server) error {
	ctx, cancel := context.WithTimeout(ctx, shutdownTimeout*3/4)
	defer cancel()
	err := server.Shutdown(ctx)
	if errors.Is(err, context.DeadlineExceeded) {
		err = errors.Join(errors.New("requests were cut off"), server.Close())
	}
	return err
}
