//go:build integration

package secure_test

import (
	"context"
	"fmt"
	"os"
	"path/filepath"
	"regexp"
	"strings"
	"testing"

	"github.com/stretchr/testify/require"
	"github.com/twmb/franz-go/pkg/kadm"
	"github.com/twmb/franz-go/pkg/kgo"

	"github.com/onepx/onepx/tools/internal/pipeline"
)

// document returns docs/security.md, which has the rights.
func document(t *testing.T) string {
	t.Helper()
	root, err := pipeline.Root()
	require.NoError(t, err)
	text, err := os.ReadFile(filepath.Join(root, "docs", "security.md"))
	require.NoError(t, err)
	return string(text)
}

var grantStatement = regexp.MustCompile(`(?m)^(GRANT .+) TO (\w+);$`)

// grants are the GRANT statements of the document by user, without the user.
func grants(t *testing.T, document string) map[string][]string {
	t.Helper()
	found := map[string][]string{}
	for _, m := range grantStatement.FindAllStringSubmatch(document, -1) {
		found[m[2]] = append(found[m[2]], m[1])
	}
	require.Len(t, found, 4, "consumer, jobs, console and setup")
	return found
}

// allow does what the kafka-acls commands of the document do.
func allow(ctx context.Context, document, broker string) error {
	client, err := kgo.NewClient(kgo.SeedBrokers(broker))
	if err != nil {
		return err
	}
	defer client.Close()
	for line := range strings.Lines(document) {
		words := strings.Fields(line)
		if len(words) == 0 || words[0] != "kafka-acls" {
			continue
		}
		acl, err := parseACL(words[1:])
		if err != nil {
			return fmt.Errorf("%s: %w", line, err)
		}
		made, err := kadm.NewClient(client).CreateACLs(ctx, acl)
		if err != nil {
			return fmt.Errorf("%s: %w", line, err)
		}
		for _, m := range made {
			if m.Err != nil {
				return fmt.Errorf("%s: %w %s", line, m.Err, m.ErrMessage)
			}
		}
	}
	return nil
}

// parseACL reads the arguments of kafka-acls.
func parseACL(words []string) (*kadm.ACLBuilder, error) {
	acl, pattern := kadm.NewACLs(), kadm.ACLPatternLiteral
	var topics, groups []string
	var operations []kadm.ACLOperation
	for i := 0; i < len(words); i++ {
		option := words[i]
		if option == "$ADMIN" || option == "--add" {
			continue
		}
		i++
		if i == len(words) {
			return nil, fmt.Errorf("%s has no value", option)
		}
		value := words[i]
		var err error
		switch option {
		case "--allow-principal":
			acl = acl.Allow(value)
		case "--operation":
			var o kadm.ACLOperation
			o, err = operation(value)
			operations = append(operations, o)
		case "--topic":
			topics = append(topics, value)
		case "--group":
			groups = append(groups, value)
		case "--resource-pattern-type":
			pattern = kadm.ACLPatternPrefixed
		default:
			err = fmt.Errorf("option %s is not known", option)
		}
		if err != nil {
			return nil, err
		}
	}
	acl = acl.ResourcePatternType(pattern).Operations(operations...)
	if len(topics) > 0 {
		acl = acl.Topics(topics...)
	}
	if len(groups) > 0 {
		acl = acl.Groups(groups...)
	}
	return acl, acl.ValidateCreate()
}

func operation(name string) (kadm.ACLOperation, error) {
	for _, o := range []kadm.ACLOperation{kadm.OpRead, kadm.OpWrite, kadm.OpCreate, kadm.OpDescribe, kadm.OpDescribeConfigs} {
		if strings.EqualFold(strings.ReplaceAll(o.String(), "_", ""), name) {
			return o, nil
		}
	}
	return 0, fmt.Errorf("operation %s is not known", name)
}
