"""From counters to verdicts: windows, e-processes, and the judge that reads them."""
