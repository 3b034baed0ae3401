"""The names of the login roles, and which process has which. Imports no Django."""

WEB, ENGINE, REPORT = "medtrack_web", "medtrack_engine", "medtrack_report"
ROLES = (WEB, ENGINE, REPORT)


def role_of(process: str) -> str:
    """Returns the role of a process of the Procfile."""
    return WEB if process == "web" else ENGINE
