# SPDX-License-Identifier: Apache-2.0
"""Grafana's dashboards (10.1 and later) over Elasticsearch and OpenSearch. Which data source they read is chosen on the page."""
import json

WIDTH = 24
GREEN, RED = "#2e7d32", "#c62828"
KINDS = {"elasticsearch": ("elasticsearch", "Elasticsearch"), "opensearch": ("grafana-opensearch-datasource", "OpenSearch")}


def lines(board):
    """One object a line where there are many: panels, variables, links."""
    out = []
    for key, value in board.items():
        if key == "panels":
            rows = ",\n".join("    " + json.dumps(v, ensure_ascii=False) for v in value)
            out.append(f'  "panels": [\n{rows}\n  ]')
        elif key == "templating":
            rows = ",\n".join("    " + json.dumps(v, ensure_ascii=False) for v in value["list"])
            out.append(f'  "templating": {{"list": [\n{rows}\n  ]}}')
        else:
            out.append(f'  "{key}": {json.dumps(value, ensure_ascii=False)}')
    return "{\n" + ",\n".join(out) + "\n}\n"


class Search:
    """Queries of a search cluster: buckets below buckets, as the data source's editor makes them."""

    def __init__(self, kind):
        self.kind = kind

    def target(self, board, ref, query, metrics, buckets, alias=""):
        t = {"refId": ref, "query": query, "alias": alias, "timeField": board.time.name, "metrics": metrics, "bucketAggs": buckets}
        if self.kind == "opensearch":
            t.update(queryType="lucene", luceneQueryType="Metric", format="table" if not alias else "time_series")
        return t

    @staticmethod
    def filters(board):
        return " AND ".join(f"{f.field.exact}:${f.field.splunk}" for f in board.filters if f.always)

    @staticmethod
    def metrics(p):
        return [{"id": str(n), "type": "sum", "field": m.field.name} if m.field else {"id": str(n), "type": "count"}
                for n, m in enumerate(p.metrics, 1)]

    @staticmethod
    def daily(board):
        return {"id": "99", "type": "date_histogram", "field": board.time.name,
                "settings": {"interval": "1d", "min_doc_count": "0", "trimEdges": "0"}}

    def terms(self, p, n, f):
        settings = {"size": str(p.size if n == 0 else 20), "order": "desc", "orderBy": "1" if p.metrics[0].field else "_count",
                    "min_doc_count": "1"}
        if f.kind in ("text", "ip"):
            settings["missing"] = "none"
        return {"id": str(10 + n), "type": "terms", "field": f.exact, "settings": settings}

    def verdicts(self, board, p):
        """A bool as two series with names of their own: its terms would be called 0 and 1 by some versions."""
        return [self.target(board, ref, " AND ".join(x for x in (self.filters(board), f"{p.by[0].name}:{value}") if x), self.metrics(p), [self.daily(board)], name)
                for ref, value, name in (("A", "true", "pass"), ("B", "false", "fail"))]

    def over_time(self, board, p):
        if p.by and p.by[0].kind == "bool":
            return self.verdicts(board, p)
        if p.by:
            return [self.target(board, "A", self.filters(board), self.metrics(p), [self.terms(p, 0, p.by[0]), self.daily(board)],
                                f"{{{{term {p.by[0].exact}}}}}")]
        return [self.target(board, "ABCD"[n], self.filters(board), [m], [self.daily(board)], p.metrics[n].label)
                for n, m in enumerate(self.metrics(p))]

    def rows(self, board, p):
        return [self.target(board, "A", self.filters(board), self.metrics(p), [self.terms(p, n, f) for n, f in enumerate(p.by)])]

    def newest(self, board, p):
        raw = {"id": "1", "type": "raw_data", "settings": {"size": str(p.size), "order": "desc", "useTimeRange": True}}
        return [self.target(board, "A", self.filters(board), [raw], [])]

    def columns(self, p):
        """Column of the answer → its title."""
        names = {f.exact: f.label for f in p.by}
        kinds = [m.field is None for m in p.metrics]
        for m, alone in zip(p.metrics, [kinds.count(k) == 1 for k in kinds]):
            names["Count" if m.field is None else "Sum" if alone else f"Sum {m.field.name}"] = m.label
        return names

    @staticmethod
    def raw_columns(p):
        return {f.name: f.label for f in p.by}

    def variables(self, board):
        out = [self.variable(f.field.splunk, f.field.label, json.dumps({"find": "terms", "field": f.field.exact, "size": 500}))
               if f.field.kind != "bool" else self.choice(f.field.splunk, f.field.label, f.choices) for f in board.filters if f.always]
        return out + [{"name": "filters", "label": "Filters", "type": "adhoc", "hide": 0, "filters": [], "datasource": SOURCE(self.kind)}]

    def variable(self, name, label, query):
        return {"name": name, "label": label, "type": "query", "query": query, "definition": query, "datasource": SOURCE(self.kind),
                "refresh": 2, "sort": 1, "multi": True, "includeAll": True, "allValue": "*", "hide": 0, "regex": "", "options": [],
                "current": {"text": ["All"], "value": ["$__all"]}}

    @staticmethod
    def choice(name, label, choices):
        return {"name": name, "label": label, "type": "custom", "query": ",".join(choices), "multi": False, "includeAll": True,
                "allValue": "*", "hide": 0, "current": {"text": "All", "value": "$__all"},
                "options": [{"text": "All", "value": "$__all", "selected": True}] +
                           [{"text": c, "value": c, "selected": False} for c in choices]}


def SOURCE(kind):
    return {"type": KINDS[kind][0], "uid": "${source}"}


class Writer:
    def __init__(self, boards, kind, queries=None):
        self.boards, self.kind, self.queries = boards, kind, queries or Search(kind)

    def uid(self, board):
        return f"dmarctap-{self.kind}-{board.key}".replace("_", "-")

    def verdict_colours(self):
        return [{"matcher": {"id": "byName", "options": name},
                 "properties": [{"id": "color", "value": {"mode": "fixed", "fixedColor": colour}}]}
                for name, colour in (("pass", GREEN), ("fail", RED))]

    def config(self, overrides=(), unit="short", **custom):
        return {"defaults": {"unit": unit, "decimals": 0, "custom": custom, "color": {"mode": "palette-classic"}},
                "overrides": list(overrides)}

    def renamed(self, names):
        order = {old: n for n, old in enumerate(names)}
        return [{"id": "organize", "options": {"renameByName": names, "indexByName": order, "excludeByName": {}}}]

    def pie(self, board, p):
        return {"type": "piechart", "targets": self.queries.verdicts(board, p), "fieldConfig": self.config(self.verdict_colours()),
                "options": {"pieType": "donut", "reduceOptions": {"calcs": ["sum"], "fields": "", "values": False},
                            "displayLabels": ["percent"], "tooltip": {"mode": "single", "sort": "none"},
                            "legend": {"displayMode": "table", "placement": "right", "showLegend": True, "values": ["value", "percent"]}}}

    def time(self, board, p):
        return {"type": "timeseries", "targets": self.queries.over_time(board, p),
                "fieldConfig": self.config(self.verdict_colours(), drawStyle="bars", fillOpacity=80, lineWidth=0,
                                           stacking={"mode": "normal", "group": "A"}),
                "options": {"tooltip": {"mode": "multi", "sort": "none"},
                            "legend": {"displayMode": "list", "placement": "right", "showLegend": True, "calcs": []}}}

    def map(self, board, p):
        label = p.metrics[0].label
        layer = {"type": "markers", "name": label, "tooltip": True,
                 "location": {"mode": "lookup", "lookup": p.by[0].label, "gazetteer": "public/gazetteer/countries.json"},
                 "config": {"showLegend": False, "style": {"opacity": 0.6, "color": {"fixed": "blue"}, "symbol": {
                     "mode": "fixed", "fixed": "img/icons/marker/circle.svg"}, "size": {"field": label, "fixed": 5, "min": 4, "max": 24}}}}
        return {"type": "geomap", "targets": self.queries.rows(board, p), "fieldConfig": self.config(),
                "transformations": self.renamed(self.queries.columns(p)),
                "options": {"view": {"id": "zero", "lat": 20, "lon": 0, "zoom": 1}, "basemap": {"type": "default", "name": "Layer 0"},
                            "layers": [layer], "controls": {"showZoom": True, "mouseWheelZoom": False, "showAttribution": True},
                            "tooltip": {"mode": "details"}}}

    def table(self, board, p):
        return {"type": "table", "targets": self.queries.rows(board, p), "fieldConfig": self.config(unit="none", filterable=True),
                "transformations": self.renamed(self.queries.columns(p)),
                "options": {"showHeader": True, "cellHeight": "sm", "sortBy": [{"displayName": p.metrics[0].label, "desc": True}]}}

    def samples(self, board, p):
        names = self.queries.raw_columns(p)
        return {"type": "table", "targets": self.queries.newest(board, p), "fieldConfig": self.config(unit="none", filterable=True),
                "transformations": [{"id": "filterFieldsByName", "options": {"include": {"names": list(names)}}}, *self.renamed(names)],
                "options": {"showHeader": True, "cellHeight": "sm", "sortBy": [{"displayName": p.by[0].label, "desc": True}]}}

    def text(self, board):
        panels, y = [], 0
        for height, row in board.rows:
            w = WIDTH // len(row)
            for n, p in enumerate(row):
                panel = getattr(self, p.kind)(board, p)
                for t in panel["targets"]:
                    t["datasource"] = SOURCE(self.kind)
                panels.append({"id": len(panels) + 1, "title": p.title, "datasource": SOURCE(self.kind),
                               "gridPos": {"x": n * w, "y": y, "w": w, "h": height}, **panel})
            y += height
        source = {"name": "source", "label": "Data source", "type": "datasource", "query": KINDS[self.kind][0], "hide": 0, "refresh": 1,
                  "regex": "", "multi": False, "includeAll": False, "options": [], "current": {}}
        return lines({
            "title": board.title, "description": board.text, "uid": self.uid(board), "id": None, "tags": ["dmarctap"], "schemaVersion": 38,
            "version": 1, "editable": True, "graphTooltip": 1, "timezone": "browser", "time": {"from": "now-30d", "to": "now"},
            "refresh": "", "links": [{"type": "dashboards", "title": "dmarctap", "tags": ["dmarctap"], "asDropdown": True, "icon": "external link",
                                      "includeVars": False, "keepTime": True, "targetBlank": False, "tooltip": "", "url": ""}],
            "annotations": {"list": []}, "templating": {"list": [source, *self.queries.variables(board)]}, "panels": panels})
