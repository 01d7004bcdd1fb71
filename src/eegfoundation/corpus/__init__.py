"""From recordings to a corpus for pretraining, and the order in which it is read.

In the order in which data flow: `layouts` finds recordings (`compact` reads one more format),
`settings` says what is wanted, `process` makes the shard of one recording in the format of
`shards`, `engines` runs that on many, `builder` is the command around them; `reader` opens what it
wrote and `order` shuffles it.
"""
