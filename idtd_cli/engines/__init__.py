"""Engines: where a job runs on every video of a source, so that a bad file costs itself alone."""
