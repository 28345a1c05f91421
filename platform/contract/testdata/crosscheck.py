"""Reads with fastavro what Troupe wrote, and writes it again.

On standard input: {"cases": [{"schema": {...}, "body": "<hex>"}]}. On standard
output, for each case: what fastavro read, as the plain JSON that Troupe shows,
and the bytes that fastavro wrote of it.
"""

import base64
import datetime
import io
import json
import math
import sys

import fastavro
from fastavro.schema import parse_schema


def fraction(text):
    """Drops the zeros at the end of a fraction, as Go does."""
    return text.rstrip("0").rstrip(".") if "." in text else text


def nanos(value, zone):
    seconds, rest = divmod(value, 10**9)
    moment = datetime.datetime(1970, 1, 1) + datetime.timedelta(seconds=seconds)
    return fraction(f"{moment.isoformat()}.{rest:09d}") + zone


def branch(schema, value):
    """The branch of a union with null that a value is of."""
    for candidate in schema:
        if (value is None) == (candidate == "null"):
            return candidate
    raise ValueError(f"no branch of {schema} for {value!r}")


def plain(schema, value, named):
    if isinstance(schema, list):
        schema = branch(schema, value)
    if isinstance(schema, str):
        schema = named.get(schema, {"type": schema})
    kind, logical = schema["type"], schema.get("logicalType", "")
    if "name" in schema:
        named[schema["name"]] = schema
    if logical.endswith("timestamp-nanos"):
        return nanos(value, "" if logical.startswith("local") else "Z")
    if logical.startswith("timestamp"):
        return fraction(value.astimezone(datetime.timezone.utc).replace(tzinfo=None).isoformat()) + "Z"
    if logical.startswith("local-timestamp") or logical.startswith("time-"):
        return fraction(value.isoformat())
    if logical == "date":
        return value.isoformat()
    if logical == "decimal":
        return f"{value:f}"
    if logical == "uuid":
        return str(value)
    if kind in ("bytes", "fixed"):
        return base64.b64encode(value).decode()
    if kind == "record":
        return {f["name"]: plain(f["type"], value[f["name"]], named) for f in schema["fields"]}
    if kind == "array":
        return [plain(schema["items"], item, named) for item in value]
    if kind == "map":
        return {key: plain(schema["values"], item, named) for key, item in value.items()}
    if kind in ("float", "double"):
        if math.isnan(value):
            return "NaN"
        if math.isinf(value):
            return "Infinity" if value > 0 else "-Infinity"
    return value


def names(schema, found):
    """Collects the named types, which fastavro wrote out in full names."""
    if isinstance(schema, list):
        for s in schema:
            names(s, found)
    elif isinstance(schema, dict):
        if "name" in schema and schema.get("type") in ("record", "enum", "fixed"):
            found[schema["name"]] = schema
        for f in schema.get("fields", []):
            names(f["type"], found)
        for part in ("items", "values", "type"):
            if isinstance(schema.get(part), (dict, list)):
                names(schema[part], found)
    return found


def main():
    answers = []
    for case in json.load(sys.stdin)["cases"]:
        schema = parse_schema(case["schema"])
        source = io.BytesIO(bytes.fromhex(case["body"]))
        value = fastavro.schemaless_reader(source, schema)
        if source.read():
            raise ValueError("bytes are left over")
        written = io.BytesIO()
        fastavro.schemaless_writer(written, schema, value)
        answers.append({"plain": plain(schema, value, names(schema, {})), "written": written.getvalue().hex()})
    json.dump(answers, sys.stdout)


main()
