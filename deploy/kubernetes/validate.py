"""Holds every object of rendered manifests against its schema. validate.sh runs it."""

import argparse
import pathlib
import sys

import jsonschema
import kubernetes_validate
import yaml


class Loader(yaml.SafeLoader):
    """Takes `=` as the text that it is, which Prometheus' definitions have among their values."""


Loader.add_constructor("tag:yaml.org,2002:value", lambda loader, node: node.value)


def definitions(folder):
    """The schemas of custom resources by (group/version, kind)."""
    found = {}
    for file in sorted(pathlib.Path(folder).glob("*.yaml")):
        for document in yaml.load_all(file.read_text(), Loader):
            if not document or document.get("kind") != "CustomResourceDefinition":
                continue
            spec = document["spec"]
            for version in spec["versions"]:
                schema = version.get("schema", spec.get("validation", {})).get("openAPIV3Schema")
                if schema:
                    found[f"{spec['group']}/{version['name']}", spec["names"]["kind"]] = closed(schema)
    return found


def closed(schema):
    """A field that a definition doesn't name is refused, as the API server prunes it; and `x-kubernetes-int-or-string` is said in JSON
    Schema's own words."""
    if isinstance(schema, list):
        return [closed(part) for part in schema]
    if not isinstance(schema, dict):
        return schema
    if schema.get("x-kubernetes-int-or-string"):
        return {"anyOf": [{"type": "integer"}, {"type": "string"}]}
    said = {}
    for name, part in schema.items():
        if name == "properties":
            said[name] = {field: closed(of) for field, of in part.items()}
        elif name in ("items", "additionalProperties", "anyOf", "oneOf", "allOf", "not"):
            said[name] = closed(part)
        elif name != "format":
            said[name] = part
    free = schema.get("x-kubernetes-preserve-unknown-fields") or schema.get("x-kubernetes-embedded-resource")
    if "properties" in schema and "type" in schema and "additionalProperties" not in schema and not free:
        said["additionalProperties"] = False
    return said


def top(schema):
    """Of an object itself the definitions say next to nothing."""
    properties = dict(schema["properties"], apiVersion={"type": "string"}, kind={"type": "string"}, metadata={"type": "object"})
    return dict(schema, properties=properties)


def main():
    arguments = argparse.ArgumentParser()
    arguments.add_argument("--kubernetes", required=True)
    arguments.add_argument("--definitions", required=True)
    arguments.add_argument("--lenient", action="store_true")
    arguments.add_argument("files", nargs="+")
    arguments = arguments.parse_args()
    known = definitions(arguments.definitions)
    wrong, unknown, checked = [], set(), {}
    for file in arguments.files:
        for given in yaml.load_all(pathlib.Path(file).read_text(), Loader):
            version, kind = given["apiVersion"], given["kind"]
            place = f"{pathlib.Path(file).stem}: {kind} {given['metadata']['name']}"
            if (version, kind) in known:
                errors = jsonschema.Draft7Validator(top(known[version, kind])).iter_errors(given)
                wrong += [f"{place}: {'.'.join(map(str, error.path))}: {error.message[:300]}" for error in errors]
            elif "." in version and not version.split("/")[0].endswith(".k8s.io"):
                unknown.add(f"{version} {kind}")
                continue
            else:
                try:
                    kubernetes_validate.validate(given, arguments.kubernetes, strict=True)
                except kubernetes_validate.ValidationError as error:
                    wrong.append(f"{place}: {'.'.join(map(str, error.path))}: {error.message[:300]}")
            checked[version, kind] = checked.get((version, kind), 0) + 1
    for (version, kind), count in sorted(checked.items()):
        print(f"{count:3} {kind} ({version})")
    for one in sorted(unknown):
        print(f"NOT VALIDATED, its definition can't be had: {one}")
    for one in wrong:
        print(f"WRONG {one}")
    print(f"{sum(checked.values())} objects, {len(wrong)} faults")
    sys.exit(1 if wrong or not checked or (unknown and not arguments.lenient) else 0)


if __name__ == "__main__":
    main()
