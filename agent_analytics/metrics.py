"""The semantic layer as dbt's manifest has it: metrics, what they are made of, and their dictionary, docs/metrics/."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, field
from functools import cached_property
from operator import itemgetter
from pathlib import Path
from typing import Any

from agent_analytics import manifest
from agent_analytics.manifest import Model
from agent_analytics.storage import PROJECT_ROOT

Node = dict[str, Any]

# Columns that say what a row is, rather than measure it.
DESCRIPTIVE_TYPES = ("varchar", "date", "timestamp")

REFRESH = {
    None: "when events of its sources arrive",
    "instant": "with every load, since its windows end at the data clock",
    "hour": "when events of its sources arrive, and when the data clock enters another hour",
    "day": "when events of its sources arrive, and when the data clock enters another UTC day",
    "local_day": "when events of its sources arrive, and when another day begins where a tenant is",
    "month": "when events of its sources arrive, and when the data clock enters another UTC month",
}


@dataclass(frozen=True)
class Metric:
    """A metric that `mf query` knows.

    column: the column of its mart that it equals at the mart's own grain, if there is one; exact_in_mart: it can't be
    aggregated any further, and is NULL over more than one row of the mart; formula and caveats: for people.
    """

    name: str
    kind: str
    description: str
    unit: str
    mart: str
    column: str | None
    exact_in_mart: bool
    aggregation: str | None
    expression: str | None
    formula: str
    caveats: tuple[str, ...]


@dataclass(frozen=True)
class Mart:
    """A mart as people read about it, be it in the semantic layer or not."""

    name: str
    family: str
    relation: str
    description: str
    key: tuple[str, ...]
    refresh: str
    events: tuple[str, ...]
    caveats: tuple[str, ...]
    columns: dict[str, Node]
    metrics: tuple[Metric, ...] = ()
    group_by: tuple[str, ...] = ()


@dataclass(frozen=True)
class Layer:
    """The manifest's marts, metrics and saved queries, by name."""

    document: Node
    published: dict[str, Model] = field(repr=False)

    @cached_property
    def marts(self) -> dict[str, Node]:
        """The semantic models: each is of a mart, and has its name."""
        return _by_name(self.document["semantic_models"])

    @cached_property
    def metrics(self) -> dict[str, Metric]:
        """The metrics that can be asked for; hidden ones are parts of these."""
        return {name: self._metric(node) for name, node in self._nodes.items() if not _is_hidden(node)}

    @cached_property
    def saved_queries(self) -> dict[str, Node]:
        return _by_name(self.document["saved_queries"])

    def metrics_of(self, mart: str) -> list[Metric]:
        return [metric for metric in self.metrics.values() if metric.mart == mart]

    def relation(self, mart: str) -> str:
        return f"{self.published[mart].schema}.{self.published[mart].relation}"

    def grain(self, mart: str) -> dict[str, str]:
        """What to group by for the rows of a mart: the names of its key's columns to `mf`, and these columns."""
        columns = {column: name for name, column in self.group_by(mart).items()}
        return {columns[column]: column for column in self.published[mart].key}

    def group_by(self, mart: str) -> dict[str, str]:
        """What the metrics of a mart can be grouped by: names to `mf`, and the columns that they stand for."""
        model = self.marts[mart]
        names = {entity["expr"] or entity["name"]: entity["name"] for entity in model["entities"]}
        for dimension in model["dimensions"]:
            column = dimension["expr"] or dimension["name"]
            names[column] = f"{model['primary_entity']}__{dimension['name']}"
            if dimension["name"] == model["defaults"]["agg_time_dimension"]:
                names[column] = f"metric_time__{dimension['type_params']['time_granularity']}"
        return {name: column for column, name in names.items()}

    # What a metric is made of

    @cached_property
    def _nodes(self) -> dict[str, Node]:
        return _by_name(self.document["metrics"])

    def _metric(self, node: Node) -> Metric:
        parameters, meta = node["type_params"], node["config"]["meta"]
        aggregation = parameters["metric_aggregation_params"]
        (mart,) = self._marts_of(node)
        column = meta.get("column", node["name"])
        return Metric(
            name=node["name"],
            kind=node["type"],
            description=node["description"].strip(),
            unit=meta["unit"],
            mart=mart,
            column=column if column in self.published[mart].columns else None,
            exact_in_mart=meta.get("exact") == "mart",
            aggregation=aggregation["agg"] if aggregation else None,
            expression=(parameters["expr"] or node["name"]) if aggregation else None,
            formula=self._formula(node),
            caveats=tuple(self._caveats(node, mart)),
        )

    def _marts_of(self, node: Node) -> set[str]:
        aggregation = node["type_params"]["metric_aggregation_params"]
        if aggregation:
            return {aggregation["semantic_model"]}
        return {mart for used in _inputs(node) for mart in self._marts_of(self._nodes[used["name"]])}

    def _formula(self, node: Node) -> str:
        parameters = node["type_params"]
        if exact := node["config"]["meta"].get("exact"):
            part = self._nodes[parameters["metrics"][1]["name"]]
            return f"{part['type_params']['expr'] or part['name']} of the row" if exact == "mart" else _aggregate(part)
        if node["type"] == "simple":
            return _aggregate(node)
        if node["type"] == "ratio":
            return f"{self._part(parameters['numerator'])} / {self._part(parameters['denominator'])}"
        if node["type"] == "cumulative":
            cumulative = parameters["cumulative_type_params"]
            window, base = cumulative["window"], self._part(cumulative["metric"])
            if window:
                return f"{base} over {window['count']} {window['granularity'].removesuffix('s')}s"
            return f"{base} since the {cumulative['grain_to_date']} began"
        lagged = [
            f"{used['alias']} is {used['name']} {used['offset_window']['count']} days before"
            for used in parameters["metrics"]
            if used["offset_window"]
        ]
        return "; ".join([" ".join(parameters["expr"].split()), *lagged])

    def _part(self, used: Node) -> str:
        """A metric's name, or what it comes to where it is hidden."""
        node = self._nodes[used["name"]]
        return self._formula(node) if _is_hidden(node) else str(node["name"])

    def _caveats(self, node: Node, mart: str) -> Iterator[str]:
        parameters, meta = node["type_params"], node["config"]["meta"]
        exact = meta.get("exact")
        if exact == "mart":
            yield f"only by {', '.join(self.grain(mart))} together; no answer over several rows, which don't add up"
        elif exact:
            (name,) = (name for name, column in self.group_by(mart).items() if column == exact)
            yield f"by {name}; no answer over several of these, which don't add up"
        if self._has_window(node):
            yield "by metric_time__day only"
        elif node["type"] == "cumulative":
            yield "by metric_time only; for a longer period, the value at its end"
        elif any(used.get("offset_window") for used in _inputs(node)):
            yield "by metric_time only"
        aggregation = parameters["metric_aggregation_params"]
        if aggregation and aggregation["non_additive_dimension"]:
            yield "a stock: the last value of the period, never a sum over time"
        if aggregation and aggregation["agg"] in ("count_distinct", "median"):
            yield "exact at any grain, from the rows; parts don't add up"
        if "caveat" in meta:
            yield meta["caveat"]

    def _has_window(self, node: Node) -> bool:
        """Whether it is over a window of days, or made of one that is: by month, `mf` answers for the first day."""
        cumulative = node["type_params"]["cumulative_type_params"] or {}
        return bool(cumulative.get("window")) or any(
            self._has_window(self._nodes[used["name"]]) for used in _inputs(node)
        )

    # What people read

    def describe(self) -> dict[str, list[Mart]]:
        """All marts by family, those without a metric too."""
        nodes = self.document["nodes"]
        found: dict[str, list[Mart]] = {}
        for key in sorted(nodes):
            node = nodes[key]
            if node["resource_type"] == "model" and node["fqn"][1] == "marts":
                found.setdefault(node["fqn"][2], []).append(self._mart(node))
        return dict(sorted(found.items()))

    def _mart(self, node: Node) -> Mart:
        name, meta = node["name"], node["config"].get("meta") or {}
        return Mart(
            name=name,
            family=node["fqn"][2],
            relation=self.relation(name),
            description=" ".join(node["description"].split()),
            key=self.published[name].key,
            refresh=REFRESH[meta.get("boundary")],
            events=tuple(sorted(self._events(node["unique_id"]))),
            caveats=tuple(_mart_caveats(node, meta)),
            columns=node["columns"],
            metrics=tuple(self.metrics_of(name)) if name in self.marts else (),
            group_by=tuple(self.group_by(name)) if name in self.marts else (),
        )

    def _events(self, key: str) -> set[str]:
        """The event types that staging takes for a model, near or far above it."""
        nodes, found, waiting, seen = self.document["nodes"], set(), [key], {key}
        while waiting:
            node = nodes[waiting.pop()]
            found.update((node["config"].get("meta") or {}).get("event_types", ()))
            parents = (nodes.keys() & node["depends_on"].get("nodes", ())) - seen
            seen.update(parents)
            waiting.extend(parents)
        return found


def layer(path: Path | None = None) -> Layer:
    """The semantic layer of the manifest; AnalyticsError if there is none, or it isn't dbt's."""
    families = manifest.read(path).families.values()
    return Layer(manifest.document(path), {model.name: model for family in families for model in family.models})


def _by_name(nodes: dict[str, Node]) -> dict[str, Node]:
    """dbt's own order depends on which files it parsed anew."""
    return {node["name"]: node for node in sorted(nodes.values(), key=itemgetter("name"))}


def _is_hidden(node: Node) -> bool:
    return bool(node["type_params"]["is_private"])


def _inputs(node: Node) -> list[Node]:
    parameters = node["type_params"]
    cumulative = parameters["cumulative_type_params"] or {}
    candidates = [parameters["numerator"], parameters["denominator"], cumulative.get("metric")]
    return [used for used in (*candidates, *(parameters["metrics"] or ())) if used]


def _aggregate(node: Node) -> str:
    aggregation = node["type_params"]["metric_aggregation_params"]
    expression = node["type_params"]["expr"] or node["name"]
    if aggregation["agg"] == "count":
        return "number of rows"
    if aggregation["agg"] == "sum_boolean":
        return f"number of rows with {expression}"
    words = {"count_distinct": "count(distinct {})", "average": "avg({})"}
    return str(words.get(aggregation["agg"], aggregation["agg"] + "({})").format(expression))


def _mart_caveats(node: Node, meta: Node) -> Iterator[str]:
    columns = node["columns"]
    if "date" in columns or "month" in columns:
        local = "tenant's time zone" in (columns.get("date") or columns["month"])["description"]
        yield "Its days are those of the tenant's time zone." if local else "Its days are UTC's."
    if meta.get("boundary") and ("date" in columns or "month" in columns or "week" in columns):
        yield "The newest period goes on changing until it is over."
    if "merged_groups" in meta:
        yield "Small locales are merged (k-anonymity), so that locale is no complete breakdown."
    if manifest.STALE_ROWS_BY in meta:
        yield "Rows of a family that failed its gate are those published last: is_stale says so."


# The dictionary

FOLDER = PROJECT_ROOT / "docs" / "metrics"

INDEX = """\
# Metrics

{metrics} metrics over {marts} marts, asked by name: `mf` knows the mart, the rows and the formula. These pages are made
by `agent-analytics metrics docs`, of the marts' yml files.

```sh
mf query --metrics execution_success_rate,execution_cost_usd --group-by metric_time__month,tenant
mf query --metrics p95_duration_ms --group-by metric_time__day,tenant,provider,execution_day__task_type
mf query --saved-query value_stream_board
mf list dimensions --metrics deployments
```

`mf` reads what is published. What can't be added up, a percentile or a number of distinct users, has an answer only by
all that tells its mart's rows apart; over more than one row it is empty, never wrong.

| family | what of | owner | metrics |
| --- | --- | --- | --- |"""


def pages(found: Layer) -> dict[str, str]:
    """The dictionary's files by name: README.md and one page a family."""
    families = found.describe()
    groups = {group["name"]: group for group in found.document["groups"].values()}
    written = {f"{family}.md": _page(family, groups[family], marts) for family, marts in families.items()}
    return {"README.md": _index(families, groups, found), **written}


def _index(families: dict[str, list[Mart]], groups: Node, found: Layer) -> str:
    lines = [INDEX.format(metrics=len(found.metrics), marts=len(found.marts))]
    for family, marts in families.items():
        count = sum(len(mart.metrics) for mart in marts)
        owner, what = groups[family]["owner"]["name"], _cell(groups[family]["description"])
        lines.append(f"| [{family}]({family}.md) | {what} | {owner} | {count} |")
    lines += ["", "## Boards", "", "Saved queries, for `mf query --saved-query NAME`.", ""]
    lines += ["| board | what it shows | metrics |", "| --- | --- | --- |"]
    for name, query in found.saved_queries.items():
        shown = ", ".join(query["query_params"]["metrics"])
        lines.append(f"| `{name}` | {_cell(query['description'])} | {shown} |")
    lines += ["", "## All metrics", ""]
    of = {metric.name: mart.family for marts in families.values() for mart in marts for metric in mart.metrics}
    lines += [f"- [`{name}`]({of[name]}.md): {_cell(found.metrics[name].description)}" for name in sorted(of)]
    return "\n".join(lines) + "\n"


def _page(family: str, group: Node, marts: list[Mart]) -> str:
    lines = [f"# {family}", "", f"{_cell(group['description'])} Owner: {group['owner']['name']}.", ""]
    for mart in marts:
        lines += [f"## {mart.relation}", "", mart.description, ""]
        lines += [
            f"- **Grain:** {', '.join(mart.key)}",
            f"- **Source events:** {', '.join(mart.events)}",
            f"- **Refresh:** {mart.refresh}",
        ]
        if mart.group_by:
            lines.append(f"- **Group by:** {', '.join(mart.group_by)}")
        if mart.caveats:
            lines.append(f"- **Caveats:** {' '.join(mart.caveats)}")
        lines.append("")
        if mart.metrics:
            lines += ["| metric | meaning | formula | unit | caveats |", "| --- | --- | --- | --- | --- |"]
            lines += [
                f"| `{metric.name}` | {_cell(metric.description)} | {_cell(metric.formula)} | {_cell(metric.unit)}"
                f" | {_cell('; '.join(metric.caveats))} |"
                for metric in mart.metrics
            ]
            lines.append("")
        told = {metric.column for metric in mart.metrics} | {*mart.key, "loaded_through"}
        rest = [c for name, c in mart.columns.items() if name not in told and c["data_type"] not in DESCRIPTIVE_TYPES]
        if rest:
            lines += ["In the mart itself:" if not mart.metrics else "In the mart alone:", ""]
            lines += ["| column | meaning |", "| --- | --- |"]
            lines += [f"| `{column['name']}` | {_cell(column['description'])} |" for column in rest]
            lines.append("")
    return "\n".join(lines)


def _cell(text: str) -> str:
    return " ".join(text.split()).replace("|", "\\|")
