from django.urls import path

from users import views

urlpatterns = [
    path("auth/signup", views.SignUp.as_view()),
    path("auth/login", views.LogIn.as_view()),
    path("auth/refresh", views.Refresh.as_view()),
    path("auth/logout", views.LogOut.as_view()),
]
