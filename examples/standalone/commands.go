package main

import (
	"context"
	"fmt"
	"io"
	"log/slog"
	"net/http"
	"net/http/httptest"
	"time"
)

// printOpenAPI describes the routes without serving them. The platform that it
// assembles for that is never started and touches no file.
func printOpenAPI(ctx context.Context, o options, stdout, _ io.Writer) error {
	o.stores = storeURLs{}
	p, err := assemble(o, slog.New(slog.DiscardHandler))
	if err != nil {
		return err
	}
	w := httptest.NewRecorder()
	p.ServeHTTP(w, httptest.NewRequestWithContext(ctx, http.MethodGet, "/openapi.json", nil))
	if w.Code != http.StatusOK {
		return fmt.Errorf("describe the routes: status %d", w.Code)
	}
	_, err = fmt.Fprintln(stdout, w.Body)
	return err
}

// healthcheck asks the server at the address for its readiness.
func healthcheck(ctx context.Context, o options, stdout, _ io.Writer) error {
	ctx, cancel := context.WithTimeout(ctx, 5*time.Second)
	defer cancel()
	req, err := http.NewRequestWithContext(ctx, http.MethodGet, "http://"+o.addr+"/readyz", nil)
	if err != nil {
		return err
	}
	client := http.Client{Transport: &http.Transport{DisableKeepAlives: true}}
	resp, err := client.Do(req)
	if err != nil {
		return err
	}
	defer resp.Body.Close()
	if resp.StatusCode != http.StatusOK {
		return fmt.Errorf("not ready: %s", resp.Status)
	}
	_, err = fmt.Fprintln(stdout, "ready")
	return err
}
