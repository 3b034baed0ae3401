from django.urls import path

from medtrack.http import converters  # noqa: F401 - registers <id:…>
from users import views

urlpatterns = [
    path("auth/signup", views.SignUp.as_view()),
    path("auth/login", views.LogIn.as_view()),
    path("auth/refresh", views.Refresh.as_view()),
    path("auth/logout", views.LogOut.as_view()),
    path("auth/social", views.LogInSocially.as_view()),
    path("auth/password/forgot", views.ForgotPassword.as_view()),
    path("auth/password/reset", views.ResetPassword.as_view()),
    path("auth/password/change", views.ChangePassword.as_view()),
    path("auth/email/verify", views.VerifyEmail.as_view()),
    path("auth/email/send-verification", views.SendVerification.as_view()),
    path("auth/sessions", views.Sessions.as_view()),
    path("auth/sessions/<id:session_id>", views.SessionDetail.as_view()),
]
