"""The web process: granian with one worker, or several of them, each watched and started anew when it hangs.

The launcher, `python -m medtrack.web`, knows no Django. `activity` and `probe_server` are its other half, inside
the worker.
"""
