package main

import (
	"context"
	"net/http"

	"github.com/acme/platform/analytics"
	"github.com/acme/platform/data"
	"github.com/acme/platform/notify"
	"github.com/acme/platform/standard"
	"github.com/acme/platform/store"
	"github.com/acme/platform/store/memory"
	"github.com/acme/platform/store/mongo"
	"github.com/acme/platform/store/postgres"
	"github.com/acme/platform/store/queue"
	"github.com/acme/platform/store/redis"
	"github.com/acme/platform/user"
)

// user serves accounts and access.
func (p *process) user() (http.Handler, error) {
	db, err := p.withPostgres()
	if err != nil {
		return nil, err
	}
	live, err := p.withRedis()
	if err != nil {
		return nil, err
	}
	events, err := p.stream()
	if err != nil {
		return nil, err
	}
	if err := p.relay(db, events); err != nil {
		return nil, err
	}
	// The e-mails to people, such as invitations, leave from here: their secrets
	// pass through no other process. They are this queue's only jobs.
	jobs, err := queue.New(queue.Config{DB: db, Logger: p.log})
	if err != nil {
		return nil, err
	}
	var mail *notify.Service
	users, err := p.users(db, live, jobs, standard.Mails(func() *notify.Service { return mail }, nil))
	if err != nil {
		return nil, err
	}
	jobs.Follow(users, users.Limits(p.plans()))
	// Never started: it gives e-mails to the mailer and counts them.
	idle, err := queue.New(queue.Config{DB: db, Logger: p.log})
	if err != nil {
		return nil, err
	}
	if mail, err = p.messages(db, live, events, idle, users); err != nil {
		return nil, err
	}
	p.add(users, jobs)
	return p.serveToGateway(users)
}

// data serves documents. Their events leave MongoDB for Kafka by themselves.
func (p *process) data() (http.Handler, error) {
	events, err := p.stream()
	if err != nil {
		return nil, err
	}
	documents, err := mongo.New(mongo.Config{URL: p.mongo, Database: p.mongoDatabase, Events: events, Logger: p.log})
	if err != nil {
		return nil, err
	}
	// Without PostgreSQL nobody here knows who created an organization: each
	// has a share of its own, below the one that the gateway gives the creator.
	records, err := data.New(data.Config{Documents: documents, Logger: p.log, Limits: p.plans()})
	if err != nil {
		return nil, err
	}
	p.add(documents, records)
	return p.serveToGateway(records)
}

// analytics serves events and questions about them.
func (p *process) analytics() (http.Handler, error) {
	db, err := p.withPostgres()
	if err != nil {
		return nil, err
	}
	metrics, err := analytics.New(analytics.Config{DB: db, Logger: p.log, Limits: user.ShareByCreator(db, p.plans())})
	if err != nil {
		return nil, err
	}
	p.add(metrics)
	return p.serveToGateway(metrics)
}

// notify serves messages, makes them of the events of all services, and
// delivers them.
func (p *process) notify() (http.Handler, error) {
	db, err := p.withPostgres()
	if err != nil {
		return nil, err
	}
	live, err := p.withRedis()
	if err != nil {
		return nil, err
	}
	events, err := p.stream()
	if err != nil {
		return nil, err
	}
	if err := p.relay(db, events); err != nil {
		return nil, err
	}
	users, err := p.users(db, live, nil, nil) // as the directory
	if err != nil {
		return nil, err
	}
	jobs, err := queue.New(queue.Config{DB: db, Logger: p.log, Limits: users.Limits(p.plans()), Suspensions: users})
	if err != nil {
		return nil, err
	}
	messages, err := p.messages(db, live, events, jobs, users)
	if err != nil {
		return nil, err
	}
	// The jobs come after the service whose handlers they call.
	p.add(users, messages, jobs)
	p.endStreams = messages.EndStreams
	return p.serveToGateway(messages)
}

// users is the user service as a library over the shared database. The
// processes tell each other of revocations by Redis. Where there is a way for
// e-mails, a job of the queue sends them with mail.
func (p *process) users(db *postgres.DB, live *redis.Client, jobs *queue.Queue, mail func(context.Context, user.Mail) error) (*user.Service, error) {
	if p.mailer(p.log) == nil {
		mail = nil
	}
	sealer, err := p.withSealer()
	if err != nil {
		return nil, err
	}
	return user.New(user.Config{
		DB: db, Sealer: sealer, Issuer: p.publicURL, Cache: store.FallbackCache(live.Cache(), memory.NewCache(8<<20)), PubSub: live.PubSub(), Logger: p.log,
		Limits: p.plans(), Mail: mail, Jobs: jobs, Links: user.Links{Origin: standard.Origin(p.publicURL)},
	})
}

func (p *process) messages(db *postgres.DB, live *redis.Client, events store.Events, jobs *queue.Queue, users *user.Service) (*notify.Service, error) {
	sealer, err := p.withSealer()
	if err != nil {
		return nil, err
	}
	return notify.New(notify.Config{
		DB: db, Sealer: sealer, Events: events, PubSub: live.PubSub(), Queue: jobs, Directory: standard.People{Service: users},
		Authorizer: users, VerifiedSender: standard.People{Service: users}.VerifiedSender,
		Mail: p.mailer(p.log), Rules: standard.Rules(), Limits: users.Limits(p.plans()), Logger: p.log,
	})
}
