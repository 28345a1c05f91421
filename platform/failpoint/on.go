//go:build failpoint

package failpoint

import (
	"fmt"
	"os"
	"strconv"
	"strings"
	"sync/atomic"
	"syscall"
)

var (
	at, nth = parse(os.Getenv(Variable))
	reached atomic.Int64
)

func parse(text string) (step string, nth int64) {
	step, count, counted := strings.Cut(text, ":")
	if !counted {
		return step, 1
	}
	nth, err := strconv.ParseInt(count, 10, 64)
	if err != nil {
		fmt.Fprintf(os.Stderr, "%s: %q is not of the form step:n\n", Variable, text)
		os.Exit(1)
	}
	return step, nth
}

func kill(step string) {
	if step == at && reached.Add(1) == nth {
		_ = syscall.Kill(os.Getpid(), syscall.SIGKILL)
		select {} // the signal ends every thread
	}
}
