"""Settings: the environment to values, and refusals that say what to do."""

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
    }
    assert Settings.from_environment(environ) == Settings("churn", "1.5", 0, 12.5, 0.05, 3, 0, 0, 7)


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
    ],
)
def test_a_bad_value_is_refused_with_its_name_and_advice(name: str, value: str, advice: str) -> None:
    with pytest.raises(SettingsError) as caught:
        Settings.from_environment({name: value})
    assert str(caught.value).startswith(f"{name}={value!r}: {advice}")
