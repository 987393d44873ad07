"""Crawls a folder of HTML files by their links, with lxml, from index.html on.

crawl.py FOLDER prints one JSON object {name: title} of the pages reached.
White space of a title is collapsed.
"""
import json
import os
import sys
from urllib.parse import unquote, urljoin, urlsplit

from lxml import html

BASE = "http://files.invalid/"


def crawl(folder):
    titles, todo = {}, ["index.html"]
    while todo:
        name = todo.pop()
        path = os.path.join(folder, name)
        if name in titles or not os.path.isfile(path):
            continue
        with open(path, "rb") as f:
            tree = html.fromstring(f.read(), parser=html.HTMLParser(encoding="utf-8"))
        title = tree.find(".//title")
        titles[name] = None if title is None else " ".join(title.text_content().split())
        for a in tree.iter("a"):
            target = urlsplit(urljoin(BASE + name, (a.get("href") or "").strip()))
            if target.netloc == "files.invalid" and target.path.endswith(".html"):
                todo.append(unquote(target.path[1:]))
    return titles


if __name__ == "__main__":
    json.dump(crawl(sys.argv[1]), sys.stdout)
