package notify_test

import (
	"context"
	"fmt"
	"os"
	"path/filepath"

	"github.com/acme/platform"
	"github.com/acme/platform/notify"
	"github.com/acme/platform/store/queue"
	"github.com/acme/platform/store/seal"
	"github.com/acme/platform/store/sqlevents"
	"github.com/acme/platform/store/sqlite"
)

// directory is the host's own knowledge of its people.
type directory struct{}

func (directory) Recipients(context.Context, platform.TenantID, notify.Audience) ([]notify.Recipient, error) {
	return []notify.Recipient{{ID: "usr_ann", Email: "ann@example.com", Name: "Ann"}}, nil
}

// A host sends a message to the inboxes of an organization's owners.
func Example() {
	if err := run(context.Background()); err != nil {
		fmt.Println(err)
	}
	// Output: 1 unread: Your trial ends (Three days are left.)
}

func run(ctx context.Context) error {
	folder, err := os.MkdirTemp("", "notify")
	if err != nil {
		return err
	}
	defer func() { _ = os.RemoveAll(folder) }()
	db, err := sqlite.New(filepath.Join(folder, "acme.db"))
	if err != nil {
		return err
	}
	events, err := sqlevents.New(sqlevents.Config{DB: db})
	if err != nil {
		return err
	}
	jobs, err := queue.New(queue.Config{DB: db})
	if err != nil {
		return err
	}
	sealer, err := seal.New(seal.Config{Keys: seal.File(filepath.Join(folder, "acme.keys"))})
	if err != nil {
		return err
	}
	messages, err := notify.New(notify.Config{DB: db, Sealer: sealer, Events: events, Queue: jobs, Directory: directory{}})
	if err != nil {
		return err
	}
	p, err := platform.New(platform.Config{}, db, sealer, events, jobs, messages)
	if err != nil {
		return err
	}
	if err := p.Start(ctx); err != nil {
		return err
	}
	defer func() { _ = p.Stop(ctx) }()

	_, err = messages.Send(ctx, platform.System("org_acme", "billing"), notify.Message{
		To:       notify.Audience{Roles: []string{"owner"}},
		Channels: []notify.Channel{notify.ChannelInbox},
		Title:    "Your trial ends", Body: "Three days are left.",
	})
	if err != nil {
		return err
	}
	inbox, err := messages.Inbox(ctx, platform.Principal{Tenant: "org_acme", Subject: "usr_ann", Kind: platform.PrincipalUser}, notify.InboxQuery{})
	if err != nil {
		return err
	}
	fmt.Printf("%d unread: %s (%s)\n", inbox.Unread, inbox.Items[0].Title, inbox.Items[0].Body)
	return nil
}
