// Package sqltx is what the SQL drivers of package store share: the
// transaction that a caller of store.Relational is given ([Tx]), the outbox
// and inbox behind its Emit and Once ([Outbox]), and the runner of migrations
// ([Migrate]).
//
// A driver opens and ends the transaction on its own connection; sqltx only
// speaks through that connection, in statements whose parameters are "?".
package sqltx
