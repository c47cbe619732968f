from synthgen.evaluation.provenance import public_report

REPORT = {
    "format": "synthgen-report/1",
    "sentences": ["See /not/a/path alone, fidelity/kid, 1/2 and https://here.org/a/b too."],
    "figures": [{"file": "figures/neighbours.png"}],
    "neighbours": [{"extractor": "e", "figure": "f.png", "rows": [{"distance": 0.1}]}],
    "copying": {"e": {"flagged": False, "pairs": [{"synthetic": 1, "train": 77}]}},
    "protocol": {"seed": 0, "split_notes": ["dropped: patient_7.png"]},
    "provenance": {
        "synthetic": {"path": "/home/me/secret/set"},
        "config": {"root": "C:\\data\\x", "start": "secret/a", "sampler": {"a": "../secret/b"}},
        "note": "from '~me/secret/c' and C:\\secret\\d",
        "extractor": "secret-free/name",
    },
}


def test_nothing_points_back_to_single_images_or_folders():
    public = public_report(REPORT)
    text = str(public)
    for secret in (
        "77",
        "patient_7",
        "secret/",
        "/home",
        "~me",
        "C:",
        "neighbours.png",
        "f.png",
        "0.1",
    ):
        assert secret not in text
    assert public["provenance"] == {
        "synthetic": {"path": "set"},
        "config": {"root": "x", "start": "a", "sampler": {"a": "b"}},
        "note": "from 'c' and d",
        "extractor": "secret-free/name",
    }
    assert public["copying"] == {"e": {"flagged": False}}
    assert public["protocol"] == {"seed": 0}
    assert public["sentences"] == [
        "See path alone, fidelity/kid, 1/2 and https://here.org/a/b too."
    ]
    assert public["public"] is True


def test_the_report_itself_is_left_alone():
    before = str(REPORT)
    public_report(REPORT)
    assert str(REPORT) == before
