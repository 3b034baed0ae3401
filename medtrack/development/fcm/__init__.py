"""A local stand-in for Firebase Cloud Messaging: a program of its own that tests, benchmarks and the
development server start instead of Google's service. It knows nothing of the rest of the project."""
