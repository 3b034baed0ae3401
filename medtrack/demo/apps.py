from django.apps import AppConfig


class DemoConfig(AppConfig):
    name = "medtrack.demo"
    label = "demo"
