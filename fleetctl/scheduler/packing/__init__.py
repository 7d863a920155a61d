"""Packing: which node takes which task so that what stays free is of use to the tasks still to come.

`Packer` keeps a fleet's free cards, milli-cards, CPU and memory, scores nodes by a policy and re-scores only what
changed; `fill`, `queueing` and `measure` replay traces through it. Nothing here reads a clock, a file or a database but
`trace`, which reads the files it is given.
"""
