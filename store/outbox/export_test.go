package outbox

import "context"

// MoveRefused moves the first event after a stream has refused the one with the
// number seq.
func (r *Relay) MoveRefused(ctx context.Context, seq int64, cause error) error {
	_, err := r.move(ctx, 1, &refusal{seq: seq, cause: cause})
	return err
}

// TurnBatches is how many batches a turn has at most.
const TurnBatches = turnBatches
