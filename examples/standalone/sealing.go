package main

import (
	"context"
	"errors"
	"flag"
	"fmt"
	"io"
	"path/filepath"
	"slices"

	"github.com/acme/platform/store/seal"
)

// sealingKeys say where the keys of stored secrets are.
type sealingKeys struct{ file, text string }

func (k *sealingKeys) flags(fs *flag.FlagSet) {
	fs.StringVar(&k.file, "sealing-keys-file", "", "file of the keys of stored secrets, made where it is missing, readable for its owner alone (default acme.keys in --data, with --postgres none)")
	fs.StringVar(&k.text, "sealing-keys", "", "the keys of stored secrets themselves, as \"standalone sealing create --sealing-keys-file -\" prints them; better in PLATFORM_SEALING_KEYS")
}

// toPrint is the file name for keys that are printed.
const toPrint = "-"

func (k *sealingKeys) validate(postgres bool) (errs []error) {
	if k.file != "" && k.text != "" {
		errs = append(errs, errors.New("--sealing-keys-file and --sealing-keys: only one can be set"))
	}
	if postgres && k.file == "" && k.text == "" {
		errs = append(errs, errors.New("--sealing-keys-file or PLATFORM_SEALING_KEYS: must be set with --postgres, the same keys for all replicas: "+
			`make them with "standalone sealing create --sealing-keys-file FILE"`))
	}
	return errs
}

// place is where the keys are.
func (k *sealingKeys) place(data string) seal.Keys {
	switch {
	case k.text != "" || k.file == toPrint:
		return seal.Memory(k.text)
	case k.file != "":
		return seal.File(k.file)
	default:
		return seal.File(filepath.Join(data, "acme.keys"))
	}
}

var errSealingUsage = errors.New(`sealing: write "standalone sealing create|list|rotate|publish|promote ID|retire ID|restore ID [flags]", with the flags that say where the keys are`)

// sealingCommand reads the words after "sealing" and returns the command and the
// flags that are left.
func sealingCommand(args []string) (do command, flags []string, err error) {
	if len(args) == 0 {
		return nil, nil, errSealingUsage
	}
	name, args := args[0], args[1:]
	id := ""
	if slices.Contains([]string{"promote", "retire", "restore"}, name) {
		if len(args) == 0 || args[0] == "" || args[0][0] == '-' {
			return nil, nil, errSealingUsage
		}
		id, args = args[0], args[1:]
	} else if !slices.Contains([]string{"create", "list", "rotate", "publish"}, name) {
		return nil, nil, errSealingUsage
	}
	return func(ctx context.Context, o options, stdout, stderr io.Writer) error {
		return changeSealing(ctx, o, name, id, stdout, stderr)
	}, args, nil
}

// changeSealing changes the keys at their place, or prints the new ones where they
// were given as text. Running servers learn of a file that was changed by
// themselves.
func changeSealing(ctx context.Context, o options, name, id string, stdout, stderr io.Writer) error {
	place := o.sealing.place(o.data)
	_, err := place.Load(ctx)
	switch {
	case name == "create" && err == nil:
		return fmt.Errorf("there are keys in %s already", place)
	case name != "create" && err != nil:
		return fmt.Errorf("%s: %w", place, err)
	case err != nil && !errors.Is(err, seal.ErrNoKeyset):
		return fmt.Errorf("%s: %w", place, err)
	}
	sealer, err := seal.New(seal.Config{Keys: place})
	if err != nil {
		return err
	}
	switch name {
	case "create":
		err = sealer.Start(ctx)
	case "rotate":
		_, err = sealer.Rotate(ctx)
	case "publish":
		_, err = sealer.Publish(ctx)
	case "promote":
		err = sealer.Promote(ctx, id)
	case "retire":
		err = sealer.Retire(ctx, id)
	case "restore":
		err = sealer.Restore(ctx, id)
	}
	if err != nil {
		return err
	}
	return o.sealing.show(ctx, name, sealer, place, stdout, stderr)
}

// show prints the keys' names, and where there is no file for them the keys
// themselves: alone on the standard output, so that they can be piped.
func (k *sealingKeys) show(ctx context.Context, name string, sealer *seal.Sealer, place seal.Keys, stdout, stderr io.Writer) error {
	names := stdout
	if name != "list" && (k.text != "" || k.file == toPrint) {
		names = stderr
		text, err := seal.Text(ctx, place)
		if err != nil {
			return err
		}
		if _, err := fmt.Fprintf(stdout, "PLATFORM_SEALING_KEYS=%s\n", text); err != nil {
			return err
		}
	}
	keys, err := sealer.List(ctx)
	if err != nil {
		return err
	}
	for _, key := range keys {
		state := "opens"
		switch {
		case key.Primary:
			state = "seals and opens"
		case key.Retired:
			state = "retired"
		}
		if _, err := fmt.Fprintf(names, "%s  %s\n", key.ID, state); err != nil {
			return err
		}
	}
	return nil
}
