"""What a person sees of an asset and of a result in the UI: definitions, metadata, links from figures to samples."""

import re
from pathlib import Path
from urllib.parse import unquote

import dagster as dg
import polars as pl
import pytest

from calib_assets.assets import GRAPH
from calib_assets.assets.appearance import owners
from calib_assets.assets.materialization import INLINE, metadata_of, samples_behind
from calib_assets.definitions import build_defs
from calib_assets.staleness.run import Outcome

PARTITION_PAGE = re.compile(r"\(/assets/(\w+)\?view=partitions&partition=([^)]+)\)")


@pytest.fixture(scope="module")
def shown(finished):
    """(asset, cell) -> metadata of its result."""
    view = finished[0].view()
    pairs = [(key, cell) for key in GRAPH.nodes for cell in GRAPH.cells(key, view.study)]
    return {pair: metadata_of(Outcome("hit", view.store.current(*pair)), view) for pair in pairs}


@pytest.fixture(scope="module")
def specs():
    return {spec.key.to_user_string(): spec for spec in build_defs().resolve_all_asset_specs()}


def test_every_asset_has_group_kind_owner_tags_and_description(specs):
    for key in GRAPH.nodes:
        spec = specs[key]
        assert spec.group_name == GRAPH.nodes[key].group
        assert spec.group_name in {"shape", "order", "canopy", "cases", "report"}
        assert spec.kinds and spec.owners == ["team:evaluation"] and spec.tags["calib/work"]
        assert len(spec.description) > 80
    assert all(specs[name].kinds == {"yaml"} and specs[name].group_name == "specs" for name in GRAPH.specs)


def test_kinds_and_work_say_what_runs(specs):
    assert specs["exact_logit_cache"].kinds == {"pytorch", "huggingface", "polars"}
    assert specs["judge_labels"].kinds >= {"openai", "polars", "matplotlib"}
    assert specs["report"].kinds == specs["explorer"].kinds == {"html"}
    work = {key: specs[key].tags["calib/work"] for key in GRAPH.nodes}
    assert work["rollouts"] == "model" and work["similarity_labels"] == "judge"
    assert work["rollout_embeddings"] == "encoder" and work["calibration_gap"] == "cpu"


def test_code_references_reach_the_formula(specs):
    for key in GRAPH.nodes:
        for found in specs[key].metadata["dagster/code_references"].code_references:
            line = Path(found.file_path).read_text().splitlines()[found.line_number - 1]
            assert line.startswith(("def ", "@")), (key, found)
    labels = [found.label for found in specs["theory_bounds"].metadata["dagster/code_references"].code_references]
    assert labels == ["theory_bounds", "metrics.theory.theory_e3", "metrics.theory.theory_f4"]
    behind = specs["beta_regression"].metadata["dagster/code_references"].code_references
    assert "stats.beta_regression.fit.fit_beta_mixed" in [found.label for found in behind]


@pytest.mark.parametrize(("value", "wanted"), [("team:a, ada@example.org", ["team:a", "ada@example.org"]), ("", [])])
def test_owners_come_from_the_environment(monkeypatch, value, wanted):
    monkeypatch.setenv("CALIB_OWNERS", value)
    assert owners() == wanted


@pytest.mark.parametrize("value", ["nobody", "team:", "@", "team:a,ada"])
def test_bad_owner_is_named(monkeypatch, value):
    monkeypatch.setenv("CALIB_OWNERS", value)
    with pytest.raises(ValueError, match=r"CALIB_OWNERS names '(nobody|team:|@|ada)'; give teams as team:<name>"):
        owners()


def test_every_result_shows_its_columns_with_their_meaning(shown):
    for (key, cell), entries in shown.items():
        schemas = [value for value in entries.values() if isinstance(value, dg.TableSchema)]
        schemas += [value.schema for value in entries.values() if isinstance(value, dg.TableSchemaMetadataValue)]
        assert schemas or key.endswith(("_section", "_explorer")) or key in ("report", "explorer"), key
        assert all(column.description for schema in schemas for column in schema.columns), (key, cell)


def test_column_types_are_those_of_the_table(finished, shown):
    view, pair = finished[0].view(), ("rollouts", ("alpha", "letters"))
    table = view.store.table(*pair, "rollouts")
    columns = shown[pair]["dagster/column_schema"].columns
    assert [column.name for column in columns] == table.columns
    assert {column.name: column.type for column in columns}["step_entropy"] == "list(float64)"


def test_first_rows_are_the_table_s_and_plain_text(finished, shown):
    view, pair = finished[0].view(), ("completions", ("alpha", "letters"))
    table = view.store.table(*pair, "completions").head(5)
    records = [record.data for record in shown[pair]["first rows of completions"].records]
    assert [record["response"] for record in records] == table["response"].to_list()
    assert [record["node"] for record in records] == table["node"].to_list()
    sweep = shown["decoding_sweep", ("alpha", "digits")]["first rows of decoding_sweep"].records
    assert "-inf" in [record.data["log_validity"] for record in sweep]  # the UI cannot read an infinite number


def test_figures_are_small_pictures(shown):
    figures = {key: entries["figure"].value for (key, _), entries in shown.items() if "figure" in entries}
    computed = {key for key, _ in shown}  # a study without coding rows draws no programs
    assert set(figures) == {node.key for node in GRAPH.nodes.values() if node.preview is not None} & computed
    assert len(figures) > 10
    for text in figures.values():
        assert re.fullmatch(r"!\[\w+\]\(data:image/png;base64,[A-Za-z0-9+/=]{500,70000}\)", text)


def test_made_from_links_to_every_input_and_fits_in_place(finished, shown):
    view = finished[0].view()
    for (key, cell), entries in shown.items():
        text = entries["made from"].value
        assert len(text) < INLINE
        wanted = list(view.graph.upstream(key, cell, view.study))
        more = re.search(r"and (\d+) more", text)
        assert text.count("](/assets/") == len(wanted) - (int(more.group(1)) if more else 0)
        for asset, partition in PARTITION_PAGE.findall(text):
            assert (asset, tuple(unquote(partition).split("|"))) in wanted
    assert "and" in shown["report", ()]["made from"].value


def test_a_figure_leads_back_to_the_samples_behind_it(finished, shown):
    text = shown["precision_recall_frontier", ("beta", "letters")]["samples behind it"].value
    found = {(asset, unquote(partition)) for asset, partition in PARTITION_PAGE.findall(text)}
    wanted = ("prefixes", "sweep_tree", "completions", "judge_labels")
    assert found == {(asset, "beta|letters") for asset in wanted}
    manifest = finished[0].view().store.current("canopy_comparison", ())
    behind = samples_behind(manifest, finished[0].view())
    assert ("rollouts", ()) in behind and ("external_data", ()) in behind


def test_texts_of_models_are_never_read_as_markup(finished):
    view = finished[0].view()
    for key in ("rollouts", "completions", "judge_labels"):
        for cell in GRAPH.cells(key, view.study):
            entries = metadata_of(Outcome("hit", view.store.current(key, cell)), view)
            markup = {name for name, value in entries.items() if isinstance(value, dg.MarkdownMetadataValue)}
            assert markup <= {"figure", "made from", "samples behind it"}


def test_expected_work_stands_beside_what_was_computed(finished):
    view, pair = finished[0].view(), ("completions", ("alpha", "letters"))
    manifest = view.store.current(*pair)
    expected = metadata_of(Outcome("computed", manifest), view)["forward tokens, at most"]
    assert expected == GRAPH.nodes["completions"].work(view, pair[1]).forward_tokens
    used = view.store.table(*pair, "completions").select(pl.col("n_tokens").sum()).item()
    assert 0 < used <= expected
    assert "forward tokens, at most" not in metadata_of(Outcome("hit", manifest), view)


def test_a_run_launched_by_hand_bears_study_and_fingerprint(workplace, instance):
    workplace.refresh(instance)  # makes the partitions
    job = workplace.definitions().resolve_implicit_global_asset_job_def()
    keys = [dg.AssetKey("model_scaling"), dg.AssetKey("judge_agreement")]
    for chosen in (keys[:1], keys):
        run = job.get_subset(asset_selection=set(chosen), asset_check_selection=set())
        tags = instance.get_run_by_id(run.execute_in_process(instance=instance).run_id).tags
        assert tags["calib/study"] == "chains"
        one = workplace.store.open().current("model_scaling", ()).fingerprint
        assert (tags["calib/fingerprint"] == one) == (len(chosen) == 1) and len(tags["calib/fingerprint"]) == len(one)
