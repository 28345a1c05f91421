// Package e2e holds the end-to-end scenarios: real processes of the built
// command on a real broker, given orders over HTTP and looked at through topics
// and mail alone. They run on Apache Kafka in a container where a Docker daemon
// answers, and on the embedded broker where none does; TROUPE_TEST_BROKER
// forces one of the two.
//
// Nothing here knows the services' code. Start reading at TestEveryKindOfFlow.
package e2e
