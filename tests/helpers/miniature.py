"""Each real dataset with a handful of clips, in the very files and forms its owner publishes."""

import json
import pickle
from collections.abc import Callable
from pathlib import Path

from helpers.miniature_recognition import kinetics, something_v1, something_v2
from helpers.served import Server
from helpers.staged import Miniature, Truth, ids, tarred, video, zipped
from vidtune.spec import Dataset


def msrvtt(train: str = "MSRVTT_train.9k.csv", folder: str = "msrvtt_data") -> Miniature:
    truth: Truth = {
        "train": {f"video{i}": (f"a man says {i}", 'he says "hi", twice') for i in range(4)},
        "test": {f"video{i}": (f"a dog, number {i}, runs",) for i in (7010, 7011, 7012)},
    }
    sentences = [
        {"caption": c, "video_id": i, "sen_id": 0} for i, cs in truth["train"].items() for c in cs
    ]
    sentences += [{"caption": "not of the test list", "video_id": i} for i in truth["test"]]
    urls = {i: f"https://www.youtube.com/watch?v={i}" for split in truth.values() for i in split}
    urls["video7010"] = urls["video0"]  # as in the official split
    content = {
        "info": {},
        "videos": [{"video_id": i, "url": u, "category": 1} for i, u in urls.items()],
        "sentences": sentences,
    }
    rows = [f'ret{k},msr{i},{i},"{c[0]}"' for k, (i, c) in enumerate(truth["test"].items())]
    lists = {
        f"{folder}/{train}": ids(["video_id", *truth["train"]], "\r\n"),
        f"{folder}/MSRVTT_JSFUSION_test.csv": ids(["key,vid_key,video_id,sentence", *rows]),
        f"{folder}/MSRVTT_data.json": json.dumps(content).encode(),
    }
    present = [i for i in urls if i != "video7012"]
    clips = {f"MSRVTT/videos/all/{i}.mp4": video() for i in [*present, "video9999"]}
    return Miniature(
        {"MSRVTT.zip": zipped(clips), "msrvtt_data.zip": zipped(lists)}, truth, absent={"test": 1}
    )


def msvd() -> Miniature:
    truth: Truth = {
        "train": {f"-4wsuPCjDBc_{i}_{i + 9}": ("a squirrel eats", f"nuts {i}") for i in range(3)},
        "val": {"mv89psg6zh4_33_46": ("a bird in a sink",)},
        "test": {"KPPCwmU5OHQ_0_7": ("one", "two", "three"), "klteYv1Uv9A_27_33": ("a kangaroo",)},
    }
    words = {i: [c.split() for c in cs] for split in truth.values() for i, cs in split.items()}
    lists = {f"msvd_data/{s}_list.txt": ids(truth[s]) for s in truth}
    lists["msvd_data/raw-captions.pkl"] = pickle.dumps(words, protocol=2)
    clips = {f"YouTubeClips/{i}.avi": video("avi") for i in words if i != "mv89psg6zh4_33_46"}
    return Miniature(
        {"YouTubeClips.tar": tarred(clips), "msvd_data.zip": zipped(lists)},
        truth,
        absent={"val": 1},
    )


def vatex() -> Miniature:
    truth: Truth = {
        "train": {
            f"Ptf_2VRj-V0_{i:06d}_{i + 10:06d}": ("a boy jumps", f"leap {i}") for i in range(3)
        },
        "val": {"3WHaMLKPYk8_000003_000013": ("rowing", "a boat")},
        "test": {"xGR41_-iTZw_000042_000052": ("skiing", "snow"), "a_000000_000010": ("a", "b")},
    }
    of = {
        "vatex_training_v1.0.json": truth["train"],
        "vatex_validation_v1.0.json": truth["val"] | truth["test"],
    }
    files = {
        name: json.dumps(
            [{"videoID": i, "enCap": list(c), "chCap": ["\u4e00"]} for i, c in clips.items()]
        ).encode()
        for name, clips in of.items()
    }
    files |= {f"{s}_list.txt": ids(truth[s]) for s in truth}
    clips = {f"{i}.mp4": video() for split in truth.values() for i in split}
    return Miniature(files | {"vatex_videos.tar": tarred(clips)}, truth)


def activitynet() -> Miniature:
    sentences = {
        "train": {
            "v_QOlSCBRmfWY": ["A girl dances. ", " She bows."],
            "v_ehGHCYKzyZ8": ["He rows."],
        },
        "val": {
            "v_uqiMw7tQ1Cc": ["Weights.", "He lifts them.", "The end."],
            "v_bXdq2zI1Ms0": ["x"],
        },
    }
    files = {}
    for split, name in (("train", "train"), ("val", "val_1")):
        files[f"{split}_ids.json"] = json.dumps(
            [*sentences[split], next(iter(sentences[split]))]
        ).encode()
        files[f"{name}.json"] = json.dumps(
            {
                i: {"duration": 0.36, "timestamps": [[0, 0.3]] * len(s), "sentences": s}
                for i, s in sentences[split].items()
            }
        ).encode()
    truth: Truth = {
        split: {i[2:]: (" ".join(s).strip(),) for i, s in some.items()}
        for split, some in sentences.items()
    }
    clips = {f"v1-2/train/{i}.mp4": video() for i in sentences["train"]}
    clips |= {"v1-3/val/uqiMw7tQ1Cc.mkv": video("mkv")}  # files may do without v_
    return Miniature(
        {"captions.zip": zipped(files), "v1-2_train.tar.gz": tarred(clips, "w:gz")},
        truth,
        absent={"val": 1},
    )


def didemo() -> Miniature:
    sentences = {
        "train": {"54322086@N00_2408598493_274c77d26a.avi": ["a dog", "it barks"]},
        "val": {"12090392@N02_13482799053_87ef417396.mov": ["rain"]},
        "test": {"10015077@N08_6315640379_5dcf4fd5b1.m4v": ["first", "then", "last"]},
    }
    files = {
        f"{split}_data.json": json.dumps(
            [
                {"annotation_id": k, "video": i, "description": d, "times": [[0, 0], [1, 2]]}
                for i, ds in some.items()
                for k, d in enumerate(ds)
            ]
        ).encode()
        for split, some in sentences.items()
    }
    truth: Truth = {
        s: {i: (" ".join(d),) for i, d in some.items()} for s, some in sentences.items()
    }
    # 40 s, of which seconds 0 to 31 are read
    clips = {i: video("avi", 40, 1) for i in sentences["train"]}
    clips |= {i.replace(".mov", ".mp4"): video("mp4", 40, 1) for i in sentences["val"]}
    clips |= {i: video("mkv", 40, 1) for i in sentences["test"]}
    return Miniature(files | {"didemo_videos.zip": zipped(clips)}, truth, frames=32)


def lsmdc() -> Miniature:
    film = "1001_Flight"
    truth: Truth = {
        "train": {
            f"{film}_00.00.01.000-00.00.02.000": (
                "SOMEONE sits.",
                'He says "no", and goes.',
                "SOMEONE sits.",
            ),
            f"{film}_00.00.03.000-00.00.04.000": ("Caf\u00e9.",),
        },
        "val": {f"{film}_00.01.00.000-00.01.01.000": ("A door opens.",)},
        "test": {f"{film}_00.02.00.000-00.02.01.000": ("She runs.",)},
    }
    names = {
        "train": "LSMDC16_annos_training.csv",
        "val": "LSMDC16_annos_val.csv",
        "test": "LSMDC16_challenge_1000_publictect.csv",
    }
    files = {
        names[split]: ids(
            "\t".join([i, "00.00.01.000", "00.00.02.000", "00.00.01.000", "00.00.02.000", text])
            for i, texts in some.items()
            for text in texts
        )
        for split, some in truth.items()
    }
    clips = {f"{film}/{i}.avi": video("avi") for some in truth.values() for i in some}
    return Miniature(
        files | {"LSMDC_videos.tar": tarred(clips)},
        truth,
        expected={"train": 4, "val": 1, "test": 1},
    )


MAKERS: dict[str, Callable[[], Miniature]] = {
    "msrvtt": msrvtt,
    "msvd": msvd,
    "vatex": vatex,
    "activitynet": activitynet,
    "didemo": didemo,
    "lsmdc": lsmdc,
    "ssv1": something_v1,
    "ssv2": something_v2,
    "k400": kinetics,
}


def served(declared: Dataset, mini: Miniature, server: Server, root: Path) -> Dataset:
    """The declared dataset with its open files on the server, its gated ones put into downloads/."""
    opened = {s.file for s in declared.sources if not s.gated}
    named = server.url("whole").encode()
    for name, data in mini.files.items():
        if name in opened or name.endswith("_part_0.tar.gz"):
            server.files[name] = data.replace(b"SERVER", named) if name.endswith(".txt") else data
        else:
            place = root / "downloads" / name
            place.parent.mkdir(parents=True, exist_ok=True)
            place.write_bytes(data)
    counts = {s: len(clips) for s, clips in mini.truth.items()}
    return declared.model_copy(
        update={
            "sources": tuple(
                s if s.gated else s.model_copy(update={"url": server.url(f"whole/{s.file}")})
                for s in declared.sources
            ),
            "expected": mini.expected or {s: counts[s] for s in declared.expected},
            "classes": len(mini.classes) or None,
        }
    )
