"""The ledger's rules: what becomes of jobs, runs and passed instants, decided once for every store.

A rule is a plain function of state that a store has loaded. It never waits, reads no clock, draws no chance and does
no I/O. It changes the loaded objects and notes in the :class:`~asched.rules.state.Step` what the store must write and
tell; the store then saves all of it in one atomic step, or none of it.

A store has the following parts and no rule of its own:

* it loads what a batch needs: jobs, their open runs, the gap records that may grow;
* it saves what a step has noted;
* it answers the plain batch in one statement or loop (:mod:`asched.rules.plain` says what plain means), with the same
  result as the rules (``tests/contract/test_plain_paths.py``);
* it keeps lists, retention and the life of its connections.

The modules: :mod:`~asched.rules.state` holds what is loaded and what is noted, :mod:`~asched.rules.runs` the life of a
run, :mod:`~asched.rules.claims` claims, :mod:`~asched.rules.ends` the ends of attempts and of nodes,
:mod:`~asched.rules.requests` what operators ask of runs, :mod:`~asched.rules.jobs` what becomes of a job.
"""
