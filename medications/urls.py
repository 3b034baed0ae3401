from django.urls import path

from medications import views

urlpatterns = [
    path("medications", views.Medications.as_view()),
]
