package deploy_test

import (
	"encoding/json"
	"errors"
	"io"
	"os"
	"os/exec"
	"path"
	"path/filepath"
	"regexp"
	"strconv"
	"strings"
	"testing"

	"github.com/moby/buildkit/frontend/dockerfile/instructions"
	"github.com/moby/buildkit/frontend/dockerfile/linter"
	"github.com/moby/buildkit/frontend/dockerfile/parser"
	"github.com/moby/patternmatcher"
	"github.com/moby/patternmatcher/ignorefile"
	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
)

// programs are the services that have an image. Each is called like its folder below services.
var programs = []string{"collector", "console", "consumer"}

// stages parses a service's Dockerfile as `docker build` does. What BuildKit would warn of fails.
func stages(t *testing.T, program string) []instructions.Stage {
	t.Helper()
	parsed, err := parser.Parse(strings.NewReader(read(t, repository(t), "services", program, "Dockerfile")))
	require.NoError(t, err)
	require.Empty(t, parsed.Warnings)
	lint := linter.New(&linter.Config{Warn: func(rule, description, _, text string, _ []parser.Range) {
		assert.Fail(t, rule, "%s: %s", description, text)
	}})
	found, arguments, err := instructions.Parse(parsed.AST, lint)
	require.NoError(t, err)
	require.Empty(t, arguments)
	require.Len(t, found, 2, "one that builds, one that runs")
	return found
}

// commands are those of one kind in a stage, in order.
func commands[C instructions.Command](stage instructions.Stage) []C {
	var found []C
	for _, command := range stage.Commands {
		if c, ok := command.(C); ok {
			found = append(found, c)
		}
	}
	return found
}

func TestEveryDockerfileIsTested(t *testing.T) {
	found, err := filepath.Glob(filepath.Join(repository(t), "services", "*", "Dockerfile"))
	require.NoError(t, err)
	var names []string
	for _, name := range found {
		names = append(names, filepath.Base(filepath.Dir(name)))
	}
	require.Equal(t, programs, names)
}

func TestTheBuilderHasTheVersionOfGoThatTheModuleWants(t *testing.T) {
	for _, program := range programs {
		want := regexp.MustCompile(`(?m)^go (\d+\.\d+)`).FindStringSubmatch(read(t, repository(t), "services", program, "go.mod"))
		require.NotNil(t, want)
		build := stages(t, program)[0]
		require.Regexp(t, `^golang:`+regexp.QuoteMeta(want[1])+`\.\d+$`, build.BaseName, "one release, for which vulnerabilities are looked up")
		require.Equal(t, "$BUILDPLATFORM", build.Platform)
	}
}

func TestTheImageHoldsTheProgramAloneAndIsNotRoot(t *testing.T) {
	p := project(t)
	for _, program := range programs {
		t.Run(program, func(t *testing.T) {
			final := stages(t, program)[1]
			require.Equal(t, "scratch", final.BaseName)
			require.Empty(t, commands[*instructions.RunCommand](final), "scratch has no shell")

			users := commands[*instructions.UserCommand](final)
			require.Len(t, users, 1)
			require.Equal(t, p.Services[program].User, users[0].User, "as in docker-compose.yml")

			entrypoints := commands[*instructions.EntrypointCommand](final)
			require.Len(t, entrypoints, 1)
			require.False(t, entrypoints[0].PrependShell, "exec form: signals must reach the program")
			require.Equal(t, []string{"/" + program}, []string(entrypoints[0].CmdLine))
			defaults := commands[*instructions.CmdCommand](final)
			require.Len(t, defaults, 1)
			require.False(t, defaults[0].PrependShell)
			require.Equal(t, []string{"run"}, []string(defaults[0].CmdLine))

			var exposed, published []string
			for _, expose := range commands[*instructions.ExposeCommand](final) {
				exposed = append(exposed, expose.Ports...)
			}
			for _, port := range p.Services[program].Ports {
				published = append(published, strconv.FormatUint(uint64(port.Target), 10))
			}
			require.ElementsMatch(t, published, exposed)
		})
	}
}

func TestAVolumeOfTheCollectorBelongsToItsUser(t *testing.T) {
	final := stages(t, "collector")[1]
	spool := *project(t).Services["collector"].Environment["ONEPX_SPOOL_DIR"]
	for _, c := range commands[*instructions.CopyCommand](final) {
		if c.DestPath == spool {
			require.Equal(t, commands[*instructions.UserCommand](final)[0].User, c.Chown)
			return
		}
	}
	require.Fail(t, "the image has no folder "+spool)
}

// buildContext tells what of the repository reaches a build.
type buildContext struct {
	root    string
	ignored *patternmatcher.PatternMatcher
}

func newBuildContext(t *testing.T) buildContext {
	t.Helper()
	root := repository(t)
	patterns, err := ignorefile.ReadAll(strings.NewReader(read(t, root, ".dockerignore")))
	require.NoError(t, err)
	matcher, err := patternmatcher.New(patterns)
	require.NoError(t, err)
	return buildContext{root, matcher}
}

func (b buildContext) has(t *testing.T, name string) bool {
	t.Helper()
	ignored, err := b.ignored.MatchesOrParentMatches(name)
	require.NoError(t, err)
	_, err = os.Stat(filepath.Join(b.root, name))
	return err == nil && !ignored
}

func TestWhatIsNoSourceStaysOutOfTheBuild(t *testing.T) {
	context := newBuildContext(t)
	for _, name := range []string{".git", ".env.example", "README.md", "tools/go.mod", "docs/docker.md", "services/collector/main_test.go", "deploy/compose/sites/onepx.yaml"} {
		require.False(t, context.has(t, name), name)
	}
	require.True(t, context.has(t, "services/collector/main.go"))
	ignored, err := context.ignored.MatchesOrParentMatches(".env")
	require.NoError(t, err)
	require.True(t, ignored, ".env")
}

// copied are what the stage that builds copies out of the context, and the folders it ends up in.
func copied(t *testing.T, program string) map[string]string {
	t.Helper()
	found := make(map[string]string)
	for _, c := range commands[*instructions.CopyCommand](stages(t, program)[0]) {
		require.Empty(t, c.From)
		for _, source := range c.SourcePaths {
			found[path.Clean(source)] = path.Clean(c.DestPath)
		}
	}
	return found
}

func TestEverythingCopiedIsInTheBuildContextAndKeepsItsPlace(t *testing.T) {
	context := newBuildContext(t)
	for _, program := range programs {
		for source, target := range copied(t, program) {
			require.True(t, context.has(t, source), "%s copies %s", program, source)
			info, err := os.Stat(filepath.Join(context.root, source))
			require.NoError(t, err)
			if !info.IsDir() {
				source = path.Dir(source)
			}
			require.Equal(t, source, target, program)
		}
	}
}

// listed is what `go list -json` says of a package.
type listed struct {
	Dir                         string
	GoFiles, EmbedFiles, SFiles []string
	Module                      *struct{ Dir string }
}

func TestEveryFileThatTheCompilerReadsIsCopied(t *testing.T) {
	context := newBuildContext(t)
	for _, program := range programs {
		t.Run(program, func(t *testing.T) {
			sources := copied(t, program)
			checked := 0
			for _, name := range sourcesOf(t, context.root, program) {
				require.True(t, context.has(t, name), "%s is ignored", name)
				require.True(t, below(sources, name), "%s is not copied", name)
				checked++
			}
			require.NotZero(t, checked)
		})
	}
}

// below is true if name is one of the sources or lies in one.
func below(sources map[string]string, name string) bool {
	for ; name != "."; name = path.Dir(name) {
		if _, ok := sources[name]; ok {
			return true
		}
	}
	return false
}

// sourcesOf are the files of the repository that a build of the service reads, relative to its root.
func sourcesOf(t *testing.T, root, program string) []string {
	t.Helper()
	list := exec.CommandContext(t.Context(), "go", "list", "-deps", "-json=Dir,GoFiles,EmbedFiles,SFiles,Module", ".")
	list.Dir = filepath.Join(root, "services", program)
	list.Env = append(os.Environ(), "GOWORK=off", "CGO_ENABLED=0", "GOOS=linux")
	out, err := list.Output()
	require.NoError(t, err)

	var names []string
	modules := make(map[string]bool)
	for decoder := json.NewDecoder(strings.NewReader(string(out))); ; {
		var pkg listed
		err := decoder.Decode(&pkg)
		if errors.Is(err, io.EOF) {
			break
		}
		require.NoError(t, err)
		dir, err := filepath.Rel(root, pkg.Dir)
		require.NoError(t, err)
		if strings.HasPrefix(dir, "..") || pkg.Module == nil {
			continue // the standard library, or a module of others
		}
		for _, files := range [][]string{pkg.GoFiles, pkg.EmbedFiles, pkg.SFiles} {
			for _, file := range files {
				names = append(names, path.Join(filepath.ToSlash(dir), file))
			}
		}
		modules[pkg.Module.Dir] = true
	}
	for dir := range modules {
		module, err := filepath.Rel(root, dir)
		require.NoError(t, err)
		names = append(names, path.Join(filepath.ToSlash(module), "go.mod"), path.Join(filepath.ToSlash(module), "go.sum"))
	}
	return names
}
