package main

import (
	"context"
	"encoding/hex"
	"errors"
	"flag"
	"fmt"
	"io"
	"io/fs"
	"os"
	"path/filepath"
	"strings"

	"github.com/sotto-fl/sotto/aggregation/kahe"
	"github.com/sotto-fl/sotto/aggregation/keyshare"
	"github.com/sotto-fl/sotto/aggregation/terms"
	"github.com/sotto-fl/sotto/client/identity"
	"github.com/sotto-fl/sotto/client/keyholder"
	"github.com/sotto-fl/sotto/client/policy"
	"github.com/sotto-fl/sotto/client/rpc"
	"github.com/sotto-fl/sotto/internal/config"
	"github.com/sotto-fl/sotto/internal/statement"
)

// approve shows the committee record, and with its fingerprint pins it: the data
// holder has compared the fingerprint with the other members, not with the server.
func approve(ctx context.Context, args []string, stdout, _ io.Writer) error {
	f := flag.NewFlagSet("approve", flag.ContinueOnError)
	f.SetOutput(io.Discard)
	dir := f.String("dir", defaultDir, "")
	private := f.String("privacy", "", "")
	var words []string
	for rest := args; ; rest = f.Args()[1:] {
		if err := f.Parse(rest); err != nil {
			return usageOf(err)
		}
		if f.NArg() == 0 {
			break
		}
		words = append(words, f.Arg(0))
	}
	if len(words) > 1 {
		return config.Usagef("approve takes one fingerprint, got also %q", words[1])
	}
	client, err := dial(*dir)
	if err != nil {
		return err
	}
	defer client.Close()
	key, err := signingKey(*dir)
	if err != nil {
		return err
	}
	id, err := identity.Load(*dir)
	if err != nil {
		return err
	}
	r, signed, err := client.Record(ctx)
	if err != nil {
		return explain(err, id.Address)
	}
	hash := r.Hash()
	print := keyshare.Fingerprint(hash)
	show(stdout, r, signed)
	if len(words) == 0 {
		_, err = fmt.Fprintf(stdout, "compare the fingerprint with the other members, over another way than this server, then: client approve -dir %s %s\n", *dir, print)
		return err
	}
	if words[0] != print {
		return config.WithHint(fmt.Errorf("the server's record has fingerprint %s, not %s: not approved", print, words[0]), "ask the other members which record they approve, and the operator what changed")
	}
	p := policy.Default()
	if old, err := policy.Load(filepath.Join(*dir, policyFile)); err == nil {
		p = old
	} else if !errors.Is(err, fs.ErrNotExist) && exists(filepath.Join(*dir, policyFile)) {
		return err
	}
	p.Committee, p.Roster = hex.EncodeToString(hash[:]), string(r.Roster)
	if *private != "" {
		p.Privacy = *private
	}
	if err := p.Validate(); err != nil {
		return &config.UsageError{Err: err}
	}
	if err := writePolicy(*dir, p); err != nil {
		return err
	}
	fmt.Fprintf(stdout, "approved: %s names it\n", filepath.Join(*dir, policyFile))
	fmt.Fprintln(stdout, p.Summary())
	if r.Point(statement.PublicKey(key)) == 0 {
		return nil
	}
	s, err := keyshare.SignRecord(r, key)
	if err != nil {
		return err
	}
	if err := client.Approve(ctx, hash, s); err != nil {
		return err
	}
	_, err = fmt.Fprintf(stdout, "signed as a key holder; next: client keyholder -dir %s\n", *dir)
	return err
}

func exists(path string) bool {
	_, err := os.Stat(path)
	return err == nil
}

func show(w io.Writer, r *keyshare.Record, signed int) {
	var names, vouchers []string
	for _, m := range r.Members {
		names = append(names, m.Name)
	}
	for _, v := range r.Vouchers {
		vouchers = append(vouchers, v.Name)
	}
	fmt.Fprintf(w, "committee of %s: %s\n", r.Name, strings.Join(names, ", "))
	fmt.Fprintf(w, "%d of %d must answer to open a sum, %d may be corrupt, %d may be away; %d have signed\n", r.Threshold, len(r.Members), r.Corrupt, r.Absent(), signed)
	fmt.Fprintf(w, "roster %s: %s; encryption %s\n", r.Roster, strings.Join(vouchers, ", "), r.Preset)
	for _, warning := range r.Warnings() {
		fmt.Fprintf(w, "warning: %s\n", warning)
	}
	fmt.Fprintf(w, "fingerprint %s\n", keyshare.Fingerprint(r.Hash()))
}

// hold is the command keyholder.
func hold(ctx context.Context, args []string, stdout, stderr io.Writer) error {
	if len(args) > 0 && args[0] == "approve" {
		return approve(ctx, args[1:], stdout, stderr)
	}
	f := flag.NewFlagSet("keyholder", flag.ContinueOnError)
	f.SetOutput(io.Discard)
	dir := f.String("dir", defaultDir, "")
	level := f.String("log_level", "info", "")
	restored := f.Uint64("restored", 0, "")
	if err := f.Parse(args); err != nil {
		return usageOf(err)
	}
	if f.NArg() > 0 {
		return config.WithHint(config.Usagef("keyholder takes flags only, got %q", f.Arg(0)), "client keyholder, or client keyholder approve FINGERPRINT")
	}
	log, err := logger(stderr, *level)
	if err != nil {
		return &config.UsageError{Err: err}
	}
	ctx = log.WithContext(ctx)
	path := filepath.Join(*dir, policyFile)
	if !exists(path) {
		return config.WithHint(config.Usagef("%s: no committee is approved here", path), "look at it and approve it: client approve -dir "+*dir)
	}
	p, err := policy.Load(path)
	if err != nil {
		return err
	}
	key, err := signingKey(*dir)
	if err != nil {
		return err
	}
	client, err := dial(*dir)
	if err != nil {
		return err
	}
	defer client.Close()
	id, err := identity.Load(*dir)
	if err != nil {
		return err
	}
	signed, err := client.SignedRecord(ctx)
	if err != nil {
		return explain(err, id.Address)
	}
	renew := "look at the record the server has now: client approve -dir " + *dir
	if err := p.CheckRecord(&signed.Record); err != nil {
		return config.WithHint(err, renew)
	}
	preset, err := preset(signed.Record.Preset)
	if err != nil {
		return err
	}
	ring := keyshare.Ring{N: preset.N, Primes: preset.Primes}
	c := keyholder.Config{
		Dir: filepath.Join(*dir, holderDir), Signing: key, Record: signed, Ring: ring, Policy: p, Limits: terms.Limits,
	}
	if *restored > 0 {
		c.Restored = []keyholder.Head{{Run: signed.Record.Name, Round: *restored}}
	}
	h, err := keyholder.Open(c)
	if err != nil {
		return err
	}
	defer h.Close()
	log.Info().Str("name", client.Name()).Int("point", h.Point()).Str("committee", keyshare.Fingerprint(signed.Record.Hash())).Msg("holding keys")
	link := client.Holder(key, ring)
	defer link.Close()
	err = h.Run(ctx, link)
	switch {
	case err == nil:
		log.Info().Msg("the run is finished")
	case errors.Is(err, context.Canceled):
		log.Info().Msg("stopped; start again to continue")
		return nil
	case errors.Is(err, keyholder.ErrRefused):
		return config.WithHint(err, "if the committee changed: "+renew)
	}
	return explain(err, id.Address)
}

// preset finds encryption parameters by name. Only those of this program are known.
func preset(name string) (kahe.Preset, error) {
	for _, p := range kahe.Presets() {
		if p.Name == name {
			return p, nil
		}
	}
	return kahe.Preset{}, fmt.Errorf("the committee record is for encryption %q, which this version does not know: use matching versions", name)
}

// dial loads this member's identity and prepares its connection.
func dial(dir string) (*rpc.Client, error) {
	c, err := rpc.Dial(dir)
	if errors.Is(err, identity.ErrNotJoined) {
		return nil, config.WithHint(&config.UsageError{Err: fmt.Errorf("%s: %w", dir, err)}, "client join -dir "+dir+" -data FOLDER INVITATION")
	}
	return c, err
}
