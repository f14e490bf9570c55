package exports

import (
	"bytes"
	"context"
	"errors"
	"slices"
	"time"

	"github.com/google/uuid"

	"github.com/onepx/onepx/services/consumer/internal/imports"
	"github.com/onepx/onepx/services/consumer/internal/store"
	"github.com/onepx/onepx/services/shared/jobs"
	"github.com/onepx/onepx/services/shared/suppression"
)

// write makes the files.
func (e *export) write(ctx context.Context) error {
	if err := e.awaitWishes(ctx); err != nil {
		return err
	}
	root, err := e.openDir()
	if err != nil {
		return err
	}
	defer func() { _ = root.Close() }()
	extension := "csv"
	if !e.state.Shared() {
		extension = e.state.Format
	}
	out, err := createFiles(root, e.state.Folder(), extension)
	if err != nil {
		return failure{err}
	}
	s := &e.state
	e.wished = nil
	s.Members, s.Added, s.Removed, s.WithoutContact, s.Unusable, s.Lines = 0, 0, 0, 0, 0, make([]uint64, fileCount)
	if s.Shared() {
		err = e.writeCustomers(ctx, out)
	} else {
		err = e.writeMembers(ctx, out)
	}
	if err == nil {
		// Else they would seem to have gone when the next export compares.
		err = e.Store.Exclude(ctx, s, e.wished)
	}
	if err != nil {
		return errors.Join(err, out.discard())
	}
	if s.Bytes, err = out.publish(); err != nil {
		return failure{err}
	}
	s.Files = nil
	for _, name := range fileNames {
		s.Files = append(s.Files, name+"."+extension)
	}
	return nil
}

// awaitWishes waits until the suppression list is known.
func (e *export) awaitWishes(ctx context.Context) error {
	tick := time.NewTicker(look)
	defer tick.Stop()
	for !e.Wishes.Ready() {
		select {
		case <-ctx.Done():
			return context.Cause(ctx)
		case <-tick.C:
		}
	}
	return nil
}

// listed tells whether somebody is in the list now: whoever is noted, but for those who wish not to be.
func (e *export) listed(n *store.Noted) bool {
	if !n.Now {
		return false
	}
	if e.Wishes.InAudiences(n.Visitor[:]) && !e.Wishes.Wished(suppression.User, n.User[:]) {
		return true
	}
	e.wished = append(e.wished, n.Visitor)
	return false
}

// places are the files that somebody stands in who is in the list now, and was before.
func places(now, before bool) []int {
	switch {
	case now && before:
		return []int{members}
	case now:
		return []int{members, added}
	case before:
		return []int{removed}
	}
	return nil
}

// writeMembers writes the files for the site itself.
func (e *export) writeMembers(ctx context.Context, out *files) error {
	var writers [fileCount]memberWriter
	for i := range writers {
		writers[i] = newMemberWriter(jobs.Format(e.state.Format), out.out[i])
	}
	s := &e.state
	err := e.Store.Noted(ctx, s, func(n *store.Noted) error {
		member := Member{n.Visitor, n.Products, n.QualifiedAt, n.EndsAt}
		for _, i := range places(e.listed(n), n.Before) {
			if err := writers[i].write(&member); err != nil {
				return failf("write %s: %w", fileNames[i], err)
			}
			s.Lines[i]++
		}
		return nil
	})
	if err != nil {
		return err
	}
	s.Members, s.Added, s.Removed = s.Lines[members], s.Lines[added], s.Lines[removed]
	for i, w := range writers {
		if err := w.close(); err != nil {
			return failf("write %s: %w", fileNames[i], err)
		}
	}
	return nil
}

// customer is somebody of whom members are devices.
type customer struct {
	key uuid.UUID
	// visitors is how many members they are.
	visitors uint32
	// now and before tell whether they are in the list, and were in the previous one; found, that they stand in a file.
	now, before, found bool
}

// customers returns who is in the list or was in the previous one, in the order of their keys, and counts members.
func (e *export) customers(ctx context.Context) ([]customer, error) {
	most, err := e.Store.CountNoted(ctx, &e.state)
	if err != nil {
		return nil, err
	}
	all := make([]customer, 0, most)
	err = e.Store.Noted(ctx, &e.state, func(n *store.Noted) error {
		now := e.listed(n)
		if now {
			e.state.Members++
		}
		switch {
		case n.User != uuid.Nil:
			c := customer{key: n.User, now: now, before: n.Before}
			if now {
				c.visitors = 1
			}
			all = append(all, c)
		case now:
			e.state.WithoutContact++
		}
		return nil
	})
	if err != nil {
		return nil, err
	}
	slices.SortFunc(all, func(a, b customer) int { return bytes.Compare(a.key[:], b.key[:]) })
	distinct := all[:0]
	for _, c := range all {
		if last := len(distinct) - 1; last >= 0 && distinct[last].key == c.key {
			d := &distinct[last]
			d.visitors, d.now, d.before = d.visitors+c.visitors, d.now || c.now, d.before || c.before
			continue
		}
		distinct = append(distinct, c)
	}
	return distinct, nil
}

// writeCustomers writes a platform's lists: a line for each contact of each customer, in the order of the site's file.
func (e *export) writeCustomers(ctx context.Context, out *files) error {
	all, err := e.customers(ctx)
	if err != nil {
		return err
	}
	contacts, err := e.openContacts()
	if err != nil {
		return err
	}
	defer func() { _ = contacts.Close() }()
	sheet := platforms[jobs.Format(e.state.Format)]
	var writers [fileCount]*sheetWriter
	for i := range writers {
		writers[i] = newSheetWriter(sheet, out.out[i])
	}
	var line cells
	err = imports.ReadContacts(contacts, func(c *imports.Contact) error {
		found := e.find(all, c)
		if err := ctx.Err(); err != nil || found == nil || len(places(found.now, found.before)) == 0 {
			return err
		}
		line.values = line.values[:0]
		if !sheet.line(&line, c) {
			return nil
		}
		found.found = true
		for _, i := range places(found.now, found.before) {
			if err := writers[i].write(line.values); err != nil {
				return failf("write %s: %w", fileNames[i], err)
			}
			e.state.Lines[i]++
		}
		return nil
	})
	if err != nil {
		if cause := (failure{}); ctx.Err() != nil || errors.As(err, &cause) {
			return err
		}
		return failf("contacts %s/%s.csv: %w", e.state.Site, e.state.Contacts, err)
	}
	for i, w := range writers {
		if err := w.close(); err != nil {
			return failf("write %s: %w", fileNames[i], err)
		}
	}
	e.state.Unusable = line.unusable
	e.count(all)
	return nil
}

// find returns the customer of a contact: by the id, else by the address; nil for nobody of the list.
func (e *export) find(all []customer, c *imports.Contact) *customer {
	for _, text := range []string{c.CustomerID, c.Email} {
		key := e.Key(e.state.Site, text)
		if key == nil {
			continue
		}
		i, known := slices.BinarySearchFunc(all, key, func(c customer, key []byte) int { return bytes.Compare(c.key[:], key) })
		if known {
			return &all[i]
		}
	}
	return nil
}

// count counts who stands in the files, and which members don't.
func (e *export) count(all []customer) {
	for _, c := range all {
		switch {
		case !c.found:
			e.state.WithoutContact += uint64(c.visitors)
		case c.now && !c.before:
			e.state.Added++
		case c.before && !c.now:
			e.state.Removed++
		}
	}
}
