// Package notify brings messages to people and programs: an inbox in the
// product, e-mail, and signed webhooks (Standard Webhooks,
// https://www.standardwebhooks.com).
//
// # From cause to message
//
// A message has two causes. Somebody sends it, with [Service.Send], with
// [Service.SendIn] in a transaction of their own, or over HTTP. Or a [Rule]
// makes it of an event of the platform: rules belong to a tenant, and the host
// gives some to all tenants with [Config.Rules]. A rule or a message names an
// audience, which the host's [Directory] turns into people, and its text,
// which is a template of the tenant or stands in the rule itself.
//
// # What is durable
//
// A message, the inbox entries of its recipients and a delivery for every
// e-mail and webhook commit in one transaction, in a rule's case together with
// the note that the event was handled: an event delivered twice makes one
// message. Deliveries are jobs of store/queue and outlive the process. Each
// attempt is recorded with its outcome. An e-mail or webhook may, after a
// crash between sending and recording, be sent twice; its Message-ID or
// webhook-id is then the same, by which receivers tell.
//
// # E-mail
//
// E-mail leaves by [Config.Mail]: an [SMTP] server, or a [MailFolder] where
// there is none, so that everything can be tried. It goes out under the host's
// name, so each e-mail counts for the tenant, for the user who caused it and for
// the mailbox that gets it, in a UTC day ([platform.Limits]). A caller beyond a
// limit is refused with "rate_exceeded"; of what rules make, the e-mails that a
// limit has no room for are failed deliveries with that reason. Over HTTP,
// addresses that are no members' need the permission "notify.emails.external"
// and a verified sender ([Config.VerifiedSender]).
//
// A message may hold a secret ([Message.Secret]), such as the token of an
// invitation. Its text is kept apart from the message until its delivery has
// ended, and nothing serves it. It is removed from the table then; copies of the
// database file, and pages that the database has not used again, may still have
// it, so a secret must expire.
//
// # Order and time
//
// Inbox entries are in the order in which their events were committed, per
// subject. A rule looks its audience up at most five seconds before it uses
// it; an event of the user service makes the next look-up fresh.
//
// # What a tenant may cost
//
// A rendering of a template has one budget of steps and bytes, and runs in no
// transaction that writes. One pass of the consumer does a bounded amount of work
// for a tenant; the events that are left become jobs, so their messages may be
// out of order. What rules make of an event, and what all messages make in a UTC
// day, is counted against [Config.Limits] before it is written. Of the messages
// of a rule that fail, or exceed a limit, one a day is kept as a failed message;
// the others are counted in the rule. A rule whose text exceeds its budget ten
// times in a row is switched off. An operator finds such rules of all tenants
// with [Service.RuleFailures] and ends one with [Service.DisableRule].
//
// Messages and deliveries are kept for [Config.MessageRetention] and
// [Config.DeliveryRetention], and then removed in small steps by one process.
//
// # Live updates
//
// With [Config.PubSub] a user can be told of changes of the inbox as they
// happen: a stream of server-sent events, each with the number of unread messages
// and the id of the latest one. A message on the PubSub only wakes the streams,
// of whatever process; what they tell they read from the store, so nothing that
// is lost, doubled or late on the way is ever wrong, and a client that connects
// again needs no place to go on from. A change whose message is lost shows with
// the next. A stream ends after [Config.StreamTTL].
//
// # What hangs or fails
//
// Webhooks, e-mails and look-ups of audiences have workers of their own. A tenant,
// or those that have one share together, has [platform.Limits.Deliveries] of each
// under way at once in one process, and an endpoint four. An endpoint that failed
// gets one attempt at a time, of all processes together, until one succeeds; a
// mail server that cannot be reached gets one at a time from each process. What
// waits behind that attempt uses up none of its own.
//
// # Suspended tenants
//
// While a tenant is suspended, as the Suspensions of the queue say, nothing of it
// is delivered, its rules do nothing, and its live streams end. Its deliveries and
// the events for its rules and endpoints wait, and go on when it is resumed. What
// is under way at the moment of the suspension is broken off and tried again
// then: a receiver may get it twice, with the same id.
//
// # Several processes
//
// Any number of processes may serve one store. What must not happen twice at
// once, such as the last free place of a limit, the transactions see to
// themselves.
//
// # Webhooks and private networks
//
// Tenants choose the addresses that webhooks go to. The address that is
// dialled, after resolving the name, must be a public one, redirects are not
// followed and no proxy is used, so that a tenant cannot reach the host's own
// network; [Config.AllowPrivateNetworks] lifts that for installations whose
// tenants are trusted.
//
// # Events
//
// Each change commits with an event of the source "/notify", whose subject is
// the id of what changed:
//
//	notify.message.sent                                       {id, channels}
//	notify.template.created, .updated, .deleted               {id, name}
//	notify.rule.created, .updated, .deleted                   {id, name}
//	notify.rule.disabled                                      {id, name, reason}
//	notify.endpoint.created, .updated, .deleted, .disabled    {id, disabled, reason}
//	notify.endpoint.secret_rotated                            {id}
package notify
