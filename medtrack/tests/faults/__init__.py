"""The faults of the engine's contract, done to real processes, and the account of what they cost.

`stage` has the processes and keeps the account, the other modules have the faults, `runner` runs one and judges.
"""
