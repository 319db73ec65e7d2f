"""The program that draws a report's pictures: `python -m infra_console.reports.draw`.

It is a process of its own, so that a browser that hangs is ended with it. Reads
{name: Plotly document} as JSON from standard input, writes {name: PNG as base64} to standard
output. Nothing is fetched: Plotly's own script comes from its package, and no MathJax.
"""

import base64
import json
import sys

SCALE = 2


def main() -> None:
    import kaleido  # noqa: PLC0415  takes a second, and only this process needs it

    figures = json.load(sys.stdin)
    kaleido.start_sync_server(n=1, timeout=20, mathjax=False)
    try:
        drawn = {
            name: base64.b64encode(
                kaleido.calc_fig_sync(figure, opts={"format": "png", "scale": SCALE})
            ).decode()
            for name, figure in figures.items()
        }
    finally:
        kaleido.stop_sync_server()
    json.dump(drawn, sys.stdout)


if __name__ == "__main__":
    main()
