# SPDX-License-Identifier: Apache-2.0
"""As much of JSON Schema 2020-12 as the schemas of docs/schema/ use. A keyword that is not known here is an error, never ignored."""
import re

SAYING = {"$schema", "title", "description"}
TYPES = {"object": dict, "array": list, "string": str, "null": type(None)}


def is_type(value, name):
    if name == "boolean":
        return isinstance(value, bool)
    if name == "integer":
        return isinstance(value, int) and not isinstance(value, bool)
    return isinstance(value, TYPES[name])


def same(a, b):
    return type(a) is type(b) and a == b


def check_object(value, schema, where):
    props = schema.get("properties", {})
    for name in schema.get("required", []):
        if name not in value:
            yield f"{where}: lacks {name}"
    for name, item in value.items():
        sub = props.get(name, schema.get("additionalProperties", True))
        if sub is False:
            yield f"{where}: {name} is not in the schema"
        elif sub is not True:
            yield from check(item, sub, f"{where}/{name}")


def check_array(value, schema, where):
    if len(value) < schema.get("minItems", 0) or len(value) > schema.get("maxItems", len(value)):
        yield f"{where}: {len(value)} items"
    if schema.get("uniqueItems") and any(same(a, b) for i, a in enumerate(value) for b in value[:i]):
        yield f"{where}: the same item twice"
    for i, item in enumerate(value):
        yield from check(item, schema.get("items", {}), f"{where}/{i}")


def check(value, schema, where="", _known=frozenset(SAYING | {
        "type", "const", "enum", "anyOf", "properties", "required", "additionalProperties", "items", "minItems", "maxItems",
        "uniqueItems", "minimum", "maximum", "pattern"})):
    """Yields what is wrong with the value, a line each."""
    unknown = set(schema) - _known
    if unknown:
        raise ValueError(f"{where}: the schema has {unknown}")
    types = schema.get("type", [])
    types = [types] if isinstance(types, str) else types
    if types and not any(is_type(value, t) for t in types):
        yield f"{where}: {value!r:.80} is no {' or '.join(types)}"
        return
    if "const" in schema and not same(value, schema["const"]):
        yield f"{where}: {value!r:.80} is not {schema['const']!r}"
    if "enum" in schema and not any(same(value, v) for v in schema["enum"]):
        yield f"{where}: {value!r:.80} is none of {schema['enum']}"
    if "anyOf" in schema:
        tries = [list(check(value, s, where)) for s in schema["anyOf"]]
        if all(tries):
            yield min(tries, key=len)[0] if value is not None else f"{where}: null"
    if isinstance(value, dict):
        yield from check_object(value, schema, where)
    elif isinstance(value, list):
        yield from check_array(value, schema, where)
    elif isinstance(value, str):
        if not re.search(schema.get("pattern", ""), value):
            yield f"{where}: {value!r:.80} does not match {schema['pattern']}"
    elif isinstance(value, int) and not isinstance(value, bool):
        if value < schema.get("minimum", value) or value > schema.get("maximum", value):
            yield f"{where}: {value} is out of bounds"
