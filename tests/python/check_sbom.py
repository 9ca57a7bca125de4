"""Holds the bills of materials of one release to their specifications, and to each other.

usage: check_sbom.py bom.cdx.json bom.spdx.json bom.spdx3.json

CycloneDX 1.6 by its published JSON Schema, as cyclonedx-python-lib ships it; SPDX 2.3 by spdx-tools, the SPDX project's own
validator; SPDX 3.0.1 by spdx-python-model, which the SPDX project generates from the published SHACL model. Prints the package
URLs that all three have, sorted, one on a line.
"""

import json
import sys
from pathlib import Path

import spdx_python_model
from cyclonedx.schema import SchemaVersion
from cyclonedx.validation.json import JsonStrictValidator
from packageurl import PackageURL
from spdx_tools.spdx.parser.json import json_parser
from spdx_tools.spdx.validation.document_validator import validate_full_spdx_document


def cyclonedx(path):
    text = path.read_text()
    error = JsonStrictValidator(SchemaVersion.V1_6).validate_str(text)
    if error:
        # The whole schema would follow.
        sys.exit(f"{path}: {str(error).splitlines()[0]}")
    bom = json.loads(text)
    urls, hashes, vendors, refs = set(), set(), set(), {bom["metadata"]["component"]["bom-ref"]}
    waiting = list(bom["components"])
    while waiting:
        component = waiting.pop()
        waiting.extend(component.get("components", []))
        if component["bom-ref"] in refs:
            sys.exit(f"{path}: {component['bom-ref']} is there twice")
        refs.add(component["bom-ref"])
        if "purl" in component:
            urls.add(component["purl"])
        if "supplier" in component:
            vendors.add(component["supplier"]["name"])
        hashes.update(h["content"] for h in component.get("hashes", []))
    for dependency in bom["dependencies"]:
        for ref in [dependency["ref"], *dependency.get("dependsOn", [])]:
            if ref not in refs:
                sys.exit(f"{path}: depends on {ref}, which is not there")
    return urls, hashes, vendors


def spdx2(path):
    document = json_parser.parse_from_file(str(path))
    messages = validate_full_spdx_document(document)
    if messages:
        sys.exit(f"{path}: {messages[0].validation_message}: {messages[0].context}")
    urls = {r.locator for p in document.packages for r in p.external_references}
    vendors = {p.supplier.name for p in document.packages if p.supplier}
    return urls, {c.value for p in document.packages for c in p.checksums}, vendors


def spdx3(path):
    model, objects = spdx_python_model.load(path)
    missing = objects.link()
    if missing:
        sys.exit(f"{path}: refers to {sorted(missing)[0]}, which is not there")
    # Only writing asks for what must not be left out.
    model.JSONLDSerializer().serialize_data(objects)
    urls, hashes = set(), set()
    for artifact in objects.foreach_type(model.software_SoftwareArtifact):
        if getattr(artifact, "software_packageUrl", None):
            urls.add(artifact.software_packageUrl)
        hashes.update(h.hashValue for h in artifact.verifiedUsing)
    if not list(objects.foreach_type(model.SpdxDocument)):
        sys.exit(f"{path}: has no SpdxDocument")
    return urls, hashes, {o.name for o in objects.foreach_type(model.Organization)}


def main():
    found = [check(Path(path)) for check, path in zip((cyclonedx, spdx2, spdx3), sys.argv[1:], strict=True)]
    if found[0] != found[1] or found[0] != found[2]:
        sys.exit("the documents do not say the same")
    for url in sorted(found[0][0]):
        if PackageURL.from_string(url).to_string() != url:
            sys.exit(f"{url} is written as {PackageURL.from_string(url).to_string()}")
        print(url)


main()
