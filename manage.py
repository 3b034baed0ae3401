#!/usr/bin/env python
import sys

if __name__ == "__main__":
    from medtrack.configuration.start import load_settings, print_settings

    if sys.argv[1:] == ["check_settings"]:
        sys.exit(print_settings())
    load_settings()

    from django.core.management import execute_from_command_line

    execute_from_command_line(sys.argv)
