"""Settings: the environment to values, and refusals that say what to do."""

from dataclasses import replace

import pytest

from model_server.settings import Settings, SettingsError


def test_an_empty_environment_means_the_defaults() -> None:
    assert Settings.from_environment({}) == Settings()
    assert Settings.from_environment({"SEED": "", "CRASH_AFTER_S": ""}) == Settings()


def test_every_setting_is_read() -> None:
    environ = {
        "MODEL_NAME": "churn",
        "MODEL_VERSION": "1.5",
        "PORT": "0",
        "LATENCY_MS": "12.5",
        "ERROR_RATE": "0.05",
        "START_DELAY_S": "3",
        "DRAIN_S": "0",
        "CRASH_AFTER_S": "0",
        "SEED": "7",
        "DEFECT": "leaking",
        "MODEL_URI": "s3://models/churn",
        "MODEL_SHA256": "AB" * 32,
        "DEADLINE_MS": "50",
        "FALLBACK_VALUE": "-1",
        "FALLBACK_MODEL_URI": "/models/previous",
        "MAX_IN_FLIGHT": "9",
        "MAX_BODY_BYTES": "1000",
        "GRPC_PORT": "8081",
        "SLICE_FEATURE": "plan",
        "SLICE_VALUES": "a, b,",
        "LABEL_TOLERANCE": "0.5",
        "FEEDBACK_ROWS": "10",
        "FEEDBACK_PEERS": "fraud-pods:8080",
        "FEEDBACK_COHORT_S": "20",
        "PREDICTION_LOG": "/logs/p",
        "PREDICTION_LOG_SAMPLE": "1",
        "PREDICTION_LOG_MAX_BYTES": "5",
        "PREDICTION_LOG_REDACT": "iban",
    }
    told = Settings.from_environment(environ)
    first = Settings("churn", "1.5", 0, 12.5, 0.05, 3, 0, 0, 7)
    assert told == replace(
        first,
        defect="leaking",
        model_uri="s3://models/churn",
        model_sha256="ab" * 32,
        deadline=50,
        fallback_value=-1,
        fallback_model_uri="/models/previous",
        max_in_flight=9,
        max_body=1000,
        grpc_port=8081,
        slice_feature="plan",
        slice_values=("a", "b"),
        label_tolerance=0.5,
        feedback_rows=10,
        feedback_peers="fraud-pods:8080",
        feedback_cohort=20,
        log_path="/logs/p",
        log_sample=1,
        log_max_bytes=5,
        log_redact=("iban",),
    )


@pytest.mark.parametrize(
    ("name", "value", "advice"),
    [
        ("MODEL_NAME", "a/b", "use letters"),
        ("MODEL_VERSION", "1\r\nx: y", "use letters"),
        ("PORT", "http", "use a whole number"),
        ("PORT", "65536", "use a port"),
        ("LATENCY_MS", "-1", "use 0 or more"),
        ("LATENCY_MS", "nan", "use a finite number"),
        ("ERROR_RATE", "5%", "use a number"),
        ("ERROR_RATE", "1.1", "use a fraction"),
        ("CRASH_AFTER_S", "inf", "use a finite number"),
        ("SEED", "1.5", "use a whole number"),
        ("MAX_IN_FLIGHT", "0", "use a whole number above 0"),
        ("FEEDBACK_PEERS", "fraud", "use host:port"),
        ("FEEDBACK_COHORT_S", "0", "use a whole number above 0"),
        ("MODEL_SHA256", "ab", "use 64 hexadecimal digits"),
    ],
)
def test_a_bad_value_is_refused_with_its_name_and_advice(name: str, value: str, advice: str) -> None:
    with pytest.raises(SettingsError) as caught:
        Settings.from_environment({name: value})
    assert str(caught.value).startswith(f"{name}={value!r}: {advice}")
