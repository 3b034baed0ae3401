"""Demo patients with sixty days of doses, and a demo phone in the browser that uses the public API.

Installed only with DEBUG=true: `manage.py create_demo`, `manage.py demo_reminder` and the page /demo/phone/.
"""
