"""Reads pages with selectolax (lexbor) or lxml and says what that takes: the
same questions and answers, a line of JSON each, as the children in Go."""

import json
import resource
import sys
import time

PAGE = resource.getpagesize()


class Selectolax:
    def __init__(self):
        from selectolax.lexbor import LexborHTMLParser

        self.parser = LexborHTMLParser

    def tree(self, page):
        return self.parser(page, scripting=True)

    def compile(self, field):
        # lexbor has its own name for it.
        css = field["CSS"].replace(":contains(", ":lexbor-contains(")
        attr, many = field["Attr"], field["All"]

        def value(node):
            return (node.attributes[attr] if attr else node.text()) if node else ""

        if many:
            return lambda tree: "\n".join([clean(value(node)) for node in tree.css(css)])
        return lambda tree: clean(value(tree.css_first(css)))

    def elements(self, tree):
        return 0  # making a million objects of Python's would be the measurement


class Lxml:
    def __init__(self):
        import cssselect
        import lxml.etree
        import lxml.html

        # lxml.cssselect has :contains call back into Python, and fails now and
        # then where several are compiled (6.1.3); this is XPath's own.
        self.html, self.xpath, self.css = lxml.html, lxml.etree.XPath, cssselect.HTMLTranslator()

    def tree(self, page):
        return self.html.document_fromstring(page, parser=self.html.HTMLParser(encoding="utf-8"))

    def compile(self, field):
        select = self.xpath(self.css.css_to_xpath(field["CSS"]))
        attr, many = field["Attr"], field["All"]

        def value(node):
            return (node.get(attr) if attr else node.text_content()) if node is not None else ""

        if many:
            return lambda tree: "\n".join([clean(value(node)) for node in select(tree)])
        return lambda tree: clean(value(next(iter(select(tree)), None)))

    def elements(self, tree):
        return int(tree.xpath("count(//*)"))


def clean(text):
    return " ".join(text.split())


def values(side, fields, page):
    tree = side.tree(page)
    return [field(tree) for field in fields]


def resident():
    with open("/proc/self/statm") as f:
        return int(f.read().split()[1]) * PAGE


def measure(pages, read, least):
    # Not so often that asking for the time counts.
    turns = max(1, 1_000_000 // sum(map(len, pages)))
    for page in pages:  # so that all there is to be made once is there
        read(page)
    n, begun = 0, time.process_time_ns()
    while True:
        for _ in range(turns):
            for page in pages:
                read(page)
        n += turns * len(pages)
        cpu = time.process_time_ns() - begun
        if cpu >= least * 1e9:
            return {"cpu": cpu / 1000 / n}


def memory(side, pages, keep):
    rounds = max(1, keep // sum(map(len, pages)))
    before = resident()
    trees = [side.tree(page) for _ in range(rounds) for page in pages]
    taken = resident() - before
    del trees
    return {"memory": taken / rounds / sum(map(len, pages))}


def hostile(side, page):
    best, spent, elements = None, 0, 0
    for _ in range(3):
        begun = time.process_time_ns()
        try:
            tree = side.tree(page)
        except Exception as e:  # any: that is what is asked
            return {"cpu": (time.process_time_ns() - begun) / 1000, "refused": f"{type(e).__name__}: {e}"[:200]}
        took = time.process_time_ns() - begun
        spent += took
        best = took if best is None else min(best, took)
        elements = side.elements(tree)
        del tree
        if spent > 1e9:
            break
    return {"cpu": best / 1000, "elements": elements}


def main():
    side = {"selectolax": Selectolax, "lxml": Lxml}[sys.argv[1]]()
    limit = int(sys.argv[2])
    resource.setrlimit(resource.RLIMIT_AS, (limit, limit))
    groups = []
    with open(sys.argv[3]) as f:
        for group in json.load(f):
            pages = []
            for name in group["files"]:
                with open(name, "rb") as page:
                    pages.append(page.read())
            groups.append((pages, [side.compile(field) for field in group["fields"]]))
    for line in sys.stdin:
        q = json.loads(line)
        if q["do"] == "hostile":
            with open(q["file"], "rb") as f:
                answer = hostile(side, f.read())
        else:
            pages, fields = groups[q["group"]]
            if q["do"] == "values":
                answer = {"values": [values(side, fields, page) for page in pages]}
            elif q["do"] == "memory":
                answer = memory(side, pages, q["keep"])
            else:
                read = (lambda page: values(side, fields, page)) if q["fields"] else side.tree
                answer = measure(pages, read, q["cpu"])
        print(json.dumps(answer), flush=True)


main()
