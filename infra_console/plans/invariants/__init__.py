"""The eight promises of an execution, checked after the fact by replaying what was written down.

`history.py` says what is replayed, `reading.py` takes it from the database, `api_log.py` from a
kube-apiserver's audit log, `writes.py` lays the two beside each other. Each promise is one function
with its statement, over plain rows, in `taking_effect.py`, `authority.py`, `capacity.py` and
`records.py`; `checker.py` runs them all. What cannot be checked is said to be unchecked, never
passed.
"""
