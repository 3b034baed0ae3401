"""The web server: one or several granian processes, which are watched and restarted when one hangs.

`python -m medtrack.web` starts the launcher, which does not import Django. `activity` counts requests inside
each web process, and `medtrack.probes.server` answers the launcher's probes there.
"""
