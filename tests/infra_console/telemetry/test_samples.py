"""Big answers are read as arrays and say the same as JSON would; memory stays small."""

import json
from datetime import UTC, datetime

import numpy as np
import pytest

from infra_console.telemetry.adapters.prometheus import PrometheusSource
from infra_console.telemetry.adapters.samples import read_answer
from infra_console.telemetry.series import as_value
from tests.infra_console.telemetry.liar import body, liar
from tests.infra_console.telemetry.test_faults import memory_grows_by

TEXTS = ["NaN", "+Inf", "-Inf", "1e308", "9223372036854775794", "0", "-1.5e-3", "7"]
ODD = '"values":[[1,"2"]]'  # a label that looks like samples


def matrix(*series: dict[str, object], compact: bool = True) -> bytes:
    sent = {"status": "success", "data": {"resultType": "matrix", "result": list(series)}}
    return json.dumps(sent, separators=(",", ":") if compact else (", ", ": ")).encode()


@pytest.mark.parametrize("compact", [True, False])
def test_arrays_say_what_the_lists_said(compact: bool) -> None:
    pairs = [[1700000000.25 + i, text] for i, text in enumerate(TEXTS)]
    found = read_answer(
        matrix(
            {"metric": {"a": ODD, "values": "x"}, "values": pairs},
            {"metric": {}, "values": [[1, "2"]]},
            {"metric": {"empty": ""}, "values": []},
            compact=compact,
        )
    )
    first, second, empty = found["data"]["result"]
    times, values = first["values"]
    assert times.tolist() == [1700000000.25 + i for i in range(len(TEXTS))]
    np.testing.assert_array_equal(values, [as_value(text) for text in TEXTS])
    assert first["metric"] == {"a": ODD, "values": "x"}
    assert [array.tolist() for array in second["values"]] == [[1.0], [2.0]]
    assert empty["values"] == []


@pytest.mark.parametrize("text", ["one", "fae", "", "1,2"])
def test_a_sample_that_is_no_number_is_refused(text: str) -> None:
    with pytest.raises(ValueError, match=r"no number|could not convert"):
        read_answer(matrix({"metric": {}, "values": [[1, text], [2, "3"]]}))


def test_an_answer_close_to_the_cap_costs_little_more_than_itself() -> None:
    pairs = [[1700000000 + 600 * i, "0.123456"] for i in range(4032)]
    text = matrix(*({"metric": {"n": str(i)}, "values": pairs} for i in range(300)))
    assert 25 * 2**20 < len(text) < 32 * 2**20
    with liar(body(text)) as server, memory_grows_by(200):
        answer = PrometheusSource(server.url, timeout_s=60).instant(
            "x", at=datetime(2026, 1, 1, tzinfo=UTC)
        )
    assert len(answer.series) == 300
    assert answer.series[0].values.tolist() == [0.123456] * 4032
