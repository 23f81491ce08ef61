# SPDX-License-Identifier: Apache-2.0
"""Kibana's and OpenSearch Dashboards' saved objects: index patterns, classic visualisations (which Kibana 7.10 to 8 and OpenSearch
Dashboards 1 to 3 all read), a saved search for samples, and dashboards that lead to each other. One object a line."""
import json

# The versions of the formats that are written here; newer programs bring them up to date as they import them.
FORMAT = {"index-pattern": "7.6.0", "visualization": "7.10.0", "search": "7.9.3", "dashboard": "7.9.3"}
WIDTH = 48
HINT = ("Click a slice, a bar or a country to see that alone; over a value of a table, **+** keeps and **−** leaves out. "
        "Filters hold for all panels, as does the time at the top.")
COUNTRIES = [{"type": "id", "name": "iso2", "description": "ISO 3166-1 alpha-2 code"},
             {"type": "id", "name": "iso3", "description": "ISO 3166-1 alpha-3 code"}, {"type": "name", "name": "name", "description": "name"}]


def packed(value):
    return json.dumps(value, ensure_ascii=False, separators=(",", ":"))


class Writer:
    """flavour: kibana or opensearch. prefix: that of the indices, in front of ids and titles as well, so that several stand side by side."""

    def __init__(self, boards, flavour, prefix=""):
        self.boards, self.opensearch, self.prefix = boards, flavour == "opensearch", prefix
        self.objects = []

    def id(self, *parts):
        return "-".join(["dmarctap", *([self.prefix.rstrip("_")] if self.prefix else []), *parts]).replace("_", "-")

    def title(self, text):
        return f"{self.prefix.rstrip('_')}: {text}" if self.prefix else text

    def add(self, kind, key, attributes, references=()):
        self.objects.append({"type": kind, "id": key, "attributes": attributes, "references": list(references),
                             "migrationVersion": {kind: FORMAT[kind]}})

    def pattern(self, board):
        formats = {"source_asn": {"id": "number", "params": {"pattern": "0"}}} if board.key != "smtp_tls" else {}
        self.add("index-pattern", self.id(board.key), {"title": f"{self.prefix}{board.index}*", "timeFieldName": board.time.name,
                                                       "fieldFormatMap": packed(formats)})

    def metric(self, number, m):
        if m.field is None:
            return {"id": str(number), "enabled": True, "type": "count", "schema": "metric", "params": {"customLabel": m.label}}
        return {"id": str(number), "enabled": True, "type": "sum", "schema": "metric",
                "params": {"field": m.field.name, "customLabel": m.label}}

    def terms(self, number, field, schema, size):
        # Only strings have a bucket for what has none of them.
        missing = field.kind in ("text", "ip") and schema == "bucket"
        return {"id": str(number), "enabled": True, "type": "terms", "schema": schema,
                "params": {"field": field.exact, "size": size, "order": "desc", "orderBy": "1", "otherBucket": False,
                           "otherBucketLabel": "Other", "missingBucket": missing, "missingBucketLabel": "none", "customLabel": field.label}}

    def daily(self, number, field):
        normal = "useNormalizedOpenSearchInterval" if self.opensearch else "useNormalizedEsInterval"
        return {"id": str(number), "enabled": True, "type": "date_histogram", "schema": "segment",
                "params": {"field": field.name, normal: True, "scaleMetricValues": False, "interval": "d", "drop_partials": False,
                           "min_doc_count": 1, "extended_bounds": {}, "customLabel": field.label}}

    def pie(self, _board, p):
        return "pie", {"type": "pie", "addTooltip": True, "addLegend": True, "legendPosition": "right", "isDonut": True,
                       "labels": {"show": True, "values": True, "last_level": True, "truncate": 100}}, \
            [self.terms(2, p.by[0], "segment", 5)]

    def time(self, board, p):
        params = {"type": "histogram", "grid": {"categoryLines": False},
                  "categoryAxes": [{"id": "CategoryAxis-1", "type": "category", "position": "bottom", "show": True, "style": {},
                                    "scale": {"type": "linear"}, "labels": {"show": True, "filter": True, "truncate": 100}, "title": {}}],
                  "valueAxes": [{"id": "ValueAxis-1", "name": "LeftAxis-1", "type": "value", "position": "left", "show": True, "style": {},
                                 "scale": {"type": "linear", "mode": "normal"},
                                 "labels": {"show": True, "rotate": 0, "filter": False, "truncate": 100},
                                 "title": {"text": p.metrics[0].label}}],
                  "seriesParams": [{"show": True, "type": "histogram", "mode": "stacked", "valueAxis": "ValueAxis-1",
                                    "drawLinesBetweenPoints": True, "showCircles": True, "data": {"id": str(n), "label": m.label}}
                                   for n, m in enumerate(p.metrics, 1)],
                  "addTooltip": True, "addLegend": True, "legendPosition": "right", "times": [], "addTimeMarker": False,
                  "labels": {"show": False}, "thresholdLine": {"show": False, "value": 10, "width": 1, "style": "full", "color": "#E7664C"}}
        n = len(p.metrics) + 1
        return "histogram", params, [self.daily(n, board.time)] + [self.terms(n + 1 + i, f, "group", 10) for i, f in enumerate(p.by)]

    def map(self, _board, p):
        params = {"legendPosition": "bottomright", "addTooltip": True, "colorSchema": "Blues", "isDisplayWarning": False,
                  "wms": {"enabled": False, "options": {"format": "image/png", "transparent": True}}, "mapZoom": 2, "mapCenter": [0, 0],
                  "outlineWeight": 1, "showAllShapes": True, "emsHotLink": None,
                  "selectedLayer": {"name": "World Countries", "origin": "elastic_maps_service", "id": "world_countries",
                                    "layerId": "elastic_maps_service.World Countries", "isEMS": True, "format": {"type": "geojson"},
                                    "fields": COUNTRIES}, "selectedJoinField": COUNTRIES[0]}
        if self.opensearch:
            params["layerChosenByUser"] = "default"
        return "region_map", params, [self.terms(2, p.by[0], "segment", p.size)]

    def table(self, _board, p):
        params = {"perPage": 10, "showPartialRows": False, "showMetricsAtAllLevels": False, "showTotal": False, "totalFunc": "sum",
                  "percentageCol": "", "sort": {"columnIndex": len(p.by), "direction": "desc"}}
        return "table", params, [self.terms(len(p.metrics) + 1 + i, f, "bucket", p.size if i == 0 else 20) for i, f in enumerate(p.by)]

    def visualisation(self, board, key, title, kind, params, aggs, references=(), pattern=True):
        source = {"query": {"query": "", "language": "kuery"}, "filter": []}
        references = list(references)
        if pattern:
            source["indexRefName"] = "kibanaSavedObjectMeta.searchSourceJSON.index"
            references.append({"name": source["indexRefName"], "type": "index-pattern", "id": self.id(board.key)})
        self.add("visualization", key, {
            "title": title, "description": "", "version": 1, "uiStateJSON": "{}",
            "visState": packed({"title": title, "type": kind, "params": params, "aggs": aggs}),
            "kibanaSavedObjectMeta": {"searchSourceJSON": packed(source)}}, references)

    def samples(self, board, p):
        name = "kibanaSavedObjectMeta.searchSourceJSON.index"
        self.add("search", self.id(board.key, p.key), {
            "title": self.title(p.title), "description": "", "hits": 0, "version": 1,
            "columns": [f.name for f in p.by if f != board.time], "sort": [[board.time.name, "desc"]],
            "kibanaSavedObjectMeta": {"searchSourceJSON": packed({"query": {"query": "", "language": "kuery"}, "filter": [],
                                                                  "highlightAll": True, "version": True, "indexRefName": name})}},
            [{"name": name, "type": "index-pattern", "id": self.id(board.key)}])

    def controls(self, board):
        """OpenSearch Dashboards only: Kibana has dropped this kind in favour of controls that no file of Kibana 7 can hold."""
        rows, references = [], []
        for n, f in enumerate(board.filters):
            name = f"control_{n}_index_pattern"
            references.append({"name": name, "type": "index-pattern", "id": self.id(board.key)})
            rows.append({"id": f"{board.key}-{n}", "fieldName": f.field.exact, "parent": "", "label": f.field.label, "type": "list",
                         "options": {"type": "terms", "multiselect": True, "dynamicOptions": f.field.kind != "bool", "size": 20,
                                     "order": "desc"}, "indexPatternRefName": name})
        self.visualisation(board, self.id(board.key, "filters"), self.title(f"{board.title}: filters"), "input_control_vis",
                           {"controls": rows, "updateFiltersOnChange": True, "useTimeFilter": True, "pinFilters": False}, [],
                           references, pattern=False)

    def links(self, board):
        ways = " · ".join(f"**{b.title}**" if b is board else f"[{b.title}](#/view/{self.id(b.key, 'board')})" for b in self.boards)
        self.visualisation(board, self.id(board.key, "links"), self.title(f"{board.title}: dashboards"), "markdown",
                           {"markdown": f"{ways}\n\n{HINT}", "fontSize": 12, "openLinksInNewTab": False}, [], pattern=False)

    def board(self, board):
        self.pattern(board)
        placed, y = [], 0
        rows = [(4, [("links", None)])] + ([(6, [("filters", None)])] if self.opensearch else []) + \
            [(h, [(p.key, p) for p in panels]) for h, panels in board.rows]
        self.links(board)
        if self.opensearch:
            self.controls(board)
        for height, panels in rows:
            for n, (key, p) in enumerate(panels):
                kind = "visualization"
                if p is not None and p.kind == "samples":
                    self.samples(board, p)
                    kind = "search"
                elif p is not None:
                    how, params, aggs = getattr(self, p.kind)(board, p)
                    self.visualisation(board, self.id(board.key, key), self.title(p.title), how, params,
                                       [self.metric(i, m) for i, m in enumerate(p.metrics, 1)] + aggs)
                w = WIDTH // len(panels)
                placed.append((kind, self.id(board.key, key), {"x": n * w, "y": y, "w": w, "h": height}))
            y += height
        self.add("dashboard", self.id(board.key, "board"), {
            "title": self.title(board.title), "description": board.text, "hits": 0, "version": 1, "timeRestore": True, "timeFrom": "now-30d",
            "timeTo": "now", "refreshInterval": {"pause": True, "value": 0},
            "optionsJSON": packed({"useMargins": True, "hidePanelTitles": False}),
            "panelsJSON": packed([{"version": "7.10.0", "gridData": {**at, "i": str(n)}, "panelIndex": str(n),
                                   "embeddableConfig": {"hidePanelTitles": True} if n == 0 else {}, "panelRefName": f"panel_{n}"}
                                  for n, (_, _, at) in enumerate(placed)]),
            "kibanaSavedObjectMeta": {"searchSourceJSON": packed({"query": {"query": "", "language": "kuery"}, "filter": []})}},
            [{"name": f"panel_{n}", "type": kind, "id": key} for n, (kind, key, _) in enumerate(placed)])

    def text(self):
        for board in self.boards:
            self.board(board)
        return "".join(packed(o) + "\n" for o in self.objects)
