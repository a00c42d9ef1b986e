#!/usr/bin/env python3
"""Makes schemas.tsv.gz and resources.json from the OpenAPI and discovery documents of Kubernetes.

Usage: regenerate.py [VERSION]     (default v1.36.1; needs Go, whose module proxy serves the sources)

schemas.tsv.gz   one line per schema, sorted: NAME <tab> JSON as in components.schemas of OpenAPI v3
resources.json   one line per served resource: group, version, names, verbs, subresources
"""
import gzip
import json
import pathlib
import subprocess
import sys

HERE = pathlib.Path(__file__).parent
GROUPS = {
    "": ["v1"],
    "apps": ["v1"],
    "batch": ["v1"],
    "autoscaling": ["v2", "v1"],
    "policy": ["v1"],
    "networking.k8s.io": ["v1"],
    "rbac.authorization.k8s.io": ["v1"],
    "storage.k8s.io": ["v1"],
    "apiextensions.k8s.io": ["v1"],
    "coordination.k8s.io": ["v1"],
    "discovery.k8s.io": ["v1"],
    "events.k8s.io": ["v1"],
    "authorization.k8s.io": ["v1"],
    "authentication.k8s.io": ["v1"],
    "scheduling.k8s.io": ["v1"],
    "admissionregistration.k8s.io": ["v1"],
    "apiregistration.k8s.io": ["v1"],
    "node.k8s.io": ["v1"],
}
# needs a stream upgrade or a second server, which the sandbox does not have
LEFT_OUT = {"attach", "exec", "portforward", "proxy", "bindings", "componentstatuses"}
REF = "#/components/schemas/"
META = "io.k8s.apimachinery.pkg.apis.meta.v1."


def metrics_schemas():
    """metrics.k8s.io is served by metrics-server, so Kubernetes' own documents do not have it."""
    def ref(name):
        return {"allOf": [{"$ref": REF + name}], "default": {}}
    prefix = "io.k8s.metrics.pkg.apis.metrics.v1beta1."
    usage = {"type": "object", "description": "The memory usage is the memory working set.",
             "additionalProperties": {"$ref": REF + "io.k8s.apimachinery.pkg.api.resource.Quantity"}}
    base = {"apiVersion": {"type": "string"}, "kind": {"type": "string"}, "metadata": ref(META + "ObjectMeta"),
            "timestamp": ref(META + "Time"), "window": {"type": "string"}}
    def top(kind, more):
        return {"type": "object", "properties": {**base, **more}, "x-kubernetes-group-version-kind": [
            {"group": "metrics.k8s.io", "kind": kind, "version": "v1beta1"}]}
    return {
        prefix + "ContainerMetrics": {"type": "object", "properties": {"name": {"type": "string"}, "usage": usage}},
        prefix + "NodeMetrics": top("NodeMetrics", {"usage": usage}),
        prefix + "PodMetrics": top("PodMetrics", {"containers": {
            "type": "array", "items": ref(prefix + "ContainerMetrics"), "x-kubernetes-list-type": "atomic"}}),
    }


METRICS = [
    {"group": "metrics.k8s.io", "version": "v1beta1", "resource": "nodes", "singular": "", "kind": "NodeMetrics",
     "namespaced": False, "verbs": ["get", "list"]},
    {"group": "metrics.k8s.io", "version": "v1beta1", "resource": "pods", "singular": "", "kind": "PodMetrics",
     "namespaced": True, "verbs": ["get", "list"]},
]


def subresource(name, kind, verbs):
    made = {"name": name, "kind": kind.get("kind", ""), "verbs": verbs}
    for key in ("group", "version"):
        if kind.get(key):
            made[key] = kind[key]
    return made


def core(listing):
    found = {}
    for r in listing["resources"]:
        name, _, sub = r["name"].partition("/")
        if name in LEFT_OUT or sub.split("/")[0] in LEFT_OUT:
            continue
        if sub:
            kind = {k: r[k] for k in ("group", "version", "kind") if k in r}
            found[name].setdefault("subresources", []).append(subresource(sub, kind, r["verbs"]))
            continue
        found[name] = made = {"group": "", "version": "v1", "resource": name, "singular": r["singularName"],
                              "kind": r["kind"], "namespaced": r["namespaced"], "verbs": r["verbs"]}
        for key in ("shortNames", "categories"):
            if r.get(key):
                made[key] = r[key]
    return list(found.values())


def grouped(item, version):
    for r in version["resources"]:
        if r["resource"] in LEFT_OUT:
            continue
        made = {"group": item["metadata"]["name"], "version": version["version"], "resource": r["resource"],
                "singular": r["singularResource"], "kind": r["responseKind"]["kind"],
                "namespaced": r["scope"] == "Namespaced", "verbs": r["verbs"]}
        for key in ("shortNames", "categories"):
            if r.get(key):
                made[key] = r[key]
        for s in r.get("subresources", []):
            made.setdefault("subresources", []).append(
                subresource(s["subresource"], s["responseKind"], s["verbs"]))
        yield made


def main():
    version = sys.argv[1] if len(sys.argv) > 1 else "v1.36.1"
    module = json.loads(subprocess.check_output(
        ["go", "mod", "download", "-json", f"k8s.io/kubernetes@{version}"]))
    api = pathlib.Path(module["Dir"]) / "api"

    schemas = metrics_schemas()
    for group, versions in GROUPS.items():
        for v in versions:
            file = f"apis__{group}__{v}_openapi.json" if group else f"api__{v}_openapi.json"
            document = json.loads((api / "openapi-spec" / "v3" / file).read_text())
            for name, schema in document["components"]["schemas"].items():
                schemas.setdefault(name, schema)
    for name in ("DeleteOptions", "WatchEvent"):  # they list every group as theirs
        schemas[META + name].pop("x-kubernetes-group-version-kind", None)
    text = "".join(f"{name}\t{json.dumps(schema, separators=(',', ':'), sort_keys=True)}\n"
                   for name, schema in sorted(schemas.items()))
    (HERE / "schemas.tsv.gz").write_bytes(gzip.compress(text.encode(), 9, mtime=0))

    resources = core(json.loads((api / "discovery" / "api__v1.json").read_text()))
    for item in json.loads((api / "discovery" / "aggregated_v2.json").read_text())["items"]:
        for v in item["versions"]:
            if v["version"] in GROUPS.get(item["metadata"]["name"], []):
                resources.extend(grouped(item, v))
    resources.extend(METRICS)
    lines = ",\n".join(json.dumps(r, separators=(",", ":")) for r in resources)
    (HERE / "resources.json").write_text(f"[\n{lines}\n]\n")
    (HERE / "SOURCE").write_text(
        f"k8s.io/kubernetes {version} (Go module), api/openapi-spec/v3 and api/discovery,\n"
        "Copyright The Kubernetes Authors, Apache License 2.0. Trimmed by regenerate.py.\n")


if __name__ == "__main__":
    main()
