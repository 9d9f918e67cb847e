"""Draw three real traces side by side: the picture of the guide to workloads.

python examples/three_traces.py FOLDER [OUT.html|OUT.png]

FOLDER holds the traces as the guide names them.
"""

import sys
from pathlib import Path

import numpy as np
from plotly.subplots import make_subplots

from workloads import read_trace
from workloads.traces import Counts, Events

TRACES = {
    "Azure LLM 2023, code (10 s bins)": ("azure_llm_2023/AzureLLMInferenceTrace_code.csv", 10.0),
    "Azure LLM 2023, conversation (10 s bins)": ("azure_llm_2023/AzureLLMInferenceTrace_conv.csv", 10.0),
    "World Cup 1998, whole (1 h bins)": ("worldcup98/invocation_count.csv", 3600.0),
}


def rate(content: Events | Counts, bin_s: float) -> tuple[np.ndarray, np.ndarray]:
    """Return the middle of each whole bin, in hours, and its rate a second."""
    if isinstance(content, Counts):
        base = content.counts.sum(axis=0)
        factor = round(bin_s / content.bin_s)
        counts = base[: len(base) // factor * factor].reshape(-1, factor).sum(axis=1)
    else:
        counts = np.bincount((content.times_s // bin_s).astype(int))[:-1]
    return (np.arange(len(counts)) + 0.5) * bin_s / 3600, counts / bin_s


def main(folder: Path, out: Path) -> None:
    """Draw the picture."""
    figure = make_subplots(rows=3, cols=1, subplot_titles=list(TRACES), vertical_spacing=0.1)
    for row, (name, bin_s) in enumerate(TRACES.values(), 1):
        x, y = rate(read_trace(folder / name).content, bin_s)
        figure.add_scatter(x=x, y=y, line={"color": "#0072B2", "width": 1}, showlegend=False, row=row, col=1)
        figure.update_yaxes(title="requests / s", rangemode="tozero", row=row)
        figure.update_xaxes(title="time (h)", row=row)
    figure.update_layout(template="plotly_white", width=980, height=820, margin={"t": 40, "b": 50})
    figure.write_html(out) if out.suffix == ".html" else figure.write_image(out, scale=2)
    print(out)


if __name__ == "__main__":
    main(Path(sys.argv[1]), Path(sys.argv[2] if len(sys.argv) > 2 else "traces.html"))
