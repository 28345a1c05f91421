// Package polyglot lets programs in Python take part in Troupe's flows, with
// nothing but the schemas folder: checkout.py places an order, shipping.py takes
// the place of the shipping service. They use confluent-kafka and fastavro; the
// wire format is in wire.py. The test runs them beside the built command.
package polyglot
