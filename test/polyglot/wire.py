"""What a program in Python needs to take part: the schemas folder, and how an
event is written to a record. Nothing here is of Troupe's own code."""

import hashlib
import io
import json
import secrets
import struct
import time
from datetime import datetime, timezone
from pathlib import Path

import fastavro


class Schemas:
    """The schemas folder: <domain>/<Event>/v<N>.avsc, with the ids of all
    versions in <domain>/schemas.lock."""

    def __init__(self, folder):
        self._by_id, self._newest = {}, {}
        for lock in sorted(Path(folder).glob("*/schemas.lock")):
            for line in lock.read_text().splitlines():
                if line and not line.startswith("#"):
                    number, name, version, _ = line.split()
                    self._add(lock.parent, int(number), name, int(version))

    def _add(self, domain, number, name, version):
        event = name.split(".")[1]
        declared = json.loads((domain / event / f"v{version}.avsc").read_text())
        key = next(f["name"] for f in declared["fields"] if f.get("key"))
        schema = {"id": number, "name": name, "version": version, "key": key, "avro": fastavro.parse_schema(declared)}
        self._by_id[number] = schema
        if version > self._newest.get(name, {"version": 0})["version"]:
            self._newest[name] = schema

    def decode(self, value):
        """The type and fields of a record's value: 0, the id of its schema in
        4 bytes, Avro binary. It is read as the writer's version."""
        if len(value) < 5 or value[0] != 0:
            raise ValueError(f"no event: it begins with {value[:5].hex()}")
        number = struct.unpack(">I", value[1:5])[0]
        if number not in self._by_id:
            raise ValueError(f"no schema has the id {number}")
        schema = self._by_id[number]
        return schema["name"], fastavro.schemaless_reader(io.BytesIO(value[5:]), schema["avro"])

    def record(self, name, fields, source, cause=None, reaction=None):
        """An event as a record to produce: topic, key, value, headers. cause
        are the headers of the event that led to it; without one, it begins a flow."""
        schema = self._newest[name]
        body = io.BytesIO()
        fastavro.schemaless_writer(body, schema["avro"], fields, strict=True)
        key = fields[schema["key"]]
        headers = {
            "ce_specversion": "1.0",
            "ce_type": name,
            "ce_source": f"/services/{source}",
            "ce_time": datetime.now(timezone.utc).isoformat(timespec="milliseconds").replace("+00:00", "Z"),
            "ce_subject": key,
            "ce_dataschema": f"{name}/v{schema['version']}",
            "content-type": "application/avro",
        }
        if cause is None:
            headers["ce_id"] = headers["ce_correlationid"] = new_id()
            headers["ce_hop"] = "0"
        else:
            headers["ce_id"] = derived_id(cause["ce_id"], source, reaction, name, key, "0", "")
            headers["ce_correlationid"] = cause.get("ce_correlationid", cause["ce_id"])
            headers["ce_causationid"] = cause["ce_id"]
            headers["ce_reaction"], headers["ce_emit"] = reaction, "1/1"
            headers["ce_hop"] = str(int(cause.get("ce_hop", "0")) + 1)
            if "traceparent" in cause:
                headers["traceparent"] = cause["traceparent"]
        return {
            "topic": name.split(".")[0],
            "key": key.encode(),
            "value": struct.pack(">bI", 0, schema["id"]) + body.getvalue(),
            "headers": [(k, v.encode()) for k, v in headers.items()],
        }


def headers_of(message):
    """The headers of a message, as text."""
    return {k: v.decode() for k, v in message.headers() or []}


def new_id():
    """A UUIDv7: the id of an event that nothing led to."""
    number = (time.time_ns() // 1_000_000) << 80 | secrets.randbits(80)
    return _uuid(number.to_bytes(16, "big"), 7)


def derived_id(*parts):
    """The id of an event that another one led to. It follows from what led to
    it, so that whoever hears the event again drops it."""
    digest = hashlib.sha256()
    for part in parts:
        digest.update(_varint(len(part.encode())) + part.encode())
    return _uuid(digest.digest()[:16], 8)


def _varint(n):
    out = bytearray()
    while n >= 0x80:
        out.append(n & 0x7F | 0x80)
        n >>= 7
    out.append(n)
    return bytes(out)


def _uuid(value, version):
    b = bytearray(value)
    b[6] = b[6] & 0x0F | version << 4
    b[8] = b[8] & 0x3F | 0x80
    h = b.hex()
    return f"{h[:8]}-{h[8:12]}-{h[12:16]}-{h[16:20]}-{h[20:]}"


# What librdkafka is told beside the broker's address. The partitioner is that of
# the Java client, so that all producers agree on where a key's events lie. The
# embedded broker reads nothing that librdkafka has compressed.
PRODUCER = {"partitioner": "murmur2_random", "enable.idempotence": True, "acks": "all", "compression.type": "none"}
