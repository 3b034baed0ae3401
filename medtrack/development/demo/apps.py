from django.apps import AppConfig


class DemoConfig(AppConfig):
    name = "medtrack.development.demo"
    label = "demo"
