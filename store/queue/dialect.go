package queue

// statements are those that differ between databases.
type statements struct {
	// claim takes the first jobs of a kind, a tenant and a target; args: kind,
	// tenant, target, limit, owner, lease, started, tenant.
	claim string
	// lockTarget keeps a failing target from other processes until the
	// transaction ends, and returns no row where one has it; args: tenant,
	// kind, target.
	lockTarget string
	// promote and rescue make jobs ready that are due, and whose lease has
	// ended; args: time, limit.
	promote, rescue string
	// extend renews the leases of an owner; args: owner, lease.
	extend string
	// keepWaiting returns the unfinished job of a unique key if no handler has
	// it yet, and keeps it from them until the transaction ends; args: tenant,
	// kind, key.
	keepWaiting string
	// done deletes jobs of this process that have run, and returns the tenants,
	// ids and fences of those that were there; args: three arrays of the same.
	// Empty where a statement for each costs no more.
	done string
}

// Where many processes write at once they pass over rows that another one has
// locked: it is about to do the same, or the row is in a handler's transaction,
// for which the workers of a process must not wait. MATERIALIZED, since a list
// that is made twice is one of other rows, locked as well.
func newStatements(passOver, keep, done string) *statements {
	return &statements{
		done: done,
		claim: `WITH next AS MATERIALIZED (
				SELECT id FROM jobs WHERE state = 0 AND kind = ? AND tenant = ? AND target = ?
				ORDER BY priority DESC, run_at, id LIMIT ?` + passOver + `)
			UPDATE jobs SET state = 2, owner = ?, lease = ?, started = ?, attempt = attempt + 1, fence = fence + 1
			WHERE tenant = ? AND id IN (SELECT id FROM next)
			RETURNING id, fence, payload, run_at, unique_key, priority, attempt, enqueued`,
		lockTarget: `SELECT 1 FROM job_failing_targets WHERE tenant = ? AND kind = ? AND target = ?` + passOver,
		promote: `WITH due AS MATERIALIZED (
				SELECT tenant, id FROM jobs WHERE state = 1 AND run_at <= ? ORDER BY run_at LIMIT ?` + passOver + `)
			UPDATE jobs SET state = 0 WHERE (tenant, id) IN (SELECT tenant, id FROM due)`,
		rescue: `WITH ended AS MATERIALIZED (
				SELECT tenant, id FROM jobs WHERE state = 2 AND lease <= ? ORDER BY lease LIMIT ?` + passOver + `)
			UPDATE jobs SET state = 0, owner = '', lease = 0, cause = 'queue: the lease ended while it ran'
			WHERE (tenant, id) IN (SELECT tenant, id FROM ended)`,
		extend: `WITH held AS MATERIALIZED (SELECT tenant, id FROM jobs WHERE state = 2 AND owner = ?` + passOver + `)
			UPDATE jobs SET lease = ? WHERE (tenant, id) IN (SELECT tenant, id FROM held)`,
		keepWaiting: `SELECT id FROM jobs WHERE tenant = ? AND kind = ? AND unique_key = ? AND state < 2` + keep,
	}
}

var (
	onSQLite   = newStatements("", "", "")
	onPostgres = newStatements(" FOR UPDATE SKIP LOCKED", " FOR SHARE",
		`DELETE FROM jobs USING unnest(?::text[], ?::text[], ?::bigint[]) AS ran (tenant, id, fence)
			WHERE jobs.tenant = ran.tenant AND jobs.id = ran.id AND jobs.fence = ran.fence AND jobs.state = 2
			RETURNING jobs.tenant, jobs.id, jobs.fence`)
)
