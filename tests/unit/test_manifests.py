"""What a kustomize overlay changes in the base, everywhere that it stands."""

from pathlib import Path

import yaml

BASE = Path(__file__).parents[2] / "manifests" / "base"


def test_an_overlay_with_another_namespace_takes_the_subjects_of_bindings_along() -> None:
    # kustomize finds the account of a subject by name and namespace, as the files spell both.
    objects = list(yaml.safe_load_all((BASE / "rbac.yaml").read_text(encoding="utf-8")))
    accounts = {
        (one["metadata"]["name"], one["metadata"]["namespace"]) for one in objects if one["kind"] == "ServiceAccount"
    }
    subjects = [subject for one in objects for subject in one.get("subjects") or []]
    assert len(subjects) == 3
    assert {(subject["name"], subject["namespace"]) for subject in subjects} == accounts
