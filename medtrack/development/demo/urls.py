from django.urls import path

from medtrack.development.demo.views import phone

urlpatterns = [path("phone/", phone)]
