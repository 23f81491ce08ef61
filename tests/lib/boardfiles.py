# SPDX-License-Identifier: Apache-2.0
"""Readers of etc/dashboards, each by the rules of the program that it is for. They know nothing of tools/boards. A reader gives what a file
uses, as (where, kind of report, field, purpose), and raises Broken for what its program would not take. Purposes: group, sum, time, show."""
import json
import re
import xml.etree.ElementTree as ET


class Broken(Exception):
    pass


def need(condition, *what):
    if not condition:
        raise Broken(" ".join(str(w) for w in what))


KINDS = {"aggregate": "dmarc_aggregate*", "failure": "dmarc_forensic*", "smtp_tls": "smtp_tls*"}


def apart(boxes, width):
    """No two panels lie on each other, none beyond the edge."""
    for i, a in enumerate(boxes):
        need(a["x"] >= 0 and a["y"] >= 0 and a["w"] > 0 and a["h"] > 0 and a["x"] + a["w"] <= width, "a panel beyond the edge", a)
        for b in boxes[:i]:
            need(a["x"] + a["w"] <= b["x"] or b["x"] + b["w"] <= a["x"] or a["y"] + a["h"] <= b["y"] or b["y"] + b["h"] <= a["y"],
                 "panels lie on each other", a, b)


# ---- Kibana, OpenSearch Dashboards ----

# Type of a visualisation → what its aggregations may be for, and how many of each.
SCHEMAS = {"pie": {"metric": (1, 1), "segment": (1, 9)}, "histogram": {"metric": (1, 9), "segment": (1, 1), "group": (0, 3)},
           "table": {"metric": (1, 9), "bucket": (1, 9)}, "region_map": {"metric": (1, 1), "segment": (1, 1)},
           "markdown": {}, "input_control_vis": {}}
SAVED = {"index-pattern": {"title", "timeFieldName", "fieldFormatMap"},
         "visualization": {"title", "description", "version", "uiStateJSON", "visState", "kibanaSavedObjectMeta"},
         "search": {"title", "description", "hits", "version", "columns", "sort", "kibanaSavedObjectMeta"},
         "dashboard": {"title", "description", "hits", "version", "timeRestore", "timeFrom", "timeTo", "refreshInterval", "optionsJSON",
                       "panelsJSON", "kibanaSavedObjectMeta"}}


class Saved:
    def __init__(self, text):
        need(text.endswith("\n"), "the last line has no end")
        self.objects = {}
        for line in text.splitlines():
            o = json.loads(line)
            need(set(o) == {"type", "id", "attributes", "references", "migrationVersion"}, "keys", set(o))
            need(re.fullmatch(r"[a-z0-9-]+", o["id"]) and (o["type"], o["id"]) not in self.objects, "id", o["id"])
            need(o["type"] in SAVED and set(o["attributes"]) == SAVED[o["type"]], o["id"], set(o["attributes"]))
            need(list(o["migrationVersion"]) == [o["type"]], o["id"], "migrationVersion")
            self.objects[o["type"], o["id"]] = o
        for o in self.objects.values():
            names = [r["name"] for r in o["references"]]
            need(len(names) == len(set(names)), o["id"], "a reference twice")
            for r in o["references"]:
                need(set(r) == {"name", "type", "id"} and (r["type"], r["id"]) in self.objects, o["id"], "refers to nothing:", r)
        self.uses = [u for o in self.objects.values() for u in getattr(self, o["type"].replace("-", "_"))(o)]
        self.everything_is_shown()

    def referred(self, o, name):
        found = [r for r in o["references"] if r["name"] == name]
        need(len(found) == 1, o["id"], "has no reference", name)
        return self.objects[found[0]["type"], found[0]["id"]]

    def kind(self, pattern):
        for kind, name in KINDS.items():
            if pattern["attributes"]["title"].endswith(name):
                return kind
        raise Broken(f"no index is called {pattern['attributes']['title']}")

    def source(self, o):
        """The kind of report that a visualisation or search reads, None for those that read none."""
        meta = json.loads(o["attributes"]["kibanaSavedObjectMeta"]["searchSourceJSON"])
        need(meta["query"] == {"query": "", "language": "kuery"} and meta["filter"] == [], o["id"], meta)
        return self.kind(self.referred(o, meta["indexRefName"])) if "indexRefName" in meta else None

    def index_pattern(self, o):
        for field in json.loads(o["attributes"]["fieldFormatMap"]):
            yield o["id"], self.kind(o), field, "show"
        yield o["id"], self.kind(o), o["attributes"]["timeFieldName"], "time"

    def visualization(self, o):
        state, kind = json.loads(o["attributes"]["visState"]), self.source(o)
        need(set(state) == {"title", "type", "params", "aggs"} and state["title"] in o["attributes"]["title"], o["id"], set(state))
        need(state["type"] in SCHEMAS and json.loads(o["attributes"]["uiStateJSON"]) == {}, o["id"], state["type"])
        need((kind is not None) == bool(SCHEMAS[state["type"]]), o["id"], "data, or no data")
        if state["type"] == "markdown":
            for target in re.findall(r"\]\(([^)]*)\)", state["params"]["markdown"]):
                need(("dashboard", target.removeprefix("#/view/")) in self.objects, o["id"], "leads nowhere:", target)
        for c in state["params"].get("controls", []):
            need(c["type"] == "list" and c["options"]["type"] == "terms" and c["parent"] == "", o["id"], c)
            yield o["id"], self.kind(self.referred(o, c["indexPatternRefName"])), c["fieldName"], "group"
        yield from self.aggregations(o["id"], kind, state)

    def aggregations(self, where, kind, state):
        aggs, count = state["aggs"], {}
        metrics = [a["id"] for a in aggs if a["schema"] == "metric"]
        need([a["id"] for a in aggs] == [str(n) for n in range(1, len(aggs) + 1)], where, "ids of aggregations")
        for a in aggs:
            need(set(a) == {"id", "enabled", "type", "schema", "params"} and a["enabled"], where, a)
            count[a["schema"]] = count.get(a["schema"], 0) + 1
            if a["schema"] == "metric":
                need(a["type"] in ("sum", "count"), where, a["type"])
                if a["type"] == "sum":
                    yield where, kind, a["params"]["field"], "sum"
            elif a["type"] == "terms":
                need(a["params"]["orderBy"] in metrics and a["params"]["order"] == "desc" and 0 < a["params"]["size"] <= 1000, where, a)
                yield where, kind, a["params"]["field"], "strings" if a["params"]["missingBucket"] else "group"
            else:
                need(a["type"] == "date_histogram" and a["params"]["interval"] == "d", where, a)
                yield where, kind, a["params"]["field"], "time"
        for schema, (least, most) in SCHEMAS[state["type"]].items():
            need(least <= count.get(schema, 0) <= most, where, schema, count)
        need(set(count) <= set(SCHEMAS[state["type"]]), where, count)
        need(all(s["data"]["id"] in metrics for s in state["params"].get("seriesParams", [])), where, "a series of no metric")

    def search(self, o):
        kind = self.source(o)
        for field in o["attributes"]["columns"]:
            yield o["id"], kind, field, "show"
        for field, order in o["attributes"]["sort"]:
            need(order == "desc", o["id"], order)
            yield o["id"], kind, field, "time"

    def dashboard(self, o):
        panels = json.loads(o["attributes"]["panelsJSON"])
        need(self.source(o) is None and o["attributes"]["timeRestore"] is True, o["id"])
        need([p["panelRefName"] for p in panels] == [r["name"] for r in o["references"]], o["id"], "panels and references")
        need(all(p["gridData"]["i"] == p["panelIndex"] for p in panels), o["id"], "numbers of panels")
        apart([p["gridData"] for p in panels], 48)
        return []

    def everything_is_shown(self):
        shown = {(r["type"], r["id"]) for (t, _), o in self.objects.items() if t == "dashboard" for r in o["references"]}
        lost = {k for k in self.objects if k[0] in ("visualization", "search")} - shown
        need(not lost, "on no dashboard:", lost)

    def panels(self):
        """(kind of report, title, type, aggregations) of each visualisation, in the order of the file."""
        for (t, _), o in self.objects.items():
            if t == "visualization" and self.source(o):
                state = json.loads(o["attributes"]["visState"])
                yield self.source(o), state["title"], state["type"], state["aggs"]
            elif t == "search":
                yield self.source(o), o["attributes"]["title"], "samples", []


# ---- Splunk ----

NAME = r'(?:"[^"]*"|[\w@]+)'


def words(text):
    return [w.strip('"') for w in re.findall(NAME, text)]


class Pipeline:
    """A search in Splunk's language, followed command by command: which fields an event has to have, and which there are behind it.
    Commands and forms that tools/boards does not write are not known here."""

    def __init__(self, where, known=None):
        self.where, self.known, self.wanted, self.tokens = where, known, [], []

    def want(self, *names):
        for n in names:
            if self.known is None:
                self.wanted.append(self.original.get(n, n))
            else:
                need(n in self.known or n == "_time", self.where, "has no field", n)

    def run(self, text):
        self.original = {}  # short name → what Splunk sees
        self.tokens = re.findall(r"\$([\w.]+)\$", text)
        for n, command in enumerate(re.split(r"\n?\|\s*", text)):
            if n == 0 and command == "" and self.known is not None:
                continue  # goes on from the base search
            verb, _, rest = command.partition(" ")
            if n == 0:
                self.first(command)
            else:
                need(hasattr(self, f"do_{verb}"), self.where, "unknown command", verb)
                getattr(self, f"do_{verb}")(rest.strip())
        return self.known

    def first(self, command):
        need(re.fullmatch(r'index="[\w*]+" sourcetype="([\w:]+)"', command), self.where, command)

    def match(self, pattern, rest):
        m = re.fullmatch(pattern, rest)
        need(m, self.where, "not understood:", rest)
        return m

    def do_eventstats(self, rest):
        m = self.match(rf"max\(({NAME})\) as ({NAME}) by ({NAME})", rest)
        self.want(m[1], m[3])
        self.original[m[2]] = m[1]

    def do_where(self, rest):
        m = self.match(r"isnull\((\w+)\) OR (\w+)=(\w+)", rest)
        self.want(m[2])
        need(m[1] == m[3] and m[1] in self.original, self.where, rest)

    def do_dedup(self, rest):
        m = self.match(r"([\w ]+) keepempty=true", rest)
        self.want(*words(m[1]))

    def do_rename(self, rest):
        for pair in rest.split(", "):
            m = self.match(rf"({NAME}) as ({NAME})", pair)
            old, new = m[1].strip('"'), m[2].strip('"')
            self.want(old)
            if self.known is None:
                self.original[new] = old
            else:
                self.known[self.known.index(old)] = new

    def do_fillnull(self, rest):
        self.want(*words(self.match(r"value=null (.+)", rest)[1]))

    def do_search(self, rest):
        need(re.fullmatch(rf'({NAME}="\$\w+\$" ?)+', rest), self.where, rest)
        self.want(*re.findall(r'(\w+)="\$', rest))

    def do_fields(self, rest):
        names = [w for w in words(rest) if w != "_time"]
        self.want(*names)
        self.known = names

    def aggregates(self, text, by):
        out = list(by)
        for part in text.split(", "):
            m = re.fullmatch(rf"(?:sum\(({NAME})\)|count)(?: as ({NAME}))?", part)
            need(m, self.where, "not understood:", part)
            if m[1]:
                self.want(m[1].strip('"'))
            out.append((m[2] or part).strip('"'))
        self.known = out

    def do_stats(self, rest):
        m = self.match(rf"(.+?) by ((?:{NAME} ?)+)", rest)
        self.want(*words(m[2]))
        self.aggregates(m[1], words(m[2]))

    def do_timechart(self, rest):
        m = self.match(rf"span=1d (.+?)(?: by ({NAME}))?", rest)
        if m[2]:
            self.want(m[2])
        self.aggregates(m[1], ["_time"])

    def do_mvexpand(self, rest):
        self.want(rest)

    def do_sort(self, rest):
        self.want(self.match(rf"\d+ -({NAME})", rest)[1].strip('"'))

    def do_table(self, rest):
        self.want(*words(rest))
        self.known = words(rest)

    def do_lookup(self, rest):
        m = self.match(r"geo_attr_countries iso2 as (\w+) OUTPUT (country)", rest)
        self.want(m[1])
        self.known.append(m[2])

    def do_geom(self, rest):
        self.want(self.match(r'geo_countries featureIdField="(\w+)"', rest)[1])


SOURCETYPES = {"dmarc:aggregate": "aggregate", "dmarc:forensic": "failure", "smtp:tls": "smtp_tls"}


class Splunk:
    def __init__(self, text):
        form = ET.fromstring(text)
        need(form.tag == "form" and form.get("version") == "1.1" and form.findtext("label"), "not a form")
        inputs = {i.get("token"): i for i in form.findall("fieldset/input")}
        need(len(inputs) == len(form.findall("fieldset/input")), "a token twice")
        for name, i in inputs.items():
            need(i.get("type") in ("text", "dropdown", "time") and i.findtext("label"), name)
            need((i.get("type") == "dropdown") == bool(i.findall("choice")), name, "choices")
        self.filters = [i.findtext("label") for i in inputs.values()]
        (base,) = form.findall("search")
        need([base.findtext("earliest"), base.findtext("latest")] == ["$time.earliest$", "$time.latest$"], "time")
        query = base.findtext("query")
        self.kind = SOURCETYPES[re.search(r'sourcetype="([\w:]+)"', query)[1]]
        line = Pipeline("the base search")
        known = line.run(query)
        need(sorted(line.tokens) == sorted(t for t in inputs if t != "time"), "tokens and inputs", line.tokens)
        self.uses = [("the base search", self.kind, f, "show") for f in dict.fromkeys(line.wanted)]
        self.panels = []
        for panel in form.findall("row/panel"):
            self.panel(panel, base.get("id"), list(known), inputs)

    def panel(self, panel, base, known, inputs):
        title = panel.findtext("title")
        (element,) = [e for e in panel if e.tag != "title"]
        need(element.tag in ("chart", "table", "map"), title, element.tag)
        (search,) = element.findall("search")
        need(search.get("base") == base, title, "base search")
        shown = Pipeline(title, known).run(search.findtext("query"))
        options = {o.get("name"): o.text for o in element.findall("option")}
        need({"chart": "charting.chart", "map": "mapping.type", "table": "count"}[element.tag] in options, title, "options")
        for s in element.iter("set"):
            need(s.get("token").removeprefix("form.") in inputs and s.text in ("$click.value$", "$click.value2$"), title, s.get("token"))
        for c in element.iter("condition"):
            need(c.get("field") is None or c.get("field") in shown, title, "no column", c.get("field"))
        self.panels.append((self.kind, title, options.get("charting.chart") or element.tag, shown))


# ---- Grafana ----

GRAFANA_PANELS = {"piechart", "timeseries", "table", "geomap"}


class Grafana:
    """Over a search cluster. file: the name, which says what kind of report it is."""

    def __init__(self, file, text):
        board = json.loads(text)
        self.kind = re.search(r"-(\w+)\.json$", file)[1]
        self.uses, self.panels, self.targets = [], [], []
        for key in ("title", "uid", "panels", "templating", "time", "schemaVersion", "tags"):
            need(key in board, file, "has no", key)
        need(board["id"] is None and len(board["uid"]) <= 40, file, "uid")
        self.variables = {v["name"]: v for v in board["templating"]["list"]}
        need(len(self.variables) == len(board["templating"]["list"]), file, "a variable twice")
        self.type = self.variables["source"]["query"]
        for v in self.variables.values():
            self.variable(v)
        ids = [p["id"] for p in board["panels"]]
        need(len(ids) == len(set(ids)), file, "ids of panels")
        apart([p["gridPos"] for p in board["panels"]], 24)
        for p in board["panels"]:
            self.panel(p)

    def here(self, where, source):
        need(source == {"type": self.type, "uid": "${source}"}, where, "reads another source", source)

    def variable(self, v):
        need(v["type"] in ("datasource", "query", "custom", "adhoc"), v["name"], v["type"])
        if v["type"] in ("query", "adhoc"):
            self.here(v["name"], v["datasource"])
        if v["type"] == "query":
            query = json.loads(v["query"])
            need(query["find"] == "terms", v["name"], query)
            self.uses.append((v["name"], self.kind, query["field"], "group"))

    def panel(self, p):
        where = p["title"]
        need(p["type"] in GRAFANA_PANELS, where, p["type"])
        self.here(where, p["datasource"])
        refs = [t["refId"] for t in p["targets"]]
        need(refs and len(refs) == len(set(refs)), where, refs)
        columns, raw = set(), False
        for t in p["targets"]:
            self.here(where, t["datasource"])
            columns |= self.target(where, t)
            raw = raw or t["metrics"][0]["type"] == "raw_data"  # its columns are all fields
        for t in p.get("transformations", []):
            names = t["options"]["include"]["names"] if t["id"] == "filterFieldsByName" else t["options"]["renameByName"]
            need(raw or set(names) <= columns, where, "no such column:", set(names) - columns)
            self.uses += [(where, self.kind, n, "show") for n in names if raw]
        names = [n for t in p.get("transformations", []) if t["id"] == "organize" for n in t["options"]["renameByName"].values()]
        for s in p["options"].get("sortBy", []):
            need(s["displayName"] in names, where, s)
        for layer in p["options"].get("layers", []):
            need(layer["location"]["lookup"] in names and layer["config"]["style"]["size"]["field"] in names, where, layer)
        self.panels.append((self.kind, where, p["type"], p["targets"]))

    def target(self, where, t):
        self.targets.append((where, t))
        self.uses.append((where, self.kind, t["timeField"], "time"))
        for part in filter(None, t["query"].split(" AND ")):
            m = re.fullmatch(r"([\w.]+):(true|false|\$(\w+))", part)
            need(m and (m[3] is None or m[3] in self.variables), where, "query", part)
            self.uses.append((where, self.kind, m[1], "group"))
        columns, metrics, sums = set(), t["metrics"], [m for m in t["metrics"] if m["type"] == "sum"]
        for m in metrics:
            need(m["type"] in ("sum", "count", "raw_data"), where, m)
            if m["type"] == "sum":
                self.uses.append((where, self.kind, m["field"], "sum"))
                columns.add("Sum" if len(sums) == 1 else f"Sum {m['field']}")
            columns |= {"Count"} if m["type"] == "count" else set()
        if metrics[0]["type"] == "raw_data":
            need(len(metrics) == 1 and not t["bucketAggs"], where, "raw data and buckets")
            return columns
        for b in t["bucketAggs"]:
            need(b["type"] in ("terms", "date_histogram"), where, b)
            if b["type"] == "terms":
                need(b["settings"]["orderBy"] in {m["id"] for m in metrics} | {"_count"}, where, b)
                strings = "missing" in b["settings"]
                self.uses.append((where, self.kind, b["field"], "strings" if strings else "group"))
            else:
                self.uses.append((where, self.kind, b["field"], "time"))
            columns.add(b["field"])
        need(t["bucketAggs"], where, "no buckets")
        for name in re.findall(r"\{\{term ([\w.]+)\}\}", t["alias"]):
            need(name in columns, where, t["alias"])
        return columns

