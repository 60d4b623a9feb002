"""Casework: what a person is asked to decide, by whom, until when; a verb a file. A decision has its effect at once.

opening   a case is opened, once per subject and kind; what is held gets one from the sweep
claiming  the next case, a claim, its heartbeat; given back, skipped, handed over
talking   a comment, a pause, its end
deciding  a decision with its reason, and the lifecycle's verb that gives it effect
second_person  a decision against what others bear out takes two people
appeals   redress: an appeal, its decision told to whoever had the signal, and what each put right
undoing   a decision undone within its window; a decided case opened again
rows      the locked row, the checks that every verb makes, and the event and leaf of what was done
"""
