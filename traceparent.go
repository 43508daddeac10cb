package platform

import "context"

type traceParentKey struct{}

// WithTraceParent returns a context that carries the trace which a call belongs
// to, as the header "traceparent" of W3C Trace Context. One that is not valid
// is left out, as the standard asks.
func WithTraceParent(ctx context.Context, traceParent string) context.Context {
	if !ValidTraceParent(traceParent) {
		return ctx
	}
	return carry(ctx, traceParentKey{}, traceParent)
}

// TraceParentFrom returns the trace parent that ctx carries, or "".
func TraceParentFrom(ctx context.Context) string {
	s, _ := carried[string](ctx, traceParentKey{})
	return s
}

// ValidTraceParent reports whether s is a trace parent
// (https://www.w3.org/TR/trace-context/#traceparent-header): version, trace id,
// parent id and flags in lower case hex, ids not all zero. Later versions may
// add to the end.
func ValidTraceParent(s string) bool {
	const size = len("00-0123456789abcdef0123456789abcdef-0123456789abcdef-00")
	if len(s) < size || len(s) > 2*size || s[2] != '-' || s[35] != '-' || s[52] != '-' {
		return false
	}
	if !lowerHex(s[:2]) || !lowerHex(s[3:35]) || !lowerHex(s[36:52]) || !lowerHex(s[53:55]) {
		return false
	}
	if s[:2] == "ff" || zeros(s[3:35]) || zeros(s[36:52]) {
		return false
	}
	if len(s) == size {
		return true
	}
	if s[:2] == "00" || s[size] != '-' {
		return false
	}
	for i := size; i < len(s); i++ {
		if s[i] <= ' ' || s[i] > '~' {
			return false
		}
	}
	return true
}

func lowerHex(s string) bool {
	for i := range len(s) {
		if c := s[i]; (c < '0' || c > '9') && (c < 'a' || c > 'f') {
			return false
		}
	}
	return true
}

func zeros(s string) bool {
	for i := range len(s) {
		if s[i] != '0' {
			return false
		}
	}
	return true
}
