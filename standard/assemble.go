package standard

import (
	"net/url"

	"github.com/acme/platform"
	"github.com/acme/platform/analytics"
	"github.com/acme/platform/data"
	"github.com/acme/platform/gateway"
	"github.com/acme/platform/notify"
	"github.com/acme/platform/store/queue"
	"github.com/acme/platform/user"
)

// makeAccounts makes package user, unless the host has accounts of its own.
// Every part that bounds something takes the limits that follow from them: the
// organizations that one person created have one share.
func (p *Platform) makeAccounts(cfg Config, s *stores) (err error) {
	p.Accounts = cfg.Accounts
	if p.Accounts == nil {
		c := cfg.Users
		c.DB, c.Cache, c.PubSub, c.Sealer = s.db, s.logins, s.pubsub, s.sealer
		fill(&c.Issuer, cfg.PublicURL)
		cfg.share(&c.Logger, &c.Now, &c.NewID)
		if c.Limits == nil {
			c.Limits = cfg.Limits
		}
		if c.Mail == nil && cfg.Mail != nil {
			c.Mail = Mails(func() *notify.Service { return p.Messages }, cfg.MailTexts)
		}
		if c.Mail != nil && c.Jobs == nil {
			c.Jobs = p.Jobs
		}
		fill(&c.Links.Origin, Origin(cfg.PublicURL))
		if c.Passkeys == nil {
			if c.Passkeys, err = passkeysAt(cfg.PublicURL); err != nil {
				return named("Users.Passkeys", err)
			}
		}
		if p.Users, err = user.New(c); err != nil {
			return named("Users", err)
		}
		p.Accounts = People{p.Users}
	}
	if sharer, ok := p.Accounts.(Sharer); ok {
		p.Limits = sharer.Limits(cfg.Limits)
	}
	suspensions, _ := itself(p.Accounts).(platform.Suspensions)
	p.Jobs.Follow(suspensions, p.Limits)
	return nil
}

// Origin is a URL without its path: where links of mails lead, if the host says
// nothing else in user.Config.Links. It is "" for what is no URL.
func Origin(publicURL string) string {
	u, err := url.Parse(publicURL)
	if err != nil || u.Host == "" {
		return ""
	}
	return u.Scheme + "://" + u.Host
}

// makeJobs makes the queue before the accounts, whose mails it sends and whose
// suspensions it follows.
func (p *Platform) makeJobs(cfg Config, s *stores) (err error) {
	c := cfg.Jobs
	c.DB = s.db
	cfg.share(&c.Logger, &c.Now, &c.NewID)
	fill(&c.Lease, lease)
	p.Jobs, err = queue.New(c)
	return named("Jobs", err)
}

func (p *Platform) makeMessages(cfg Config, s *stores) (err error) {
	c := cfg.Messages
	c.DB, c.Events, c.Queue, c.PubSub, c.Sealer, c.Mail = s.db, s.events, p.Jobs, s.pubsub, s.sealer, cfg.Mail
	fill[notify.Directory](&c.Directory, p.Accounts)
	fill[notify.Authorizer](&c.Authorizer, authorizer(p.Accounts))
	if sender, ok := p.Accounts.(VerifiedSender); ok && c.VerifiedSender == nil {
		c.VerifiedSender = sender.VerifiedSender
	}
	if auditor, ok := itself(p.Accounts).(Auditor); ok && c.Audit == nil {
		c.Audit = auditor.RecordOperator
	}
	if c.Rules == nil {
		c.Rules = Rules()
	}
	if c.Limits == nil {
		c.Limits = p.Limits
	}
	cfg.share(&c.Logger, &c.Now, &c.NewID)
	p.Messages, err = notify.New(c)
	return named("Messages", err)
}

func (p *Platform) makeRecords(cfg Config, s *stores) (err error) {
	c := cfg.Records
	c.Documents = s.documents
	fill[data.Access](&c.Access, data.Permissions(authorizer(p.Accounts)))
	fill(&c.Scans, s.scans)
	cfg.share(&c.Logger, &c.Now, &c.NewID)
	if c.Limits == nil {
		c.Limits = p.Limits
	}
	p.Records, err = data.New(c)
	return named("Records", err)
}

func (p *Platform) makeMetrics(cfg Config, s *stores) (err error) {
	c := cfg.Metrics
	c.DB = s.db
	fill(&c.Scans, s.scans)
	cfg.share(&c.Logger, &c.Now, &c.NewID)
	if c.Limits == nil {
		c.Limits = p.Limits
	}
	p.Metrics, err = analytics.New(c)
	return named("Metrics", err)
}

func (p *Platform) makeGateway(cfg Config, modules []platform.Module) (err error) {
	c := cfg.Gateway
	if c.Authenticators == nil {
		c.Authenticators = p.Accounts.Authenticators()
	}
	fill[gateway.Authorizer](&c.Authorizer, authorizer(p.Accounts))
	if c.Cache == nil {
		c.Cache = p.Cache
	}
	if c.Limits == nil {
		c.Limits = p.Limits
	}
	cfg.share(&c.Logger, &c.Now, &c.NewID)
	var routers []platform.Router
	for _, m := range modules {
		if r, ok := m.(platform.Router); ok {
			routers = append(routers, r)
		}
	}
	p.Gateway, err = gateway.New(c, routers...)
	return named("Gateway", err)
}

// itself is the value behind the accounts: the parts are given the user service
// and not what makes it [Accounts], so that each sees the same module.
func itself(a Accounts) any {
	if p, ok := a.(People); ok {
		return p.Service
	}
	return a
}

// authorizer is [itself] as what decides.
func authorizer(a Accounts) gateway.Authorizer {
	if p, ok := a.(People); ok {
		return p.Service
	}
	return a
}
