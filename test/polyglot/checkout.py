"""A till in Python: places one storefront order by an event of its own, past the
API of the orders service, and prints the id of the flow that it begins.

    python3 checkout.py BROKERS SCHEMAS ORDER CARD
"""

import sys
from datetime import datetime, timezone

from confluent_kafka import Producer

import wire


def main(brokers, folder, order, card):
    schemas = wire.Schemas(folder)
    placed = {
        "orderId": order,
        "customer": "Ada",
        "email": "ada@example.com",
        "card": card,
        "items": [{"sku": "mug", "quantity": 2, "price": 1250}],
        "total": 2500,
        "placedAt": datetime.now(timezone.utc),
    }
    record = schemas.record("orders.OrderPlaced", placed, "checkout-python")
    refused = []
    producer = Producer({"bootstrap.servers": brokers, **wire.PRODUCER})
    producer.produce(**record, on_delivery=lambda error, _: error and refused.append(error))
    if producer.flush(30) > 0 or refused:
        raise SystemExit(f"not delivered: {refused or 'no answer in 30 s'}")
    print(dict(record["headers"])["ce_id"].decode())


if __name__ == "__main__":
    main(*sys.argv[1:])
