// Package test holds what is checked of the tree as a whole: which package may
// import which, and what every file owes its reader. The end-to-end scenarios
// are in e2e, the tools that they and the programs share in rig, a long run
// under faults in soak, and one order through `make up` in smoke.
package test
