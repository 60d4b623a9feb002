"""What the good lines of a submission do to the rows: in line order, all or nothing, one at a time per partner.

A batch reads what it needs in a handful of queries, decides line by line in memory, and writes in a handful of COPYs
and moves. New signals are not published here; a change to a signal that is already out (a revision, a wider audience, a
withdrawal) takes its position at once. `take` is where it begins.
"""
