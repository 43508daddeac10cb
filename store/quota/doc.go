// Package quota counts what tenants use in a UTC day, in the transaction of the
// work that uses it: work that is rolled back has used nothing, and of two
// transactions that compete for the last unit one is refused.
//
//	err := quota.Take(ctx, tx, now,
//		quota.Charge{Name: "notify.emails", Amount: 3, Limit: limits.EmailsPerDay},
//		quota.Charge{Name: "notify.emails_per_sender", Subject: user, Amount: 3, Limit: limits.EmailsPerSender})
//
// A counter is a row, so on a store with several writers the transactions of one
// tenant that take from one counter follow each other from there to their
// commits: take late in a transaction, and always in the same order of names.
// Take is not for paths where a tenant writes many small things at once; there
// the writes of a batch are charged together.
//
// What is kept, as opposed to what happens in a day, is counted where it is kept.
package quota
