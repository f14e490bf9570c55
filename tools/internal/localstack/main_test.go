package localstack_test

import (
	"context"
	"os"
	"testing"

	"go.uber.org/goleak"

	"github.com/onepx/onepx/tools/internal/localstack"
)

func TestMain(m *testing.M) {
	localstack.RunChild()
	runParent()
	goleak.VerifyTestMain(m)
}

// parentLog is set, to a file's name, for the process that TestAChildDiesWithTheProcessThatStartedIt starts and kills.
const parentLog = "ONEPX_TEST_PARENT_LOG"

// runParent makes this process one that starts a child and waits for ever, if it was started as that.
func runParent() {
	log := os.Getenv(parentLog)
	if log == "" {
		return
	}
	p, err := localstack.StartProcess(context.Background(), localstack.ProcessConfig{
		Name: "child", Path: "sh", Args: []string{"-c", "echo $$; exec sleep 600"}, LogFile: log,
	})
	if err != nil {
		panic(err)
	}
	_ = p.Wait()
}
