package store

import (
	"context"
	"crypto/sha256"
	"encoding/hex"
	"errors"
	"fmt"
	"io/fs"
	"regexp"
	"strconv"
	"strings"
	"text/template"

	"github.com/ClickHouse/clickhouse-go/v2/lib/driver"
)

// Compatibility is the number of this consumer's way of writing rows. A migration names the lowest one that may still
// write after it; columns are dropped one release later.
const Compatibility = 1

// Errors of Migrate and CheckSchema.
var (
	ErrSchemaNewer   = errors.New("the database is newer than this consumer")
	ErrSchemaOlder   = errors.New("the database is older than this consumer: run `consumer migrate`")
	ErrSchemaChanged = errors.New("an applied migration has another text than this consumer's")
)

// Schema says where and how tables are made.
type Schema struct {
	Database string
	// Cluster has the shards; empty = a single node.
	Cluster string
	// Unreplicated says that each shard is one node, without Keeper: tables are plain, and Migrate is called for each shard.
	Unreplicated bool
	// Files holds NNNN_noun.sql.
	Files fs.FS
}

// Migration is one file, rendered.
type Migration struct {
	Version        int
	Name           string
	OldestConsumer int
	// Checksum is of the file, not of the rendered text: it is the same on every kind of cluster.
	Checksum   string
	Statements []string
}

var (
	fileName       = regexp.MustCompile(`^(\d{4})_[a-z_]+\.sql$`)
	oldestConsumer = regexp.MustCompile(`(?m)^-- oldest consumer: (\d+)$`)
	comment        = regexp.MustCompile(`(?m)--.*$`)
)

// Migrations reads and renders all files, in the order of their versions.
func (s Schema) Migrations() ([]Migration, error) {
	entries, err := fs.ReadDir(s.Files, ".")
	if err != nil {
		return nil, fmt.Errorf("read migrations: %w", err)
	}
	var all []Migration
	blocks := template.New("")
	for i, entry := range entries {
		name := fileName.FindStringSubmatch(entry.Name())
		if name == nil {
			return nil, fmt.Errorf("migration %s: the name must look like 0001_noun.sql", entry.Name())
		}
		version, _ := strconv.Atoi(name[1])
		if version != i+1 {
			return nil, fmt.Errorf("migration %s: version %04d is missing", entry.Name(), i+1)
		}
		m, err := s.render(blocks, entry.Name(), version)
		if err != nil {
			return nil, fmt.Errorf("migration %s: %w", entry.Name(), err)
		}
		all = append(all, m)
	}
	return all, nil
}

// render executes one file. blocks has what the files before it defined, and gets what this one defines.
func (s Schema) render(blocks *template.Template, name string, version int) (Migration, error) {
	text, err := fs.ReadFile(s.Files, name)
	if err != nil {
		return Migration{}, err
	}
	oldest := oldestConsumer.FindSubmatch(text)
	if oldest == nil {
		return Migration{}, errors.New("the line `-- oldest consumer: N` is missing")
	}
	m := Migration{Version: version, Name: name}
	m.OldestConsumer, _ = strconv.Atoi(string(oldest[1]))
	sum := sha256.Sum256(text)
	m.Checksum = hex.EncodeToString(sum[:])
	tmpl, err := blocks.New(name).Parse(string(text))
	if err != nil {
		return Migration{}, err
	}
	var out strings.Builder
	if err := tmpl.Execute(&out, s); err != nil {
		return Migration{}, err
	}
	// A statement ends with a semicolon at the end of a line; comments, which may hold one, go first.
	for statement := range strings.SplitSeq(comment.ReplaceAllString(out.String(), ""), ";\n") {
		if statement = strings.TrimSuffix(strings.TrimSpace(statement), ";"); statement != "" {
			m.Statements = append(m.Statements, s.onShards(statement)...)
		}
	}
	return m, nil
}

// Applied is one migration that the database has.
type Applied struct {
	Version        int32  `ch:"version"`
	Name           string `ch:"name"`
	OldestConsumer int32  `ch:"oldest_consumer"`
	Checksum       string `ch:"checksum"`
}

// applied lists what the database has; nothing when the database or the table does not exist.
func (s Schema) applied(ctx context.Context, conn driver.Conn) ([]Applied, error) {
	var exists uint64
	err := conn.QueryRow(ctx, "SELECT count() FROM system.tables WHERE database = ? AND name = 'schema_migrations'", s.Database).Scan(&exists)
	if err != nil || exists == 0 {
		return nil, err
	}
	var rows []Applied
	err = conn.Select(ctx, &rows, "SELECT version, name, oldest_consumer, checksum FROM "+s.Database+".schema_migrations FINAL ORDER BY version")
	return rows, err
}

// Pending returns what is still to be applied. The error wraps ErrSchemaNewer or ErrSchemaChanged when this consumer must
// not touch the database.
func (s Schema) Pending(ctx context.Context, conn driver.Conn) ([]Migration, error) {
	all, err := s.Migrations()
	if err != nil {
		return nil, err
	}
	applied, err := s.applied(ctx, conn)
	if err != nil {
		return nil, fmt.Errorf("read applied migrations: %w", err)
	}
	for _, a := range applied {
		if a.OldestConsumer > Compatibility {
			return nil, fmt.Errorf("%w: migration %s needs a consumer of compatibility %d, this one has %d", ErrSchemaNewer, a.Name, a.OldestConsumer, Compatibility)
		}
		if i := int(a.Version) - 1; i >= 0 && i < len(all) && all[i].Checksum != a.Checksum {
			return nil, fmt.Errorf("%w: %s", ErrSchemaChanged, a.Name)
		}
	}
	return all[min(len(applied), len(all)):], nil
}

// CheckSchema tells whether this consumer may write to the database as it is.
func (s Schema) CheckSchema(ctx context.Context, conn driver.Conn) error {
	pending, err := s.Pending(ctx, conn)
	if err != nil {
		return err
	}
	if len(pending) > 0 {
		return fmt.Errorf("%w (%s and %d more)", ErrSchemaOlder, pending[0].Name, len(pending)-1)
	}
	return nil
}

// Migrate applies what is pending and calls done after each. Statements can be repeated, so two runs at once and a run
// that was cut off do no harm.
func (s Schema) Migrate(ctx context.Context, conn driver.Conn, done func(Migration)) error {
	pending, err := s.Pending(ctx, conn)
	if err != nil {
		return err
	}
	bootstrap := []string{
		"CREATE DATABASE IF NOT EXISTS " + s.Database + " " + s.OnCluster(),
		"CREATE DATABASE IF NOT EXISTS " + s.Facts() + " " + s.OnCluster(),
		"CREATE TABLE IF NOT EXISTS " + s.Database + ".schema_migrations " + s.OnCluster() +
			" (version Int32, name String, oldest_consumer Int32, checksum String, applied_at DateTime64(3, 'UTC')) ENGINE = " +
			s.Engine("ReplacingMergeTree") + " ORDER BY version SETTINGS " + s.Window(),
	}
	for _, statement := range bootstrap {
		if err := conn.Exec(ctx, statement); err != nil {
			return fmt.Errorf("prepare database %s: %w", s.Database, err)
		}
	}
	for _, m := range pending {
		for _, statement := range m.Statements {
			if err := conn.Exec(ctx, statement); err != nil {
				return fmt.Errorf("migration %s: %w", m.Name, err)
			}
		}
		err := conn.Exec(ctx, "INSERT INTO "+s.Database+".schema_migrations (version, name, oldest_consumer, checksum, applied_at) VALUES (?, ?, ?, ?, now64(3))",
			m.Version, m.Name, m.OldestConsumer, m.Checksum)
		if err != nil {
			return fmt.Errorf("record migration %s: %w", m.Name, err)
		}
		done(m)
	}
	return nil
}
