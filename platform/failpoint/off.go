//go:build !failpoint

package failpoint

func kill(string) {}
