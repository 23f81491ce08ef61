# SPDX-License-Identifier: Apache-2.0
"""Splunk's dashboards in Simple XML, version 1.1: one search feeds all panels of a page. Of a report that came twice, or in a later
revision, the newest is counted; events of other programs, which have no report_uid, all count."""
import re
from xml.sax.saxutils import escape, quoteattr

INDEX = "email"
PASS_FAIL = '{"true":0x2e7d32,"false":0xc62828}'


def option(name, value):
    return f"        <option name={quoteattr(name)}>{escape(value)}</option>"


def label(name):
    return name if re.fullmatch(r"\w+", name) else f'"{name}"'


class Writer:
    def __init__(self, boards):
        self.boards = boards

    @staticmethod
    def names(board):
        """The short names that panels and filters group by, and those that they add up."""
        panels = [p for _, row in board.rows for p in row]
        groups = [f.splunk for p in panels for f in p.by] + [f.field.splunk for f in board.filters]
        sums = [m.field.splunk for p in panels for m in p.metrics if m.field]
        return list(dict.fromkeys(groups)), list(dict.fromkeys(sums))

    def base(self, board):
        groups, sums = self.names(board)
        tokens = " ".join(f'{label(f.field.splunk)}="${self.token(f)}$"' for f in board.filters)
        lines = [f'index="{INDEX}" sourcetype="{board.sourcetype}"',
                 "| eventstats max(revision) as newest by report_uid",
                 "| where isnull(newest) OR revision=newest",
                 "| dedup report_uid record_index keepempty=true" if board.key != "failure" else "| dedup report_uid keepempty=true"]
        if board.renames:
            lines.append("| rename " + ", ".join(f'"{a}" as {b}' for a, b in board.renames))
        lines.append("| fillnull value=null " + " ".join(groups))
        lines.append(f"| search {tokens}")
        lines.append("| fields " + " ".join(["_time", *groups, *sums]))
        return lines

    @staticmethod
    def token(f):
        return f.field.splunk

    def input(self, f):
        kind = "dropdown" if f.choices else "text"
        out = [f'    <input type="{kind}" token={quoteattr(self.token(f))} searchWhenChanged="true">',
               f"      <label>{escape(f.field.label)}</label>"]
        if f.choices:
            out += ['      <choice value="*">any</choice>'] + [f'      <choice value="{c}">{c}</choice>' for c in f.choices]
        return out + ["      <default>*</default>", "    </input>"]

    def stats(self, p, by):
        sums = ", ".join(f"sum({label(m.field.splunk)}) as {label(m.label)}" if m.field else f"count as {label(m.label)}" for m in p.metrics)
        return f"| stats {sums} by {' '.join(label(f) for f in by)}"

    def lists(self, p):
        return [f"| mvexpand {f.splunk}" for f in p.by if f.name.endswith("_combined")]

    def pie(self, _board, p):
        return "chart", [self.stats(p, [p.by[0].splunk])], \
            [("charting.chart", "pie"), ("charting.fieldColors", PASS_FAIL), ("height", "250")]

    def time(self, _board, p):
        if p.by:
            query = f"| timechart span=1d sum({label(p.metrics[0].field.splunk)}) by {label(p.by[0].splunk)}"
        else:
            query = "| timechart span=1d " + ", ".join(f"sum({label(m.field.splunk)}) as {label(m.label)}" for m in p.metrics)
        more = [("charting.fieldColors", PASS_FAIL)] if p.by and p.by[0].kind == "bool" else []
        return "chart", [query], [("charting.chart", "column"), ("charting.chart.stackMode", "stacked"),
                                  ("charting.axisTitleX.text", "Date"), ("charting.axisTitleY.text", p.metrics[0].label),
                                  ("charting.legend.placement", "right"), ("charting.drilldown", "none"), ("height", "280"), *more]

    def map(self, _board, p):
        # geo_attr_countries and geo_countries come with Splunk: codes to names, and the shapes of these names.
        return "map", [f"| lookup geo_attr_countries iso2 as {label(p.by[0].splunk)} OUTPUT country", self.stats(p, ["country"]),
                       '| geom geo_countries featureIdField="country"'], \
            [("mapping.type", "choropleth"), ("height", "480"), ("drilldown", "none")]

    def table(self, _board, p):
        names = ", ".join(f"{label(f.splunk)} as {label(f.label)}" for f in p.by)
        return "table", [*self.lists(p), self.stats(p, [f.splunk for f in p.by]), f"| sort {p.size} -{label(p.metrics[0].label)}",
                         f"| rename {names}"], [("count", "10"), ("drilldown", "cell"), ("wrap", "true")]

    def samples(self, _board, p):
        columns = " ".join(label(f.splunk) for f in p.by)
        names = ", ".join(f"{label(f.splunk)} as {label(f.label)}" for f in p.by)
        return "table", [f"| sort {p.size} -_time", f"| table {columns}", f"| rename {names}"], \
            [("count", "20"), ("drilldown", "cell"), ("wrap", "true")]

    def drilldown(self, board, p):
        """A click on a pie or a table sets the filter that belongs to it (and "any" in the filter takes it back)."""
        fields = {f.field: f for f in board.filters}
        out = []
        if p.kind == "pie" and p.by[0] in fields:
            out = [f'          <set token="form.{self.token(fields[p.by[0]])}">$click.value$</set>']
        elif p.kind in ("table", "samples"):
            out = [line for f in p.by if f in fields for line in
                   (f'          <condition field="{f.label}">',
                    f'            <set token="form.{self.token(fields[f])}">$click.value2$</set>', "          </condition>")]
            out += ["          <condition></condition>"] if out else []
        return ["        <drilldown>", *out, "        </drilldown>"] if out else []

    def panel(self, board, p):
        element, query, options = getattr(self, p.kind)(board, p)
        click = self.drilldown(board, p)
        if not click and element == "table":
            options = [(k, "none" if k == "drilldown" else v) for k, v in options]
        return ["    <panel>", f"      <title>{escape(p.title)}</title>", f"      <{element}>", '        <search base="base">',
                "          <query>" + escape("\n".join(query)) + "</query>", "        </search>", *[option(*o) for o in options], *click,
                f"      </{element}>", "    </panel>"]

    def text(self, board):
        out = ['<form version="1.1">', f"  <label>{escape(board.title)}</label>", f"  <description>{escape(board.text)}</description>",
               '  <search id="base">', "    <query>" + escape("\n".join(self.base(board))) + "</query>",
               "    <earliest>$time.earliest$</earliest>", "    <latest>$time.latest$</latest>", "  </search>",
               '  <fieldset submitButton="false" autoRun="true">']
        for f in board.filters:
            out += self.input(f)
        out += ['    <input type="time" token="time" searchWhenChanged="true">', "      <label>Time</label>",
                "      <default>", "        <earliest>-30d@d</earliest>", "        <latest>now</latest>", "      </default>", "    </input>",
                "  </fieldset>"]
        for _, panels in board.rows:
            out += ["  <row>", *[line for p in panels for line in self.panel(board, p)], "  </row>"]
        return "\n".join([*out, "</form>"]) + "\n"
