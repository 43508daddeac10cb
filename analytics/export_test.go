package analytics

import "context"

// RemoveOld is the step of the retention.
func RemoveOld(s *Service) func(context.Context) (bool, error) { return s.removeOld() }
