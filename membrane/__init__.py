"""The domain of Membrane: pure functions over signals, records and principles.

Nothing here does I/O, reads a clock or keeps global state; time comes in as an argument,
always as integer milliseconds since the Unix epoch, UTC (names end in `_ms` or are called `t`).
"""
