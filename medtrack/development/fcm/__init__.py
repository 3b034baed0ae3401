"""A local stand-in for Firebase Cloud Messaging (FCM), which tests, benches and `serve` start as a process.

Start it with `python -m medtrack.development.fcm --directory DIR`. It imports nothing else of the project.
"""
