"""The web server: granian with one worker, or several of them, each watched and restarted when it hangs.

The launcher, `python -m medtrack.web`, does not load Django. `activity` counts requests inside the worker, where
`medtrack.probes.server` answers the launcher's probes.
"""
