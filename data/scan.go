package data

import (
	"context"
	"errors"
	"slices"
	"strings"

	"github.com/acme/platform"
	"github.com/acme/platform/store"
	"github.com/acme/platform/store/document"
)

// newScans returns the host's bound for scans, or one of the service's own.
func newScans(host *store.Scans) (*store.Scans, error) {
	if host != nil {
		return host, nil
	}
	return store.NewScans(store.ScanConfig{})
}

// read runs a query: one that reads little at once, any other when the tenant's
// share has its turn.
func (s *Service) read(ctx context.Context, tenant platform.TenantID, collection string, q store.Query) (found store.Page, err error) {
	tried := false
	err = s.scans.Run(ctx, s.limits, tenant, func(ctx context.Context, budget *store.Budget) (err error) {
		q.Budget = budget
		if !tried { // the second time it is a scan
			tried = true
			if err := s.loads.begin(ctx); err != nil {
				return err
			}
			defer s.loads.end()
		}
		found, err = s.docs.Find(ctx, tenant, collection, q)
		return err
	})
	return found, err
}

// each runs one of the many queries that read a whole collection page by page,
// and f on its page, as part of one scan of the tenant's share. What does not
// end with its context, such as writing to a caller, is none of f's.
func (s *Service) each(ctx context.Context, tenant platform.TenantID, collection string, q store.Query, f func(store.Page) error) error {
	return s.scans.Scan(ctx, s.limits, tenant, func(ctx context.Context, budget *store.Budget) error {
		q.Budget = budget
		found, err := s.docs.Find(ctx, tenant, collection, q)
		if err == nil {
			err = budget.Pause(ctx)
		}
		if err != nil {
			return err
		}
		return f(found)
	})
}

// nameIndex adds to the error of a query that costs too much which index it
// lacks.
func nameIndex(err error, filter document.Filter, sort []document.SortField) error {
	var e *platform.Error
	if !errors.Is(err, store.ErrTooCostly) || !errors.As(err, &e) {
		return err
	}
	at, fields := "/sort", filter.Paths()
	if len(fields) > 0 {
		at = "/filter"
	}
	for _, f := range sort {
		if !slices.Contains(fields, f.Path) {
			fields = append(fields, f.String())
		}
	}
	if len(fields) == 0 { // it reads all there is, as asked
		return err
	}
	told := *e
	told.Fields = []platform.Field{{
		Path: at, Code: "no_index",
		Detail: "no index bounds what is read; one on " + strings.Join(fields[:min(len(fields), maxIndexFields)], ",") + " may",
	}}
	return told.Because(err)
}
