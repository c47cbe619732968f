from synthgen.evaluation.public import public_report

REPORT = {
    "format": "synthgen-report/1",
    "sentences": ["See /not/a/path alone, it stands in a sentence."],
    "figures": [{"file": "figures/neighbours.png"}],
    "neighbours": [{"extractor": "e", "figure": "f.png", "rows": [{"distance": 0.1}]}],
    "copying": {"e": {"flagged": False, "pairs": [{"synthetic": 1, "train": 77}]}},
    "protocol": {"seed": 0, "split_notes": ["dropped: patient_7.png"]},
    "provenance": {"synthetic": {"path": "/home/me/secret/set"}, "config": {"root": "C:\\data\\x"}},
}


def test_nothing_points_back_to_single_images_or_folders():
    public = public_report(REPORT)
    text = str(public)
    for secret in ("77", "patient_7", "secret", "C:", "neighbours.png", "f.png", "0.1"):
        assert secret not in text
    assert public["provenance"] == {"synthetic": {"path": "set"}, "config": {"root": "x"}}
    assert public["copying"] == {"e": {"flagged": False}}
    assert public["protocol"] == {"seed": 0}
    assert public["sentences"] == REPORT["sentences"]
    assert public["public"] is True


def test_the_report_itself_is_left_alone():
    before = str(REPORT)
    public_report(REPORT)
    assert str(REPORT) == before
