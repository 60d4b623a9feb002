"""Export bundles: a part of the ledger with everything that proves it to somebody who trusts neither us nor it.

query      what is asked for, and whether a leaf is meant
selection  the leaves of a query, in pieces, from the database
work       a folder that is being filled, and goes on after a crash where it was
tiles      the hashes that tie the chosen leaves to a checkpoint
views      the same leaves as CSV and as OCSF events
tally      what the report counts
charts     drawings of numbers
report     the page for a lawyer
making     the whole bundle, step by step
own_log    the checkpoints, hashes and keys of the hub at hand
"""
