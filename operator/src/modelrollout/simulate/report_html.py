"""What came of a simulation, as one self-contained page."""

from modelrollout.simulate.summary import Summary


def page(summary: Summary) -> str:
    """Return the page."""
    return f"<!doctype html><title>{summary.stage.scenario.name}</title>"
