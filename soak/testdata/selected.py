"""Evaluates selectors on every page of a folder of HTML files, with lxml.

selected.py FOLDER RULES prints one JSON object {page: [digest of each rule]}:
the SHA-256 of the JSON list of texts that the rule selects, their white space
collapsed and empty ones left out. RULES is a JSON file, a list of
{"css"|"xpath": …, "lxml": the XPath that says the same, where there is css}.
selected.py FOLDER RULES PAGE N prints what rule N selects on a page.
"""
import hashlib
import json
import os
import sys

from lxml import etree, html


def texts(tree, xpath):
    found = xpath(tree)
    if not isinstance(found, list):
        if isinstance(found, bool):
            found = "true" if found else "false"
        elif isinstance(found, float):
            found = str(int(found)) if found == int(found) else repr(found)
        found = [found]
    out = []
    for one in found:
        text = one if isinstance(one, str) else one.xpath("string()")
        text = " ".join(text.replace("\u00a0", " ").split())
        if text:
            out.append(text)
    return out


def main(folder, rules, page=None, n=None):
    with open(rules, encoding="utf-8") as f:
        paths = [etree.XPath(r.get("lxml") or r["xpath"]) for r in json.load(f)]
    digests = {}
    for name in [page] if page else sorted(os.listdir(folder)):
        if not name.endswith(".html"):
            continue
        with open(os.path.join(folder, name), "rb") as f:
            tree = html.document_fromstring(f.read(), parser=html.HTMLParser(encoding="utf-8")).getroottree()
        if page:
            return texts(tree, paths[int(n)])
        digests[name] = [
            hashlib.sha256(json.dumps(texts(tree, p), ensure_ascii=False, separators=(",", ":")).encode()).hexdigest() for p in paths
        ]
    return digests


if __name__ == "__main__":
    json.dump(main(*sys.argv[1:]), sys.stdout, ensure_ascii=False)
