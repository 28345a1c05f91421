package cli

import (
	"os"
	"syscall"
)

// lock takes f for this process, until it is closed; false: another has it.
// The system releases it however the process ends.
func lock(f *os.File) (bool, error) {
	switch err := syscall.Flock(int(f.Fd()), syscall.LOCK_EX|syscall.LOCK_NB); err {
	case nil:
		return true, nil
	case syscall.EWOULDBLOCK:
		return false, nil
	default:
		return false, err
	}
}
