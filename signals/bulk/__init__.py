"""Bulk: one decision about many signals; a dry run freezes them, then each is decided by the verbs of a single one.

choosing       which signals a filter finds, and what each is at this moment
drafting       the dry run: what would change, what is left out and why; dry runs that nobody applied are forgotten
running        a run begins, is stopped, goes on, is undone
second_person  a run about many takes two people
working        the worker's loop: signal by signal, each in a transaction of its own, however often it is killed
deeds          what is done to one signal, and how that is taken back
refusals       why bulk says no
"""
