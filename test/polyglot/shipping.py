"""Plays the part of Troupe's shipping service, as a subscriber in Python with a
consumer group of its own: hears what is reserved, or held and paid, and says
that a parcel is on its way.

    python3 shipping.py BROKERS SCHEMAS

It ends on SIGTERM. An event's offset is committed once what it led to is
acknowledged, so after a crash an event is handled again, and emits the same ids.
"""

import signal
import sys
from datetime import datetime, timedelta, timezone

from confluent_kafka import Consumer, KafkaError, KafkaException, Producer

import wire

NAME = "shipping-python"


def parcel(name, fields):
    """The parcel for an event; None where it asks for none."""
    if name == "inventory.InventoryReserved":
        order, total = fields["orderId"], fields["total"]
    elif name == "payments.PaymentProcessed" and fields["purpose"] == "wholesale":
        order, total = fields["reference"], fields["amount"]
    else:
        return None
    return {
        "orderId": order,
        "customer": fields["customer"],
        "email": fields["email"],
        "total": total,
        "carrier": "Python Post",
        "trackingNumber": "PY" + order.replace("-", "").upper(),
    }


def handle(schemas, producer, message):
    try:
        name, fields = schemas.decode(message.value() or b"")
    except ValueError as e:
        print("passed over:", e, file=sys.stderr, flush=True)
        return
    arranged = parcel(name, fields)
    if arranged is None:
        return
    heard = wire.headers_of(message)
    day = datetime.fromisoformat(heard["ce_time"].replace("Z", "+00:00")) + timedelta(days=3)
    arranged["arrivesOn"] = day.astimezone(timezone.utc).date()
    reaction = name.split(".")[1]
    producer.produce(**schemas.record("shipping.ShippingArranged", arranged, NAME, heard, reaction))


def main(brokers, folder):
    schemas = wire.Schemas(folder)
    producer = Producer({"bootstrap.servers": brokers, **wire.PRODUCER})
    consumer = Consumer({
        "bootstrap.servers": brokers,
        "group.id": NAME,
        "auto.offset.reset": "earliest",
        "enable.auto.commit": False,
        "isolation.level": "read_committed",
        "session.timeout.ms": 6000,  # how long a subscriber that was killed keeps its partitions
        "topic.metadata.refresh.interval.ms": 1000,
    })
    running = True

    def stop(*_):
        nonlocal running
        running = False

    signal.signal(signal.SIGTERM, stop)
    consumer.subscribe(["inventory", "payments"], on_assign=lambda _, p: print("assigned", len(p), flush=True))
    try:
        while running:
            message = consumer.poll(0.2)
            if message is None:
                continue
            if message.error():
                if message.error().code() == KafkaError.UNKNOWN_TOPIC_OR_PART:
                    continue  # nobody has emitted to it yet
                raise KafkaException(message.error())
            handle(schemas, producer, message)
            if producer.flush(30) > 0:
                raise SystemExit("the broker did not acknowledge in 30 s")
            consumer.commit(message, asynchronous=False)
    finally:
        consumer.close()


if __name__ == "__main__":
    main(*sys.argv[1:])
