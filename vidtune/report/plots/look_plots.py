"""What trained models see: the classes that zero-shot CLIP is worst in, attention, merged tokens.

Made of what `vidtune look` wrote; its clips follow from the test list alone.
Shapes: T frames, S pixels of a frame's side, G x G patches of a frame.
"""

import textwrap
from collections import Counter
from typing import Any

import numpy as np
from matplotlib import colormaps
from matplotlib.axes import Axes
from matplotlib.collections import LineCollection
from numpy.typing import NDArray

from vidtune.plan import Plan
from vidtune.report.numbers.looks import Look, read_looks
from vidtune.report.numbers.result_files import Outcomes
from vidtune.report.numbers.rows import Row
from vidtune.report.plots import style
from vidtune.report.plots.mosaic import Block, Image, corner, enlarged, mosaic
from vidtune.report.plots.style import Drawn, Facts

WORST = 10  # classes
RULE = (
    "The clips are the first test clip of each of the first classes in the dataset's own order, or, "
    "where clips have no class, the first test clips: none was picked by what it shows."
)
NAMED = 7  # tokens that have a colour
TINT, HEAT = 0.55, 0.7  # of a colour over a patch


def _absent(plan: Plan) -> str:
    return f"no trained model has been looked into for it at scale {plan.scale.name}"


def _of(look: Look) -> str:
    old = "; made by code that has changed since" if look.stale else ""
    return f"{look.run} after the last training step{old}"


def classes(plan: Plan, rows: list[Row], outcomes: Outcomes) -> Drawn | str:
    """The classes in which zero-shot CLIP is worst, and what the trained model reaches there."""
    looks = [look for look in read_looks(plan, "classes") if "classes" in look.facts]
    if not looks:
        return _absent(plan)
    data = [f for look in looks for f in _class_facts(look)]
    most = max(sum(d["shown"] for d in data if d["run"] == look.run) for look in looks)
    figure, axes = style.canvas(len(looks), 0.75 + 0.22 * most, across=1)
    for panel, look in zip(axes, looks, strict=True):
        mine = [d for d in data if d["run"] == look.run and d["shown"]]
        _class_bars(panel, mine, look)
    style.legend(figure, axes)
    first, facts = looks[0], looks[0].facts
    unseen = (
        " CLIP was trained on stills here, whose captions hold no word of motion, so that its zero-shot "
        "answers are guesses."
        if facts["generated"]
        else ""
    )
    caption = (
        f"The {WORST} classes at most in which zero-shot CLIP is worst, by its accuracy on the test clips "
        "(the mean of its frames' features against the classes' names), beside "
        f"{'; '.join(map(_of, looks))}. One view of each clip, at scale {plan.scale.name}.{unseen}"
    )
    gains = [d["learned_percent"] - d["zero_shot_percent"] for d in data if d["shown"]]
    title = (
        f"Where zero-shot CLIP is worst, training gains {min(gains):+.0f} to {max(gains):+.0f} points "
        f"(after {first.run.split('/')[0]}'s {first.figure.where})"
    )
    return Drawn(figure, title, caption, data, "Pairs of bars, a pair for each class.")


def _class_facts(look: Look) -> list[Facts]:
    """A line for every class, those with the lowest zero-shot accuracy first."""
    c = look.facts["classes"]
    lines = [
        {
            "run": look.run,
            "class": name,
            "clips": n,
            "zero_shot_percent": 100 * zero_shot,
            "learned_percent": 100 * learned,
        }
        for name, n, zero_shot, learned in zip(
            c["names"], c["n"], c["zero_shot"], c["learned"], strict=True
        )
        if n
    ]
    lines.sort(key=lambda d: d["zero_shot_percent"])
    return [{**d, "shown": k < WORST} for k, d in enumerate(lines)]


def _class_bars(axes: Axes, data: list[Facts], look: Look) -> None:
    bars = {
        "zero_shot_percent": ("zero-shot CLIP", 1, -0.2),
        "learned_percent": ("trained", 0, 0.2),
    }
    for key, (label, k, at) in bars.items():
        places = [y + at for y in range(len(data))]
        values = [d[key] for d in data]
        axes.barh(places, values, height=0.36, color=style.SERIES[k], label=label)
        for y, x in zip(places, values, strict=True):
            axes.text(x + 0.8, y, f"{x:.0f}", va="center", fontsize=style.SMALL)
    gains = [f"{d['class']}  {d['learned_percent'] - d['zero_shot_percent']:+.0f}" for d in data]
    axes.set_yticks(range(len(data)), gains)
    axes.set(xlim=(0, 108), ylim=(len(data) - 0.4, -0.6), xlabel="accuracy in the class, %")
    axes.set_title(f"class, and the gain of {look.run.split('@')[0]}", fontsize=7)
    axes.grid(axis="y", visible=False)


def attention(plan: Plan, rows: list[Row], outcomes: Outcomes) -> Drawn | str:
    """Where CLIP's [CLS] and the side network look, on the frames of some test clips."""
    looks = [look for look in read_looks(plan, "attention") if "side_attention" in look.arrays]
    if not looks:
        return _absent(plan)
    look = looks[0]
    maps = {"CLIP": look.arrays["clip_attention"], "side": look.arrays["side_attention"]}
    frames = look.arrays["frames"]
    blocks = [
        Block(
            (_title(clip), "CLIP", "side network"),
            (list(frames[k]), *(_heat(frames[k], m[k]) for m in maps.values())),
        )
        for k, clip in enumerate(look.facts["clips"])
    ]
    drawn, _ = mosaic(blocks)
    data = [
        {
            "run": look.run,
            "clip": clip["id"],
            "network": name,
            "frame": t,
            "row": i,
            "column": j,
            "share": float(m[k, t, i, j]),
        }
        for k, clip in enumerate(look.facts["clips"])
        for name, m in maps.items()
        for t, i, j in np.ndindex(m.shape[1:])
    ]
    caption = (
        f"{_of(look)}. For each clip its frames, what the trunk's last [CLS] attends to, and what the "
        "patches of the side network's last block attend to, in the mean over patches and heads: it has "
        "no [CLS], and the paper does not say how its map is made. Bright: more than an equal share of a "
        f"frame's attention, up to the clip's largest. {RULE}"
    )
    where = f"{look.run.split('/')[0]}'s {look.figure.where}"
    title = f"Where do CLIP and the side network look? After {where}"
    return Drawn(drawn, title, caption, data, "Rows of video frames with attention as heat.")


def _title(clip: dict[str, Any]) -> str:
    text = clip["caption"] or clip["label"] or clip["id"]
    return textwrap.fill(textwrap.shorten(text, 44, placeholder=" ..."), 17)


def _heat(frames: Image, maps: NDArray[Any]) -> list[Image]:
    """The frames of a clip (T, S, S, 3), grey, with attention (T, G, G) as heat over them."""
    low, high = 1 / maps[0].size, maps.max()
    heat = np.clip((maps - low) / max(high - low, 1e-9), 0, 1)
    out = []
    for frame, one in zip(frames, heat, strict=True):
        large = enlarged(one, frame.shape[0])  # (S, S)
        colour = colormaps["viridis"](large)[..., :3] * 255
        grey = frame.mean(axis=-1, keepdims=True)
        out.append(((1 - HEAT) * grey + HEAT * colour).astype(np.uint8))
    return out


def merges(plan: Plan, rows: list[Row], outcomes: Outcomes) -> Drawn | str:
    """Which patches of which frames became one token, drawn on the frames of some test clips."""
    looks = [look for look in read_looks(plan, "merges") if "token" in look.arrays]
    if not looks:
        return _absent(plan)
    look = looks[0]
    token, frames, clips = look.arrays["token"], look.arrays["frames"], look.facts["clips"]
    ranks = [_largest(one) for one in token]
    blocks = [
        Block(
            (_title(clip),),
            ([_tinted(*pair, ranks[k]) for pair in zip(frames[k], token[k], strict=True)],),
        )
        for k, clip in enumerate(clips)
    ]
    figure, axes = mosaic(blocks)
    for k, t in np.ndindex(*token.shape[:2]):
        _borders(axes[k], token[k, t], ranks[k], frames.shape[2], t)
    data = [
        {
            "run": look.run,
            "clip": clip["id"],
            "frame": t,
            "row": i,
            "column": j,
            "token": int(token[k, t, i, j]),
        }
        for k, clip in enumerate(clips)
        for t, i, j in np.ndindex(token.shape[1:])
    ]
    several = np.mean([count for one in token for count in _frames_of(one)])
    caption = (
        f"{_of(look)}. The {NAMED} tokens of a clip that stand for most patches have a colour and a "
        "number, the same in all frames; lines part patches that end in different tokens. Other "
        "patches are tokens of fewer patches or their own. On average a token that stands for several "
        f"patches has them in {several:.1f} of {token.shape[1]} frames. {RULE}"
    )
    left = np.mean([len(np.unique(one)) for one in token])
    end = f"{token[0].size} patches of a clip end in {left:.0f} tokens"
    title = f"Which patches became one token? {end}"
    return Drawn(figure, title, caption, data, "Rows of video frames with patches in colours.")


def _largest(token: NDArray[Any]) -> dict[int, int]:
    """Token -> its rank among a clip's, of those that stand for most patches, and for two at least."""
    counts = Counter(token.flatten().tolist())
    order = sorted(counts.items(), key=lambda item: (-item[1], item[0]))
    return {name: k for k, (name, n) in enumerate(order[:NAMED]) if n > 1}


def _frames_of(token: NDArray[Any]) -> list[int]:
    """In how many frames each token of (T, G, G) that stands for several patches has one."""
    return [
        int((token == one).any(axis=(1, 2)).sum())
        for one in np.unique(token)
        if (token == one).sum() > 1
    ]


def _tinted(frame: Image, token: NDArray[Any], rank: dict[int, int]) -> Image:
    """A frame (S, S, 3) whose patches of the largest tokens have their colour."""
    out = frame.astype(float)
    of = enlarged(token, frame.shape[0])
    for name, k in rank.items():
        rgb = [int(style.SERIES[k][i : i + 2], 16) for i in (1, 3, 5)]
        out[of == name] = (1 - TINT) * out[of == name] + TINT * np.array(rgb)
    return out.astype(np.uint8)


def _borders(axes: Axes, token: NDArray[Any], rank: dict[int, int], side: int, t: int) -> None:
    """Lines between patches of different tokens of frame t, and the numbers of the largest ones."""
    g = len(token)
    step, (left, top) = side / g, corner(side, 0, t)
    lines = []
    for i, j in np.ndindex(g, g):
        x, y = left + j * step, top + i * step
        if j and token[i, j] != token[i, j - 1]:
            lines.append([(x, y), (x, y + step)])
        if i and token[i, j] != token[i - 1, j]:
            lines.append([(x, y), (x + step, y)])
        if token[i, j] in rank and (g <= 8 or (i + j) % 2):
            look = {"ha": "center", "va": "center", "fontsize": 4.5 if g <= 8 else 2.5}
            axes.text(x + step / 2, y + step / 2, f"{rank[token[i, j]] + 1}", color="white", **look)
    axes.add_collection(LineCollection(lines, colors="white", linewidths=0.5 if g <= 8 else 0.25))
