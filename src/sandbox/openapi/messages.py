#!/usr/bin/env python3
"""Makes messages.tsv.gz: how the kinds that kubectl sends as protobuf are numbered.

Usage: messages.py [VERSION]     (of k8s.io/api and k8s.io/apimachinery; default v0.36.1; needs Go)

One line per message: NAME <tab> NUMBER:JSONNAME:TYPE ...
TYPE: s text, y bytes, i whole number, b flag, d number, @NAME message, !NAME message whose fields stand among their
parent's; before it [ for a list, { for a map from text, * where zero is a value and not an absence.
"""
import gzip
import json
import pathlib
import re
import subprocess
import sys

HERE = pathlib.Path(__file__).parent
PACKAGES = [
    "core/v1", "apps/v1", "batch/v1", "autoscaling/v1", "autoscaling/v2", "policy/v1", "networking/v1", "rbac/v1",
    "storage/v1", "coordination/v1", "discovery/v1", "events/v1", "authorization/v1", "authentication/v1",
    "scheduling/v1",
]
META = "meta/v1"
SCALARS = {"string": "s", "bool": "b", "int32": "i", "int64": "i", "int": "i", "uint8": "i", "float64": "d"}
# written by hand in the decoder
SPECIAL = {
    "resource.Quantity": "Quantity", "intstr.IntOrString": "IntOrString", "runtime.RawExtension": "Raw",
    META + ".Time": "Time", META + ".MicroTime": "MicroTime", META + ".FieldsV1": "Raw",
    META + ".Duration": "Duration",
}


def folder(module, version):
    return pathlib.Path(json.loads(subprocess.check_output(["go", "mod", "download", "-json", f"{module}@{version}"]))["Dir"])


class Package:
    def __init__(self, name, path):
        self.name, self.structs, self.aliases = name, {}, {}
        text = "\n".join(f.read_text() for f in sorted(path.glob("*types.go")))
        self.imports = {}
        for alias, target in re.findall(r'^\s*(\w+)?\s*"(k8s\.io/[^"]+)"', text, re.M):
            short = "/".join(target.split("/")[-2:])
            self.imports[alias or target.split("/")[-1]] = short if re.match(r".*/v\d", short) else target.split("/")[-1]
        for struct, body in re.findall(r"^type (\w+) struct \{\n(.*?)^\}", text, re.M | re.S):
            self.structs[struct] = re.findall(r'^\t(?:(\w+)\s+)?(\S+)\s+`json:"([^"]*)"(?:[^`]*?)protobuf:"[^,]+,(\d+),', body, re.M)
        for name, target in re.findall(r"^type (\w+) ([^\s{]+)$", text, re.M):
            self.aliases[name] = target


def main():
    version = sys.argv[1] if len(sys.argv) > 1 else "v0.36.1"
    api, machinery = folder("k8s.io/api", version), folder("k8s.io/apimachinery", version)
    packages = {name: Package(name, api / name) for name in PACKAGES}
    packages[META] = Package(META, machinery / "pkg/apis/meta/v1")

    def kind_of(go, package):
        go = go.strip()
        if go.startswith("*"):
            inner = kind_of(go[1:], package)
            return "*" + inner if inner in SCALARS.values() else inner
        if go == "[]byte":
            return "y"
        if go.startswith("[]"):
            return "[" + kind_of(go[2:], package).lstrip("*")
        if go.startswith("map["):
            return "{" + kind_of(go.split("]", 1)[1], package)
        if go in SCALARS:
            return SCALARS[go]
        prefix, _, name = go.rpartition(".")
        owner = package.imports.get(prefix, prefix) if prefix else package.name
        if f"{owner}.{name}" in SPECIAL:
            return "@" + SPECIAL[f"{owner}.{name}"]
        if owner not in packages:
            return "s"  # types.UID and the like
        found = packages[owner]
        if name in found.structs:
            return f"@{owner}.{name}"
        if name in found.aliases:
            target = found.aliases[name]
            return "@Texts" if target == "[]string" else kind_of(target, found)
        return "s"

    lines = []
    for package in packages.values():
        for struct, fields in package.structs.items():
            parts = []
            for name, go, tag, number in fields:
                json_name, *options = tag.split(",")
                kind = kind_of(go, package)
                if "inline" in options and kind.startswith("@"):
                    kind = "!" + kind[1:]
                parts.append(f"{number}:{json_name}:{kind}")
            if parts:
                lines.append(f"{package.name}.{struct}\t{' '.join(parts)}\n")
    (HERE / "messages.tsv.gz").write_bytes(gzip.compress("".join(sorted(lines)).encode(), 9, mtime=0))


if __name__ == "__main__":
    main()
