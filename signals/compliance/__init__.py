"""Questions that name signals, asked of changes, walks and disclosures: who had it, who has acknowledged its recall.

holders   which channels were handed a signal's value, computed again exactly from rows that outlive purge
lost      the times that a restored backup forgot, and who may have had what in them
recipients  who received a signal, which revision and when; all recipients of some since a moment
overview  retention, what the hub's people were shown, one partner whole
minutes   which leaf commits to a disclosure, and the rows that it commits to
board     what an author may read of its own recall
recall    the board: every channel that had a recalled signal, and how it stands
"""
