"""The published schemas say what the models say."""

from infra_console.api.management.commands.schemas import schema_files


def test_published_schemas_are_current():
    outdated = [p.name for p, text in schema_files().items() if p.read_text() != text]
    assert not outdated, f"run `manage.py schemas`: {outdated}"
