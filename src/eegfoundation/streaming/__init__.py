"""A stream of samples in, a prediction every 100 ms out.

In the order in which a sample passes: `sources` (a file replayed) and `lsl` (the network), `clock`
(gaps and late samples), `filters` (causal), `ring` (the newest stretch), `windows` (what of it can
be used), `decoder` and `alignment` (the model), `session` (all of them joined), `sinks` (CSV),
`view` (the terminal) and `run` (the command).
"""
